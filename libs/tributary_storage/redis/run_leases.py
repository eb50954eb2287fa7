"""Who is at a run of reconciliation, or at a workspace's retention: one process at a time. Fails closed.

The one rule: a lease is somebody's until its time is over or they let go; nobody is asked.
"""

from __future__ import annotations

from typing import Final

import redis.asyncio

from tributary_storage.redis import keys
from tributary_storage.redis.state_scripts import failed

RETENTION: Final = "retention"
"""What the retention of a workspace goes by, in place of the id of a run."""

SIGHTINGS: Final = "sightings"
"""Likewise the keeping of the sightings of a month, a step of it: who is erased waits for this."""


class RunLeases:
    """Keeps them, in the state store. Every method raises `StorageUnavailableError` if that does not answer.

    Args:
        client: The Redis of role state.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def hold(self, workspace: str, reconciliation_id: str, holder: str, seconds: int) -> bool:
        """Tells whether this process is at a run, and for how long it alone is.

        Args:
            workspace: Whose run.
            reconciliation_id: Which.
            holder: Names the attempt.
            seconds: Until others may.
        """
        name = keys.reconciliation_lease(workspace, reconciliation_id)
        try:
            if await self._client.set(name, holder, nx=True, ex=seconds):
                return True
            if await self._client.get(name) != holder.encode():
                return False
            return bool(await self._client.expire(name, seconds))
        except redis.RedisError as error:
            raise failed(error) from error

    async def release(self, workspace: str, reconciliation_id: str, holder: str) -> None:
        """Lets others go on at once, if this attempt held it."""
        name = keys.reconciliation_lease(workspace, reconciliation_id)
        try:
            if await self._client.get(name) == holder.encode():
                await self._client.delete(name)
        except redis.RedisError as error:
            raise failed(error) from error

    async def is_held(self, workspace: str, reconciliation_id: str) -> bool:
        """Tells whether anybody is at a run."""
        try:
            return bool(await self._client.exists(keys.reconciliation_lease(workspace, reconciliation_id)))
        except redis.RedisError as error:
            raise failed(error) from error
