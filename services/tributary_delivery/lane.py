"""A lane: one destination of one workspace, with leases, calls and failures of its own. Several processes share it.

The one rule: an attempt is noted before it is made and settled after the ledger has it. Whatever dies in between, the
lease ends and somebody tries again, under the same message id.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Final

import structlog

from tributary_delivery.admission import Admission
from tributary_delivery.attempt import AttemptRules
from tributary_delivery.calls import Calls
from tributary_delivery.departures import OUTAGE_PAUSE_SECONDS, Departures
from tributary_delivery.ledger import Ledger, Memory
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.outbox import Outbox
from tributary_delivery.overtaking import Overtaking
from tributary_delivery.permissions import Permissions
from tributary_delivery.places import Places
from tributary_delivery.preparation import Preparation
from tributary_delivery.sender import Sender
from tributary_delivery.turns import Turns
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_runtime.settings_digest import DigestOf
from tributary_storage.redis.awaited_reports import AwaitedReports
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.object_holds import ObjectHolds
from tributary_storage.redis.replication import Replication

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0
"""How often to look for jobs that another process planned, at least, while there is something to do."""
_LONGEST_LOOK_SECONDS: Final = 4.0
"""Up to this looks become rarer while nothing waits. Whoever plans a job wakes its own lane, and sends it: another one
is needed only if that process dies, or has all it can do. Most destinations are idle most of the time."""
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
    holds: ObjectHolds
    digest_of: DigestOf
    """Tells settings apart, for pauses that are for some."""
    reports: AwaitedReports | None = None
    """Where requests are noted whose destination reports later; None: nobody reads reports."""
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
    alive_seconds: float | None = None
    """For how long what got no answer may be carried out from then on; None: as the destination's settings say."""

    @property
    def lease_seconds(self) -> float:
        """How long a job is ours."""
        return self.call_seconds + self.margin_seconds


class LaneRunner:
    """Runs one lane until it is stopped.

    Args:
        lane: Which.
        settings: Of the destination.
        sender: How it is called.
        stores: What is read and written.
        rules: When to try again.
        clock: Tells and measures time.
        pace: How it works.
    """

    def __init__(
        self,
        lane: Lane,
        settings: DestinationSettings,
        sender: Sender,
        stores: Stores,
        rules: AttemptRules,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self.settings = settings
        self._lane = lane
        self._sender = sender
        self._jobs, self._states = stores.jobs, stores.states
        self._clock = clock
        self._pace = pace
        self._token = secrets.token_hex(8)
        self._digest = stores.digest_of(lane.workspace, settings)
        rules = replace(
            rules,
            resend_seconds=sender.resend_seconds,
            forgets=sender.forgets,
            retracts_by_value=sender.retracts_by_value,
        )
        read = (stores.newest, stores.memory, stores.ledger, stores.permissions)
        preparation = Preparation(lane, settings, sender, rules, clock, *read, stores.jobs)
        admission = Admission(lane, settings, stores.states, clock, pace.call_seconds)
        most = _OUTCOMES_PER_CALL * pace.concurrency * sender.most_per_call
        ours = (lane, self._token, pace.lease_seconds)
        reports = stores.reports if settings.reports_later else None
        self._outbox = Outbox(*ours, stores.jobs, stores.states, stores.ledger, reports, most=most, wake=self.wake)
        overtaking = Overtaking(
            *(lane, stores.holds, preparation),
            alive_seconds=sender.unanswered_seconds if pace.alive_seconds is None else pace.alive_seconds,
            lease_seconds=pace.lease_seconds,
            is_possible=sender.is_overtaken,
        )
        self._places = Places(lane, self._digest, stores.states, admission, clock)
        may = (admission, self._places, overtaking)
        turns = Turns(*ours, pace.margin_seconds, stores.jobs, *may, clock, preparation)
        departing = (*ours, pace.concurrency, sender, stores.jobs, preparation)
        self._departures = Departures(*departing, *may, self._outbox, clock, stores.replication)
        about = (lane, settings, self._digest, sender, stores.states, rules, clock, turns, overtaking)
        self._calls = Calls(*about, self._outbox, admission, again=self._departures, ended=self.wake)
        self._company_seconds = 0.0
        self._look_seconds = _LOOK_SECONDS
        self._wake = asyncio.Event()
        self._may_have_lost = False  # jobs that are leased to us, and that we do not know of

    def wake(self) -> None:
        """Tells the lane that there are new jobs."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until stopped, then finishes the calls under way and writes down what came of them."""
        try:
            await self._mend()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                group.create_task(self._wake_when(stop))
                try:
                    await self._work(stop)
                finally:
                    await self._calls.finish()
                    self._outbox.finish()
        finally:
            await self._sender.aclose()

    async def _mend(self) -> None:
        try:
            await self._states.mend(self._lane, self._digest)
        except UnavailableError as outage:
            log.warning("pause_not_ended", destination=self._lane.destination, reason=str(outage))

    async def _wake_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._places.stop()
        self._wake.set()

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._wake.clear()  # before looking: what is planned from now on wakes
            try:
                await self._step()
            except UnavailableError as outage:
                log.warning("lane_paused", destination=self._lane.destination, reason=str(outage))
                self._may_have_lost = True
                await self._pause(OUTAGE_PAUSE_SECONDS)

    async def _step(self) -> None:
        """Takes what is due and begins it; or waits a little."""
        in_flight, now = self._calls.in_flight, self._clock.monotonic_seconds()
        room = min(self._pace.concurrency, self._sender.most_calls) - in_flight
        closed_seconds = max(self._departures.quota_free_seconds, self._company_seconds) - now
        if room <= 0 or self._outbox.is_stuck or closed_seconds > 0:
            await self._pause(closed_seconds if closed_seconds > 0 else _LOOK_SECONDS)
            return
        # One call's worth where a call holds many: the next step brings the next.
        most = min(room, self._departures.quota_room) if self._sender.most_per_call == 1 else self._sender.most_per_call
        ours = (self._lane, self._token, self._pace.lease_seconds)
        leased = await self._jobs.lease(*ours, most, ours_too=self._may_have_lost, settings=self._digest)
        # What is ours still: it came due as its outcome could not be written, or we asked. Leased anew, not sent again.
        jobs = [job for job in leased.jobs if job.conversion_id not in self._outbox.held]
        self._may_have_lost &= bool(jobs)  # there may be more
        if not leased.jobs and not leased.wait_seconds and not in_flight:
            await self._pause(self._look_seconds, _LONGEST_LOOK_SECONDS)
            self._look_seconds = min(2 * self._look_seconds, _LONGEST_LOOK_SECONDS)
            return
        self._look_seconds = _LOOK_SECONDS
        if not leased.jobs:
            await self._pause(leased.wait_seconds or _LOOK_SECONDS)
        elif jobs:
            if len(leased.jobs) < most:
                self._company_seconds = now + self._sender.linger_seconds
            calls, begin_seconds = await self._departures.let_go(jobs)
            for call in calls:
                self._calls.start(call, begin_seconds)

    async def _pause(self, seconds: float, longest_seconds: float = _LOOK_SECONDS) -> None:
        try:
            async with asyncio.timeout(min(seconds, longest_seconds)):
                await self._wake.wait()
        except TimeoutError:
            pass
