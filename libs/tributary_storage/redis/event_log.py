"""Reads the event log as one consumer of one group: all shards, live before bulk.

The one rule: nothing leaves the pending list but by an acknowledgement, so whatever a dead worker had read is found
again. Implements the worker's `Source`. Fails closed: an outage is `StorageUnavailableError`, then the call is made
again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import redis.asyncio
import structlog
from redis.exceptions import ResponseError

from tributary_runtime.errors import StorageUnavailableError, TributaryError
from tributary_storage.redis import keys
from tributary_storage.redis.keys import LANES, Lane
from tributary_storage.redis.log_entry import LogEntry, LoggedEvent
from tributary_storage.redis.refusals import translate

log = structlog.get_logger(__name__)

DEAD_LETTER_LIFE_MILLIS: Final = 30 * 86_400_000
_MOST_ENTRIES: Final = 256
_BLOCK_MILLIS: Final = 1_000
_STREAM = re.compile(rb"trb:\{l(\d+)\}:log:(live|bulk)")


@dataclass(frozen=True, slots=True)
class Pace:
    """How much a consumer reads at once."""

    events: int = 2_000
    """About how many events a batch should hold."""
    linger_seconds: float = 0.0
    """How long a batch that is smaller waits for more."""
    idle_seconds: float = 60.0
    """After how long what another consumer read and never acknowledged is taken over."""


@dataclass(slots=True)
class _Reading:
    """What a consumer remembers between calls; losing it loses nothing."""

    entries_per_stream: int = 32
    history: dict[bytes, str] = field(default_factory=dict)
    """Streams whose entries of this consumer's past life are not all read again, with the last id read."""
    take_over: dict[bytes, str] = field(default_factory=dict)
    """How far each stream was searched for abandoned entries."""


