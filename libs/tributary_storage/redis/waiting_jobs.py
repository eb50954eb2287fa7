"""What waits to be sent: of conversions that somebody asks for, or all of it, a page at a time.

The ledger says nothing of a job that nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.refusals import translate

Place = tuple[int, str]
"""When a job is due, in milliseconds, and of which conversion it is: their order."""
FIRST_PLACE: Final[Place] = (-1, "")
"""Before all of them."""


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job as it is seen from outside."""

    lane: Lane
    conversion_id: str
    revision: int
    """The newest one planned."""
    plan_micros: int
    """When that was planned."""
    attempts: int
    """How many were made at what is tried."""
    due_micros: int
    """When it is due; while it is being sent, when somebody else would send it."""


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """Some jobs."""

    jobs: list[WaitingJob]
    last: Place | None
    """Where the next page begins; None: there is none."""


class WaitingJobs:
    """Reads jobs in the Redis of role *jobs*; changes nothing."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def of(self, lane: Lane, conversion_ids: Sequence[str]) -> list[WaitingJob]:
        """Returns the jobs of conversions at one destination, in their order; none of those of which nothing waits.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        asking = self._client.pipeline(transaction=False)
        for one in conversion_ids:
            asking.hmget(job_keys.job(lane.workspace, lane.destination, one), "r", "n", "a")
            asking.zscore(job_keys.due(lane.workspace, lane.destination), one)
        try:
            answers = await asking.execute() if conversion_ids else []
        except redis.RedisError as error:
            raise _failed(error) from error
        found = []
        for conversion_id, (revision, plan_micros, attempts), due in zip(
            conversion_ids, answers[::2], answers[1::2], strict=True
        ):
            if revision is not None and due is not None:
                about = (int(revision), int(plan_micros or 0), int(attempts or 0), round(due) * 1000)
                found.append(WaitingJob(lane, conversion_id, *about))
        return found

    async def page(self, lane: Lane, after: Place, size: int) -> WaitingPage:
        """Returns jobs of one destination, first due first; what is due anew meanwhile may be met again, or not.

        Args:
            lane: Which destination.
            after: `last` of the page before, or `FIRST_PLACE`.
            size: At most this many, and at least one.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        due, (millis, conversion_id) = job_keys.due(lane.workspace, lane.destination), after
        try:
            score, rank = await self._client.zscore(due, conversion_id), await self._client.zrank(due, conversion_id)
            is_there = score is not None and rank is not None and round(score) == millis
            start = int(rank) + 1 if is_there else int(await self._client.zcount(due, "-inf", f"({millis}"))
            found = await self._client.zrange(due, start, start + size - 1, withscores=True)
        except redis.RedisError as error:
            raise _failed(error) from error
        names = [name.decode() for name, _ in found]
        last = (round(found[-1][1]), names[-1]) if len(found) == size else None
        return WaitingPage(await self.of(lane, names), last)


def _failed(error: redis.RedisError) -> Exception:
    return translate(error, "jobs", "The store of delivery jobs did not answer; ask again.")
