"""A lane: one destination of one workspace, with leases, calls and failures of its own. Several processes share it.

The one rule: an attempt is noted before it is made and settled after the ledger has it. Whatever dies in between, the
lease ends and somebody tries again, under the same message id.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_THROTTLED,
    Delivery,
    DeliveryOperation,
    OutcomeClass,
)
from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS, Attempt, AttemptRules, settle
from tributary_delivery.candidates import Decision, decide
from tributary_delivery.destinations import Destination
from tributary_delivery.destinations.destination import Message, Outcome
from tributary_delivery.ledger import Ledger, Memory, ineligible, taken_long_ago
from tributary_delivery.newest import NewestRevisions
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.errors import UnavailableError
from tributary_runtime.traces import linked_span
from tributary_storage.redis.delivery_jobs import DeliveryJobs, Job, Lane, Settled, Settlement, Taken
from tributary_storage.redis.destination_states import DestinationStates

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 0.25
"""How often to look for jobs that another process planned."""
_FLUSH_SECONDS: Final = 0.05
"""How long outcomes wait for each other on their way into the ledger."""
_FAILURES_UNTIL_OPEN: Final = 5
_LONGEST_OPEN_SECONDS: Final = 60.0
_OUTAGE_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Stores:
    """What a lane reads and writes."""

    jobs: DeliveryJobs
    states: DestinationStates
    newest: NewestRevisions
    ledger: Ledger
    memory: Memory


class LaneRunner:
    """Runs one lane until it is stopped.

    Args:
        lane: Which.
        settings: Of the destination.
        destination: How it is called.
        stores: What is read and written.
        rules: When to try again.
        clock: Tells and measures time.
        concurrency: Calls at once, by this process.
        lease_seconds: How long a job is ours; longer than any call and its book-keeping.
    """

    def __init__(
        self,
        lane: Lane,
        settings: WebhookDestination,
        destination: Destination,
        stores: Stores,
        rules: AttemptRules,
        clock: Clock,
        *,
        concurrency: int,
        lease_seconds: float,
    ) -> None:
        self.settings = settings
        self._lane = lane
        self._destination = destination
        self._stores = stores
        self._rules = rules
        self._clock = clock
        self._concurrency = concurrency
        self._lease_millis = round(lease_seconds * 1000)
        self._token = secrets.token_hex(8)
        self._type = metrics.DestinationType(settings.type)
        self._failures = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._outbox: list[tuple[Settled, Delivery | None]] = []
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Tells the lane that there are new jobs."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until stopped, then finishes the calls under way."""
        flusher = asyncio.create_task(self._flush_until(stop))
        try:
            while not stop.is_set():
                try:
                    await self._step()
                except UnavailableError as outage:
                    log.warning("lane_paused", destination=self._lane.destination, reason=str(outage))
                    await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)
        finally:
            await asyncio.gather(*self._in_flight, return_exceptions=True)
            stop.set()
            await flusher
            await self._destination.aclose()

    async def _step(self) -> None:
        """Takes what is due and begins it; or waits a little."""
        room = self._concurrency - len(self._in_flight)
        if self._failures >= _FAILURES_UNTIL_OPEN:
            # The circuit is open: nothing new until a single call has shown that it is worth while.
            await asyncio.sleep(min(_LONGEST_OPEN_SECONDS, 2.0 ** (self._failures - _FAILURES_UNTIL_OPEN)))
            room = min(1, room)
        state = await self._stores.states.read(self._lane)
        now_millis = self._clock.unix_micros() // 1000
        if room <= 0 or state.paused_until_millis > now_millis or self._outbox_is_stuck():
            await self._wait()
            return
        end_millis = now_millis + self._lease_millis
        jobs = await self._stores.jobs.lease(self._lane, now_millis, end_millis, self._token, room)
        if not jobs:
            await self._wait()
            return
        await self._begin(await self._within_quota(jobs, now_millis))

    def _outbox_is_stuck(self) -> bool:
        """Whether the ledger does not take outcomes: sending more would only make more of them."""
        return len(self._outbox) > 8 * self._concurrency

    async def _wait(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _within_quota(self, jobs: list[Job], now_millis: int) -> list[Job]:
        """Returns the jobs that may be called now; gives the others back until the quota allows them."""
        per_minute = self.settings.quota.requests_per_minute
        granted, wait_seconds = await self._stores.states.take_quota(self._lane, per_minute, len(jobs))
        if granted < len(jobs):
            due_millis = now_millis + round(wait_seconds * 1000)
            back = [Settled(job.conversion_id, Settlement.AGAIN, 0, due_millis=due_millis) for job in jobs[granted:]]
            await self._stores.jobs.settle(self._lane, self._token, now_millis, back)
        return jobs[:granted]

    async def _begin(self, jobs: Sequence[Job]) -> None:
        """Decides what each job sends, notes the attempts, and starts them."""
        newest = await self._stores.newest.read(self._lane.workspace, [job.conversion_id for job in jobs])
        ready: list[tuple[Job, ConversionRevised, Taken | None, DeliveryOperation.ValueType]] = []
        for job in jobs:
            revised = newest.get(job.conversion_id)
            if revised is None:
                # Neither Redis nor ClickHouse knows it: erased, or of an installation that was reset.
                self._outbox.append((Settled(job.conversion_id, Settlement.DROPPED, job.revision), None))
                continue
            taken = job.taken
            if taken is None and not job.never_sent:
                history = await self._stores.memory.deliveries(self._lane.workspace, job.conversion_id)
                taken = taken_long_ago(history, self._lane.destination)
            decision = decide(revised, self.settings, taken)
            if decision.is_sent:
                ready.append((job, revised, taken, decision.operation))
                continue
            self._pass_over(job, revised, decision)
        if not ready:
            return
        tried = [(job.conversion_id, revised.revision) for job, revised, _, _ in ready]
        numbers = await self._stores.jobs.begin(self._lane, self._token, tried)
        for number, (job, revised, taken, operation) in zip(numbers, ready, strict=True):
            if number:
                task = asyncio.create_task(self._send(job, revised, taken, operation, number))
                self._in_flight.add(task)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._wake.set()
        if not task.cancelled() and (failure := task.exception()) is not None:
            # A bug of ours; the lease ends and the job is tried again, the others go on.
            log.error("delivery_failed", destination=self._lane.destination, exc_info=failure)

    def _pass_over(self, job: Job, revised: ConversionRevised, decision: Decision) -> None:
        line = None
        if not decision.is_known:
            metrics.INELIGIBLE.add(1)
            line = ineligible(revised, self._lane.destination, decision.operation, decision.reason, job.plan_micros)
        self._outbox.append((Settled(job.conversion_id, Settlement.DROPPED, revised.revision), line))

    async def _send(
        self,
        job: Job,
        revised: ConversionRevised,
        taken: Taken | None,
        operation: DeliveryOperation.ValueType,
        number: int,
    ) -> None:
        """Makes one attempt and leaves its outcome in the outbox."""
        now_micros = self._clock.unix_micros()
        message = Message(revised, operation, taken, now_micros // 1_000_000)
        started = self._clock.monotonic_seconds()
        with linked_span("deliver", [revised.traceparent], destination=self.settings.type):
            outcome = await self._destination.send(message)
        metrics.DELIVERY_DURATION.record(self._clock.monotonic_seconds() - started, destination=self._type)
        self._count(outcome, revised, now_micros)
        attempt = Attempt(job, revised, message.operation, number, self._destination.visible_id(message), now_micros)
        settled, line = settle(attempt, outcome, self._rules)
        line.destination_id = self._lane.destination
        self._outbox.append((settled, line))
        await self._react(outcome, now_micros)

    def _count(self, outcome: Outcome, revised: ConversionRevised, now_micros: int) -> None:
        name = OutcomeClass.Name(outcome.outcome).removeprefix("OUTCOME_CLASS_")
        metrics.DELIVERY_ATTEMPTS.add(1, destination=self._type, outcome=metrics.Outcome[name])
        if outcome.is_ok:
            lag_seconds = max(0.0, (now_micros - revised.publish_time.ToMicroseconds()) / 1e6)
            metrics.CREDIT_TO_DELIVERY.record(lag_seconds, destination=self._type)

    async def _react(self, outcome: Outcome, now_micros: int) -> None:
        """Opens or closes the circuit; pauses the lane for everybody where the destination asks for it."""
        self._failures = 0 if outcome.is_ok else self._failures + 1
        pause_seconds, why = 0.0, ""
        if outcome.outcome == OUTCOME_CLASS_CONFIG:
            pause_seconds, why = CONFIG_PAUSE_SECONDS, outcome.message
            log.error("destination_paused", destination=self._lane.destination, reason=why)
        elif outcome.outcome == OUTCOME_CLASS_THROTTLED and outcome.retry_after_seconds:
            pause_seconds, why = outcome.retry_after_seconds, "The destination asked to wait."
        try:
            await self._stores.states.note(self._lane, outcome.outcome, now_micros)
            if pause_seconds:
                await self._stores.states.pause(self._lane, now_micros // 1000 + round(pause_seconds * 1000), why)
        except UnavailableError as outage:
            log.warning("destination_state_not_kept", destination=self._lane.destination, reason=str(outage))

    async def _flush_until(self, stop: asyncio.Event) -> None:
        """Writes outcomes into the ledger and settles them, until stopped and nothing is left."""
        while not (stop.is_set() and not self._in_flight and not self._outbox):
            await asyncio.sleep(_FLUSH_SECONDS)
            batch = list(self._outbox)
            if not batch:
                continue
            try:
                await self._flush(batch)
            except UnavailableError as outage:
                log.warning("ledger_waits", destination=self._lane.destination, reason=str(outage), waiting=len(batch))
                if stop.is_set():
                    return  # whoever takes the lease over tries again, under the same message ids
                await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)
                continue
            del self._outbox[: len(batch)]

    async def _flush(self, batch: Sequence[tuple[Settled, Delivery | None]]) -> None:
        lines = [(self._lane.workspace, line) for _, line in batch if line is not None]
        if lines:
            await self._stores.ledger.write(lines)
        now_millis = self._clock.unix_micros() // 1000
        await self._stores.jobs.settle(self._lane, self._token, now_millis, [settled for settled, _ in batch])
