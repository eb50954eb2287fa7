"""One batch is stored while the next is read and published, and never are two published at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.support.attribution import entry
from tributary_attribution.turns import Turn
from tributary_storage.redis.log_entry import LogEntry, LoggedEvent


class Log:
    """Entries for whoever asks, one at a time; after the last, none."""

    def __init__(self, entries: int) -> None:
        self.left = [entry("shop", ()) for _ in range(entries)]

    async def read(self) -> Sequence[LogEntry]:
        await asyncio.sleep(0)
        return [self.left.pop()] if self.left else []

    async def take_over(self) -> Sequence[LogEntry]:
        return await self.read()

    async def ack(self, entries: Sequence[LogEntry]) -> None:
        """Forgets them."""

    async def postpone(self, entries: Sequence[LogEntry]) -> None:
        """Forgets them."""

    async def hand_back(self) -> None:
        """Has nothing to hand back."""

    async def dead_letter(self, entry: LogEntry, single: LoggedEvent | None, reason: str, message: str) -> None:
        """Forgets it."""


class Storing:
    """Publishes at once, and stores when it is told to."""

    def __init__(self) -> None:
        self.stores = asyncio.Event()
        self.at_work = self.most_at_work = self.published = self.stored = 0
        self.fails = False

    async def handle(self, entries: Sequence[LogEntry], published: Callable[[], None] = lambda: None) -> int:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(0)
        self.at_work -= 1
        if self.fails:
            raise OSError("ClickHouse is out")
        self.published += 1
        published()
        await self.stores.wait()
        self.stored += 1
        return len(entries)

    def singles(self, entry: LogEntry) -> Sequence[LoggedEvent]:
        return list(entry.events())

    async def handle_single(self, entry: LogEntry, single: LoggedEvent) -> None:
        await self.handle([entry])


@pytest.fixture
def storing() -> Storing:
    return Storing()


def two_turns(log: Log, storing: Storing) -> tuple[Turn, Turn]:
    lock = asyncio.Lock()
    return Turn(lock, log, storing), Turn(lock, log, storing)


async def one_batch(turn: Turn) -> int:
    entries = await turn.read()
    return await turn.handle(entries) if entries else 0


async def test_the_next_batch_is_published_while_the_one_before_is_stored(storing: Storing) -> None:
    first, second = two_turns(Log(2), storing)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(one_batch(first))
        group.create_task(one_batch(second))
        while storing.published < 2:  # noqa: ASYNC110 - what is tested is who may go on
            await asyncio.sleep(0)
        assert storing.stored == 0
        storing.stores.set()
    assert (storing.stored, storing.most_at_work) == (2, 1)


async def test_many_batches_are_published_one_after_the_other(storing: Storing) -> None:
    turns = two_turns(Log(20), storing)
    storing.stores.set()

    async def all_of(turn: Turn) -> None:
        while await one_batch(turn):
            pass

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for turn in turns:
            group.create_task(all_of(turn))
    assert (storing.stored, storing.most_at_work) == (20, 1)


async def test_who_finds_nothing_lets_the_other_read(storing: Storing) -> None:
    first, second = two_turns(Log(0), storing)
    async with asyncio.timeout(60):
        assert [await turn.read() for turn in (first, second, first)] == [[], [], []]


async def test_a_batch_that_fails_gives_its_turn_back(storing: Storing) -> None:
    first, second = two_turns(Log(2), storing)
    storing.fails = True
    async with asyncio.timeout(60):
        with pytest.raises(OSError, match="out"):
            await one_batch(first)
        assert await second.read()


async def test_who_had_nothing_to_handle_reads_on(storing: Storing) -> None:
    first, second = two_turns(Log(3), storing)
    storing.stores.set()
    async with asyncio.timeout(60):
        assert await first.take_over()
        assert await one_batch(first) == 1
        assert await one_batch(second) == 1
