"""Asks dedup which of the packed events exist: many callers in one call.

The one rule: never retried by itself. A reply that was lost turns ACCEPTED into DUPLICATE on the caller's retry, and
only the caller may choose that. Fails closed: without dedup nothing is accepted.

While a call is on its way, whoever comes waits and shares the next: under load each call serves more callers. The next
does not wait for the answer once it is worth its own while, or once the one before is late. Where callers come faster
than calls are answered, calls begin some milliseconds apart: all whom a call serves share what it costs. Whatever a
caller may be refused for alone (its key, its quota) has been checked before it comes here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import grpc

from tributary.dedup.v1 import dedup_service_pb2
from tributary.event.v1 import verdict_pb2
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_ingestion.caller_events import CallerEvents, merge
from tributary_runtime import traces
from tributary_runtime.errors import (
    InvalidRequestError,
    OverloadedError,
    PreconditionError,
    StorageUnavailableError,
    TributaryError,
    UnavailableError,
)
from tributary_runtime.remote_errors import error_of

if TYPE_CHECKING:  # exists for type checkers only
    from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceAsyncStub

MAX_CALLS_OUT: Final = 4
"""Calls to dedup at once that may be answered any moment."""
MAX_CALLS_LATE: Final = 256
"""Calls to dedup at once, those that are late among them: every n-th goes to the one replica of n that hangs."""
WORTH_EVENTS: Final = 256
"""Events that are worth a call of their own while others are out: divided by so many, what a call costs is little."""
GATHER_SECONDS: Final = 0.005
"""So long after a call that served several the next begins; who comes alone now and then does not wait for it."""
PATIENCE_SECONDS: Final = 0.02
"""After so long, a call that is out keeps nobody waiting: its replica of dedup may hang, and another may not."""
_LATE_TIMES: Final = 4
"""A call that takes so many times as long as the last that was answered is late, too; where all are slow, none is."""
_TICK_SECONDS: Final = 0.001
"""A timer may ring so much early: nobody would look again until somebody else comes."""
MAX_EVENTS: Final = 1_000
"""Of one call to dedup."""
MAX_BYTES: Final = 4 * 1024 * 1024
"""Of the events of one call to dedup, unless a single caller sends more."""

_MARGIN: Final = 0.9
"""Share of the caller's remaining time that dedup gets, so that our own answer still arrives."""
RETRY_DELAY_SECONDS: Final = 1.0
"""When to send again what a part that does not answer left undecided, where it does not say."""
UNANSWERED: Final = -1
"""In place of the time when an event was accepted first: the claims of its shard did not answer."""
_UNDECIDED: Final = bytes([verdict_pb2.VERDICT_UNDECIDED])
_FULL: Final = OUTCOME_RECORD.pack(verdict_pb2.VERDICT_UNDECIDED, verdict_pb2.REASON_CODE_LOG_FULL, 0, 0)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of one caller's events."""

    records: bytes
    """An outcome record per event (`claim_records.OUTCOME_RECORD`), in order."""
    retry_delay_seconds: float
    """When to send undecided ones again."""


