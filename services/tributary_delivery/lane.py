"""A lane: one destination of one workspace, with leases, calls and failures of its own. Several processes share it.

The one rule: an attempt is noted before it is made and settled after the ledger has it. Whatever dies in between, the
lease ends and somebody tries again, under the same message id.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_RETRY,
    OUTCOME_CLASS_THROTTLED,
    OutcomeClass,
)
from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS, Attempt, AttemptRules, settle
from tributary_delivery.circuit import Circuit
from tributary_delivery.destinations import Destination
from tributary_delivery.destinations.destination import Message, Outcome
from tributary_delivery.ledger import Ledger, Memory
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.outbox import Outbox
from tributary_delivery.permissions import Permissions
from tributary_delivery.preparation import Preparation
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.errors import UnavailableError
from tributary_runtime.traces import linked_span
from tributary_storage.redis.delivery_jobs import DeliveryJobs, Job, Lane, Settled, Settlement, Tried
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.replication import Replication

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0
"""How often to look for jobs that another process planned, at least, while there is something to do."""
_LONGEST_LOOK_SECONDS: Final = 4.0
"""Up to this looks become rarer while nothing waits. Whoever plans a job wakes its own lane, and sends it: another one
is needed only if that process dies, or has all it can do. Most destinations are idle most of the time."""
_OUTAGE_PAUSE_SECONDS: Final = 1.0
_OUTCOMES_PER_CALL: Final = 8
"""Outcomes that may wait for the ledger, per call at once."""


@dataclass(frozen=True, slots=True)
class Stores:
    """What a lane reads and writes."""

    jobs: DeliveryJobs
    states: DestinationStates
    newest: NewestRevisions
    ledger: Ledger
    memory: Memory
    permissions: Permissions
    replication: Replication | None = None
    """What is waited for before an attempt is made; None: nothing."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a lane works."""

    concurrency: int
    """Calls at once, by this process."""
    call_seconds: float
    """How long a call may take."""
    margin_seconds: float
    """How much longer a job is ours: for preparing the call and writing its outcome down."""

    @property
    def lease_seconds(self) -> float:
        """How long a job is ours."""
        return self.call_seconds + self.margin_seconds


