"""Redis Cluster behind the interface of one Redis: each command goes to the node that has its slot.

The one rule: nothing is sent twice but what a node said it has not run (MOVED, ASK, TRYAGAIN). All keys of a script
carry one hash tag, so it runs on one node; commands of several shards become one pipeline per node. Each node has a
client of its own, made as on a single Redis: its pool, its time-outs, its check of new connections. Reading a group
over streams of several slots, which Redis Cluster has not, is a read per stream, repeated while it may block. A node
that hangs is waited for once, then asked again only now and then (`silence`): the others' shards go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import redis.asyncio
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from tributary_storage.redis.cluster_addresses import Addresses
from tributary_storage.redis.cluster_silence import AWAY, NODE_SECONDS, Silence
from tributary_storage.redis.cluster_slots import Node, key_of, name_of, slot_map, slot_of, words_of

_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.05
LEARN_SECONDS: Final = 1.0
"""How long a node may take to say where slots are."""
_POLL_SECONDS: Final = 0.02
"""Between reads of streams that hold nothing new."""

_KEYLESS: Final = frozenset({"TIME", "PING", "CONFIG", "INFO", "WAIT", "CLUSTER", "DBSIZE"})
_EVERYWHERE: Final = frozenset({"SCRIPT", "FLUSHALL", "FLUSHDB"})


class ClusterRedis(redis.asyncio.Redis):
    """A cluster, used as a `redis.asyncio.Redis`.

    Args:
        addresses: Where it is.
        open_node: Makes the client of one node from its URL; nothing connects yet.
    """

    def __init__(self, addresses: Addresses, open_node: Callable[[str], redis.asyncio.Redis]) -> None:
        self._addresses = addresses
        self._open_node = open_node
        self._clients: dict[Node, Any] = {}  # whose stubs are half untyped
        self._slots: list[Node] = []
        self._learning = asyncio.Lock()
        self.silence = Silence()
        """Which nodes do not answer."""
        self.single_connection_client = False
        self.connection: Any = None

    # -- where things are ---------------------------------------------------------------------------------------------

    async def node_of(self, key: Any) -> Any:
        """Returns the client of the node that has a key's slot, as far as is known.

        Raises:
            redis.RedisError: No node answers, or nobody has the slot.
        """
        if not self._slots:
            await self.learn()
        node = self._slots[slot_of(key)]
        if not node:
            await self.learn()
            node = self._slots[slot_of(key)]
            if not node:
                raise ClusterDownError("no node has the slot")
        return self._client(node)

    async def primaries(self) -> list[Any]:
        """Returns a client per node that has slots."""
        if not self._slots:
            await self.learn()
        return [self._client(node) for node in dict.fromkeys(self._slots) if node]

    async def ask_each(self, ask: Callable[[Any], Awaitable[Any]]) -> list[Any]:
        """Asks each node that has slots, all at once; returns an answer, or a `redis.RedisError`, per node."""

        async def one(node: Any) -> Any:
            try:
                return await self.silence.ask(node, partial(ask, node), NODE_SECONDS)
            except redis.RedisError as error:
                return error

        return await asyncio.gather(*map(one, await self.primaries()))

    def forget(self) -> None:
        """Asks anew where slots are before the next command: a node said that it is not as we thought."""
        self._slots = []

    async def learn(self) -> None:
        """Asks the nodes, until one answers, which has which slots.

        Raises:
            redis.RedisError: None answers.
        """
        async with self._learning:
            failure: Exception = redis.ConnectionError("the cluster has no nodes")
            for node in dict.fromkeys([*self._clients, *self._addresses.first]):
                client = self._client(node)
                try:
                    told = await self.silence.ask(
                        client, partial(client.execute_command, "CLUSTER SLOTS"), LEARN_SECONDS
                    )
                except redis.RedisError as error:
                    failure = error
                    self._clients[node] = self._clients.pop(node)  # asked last from now on
                    continue
                self._slots = slot_map(told, node)
                return
            raise failure

    def _client(self, node: Node) -> Any:
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = self._open_node(self._addresses.url(node))
        return client

    # -- commands -----------------------------------------------------------------------------------------------------

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Runs a command on the node, or the nodes, that it is for."""
        name = name_of(args)
        if name in _EVERYWHERE:
            told = await self.ask_each(lambda node: node.execute_command(*args, **options))
            answers = [one for one in told if not isinstance(one, redis.RedisError)]
            if not answers or (name != "SCRIPT" and len(answers) < len(told)):  # who lacks a script is told it later
                raise next(one for one in told if isinstance(one, redis.RedisError))
            return answers[0]
        if name in _KEYLESS:
            return await self._run_on_any(args, options)
        if name == "XREADGROUP":
            return await self._read_group(args, options)
        return await self.run_on(key_of(args), args, options)

    async def run_on(self, key: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Runs a command with a key, following the cluster where it says that the slot is elsewhere."""
        for attempt in range(_ATTEMPTS):
            client = await self._node_or_forget(key)
            try:
                return await self.silence.ask(client, partial(client.execute_command, *args, **options))
            except AskError as ask:
                return await self._ask(f"{ask.host}:{ask.port}", args, options)
            except (MovedError, TryAgainError, ClusterDownError) as moved:
                self.forget()
                if attempt == _ATTEMPTS - 1:
                    raise
                if not isinstance(moved, MovedError):
                    await asyncio.sleep(_PAUSE_SECONDS)
            except (redis.ConnectionError, redis.TimeoutError):
                self.forget()  # whether it ran is unknown: the caller decides, and finds another node
                raise
        raise AssertionError  # unreachable: the last attempt returns or raises

    async def _run_on_any(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Runs a command that any node can answer, on the first that does."""
        failure: redis.RedisError = redis.ConnectionError("the cluster has no nodes")
        for client in await self.primaries():
            try:
                return await self.silence.ask(client, partial(client.execute_command, *args, **options))
            except (redis.ConnectionError, redis.TimeoutError) as error:
                failure = error
        self.forget()
        raise failure

    async def _node_or_forget(self, key: Any) -> Any:
        try:
            return await self.node_of(key)
        except redis.RedisError:
            self.forget()
            raise

    async def _ask(self, node: Node, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Runs a command on the node that a slot is just moving to."""
        pipeline = self._client(node).pipeline(transaction=False)
        pipeline.execute_command("ASKING")
        pipeline.execute_command(*args, **options)
        return (await pipeline.execute())[1]

    async def _read_group(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        words = words_of(args)
        at = words.index("STREAMS")
        names = args[at + 1 :]
        streams, ids = names[: len(names) // 2], names[len(names) // 2 :]
        head, block_millis = list(args[:at]), 0
        if "BLOCK" in words[:at]:
            place = words.index("BLOCK")
            block_millis = int(head[place + 1])
            del head[place : place + 2]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + block_millis / 1000
        while True:
            pipeline = self.pipeline(transaction=False)
            for stream, entry_id in zip(streams, ids, strict=True):
                pipeline.execute_command(*head, "STREAMS", stream, entry_id, **options)
            answers = await pipeline.execute(raise_on_error=False)
            found = [part for answer in answers if answer and not isinstance(answer, Exception) for part in answer]
            failed = [answer for answer in answers if isinstance(answer, Exception)]
            if found:  # what a stream that failed has to say is said again by the next read
                return found
            if len(failed) == len(answers) or not all(isinstance(one, AWAY) for one in failed):
                raise failed[0]
            if loop.time() + _POLL_SECONDS > deadline:
                return []
            await asyncio.sleep(_POLL_SECONDS)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Returns a pipeline; never a transaction, which a cluster has only within a slot."""
        return ClusterPipeline(self)

    async def scan_iter(self, *args: Any, **options: Any) -> AsyncIterator[Any]:  # type: ignore[override]  # typed as the blocking one
        """Yields the keys of every node."""
        for client in await self.primaries():
            async for key in client.scan_iter(*args, **options):
                yield key

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Closes every node's connections."""
        for client in self._clients.values():
            await client.aclose()
            await client.connection_pool.disconnect()

    def __del__(self, *_: Any) -> None:  # the base class's looks for a connection that there is not
        return


class ClusterPipeline(redis.asyncio.Redis):
    """Commands that are sent together, one pipeline per node.

    Args:
        cluster: Whose.
    """

    def __init__(self, cluster: ClusterRedis) -> None:
        self._cluster = cluster
        self._commands: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Adds a command."""
        self._commands.append((args, options))
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Sends all and returns the answers in order; without `raise_on_error` an answer may be an exception.

        Raises:
            redis.RedisError: The first that failed, with `raise_on_error`.
        """
        commands, self._commands = self._commands, []
        answers: list[Any] = [None] * len(commands)
        groups: dict[int, tuple[redis.asyncio.Redis, list[int]]] = {}
        for at, (args, _) in enumerate(commands):
            try:
                client = await self._client_of(args)
            except redis.RedisError as error:
                answers[at] = error
                continue
            groups.setdefault(id(client), (client, []))[1].append(at)
        await asyncio.gather(*[self._send(client, commands, places, answers) for client, places in groups.values()])
        for at, answer in enumerate(answers):
            if isinstance(answer, (MovedError, AskError, TryAgainError, ClusterDownError)):  # not run: once more, alone
                if not isinstance(answer, AskError):
                    self._cluster.forget()
                args, options = commands[at]
                try:
                    answers[at] = await self._cluster.run_on(key_of(args), args, options)
                except redis.RedisError as error:
                    answers[at] = error
        failed = [answer for answer in answers if isinstance(answer, Exception)]
        if failed and raise_on_error:
            raise failed[0]
        return answers

    async def _client_of(self, args: tuple[Any, ...]) -> Any:
        if name_of(args) in _KEYLESS:
            return (await self._cluster.primaries())[0]
        return await self._cluster.node_of(key_of(args))

    async def _send(
        self,
        client: redis.asyncio.Redis,
        commands: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
        places: Sequence[int],
        answers: list[Any],
    ) -> None:
        pipeline = client.pipeline(transaction=False)
        for at in places:
            args, options = commands[at]
            pipeline.execute_command(*args, **options)
        try:
            found = await self._cluster.silence.ask(client, partial(pipeline.execute, raise_on_error=False))
        except redis.RedisError as error:
            self._cluster.forget()
            found = [error] * len(places)
        for at, answer in zip(places, found, strict=True):
            answers[at] = answer

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Nothing to close: the connections are the cluster's."""

    def __del__(self, *_: Any) -> None:
        return

    def __len__(self) -> int:
        return len(self._commands)

    def __bool__(self) -> bool:
        return True
