"""Streams as logs: one consumer of one group over several streams, and how far a group has come.

The one rule: nothing leaves the pending list but by an acknowledgement, so whatever a dead worker had read is found
again; and a stream is trimmed by MINID only, up to what every known group has finished. Fails closed: an outage is
`StorageUnavailableError`, then the call is made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
import structlog
from redis.exceptions import ResponseError

from tributary_runtime.errors import StorageUnavailableError, TributaryError
from tributary_storage.redis.refusals import translate

log = structlog.get_logger(__name__)

_BLOCK_MILLIS: Final = 1_000
_TAKEN_AT_ONCE: Final = 64

Position = tuple[int, int]
"""Milliseconds and sequence of an entry id; ordered like the stream."""

START: Final[Position] = (0, 0)


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry as it was read."""

    stream: str
    entry_id: str
    fields: Mapping[bytes, bytes]
    deliveries: int
    """How often it was handed to a worker, this time included."""

    @property
    def append_micros(self) -> int:
        """When it was appended, by Redis' clock, microseconds since 1970."""
        return int(self.entry_id.partition("-")[0]) * 1_000


@dataclass(frozen=True, slots=True)
class StreamBacklog:
    """How far a group is behind, over all its streams."""

    pending: int
    """Entries read and not acknowledged."""
    unread: int | None
    """Entries nobody has read yet; None where Redis (before 7) does not tell."""
    age_seconds: float
    """Age of the oldest entry that is not finished; 0: everything is."""


