"""Conversions that wait to be credited again: what one person's events ask for beyond what a batch may cost.

Noted before the events are acknowledged, so nothing is lost with the process; noted once however many events ask, so
what a busy person costs does not grow with the number of his events. Fails closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import redis.asyncio

from tributary_domain.shards import shard_of_key
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run

_DEFER: Final = Script("defer_conversions")
_TAKE: Final = Script("take_deferred")
_FINISH: Final = Script("finish_deferred")

_CAUSE_BYTES: Final = 2_048
"""What is kept of why one conversion waits."""


class DeferredConversions:
    """The conversions that wait, in the state store. Every method may run twice, and at once in several processes.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    async def defer(self, causes: Mapping[str, bytes], life_seconds: int, since_micros: int) -> int:
        """Notes that conversions have to be credited again.

        Args:
            causes: Conversion key -> why: a message that may be read from several after one another.
            life_seconds: How long the conversions live after this.
            since_micros: When the oldest event that asks was accepted.

        Returns:
            How many did not wait before.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        pieces = [self._piece(key, key, why) for key, why in causes.items()]
        calls, _ = in_calls(pieces, (life_seconds, _CAUSE_BYTES, since_micros), first_key=keys.deferred)
        return sum(await run(self._client, _DEFER, calls))

    async def take(self, at_most: int, lease_seconds: int) -> list[str]:
        """Returns the keys of the conversions that wait longest; they are this caller's for a while.

        Args:
            at_most: Of each shard.
            lease_seconds: When others get what is not finished.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        calls = [([keys.deferred(shard)], (at_most, lease_seconds)) for shard in range(self._shards)]
        return [key.decode() for answer in await run(self._client, _TAKE, calls) for key in answer]

    async def finish(self, askings: Mapping[str, int]) -> int:
        """Forgets conversions that were credited.

        Args:
            askings: Conversion key -> how often it had been asked for when it was read; one that was asked for since
                is handed out again.

        Returns:
            How many were forgotten.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        pieces = [self._piece(key, key, asked) for key, asked in askings.items()]
        calls, _ = in_calls(pieces, first_key=keys.deferred)
        return sum(await run(self._client, _FINISH, calls))

    async def waiting(self) -> tuple[int, int | None]:
        """Returns how many conversions wait, and since when: the accept time of the oldest event they do not show.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.zcard(keys.deferred_since(shard))
            pipeline.zrange(keys.deferred_since(shard), 0, 0, withscores=True)
        try:
            answers = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        oldest = [int(score) for first in answers[1::2] for _, score in first]
        return sum(answers[::2]), min(oldest, default=None)

    def _piece(self, key: str, *arguments: str | bytes | int) -> Piece:
        shard = shard_of_key(key, self._shards)
        return Piece(shard, keys.conversion(shard, key), arguments)
