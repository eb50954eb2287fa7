"""Jobs that somebody asked for: deliveries that were given up, or were not eligible, once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import redis.asyncio

from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Argument, Script

_REPLAY: Final = Script("replay_jobs")


class Replayed(Enum):
    """What became of a wish."""

    PLANNED = 1
    WAITING = 0
    """It waits already."""
    KNOWN = -1
    """The destination has it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A conversion that shall be sent again."""

    conversion_id: str
    revision: int
    risks_duplicates: bool = False
    """Whether it is sent though the destination may have it, and would not know it again."""


class ReplayedJobs:
    """Plans what somebody asked for, in the Redis of role *jobs*. Fails closed."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def plan(
        self, lane: Lane, wishes: Sequence[Wish], plan_micros: int, *, dry_run: bool = False
    ) -> list[Replayed]:
        """Plans conversions for one destination; returns what became of each, or would. May run twice.

        Args:
            lane: Which destination.
            wishes: Of different conversions.
            plan_micros: When they are planned.
            dry_run: Whether only that is told, and nothing planned.

        Raises:
            StorageUnavailableError: Some may be planned; plan the same again.
        """
        names: list[Argument] = [
            job_keys.due(lane.workspace, lane.destination),
            job_keys.planned(lane.workspace, lane.destination),
            job_keys.dead(lane.workspace, lane.destination),
        ]
        arguments: list[Argument] = [plan_micros, int(dry_run)]
        for one in wishes:
            names.append(job_keys.job(lane.workspace, lane.destination, one.conversion_id))
            names.append(job_keys.sent(lane.workspace, lane.destination, one.conversion_id))
            arguments += (one.conversion_id, one.revision, int(one.risks_duplicates))
        try:
            answers = await _REPLAY(self._client, names, arguments)
        except redis.RedisError as error:
            message = "The store of delivery jobs did not answer; ask for the same again."
            raise translate(error, "jobs", message) from error
        return [Replayed(int(one)) for one in answers]
