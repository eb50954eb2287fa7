"""Requests about one object at a destination: of two, in whichever processes, one begins when the other is over.

The one rule: what got no answer may be carried out minutes later, over what came after it. Until it cannot be any more,
nothing else is said of the same object, but for the same content again. That counts from when the answer is given up;
where nobody says when that was, from when it is given up at the latest. And what is said is what holds when it begins:
while it waited, a later stage of its lead may have been told.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import structlog

from tributary.delivery.v1.delivery_pb2 import DeliveryOperation
from tributary_delivery.attempt import Attempt
from tributary_delivery.destinations.destination import Outcome
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.object_holds import ObjectHolds, Said

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0
"""How often it is looked whether a request is over that may be answered any moment."""
_DIGEST_BYTES: Final = 16
_NO_ANSWER, _REQUEST_TIMEOUT, _SERVER_ERROR = 0, 408, 500


class Recent(Protocol):
    """Knows whether conversions have changed."""

    async def outdated(self, attempts: Sequence[Attempt]) -> Collection[str]:
        """Returns the conversions that have changed since it was decided what is said of them.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        ...


class Overtaking:
    """Prevents it in one lane.

    Args:
        lane: Which.
        holds: What all processes are saying.
        recent: Knows what has changed.
        alive_seconds: For how long what got no answer may be carried out after that was given up: `unanswered_seconds`
            of the settings.
        lease_seconds: How long the jobs of a request are somebody's: then it is over, or gets no answer.
        is_possible: Whether the destination takes what comes last for the newest.
    """

    def __init__(
        self,
        lane: Lane,
        holds: ObjectHolds,
        recent: Recent,
        *,
        alive_seconds: float,
        lease_seconds: float,
        is_possible: bool,
    ) -> None:
        self._lane = lane
        self._holds = holds
        self._recent = recent
        self._alive_seconds = alive_seconds
        self._life_seconds = lease_seconds + alive_seconds
        self._is_possible = is_possible

    async def begin(self, attempts: Sequence[Attempt]) -> dict[str, float]:
        """Notes that attempts are about to be made; returns which may not be, and in how many seconds to look again.

        Raises:
            StorageUnavailableError: None may be.
        """
        about = self._said(attempts)
        waits = await self._holds.hold(self._lane, [said for _, said in about], self._life_seconds)
        later = {
            one.job.conversion_id: self._look_seconds(seconds)
            for (one, _), seconds in zip(about, waits, strict=True)
            if seconds
        }
        shared = [one for one, _ in about if one.mapped.object_id and one.job.conversion_id not in later]
        if shared:
            async with self.letting_go([one for one, _ in about if one.job.conversion_id not in later]):
                outdated = await self._recent.outdated(shared)
            await self.let_go([one for one in shared if one.job.conversion_id in outdated])
            later |= dict.fromkeys(outdated, 0.0)
        return later

    def _look_seconds(self, free_seconds: float) -> float:
        is_under_way = free_seconds > self._alive_seconds  # nobody has given it up yet
        return min(free_seconds, _LOOK_SECONDS) if is_under_way else free_seconds

    async def hold_on(self, attempts: Sequence[Attempt]) -> bool:
        """Notes that attempts that have begun go on later than they would; tells whether nothing else was said since.

        Raises:
            StorageUnavailableError: Nobody can tell.
        """
        return await self._holds.renew(self._lane, [said for _, said in self._said(attempts)], self._life_seconds)

    async def end(self, attempts: Sequence[Attempt], outcomes: Sequence[Outcome]) -> None:
        """Notes what was answered: it is over. What was not may be carried out for a while from now on."""
        answered = list(zip(attempts, outcomes, strict=True))
        await self.let_go([one for one, outcome in answered if _is_over(outcome)])
        given_up = self._said([one for one, outcome in answered if not _is_over(outcome)])
        async with self._noting():
            await self._holds.give_up(self._lane, [said for _, said in given_up], self._alive_seconds)

    @asynccontextmanager
    async def letting_go(self, attempts: Sequence[Attempt]) -> AsyncIterator[None]:
        """Lets go of attempts that are not made, for a store did not answer in the block."""
        try:
            yield
        except UnavailableError:
            await self.let_go(attempts)
            raise

    async def let_go(self, attempts: Sequence[Attempt]) -> None:
        """Notes that attempts are over, or are not made. What cannot be noted is over by itself in a while."""
        async with self._noting():
            await self._holds.let_go(self._lane, [said for _, said in self._said(attempts)])

    @asynccontextmanager
    async def _noting(self) -> AsyncIterator[None]:
        try:
            yield
        except UnavailableError as outage:
            log.warning("objects_not_let_go", destination=self._lane.destination, reason=str(outage))

    def _said(self, attempts: Sequence[Attempt]) -> list[tuple[Attempt, Said]]:
        if not self._is_possible:
            return []
        return [(one, _said(one)) for one in attempts if not one.is_test]


def _is_over(outcome: Outcome) -> bool:
    """Tells whether nothing of a request is carried out any more.

    An error of the destination's own, 500, is its last word. All above may come from what stands before it, a 503 too
    where the line behind it broke: what was sent through may be carried out all the same.
    """
    if outcome.is_untaken:
        return True
    status = outcome.status_code
    return status not in {_NO_ANSWER, _REQUEST_TIMEOUT} and status <= _SERVER_ERROR


def _said(attempt: Attempt) -> Said:
    conversion_id = attempt.job.conversion_id
    named = f"o {attempt.mapped.object_id}" if attempt.mapped.object_id else f"c {conversion_id}"
    digest = hashlib.blake2b(named.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    operation = DeliveryOperation.Name(attempt.operation)
    about, job = f"{conversion_id} ", attempt.job
    # An attempt is noted in the job before it leaves, by whoever has the job: none was, and we have it.
    is_unsaid = job.never_sent and not job.tried_revision and not job.attempts
    return Said(digest, f"{about}{attempt.revised.revision} {operation}", about if is_unsaid else "")
