"""What a destination took, and said later that it did not: it is not there, whatever its first answer was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import redis.asyncio

from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import UNKNOWN_VALUE, Lane
from tributary_storage.redis.delivery_jobs import SENT_LIFE_SECONDS
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Argument, Script

_TAKE_BACK: Final = Script("take_back")
NEVER_AGAIN: Final = -1.0
"""For what is not sent again by itself."""


class TakenBack(Enum):
    """What became of one."""

    DONE = 1
    """By this run, or by an earlier one."""
    BEING_SENT = 0
    """Something else of the conversion is on its way: what comes of that counts."""
    OUTDATED = -1
    """The destination took a newer revision since."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A revision that a destination took and refused later."""

    conversion_id: str
    revision: int
    is_creation: bool
    """Whether the destination has nothing of the conversion then; else it has what it had before."""
    is_certain: bool = True
    """Whether it was this one; else some of its request were, and it may be there."""

    @property
    def remembered(self) -> str:
        """What is remembered as sent instead, as `delivery_jobs` reads it."""
        if not self.is_creation:  # what was there before, of a value that nobody knows: it is corrected anew
            return f"{self.revision - 1} {UNKNOWN_VALUE} 1"
        return f"{self.revision} never" if self.is_certain else f"{self.revision} -1 1 m{self.revision} 0"


class TakingBack:
    """Corrects what Redis remembers as taken, in the role *jobs*. Fails closed."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def take_back(
        self, lane: Lane, refusals: Sequence[Refusal], plan_micros: int, delay_seconds: float
    ) -> list[TakenBack]:
        """Takes back what was refused, and has it sent again after a while. May run twice.

        Args:
            lane: Which destination.
            refusals: What it refused.
            plan_micros: Now.
            delay_seconds: When; or `NEVER_AGAIN`.

        Raises:
            StorageUnavailableError: Some may be taken back; do the same again.
        """
        names: list[Argument] = [
            job_keys.due(lane.workspace, lane.destination),
            job_keys.planned(lane.workspace, lane.destination),
            job_keys.dead(lane.workspace, lane.destination),
        ]
        delay_millis = -1 if delay_seconds < 0 else round(delay_seconds * 1000)
        arguments: list[Argument] = [plan_micros, SENT_LIFE_SECONDS, delay_millis]
        for one in refusals:
            names.append(job_keys.job(lane.workspace, lane.destination, one.conversion_id))
            names.append(job_keys.sent(lane.workspace, lane.destination, one.conversion_id))
            arguments += (one.conversion_id, one.revision, one.remembered)
        try:
            answers = await _TAKE_BACK(self._client, names, arguments)
        except redis.RedisError as error:
            message = "The store of delivery jobs did not answer; what was reported is dealt with later."
            raise translate(error, "jobs", message) from error
        return [TakenBack(int(one)) for one in answers]
