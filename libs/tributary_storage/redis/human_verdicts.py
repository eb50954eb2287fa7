"""What came of human-check tokens, for all replicas of the door: a provider verifies a token once.

State and not log: it may be lost. The one rule: that somebody asks is noted before the provider is asked, so that a
token which its provider calls spent can be told from one that we have spent ourselves.

Who carried a token first is kept beside it: a few conversions, an order's as one. Later ones are none of its carriers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import redis.asyncio

from tributary_domain.human_check import Checked, HumanVerdict
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys

LIFE_SECONDS: Final = 600
"""Longer than any provider's token lives."""

_ASKED: Final = b"asked"


class Asked(NamedTuple):
    """What is known of a token."""

    was_asked: bool
    """Whether a provider was asked about it before."""
    checked: Checked | None
    """What came of that; None: nothing yet, or nothing that is known."""
    is_carrier: bool = True
    """Whether who asks is one of the first who carry it."""


class HumanVerdicts:
    """Remembers. Every method raises `StorageUnavailableError` if the store does not answer.

    Args:
        client: Of the role *state*.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def begin(self, name: bytes, carrier: bytes, most: int) -> Asked:
        """Notes that the provider is asked about a token now, and returns what is known of it.

        Args:
            name: Digest of endpoint, secret and token; nothing in the clear.
            carrier: Digest of the order that carries it, or of the conversion that has none; empty: nobody is noted.
            most: How many may carry it.
        """
        pipeline = self._client.pipeline(transaction=False)
        pipeline.set(keys.human_check(name.hex()), _ASKED, nx=True, ex=LIFE_SECONDS)
        pipeline.get(keys.human_check(name.hex()))
        if carrier:
            _note(pipeline, name, carrier)
        try:
            is_first, value, *noted = await pipeline.execute()
            is_one_too_many = bool(noted) and noted[0] and noted[1] > most
            is_carrier = await self._is_carrier(name, carrier, is_one_too_many=is_one_too_many)
        except redis.RedisError as error:
            raise _unavailable() from error
        return Asked(not is_first, _read(value), is_carrier)

    async def carry(self, name: bytes, carrier: bytes, most: int) -> bool:
        """Notes who carries a token, and tells whether it is one of the first; arguments as for `begin`."""
        pipeline = self._client.pipeline(transaction=False)
        _note(pipeline, name, carrier)
        try:
            is_new, carriers, _ = await pipeline.execute()
            return await self._is_carrier(name, carrier, is_one_too_many=is_new and carriers > most)
        except redis.RedisError as error:
            raise _unavailable() from error

    async def _is_carrier(self, name: bytes, carrier: bytes, *, is_one_too_many: bool) -> bool:
        """Forgets who is one too many: whoever replays a token must not fill the store."""
        if is_one_too_many:
            await self._client.srem(keys.human_check_carriers(name.hex()), carrier)
        return not is_one_too_many

    async def look(self, name: bytes) -> Checked | None:
        """Returns what came of a token; None: nothing yet."""
        try:
            return _read(await self._client.get(keys.human_check(name.hex())))
        except redis.RedisError as error:
            raise _unavailable() from error

    async def remember(self, name: bytes, checked: Checked) -> None:
        """Keeps what a provider said of a token. May run twice."""
        try:
            await self._client.set(keys.human_check(name.hex()), _write(checked), ex=LIFE_SECONDS)
        except redis.RedisError as error:
            raise _unavailable() from error

    async def catch_up(self, checked: Mapping[bytes, Checked | None]) -> None:
        """Notes of which tokens a provider was asked, and what came of it, if that is known. May run twice.

        Args:
            checked: By the name of the token. None at all: only finds out whether the store is there.
        """
        pipeline = self._client.pipeline(transaction=False)
        pipeline.exists(keys.human_check(""))
        for name, said in checked.items():
            if said is None:
                pipeline.set(keys.human_check(name.hex()), _ASKED, nx=True, ex=LIFE_SECONDS)
            else:
                pipeline.set(keys.human_check(name.hex()), _write(said), ex=LIFE_SECONDS)
        try:
            await pipeline.execute()
        except redis.RedisError as error:
            raise _unavailable() from error


def _note(pipeline: Any, name: bytes, carrier: bytes) -> None:
    carriers = keys.human_check_carriers(name.hex())
    pipeline.sadd(carriers, carrier)
    pipeline.scard(carriers)
    pipeline.expire(carriers, LIFE_SECONDS)


def _write(checked: Checked) -> str:
    score = "" if checked.score_percent is None else checked.score_percent
    return f"{int(checked.verdict)} {score}"


def _read(value: Any) -> Checked | None:
    if value is None or value == _ASKED:
        return None
    verdict, _, score = bytes(value).decode().partition(" ")
    return Checked(HumanVerdict(int(verdict)), int(score) if score else None)


def _unavailable() -> StorageUnavailableError:
    return StorageUnavailableError("The state store did not answer.", metadata={"store": "state"})
