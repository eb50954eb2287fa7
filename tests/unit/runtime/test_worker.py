"""Acknowledge last; bury alone; an outage is no poison; stop when too much dies."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.support.eventually import eventually_async
from tests.unit.runtime.conftest import LogLines
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import (
    Backpressure,
    OverloadedError,
    PoisonEvent,
    PreconditionError,
    RevisionMovedError,
    StorageUnavailableError,
    Unfinished,
)
from tributary_runtime.gate import Gate, refusal
from tributary_runtime.metrics import Group
from tributary_runtime.poison_limit import PoisonLimit, TooManyPoisonedError
from tributary_runtime.worker import Worker

pytestmark = pytest.mark.usefixtures("log_lines")


@dataclass
class Entry:
    """Events by name; a name says what happens: `poison…` can never be handled, `bug…` raises something else.

    `strange…` cannot be handled before strangers are known, and is put aside without blame once that is hopeless.
    """

    number: int
    events: list[str]
    deliveries: int = 1
    accept_micros: int = 0
    is_put_back: bool = False


@dataclass
class Log:
    """A log in memory: what was not acknowledged is handed out again by `take_over`."""

    entries: list[Entry]
    unread: list[Entry] = field(init=False)
    left_behind: list[Entry] = field(default_factory=list)
    later: list[Entry] = field(default_factory=list)
    acked: list[int] = field(default_factory=list)
    dead: list[tuple[int, str | None, str]] = field(default_factory=list)
    outages: int = 0
    batch: int = 10
    postponed: int = 0
    handed_back: int = 0

    def __post_init__(self) -> None:
        self.unread = list(self.entries)

    def _go_out(self) -> None:
        if self.outages:
            self.outages -= 1
            raise StorageUnavailableError("out")

    async def read(self) -> Sequence[Entry]:
        self._go_out()
        taken, self.unread = self.unread[: self.batch], self.unread[self.batch :]
        if not taken:
            await asyncio.sleep(0.005)
            self.left_behind, self.later = [*self.left_behind, *self.later], []
        return taken

    async def take_over(self) -> Sequence[Entry]:
        taken, self.left_behind = self.left_behind, []
        return taken

    async def ack(self, entries: Sequence[Entry]) -> None:
        self._go_out()
        self.acked += [entry.number for entry in entries]

    async def postpone(self, entries: Sequence[Entry]) -> None:
        self._go_out()
        self.postponed += 1
        self.later += entries

    async def hand_back(self) -> None:
        self.handed_back += 1
        self._go_out()

    async def dead_letter(self, entry: Entry, single: str | None, reason: str, message: str) -> None:
        self._go_out()
        self.dead.append((entry.number, single, reason))


class Doer:
    """Counts what was done; fails as the events are named, a given number of times."""

    def __init__(self, log: Log, *, outages: int = 0, pressure: int = 0) -> None:
        self.log = log
        self.done: Counter[str] = Counter()
        self.batches: list[int] = []
        self.outages = outages
        self.pressure = pressure
        self.acked_before_done = False
        self.knows_strangers = False
        self.is_hopeless = False

    async def handle(self, entries: Sequence[Entry]) -> int:
        if self.outages:
            self.outages -= 1
            raise StorageUnavailableError("the store is out")
        if self.pressure:
            self.pressure -= 1
            raise Backpressure("the store is full", pause_seconds=0.001)
        self.batches.append(len(entries))
        for entry in entries:
            self.acked_before_done |= entry.number in self.log.acked
            for event in entry.events:
                if not self._is_strange(event):
                    self._do(event)
        strange = [(entry, event) for entry in entries for event in entry.events if self._is_strange(event)]
        if strange:
            raise self._unfinished(strange)
        return sum(len(entry.events) for entry in entries)

    def _is_strange(self, event: str) -> bool:
        return event.startswith("strange") and not self.knows_strangers

    def _unfinished(self, strange: list[tuple[Entry, str]]) -> Unfinished:
        later = list({entry.number: entry for entry, _ in strange}.values())
        if self.is_hopeless:
            return Unfinished("STRANGE", "nobody knows it", aside=strange)
        return Unfinished("STRANGE", "nobody knows it", later=later)

    def singles(self, entry: Entry) -> Sequence[str]:
        if entry.events == ["unreadable"]:
            raise ValueError("no protobuf")
        return entry.events

    async def handle_single(self, entry: Entry, single: str) -> None:
        self.acked_before_done |= entry.number in self.log.acked
        if self._is_strange(single):
            raise self._unfinished([(entry, single)])
        self._do(single)

    def _do(self, event: str) -> None:
        if event.startswith("poison"):
            raise PoisonEvent("BAD_SHAPE", f"{event} has no shape")
        if event.startswith(("bug", "unreadable")):
            raise ZeroDivisionError("oops")
        self.done[event] += 1


async def work(log: Log, doer: Doer, *, entries: int, limit: PoisonLimit | None = None) -> None:
    """Runs a worker until so many entries are acknowledged."""
    worker = Worker(
        Group.RECORD,
        log,
        doer,
        SystemClock(),
        rng=random.Random(7),
        poison_limit=limit or PoisonLimit(),
        take_over_seconds=0.05,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        await eventually_async(lambda: running.done() or len(log.acked) >= entries)
    finally:
        stop.set()
        await running


def good(count: int, events: int = 3) -> list[Entry]:
    return [Entry(number, [f"e{number}-{event}" for event in range(events)]) for number in range(count)]


async def test_everything_is_done_once_and_acknowledged_last() -> None:
    log = Log(good(25))
    doer = Doer(log)
    await work(log, doer, entries=25)
    assert set(doer.done.values()) == {1}
    assert sorted(log.acked) == list(range(25))
    assert not doer.acked_before_done


@pytest.mark.parametrize(
    ("outages", "pressure"), [pytest.param(3, 0, id="outage"), pytest.param(0, 3, id="backpressure")]
)
async def test_what_cannot_be_done_now_is_done_later_and_buried_never(outages: int, pressure: int) -> None:
    log = Log(good(5))
    doer = Doer(log, outages=outages, pressure=pressure)
    await work(log, doer, entries=5)
    assert (sorted(log.acked), log.dead) == ([0, 1, 2, 3, 4], [])
    assert set(doer.done.values()) == {1}


@pytest.mark.parametrize(
    "outage",
    [
        StorageUnavailableError("out"),
        OverloadedError("full"),
        PreconditionError("run migrate"),
        RevisionMovedError("read again"),
        TimeoutError(),
        ConnectionResetError("reset"),
    ],
    ids=lambda outage: type(outage).__name__,
)
async def test_an_error_that_no_event_is_to_blame_for_buries_nothing(outage: Exception) -> None:
    log = Log(good(2))
    doer = Doer(log)
    failures = [outage, outage]
    original = doer.handle

    async def handle(entries: Sequence[Entry]) -> int:
        if failures:
            raise failures.pop()
        return await original(entries)

    doer.handle = handle  # type: ignore[method-assign]
    await work(log, doer, entries=2)
    assert (doer.batches, log.dead) == ([2], [])


async def test_an_outage_of_the_log_itself_loses_nothing() -> None:
    log = Log(good(5), outages=2, batch=1)
    doer = Doer(log)
    await work(log, doer, entries=5)
    assert sorted(log.acked) == [0, 1, 2, 3, 4]


async def test_a_lost_acknowledgement_does_not_repeat_the_work() -> None:
    log = Log(good(1))
    doer = Doer(log)
    log.read, read = lambda: _then_out(log, read), log.read  # type: ignore[method-assign]
    await work(log, doer, entries=1)
    assert set(doer.done.values()) == {1}


async def _then_out(log: Log, read: object) -> Sequence[Entry]:
    taken = await read()  # type: ignore[operator]
    if taken:
        log.outages = 2
    return taken  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "reason"),
    [pytest.param("poison", "BAD_SHAPE", id="poison"), pytest.param("bug", "ZeroDivisionError", id="bug")],
)
async def test_a_bad_event_is_buried_alone(name: str, reason: str) -> None:
    log = Log([*good(4), Entry(4, ["n1", name, "n2"]), Entry(5, ["n3"])])
    doer = Doer(log)
    await work(log, doer, entries=6)
    assert log.dead == [(4, name, reason)]
    assert doer.done.keys() >= {"n1", "n2", "n3", "e0-0", "e3-2"}
    assert sorted(log.acked) == list(range(6))


async def test_an_entry_that_cannot_be_taken_apart_is_buried_whole() -> None:
    log = Log([Entry(0, ["unreadable"]), *good(3)[1:]])
    await work(log, Doer(log), entries=3)
    assert log.dead == [(0, None, "ValueError")]


async def test_an_entry_whose_workers_died_is_handled_event_by_event() -> None:
    log = Log([])
    log.left_behind = [Entry(0, ["a", "poison", "b"], deliveries=3), Entry(1, ["c"], deliveries=2)]
    doer = Doer(log)
    await work(log, doer, entries=2)
    assert doer.batches == [1]  # the other one, as a batch
    assert (log.dead, set(doer.done)) == ([(0, "poison", "BAD_SHAPE")], {"a", "b", "c"})


async def test_what_a_dead_worker_left_is_taken_over() -> None:
    log = Log(good(2))
    log.left_behind = [Entry(7, ["x"], deliveries=2)]
    doer = Doer(log)
    await work(log, doer, entries=3)
    assert doer.done["x"] == 1


async def test_the_worker_stops_before_it_buries_everything(log_lines: LogLines) -> None:
    log = Log([Entry(number, ["poison"]) for number in range(100)])
    with pytest.raises(TooManyPoisonedError):
        await work(log, Doer(log), entries=100, limit=PoisonLimit(window=20, share=0.5))
    assert len(log.dead) == 10
    assert len(log.acked) == 10  # the eleventh is still there, for whoever has repaired the cause


async def test_what_was_a_dead_letter_before_and_fails_again_stops_no_worker() -> None:
    log = Log([Entry(number, ["poison"], is_put_back=True) for number in range(100)])
    await work(log, Doer(log), entries=100, limit=PoisonLimit(window=20, share=0.5))
    assert len(log.dead) == 100


async def test_a_believable_share_of_poison_does_not_stop_the_worker() -> None:
    entries = [Entry(number, ["poison" if number % 3 == 0 else f"n{number}"]) for number in range(60)]
    log = Log(entries)
    await work(log, Doer(log), entries=60, limit=PoisonLimit(window=20, share=0.5))
    assert len(log.dead) == 20


@pytest.mark.parametrize("deliveries", [pytest.param(1, id="in a batch"), pytest.param(3, id="event by event")])
async def test_what_cannot_be_done_yet_waits_alone(deliveries: int) -> None:
    log = Log([*good(3), Entry(3, ["n1", "strange", "n2"], deliveries)])
    doer = Doer(log)
    worker = Worker(Group.RECORD, log, doer, SystemClock(), take_over_seconds=0.01)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await eventually_async(lambda: log.postponed > 2)
    assert (sorted(log.acked), log.dead) == ([0, 1, 2], [])
    assert doer.done.keys() >= {"e0-0", "n1", "n2"}
    doer.knows_strangers = True
    await eventually_async(lambda: len(log.acked) == 4)
    stop.set()
    await running
    assert (doer.done["strange"], log.dead) == (1, [])


@pytest.mark.parametrize("deliveries", [pytest.param(1, id="in a batch"), pytest.param(3, id="event by event")])
async def test_what_nobody_is_to_blame_for_is_put_aside_and_stops_no_worker(deliveries: int) -> None:
    log = Log([Entry(number, ["strange-1", f"n{number}", "strange-2"], deliveries) for number in range(50)])
    doer = Doer(log)
    doer.is_hopeless = True
    await work(log, doer, entries=50, limit=PoisonLimit(window=20, share=0.1))
    assert sorted(log.dead) == [(n, f"strange-{k}", "STRANGE") for n in range(50) for k in (1, 2)]
    assert len(doer.done) == 50


async def test_a_stop_before_a_dead_letter_is_kept_acknowledges_nothing() -> None:
    log = Log([Entry(0, ["poison"])])
    worker = Worker(Group.RECORD, log, Doer(log), SystemClock())
    stop = asyncio.Event()
    refused = asyncio.Event()

    async def dead_letter(entry: Entry, single: str | None, reason: str, message: str) -> None:
        refused.set()
        raise StorageUnavailableError("out")

    log.dead_letter = dead_letter  # type: ignore[method-assign]
    running = asyncio.create_task(worker.run(stop))
    await refused.wait()
    stop.set()
    await running
    assert (log.acked, log.dead) == ([], [])


async def test_what_was_read_when_the_stop_came_is_finished() -> None:
    log = Log(good(3))
    doer = Doer(log)
    stop = asyncio.Event()
    original = doer.handle

    async def handle(entries: Sequence[Entry]) -> int:
        stop.set()
        await asyncio.sleep(0)
        return await original(entries)

    doer.handle = handle  # type: ignore[method-assign]
    await Worker(Group.RECORD, log, doer, SystemClock()).run(stop)
    assert sorted(log.acked) == [0, 1, 2]


async def test_a_stop_during_an_outage_leaves_the_batch_to_others() -> None:
    log = Log(good(3))
    doer = Doer(log, outages=1_000_000)
    stop = asyncio.Event()
    running = asyncio.create_task(Worker(Group.RECORD, log, doer, SystemClock()).run(stop))
    await eventually_async(lambda: doer.outages < 1_000_000)
    stop.set()
    await running
    assert (log.acked, log.dead, log.handed_back) == ([], [], 1)


async def test_a_worker_that_cannot_even_hand_back_ends_all_the_same() -> None:
    log = Log(good(3), outages=1_000_000)
    stop = asyncio.Event()
    running = asyncio.create_task(Worker(Group.RECORD, log, Doer(log), SystemClock()).run(stop))
    await eventually_async(lambda: log.outages < 1_000_000)
    stop.set()
    await running
    assert (log.acked, log.handed_back) == ([], 1)


async def test_each_batch_has_one_line(log_lines: LogLines) -> None:
    log = Log(good(4))
    await work(log, Doer(log), entries=4)
    (line,) = [line for line in log_lines if line["event"] == "batch_handled"]
    assert (line["group"], line["entries"], line["events"], line["outcome"]) == ("record", 4, 12, "handled")


async def test_what_was_handled_while_a_guard_refused_is_handled_again_before_it_is_acknowledged() -> None:
    gate = Gate(is_open=True)
    log = Log([Entry(1, ["a"]), Entry(2, ["b"])])

    class Unlucky(Doer):
        async def handle(self, entries: Sequence[Entry]) -> int:
            handled = await super().handle(entries)
            if gate.closings == 0:
                gate.close("Redis may forget.", refusal("redis:state", "NOT_DURABLE"))
                gate.open()  # the guard passes again, but what was written in between may be forgotten
            return handled

    doer, stop = Unlucky(log), asyncio.Event()
    worker = Worker(Group.RECORD, log, doer, SystemClock(), gate=gate)
    running = asyncio.create_task(worker.run(stop))
    await eventually_async(lambda: len(log.acked) == 2)
    stop.set()
    await running
    assert doer.done["a"] == 2
    assert sorted(log.acked) == [1, 2]
