"""How far the export to a warehouse is, as all replicas of delivery know it, and who of them does it.

What was exported stands in ClickHouse: lost here, it is looked for there once more. Fails closed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import redis.asyncio

from tributary_runtime.errors import TributaryError
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.refusals import translate


@dataclass(frozen=True, slots=True)
class WarehousePlace:
    """How far it is. All times in microseconds, by ClickHouse's clock; 0: never."""

    through_micros: int = 0
    """What was recorded until then is in batches that can be loaded."""
    sweep_micros: int = 0
    """When all was looked through last."""
    erasures: int = 0
    """How far erasures were together then (`Waiting.erasures`)."""
    waiting: int = 0
    """Revisions that were recorded since `through_micros`."""
    oldest_micros: int = 0
    """When the first of them was."""
    look_micros: int = 0
    """When that was found."""
    try_micros: int = 0
    """When was exported what could be, and something waited on for the revision that it replaces."""
    batch_id: str = ""
    """The last batch that can be loaded."""


class WarehouseProgress:
    """Keeps it, in the Redis of role *jobs*. Every method raises `StorageUnavailableError` if that does not answer."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def hold(self, lane: Lane, holder: str, seconds: int) -> bool:
        """Tells whether this process may export, and for how long it alone may.

        Two may after a long pause: then a batch is written twice, and is the same.
        """
        name = job_keys.warehouse(lane.workspace, lane.destination, "lease")
        try:
            if await self._client.set(name, holder, nx=True, ex=seconds):
                return True
            if await self._client.get(name) != holder.encode():
                return False
            await self._client.expire(name, seconds)
        except redis.RedisError as error:
            raise _failed(error) from error
        return True

    async def release(self, lane: Lane, holder: str) -> None:
        """Lets another process go on at once, if this one held it."""
        name = job_keys.warehouse(lane.workspace, lane.destination, "lease")
        try:
            if await self._client.get(name) == holder.encode():
                await self._client.delete(name)
        except redis.RedisError as error:
            raise _failed(error) from error

    async def read(self, lane: Lane) -> WarehousePlace:
        """Returns how far it is."""
        try:
            held = await self._client.hgetall(job_keys.warehouse(lane.workspace, lane.destination, "progress"))
        except redis.RedisError as error:
            raise _failed(error) from error
        said = {name.decode(): value.decode() for name, value in held.items()}
        batch_id = said.pop("batch_id", "")
        return WarehousePlace(**{name: int(value) for name, value in said.items()}, batch_id=batch_id)

    async def note(self, lane: Lane, place: WarehousePlace) -> None:
        """Notes how far it is; may run twice."""
        try:
            await self._client.hset(
                job_keys.warehouse(lane.workspace, lane.destination, "progress"), mapping=asdict(place)
            )
        except redis.RedisError as error:
            raise _failed(error) from error


def _failed(error: redis.RedisError) -> TributaryError:
    return translate(error, "jobs", "The store of delivery jobs did not answer; nothing is exported until it does.")
