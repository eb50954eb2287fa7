"""One Redis client per role and purpose: its own connections, its own time-outs, no retries of its own.

A retry of a lost reply would turn ACCEPTED into DUPLICATE unseen, so the library's retries are off everywhere and the
callers decide.
"""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tributary_runtime.errors import TributaryError
from tributary_runtime.gate import Gate
from tributary_storage.redis.cluster import ClusterRedis
from tributary_storage.redis.cluster_addresses import Addresses, is_cluster
from tributary_storage.redis.cluster_nodes import ask_each

Redis = redis.asyncio.Redis
"""What `connect` opens."""

Confirm = Callable[[str], Awaitable[None]]
"""Is told the run id of the server that a new connection was made to; raises `TributaryError` unless it may be used."""

_RUN_ID: Final = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


@asynccontextmanager
async def connect(
    url: str,
    *,
    name: str,
    timeout_seconds: float = 5.0,
    connections: int = 16,
    confirm: Confirm | None = None,
    gate: Gate | None = None,
) -> AsyncIterator[redis.asyncio.Redis]:
    """Opens a client that waits for a free connection instead of raising, and closes it on exit.

    Connects lazily: a Redis that is down shows at the first command, as `redis.RedisError`, which adapters translate.

    Args:
        url: `redis://` or `rediss://` URL of the role, or `redis+cluster://host:port,host:port` (`rediss+cluster://`).
        name: What CLIENT LIST shows, "dedup-log".
        timeout_seconds: How long one command may take, and how long to wait for a free connection.
        connections: How many connections at most; to each node of a cluster.
        confirm: Asked once per connection, whenever one is made, before its first command.
        gate: While it is closed no command is run: each fails as if the server did not answer. None for the clients of
            the guards themselves, and of who may read whatever is there.
    """

    def open_one(node_url: str) -> redis.asyncio.Redis:
        pool: _GatedPool = _GatedPool.from_url(
            node_url,
            max_connections=connections,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=min(timeout_seconds, 2.0),
            retry=Retry(NoBackoff(), 0),
            client_name=name,
            protocol=2,
            health_check_interval=0,
            redis_connect_func=None if confirm is None else _greeting(confirm),
        )
        pool.gate = gate
        kind: Any = pool.connection_class  # with TLS or without
        pool.connection_class = _reset_when_closed(kind)
        return redis.asyncio.Redis(connection_pool=pool)

    if is_cluster(url):
        cluster = ClusterRedis(Addresses(url), open_one)
        try:
            yield cluster
        finally:
            await cluster.aclose()
        return
    client = open_one(url)
    try:
        yield client
    finally:
        await client.aclose()
        await client.connection_pool.disconnect()


@cache
def _reset_when_closed(kind: type[Any]) -> type[Any]:
    """Returns a kind of connection to which one that was closed is one that was reset.

    uvloop raises RuntimeError where the server closed it a moment before a command is written, which nobody takes for
    an outage; asyncio's own loop says what is raised here.
    """

    class Connection(kind):  # type: ignore[misc]
        async def _send_packed_command(self, command: Iterable[bytes]) -> None:
            try:
                await super()._send_packed_command(command)
            except RuntimeError as error:
                raise ConnectionResetError(errno.ECONNRESET, "The connection was closed.") from error

    return Connection


class _GatedPool(redis.asyncio.BlockingConnectionPool):
    """A pool that gives out no connection while the gate is closed."""

    gate: Gate | None = None
    _waiting = 0

    async def get_connection(self, *arguments: Any, **options: Any) -> Any:
        if self.gate is not None and self.gate.closed is not None:
            raise redis.ConnectionError(f"Not asked, for a guard refuses: {self.gate.why}")
        connection = await self._take(*arguments, **options)
        if self.gate is not None and self.gate.closed is not None:  # closed while we waited for one
            await self.release(connection)
            raise redis.ConnectionError(f"Not asked, for a guard refuses: {self.gate.why}")
        return connection

    async def _take(self, *arguments: Any, **options: Any) -> Any:
        """Takes a connection: at once where one is free and nobody waits, for the library's queue is dear."""
        if self._waiting or not self.can_get_connection():
            self._waiting += 1
            try:
                return await super().get_connection(*arguments, **options)  # type: ignore[no-untyped-call]
            finally:
                self._waiting -= 1
        connection: Any = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection


def _greeting(confirm: Confirm) -> Callable[[Any], Awaitable[None]]:
    """Returns what a connection does when it is made: the usual, then it asks whether it may be used."""

    async def greet(connection: Any) -> None:
        try:
            await connection.on_connect()
            await connection.send_command("INFO", "server")
            run = _RUN_ID.search(await connection.read_response())
            await confirm(run[1].decode() if run else "")
        except BaseException as error:
            await connection.disconnect(nowait=True)  # also when it was cut short: it would count as confirmed
            if isinstance(error, TributaryError):
                raise redis.ConnectionError(error.message) from error
            raise

    return greet


async def read_answering_runs(client: redis.asyncio.Redis) -> tuple[set[str], bool]:
    """Returns what names this run of the server, or of each node of a cluster that answers, and whether all do.

    Raises:
        redis.RedisError: None did.
    """
    told = await ask_each(client, lambda node: node.info("server"))
    found = [one for one in told if not isinstance(one, redis.RedisError)]
    if not found:
        raise told[0]
    return {str(one.get("run_id", "")) for one in found} - {""}, len(found) == len(told)


async def read_run_ids(client: redis.asyncio.Redis) -> set[str]:
    """Returns what names this run of the server, or of each node of a cluster, another after each restart.

    Raises:
        redis.RedisError: It did not answer, or a node did not.
    """
    found, is_whole = await read_answering_runs(client)
    if not is_whole:
        raise redis.ConnectionError("A node of the cluster does not answer.")
    return found


async def read_run_id(client: redis.asyncio.Redis) -> str:
    """Returns one name for this run of the server, or of all nodes of a cluster: another after any restart.

    Raises:
        redis.RedisError: It did not answer.
    """
    return name_of_runs(await read_run_ids(client))


def name_of_runs(runs: Iterable[str]) -> str:
    """Returns one name for the runs of all nodes."""
    return "+".join(sorted(runs))


def runs_of_name(name: str) -> set[str]:
    """Returns the runs that `name_of_runs` named.

    >>> sorted(runs_of_name(name_of_runs({"b", "a"})))
    ['a', 'b']
    """
    return {*name.split("+")} - {""}