class LaneRunner:
    """Runs one lane until it is stopped.

    Args:
        lane: Which.
        settings: Of the destination.
        destination: How it is called.
        stores: What is read and written.
        rules: When to try again.
        clock: Tells and measures time.
        pace: How it works.
    """

    def __init__(
        self,
        lane: Lane,
        settings: WebhookDestination,
        destination: Destination,
        stores: Stores,
        rules: AttemptRules,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self.settings = settings
        self._lane = lane
        self._destination = destination
        self._jobs, self._states = stores.jobs, stores.states
        self._replication = stores.replication
        self._rules = rules
        self._clock = clock
        self._pace = pace
        self._token = secrets.token_hex(8)
        self._type = metrics.DestinationType(settings.type)
        self._circuit = Circuit(clock)
        self._preparation = Preparation(lane, settings, stores.newest, stores.memory, stores.ledger, stores.permissions)
        most = _OUTCOMES_PER_CALL * pace.concurrency
        ours = (lane, self._token, pace.lease_seconds)
        self._outbox = Outbox(*ours, stores.jobs, stores.states, stores.ledger, most=most, wake=self.wake)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._quota_free_seconds = 0.0
        self._quota_room = pace.concurrency
        self._look_seconds = _LOOK_SECONDS
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Tells the lane that there are new jobs."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until stopped, then finishes the calls under way and writes down what came of them."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                group.create_task(self._wake_when(stop))
                try:
                    await self._work(stop)
                finally:
                    await asyncio.gather(*self._in_flight, return_exceptions=True)
                    self._outbox.finish()
        finally:
            await self._destination.aclose()

    async def _wake_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._wake.clear()  # before looking: what is planned from now on wakes
            try:
                await self._step()
            except UnavailableError as outage:
                log.warning("lane_paused", destination=self._lane.destination, reason=str(outage))
                await self._pause(_OUTAGE_PAUSE_SECONDS)

    async def _step(self) -> None:
        """Takes what is due and begins it; or waits a little."""
        room = self._circuit.room(self._pace.concurrency - len(self._in_flight), len(self._in_flight))
        quota_seconds = self._quota_free_seconds - self._clock.monotonic_seconds()
        if not room or self._outbox.is_stuck or quota_seconds > 0:
            await self._pause(max(quota_seconds, self._circuit.wait_seconds) or _LOOK_SECONDS)
            return
        most = min(room, self._quota_room)
        leased = await self._jobs.lease(self._lane, self._token, self._pace.lease_seconds, most)
        # What is ours still, and came due because its outcome could not be written: leased anew, but not sent again.
        jobs = [job for job in leased.jobs if job.conversion_id not in self._outbox.held]
        if not leased.jobs and not leased.wait_seconds and not self._in_flight:
            await self._pause(self._look_seconds, _LONGEST_LOOK_SECONDS)
            self._look_seconds = min(2 * self._look_seconds, _LONGEST_LOOK_SECONDS)
            return
        self._look_seconds = _LOOK_SECONDS
        if not leased.jobs:
            await self._pause(leased.wait_seconds or _LOOK_SECONDS)
        elif jobs:
            await self._handle(jobs)

    async def _pause(self, seconds: float, longest_seconds: float = _LOOK_SECONDS) -> None:
        try:
            async with asyncio.timeout(min(seconds, longest_seconds)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _handle(self, jobs: Sequence[Job]) -> None:
        """Prepares jobs, notes the attempts, and starts them."""
        try:
            prepared = await self._preparation.prepare(jobs)
        except UnavailableError:
            await self._give_back([job.conversion_id for job in jobs], _OUTAGE_PAUSE_SECONDS)
            raise
        for settled, line in prepared.done:
            self._outbox.add(settled, line)
        ready = await self._within_quota(prepared.ready)
        if not ready:
            return
        tried = [
            Tried(
                one.job.conversion_id,
                one.revised.revision,
                one.operation == DELIVERY_OPERATION_CREATE,
                one.attempts_before,
            )
            for one in ready
        ]
        begin_seconds = self._clock.monotonic_seconds()
        numbers = await self._jobs.begin(self._lane, self._token, self._pace.lease_seconds, tried)
        if self._replication is not None:  # an attempt that a failover forgets could create the conversion twice
            await self._replication.settle()
        for number, attempt in zip(numbers, ready, strict=True):
            if number:
                self._start(replace(attempt, number=number), begin_seconds)

    async def _within_quota(self, ready: list[Attempt]) -> list[Attempt]:
        """Returns the attempts that may be made now; gives the others back until the quota allows them."""
        if not ready:
            return []
        per_minute = self.settings.quota.requests_per_minute
        granted, wait_seconds = await self._states.take_quota(self._lane, per_minute, len(ready))
        self._quota_room = min(self._pace.concurrency, 2 * self._quota_room)
        if granted < len(ready):
            self._quota_room = max(1, granted)  # what cannot be sent need not be leased and read
            self._quota_free_seconds = self._clock.monotonic_seconds() + wait_seconds
            await self._give_back([one.job.conversion_id for one in ready[granted:]], wait_seconds)
        return ready[:granted]

    async def _give_back(self, conversion_ids: Sequence[str], delay_seconds: float) -> None:
        back = [Settled(one, Settlement.AGAIN, 0, delay_seconds=delay_seconds) for one in conversion_ids]
        await self._jobs.settle(self._lane, self._token, back)

    def _start(self, attempt: Attempt, begin_seconds: float) -> None:
        self._outbox.hold(attempt.job.conversion_id)
        attempt = replace(attempt, now_micros=self._clock.unix_micros())
        task = asyncio.create_task(self._send(attempt, begin_seconds))
        self._in_flight.add(task)
        task.add_done_callback(partial(self._end, attempt))

    async def _send(self, attempt: Attempt, begin_seconds: float) -> None:
        """Makes one attempt and leaves its outcome in the outbox."""
        started = self._clock.monotonic_seconds()
        if started - begin_seconds > self._pace.margin_seconds:
            # We stood still for so long that the lease may end during the call: whoever has it then sends.
            self._outbox.release(attempt.job.conversion_id)
            return
        message = Message(attempt.revised, attempt.operation, attempt.taken, attempt.now_micros // 1_000_000)
        with linked_span("deliver", [attempt.revised.traceparent], destination=self.settings.type):
            outcome = await self._destination.send(message)
        metrics.DELIVERY_DURATION.record(self._clock.monotonic_seconds() - started, destination=self._type)
        self._circuit.record(started, is_ok=outcome.is_ok)
        self._keep(attempt, outcome)
        await self._react(outcome)

    def _end(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._wake.set()
        if task.cancelled() or (failure := task.exception()) is None:
            return
        # A bug of ours: it must neither stop the lane nor be tried for ever.
        log.error("delivery_failed", destination=self._lane.destination, exc_info=failure)
        message = f"Tributary failed: {type(failure).__name__}; its log says where."
        self._keep(attempt, Outcome(OUTCOME_CLASS_RETRY, message=message))

    def _keep(self, attempt: Attempt, outcome: Outcome) -> None:
        """Counts an outcome and puts it into the outbox."""
        name = OutcomeClass.Name(outcome.outcome).removeprefix("OUTCOME_CLASS_")
        metrics.DELIVERY_ATTEMPTS.add(1, destination=self._type, outcome=metrics.Outcome[name])
        if outcome.is_ok:
            publish_micros = attempt.revised.publish_time.ToMicroseconds()
            lag_seconds = max(0.0, (self._clock.unix_micros() - publish_micros) / 1e6)
            metrics.CREDIT_TO_DELIVERY.record(lag_seconds, destination=self._type)
        visible_id = self._destination.visible_id(attempt.revised)
        settled, line = settle(replace(attempt, visible_id=visible_id), outcome, self._rules)
        line.destination_id = self._lane.destination
        self._outbox.add(settled, line)

    async def _react(self, outcome: Outcome) -> None:
        """Pauses the lane for everybody where the destination asks for it."""
        if outcome.outcome == OUTCOME_CLASS_CONFIG:
            seconds, why = CONFIG_PAUSE_SECONDS, outcome.message
            log.error("destination_paused", destination=self._lane.destination, reason=why)
        elif outcome.outcome == OUTCOME_CLASS_THROTTLED and outcome.retry_after_seconds:
            seconds, why = outcome.retry_after_seconds, "The destination asked to wait."
        else:
            return
        try:
            until_millis = self._clock.unix_micros() // 1000 + round(seconds * 1000)
            await self._states.pause(self._lane, until_millis, why)
        except UnavailableError as outage:
            log.warning("pause_not_kept", destination=self._lane.destination, reason=str(outage))
