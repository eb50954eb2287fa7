"""What waits to be sent of conversions that somebody asks for.

The ledger says nothing of a job that nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.refusals import translate


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
            message = "The store of delivery jobs did not answer; ask again."
            raise translate(error, "jobs", message) from error
        found = []
        for conversion_id, (revision, plan_micros, attempts), due in zip(
            conversion_ids, answers[::2], answers[1::2], strict=True
        ):
            if revision is not None and due is not None:
                about = (int(revision), int(plan_micros or 0), int(attempts or 0), round(due) * 1000)
                found.append(WaitingJob(lane, conversion_id, *about))
        return found
