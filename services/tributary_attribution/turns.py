"""Two batches at once: while one is stored and told, the next is read, brought to its people and published.

Storing waits for ClickHouse and needs nobody's CPU here, so the next batch uses it; but never are two batches brought
to journeys at once, for they would meet in the same people and compute each other's conversions again. Each consumer is
source and handler of a worker of its own, with a name of its own in the group. The one rule: taking turns is only
speed. As with workers in several processes, nothing depends on it, and a turn that is kept too long, or given back too
early, costs time and nothing else. That what is being stored is credited already, the next batch is told by `linking`
and `consents`, in this process and in others, or its revisions would name what the one before changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from tributary_runtime.entries import Source
from tributary_storage.redis.log_entry import LogEntry, LoggedEvent


class Crediting(Protocol):
    """What is done with entries; see `Attributor`."""

    async def handle(self, entries: Sequence[LogEntry], published: Callable[[], None] = ...) -> int:
        """Credits what a batch of events changes; calls `published` once only storing and telling is left."""
        ...

    def singles(self, entry: LogEntry) -> Sequence[LoggedEvent]:
        """Takes an entry apart."""
        ...

    async def handle_single(self, entry: LogEntry, single: LoggedEvent) -> None:
        """Credits what one event changes."""
        ...


class Turn:
    """One of the consumers that take turns: source and handler of one worker. Errors are those of what it wraps.

    Args:
        turns: Held by whose turn it is; one for all of them.
        source: A consumer of its own.
        crediting: Shared by all.
    """

    def __init__(self, turns: asyncio.Lock, source: Source[LogEntry, LoggedEvent], crediting: Crediting) -> None:
        self._turns = turns
        self._source = source
        self._crediting = crediting
        self._is_mine = False

    async def read(self) -> Sequence[LogEntry]:
        """Waits for its turn, reads, and keeps it if there is anything to handle."""
        return await self._in_turn(self._source.read)

    async def take_over(self) -> Sequence[LogEntry]:
        """Likewise, of what was left."""
        return await self._in_turn(self._source.take_over)

    async def ack(self, entries: Sequence[LogEntry]) -> None:
        """Marks entries as done."""
        await self._source.ack(entries)

    async def postpone(self, entries: Sequence[LogEntry]) -> None:
        """Leaves entries to be taken over in some seconds."""
        await self._source.postpone(entries)

    async def hand_back(self) -> None:
        """Leaves what was read and not acknowledged to whoever looks first."""
        await self._source.hand_back()

    async def dead_letter(self, entry: LogEntry, single: LoggedEvent | None, reason: str, message: str) -> None:
        """Keeps an event that can never be handled."""
        await self._source.dead_letter(entry, single, reason, message)

    async def handle(self, entries: Sequence[LogEntry]) -> int:
        """Credits a batch; it is the next one's turn once all of it is published."""
        try:
            return await self._crediting.handle(entries, self._give_back)
        finally:
            self._give_back()

    def singles(self, entry: LogEntry) -> Sequence[LoggedEvent]:
        """Takes an entry apart."""
        return self._crediting.singles(entry)

    async def handle_single(self, entry: LogEntry, single: LoggedEvent) -> None:
        """Credits one event."""
        try:
            await self._crediting.handle_single(entry, single)
        finally:
            self._give_back()

    async def _in_turn(self, read: Callable[[], Awaitable[Sequence[LogEntry]]]) -> Sequence[LogEntry]:
        if not self._is_mine:  # else what was read last needed no handling
            await self._turns.acquire()
            self._is_mine = True
        entries: Sequence[LogEntry] = ()
        try:
            entries = await read()
        finally:
            if not entries:
                self._give_back()
        return entries

    def _give_back(self) -> None:
        if self._is_mine:
            self._is_mine = False
            self._turns.release()
