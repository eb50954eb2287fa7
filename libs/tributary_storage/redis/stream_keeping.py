"""Keeps streams as long as they must be kept and no longer.

The one rule: a stream is trimmed by MINID, up to what every known group has finished, and never inside the replay
horizon. A group that does not exist yet holds everything back; one that nobody knows holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import redis.asyncio
import structlog

from tributary_runtime.errors import TributaryError
from tributary_storage.redis.client import read_answering_runs

log = structlog.get_logger(__name__)

Position = tuple[int, int]
"""Milliseconds and sequence of an entry id; ordered like the stream."""

START: Final[Position] = (0, 0)


class StreamKeeping:
    """What is done to streams from outside of their readers.

    Args:
        client: Of the streams' role.
        streams: All of them.
        failed: Says what is raised instead of an error of Redis.
        known_groups: Another group is alarmed wherever it is met; None: none is.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        streams: Sequence[str],
        failed: Callable[[redis.RedisError], TributaryError],
        *,
        known_groups: Collection[str] | None = None,
    ) -> None:
        self._client: Any = client
        self._streams = list(streams)
        self._failed = failed
        self._known_groups = known_groups

    async def trim(self, horizon_seconds: float, groups: Sequence[str]) -> int:
        """Removes what every group has finished and is older than the horizon; returns how many entries.

        May run twice, and in several processes.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        oldest: Position = (await self._time_millis() - int(horizon_seconds * 1000), 0)
        removed = 0
        for stream in self._streams:
            before = min([oldest, *[await self._finished_before(stream, group) for group in groups]])
            if before > START:
                removed += int(await self._run("XTRIM", stream, "MINID", "~", f"{before[0]}-{before[1]}"))
        return removed

    async def trim_older(self, streams: Sequence[str], life_seconds: float) -> int:
        """Removes what is older than its life from streams that nobody reads as a group; returns how many entries.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        oldest = await self._time_millis() - int(life_seconds * 1000)
        removed = 0
        for stream in streams:
            removed += int(await self._run("XTRIM", stream, "MINID", oldest))
        return removed

    async def last_positions(self) -> dict[str, Position]:
        """Returns the last id each stream has given out; trimmed entries count.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for stream in self._streams:
            pipeline.execute_command("XINFO STREAM", stream)
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except redis.RedisError as error:
            raise self._failed(error) from error
        last = dict.fromkeys(self._streams, START)
        for stream, told in zip(self._streams, answers, strict=True):
            if isinstance(told, redis.RedisError):
                if "no such key" not in str(told):
                    raise self._failed(told) from told
            else:
                last[stream] = _position(told["last-generated-id"])
        return last

    async def runs(self) -> tuple[set[str], bool]:
        """Returns what names this run of each node that answers, another after each restart, and whether all do.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            return await read_answering_runs(self._client)
        except redis.RedisError as error:
            raise self._failed(error) from error

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
        groups = {found["name"].decode(): found for found in await self._run("XINFO GROUPS", stream)}
        unknown = [] if self._known_groups is None else [name for name in groups if name not in self._known_groups]
        if unknown:
            log.warning("unknown_groups_ignored", stream=stream, groups=unknown)
        return groups.get(group)

    async def _time_millis(self) -> int:
        seconds, micros = await self._run("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def _run(self, *command: Any) -> Any:
        try:
            return await self._client.execute_command(*command)
        except redis.RedisError as error:
            raise self._failed(error) from error


def _position(entry_id: bytes) -> Position:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence or 0)
