"""Paths that converted: how published conversions changed the counts, added up once each.

A change is noted in the step that publishes its conversion (`publish_conversions`), and added up here, many together,
in one step with its being dropped. So a conversion is counted with its own compare-and-set, and crediting pays for
nothing but the note. Fails closed.
"""

from __future__ import annotations

from typing import Final

import redis.asyncio

from tributary_domain.path_counts import PathCounts
from tributary_storage.codec.counted_paths import conversion_changes, counts_by_name
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import Call, failed, run

_FOLD: Final = Script("fold_paths")


class ConvertedPaths:
    """The counts of conversions' paths in the state store. Every method may run twice, in several processes at once.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    async def fold(self, at_most: int) -> int:
        """Adds noted changes up, the oldest first.

        Args:
            at_most: Of each shard.

        Returns:
            How many changes were found.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.get(keys.path_changes_done(shard))  # before the changes: who is overtaken must learn of it
        for shard in range(self._shards):
            pipeline.lrange(keys.path_changes(shard), 0, at_most - 1)
        try:
            answers = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        calls: list[Call] = []
        for shard, noted in enumerate(answers[self._shards :]):
            if noted:
                names: list[Argument] = [keys.path_changes(shard)]
                arguments: list[Argument] = [answers[shard] or b"0", len(noted)]
                for workspace, changes in conversion_changes(noted).items():
                    names.append(keys.converted_paths(shard, workspace))
                    arguments += [len(changes), *(part for change in changes.items() for part in change)]
                calls.append((names, arguments))
        await run(self._client, _FOLD, calls)
        return sum(map(len, answers[self._shards :]))

    async def progress(self) -> tuple[int, int]:
        """Returns how many changes were ever noted, and how many of these are added up.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.llen(keys.path_changes(shard))
            pipeline.get(keys.path_changes_done(shard))
        try:
            answers = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        added = sum(int(done or 0) for done in answers[1::2])
        return added + sum(answers[::2]), added

    async def counts(self, workspace: str) -> dict[str, PathCounts]:
        """Returns what was added up of a workspace, by conversion name.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.hgetall(keys.converted_paths(shard, workspace))
        try:
            answers: list[dict[bytes, bytes]] = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        return counts_by_name((field, int(count)) for answer in answers for field, count in answer.items())
