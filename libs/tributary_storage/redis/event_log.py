"""Reads the event log as one consumer of one group: all shards, live before bulk.

The one rule: which streams, in which order, and how an entry is understood is said here; what reading promises, in
`streams`. Implements the worker's `Source`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import redis.asyncio

from tributary_runtime.errors import TributaryError
from tributary_storage.redis import keys
from tributary_storage.redis.keys import LANES, Lane
from tributary_storage.redis.log_entry import LogEntry, LoggedEvent
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.stream_entries import Portion, StreamEntry, is_put_back
from tributary_storage.redis.streams import GroupReader

_ENTRIES_PER_STREAM: Final = 8
"""At first: nobody knows yet how large they are, and one may have 16 MiB."""
_TAKEN_OVER: Final = 32
_BYTES_PER_EVENT: Final = 2_048
"""An entry with more than this per event counts as one of more events: what is read at once has to fit into memory."""
"""At first, and always of what is taken over: an entry holds the events of many callers."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much a consumer reads at once."""

    events: int = 2_000
    """About how many events a batch should hold."""
    linger_seconds: float = 0.0
    """How long after the last read a batch that is smaller waits for more."""
    idle_seconds: float = 60.0
    """After how long what another consumer read and never acknowledged is taken over."""
    wait_seconds: float = 1.0
    """How long a read waits for anything at all, before it returns none."""


class EventLogSource:
    """One consumer of one group of the event log.

    Args:
        client: Of the role *log*; its timeout must exceed `Pace.wait_seconds`, for which `read` blocks.
        group: `keys.RECORD_GROUP` or `keys.ATTRIBUTE_GROUP`.
        consumer: A name that this process alone has now and has again after a restart, such as the host's: what it
            left is then found at once instead of after `Pace.idle_seconds`.
        shards: Of the epoch.
        pace: How much to read at once.
    """

    def __init__(
        self, client: redis.asyncio.Redis, group: str, consumer: str, shards: int, pace: Pace | None = None
    ) -> None:
        self._group = group
        self._places = places(shards)
        pace = pace or Pace()
        portion = Portion(
            size=pace.events,
            per_stream=_ENTRIES_PER_STREAM,
            taken_over=_TAKEN_OVER,
            linger_seconds=pace.linger_seconds,
            idle_seconds=pace.idle_seconds,
            weigh=_weight,
            wait_seconds=pace.wait_seconds,
        )
        live = [stream for stream, (_, lane) in self._places.items() if lane == "live"]
        self._reader = GroupReader(client, list(self._places), group, consumer, portion, _failed, first=live)

    async def read(self) -> Sequence[LogEntry]:
        """Returns the next entries, oldest first within a shard and lane; after `Pace.wait_seconds` none."""
        return [self._understood(entry) for entry in await self._reader.read()]

    async def take_over(self) -> Sequence[LogEntry]:
        """Returns entries read and never acknowledged: by this consumer's past life, or long ago by others."""
        return [self._understood(entry) for entry in await self._reader.take_over()]

    async def ack(self, entries: Sequence[LogEntry]) -> None:
        """Marks entries as done."""
        await self._reader.ack((keys.event_log(entry.shard, entry.lane), entry.entry_id) for entry in entries)

    async def postpone(self, entries: Sequence[LogEntry]) -> None:
        """Leaves entries to be taken over in some seconds. May run twice."""
        await self._reader.postpone(
            (keys.event_log(entry.shard, entry.lane), entry.entry_id, entry.deliveries) for entry in entries
        )

    async def hand_back(self) -> None:
        """Leaves all that this consumer read and never acknowledged to whoever looks first. May run twice."""
        await self._reader.hand_back()

    async def dead_letter(self, entry: LogEntry, single: LoggedEvent | None, reason: str, message: str) -> None:
        """Keeps an event for 30 days beside the log; the whole entry if `single` is None."""
        fields: dict[str, bytes | str | int] = {
            "lane": entry.lane,
            "entry": entry.entry_id,
            "position": "" if single is None else single.position,
            "letter": "" if single is None else single.letter,
            "workspace": "" if single is None else single.admission.workspace,
            "accept_time": entry.accept_micros,
            "payload": entry.payload if single is None else single.admitted,
        }
        if single is None:
            fields |= {"schema": entry.schema, "mask": entry.mask}
        else:
            admission = single.admission
            context = admission.accept_context.SerializeToString()
            fields |= {"accept_context": context, "traceparent": admission.traceparent}
        await self._reader.dead_letter(keys.event_dead_letters(entry.shard, self._group), fields, reason, message)

    async def create_groups(self) -> None:
        """Creates the group on every stream that has it not, from the very beginning. May run twice."""
        await self._reader.create_groups()

    async def read_again(self) -> None:
        """Lets the group read all that the log still holds once more; what is pending stays so. May run twice."""
        await self._reader.read_again()

    def _understood(self, entry: StreamEntry) -> LogEntry:
        return entry_of(self._places[entry.stream], entry.entry_id, entry.fields, entry.deliveries)


def entry_of(place: tuple[int, Lane], entry_id: str, fields: Mapping[bytes, bytes], deliveries: int = 0) -> LogEntry:
    """Returns what an entry of a stream says.

    Args:
        place: Shard and lane of the stream.
        entry_id: Its id there.
        fields: As they are there.
        deliveries: How often it was handed to a worker.
    """
    shard, lane = place
    schema, accept_micros = (_number(fields.get(name, b"")) for name in (b"schema", b"accept_time"))
    return LogEntry(
        shard=shard,
        lane=lane,
        entry_id=entry_id,
        # What has no readable time is of no schema: its handler finds it unreadable, and the others go on.
        schema=schema if accept_micros else 0,
        payload=fields.get(b"payload", b""),
        mask=fields.get(b"mask", b"").decode("ascii", "replace"),
        accept_micros=accept_micros or int(entry_id.partition("-")[0]) * 1000,
        deliveries=deliveries,
        is_put_back=is_put_back(fields),
    )


def places(shards: int) -> dict[str, tuple[int, Lane]]:
    """Returns every stream of the event log with its shard and lane; live ones first."""
    return {keys.event_log(shard, lane): (shard, lane) for lane in LANES for shard in range(shards)}


def _failed(error: redis.RedisError) -> TributaryError:
    return translate(error, "log", "The event log did not answer.")


def _number(text: bytes) -> int:
    """Returns a number as the scripts write it; 0 for anything else."""
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _weight(entry: StreamEntry) -> int:
    return max(len(entry.fields.get(b"mask", b"")), len(entry.fields.get(b"payload", b"")) // _BYTES_PER_EVENT)
