"""A real Redis Cluster of local servers, for tests that run on it what runs on one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis.asyncio

from tests.support.eventually import PATIENCE_SECONDS, eventually_async
from tests.support.ports import free_cluster_port
from tests.support.stores import run_apart
from tributary_cli.stack.redis_server import RedisServer
from tributary_storage.redis.cluster_slots import SLOTS, slot_map

MASTERS = 3
_SETTINGS = {"cluster-enabled": "yes", "databases": "1", "cluster-node-timeout": "2000"}


class Cluster:
    """Running servers of which the first three share the slots evenly, and each other one follows one of those."""

    def __init__(self, servers: list[RedisServer]) -> None:
        self.servers = servers
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)

    def node(self, at: int) -> redis.asyncio.Redis:
        """Returns a plain client of a server, to be closed."""
        return redis.asyncio.Redis.from_url(self.servers[at].url, decode_responses=True)

    async def join(self) -> None:
        """Makes one cluster of the servers, and waits until each knows it and followers have all data."""
        names = []
        for at in range(len(self.servers)):
            async with self.node(at) as node:
                names.append(await node.execute_command("CLUSTER MYID"))
                if at < MASTERS:
                    first, last = at * SLOTS // MASTERS, (at + 1) * SLOTS // MASTERS
                    await node.execute_command("CLUSTER ADDSLOTS", *range(first, last))
                await node.execute_command("CLUSTER SET-CONFIG-EPOCH", at + 1)
                if at:
                    await node.execute_command("CLUSTER MEET", "127.0.0.1", self.servers[0].port)
        await self.settle()
        for at in range(MASTERS, len(self.servers)):
            async with self.node(at) as node:
                await node.execute_command("CLUSTER REPLICATE", names[at - MASTERS])
        await self.settle()

    async def settle(self) -> None:
        """Waits until the nodes know one another, agree on who has which slot, and followers have all data."""

        async def is_settled() -> None:
            owners = [await self._settled_owners(at) for at in range(len(self.servers))]
            assert all(one == owners[0] for one in owners)

        await eventually_async(is_settled)

    async def _settled_owners(self, at: int) -> list[str]:
        """Returns who has which slot as a server sees it, once it answers and knows the others."""
        server = self.servers[at]
        try:
            async with self.node(at) as node:
                told: Any = await node.execute_command("CLUSTER INFO")
                assert (told["cluster_state"], told["cluster_known_nodes"]) == ("ok", str(len(self.servers)))
                assert told["cluster_slots_ok"] == str(SLOTS)
                owners = slot_map(await node.execute_command("CLUSTER SLOTS"), f"127.0.0.1:{server.port}")
                role, *rest = await node.execute_command("ROLE")
                assert role == "master" or rest[2] == "connected"
                return owners
        except redis.ConnectionError as error:  # `start` returns before it listens
            raise AssertionError(f"{error}; its log ends with:\n{server.log_tail()}") from error

    async def owner_of(self, slot: int) -> int:
        """Returns which of the servers has a slot, as the first one that answers sees it."""
        for at in range(len(self.servers)):
            with suppress(redis.ConnectionError):
                async with self.node(at) as node:
                    owner = slot_map(await node.execute_command("CLUSTER SLOTS"), "127.0.0.1")[slot]
                    return [server.port for server in self.servers].index(int(owner.rpartition(":")[2]))
        raise AssertionError("no node answers")

    async def move(self, slot: int, target: int) -> None:
        """Moves a slot to a server with all that is in it, as `redis-cli --cluster reshard` does."""
        async with self.moving(slot, target):
            pass

    @asynccontextmanager
    async def moving(self, slot: int, target: int) -> AsyncIterator[None]:
        """Begins to move a slot, and ends it afterwards: keys that are there move at the end."""
        await self.settle()
        source = await self.owner_of(slot)
        async with self.node(source) as here, self.node(target) as there:
            from_, to = [await one.execute_command("CLUSTER MYID") for one in (here, there)]
            await there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", from_)
            await here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to)
            try:
                yield
            finally:
                while found := await here.execute_command("CLUSTER GETKEYSINSLOT", slot, 5):
                    port, patience_millis = self.servers[target].port, int(1000 * PATIENCE_SECONDS)
                    await here.execute_command("MIGRATE", "127.0.0.1", port, "", 0, patience_millis, "KEYS", *found)
                for at in (target, source, *set(range(len(self.servers))) - {target, source}):
                    async with self.node(at) as node:
                        if (await node.execute_command("ROLE"))[0] == "master":
                            await node.execute_command("CLUSTER SETSLOT", slot, "NODE", to)
        await self.settle()

    async def fail_over(self, at: int) -> None:
        """Lets a follower take the place of who it follows, with all that was written there."""
        await self.settle()
        async with self.node(at) as node:

            async def leads() -> None:
                if (await node.execute_command("ROLE"))[0] != "master":
                    with suppress(redis.ResponseError):  # it is at it
                        await node.execute_command("CLUSTER FAILOVER")
                    raise AssertionError("it follows")

            await eventually_async(leads)
        await self.settle()

    async def configure(self, name: str, value: str) -> None:
        """Sets a setting of all nodes."""
        for at in range(len(self.servers)):
            async with self.node(at) as node:
                await node.config_set(name, value)

    @asynccontextmanager
    async def disturbed(self) -> AsyncIterator[None]:
        """Lets the others go on while a node is away; afterwards all shall be as before, and is waited for."""
        await self.configure("cluster-require-full-coverage", "no")
        try:
            yield
        finally:
            await self.settle()
            await self.configure("cluster-require-full-coverage", "yes")

    @asynccontextmanager
    async def without(self, at: int) -> AsyncIterator[None]:
        """Lets a node hang while the others go on."""
        async with self.disturbed():
            self.servers[at].pause()
            try:
                yield
            finally:
                self.servers[at].resume()

    async def flush(self) -> None:
        """Empties all nodes."""
        for at in range(len(self.servers)):
            async with self.node(at) as node:
                with suppress(redis.ReadOnlyError):
                    await node.flushall()


@contextmanager
def running_cluster(
    directory: Path, followers: int = 0, settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Starts a cluster of its own; `settings` are lines of redis.conf that shall differ."""
    lines = {**_SETTINGS, **(settings or {})}
    servers = [
        RedisServer(directory / f"node{number}", free_cluster_port(), lines) for number in range(MASTERS + followers)
    ]
    with ExitStack() as stopping:
        for server in servers:
            stopping.callback(server.stop)
            server.start()
        for server in servers:
            server.wait_until_ready()
        cluster = Cluster(servers)
        run_apart(cluster.join())
        yield cluster
