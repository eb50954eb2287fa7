"""Counters of conversions per sender, in sliding windows, in the state store.

State and not log: a counter may be lost, and must not share the disk's time with what is acknowledged. About 100 bytes
per sender and name, for the length of the window. Fails open: who asks lets pass what was not answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import redis.asyncio

from tributary_domain.velocity import Count
from tributary_storage.redis import keys
from tributary_storage.redis.epoch import require_epoch
from tributary_storage.redis.scripts import Script
from tributary_storage.redis.state_scripts import Piece, in_calls, run_some

_COUNT: Final = Script("count_velocity")


class Velocity:
    """The counters; they need no state store until first asked.

    Args:
        client: The Redis of role state.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._shards = 0

    async def exceeded(self, counts: Sequence[Count]) -> list[bool | None]:
        """Counts, in one round trip, and returns per count whether it would have been one too many.

        What is counted already is not counted again and never one too many. None where the counter's node of a cluster
        does not answer.

        Raises:
            StorageUnavailableError: The state store did not answer; some may have been counted.
            PreconditionError: It was never migrated.
        """
        if not self._shards:
            self._shards = (await require_epoch(self._client, "state")).shards
        pieces = []
        for counter, member, limit, moment_millis, _ in counts:
            shard = int.from_bytes(counter[:4]) % self._shards
            pieces.append(Piece(shard, keys.velocity(shard, counter.hex()), (member, *limit, moment_millis)))
        calls, positions = in_calls(pieces)
        found: list[bool | None] = [None] * len(counts)
        for of_call, answers in zip(positions, await run_some(self._client, _COUNT, calls), strict=True):
            for position, answer in zip(of_call, answers or (), strict=answers is not None):
                found[position] = bool(answer)
        return found
