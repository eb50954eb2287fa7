"""What a call has while it is made: its jobs, and its place in the quota.

The one rule: a request begins only if its jobs are ours until it must have ended. The lease is made sure of immediately
before it, after everything that may take long, an access token above all: whoever has a job next sends it anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tributary_delivery.admission import Admission
from tributary_runtime.clock import Clock
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import DeliveryJobs


class TurnLost(Exception):
    """Somebody else may have a call's jobs: it is not made."""


class Turn:
    """Of one call.

    Args:
        turns: Of its lane.
        conversion_ids: What it is about.
        begin_seconds: Of the monotonic clock, when its lease began at the earliest.
    """

    def __init__(self, turns: Turns, conversion_ids: Sequence[str], begin_seconds: float) -> None:
        self._turns = turns
        self.conversion_ids = conversion_ids
        self._begin_seconds = begin_seconds
        self.ours: Collection[str] = frozenset(conversion_ids)
        """The conversions whose jobs are ours, as far as is known."""

    @property
    def patience_seconds(self) -> float:
        """How long something may be waited for before the turn is to be kept."""
        return self._turns.margin_seconds / 2

    async def keep(self) -> None:
        """Makes sure, right before a request, that its jobs are ours for as long as it may take.

        Raises:
            TurnLost: Some are not.
            StorageUnavailableError: Nobody can tell.
        """
        turns = self._turns
        if turns.age_seconds(self._begin_seconds) <= self.patience_seconds:
            return
        asked_seconds = turns.now_seconds
        self.ours = await turns.renew(self.conversion_ids)
        self._begin_seconds = asked_seconds
        if turns.age_seconds(asked_seconds) > turns.margin_seconds:  # we stood still: it may be over again
            self.ours = frozenset()
        if len(self.ours) < len(self.conversion_ids):
            raise TurnLost

    async def again(self) -> float:
        """Takes another request from the quota, for a call that needs two; returns in how many seconds if not now.

        Raises:
            StorageUnavailableError: Nobody can tell.
        """
        granted, wait_seconds = await self._turns.admission.take(1)
        return 0.0 if granted else max(wait_seconds, 1.0)


class Turns:
    """Those of one lane of one process.

    Args:
        lane: Which.
        token: Of its leases.
        lease_seconds: How long a job is ours.
        margin_seconds: How much longer that is than a request may take.
        jobs: Whose they are.
        admission: What calls may be made.
        clock: Measures time.
    """

    def __init__(
        self,
        lane: Lane,
        token: str,
        lease_seconds: float,
        margin_seconds: float,
        jobs: DeliveryJobs,
        admission: Admission,
        clock: Clock,
    ) -> None:
        self._lane = lane
        self._token = token
        self._lease_seconds = lease_seconds
        self.margin_seconds = margin_seconds
        self._jobs = jobs
        self.admission = admission
        self._clock = clock

    def of(self, conversion_ids: Sequence[str], begin_seconds: float) -> Turn:
        """Returns that of a call whose attempts were noted at `begin_seconds` of the monotonic clock, or later."""
        return Turn(self, conversion_ids, begin_seconds)

    @property
    def now_seconds(self) -> float:
        """Of the monotonic clock."""
        return self._clock.monotonic_seconds()

    def age_seconds(self, begin_seconds: float) -> float:
        """Returns how long ago something was."""
        return self.now_seconds - begin_seconds

    async def renew(self, conversion_ids: Sequence[str]) -> Collection[str]:
        """Lets the lease of jobs begin anew; returns those that are still ours.

        Raises:
            StorageUnavailableError: Some may not be.
        """
        return await self._jobs.renew(self._lane, self._token, self._lease_seconds, conversion_ids)
