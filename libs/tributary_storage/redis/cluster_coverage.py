"""Whether a cluster goes on without one of its nodes.

The one rule: promises are per shard, so the shards of other nodes must go on; Redis refuses them all unless it is told
otherwise.
"""

from __future__ import annotations

import redis.asyncio

from tributary_storage.redis.cluster import ClusterRedis
from tributary_storage.redis.cluster_nodes import ask_each
from tributary_storage.redis.epoch import Role

_SETTING = "cluster-require-full-coverage"


async def coverage_problems(client: redis.asyncio.Redis, role: Role) -> list[str]:
    """Returns what to do so that a cluster goes on without a node; nothing of a single Redis, and of one that is fine.

    Whether it answers at all is somebody else's question.
    """
    if not isinstance(client, ClusterRedis):
        return []
    try:
        told = await ask_each(client, lambda node: node.config_get(_SETTING))
    except redis.RedisError:
        return []
    answers = [next(iter(one.values()), b"") for one in told if not isinstance(one, redis.RedisError)]
    if not {b"yes", "yes"} & set(answers):
        return []
    return [f"While a node of the Redis Cluster of role {role} is away, all others refuse, too: set `{_SETTING} no`."]
