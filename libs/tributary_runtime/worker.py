"""A consumer of a log that loses nothing and stops at nothing but too much.

The one rule: acknowledge last. Whatever happens before the acknowledgement happens again, so a handler may run twice
with the same entries, late, and in any order. If a guard refused a store in between, effects may have gone to what was
refused: then the batch is handled once more, after the gate has opened, before it is acknowledged.

What goes wrong, and what is done about it:

* `Backpressure`          what was read stays; a pause with jitter, then the same again
* an outage               is no poison: the same, with growing pauses, never counted. So is whatever else says that the
                          event is not to blame: `OUTAGES`
* anything else           the batch again, each entry alone; an entry that fails alone, event by event; an event that
                          fails alone is a dead letter, alone. An entry that was delivered `max_deliveries` times (its
                          workers died of it) starts there.
* `Unfinished`            all is done but some: those become dead letters at once, or their entries stay unacknowledged
                          and come back soon; neither is poison, and nobody else waits for them
* too many dead letters   not the events are wrong but we are: the worker stops and says so, before it drains everything
                          (what was put back and fails again was a dead letter before, and does not count)
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.entries import EntryT, Handler, SingleT, Source
from tributary_runtime.errors import (
    Backpressure,
    OverloadedError,
    PoisonEvent,
    PreconditionError,
    RevisionMovedError,
    UnavailableError,
    Unfinished,
)
from tributary_runtime.gate import Gate
from tributary_runtime.poison_limit import PoisonLimit, TooManyPoisonedError

log = structlog.get_logger(__name__)

OUTAGES = (UnavailableError, OverloadedError, PreconditionError, RevisionMovedError, OSError)
"""Errors that no event is to blame for; a `TimeoutError` is an `OSError`."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


