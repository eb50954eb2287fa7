"""People as paths: who may have another path than he is counted as, and as what path each is counted.

Whoever is marked, by any of his identifiers, is handed out in a while, however often he is marked until then, and stays
marked until he is counted.
What a person is counted as and the counts change in one step and lie in one shard, so that neither a crash nor a second
worker counts anybody twice. Fails closed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import redis.asyncio

from tributary_domain.path_counts import PathCounts
from tributary_domain.shards import shard_of_key
from tributary_storage.codec.counted_paths import counts_by_name, person_changes
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import Call, Piece, failed, in_calls, run
from tributary_storage.redis.ties import Place

_MARK: Final = Script("mark_people")
_TAKE: Final = Script("take_people")
_COUNT: Final = Script("count_people")

_LEASE_SECONDS: Final = 60
"""How much longer than the delay somebody has: so that a new mark always shows."""
_EVER: Final = 1 << 52
"""Whose lease ends then, holds whom nobody else does."""


class HeldPerson(NamedTuple):
    """A person who was handed out by one of his identifiers."""

    workspace: str
    token: str
    """The identifier."""
    lease: int
    """Until when, seconds since 1970 by Redis."""
    counted: bytes
    """As what path he is counted under this identifier (`codec.counted_paths`); empty: as none."""

    @property
    def place(self) -> Place:
        """Returns whose it is."""
        return self.workspace, self.token


class PersonPaths:
    """The paths of people in the state store. Every method may run twice, and at once in several processes.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
        delay_seconds: How long a mark waits for more.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int, delay_seconds: int) -> None:
        self._client = client
        self._shards = shards
        self._delay_seconds = delay_seconds

    async def mark(self, people: Iterable[Place]) -> None:
        """Notes that people may have other paths now; durable on return.

        Args:
            people: An identifier of each.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        by_shard: dict[int, list[Argument]] = {}
        for workspace, token in people:
            name = f"{workspace}|{token}"
            by_shard.setdefault(self._shard(name), [self._delay_seconds]).append(name)
        calls: list[Call] = [([keys.path_due(shard)], arguments) for shard, arguments in by_shard.items()]
        await run(self._client, _MARK, calls)

    async def take(self, at_most: int) -> list[HeldPerson]:
        """Returns people whose path may have changed; they are this caller's for a while.

        Args:
            at_most: Of each shard.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        lease = self._delay_seconds + _LEASE_SECONDS
        calls: list[Call] = [([keys.path_due(shard)], (at_most, lease)) for shard in range(self._shards)]
        answers = await run(self._client, _TAKE, calls)
        names = [(int(until), name.decode()) for until, people in answers for name in people]
        if not names:
            return []
        counted = await self._counted([name for _, name in names])
        held = []
        for (until, name), path in zip(names, counted, strict=True):
            workspace, _, token = name.partition("|")
            held.append(HeldPerson(workspace, token, until, path))
        return held

    async def take_back(self, people: Collection[Place]) -> None:
        """Takes back as what path people are counted, each once, and forgets that they are marked.

        For whoever has destroyed their journeys before: whom somebody holds with that of before, he counts no more. Of
        whom anything is there since has to be marked after this.

        Args:
            people: Each by every identifier he may be counted under.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        names = [f"{workspace}|{token}" for workspace, token in people]
        is_done = not names
        while not is_done:
            for name in names:  # whatever lease somebody has of him is over
                await self._ask(self._client.zadd(keys.path_due(self._shard(name)), {name: _EVER}))
            counted = await self._counted(names)
            held = [HeldPerson(*place, _EVER, path) for place, path in zip(people, counted, strict=True)]
            is_done = await self.count([(person, b"") for person in held], 0) == len(held)  # else one was counted anew

    async def due_span(self) -> tuple[int, int]:
        """Returns when whoever waits is looked at first, and last, seconds since 1970; a held one shows too.

        Returns:
            Both 0 if nobody waits.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.zrange(keys.path_due(shard), 0, 0, withscores=True)
            pipeline.zrevrangebyscore(keys.path_due(shard), f"({_EVER}", 0, start=0, num=1, withscores=True)
        try:
            found = [int(score) for ends in await pipeline.execute() for _, score in ends]
        except redis.RedisError as error:
            raise failed(error) from error
        return min(found, default=0), max(found, default=0)

    async def count(self, people: Sequence[tuple[HeldPerson, bytes]], life_seconds: int) -> int:
        """Counts people as the paths they are now, and forgets that they were marked before they were handed out.

        Args:
            people: Each with his path as packed; empty: he is none.
            life_seconds: How long it is known as what path they are counted.

        Returns:
            How many were counted; the others are somebody else's by now.

        Raises:
            StorageUnavailableError: The state store did not answer; they are handed out again.
        """
        pieces = []
        for held, path in people:
            name = f"{held.workspace}|{held.token}"
            shard = self._shard(name)
            changes = person_changes(held.counted, path)
            flat = (part for change in changes.items() for part in change)
            arguments = (name, held.lease, held.counted, path, len(changes), *flat)
            key, beside = keys.person_path(shard, name), keys.person_paths(shard, held.workspace)
            pieces.append(Piece(shard, key, arguments, beside))
        calls, _ = in_calls(pieces, (life_seconds,), first_key=keys.path_due)
        return sum(await run(self._client, _COUNT, calls))

    async def counts(self, workspace: str) -> dict[str, PathCounts]:
        """Returns the counts of people: for every name under `EVERY_NAME`, and what a name takes back under it.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.hgetall(keys.person_paths(shard, workspace))
        try:
            answers: list[dict[bytes, bytes]] = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        return counts_by_name((field, int(count)) for answer in answers for field, count in answer.items())

    async def _counted(self, names: Sequence[str]) -> list[bytes]:
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.get(keys.person_path(self._shard(name), name))
        try:
            return [answer or b"" for answer in await pipeline.execute()]
        except redis.RedisError as error:
            raise failed(error) from error

    def _shard(self, name: str) -> int:
        return shard_of_key(name, self._shards)

    async def _ask(self, answer: Any) -> Any:
        try:
            return await answer
        except redis.RedisError as error:
            raise failed(error) from error