def put_together(size: int, parts: Sequence[tuple[Sequence[int], Outcomes]]) -> Outcomes:
    """Returns the outcomes of one call's events that were decided on apart.

    Args:
        size: How many events the call has.
        parts: The places of some of its events, and what became of them; each event is in one.
    """
    records = [b""] * size
    for places, part in parts:
        for number, at in enumerate(places):
            records[at] = part.records[number * OUTCOME_RECORD.size : (number + 1) * OUTCOME_RECORD.size]
    return Outcomes(b"".join(records), max(part.retry_delay_seconds for _, part in parts))


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A caller."""

    events: CallerEvents
    outcomes: asyncio.Future[Outcomes]


class Admission:
    """The door's way to dedup; a loop of the process makes the calls.

    Args:
        dedup: Its stub, on a channel that carries the internal token.
        deadline_seconds: How long dedup may take.
        gather_seconds: How far apart calls begin where each serves several callers.
    """

    name = "admission"

    def __init__(
        self, dedup: DedupServiceAsyncStub, deadline_seconds: float, gather_seconds: float = GATHER_SECONDS
    ) -> None:
        self._dedup = dedup
        self._deadline_seconds = deadline_seconds
        # What comes in floods, and what has to be looked up first, keeps nobody else waiting.
        lines = [_Line(dedup, deadline_seconds, gather_seconds) for _ in range(3)]
        self._live, self._crowded, self._looked_up = lines

    async def admit(
        self, events: CallerEvents, remaining_seconds: float | None, *, is_crowded: bool = False
    ) -> Outcomes:
        """Returns what became of a caller's events.

        Args:
            events: 1-1000.
            remaining_seconds: How long the caller still waits; `None`: for ever.
            is_crowded: Whether more calls of the same workspace wait for their turn.

        Raises:
            UnavailableError: Dedup does not answer, or refuses because it might forget.
            OverloadedError: The event log is full.
        """
        line = self._looked_up if events.sender.looks_up else self._crowded if is_crowded else self._live
        outcomes = line.join(events)
        if remaining_seconds is None or remaining_seconds * _MARGIN >= self._deadline_seconds:
            return _told_apart(await outcomes)
        try:
            async with asyncio.timeout(max(remaining_seconds * _MARGIN, 0.001)):
                return _told_apart(await outcomes)
        except TimeoutError as late:
            message = "A part of Tributary does not answer now; send the same again."
            raise UnavailableError(message, retry_delay_seconds=RETRY_DELAY_SECONDS) from late

    async def first_accepted(self, event_digests: Sequence[bytes], remaining_seconds: float | None) -> Sequence[int]:
        """Returns when each event was accepted first, in microseconds; 0: it is not known; or `UNANSWERED`.

        Raises:
            UnavailableError: Dedup does not answer, or no claims do.
        """
        request = dedup_service_pb2.FindClaimsRequest(event_digests=b"".join(event_digests))
        timeout = self._deadline_seconds
        if remaining_seconds is not None:
            timeout = min(timeout, max(remaining_seconds * _MARGIN, 0.001))
        try:
            return (await self._dedup.FindClaims(request, timeout=timeout)).first_accept_micros
        except grpc.aio.AioRpcError as failure:
            if failure.code() is grpc.StatusCode.UNIMPLEMENTED:  # for as long as an upgrade takes
                message = "A part of Tributary is of an earlier version still; send the same again."
                raise UnavailableError(message, retry_delay_seconds=RETRY_DELAY_SECONDS) from failure
            raise _told(error_of(failure)) from failure

    async def run(self, stop: asyncio.Event) -> None:
        """Calls dedup for those who wait, until stopped and nobody waits."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live.run(stop))
            group.create_task(self._crowded.run(stop))
            group.create_task(self._looked_up.run(stop))


