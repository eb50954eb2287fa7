"""A lane: one destination of one workspace, with leases, calls and failures of its own. Several processes share it.

The one rule: an attempt is noted before it is made and settled after the ledger has it. Whatever dies in between, the
lease ends and somebody tries again, under the same message id.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_DEAD
from tributary_delivery.admission import Admission
from tributary_delivery.attempt import Attempt, AttemptRules, anew, ledger_line, left_by, tried
from tributary_delivery.calls import Calls
from tributary_delivery.ledger import Ledger, Memory, ineligible, left_wrong
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.outbox import Outbox
from tributary_delivery.overtaking import ALIVE_SECONDS, Overtaking
from tributary_delivery.permissions import Permissions
from tributary_delivery.preparation import Preparation
from tributary_delivery.sender import Formed, Sender
from tributary_delivery.turns import Turns
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.awaited_reports import AwaitedReports
from tributary_storage.redis.delivery_job import Job, Lane, Settled, Settlement
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
    holds: ObjectHolds
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
    alive_seconds: float = ALIVE_SECONDS

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
        self._replication = stores.replication
        self._clock = clock
        self._pace = pace
        self._token = secrets.token_hex(8)
        self._admission = Admission(lane, settings, stores.states, clock, pace.call_seconds)
        rules = replace(
            rules,
            resend_seconds=sender.resend_seconds,
            forgets=sender.forgets,
            retracts_by_value=sender.retracts_by_value,
        )
        read = (stores.newest, stores.memory, stores.ledger, stores.permissions)
        self._preparation = Preparation(lane, settings, sender, rules, clock, *read)
        most = _OUTCOMES_PER_CALL * pace.concurrency * sender.most_per_call
        ours = (lane, self._token, pace.lease_seconds)
        reports = stores.reports if settings.reports_later else None
        self._outbox = Outbox(*ours, stores.jobs, stores.states, stores.ledger, reports, most=most, wake=self.wake)
        turns = Turns(*ours, pace.margin_seconds, stores.jobs, self._admission, clock, self._preparation)
        self._overtaking = Overtaking(
            *(lane, stores.holds, self._preparation),
            alive_seconds=pace.alive_seconds,
            lease_seconds=pace.lease_seconds,
            is_possible=sender.is_overtaken,
        )
        about = (lane, settings, sender, stores.states, rules, clock, turns, self._overtaking)
        self._calls = Calls(*about, self._outbox, self._admission, again=self, ended=self.wake)
        self._quota_free_seconds = self._company_seconds = 0.0
        self._quota_room = pace.concurrency
        self._look_seconds = _LOOK_SECONDS
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._may_have_lost = False  # jobs that are leased to us, and that we do not know of

    def wake(self) -> None:
        """Tells the lane that there are new jobs."""
        self._wake.set()

    async def run(self, stop: asyncio.Event, *, is_mended: bool = False) -> None:
        """Works until stopped, then finishes the calls under way and writes down what came of them.

        Args:
            stop: Ends it.
            is_mended: Whether it runs under another configuration than before.
        """
        try:
            if is_mended:
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
            await self._states.mend(self._lane)
        except UnavailableError as outage:
            log.warning("pause_not_ended", destination=self._lane.destination, reason=str(outage))

    async def _wake_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._is_stopping = True
        self._wake.set()

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._wake.clear()  # before looking: what is planned from now on wakes
            try:
                await self._step()
            except UnavailableError as outage:
                log.warning("lane_paused", destination=self._lane.destination, reason=str(outage))
                self._may_have_lost = True
                await self._pause(_OUTAGE_PAUSE_SECONDS)

    async def _step(self) -> None:
        """Takes what is due and begins it; or waits a little."""
        in_flight, now = self._calls.in_flight, self._clock.monotonic_seconds()
        room = min(self._pace.concurrency, self._sender.most_calls) - in_flight
        closed_seconds = max(self._quota_free_seconds, self._company_seconds) - now
        if room <= 0 or self._outbox.is_stuck or closed_seconds > 0:
            await self._pause(closed_seconds if closed_seconds > 0 else _LOOK_SECONDS)
            return
        # One call's worth where a call holds many: the next step brings the next.
        most = min(room, self._quota_room) if self._sender.most_per_call == 1 else self._sender.most_per_call
        ours = (self._lane, self._token, self._pace.lease_seconds)
        leased = await self._jobs.lease(*ours, most, ours_too=self._may_have_lost)
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
            formed = await self._sender.form(prepared.ready)
        except UnavailableError:
            await self._give_back([job.conversion_id for job in jobs], _OUTAGE_PAUSE_SECONDS)
            raise
        for settled, line in prepared.done:
            self._outbox.add(settled, line)
        await self._refuse(formed)
        if formed.later:
            await self._give_back([one.job.conversion_id for one in formed.later], _LOOK_SECONDS)
        now, later = formed.calls[: self._sender.most_calls], formed.calls[self._sender.most_calls :]
        if later:
            await self._give_back([one.job.conversion_id for call in later for one in call], _LOOK_SECONDS)
        begin_seconds = self._clock.monotonic_seconds()
        calls = await self._within_quota(await self._not_overtaking(now))
        if not calls:
            return
        noted = {one.job.conversion_id: one for one in await self._note([one for call in calls for one in call])}
        for call in calls:
            ours = [noted[one.job.conversion_id] for one in call if one.job.conversion_id in noted]
            if ours:
                self._calls.start(ours, begin_seconds)

    async def _refuse(self, formed: Formed) -> None:
        """Settles what cannot be said."""
        doubtful = [refused for refused in formed.refused if refused.attempt.is_doubtful]
        for done in await self._preparation.not_sent_again(doubtful):
            self._outbox.add(*done)
        for refused in formed.refused:
            if refused.attempt.is_doubtful:
                continue
            metrics.INELIGIBLE.add(1)
            one, destination = refused.attempt, self._lane.destination
            if not one.is_correction:
                about = (one.revised, destination, one.operation, refused.reason, one.job.plan_micros)
                line = ineligible(*about, refused.message)
                settled = Settled(one.job.conversion_id, Settlement.DROPPED, one.last_revision)
                self._outbox.add(settled, line)
            else:  # it has something wrong from now on
                what = (one.revised, destination, one.operation, one.taken, one.job.plan_micros, one.told)
                self._outbox.add(*left_wrong(*what, refused.message, reason=refused.reason))
        for one, outcome in formed.failed:
            line = ledger_line(replace(one, now_micros=self._clock.unix_micros()), outcome)
            line.destination_id, line.state = self._lane.destination, DELIVERY_STATE_DEAD
            left = left_by(one, outcome, line)
            self._outbox.add(Settled(one.job.conversion_id, Settlement.GIVEN_UP, one.last_revision, taken=left), line)

    async def _note(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Notes that attempts are being made; returns those that are ours."""
        async with self._overtaking.letting_go(attempts):
            notes = [tried(one) for one in attempts]
            numbers = await self._jobs.begin(self._lane, self._token, self._pace.lease_seconds, notes)
            if self._replication is not None:  # an attempt that a failover forgets could create the conversion twice
                await self._replication.settle()
        numbered = list(zip(numbers, attempts, strict=True))
        await self._overtaking.let_go([one for number, one in numbered if not number])
        return [replace(one, number=number) for number, one in numbered if number]

    async def begin(self, attempts: Sequence[Attempt], waiting: Sequence[Attempt]) -> tuple[list[Attempt], float]:
        """Lets a part of a call be made that was refused as a whole: see `calls.Again`."""
        ours = [one.job.conversion_id for one in (*attempts, *waiting)]
        while not self._is_stopping:
            if (await self._states.read(self._lane)).is_paused(self._clock.unix_micros() // 1000):
                raise UnavailableError("The destination was paused meanwhile.")
            await self._jobs.renew(self._lane, self._token, self._pace.lease_seconds, ours)
            begin_seconds = self._clock.monotonic_seconds()
            granted, wait_seconds = await self._admission.take(1)
            if granted:
                break
            await asyncio.sleep(min(wait_seconds, self._pace.margin_seconds))
        else:
            raise UnavailableError("The lane is being stopped; another one goes on.")
        allowed, withheld = await self._preparation.permitted(attempts)
        for settled, line in withheld:
            self._outbox.add(settled, line)
        # What was said of a person who allows something else by now is said anew, not once more.
        before = {one.job.conversion_id: one.permits for one in attempts}
        same = [one for one in allowed if one.permits == before[one.job.conversion_id]]
        later = await self._overtaking.begin(same)
        now = [one for one in same if one.job.conversion_id not in later]
        for one in allowed:
            if one not in now:
                self._outbox.add(anew(one), None)
        noted = await self._note(now)
        for lost in {one.job.conversion_id for one in now} - {one.job.conversion_id for one in noted}:
            self._outbox.release(lost)
        return noted, begin_seconds

    async def _within_quota(self, calls: list[list[Attempt]]) -> list[list[Attempt]]:
        """Returns the calls that may be made now; gives the others back until the quota allows them."""
        if not calls:
            return []
        async with self._overtaking.letting_go([one for call in calls for one in call]):
            granted, wait_seconds = await self._admission.take(len(calls))
            self._quota_room = min(self._pace.concurrency, 2 * self._quota_room)
            rest = [one for call in calls[granted:] for one in call]
            if rest:
                self._quota_room = max(1, granted)  # what cannot be sent need not be leased and read
                self._quota_free_seconds = self._clock.monotonic_seconds() + wait_seconds
                await self._give_back([one.job.conversion_id for one in rest], wait_seconds)
        await self._overtaking.let_go(rest)
        return calls[:granted]

    async def _not_overtaking(self, calls: list[list[Attempt]]) -> list[list[Attempt]]:
        """Returns the calls without what may not be said yet, which is given back until it may."""
        later = await self._overtaking.begin([one for call in calls for one in call])
        left = [[one for one in call if one.job.conversion_id not in later] for call in calls]
        if later:
            back = [Settled(one, Settlement.AGAIN, 0, delay_seconds=seconds) for one, seconds in later.items()]
            async with self._overtaking.letting_go([one for call in left for one in call]):
                await self._jobs.settle(self._lane, self._token, back)
        return [call for call in left if call]

    async def _give_back(self, conversion_ids: Sequence[str], delay_seconds: float) -> None:
        back = [Settled(one, Settlement.AGAIN, 0, delay_seconds=delay_seconds) for one in conversion_ids]
        await self._jobs.settle(self._lane, self._token, back)
