"""Jobs of destinations that were taken out of `workspaces.yaml`: nobody runs their lanes, so nobody ever settles them.

The one rule: only what was planned long ago is dropped. A destination that comes back, because the file was wrong for a
moment or somebody changed their mind, finds what waits for it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane

_DUE: Final = re.compile(r"trb:\{j:([^:{}]+):([^:{}]+)\}:due")
_AT_ONCE: Final = 500


class AbandonedJobs:
    """The jobs of all lanes, seen from outside. Every method may raise `StorageUnavailableError`, and may run twice."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def lanes(self) -> list[Lane]:
        """Returns every lane that has jobs, whoever runs it."""
        try:
            found = [key.decode() async for key in self._client.scan_iter(match="trb:{j:*}:due", count=1000)]
        except redis.RedisError as error:
            raise _unavailable() from error
        return [Lane(*place.groups()) for key in sorted(found) if (place := _DUE.fullmatch(key)) is not None]

    async def drop(self, lane: Lane, before_micros: int) -> int:
        """Drops the jobs of a lane that were planned before a moment; returns how many."""
        due, planned = (
            job_keys.due(lane.workspace, lane.destination),
            job_keys.planned(lane.workspace, lane.destination),
        )
        dropped = 0
        try:
            while ids := await self._client.zrangebyscore(planned, "-inf", f"({before_micros}", 0, _AT_ONCE):
                together = self._client.pipeline(transaction=True)
                together.zrem(due, *ids)
                together.zrem(planned, *ids)
                together.delete(*(job_keys.job(lane.workspace, lane.destination, one.decode()) for one in ids))
                await together.execute()
                dropped += len(ids)
        except redis.RedisError as error:
            raise _unavailable() from error
        return dropped


def _unavailable() -> StorageUnavailableError:
    return StorageUnavailableError("The store of delivery jobs did not answer.", metadata={"store": "jobs"})
