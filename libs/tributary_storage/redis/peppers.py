"""A check value of every workspace's pepper: whether this is still the one that its identity tokens were made with.

The one rule: the first pepper that a workspace was used with stays. Its check value tells nobody what it is.
"""

from __future__ import annotations

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys


class Peppers:
    """Remembers check values.

    Args:
        client: Of the role *state*.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def first(self, workspace: str, check: str) -> str:
        """Remembers a check value, unless there is one; returns the one that holds. May run twice.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hsetnx(keys.PEPPERS, workspace, check)
        pipeline.hget(keys.PEPPERS, workspace)
        try:
            _, held = await pipeline.execute()
        except redis.RedisError as error:
            raise StorageUnavailableError("The state store did not answer.", metadata={"store": "state"}) from error
        return str(held.decode())
