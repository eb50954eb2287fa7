"""The verdict counters: what the claim scripts counted, per workspace.

The one rule: only the scripts count, in the same step in which they claim and append.
"""

from __future__ import annotations

from typing import Any

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys


async def read_verdicts(client: redis.asyncio.Redis, shards: int, workspace: str = "") -> dict[str, dict[str, int]]:
    """Sums the counters of all shards.

    Args:
        client: Of the role *log*.
        shards: Of the epoch.
        workspace: Of which one; empty: of all.

    Returns:
        Workspace to verdict (`ACCEPTED`, `DUPLICATE`, `CONFLICT`, `REJECTED`, `QUARANTINED`) to events. A merged
        observation counts as DUPLICATE.

    Raises:
        StorageUnavailableError: Redis did not answer.
    """
    totals: dict[str, dict[str, int]] = {}
    for shard in range(shards):
        try:
            counters: Any = await client.hgetall(keys.verdicts(shard))
        except redis.RedisError as error:
            raise StorageUnavailableError("The event log did not answer.", metadata={"store": "log"}) from error
        for name, count in counters.items():
            owner, _, verdict = name.decode().rpartition("|")
            if workspace in ("", owner):
                verdicts = totals.setdefault(owner, {})
                verdicts[verdict] = verdicts.get(verdict, 0) + int(count)
    return totals