class _Line:
    """Callers who wait for dedup, and the calls made for them."""

    def __init__(self, dedup: DedupServiceAsyncStub, deadline_seconds: float, gather_seconds: float) -> None:
        self._dedup = dedup
        self._deadline_seconds = deadline_seconds
        self._gather_seconds = gather_seconds
        self._waiting: deque[_Waiting] = deque()
        self._waiting_events = 0
        self._begun: dict[object, float] = {}
        """Calls that are out, oldest first, and when each began."""
        self._answer_seconds = 0.0
        """How long the last call took that was answered."""
        self._last_call_seconds = 0.0
        self._is_busy = False
        """Whether the last call served several."""
        self._wake = asyncio.Event()

    def join(self, events: CallerEvents) -> asyncio.Future[Outcomes]:
        """Lets a caller wait; whoever leaves early cancels."""
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_events += events.size
        if self._is_time():  # else whoever makes it so wakes: a call that returns, or its patience
            self._wake.set()
        return waiting.outcomes

    async def run(self, stop: asyncio.Event) -> None:
        """Makes calls until stopped and nobody waits."""
        async with asyncio.TaskGroup() as group:
            waking = group.create_task(self._wake_at(stop))
            while self._waiting or not stop.is_set():
                await self._wake.wait()
                self._wake.clear()
                while self._is_time():
                    callers = self._take()
                    call = self._begin_call(len(callers))
                    group.create_task(self._ask(call, callers))
            waking.cancel()

    def _is_time(self) -> bool:
        """Tells whether those who wait are worth a call now."""
        if not self._waiting or len(self._begun) >= MAX_CALLS_LATE:
            return False
        now = asyncio.get_running_loop().time()
        out = self._out(now)
        if out >= MAX_CALLS_OUT:
            return False
        if self._waiting_events >= WORTH_EVENTS or not (out or self._is_busy):
            return True
        wait_seconds = PATIENCE_SECONDS if out else self._gather_seconds
        return now - self._last_call_seconds >= wait_seconds - _TICK_SECONDS

    @property
    def _late_seconds(self) -> float:
        return max(PATIENCE_SECONDS, _LATE_TIMES * self._answer_seconds)

    def _out(self, now: float) -> int:
        """Returns how many calls are out and not late."""
        begun = now - self._late_seconds + _TICK_SECONDS
        return sum(1 for _ in takewhile(begun.__lt__, reversed(self._begun.values())))

    def _begin_call(self, callers: int) -> object:
        """Counts a call as out; returns what stands for it."""
        loop = asyncio.get_running_loop()
        call = object()
        self._begun[call] = self._last_call_seconds = loop.time()
        self._is_busy = callers > 1
        if self._is_busy:
            loop.call_later(self._gather_seconds, self._wake.set)
        loop.call_later(PATIENCE_SECONDS, self._wake.set)
        if self._late_seconds > PATIENCE_SECONDS:
            loop.call_later(self._late_seconds, self._wake.set)
        return call

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    def _take(self) -> list[_Waiting]:
        """Takes callers up to the size of a call; those who have left are dropped."""
        taken: list[_Waiting] = []
        events = size = 0
        while self._waiting:
            first = self._waiting[0]
            if first.outcomes.cancelled():
                self._waiting_events -= self._waiting.popleft().events.size
                continue
            events, size = events + first.events.size, size + len(first.events.events)
            if taken and (events > MAX_EVENTS or size > MAX_BYTES):
                break
            taken.append(self._waiting.popleft())
            self._waiting_events -= first.events.size
        return taken

    async def _ask(self, call: object, callers: list[_Waiting]) -> None:
        try:
            if callers:
                await self._ask_for(callers)
                self._answer_seconds = asyncio.get_running_loop().time() - self._begun[call]
        except grpc.aio.AioRpcError as failure:
            for one in callers:
                if not one.outcomes.done():
                    error = _told(error_of(failure))
                    error.__cause__ = failure
                    one.outcomes.set_exception(error)
        finally:
            del self._begun[call]
            self._wake.set()
            for one in callers:
                one.outcomes.cancel()  # only where something else went wrong, which ends the process

    async def _ask_for(self, callers: list[_Waiting]) -> None:
        request = dedup_service_pb2.AdmitEventsRequest(callers=merge([one.events for one in callers]))
        traceparents = {one.events.sender.traceparent for one in callers}
        trace = [(traces.TRACEPARENT, one) for one in traceparents if one and len(traceparents) == 1]
        response = await self._dedup.AdmitEvents(request, timeout=self._deadline_seconds, metadata=trace)
        records, delay = response.outcomes, response.retry_delay
        end = 0
        for one in callers:
            start, end = end, end + one.events.size * OUTCOME_RECORD.size
            if not one.outcomes.done():
                one.outcomes.set_result(Outcomes(records[start:end], delay.seconds + delay.nanos / 1e9))


def _told_apart(outcomes: Outcomes) -> Outcomes:
    """Raises what dedup would have, had it been asked by this caller alone: the log answered for none of its events."""
    records = outcomes.records
    if records[:: OUTCOME_RECORD.size].strip(_UNDECIDED):
        return outcomes
    if any(code == verdict_pb2.REASON_CODE_ORDER_CONTENDED for _, code, *_ in OUTCOME_RECORD.iter_unpack(records)):
        return outcomes
    seconds = outcomes.retry_delay_seconds
    if records == _FULL * (len(records) // len(_FULL)):
        message = "The event log is full for now; send the batch again with the same event ids, later."
        raise OverloadedError(message, reason="LOG_FULL", retry_delay_seconds=seconds)
    message = "The event log did not answer; send the batch again with the same event ids."
    raise StorageUnavailableError(message, metadata={"store": "log"}, retry_delay_seconds=seconds)


def _told(error: TributaryError) -> TributaryError:
    """Turns what is not the caller's business into what the caller can do."""
    if isinstance(error, PreconditionError):
        message = "The event log cannot keep what it takes now; send the same events again, with the same ids."
        return UnavailableError(message, retry_delay_seconds=5.0, reason=error.reason)
    if isinstance(error, InvalidRequestError):
        return TributaryError("Dedup refused what the door packed; the log has the details.")
    return error
