"""The consumers of stream groups: a name that nobody has any more is removed.

A process names its consumer by its host, so that it finds after a restart what it had read; a host that never comes
back leaves its name. The one rule: never one with pending entries, which others take over and acknowledge first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import redis.asyncio
import structlog

from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Script

log = structlog.get_logger(__name__)

IDLE_SECONDS: Final = 86_400.0
"""Without a read for so long, a consumer that holds nothing is taken for gone. One that is not is made again by its
next read and has lost nothing."""

_LOOK_SECONDS: Final = 3600.0
_REMOVE: Final = Script("remove_consumers")


class StreamConsumers:
    """A loop that removes the consumers that are gone. May run in several processes.

    Args:
        client: Of the streams' role.
        streams: All of them.
        groups: Those whose consumers are looked at.
    """

    name = "consumers"

    def __init__(self, client: redis.asyncio.Redis, streams: Sequence[str], groups: Sequence[str]) -> None:
        self._client = client
        self._streams = list(streams)
        self._groups = list(groups)

    @classmethod
    def of_event_log(cls, client: redis.asyncio.Redis, shards: int) -> StreamConsumers:
        """Returns those of the event log; `client` is of the role *log*."""
        streams = [keys.event_log(shard, lane) for shard in range(shards) for lane in keys.LANES]
        return cls(client, streams, keys.EVENT_LOG_GROUPS)

    @classmethod
    def of_conversion_log(cls, client: redis.asyncio.Redis, shards: int) -> StreamConsumers:
        """Returns those of the conversion log; `client` is of the role *state*."""
        return cls(client, [keys.conversion_log(shard) for shard in range(shards)], keys.CONVERSION_LOG_GROUPS)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every hour until stopped; an outage is for the next time."""
        while not stop.is_set():
            try:
                removed = await self.remove_idle()
            except redis.RedisError as failure:
                log.warning("consumers_not_removed", reason=str(failure))
            else:
                if removed:
                    log.info("idle_consumers_removed", consumers=sorted(removed))
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def remove_idle(self, idle_seconds: float = IDLE_SECONDS) -> Counter[str]:
        """Removes consumers that hold nothing and have not read for long. May run twice.

        Returns:
            Name -> from how many streams and groups it was removed.

        Raises:
            redis.RedisError: Redis did not answer.
        """
        removed: Counter[str] = Counter()
        for stream in self._streams:
            for group in self._groups:
                names = await _REMOVE(self._client, [stream], [group, int(idle_seconds * 1000)])
                removed.update(name.decode() for name in names)
        return removed
