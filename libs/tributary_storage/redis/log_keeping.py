"""Keeps the event log as long as it must be kept and no longer; says how far behind its readers are.

The one rule: what a known group of the event log has not finished stays (`StreamKeeping`); a group that nobody knows
holds nothing back, and is alarmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.event_log import places
from tributary_storage.redis.keys import EVENT_LOG_GROUPS, Lane, event_dead_letters
from tributary_storage.redis.stream_keeping import Position, StreamBacklog, StreamKeeping
from tributary_storage.redis.streams import DEAD_LETTER_LIFE_MILLIS

DEAD_LETTER_LIFE_SECONDS: Final = DEAD_LETTER_LIFE_MILLIS / 1000


class LogKeeping:
    """What is done to the event log from outside of its readers.

    Args:
        client: Of the role *log*.
        shards: Of the epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._places = places(shards)
        self._dead_letters = [event_dead_letters(shard, group) for group in EVENT_LOG_GROUPS for shard in range(shards)]
        self._keeping = StreamKeeping(client, list(self._places), _unavailable, known_groups=EVENT_LOG_GROUPS)

    async def trim(self, horizon_seconds: float, groups: Sequence[str] = EVENT_LOG_GROUPS) -> int:
        """Removes what every group has finished and is older than the horizon; returns how many entries.

        Dead letters past their life go too. May run twice, and in several processes.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        await self._keeping.trim_older(self._dead_letters, DEAD_LETTER_LIFE_SECONDS)
        return await self._keeping.trim(horizon_seconds, groups)

    async def backlog(self, group: str) -> StreamBacklog:
        """Returns how far a group is behind, over all shards and lanes.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        return await self._keeping.backlog(group)

    async def last_positions(self) -> dict[tuple[int, Lane], Position]:
        """Returns the last id each stream has given out; trimmed entries count.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        return {self._places[stream]: last for stream, last in (await self._keeping.last_positions()).items()}

    async def run_id(self) -> str:
        """Returns what names this run of the Redis server: another after each restart.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        return await self._keeping.run_id()


def _unavailable(_: redis.RedisError) -> StorageUnavailableError:
    """Takes every failure for an outage: no event can be at fault."""
    return StorageUnavailableError("The event log did not answer.", metadata={"store": "log"})
