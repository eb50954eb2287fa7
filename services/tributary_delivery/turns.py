"""What a call has while it is made: its jobs, what it is about, its place in the quota, and what people allow.

The one rule: a request begins only if its jobs are ours until it must have ended, and people allow what they allowed
when it was put into words, and if it has a place in the quota of now: one of a while ago would be a call too many in
the minute that it is made in. All are made sure of immediately before it, after everything that may take long, an
access token above all: whoever has a job next sends it anew, and what is allowed no longer is decided on anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from tributary_delivery.admission import Admission
from tributary_delivery.attempt import Attempt
from tributary_delivery.overtaking import Overtaking
from tributary_delivery.places import NoPlace, Places
from tributary_runtime.clock import Clock
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import DeliveryJobs

FRESH_SECONDS: Final = 0.2
"""What people allowed so recently is not asked once more."""


PLACE_SECONDS: Final = 0.9
"""For how long a place in the quota holds. A quota counts its minute a second longer than it is, and on the way a call
may lose the rest."""
_LONGEST_WAIT_SECONDS: Final = 600.0
"""For how long a call that is half made waits for the place of its other half. What was learnt by the first one is true
for no longer, and a quota that has no place in that time has none for two requests."""


class TurnLost(Exception):
    """Somebody else may have a call's jobs: it is not made."""


class PermitsChanged(Exception):
    """People allow something else by now than when a call was put into words: it is not made.

    Args:
        conversion_ids: Of whose people.
    """

    def __init__(self, conversion_ids: Collection[str]) -> None:
        super().__init__()
        self.conversion_ids = conversion_ids


class PlaceLost(Exception):
    """A call's place in the quota is over, and there is no other now: it is not made.

    Args:
        wait_seconds: When there could be one.
    """

    def __init__(self, wait_seconds: float) -> None:
        super().__init__()
        self.wait_seconds = wait_seconds


class LastQuestion(Protocol):
    """Knows what people allow."""

    async def changed(self, attempts: Sequence[Attempt]) -> Collection[str]:
        """Returns the conversions whose people allow something else by now than when attempts were put into words.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        ...


class Turn:
    """Of one call.

    Args:
        turns: Of its lane.
        attempts: What it is about.
        begin_seconds: Of the monotonic clock, when its lease, and its place in the quota, began at the earliest.
    """

    def __init__(self, turns: Turns, attempts: Sequence[Attempt], begin_seconds: float) -> None:
        self._turns = turns
        self._attempts = attempts
        self.conversion_ids = [one.job.conversion_id for one in attempts]
        self._begin_seconds = self._place_seconds = begin_seconds
        self._ask_seconds = min((one.ask_seconds for one in attempts), default=0.0)
        self.ours: Collection[str] = frozenset(self.conversion_ids)
        """The conversions whose jobs are ours, as far as is known."""
        self.waited_seconds = 0.0
        """How much of the time that the call takes is no time of the destination's: it was waited for the quota."""

    @property
    def patience_seconds(self) -> float:
        """How long something may be waited for before the turn is to be kept."""
        return self._turns.margin_seconds / 2

    async def keep(self) -> None:
        """Makes sure, right before a request, that its jobs are ours for as long as it may take, and that it may leave.

        Raises:
            TurnLost: Some are not ours.
            PermitsChanged: Some may not leave as they were put into words.
            PlaceLost: There is no place for it in the quota now.
            StorageUnavailableError: Nobody can tell.
        """
        await self.hold()
        now_seconds = self._turns.now_seconds
        if now_seconds - self._ask_seconds > FRESH_SECONDS:
            if changed := await self._turns.last_question.changed(self._attempts):
                raise PermitsChanged(changed)
            self._ask_seconds = now_seconds
        if self._turns.age_seconds(self._place_seconds) > PLACE_SECONDS and (wait_seconds := await self.again()):
            raise PlaceLost(wait_seconds)

    async def hold(self) -> None:
        """Makes sure, while something is waited for, that its jobs stay ours, and that nobody else writes its objects.

        Raises:
            TurnLost: Some are not ours, or somebody may have.
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
        if len(self.ours) < len(self.conversion_ids) or not await turns.overtaking.hold_on(self._attempts):
            raise TurnLost

    async def next_place(self) -> None:
        """Waits for the place of another request, for a call that always needs two, and holds what it has meanwhile.

        Who did not wait would give its first request away, and the next place to somebody's first one again.

        Raises:
            TurnLost: Its jobs, or what it is about, are not ours any more.
            PlaceLost: There was none for long.
            UnavailableError: It must not be waited any more, or nobody can tell.
        """
        begin_seconds = self._turns.now_seconds
        try:
            self._place_seconds = await self._turns.places.wait(self.hold, _LONGEST_WAIT_SECONDS)
        except NoPlace as none:
            raise PlaceLost(none.wait_seconds) from none
        self.waited_seconds += self._turns.age_seconds(begin_seconds)

    async def again(self) -> float:
        """Takes another request from the quota, for a call that may need two; returns in how many seconds if not now.

        Raises:
            StorageUnavailableError: Nobody can tell.
        """
        asked_seconds = self._turns.now_seconds
        granted, wait_seconds = await self._turns.admission.take(1)
        if not granted:
            return max(wait_seconds, 1.0)
        self._place_seconds = asked_seconds
        return 0.0


class Turns:
    """Those of one lane of one process.

    Args:
        lane: Which.
        token: Of its leases.
        lease_seconds: How long a job is ours.
        margin_seconds: How much longer that is than a request may take.
        jobs: Whose they are.
        admission: What calls may be made.
        places: Where it is waited for one more.
        overtaking: What else may be said of what a call is about.
        clock: Measures time.
        last_question: What people allow.
    """

    def __init__(
        self,
        lane: Lane,
        token: str,
        lease_seconds: float,
        margin_seconds: float,
        jobs: DeliveryJobs,
        admission: Admission,
        places: Places,
        overtaking: Overtaking,
        clock: Clock,
        last_question: LastQuestion,
    ) -> None:
        self._lane = lane
        self._token = token
        self._lease_seconds = lease_seconds
        self.margin_seconds = margin_seconds
        self._jobs = jobs
        self.admission = admission
        self.places = places
        self.overtaking = overtaking
        self._clock = clock
        self.last_question = last_question

    def of(self, attempts: Sequence[Attempt], begin_seconds: float) -> Turn:
        """Returns that of a call that was let be made, and noted, at `begin_seconds` (monotonic), or later."""
        return Turn(self, attempts, begin_seconds)

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
