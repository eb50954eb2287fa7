"""From leased jobs to calls that may be made: prepared, put into words, admitted, and noted.

The one rule: what people allow, the quota and whose the object is are asked for before an attempt is noted, and it is
noted before it is made. What may not leave now is given back until it may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_DEAD
from tributary_delivery.admission import Admission
from tributary_delivery.attempt import Attempt, ledger_line, left_by, tried
from tributary_delivery.doubts import kept_of
from tributary_delivery.ledger import left_wrong, untold_of
from tributary_delivery.outbox import Outbox
from tributary_delivery.overtaking import Overtaking
from tributary_delivery.places import Places
from tributary_delivery.preparation import Preparation
from tributary_delivery.sender import Formed, Sender
from tributary_delivery.unmade import unmade
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.delivery_job import Job, Lane, Settled, Settlement
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.replication import Replication

OUTAGE_PAUSE_SECONDS: Final = 1.0
"""After how long it is tried again what a store did not answer."""
_LOOK_SECONDS: Final = 1.0


class Departures:
    """Those of one lane of one process.

    Args:
        lane: Which.
        token: Of its leases.
        lease_seconds: How long a job is ours.
        concurrency: Calls at once, by this process.
        sender: How it is called.
        jobs: Where attempts are noted, and what may not leave is given back.
        preparation: Decides what is sent.
        admission: What calls may be made.
        places: Where a part of a call waits until it may be.
        overtaking: Which may be made about one object.
        outbox: Takes what becomes of what is not sent.
        clock: Tells and measures time.
        replication: What is waited for before an attempt is made; None: nothing.
    """

    def __init__(
        self,
        lane: Lane,
        token: str,
        lease_seconds: float,
        concurrency: int,
        sender: Sender,
        jobs: DeliveryJobs,
        preparation: Preparation,
        admission: Admission,
        places: Places,
        overtaking: Overtaking,
        outbox: Outbox,
        clock: Clock,
        replication: Replication | None,
    ) -> None:
        self._lane = lane
        self._token = token
        self._ours = (lane, token, lease_seconds)
        self._concurrency = concurrency
        self._sender = sender
        self._jobs = jobs
        self._preparation = preparation
        self._admission = admission
        self._places = places
        self._overtaking = overtaking
        self._outbox = outbox
        self._clock = clock
        self._replication = replication
        self.quota_free_seconds = 0.0
        """Of the monotonic clock: when the quota may allow another call."""
        self.quota_room = concurrency
        """How many calls the quota may allow at once."""

    async def let_go(self, jobs: Sequence[Job]) -> tuple[list[list[Attempt]], float]:
        """Returns the calls that leased jobs come to and that may be made now, noted, and since when at the earliest.

        Raises:
            StorageUnavailableError: None may be made; what was not given back comes again when its lease ends.
        """
        try:
            prepared = await self._preparation.prepare(jobs)
            formed = await self._sender.form(prepared.ready)
        except UnavailableError:
            await self._give_back([job.conversion_id for job in jobs], OUTAGE_PAUSE_SECONDS)
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
            return [], begin_seconds
        noted = {one.job.conversion_id: one for one in await self._note([one for call in calls for one in call])}
        ours = [[noted[one.job.conversion_id] for one in call if one.job.conversion_id in noted] for call in calls]
        return [call for call in ours if call], begin_seconds

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
                line = untold_of(*about, refused.message, one.kept)
                settled = Settled(one.job.conversion_id, Settlement.DROPPED, one.last_revision)
                self._outbox.add(settled, line)
            else:  # it has something wrong from now on
                what = (one.revised, destination, one.operation, one.taken, one.job.plan_micros, one.told)
                self._outbox.add(*left_wrong(*what, refused.message, reason=refused.reason))
        for one, outcome in formed.failed:
            line = ledger_line(replace(one, now_micros=self._clock.unix_micros()), outcome)
            line.destination_id, line.state = self._lane.destination, DELIVERY_STATE_DEAD
            left = left_by(one, outcome, line)
            given_up = Settled(one.job.conversion_id, Settlement.GIVEN_UP, one.last_revision, taken=left)
            self._outbox.add(given_up, line, kept_of(one, outcome, self._lane.destination))

    async def _note(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Notes that attempts are being made; returns those that are ours."""
        async with self._overtaking.letting_go(attempts):
            notes = [tried(one) for one in attempts]
            numbers = await self._jobs.begin(*self._ours, notes)
            if self._replication is not None:  # an attempt that a failover forgets could create the conversion twice
                await self._replication.settle()
        numbered = list(zip(numbers, attempts, strict=True))
        await self._overtaking.let_go([one for number, one in numbered if not number])
        return [replace(one, number=number) for number, one in numbered if number]

    async def begin(self, attempts: Sequence[Attempt], waiting: Sequence[Attempt]) -> tuple[list[Attempt], float]:
        """Lets a part of a call be made that was refused as a whole: see `calls.Again`."""
        ours = [one.job.conversion_id for one in (*attempts, *waiting)]
        begin_seconds = await self._places.wait(partial(self._jobs.renew, *self._ours, ours))
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
                self._outbox.add(unmade(one, was_noted=False), None)
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
            self.quota_room = min(self._concurrency, 2 * self.quota_room)
            rest = [one for call in calls[granted:] for one in call]
            if rest:
                self.quota_room = max(1, granted)  # what cannot be sent need not be leased and read
                self.quota_free_seconds = self._clock.monotonic_seconds() + wait_seconds
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
