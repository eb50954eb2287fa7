"""One Redis client per role and purpose: its own connections, its own time-outs, no retries of its own.

A retry of a lost reply would turn ACCEPTED into DUPLICATE unseen, so the library's retries are off everywhere and the
callers decide.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


@asynccontextmanager
async def connect(
    url: str,
    *,
    name: str,
    timeout_seconds: float = 5.0,
    connections: int = 16,
) -> AsyncIterator[redis.asyncio.Redis]:
    """Opens a client that waits for a free connection instead of raising, and closes it on exit.

    Connects lazily: a Redis that is down shows at the first command, as `redis.RedisError`, which adapters translate.

    Args:
        url: `redis://` or `rediss://` URL of the role.
        name: What CLIENT LIST shows, "dedup-log".
        timeout_seconds: How long one command may take, and how long to wait for a free connection.
        connections: How many connections at most.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=min(timeout_seconds, 2.0),
        retry=Retry(NoBackoff(), 0),
        client_name=name,
        protocol=2,
        health_check_interval=0,
    )
    client = redis.asyncio.Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.disconnect()
