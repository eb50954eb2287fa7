"""The nodes of a Redis: of a cluster each that takes writes, of a single one itself.

For adapters that speak to connections themselves, or must hear from every node. The one rule: what holds of a node
that does not answer is said of its own shards alone (`cluster_silence`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import redis.asyncio
from redis.exceptions import AskError, ClusterDownError, MovedError

from tributary_storage.redis.cluster import ClusterRedis
from tributary_storage.redis.cluster_silence import RestingError

_ELSEWHERE: Final = (MovedError, AskError, ClusterDownError, redis.ConnectionError, redis.TimeoutError, TimeoutError)
"""What says that a slot may be elsewhere by now."""


async def primaries(client: redis.asyncio.Redis) -> list[redis.asyncio.Redis]:
    """Returns a client per node that takes writes: of a single Redis, itself.

    Raises:
        redis.RedisError: The cluster does not say.
    """
    return await client.primaries() if isinstance(client, ClusterRedis) else [client]


async def asked(
    client: redis.asyncio.Redis, node: Any, ask: Callable[[], Awaitable[Any]], usual_seconds: float | None = None
) -> Any:
    """Asks a node of a client as `Silence.ask` does; a single Redis is always asked."""
    return await client.silence.ask(node, ask, usual_seconds) if isinstance(client, ClusterRedis) else await ask()


async def ask_each(client: redis.asyncio.Redis, ask: Callable[[Any], Awaitable[Any]]) -> list[Any]:
    """Asks each node that takes writes, all at once; returns an answer, or a `redis.RedisError`, per node.

    Raises:
        redis.RedisError: The cluster does not say which nodes there are.
    """
    if isinstance(client, ClusterRedis):
        return await client.ask_each(ask)
    try:
        return [await ask(client)]
    except redis.RedisError as error:
        return [error]


async def by_node(client: redis.asyncio.Redis, keys: Iterable[Any]) -> list[tuple[redis.asyncio.Redis, list[int]]]:
    """Groups places of keys by the node that has them, each group in order: of a single Redis there is one group.

    Raises:
        redis.RedisError: The cluster does not say.
    """
    if not isinstance(client, ClusterRedis):
        return [(client, list(range(len(list(keys)))))]
    groups: dict[int, tuple[redis.asyncio.Redis, list[int]]] = {}
    for at, key in enumerate(keys):
        node = await client.node_of(key)
        groups.setdefault(id(node), (node, []))[1].append(at)
    return list(groups.values())


def note(client: redis.asyncio.Redis, answers: Iterable[Any]) -> None:
    """Asks anew where slots are, if an answer says that they are elsewhere or a node is gone."""
    if isinstance(client, ClusterRedis) and any(
        isinstance(answer, _ELSEWHERE) and not isinstance(answer, RestingError) for answer in answers
    ):
        client.forget()
