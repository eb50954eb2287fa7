"""A real Redis Cluster of three local servers, for tests that run on it what runs on one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import redis.asyncio

from tests.support.eventually import eventually_async
from tests.support.ports import free_cluster_port
from tests.support.stores import run_apart
from tributary_cli.stack.redis_server import RedisServer

NODES = 3
_SLOTS = 16_384


class Cluster:
    """Running servers that share the slots evenly."""

    def __init__(self, servers: list[RedisServer]) -> None:
        self.servers = servers
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)

    async def join(self) -> None:
        """Makes one cluster of the servers, and waits until each knows it."""
        clients = [redis.asyncio.Redis.from_url(server.url) for server in self.servers]
        try:
            for number, client in enumerate(clients):
                first, last = number * _SLOTS // NODES, (number + 1) * _SLOTS // NODES
                await client.execute_command("CLUSTER ADDSLOTS", *range(first, last))
                await client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            for client in clients[1:]:
                await client.execute_command("CLUSTER MEET", "127.0.0.1", self.servers[0].port)
        finally:
            for client in clients:
                await client.aclose()
        await self.settle()

    async def settle(self) -> None:
        """Waits until every node knows all the others, and that all slots are served."""

        async def is_whole() -> None:
            for server in self.servers:
                async with redis.asyncio.Redis.from_url(server.url) as client:
                    told: Any = await client.execute_command("CLUSTER INFO")
                assert (told["cluster_state"], told["cluster_known_nodes"]) == ("ok", str(NODES))
                assert (told["cluster_slots_ok"], told["cluster_slots_assigned"]) == (str(_SLOTS), str(_SLOTS))

        await eventually_async(is_whole, timeout_seconds=60)

    async def configure(self, name: str, value: str) -> None:
        """Sets a setting of all nodes."""
        for server in self.servers:
            async with redis.asyncio.Redis.from_url(server.url) as client:
                await client.config_set(name, value)

    @asynccontextmanager
    async def without(self, at: int) -> AsyncIterator[RedisServer]:
        """Lets a node hang while the others go on; afterwards all is as before."""
        server = self.servers[at]
        await self.configure("cluster-require-full-coverage", "no")
        server.pause()
        try:
            yield server
        finally:
            server.resume()
            await self.settle()
            await self.configure("cluster-require-full-coverage", "yes")

    async def flush(self) -> None:
        """Empties all nodes."""
        for server in self.servers:
            async with redis.asyncio.Redis.from_url(server.url) as client:
                await client.flushall()


@contextmanager
def running_cluster(directory: Path) -> Iterator[Cluster]:
    """Starts a cluster of its own."""
    settings = {"cluster-enabled": "yes", "databases": "1", "cluster-node-timeout": "2000"}
    servers = [RedisServer(directory / f"node{number}", free_cluster_port(), settings) for number in range(NODES)]
    with ExitStack() as stopping:
        for server in servers:
            stopping.callback(server.stop)
            server.start()
        for server in servers:
            server.wait_until_ready()
        cluster = Cluster(servers)
        run_apart(cluster.join())
        yield cluster
