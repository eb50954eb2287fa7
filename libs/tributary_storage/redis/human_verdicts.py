"""What came of human-check tokens, for all replicas of the door: a provider verifies a token once.

State and not log: it may be lost. The one rule: that somebody asks is noted before the provider is asked, so that a
token which its provider calls spent can be told from one that we have spent ourselves.
"""

from __future__ import annotations

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


class HumanVerdicts:
    """Remembers. Every method raises `StorageUnavailableError` if the store does not answer.

    Args:
        client: Of the role *state*.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def begin(self, name: bytes) -> Asked:
        """Notes that the provider is asked about a token now, and returns what is known of it.

        Args:
            name: Digest of endpoint, secret and token; nothing in the clear.
        """
        pipeline = self._client.pipeline(transaction=False)
        pipeline.set(keys.human_check(name.hex()), _ASKED, nx=True, ex=LIFE_SECONDS)
        pipeline.get(keys.human_check(name.hex()))
        try:
            is_first, value = await pipeline.execute()
        except redis.RedisError as error:
            raise _unavailable() from error
        return Asked(not is_first, _read(value))

    async def look(self, name: bytes) -> Checked | None:
        """Returns what came of a token; None: nothing yet."""
        try:
            return _read(await self._client.get(keys.human_check(name.hex())))
        except redis.RedisError as error:
            raise _unavailable() from error

    async def remember(self, name: bytes, checked: Checked) -> None:
        """Keeps what a provider said of a token. May run twice."""
        score = "" if checked.score_percent is None else checked.score_percent
        try:
            await self._client.set(keys.human_check(name.hex()), f"{int(checked.verdict)} {score}", ex=LIFE_SECONDS)
        except redis.RedisError as error:
            raise _unavailable() from error


def _read(value: Any) -> Checked | None:
    if value is None or value == _ASKED:
        return None
    verdict, _, score = bytes(value).decode().partition(" ")
    return Checked(HumanVerdict(int(verdict)), int(score) if score else None)


def _unavailable() -> StorageUnavailableError:
    return StorageUnavailableError("The state store did not answer.", metadata={"store": "state"})
