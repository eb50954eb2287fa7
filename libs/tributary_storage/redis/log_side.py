"""The event log as one side of a comparison: what its scripts counted, how far it is recorded, what it still holds.

The one rule: nothing is read as a consumer, and nothing is changed. Fails closed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.backlogs import event_log_backlogs
from tributary_storage.redis.epoch import read_epoch
from tributary_storage.redis.event_log import entry_of, places
from tributary_storage.redis.keys import RECORD_GROUP
from tributary_storage.redis.log_entry import LogEntry
from tributary_storage.redis.verdicts import read_verdicts

_ENTRIES_AT_ONCE: Final = 64
"""An entry may have 16 MiB; a usual one has some hundred kilobytes."""


@dataclass(frozen=True, slots=True)
class LogCounts:
    """What the scripts had counted for a workspace at a moment."""

    moment_micros: int
    """By the log's clock, not after anything was counted."""
    verdicts: dict[str, int]
    """Verdict -> events."""
    recorded_through_micros: int
    """All that was accepted before this is recorded."""
    lost_micros: int
    """When a loss of the log was confirmed: what was counted before is gone. 0: there was none."""


class LogSide:
    """Reads the event log. Every method raises `StorageUnavailableError` if it does not answer.

    Args:
        client: Of the role *log*.
        shards: Of its epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    async def counts(self, workspace: str) -> LogCounts:
        """Returns what was counted for a workspace by now."""
        backlogs = await event_log_backlogs(self._client, self._shards)
        epoch = await read_epoch(self._client)
        [record] = [one for one in backlogs if one.group == RECORD_GROUP]
        verdicts = (await read_verdicts(self._client, self._shards, workspace)).get(workspace, {})
        oldest = record.oldest_micros
        return LogCounts(
            moment_micros=record.now_micros,
            verdicts=verdicts,
            recorded_through_micros=record.now_micros if oldest is None else oldest,
            lost_micros=0 if epoch is None else epoch.loss_time_micros,
        )

    async def entries(self) -> AsyncIterator[list[LogEntry]]:
        """Yields all that the log still holds, some entries of one stream at a time, oldest first."""
        for stream, place in places(self._shards).items():
            after = "-"
            while True:
                try:
                    found: list[tuple[bytes, dict[bytes, bytes]]] = await self._range(stream, after)
                except redis.RedisError as error:
                    message = "The event log did not answer."
                    raise StorageUnavailableError(message, metadata={"store": "log"}) from error
                if not found:
                    break
                yield [entry_of(place, entry_id.decode(), fields) for entry_id, fields in found]
                after = f"({found[-1][0].decode()}"

    async def _range(self, stream: str, after: str) -> Any:
        return await self._client.xrange(stream, after, "+", count=_ENTRIES_AT_ONCE)
