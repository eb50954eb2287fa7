"""Group commit: the events of many callers, claimed and appended in one round trip and one fsync.

The one rule: while one commit is under way the next gathers, so nobody waits for a timer, and under load each commit
serves more callers. A commit carries step (a) of new calls together with step (b) of the commit before.

Within a commit, and so within a call, events are decided in the order in which they came. A shard that fails leaves
its own events UNDECIDED; its neighbours' outcomes stand. Nothing is tried twice: a lost reply is for the caller to
retry, who is told DUPLICATE if the first attempt had worked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Final, Protocol, TypeVar

import structlog

from tributary.dedup.v1 import dedup_service_pb2
from tributary.event.v1 import verdict_pb2
from tributary_dedup import outcomes
from tributary_dedup.calls import Call, FirstPart, OrderedPart
from tributary_dedup.outcomes import RETRY_DELAY_SECONDS, Outcome
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import OverloadedError, StorageUnavailableError
from tributary_storage.redis.claim_layout import ROUND_BYTES, Placement
from tributary_storage.redis.claims import Admit, AdmitOrders, Decided, Undecided
from tributary_storage.redis.keys import LANES, Lane

log = structlog.get_logger(__name__)

PartT = TypeVar("PartT", FirstPart, OrderedPart)

MAX_COMMIT_EVENTS: Final = 2_000
"""Events whose step (a) one commit carries at most (a single call may be larger): bounds how long a script runs."""

STALE_SECONDS: Final = 60.0
"""How long after step (a) step (b) may begin: who is held up for longer may find that others went on without it."""

MAX_WAITING_EVENTS: Final = 50_000
"""Events that wait for a commit at most; callers beyond are told to come back."""


class Committer(Protocol):
    """Where events are claimed and appended."""

    async def commit(self, calls: Sequence[Admit | AdmitOrders]) -> list[Decided | Undecided]:
        """Runs each call atomically and returns an answer per call; never raises for a store that fails."""
        ...


class Fill(Protocol):
    """How full the log is."""

    @property
    def is_full(self) -> bool:
        """Whether it is over its soft limit. Never blocks."""
        ...


class Admission:
    """Decides on events; a loop of the process commits what callers bring.

    Args:
        claims: Where they are claimed and appended.
        placement: Where claims live.
        fill: How full the log is.
        clock: Measures.
    """

    name = "admission"

    def __init__(self, claims: Committer, placement: Placement, fill: Fill, clock: Clock) -> None:
        self._claims = claims
        self._placement = placement
        self._fill = fill
        self._clock = clock
        self._waiting: deque[Call] = deque()
        self._waiting_events = 0
        self._orders: list[OrderedPart] = []
        self._astray: list[FirstPart] = []
        self._begun_micros = 0
        """When step (a) of these two was answered."""
        self._wake = asyncio.Event()

    async def admit(self, request: dedup_service_pb2.AdmitEventsRequest) -> list[Outcome]:
        """Returns what became of the events of one or many callers, once all of it is on stable storage.

        Args:
            request: As ingestion makes it.

        Returns:
            One outcome per claim, in order.

        Raises:
            InvalidRequestError: A claim would corrupt others; nothing was done.
            OverloadedError: The log is over its soft limit, or too many events wait; nothing was done.
            StorageUnavailableError: The log did not answer for any event; what was done is unknown.
        """
        self.require_room()
        calls = [Call(caller, f"callers[{n}]", self._placement) for n, caller in enumerate(request.callers)]
        events = sum([call.size for call in calls])
        if self._waiting_events + events > MAX_WAITING_EVENTS:
            raise _overloaded()
        self._waiting += calls
        self._waiting_events += events
        self._wake.set()
        try:
            for call in calls:
                await call.done
        finally:
            for call in calls:
                call.done.cancel()  # of a caller who has left; without effect on what is done
        decided = [outcome for call in calls for outcome in call.outcomes if outcome is not None]
        if decided[0].verdict == verdict_pb2.VERDICT_UNDECIDED and all(
            outcome.verdict == verdict_pb2.VERDICT_UNDECIDED and outcome is not outcomes.CONTENDED
            for outcome in decided
        ):
            if all(outcome is outcomes.FULL for outcome in decided):
                raise _overloaded()
            message = "The event log did not answer; send the batch again with the same event ids."
            raise StorageUnavailableError(message, metadata={"store": "log"}, retry_delay_seconds=RETRY_DELAY_SECONDS)
        return decided

    def require_room(self) -> None:
        """Returns if the log may take more.

        Raises:
            OverloadedError: It is over its soft limit.
        """
        if self._fill.is_full:
            raise _overloaded()

    async def run(self, stop: asyncio.Event) -> None:
        """Commits until stopped, and then what was begun."""
        async with asyncio.TaskGroup() as group:
            waking = group.create_task(self._wake_at(stop))
            while True:
                await self._wake.wait()
                if not self._waiting and not self._orders and not self._astray:
                    if stop.is_set():
                        break
                    self._wake.clear()
                    continue
                await self._commit()
            waking.cancel()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _commit(self) -> None:
        """Carries one commit: step (b) of calls begun, then step (a) of calls that wait.

        In this order, so that who asks where an event was decided sees what was registered together with it.
        """
        started = self._clock.monotonic_seconds()
        orders, self._orders = self._orders, []
        first, self._astray = self._astray, []
        if self._clock.unix_micros() - self._begun_micros > STALE_SECONDS * 1e6:
            for call, positions in _awaited(orders, first):
                call.settle(positions, [outcomes.UNREACHABLE] * len(positions))
            orders, first = [], []
        begun = list(dict.fromkeys([*(part.call for part in orders), *(part.call for part in first)]))
        taken = self._take()
        first += [part for call in taken for part in call.first_parts]
        first_groups, order_groups = _by_stream(first), _by_stream(orders)
        commands: list[Admit | AdmitOrders] = [_admit_orders(group) for group in order_groups]
        commands += [_admit(group) for group in first_groups]
        if not commands:
            return
        answers = await self._claims.commit(commands)
        for order_group, answer in zip(order_groups, answers, strict=False):
            _settle_ordered(order_group, answer)
        for first_group, answer in zip(first_groups, answers[len(order_groups) :], strict=True):
            _settle_first(first_group, answer)
        for call in begun + taken:  # only now: events of one order are decided in the order of the call, in all shards
            self._orders += call.order_parts()
            self._astray += call.parts_astray()
        self._begun_micros = self._clock.unix_micros()
        metrics.COMMIT_EVENTS.record(sum(call.size for call in taken))
        metrics.COMMIT_CALLS.record(len(taken))
        metrics.COMMIT_DURATION.record(self._clock.monotonic_seconds() - started)

    def _take(self) -> list[Call]:
        """Takes waiting calls up to the size of a commit; those whose caller has left are dropped."""
        taken: list[Call] = []
        events = 0
        while self._waiting and (not taken or events + self._waiting[0].size <= MAX_COMMIT_EVENTS):
            call = self._waiting.popleft()
            self._waiting_events -= call.size
            if not call.done.cancelled():
                taken.append(call)
                events += call.size
        return taken


def _settle_first(parts: Sequence[FirstPart], answer: Decided | Undecided) -> None:
    if isinstance(answer, Undecided):
        _settle_undecided(parts, answer)
        return
    found = outcomes.of_step_a(answer)
    at = 0
    for part in parts:
        part.call.settle_first(part.positions, found[at : at + len(part.positions)])
        at += len(part.positions)


def _settle_ordered(parts: Sequence[OrderedPart], answer: Decided | Undecided) -> None:
    if isinstance(answer, Undecided):
        _settle_undecided(parts, answer)
        return
    decided = outcomes.of_step_b(answer, [before for part in parts for before in part.found])
    at = 0
    for part in parts:
        part.call.settle_ordered(part.shard, part.positions, decided[at : at + len(part.positions)])
        at += len(part.positions)


def _by_stream(parts: Sequence[PartT]) -> list[list[PartT]]:
    """Groups parts by lane and shard, live first, each group in the order of the callers."""
    groups: dict[tuple[Lane, int], list[PartT]] = {}
    for lane in LANES:
        for part in parts:
            if part.call.lane == lane:
                groups.setdefault((lane, part.shard), []).append(part)
    return list(groups.values())


def _admit(parts: Sequence[FirstPart]) -> Admit:
    return Admit(
        shard=parts[0].shard,
        lane=parts[0].call.lane,
        payload=b"".join([part.payload for part in parts]),
        letters=b"".join([part.letters for part in parts]),
        claims=b"".join(chain.from_iterable(part.claims for part in parts)),
        bucket_keys=list(chain.from_iterable(part.bucket_keys for part in parts)),
        runs=_runs(parts),
        rounds=_rounds(parts),
    )


def _admit_orders(parts: Sequence[OrderedPart]) -> AdmitOrders:
    return AdmitOrders(
        shard=parts[0].shard,
        lane=parts[0].call.lane,
        payload=b"".join([part.payload for part in parts]),
        letters=b"".join([part.letters for part in parts]),
        claims=b"".join(chain.from_iterable(part.claims for part in parts)),
        orders=b"".join(chain.from_iterable(part.orders for part in parts)),
        bucket_keys=list(chain.from_iterable(part.bucket_keys for part in parts)),
        runs=_runs(parts),
        rounds=_rounds(parts),
    )


def _rounds(parts: Sequence[FirstPart] | Sequence[OrderedPart]) -> bytes:
    """Returns the round per event; nothing if all are 0, as they nearly always are."""
    packed = b"".join([b"".join(part.rounds) or bytes(ROUND_BYTES * len(part.positions)) for part in parts])
    return packed if any(packed) else b""


def _runs(parts: Sequence[FirstPart] | Sequence[OrderedPart]) -> list[tuple[str, int]]:
    """Returns (workspace, number of events) in order, neighbours of one workspace together."""
    runs: list[tuple[str, int]] = []
    for part in parts:
        workspace, count = part.call.workspace, len(part.positions)
        if runs and runs[-1][0] == workspace:
            runs[-1] = (workspace, runs[-1][1] + count)
        else:
            runs.append((workspace, count))
    return runs


def _awaited(orders: Sequence[OrderedPart], first: Sequence[FirstPart]) -> list[tuple[Call, list[int]]]:
    """Returns whose events parts hold, and their places."""
    return [(part.call, part.positions) for part in orders] + [(part.call, part.positions) for part in first]


def _settle_undecided(parts: Sequence[FirstPart] | Sequence[OrderedPart], answer: Undecided) -> None:
    log.warning("commit_failed", shard=parts[0].shard, is_full=answer.is_full, reason=answer.message)
    outcome = outcomes.undecided(answer)
    for part in parts:
        part.call.settle(part.positions, [outcome] * len(part.positions))


def _overloaded() -> OverloadedError:
    message = "The event log is full for now; send the batch again with the same event ids, later."
    return OverloadedError(message, reason="LOG_FULL", retry_delay_seconds=RETRY_DELAY_SECONDS)
