"""Keeps the event log as long as it must be kept and no longer; says how far behind its readers are.

The one rule: a stream is trimmed by MINID, up to what every known group has finished, and never inside the replay
horizon. A group that does not exist yet holds everything back; one that nobody knows holds nothing, and is alarmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio
import structlog

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.keys import EVENT_LOG_GROUPS, LANES, Lane

log = structlog.get_logger(__name__)

Position = tuple[int, int]
"""Milliseconds and sequence of an entry id; ordered like the log."""

START: Position = (0, 0)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far a group is behind, over all shards and lanes."""

    pending: int
    """Entries read and not acknowledged."""
    unread: int | None
    """Entries nobody has read yet; None where Redis (before 7) does not tell."""
    age_seconds: float
    """Age of the oldest entry that is not finished; 0: everything is."""


class LogKeeping:
    """What is done to the event log from outside of its readers.

    Args:
        client: Of the role *log*.
        shards: Of the epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client: Any = client
        self._streams: list[tuple[int, Lane]] = [(shard, lane) for lane in LANES for shard in range(shards)]

    async def trim(self, horizon_seconds: float, groups: Sequence[str] = EVENT_LOG_GROUPS) -> int:
        """Removes what every group has finished and is older than the horizon; returns how many entries.

        May run twice, and in several processes.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        oldest: Position = ((await self._time_millis()) - int(horizon_seconds * 1000), 0)
        removed = 0
        for shard, lane in self._streams:
            stream = keys.event_log(shard, lane)
            before = min([oldest, *[await self._finished_before(stream, group) for group in groups]])
            if before > START:
                minimum = f"{before[0]}-{before[1]}"
                removed += int(await self._run("XTRIM", stream, "MINID", "~", minimum))
        return removed

    async def backlog(self, group: str) -> Backlog:
        """Returns how far a group is behind.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        now = await self._time_millis()
        pending, unread, oldest = 0, 0, now
        tells_unread = True
        for shard, lane in self._streams:
            stream = keys.event_log(shard, lane)
            found = await self._group(stream, group)
            pending += 0 if found is None else int(found["pending"])
            lag = None if found is None else found.get("lag")
            tells_unread = tells_unread and lag is not None
            unread += int(lag or 0)
            before = await self._finished_before(stream, group)
            first = await self._run("XRANGE", stream, f"{before[0]}-{before[1]}", "+", "COUNT", 1)
            if first:
                oldest = min(oldest, _position(first[0][0])[0])
        return Backlog(pending, unread if tells_unread else None, max(0, now - oldest) / 1000)

    async def last_positions(self) -> dict[tuple[int, Lane], Position]:
        """Returns the last id each stream has given out; trimmed entries count.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        last: dict[tuple[int, Lane], Position] = {}
        for shard, lane in self._streams:
            stream = keys.event_log(shard, lane)
            if await self._run("EXISTS", stream):
                told = await self._run("XINFO STREAM", stream)
                last[shard, lane] = _position(told["last-generated-id"])
            else:
                last[shard, lane] = START
        return last

    async def run_id(self) -> str:
        """Returns what names this run of the Redis server: another after each restart.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        told = await self._run("INFO", "server")
        return str(told.get("run_id", ""))

    async def _finished_before(self, stream: str, group: str) -> Position:
        """Returns the position before which the group has finished everything."""
        found = await self._group(stream, group)
        if found is None:
            return START
        # In this order: what is delivered in between is beyond `last-delivered-id`.
        milliseconds, sequence = _position(found["last-delivered-id"])
        pending = await self._run("XPENDING", stream, group)
        after_delivered = (milliseconds, sequence + 1)
        return min(after_delivered, _position(pending["min"])) if pending["pending"] else after_delivered

    async def _group(self, stream: str, group: str) -> dict[str, Any] | None:
        if not await self._run("EXISTS", stream):
            return None
        groups = await self._run("XINFO GROUPS", stream)
        unknown = [name for found in groups if (name := found["name"].decode()) not in EVENT_LOG_GROUPS]
        if unknown:
            log.warning("unknown_groups_ignored", stream=stream, groups=unknown)
        return next((found for found in groups if found["name"].decode() == group), None)

    async def _time_millis(self) -> int:
        seconds, micros = await self._run("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def _run(self, *command: Any) -> Any:
        try:
            return await self._client.execute_command(*command)
        except redis.RedisError as error:
            raise StorageUnavailableError("The event log did not answer.", metadata={"store": "log"}) from error


def _position(entry_id: bytes) -> Position:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence or 0)
