"""Records the event log in ClickHouse: what exists in `events`, what was refused in `refusals`.

The one rule: an entry is acknowledged after ClickHouse has acknowledged its rows. While ClickHouse is down entries wait
in the log, and so they do until it was asked whether this log is the one it knows; a row written twice replaces itself.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from structlog.contextvars import bind_contextvars

from tributary.dedup.v1.admitted_events_pb2 import AcceptContext
from tributary_dedup.named_orders import Recorded, name_orders
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import Backpressure
from tributary_runtime.traces import linked_span
from tributary_storage.clickhouse.event_rows import EventBatch, LogPlace
from tributary_storage.redis.log_entry import LogEntry, LoggedEvent

_LANES = {"live": metrics.Lane.LIVE, "bulk": metrics.Lane.BULK}


class Writer(Protocol):
    """Where rows go."""

    async def write(self, batch: EventBatch) -> None:
        """Returns when all of the batch is stored; may run twice.

        Raises:
            StorageUnavailableError: Some of it may be stored; the same is written again.
        """
        ...


class Released(Protocol):
    """What was released from quarantine."""

    async def released(self, workspace: str, event_ids: Collection[str]) -> set[str]:
        """Returns which of some events were released.

        Raises:
            StorageUnavailableError: It cannot be told.
        """
        ...


class KnownLog(Protocol):
    """Whether the log is the one that was recorded before."""

    @property
    def is_known(self) -> bool:
        """Whether it was asked. Never blocks."""
        ...


class _Ready(NamedTuple):
    """Rows made and not yet written."""

    entries: Sequence[LogEntry]
    batch: EventBatch
    traceparents: list[str]


class Recorder:
    """The handler of group `record`.

    While ClickHouse is down the rows that wait for it are made once, not at every attempt: the calls of others need
    the time.

    Args:
        writer: Where rows go.
        clock: Measures the lag.
        known: Says whether anything may be recorded; None: always.
        released: What was released from quarantine. An entry that is read again, long after it was recorded, must not
            bring back what it said before; None: nothing was.
        recorded: What was recorded before; None: nothing by an earlier version.
    """

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        known: KnownLog | None = None,
        released: Released | None = None,
        recorded: Recorded | None = None,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._known = known
        self._released = released
        self._recorded = recorded
        self._ready: _Ready | None = None

    async def handle(self, entries: Sequence[LogEntry]) -> int:
        """Records a batch; returns how many events it held.

        Raises:
            Backpressure: It is not known yet whether this is the log that was recorded before.
            StorageUnavailableError: ClickHouse does not answer.
            PoisonEvent: An event, or an entry, can never be recorded; the worker finds out which.
        """
        self._require_known()
        if self._ready is None or self._ready.entries is not entries:
            self._ready = await self._prepare(entries)
        _, batch, traceparents = self._ready
        with linked_span("record batch", traceparents, rows=len(batch)):
            await self._writer.write(batch)
        self._ready = None
        now = self._clock.unix_micros()
        for entry in entries:
            metrics.RECORDER_LAG.record(max(0.0, (now - entry.accept_micros) / 1e6), lane=_LANES[entry.lane])
        bind_contextvars(rows=len(batch))
        return sum(len(entry.mask) for entry in entries)

    async def _prepare(self, entries: Sequence[LogEntry]) -> _Ready:
        self._ready = None
        batch = EventBatch()
        traceparents: set[str] = set()
        for entry in entries:
            place = _place(entry)
            for first, admission in entry.admissions():
                of = admission.workspace, admission.accept_context, admission.traceparent
                traceparents.add(admission.traceparent)
                for position, admitted in enumerate(admission.events, first):
                    _add(batch, place, position, entry.mask[position], admitted, of)
            await asyncio.sleep(0)  # callers wait on the same loop
        await self._settle(batch, [entry for entry in entries if not entry.is_first_sight])
        return _Ready(entries, batch, sorted(traceparents))

    def singles(self, entry: LogEntry) -> Sequence[LoggedEvent]:
        """Takes an entry apart into its events."""
        return list(entry.events())

    async def handle_single(self, entry: LogEntry, single: LoggedEvent) -> None:
        """Records one event.

        Raises:
            Backpressure: As for `handle`.
            StorageUnavailableError: ClickHouse does not answer.
            PoisonEvent: It can never be recorded.
        """
        self._require_known()
        batch, admission = EventBatch(), single.admission
        of = admission.workspace, admission.accept_context, admission.traceparent
        _add(batch, _place(entry), single.position, single.letter, single.admitted, of)
        await self._settle(batch, [entry])
        await self._writer.write(batch)

    async def _settle(self, batch: EventBatch, seen_before: Sequence[LogEntry]) -> None:
        """Brings rows into agreement with what was recorded before."""
        if self._recorded is not None:
            await name_orders(batch, self._recorded)
        await self._forget_released(batch, seen_before)

    async def _forget_released(self, batch: EventBatch, seen_before: Sequence[LogEntry]) -> None:
        """Drops what entries that may have been recorded before say of events that were released since."""
        if self._released is None or not any("Q" in entry.mask for entry in seen_before):
            return
        quarantined: dict[str, list[str]] = defaultdict(list)
        for workspace, event_id in batch.quarantined():
            quarantined[workspace].append(event_id)
        for workspace, event_ids in quarantined.items():
            released = await self._released.released(workspace, event_ids)
            if released:
                batch.drop_quarantined({(workspace, event_id) for event_id in released})

    def _require_known(self) -> None:
        if self._known is not None and not self._known.is_known:
            raise Backpressure("ClickHouse must first say whether it knows this log.", pause_seconds=0.5)


def _place(entry: LogEntry) -> LogPlace:
    return LogPlace.of(entry.shard, entry.lane, entry.entry_id, entry.accept_micros)


def _add(
    batch: EventBatch, place: LogPlace, position: int, letter: str, admitted: bytes, of: tuple[str, AcceptContext, str]
) -> None:
    workspace, context, traceparent = of
    batch.add(place, position, letter, workspace, admitted, context, traceparent)
