"""Erasures in the state store: tombstones, and what is under way.

A tombstone names an identifier by its person key, which nobody can turn back into the identifier, or an order that was
severed by its digest. They are few and read by everybody, so they are one list, of which each process reads what is
new. Every method may run twice, and at once in several processes. Fails closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

import redis.asyncio

from tributary_domain.erasures import Erasure
from tributary_storage.codec.erasures import pack_erasure, unpack_erasure
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Script
from tributary_storage.redis.state_scripts import failed, run

_CHANGE: Final = Script("change_erasure")
_TOGETHER_MICROS: Final = 30_000_000
"""For what comes within that, one look is enough."""


class Erasures:
    """Erasures in the state store.

    Args:
        client: The Redis of role state.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def bury(self, tombstones: Iterable[tuple[str, int]]) -> None:
        """Adds tombstones.

        Args:
            tombstones: Person key, or digest of a severed order, and until when what happened is gone.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        entries = [f"{key} {until}" for key, until in tombstones]
        if entries:
            await self._ask(self._client.rpush(keys.tombstones(), *entries))

    async def tombstones(self, known: int) -> list[tuple[str, int]]:
        """Returns the tombstones after those that are known, oldest first.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        entries = await self._ask(self._client.lrange(keys.tombstones(), known, -1))
        found = (entry.decode().partition(" ") for entry in entries)
        return [(key, int(until)) for key, _, until in found]

    async def keep(self, erasure: Erasure) -> None:
        """Keeps all that is needed to go on with an erasure, and what came back since it was read; durable on return.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        await self._change(erasure.erasure_id, lambda held: _with_what_came(erasure, held))

    async def look_again(self, erasure: Erasure) -> None:
        """Keeps an erasure that looks for what came back; one that would look too early is told that there is more.

        That one stays due when it is: else what is sent again and again would put it off for ever.

        Args:
            erasure: Due at the earliest moment at which all that came back is recorded; it may look a little later.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """

        def kept(held: Erasure | None) -> Erasure:
            if held is None:
                return replace(erasure, due_micros=erasure.due_micros + _TOGETHER_MICROS)
            if held.due_micros >= erasure.due_micros:
                return replace(held, until_micros=max(held.until_micros, erasure.until_micros))
            later = max(held.request_micros + 1, erasure.request_micros)  # whoever has read it sees that it is another
            return held.with_more(later, erasure.until_micros)

        await self._change(erasure.erasure_id, kept)

    async def reopen(self, erasure: Erasure) -> None:
        """Keeps an erasure that a loss of the store took; not in place of one that is here and not behind it.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """

        def kept(held: Erasure | None) -> Erasure:
            if held is None or not held.is_copy_before(erasure):
                return held or erasure
            return _with_what_came(erasure, held)

        await self._change(erasure.erasure_id, kept)

    async def opened(self) -> list[Erasure]:
        """Returns the erasures that are not finished.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        held = await self._ask(self._client.hgetall(keys.open_erasures()))
        return [unpack_erasure(content) for content in held.values()]

    async def close(self, erasure: Erasure) -> bool:
        """Forgets an erasure: it is finished. Not if something came back since it was read; returns whether.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """

        def kept(held: Erasure | None) -> Erasure | None:
            return held if held is not None and held.request_micros > erasure.request_micros else None

        return await self._change(erasure.erasure_id, kept) is None

    async def _change(self, erasure_id: str, changed: Callable[[Erasure | None], Erasure | None]) -> Erasure | None:
        """Puts what comes of an erasure that is kept in its place, and returns that; None: none stays."""
        while True:
            held = await self._ask(self._client.hget(keys.open_erasures(), erasure_id)) or b""
            after = changed(unpack_erasure(held) if held else None)
            content = "" if after is None else pack_erasure(after)
            if await run(self._client, _CHANGE, [([keys.open_erasures()], [erasure_id, held, content])]) == [1]:
                return after

    async def restored_micros(self) -> int:
        """Returns the last loss of the store after which the tombstones were read back; 0: there was none.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        return int(await self._ask(self._client.get(keys.erasures_restored())) or 0)

    async def note_restored(self, loss_micros: int) -> None:
        """Notes that the tombstones were read back after a loss.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        await self._ask(self._client.set(keys.erasures_restored(), loss_micros))

    async def _ask(self, answer: Any) -> Any:
        try:
            return await answer
        except redis.RedisError as error:
            raise failed(error) from error


def _with_what_came(erasure: Erasure, held: Erasure | None) -> Erasure:
    """Returns an erasure with what came back since it was read, as it is kept now."""
    if held is None or held.request_micros <= erasure.request_micros:
        return erasure
    return erasure.with_more(held.request_micros, held.until_micros)