class GroupReader:
    """One consumer of one group over several streams.

    Args:
        client: Its timeout must exceed a second, for which `read` blocks.
        streams: All of them.
        group: The consumer group; created where it is missing, from the very beginning.
        consumer: A name that this process alone has now and has again after a restart: what it left is then found at
            once instead of after `idle_seconds`.
        entries: How many to read at once, over all streams.
        linger_seconds: How long fewer of them wait for more.
        idle_seconds: After how long what another consumer read and never acknowledged is taken over.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        streams: Sequence[str],
        group: str,
        consumer: str,
        *,
        entries: int,
        linger_seconds: float,
        idle_seconds: float,
    ) -> None:
        self._client: Any = client
        self._streams = [stream.encode() for stream in streams]
        self._group = group
        self._consumer = consumer
        self._entries = entries
        self._linger_seconds = linger_seconds
        self._idle_millis = int(idle_seconds * 1000)
        self._history = dict.fromkeys(self._streams, b"0")
        self._searched: dict[bytes, bytes] = {}

    async def read(self) -> list[StreamEntry]:
        """Returns the next entries, oldest first within a stream; waits up to a second, then returns none.

        A call that fails may have read entries nobody saw, which are this consumer's from then on: the next call looks
        for them first.
        """
        try:
            return await self._own() or await self._next()
        except StorageUnavailableError:
            self._history = dict.fromkeys(self._streams, b"0")
            raise

    async def _next(self) -> list[StreamEntry]:
        entries = await self._new(block=True)
        if entries and self._linger_seconds and len(entries) < self._entries:
            await asyncio.sleep(self._linger_seconds)
            entries += await self._new(block=False)
        return entries

    async def take_over(self) -> list[StreamEntry]:
        """Returns what was read and never acknowledged: by this consumer's past life, or long ago by others."""
        try:
            return await self._own() or await self._abandoned()
        except StorageUnavailableError:
            self._history = dict.fromkeys(self._streams, b"0")
            raise

    async def _own(self) -> list[StreamEntry]:
        while self._history:
            entries = await self._past()
            if entries:
                return entries
        return []

    async def ack(self, entries: Sequence[StreamEntry]) -> None:
        """Marks entries as done. May run twice."""
        by_stream: dict[str, list[str]] = {}
        for entry in entries:
            by_stream.setdefault(entry.stream, []).append(entry.entry_id)
        pipeline = self._client.pipeline(transaction=False)
        for stream, ids in by_stream.items():
            pipeline.execute_command("XACK", stream, self._group, *ids)
        await _run(pipeline.execute())

    async def create_groups(self) -> None:
        """Creates the group on every stream that has it not, from the very beginning. May run twice."""
        for stream in self._streams:
            try:
                await self._client.execute_command("XGROUP", "CREATE", stream, self._group, "0", "MKSTREAM")
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise _failed(error) from error
            except redis.RedisError as error:
                raise _failed(error) from error

    async def _new(self, *, block: bool) -> list[StreamEntry]:
        each = max(1, self._entries // len(self._streams))
        blocking = ("BLOCK", _BLOCK_MILLIS) if block else ()
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", each, *blocking, "STREAMS")
        answer = await self._with_group((*command, *self._streams, *([">"] * len(self._streams))))
        return [
            StreamEntry(stream.decode(), entry_id.decode(), fields, 1)
            for stream, found in _pairs(answer)
            for entry_id, fields in found
        ]

    async def _past(self) -> list[StreamEntry]:
        """Reads on in what this consumer's past life left, and forgets the streams where nothing is left."""
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", _TAKEN_AT_ONCE, "STREAMS")
        answer = await self._with_group((*command, *self._history, *self._history.values()))
        entries: list[StreamEntry] = []
        for stream, found in _pairs(answer):
            if not found:
                self._history.pop(stream, None)
                continue
            self._history[stream] = found[-1][0]
            entries += await self._counted(stream, found)
        return entries

    async def _abandoned(self) -> list[StreamEntry]:
        entries: list[StreamEntry] = []
        for stream in self._streams:
            start = self._searched.get(stream, b"0-0")
            command = ("XAUTOCLAIM", stream, self._group, self._consumer, self._idle_millis, start)
            answer = await self._with_group((*command, "COUNT", _TAKEN_AT_ONCE))
            self._searched[stream] = answer[0]
            if len(answer) > 2 and answer[2]:
                log.error("log_entries_lost", stream=stream.decode(), entries=len(answer[2]))
            entries += await self._counted(stream, answer[1])
        return entries

    async def _counted(self, stream: bytes, found: Sequence[tuple[bytes | None, Any]]) -> list[StreamEntry]:
        """Returns entries with how often they were delivered; alarms where one is gone from the stream."""
        whole = [(entry_id, fields) for entry_id, fields in found if entry_id and fields]
        if len(whole) < len(found):
            log.error("log_entries_lost", stream=stream.decode(), entries=len(found) - len(whole))
            gone = [entry_id for entry_id, fields in found if entry_id and not fields]
            if gone:
                await _run(self._client.execute_command("XACK", stream, self._group, *gone))
        if not whole:
            return []
        command = ("XPENDING", stream, self._group, whole[0][0], whole[-1][0], 2 * _TAKEN_AT_ONCE, self._consumer)
        pending = await _run(self._client.execute_command(*command, parse_detail=True))
        deliveries = {one["message_id"]: int(one["times_delivered"]) for one in pending}
        return [
            StreamEntry(stream.decode(), entry_id.decode(), fields, deliveries.get(entry_id, 1))
            for entry_id, fields in whole
        ]

    async def _with_group(self, command: tuple[Any, ...]) -> Any:
        """Runs a command that needs the group, after making it if there is none."""
        try:
            return await self._client.execute_command(*command)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise _failed(error) from error
        except redis.RedisError as error:
            raise _failed(error) from error
        await self.create_groups()
        return await _run(self._client.execute_command(*command))


class StreamKeeping:
    """What is done to streams from outside of their readers.

    Args:
        client: Of the streams' role.
        streams: All of them.
    """

    def __init__(self, client: redis.asyncio.Redis, streams: Sequence[str]) -> None:
        self._client: Any = client
        self._streams = list(streams)

    async def trim(self, horizon_seconds: float, groups: Sequence[str]) -> int:
        """Removes what every group has finished and is older than the horizon; returns how many entries.

        A group that does not exist yet holds everything back. May run twice, and in several processes.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        oldest: Position = (await self._time_millis() - int(horizon_seconds * 1000), 0)
        removed = 0
        for stream in self._streams:
            before = min([oldest, *[await self._finished_before(stream, group) for group in groups]])
            if before > START:
                command = ("XTRIM", stream, "MINID", "~", f"{before[0]}-{before[1]}")
                removed += int(await _run(self._client.execute_command(*command)))
        return removed

    async def backlog(self, group: str) -> StreamBacklog:
        """Returns how far a group is behind.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        now = await self._time_millis()
        pending, unread, oldest, tells = 0, 0, now, True
        for stream in self._streams:
            found = await self._group(stream, group)
            pending += 0 if found is None else int(found["pending"])
            lag = 0 if found is None else found.get("lag")
            tells = tells and lag is not None
            unread += int(lag or 0)
            before = await self._finished_before(stream, group)
            command = ("XRANGE", stream, f"{before[0]}-{before[1]}", "+", "COUNT", 1)
            first = await _run(self._client.execute_command(*command))
            if first:
                oldest = min(oldest, _position(first[0][0])[0])
        return StreamBacklog(pending, unread if tells else None, max(0, now - oldest) / 1000)

    async def _finished_before(self, stream: str, group: str) -> Position:
        """Returns the position before which the group has finished everything."""
        found = await self._group(stream, group)
        if found is None:
            return START
        milliseconds, sequence = _position(found["last-delivered-id"])
        pending = await _run(self._client.execute_command("XPENDING", stream, group))
        after = (milliseconds, sequence + 1)
        return min(after, _position(pending["min"])) if pending["pending"] else after

    async def _group(self, stream: str, group: str) -> dict[str, Any] | None:
        if not await _run(self._client.execute_command("EXISTS", stream)):
            return None
        groups = await _run(self._client.execute_command("XINFO GROUPS", stream))
        return next((found for found in groups if found["name"] == group.encode()), None)

    async def _time_millis(self) -> int:
        seconds, micros = await _run(self._client.execute_command("TIME"))
        return int(seconds) * 1000 + int(micros) // 1000


async def _run(waiting: Any) -> Any:
    try:
        return await waiting
    except redis.RedisError as error:
        raise _failed(error) from error


def _pairs(answer: Any) -> list[tuple[bytes, list[tuple[bytes, Any]]]]:
    """Returns (stream, entries) of an XREADGROUP, whichever protocol gave it."""
    if not answer:
        return []
    if isinstance(answer, Mapping):
        return [(stream, found[0] if found else []) for stream, found in answer.items()]
    return [(stream, found) for stream, found in answer]


def _position(entry_id: bytes) -> Position:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence or 0)


def _failed(error: redis.RedisError) -> TributaryError:
    return translate(error, "log", "A log did not answer.")
