"""Paths that were counted in another life of the store, added up again from what ClickHouse has recorded.

The one rule: page by page, each once, whoever does it and however often: what a page adds is noted with what it added.
Fails closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import redis.asyncio

from tributary_domain.shards import shard_of_key
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import run

_ADD: Final = Script("add_paths_once")
_NOTED_SECONDS: Final = 30 * 86_400
"""How long it is known that a page was added: longer than anybody takes from adding it to noting how far he is."""


class OldPaths:
    """Adds to the counts of paths in the state store. Every method may run twice, and at once in several processes.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    async def add_converted(self, workspace: str, page: str, changes: Mapping[bytes, int]) -> None:
        """Adds paths that converted.

        Args:
            workspace: Whose.
            page: Names the page, and after which loss.
            changes: Field of the counts -> by how much.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        shard = shard_of_key(page, self._shards)
        names = keys.converted_paths(shard, workspace), keys.added_converted(shard, workspace, page)
        await self._add(names, changes)

    async def add_people(self, workspace: str, page: str, changes: Mapping[bytes, int]) -> None:
        """Adds paths that led nowhere; as `add_converted`."""
        shard = shard_of_key(page, self._shards)
        names = keys.person_paths(shard, workspace), keys.added_people(shard, workspace, page)
        await self._add(names, changes)

    async def _add(self, names: Sequence[str], changes: Mapping[bytes, int]) -> None:
        if changes:
            flat: list[Argument] = [part for change in changes.items() for part in change]
            await run(self._client, _ADD, [(names, [_NOTED_SECONDS, *flat])])