class EventLogSource:
    """One consumer of one group of the event log.

    Args:
        client: Of the role *log*; its timeout must exceed a second, for which `read` blocks.
        group: `keys.RECORD_GROUP` or `keys.ATTRIBUTE_GROUP`.
        consumer: A name that this process alone has now and has again after a restart, such as the host's: what it
            left is then found at once instead of after `Pace.idle_seconds`.
        shards: Of the epoch.
        pace: How much to read at once.
    """

    def __init__(
        self, client: redis.asyncio.Redis, group: str, consumer: str, shards: int, pace: Pace | None = None
    ) -> None:
        self._client: Any = client
        self._group = group
        self._consumer = consumer
        self._pace = pace or Pace()
        self._streams = {lane: [keys.event_log(shard, lane).encode() for shard in range(shards)] for lane in LANES}
        self._all = [stream for lane in LANES for stream in self._streams[lane]]
        self._reading = _Reading(history=dict.fromkeys(self._all, "0"))

    async def read(self) -> Sequence[LogEntry]:
        """Returns the next entries, oldest first within a shard and lane; waits up to a second, then returns none.

        A call that fails may have read entries nobody saw, which are this consumer's from then on: the next call looks
        for them first.
        """
        try:
            return await self._read_own() or await self._read_next()
        except StorageUnavailableError:
            self._reading.history = dict.fromkeys(self._all, "0")
            raise

    async def _read_own(self) -> list[LogEntry]:
        while self._reading.history:
            entries = await self._read_history()
            if entries:
                return entries
        return []

    async def _read_next(self) -> list[LogEntry]:
        entries = await self._read_new(self._streams["live"], block=False)
        if not entries:
            entries = await self._read_new(self._all, block=True)
        if entries and self._pace.linger_seconds and _events(entries) < self._pace.events:
            await asyncio.sleep(self._pace.linger_seconds)
            entries = [*entries, *await self._read_new(self._all, block=False)]
        self._learn(entries)
        return entries

    async def take_over(self) -> Sequence[LogEntry]:
        """Returns entries read and never acknowledged: by this consumer's past life, or long ago by others."""
        try:
            return await self._read_own() or await self._claim_abandoned()
        except StorageUnavailableError:
            self._reading.history = dict.fromkeys(self._all, "0")
            raise

    async def ack(self, entries: Sequence[LogEntry]) -> None:
        """Marks entries as done."""
        by_stream: dict[str, list[str]] = {}
        for entry in entries:
            by_stream.setdefault(keys.event_log(entry.shard, entry.lane), []).append(entry.entry_id)
        pipeline = self._client.pipeline(transaction=False)
        for stream, ids in by_stream.items():
            pipeline.execute_command("XACK", stream, self._group, *ids)
        await self._run(pipeline.execute())

    async def dead_letter(self, entry: LogEntry, single: LoggedEvent | None, reason: str, message: str) -> None:
        """Keeps an event for 30 days beside the log; the whole entry if `single` is None."""
        fields = {
            "lane": entry.lane,
            "entry": entry.entry_id,
            "position": "" if single is None else single.position,
            "letter": "" if single is None else single.letter,
            "workspace": "" if single is None else single.admission.workspace,
            "accept_time": entry.accept_micros,
            "payload": entry.payload if single is None else single.admitted,
            "reason": reason,
            "message": message,
            "version": version("tributary"),
        }
        flat = [text for pair in fields.items() for text in pair]
        stream = keys.event_dead_letters(entry.shard, self._group)
        dead_id = await self._run(self._client.execute_command("XADD", stream, "*", *flat))
        oldest = int(dead_id.partition(b"-")[0]) - DEAD_LETTER_LIFE_MILLIS
        await self._run(self._client.execute_command("XTRIM", stream, "MINID", "~", max(0, oldest)))

    async def create_groups(self) -> None:
        """Creates the group on every stream that has it not, from the very beginning. May run twice."""
        for stream in self._all:
            try:
                await self._client.execute_command("XGROUP", "CREATE", stream, self._group, "0", "MKSTREAM")
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise _failed(error) from error
            except redis.RedisError as error:
                raise _failed(error) from error

    async def _read_new(self, streams: Sequence[bytes], *, block: bool) -> list[LogEntry]:
        blocking = ("BLOCK", _BLOCK_MILLIS) if block else ()
        count = ("COUNT", self._reading.entries_per_stream)
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, *count, *blocking, "STREAMS", *streams)
        answer = await self._reading_run((*command, *([">"] * len(streams))))
        return [
            _entry(stream, entry_id, fields, deliveries=1)
            for stream, found in _pairs(answer)
            for entry_id, fields in found
        ]

    async def _read_history(self) -> list[LogEntry]:
        """Reads on in what this consumer's past life left, and forgets the streams where nothing is left."""
        history = self._reading.history
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", 32, "STREAMS", *history)
        answer = await self._reading_run((*command, *history.values()))
        entries: list[LogEntry] = []
        for stream, found in _pairs(answer):
            if not found:
                history.pop(stream, None)
                continue
            history[stream] = found[-1][0].decode()
            entries += await self._claimed(stream, found)
        return entries

    async def _claim_abandoned(self) -> list[LogEntry]:
        idle_millis = int(self._pace.idle_seconds * 1000)
        entries: list[LogEntry] = []
        for stream in self._all:
            start = self._reading.take_over.get(stream, "0-0")
            command = ("XAUTOCLAIM", stream, self._group, self._consumer, idle_millis, start, "COUNT", 32)
            answer = await self._reading_run(command)
            self._reading.take_over[stream] = answer[0].decode()
            lost = list(answer[2]) if len(answer) > 2 else []
            if lost:
                log.error("log_entries_lost", stream=stream.decode(), entries=len(lost), first=lost[0].decode())
            entries += await self._claimed(stream, answer[1])
        return entries

    async def _claimed(self, stream: bytes, found: Sequence[tuple[bytes | None, Any]]) -> list[LogEntry]:
        """Returns taken over entries with how often they were delivered; alarms where one is gone from the stream."""
        whole = [(entry_id, fields) for entry_id, fields in found if entry_id and fields]
        if len(whole) < len(found):  # Redis before 7 answers nil
            log.error("log_entries_lost", stream=stream.decode(), entries=len(found) - len(whole))
            gone = [entry_id for entry_id, fields in found if entry_id and not fields]
            if gone:
                await self._run(self._client.execute_command("XACK", stream, self._group, *gone))
        if not whole:
            return []
        command = ("XPENDING", stream, self._group, whole[0][0], whole[-1][0], _MOST_ENTRIES, self._consumer)
        pending = await self._run(self._client.execute_command(*command, parse_detail=True))
        deliveries = {one["message_id"]: int(one["times_delivered"]) for one in pending}
        return [_entry(stream, entry_id, fields, deliveries.get(entry_id, 1)) for entry_id, fields in whole]

    async def _reading_run(self, command: tuple[Any, ...]) -> Any:
        """Runs a command that needs the group, after making it if there is none."""
        try:
            return await self._client.execute_command(*command)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise _failed(error) from error
        except redis.RedisError as error:
            raise _failed(error) from error
        await self.create_groups()
        return await self._run(self._client.execute_command(*command))

    async def _run(self, waiting: Any) -> Any:
        try:
            return await waiting
        except redis.RedisError as error:
            raise _failed(error) from error

    def _learn(self, entries: Sequence[LogEntry]) -> None:
        """Adapts how many entries to ask for to how many events one holds."""
        if entries:
            each = max(1, _events(entries) // len(entries))
            wanted = self._pace.events // (each * len(self._streams["live"]))
            self._reading.entries_per_stream = max(1, min(_MOST_ENTRIES, wanted))


def _events(entries: Sequence[LogEntry]) -> int:
    return sum(len(entry.mask) for entry in entries)


def _pairs(answer: Any) -> list[tuple[bytes, list[tuple[bytes, Any]]]]:
    """Returns (stream, entries) of an XREADGROUP, whichever protocol gave it."""
    if not answer:
        return []
    if isinstance(answer, Mapping):
        return [(stream, found[0] if found else []) for stream, found in answer.items()]
    return [(stream, found) for stream, found in answer]


def _entry(stream: bytes, entry_id: bytes, fields: Mapping[bytes, bytes], deliveries: int) -> LogEntry:
    place = _STREAM.fullmatch(stream)
    if place is None:
        raise ValueError(f"{stream!r} is no stream of the event log")
    lane: Lane = "live" if place[2] == b"live" else "bulk"
    return LogEntry(
        shard=int(place[1]),
        lane=lane,
        entry_id=entry_id.decode(),
        schema=int(fields.get(b"schema", b"0")),
        payload=fields.get(b"payload", b""),
        mask=fields.get(b"mask", b"").decode(),
        accept_micros=int(fields.get(b"accept_time", b"0")),
        deliveries=deliveries,
    )


def _failed(error: redis.RedisError) -> TributaryError:
    return translate(error, "log", "The event log did not answer.")