class Worker(Generic[EntryT, SingleT]):
    """Reads, handles, acknowledges; a loop for `serve(loops=[...])`.

    Args:
        group: The consumer group; names the loop and its metrics.
        source: Where entries come from.
        handler: What is done with them.
        clock: Measures.
        rng: Jitters the pauses.
        max_deliveries: An entry delivered so often is handled event by event at once.
        poison_limit: When to stop.
        take_over_seconds: How often to look for what others left.
        gate: Of the process; the clients of `source` and `handler` ask it too.
        settle: Returns when the effects of what was handled are as safe as they must be to acknowledge it; may raise
            one of `OUTAGES`, and is then called again.
    """

    def __init__(
        self,
        group: metrics.Group,
        source: Source[EntryT, SingleT],
        handler: Handler[EntryT, SingleT],
        clock: Clock,
        *,
        rng: random.Random | None = None,
        max_deliveries: int = 3,
        poison_limit: PoisonLimit | None = None,
        take_over_seconds: float = 5.0,
        gate: Gate | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = str(group.value)
        self._group = group
        self._source = source
        self._handler = handler
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._max_deliveries = max_deliveries
        self._limit = poison_limit or PoisonLimit()
        self._recent: deque[bool] = deque(maxlen=self._limit.window)  # True where an event was poison
        self._take_over_seconds = take_over_seconds
        self._settle = settle
        self._gate = gate or Gate(is_open=True)
        self._closings = self._gate.closings  # when the handling of what is not acknowledged yet began
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until stopped; what was begun by then is finished, unless a store is out; the rest is left for others.

        Raises:
            TooManyPoisonedError: More dead letters than `poison_limit` allows.
        """
        self._stop = stop
        await self._work_until_stopped(stop)
        with suppress(*OUTAGES):  # then they wait until others see that nobody works on it
            await self._source.hand_back()

    async def _work_until_stopped(self, stop: asyncio.Event) -> None:
        next_take_over = self._clock.monotonic_seconds()
        while not stop.is_set():
            if self._clock.monotonic_seconds() >= next_take_over:
                taken = await self._persist(self._source.take_over)
                next_take_over = self._clock.monotonic_seconds() + self._take_over_seconds
                if taken:
                    metrics.TAKEN_OVER.add(len(taken), group=self._group)
                    log.info("entries_taken_over", group=self.name, entries=len(taken))
                    await self._work(taken)
                    next_take_over = self._clock.monotonic_seconds()  # there may be more
                    continue
            entries = await self._persist(self._source.read)
            if entries:
                await self._work(entries)
            elif entries is not None:
                metrics.LAG_AGE.set(0, group=self._group)

    async def _work(self, entries: Sequence[EntryT]) -> None:
        """Handles what was read, in the order read, and acknowledges it."""
        fresh = [entry for entry in entries if entry.deliveries < self._max_deliveries]
        suspects = [entry for entry in entries if entry.deliveries >= self._max_deliveries]
        lag_seconds = max(0.0, (self._clock.unix_micros() - entries[0].accept_micros) / 1e6)
        metrics.LAG_AGE.set(lag_seconds, group=self._group)
        metrics.BATCH_ENTRIES.record(len(entries), group=self._group)
        clear_contextvars()
        bind_contextvars(group=self.name, entries=len(entries), lag_ms=round(lag_seconds * 1000, 1))
        while True:
            self._closings = self._gate.closings
            try:
                if fresh:
                    await self._handle(fresh)
                for entry in suspects:
                    await self._handle_apart(entry)
            except _ClosedMeanwhileError:
                log.warning("batch_handled_again", group=self.name, entries=len(entries))
            else:
                return

    async def _handle(self, entries: Sequence[EntryT]) -> None:
        started = self._clock.monotonic_seconds()
        rest: Unfinished | None = None
        try:
            events = await self._persist(lambda: self._handler.handle(entries))
        except Unfinished as unfinished:
            rest, events = unfinished, unfinished.events
        except Exception as failure:
            self._write_line(started, metrics.BatchOutcome.FAILED, 0, failure)
            if len(entries) == 1:
                await self._handle_apart(entries[0])
            else:
                for entry in entries:
                    await self._handle([entry])
            return
        if events is None:
            return
        self._recent.extend([False] * min(events, self._limit.window))
        if rest is None or await self._put_aside(rest):
            await self._leave(entries, () if rest is None else rest.later)
        self._write_line(started, metrics.BatchOutcome.HANDLED, events, None)

    async def _handle_apart(self, entry: EntryT) -> None:
        """Handles an entry event by event; those that fail become dead letters, the others are done."""
        try:
            singles = list(self._handler.singles(entry))
        except Exception as failure:
            if not await self._bury(entry, None, failure):
                return
            singles = []
        later: list[EntryT] = []
        for single in singles:
            try:
                done = await self._does(lambda single=single: self._handler.handle_single(entry, single))  # type: ignore[misc]
            except Unfinished as rest:
                done = await self._put_aside(rest)
                later = [entry] if rest.later else later
            except Exception as failure:
                done = await self._bury(entry, single, failure)
            else:
                self._recent.append(False)
            if not done:
                return
        await self._leave([entry], later)

    async def _leave(self, entries: Sequence[EntryT], later: Sequence[EntryT]) -> None:
        """Acknowledges entries but those that are left for later."""
        left = {id(entry) for entry in later}
        done = [entry for entry in entries if id(entry) not in left]
        if done:
            await self._persist(lambda: self._ack(done))
        if later:
            log.warning("entries_postponed", group=self.name, entries=len(later))
            await self._persist(lambda: self._source.postpone(later))

    async def _ack(self, entries: Sequence[EntryT]) -> None:
        """Acknowledges entries; refuses to if the gate was closed since they began to be handled."""
        if self._gate.closings != self._closings:
            raise _ClosedMeanwhileError
        if self._settle is not None:
            await self._settle()
        await self._source.ack(entries)

    async def _put_aside(self, rest: Unfinished) -> bool:
        """Keeps events that nobody is to blame for as dead letters; tells whether all are kept."""
        for entry, single in rest.aside:
            if not await self._keep(entry, single, rest.reason, rest.message):
                return False
        if rest.aside:
            log.error("events_put_aside", group=self.name, reason=rest.reason, events=len(rest.aside))
        return True

    async def _bury(self, entry: EntryT, single: SingleT | None, failure: Exception) -> bool:
        """Keeps an event that fails as a dead letter; tells whether it is kept."""
        if not entry.is_put_back:
            self._recent.append(True)
            if sum(self._recent) > self._limit.most:
                message = (
                    f"More than {self._limit.most} of the last {self._limit.window} events of group {self.name} "
                    "failed; look at the lines event_buried, repair the cause, restart. Nothing was lost."
                )
                raise TooManyPoisonedError(message) from failure
        poison = failure if isinstance(failure, PoisonEvent) else None
        reason = poison.reason if poison is not None else type(failure).__name__
        message = poison.message if poison is not None else str(failure)
        log.error("event_buried", reason=reason, message=message, exc_info=None if poison is not None else failure)
        return await self._keep(entry, single, reason, message)

    async def _keep(self, entry: EntryT, single: SingleT | None, reason: str, message: str) -> bool:
        """Writes a dead letter; False if the worker was stopped before it was there: then nothing is acknowledged."""
        is_kept = await self._does(lambda: self._source.dead_letter(entry, single, reason, message))
        metrics.DEAD_LETTERS.add(int(is_kept), group=self._group)
        return is_kept

    async def _does(self, step: Callable[[], Awaitable[None]]) -> bool:
        """Does one step as `_persist`; tells whether it was done."""

        async def done() -> bool:
            await step()
            return True

        return await self._persist(done) is not None

    async def _persist(self, step: Callable[[], Awaitable["ResultT"]]) -> "ResultT | None":
        """Does one step until it is done, through outages and backpressure.

        Returns:
            What the step returned; None if it was not done when the worker was stopped. It will be taken over.
        """
        failures = 0
        while True:
            try:
                return await step()
            except Backpressure as pressure:
                metrics.BATCHES.add(1, group=self._group, outcome=metrics.BatchOutcome.BACKPRESSURE)
                log.warning("worker_paused", group=self.name, reason=pressure.message)
                pause = pressure.pause_seconds * self._rng.uniform(0.5, 1.5)
            except OUTAGES as outage:
                metrics.BATCHES.add(1, group=self._group, outcome=metrics.BatchOutcome.UNAVAILABLE)
                failures += 1
                longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**failures)
                pause = self._rng.uniform(FIRST_PAUSE_SECONDS, longest)
                log.warning("worker_paused", group=self.name, reason=str(outage), failures=failures)
            if await self._pause(pause):
                return None

    async def _pause(self, seconds: float) -> bool:
        """Waits; tells whether the worker was stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    def _write_line(
        self, started: float, outcome: metrics.BatchOutcome, events: int, failure: Exception | None
    ) -> None:
        seconds = self._clock.monotonic_seconds() - started
        metrics.BATCHES.add(1, group=self._group, outcome=outcome)
        metrics.BATCH_DURATION.record(seconds, group=self._group)
        write = log.info if failure is None else log.error
        fields = {"events": events} if "events" not in get_contextvars() else {}
        write("batch_handled", outcome=outcome.value, duration_ms=round(seconds * 1000, 3), exc_info=failure, **fields)


class _ClosedMeanwhileError(Exception):
    """A guard refused a store while a batch was handled: what became of its effects is unknown."""


ResultT = TypeVar("ResultT")
