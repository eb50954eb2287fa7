"""Waits until replicas have what was written: what makes work safe where durability is `replicated`.

The one rule: replicas follow one stream of writes in order, so who has a later write has all before it, whoever wrote
them. One mark, written and waited for after the work and before it is acknowledged, covers all of it; on a cluster, one
on each node. Fails closed.

| acknowledged                    | in role | who waits, and for how many                                        |
|---------------------------------|---------|--------------------------------------------------------------------|
| events, to their callers        | log     | `Claims`, in each commit: TRIBUTARY_DEDUP_REPLICAS                 |
| events, on the event log        | state   | worker `attribute`, before XACK: TRIBUTARY_ATTRIBUTION_REPLICAS    |
| match keys, to events' callers   | state   | `DataKeys`, before a new key is used: TRIBUTARY_INGESTION_REPLICAS |
| revisions, on the conversion log| jobs    | worker `deliver`, before XACK: TRIBUTARY_DELIVERY_REPLICAS         |
| attempts, before they are made  | jobs    | each lane, the same number                                         |

What is acknowledged to a log itself need not be waited for: an acknowledgement that is lost is work done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.cluster_nodes import asked, by_node, note, primaries
from tributary_storage.redis.epoch import Role

_MARKS: Final = 64
"""Tried for one in a slot of each node of a cluster."""


class Replication:
    """What was written to one Redis before, on replicas.

    Args:
        client: Of the role.
        role: Which.
        replicas: How many must have it; 0: none, then nothing is waited for.
        timeout_seconds: How long to wait.
    """

    def __init__(self, client: redis.asyncio.Redis, role: Role, replicas: int, *, timeout_seconds: float = 1.0) -> None:
        self._client: Any = client
        self._role = role
        self._replicas = replicas
        self._timeout_millis = int(timeout_seconds * 1000)

    async def settle(self) -> None:
        """Returns when enough replicas have all that was written before this call.

        Raises:
            StorageUnavailableError: They have not, in time, or Redis did not answer; ask again.
        """
        if not self._replicas:
            return
        try:
            answers = await asyncio.gather(*[self._reached(*one) for one in await self._marks()])
        except redis.RedisError as error:
            answers = [error]
        self._require(answers)

    async def settled(self, written: Sequence[str]) -> list[bool]:
        """Tells of each key whether enough replicas have what was written to it before this call.

        A node of a cluster that does not answer, or lacks replicas, costs its own keys alone.

        Args:
            written: The keys.

        Raises:
            StorageUnavailableError: They have nothing of all that, in time, or Redis did not answer; ask again.
        """
        if not self._replicas or not written:
            return [True] * len(written)
        try:
            groups = await by_node(self._client, written)
            marks = {id(node): mark for node, mark in await self._marks()}
            answers = await asyncio.gather(*[self._reached(node, marks.get(id(node))) for node, _ in groups])
        except redis.RedisError as error:
            groups, answers = [], [error]
        found = [False] * len(written)
        for (_, places), answer in zip(groups, answers, strict=False):
            for at in places:
                found[at] = isinstance(answer, int) and answer >= self._replicas
        if not any(found):
            self._require(answers)
        note(self._client, answers)
        return found

    def _require(self, answers: Sequence[int | redis.RedisError]) -> None:
        failures = [answer for answer in answers if isinstance(answer, redis.RedisError)]
        if failures:
            note(self._client, failures)  # a slot may have moved
            raise StorageUnavailableError("Redis did not answer.", metadata={"store": self._role}) from failures[0]
        reached = min(answer for answer in answers if isinstance(answer, int))
        if reached < self._replicas:
            message = f"{reached} of {self._replicas} replicas have what was written."
            raise StorageUnavailableError(message, metadata={"store": self._role})

    async def _reached(self, node: Any, mark: str | None) -> int | redis.RedisError:
        """Returns how many replicas of a node have what was written before."""
        if mark is None:
            return redis.RedisError("The slots of the cluster moved meanwhile.")

        async def ask() -> int:
            pipeline = node.pipeline(transaction=False)  # one connection: WAIT is for what was written on it
            pipeline.execute_command("SET", mark, 1)
            pipeline.execute_command("WAIT", self._replicas, self._timeout_millis)
            return int((await pipeline.execute())[1])

        try:
            return int(await asked(self._client, node, ask))
        except redis.RedisError as error:
            return error

    async def _marks(self) -> list[tuple[Any, str]]:
        """Returns every node that takes writes, each with a mark that it has the slot of."""
        nodes = await primaries(self._client)
        if len(nodes) == 1:
            return [(nodes[0], keys.replicated(self._role))]
        for most in (_MARKS, 64 * _MARKS):  # who has few slots may have none of the first
            marks = [keys.replicated(f"{self._role}:{number}") for number in range(most)]
            groups = await by_node(self._client, marks)
            if len(groups) >= len(nodes):
                return [(node, marks[places[0]]) for node, places in groups]
        raise redis.RedisError("A node of the cluster has too few slots to be waited for.")
