"""Events that were accepted, and whose row is not in ClickHouse: named, and written again from the event log.

The one rule: only what the log says is written, as the recorder would; where somebody was erased whom an event names,
what an erasure leaves of it. So also where an erasure had stripped the row of an order, whoever told it: in the log it
is as it was told. What the log holds no more is named and stays lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from tributary.dedup.v1.admitted_events_pb2 import Admission
from tributary_attribution.arrivals import ADMITTED, Arrival, ArrivalReader
from tributary_attribution.erased_identifiers import entry_left, recorded_as
from tributary_domain.findings import Finding, FindingCause, FindingKind, finding
from tributary_runtime.errors import PoisonEvent
from tributary_storage.clickhouse.erased_rows import add_entry, add_erased
from tributary_storage.clickhouse.event_rows import EventBatch, LogPlace
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.redis.log_entry import LogEntry

MOST: Final = 10_000
"""Events that are named at once; the next run names the rest."""
_IDS_AT_ONCE: Final = 1_000
_MESSAGE: Final = "It was accepted, and its row is not in ClickHouse."


class Log(Protocol):
    """The event log."""

    def entries(self) -> AsyncIterator[list[LogEntry]]:
        """Yields all that it still holds, oldest first of each stream; raises `StorageUnavailableError`."""
        ...


class Recorded(Protocol):
    """The rows. Every method raises `StorageUnavailableError` if ClickHouse does not answer."""

    async def lost_events(self, scope: Scope, limit: int) -> list[str]:
        """Returns the ids of events that were recorded once and have no row any more."""
        ...

    async def known_ids(self, scope: Scope, event_ids: Collection[str]) -> set[str]:
        """Returns which of some events were ever recorded."""
        ...

    async def ids_without_conversion(self, scope: Scope, event_ids: Collection[str]) -> set[str]:
        """Returns which of some events were recorded, and are known to be of no conversion."""
        ...

    async def orders_of_entries(
        self, scope: Scope, tokens: Collection[str], event_ids: Collection[str]
    ) -> dict[str, str]:
        """Returns the random ids of what stripped events of some identifiers observed, as far as these are known."""
        ...


class Writer(Protocol):
    """Where rows go."""

    async def write(self, batch: EventBatch) -> None:
        """Returns when all of the batch is stored; may run twice. Raises `StorageUnavailableError`."""
        ...


class _Held(NamedTuple):
    """An event that the log holds."""

    entry: LogEntry
    position: int
    letter: str
    admission: Admission
    admitted: bytes
    arrival: Arrival


class LostEvents:
    """Finds events without a row, and writes them again.

    Args:
        log: What may still hold them.
        recorded: What is there.
        writer: Where rows go.
        left_of: Returns what is left of each event, where somebody was erased whom it names (`Tombstones.left_of`).
    """

    def __init__(
        self,
        log: Log,
        recorded: Recorded,
        writer: Writer,
        left_of: Callable[[Sequence[Arrival]], Awaitable[Sequence[Arrival | None]]],
    ) -> None:
        self._log = log
        self._recorded = recorded
        self._writer = writer
        self._left_of = left_of

    async def find(
        self, scope: Scope, through_micros: int, now_micros: int, *, looks_in_log: bool, repairs: bool
    ) -> list[Finding]:
        """Returns a finding per event of a workspace that has no row.

        Args:
            scope: The run.
            through_micros: What was accepted later may be recorded in a moment.
            now_micros: When.
            looks_in_log: Whether events are looked for that were never recorded; else only where others were lost.
            repairs: Whether rows are written again.

        Raises:
            StorageUnavailableError: A store does not answer.
        """
        lost = set(await self._recorded.lost_events(scope, MOST))
        written: set[str] = set()
        reader = ArrivalReader()
        async for entries in self._entries(is_asked=bool(lost) or looks_in_log):
            settled = [entry for entry in entries if entry.accept_micros < through_micros]
            held = [one for entry in settled for one in _held(entry, scope, reader)]
            missing = [one for one in held if one.arrival.event_id in lost]
            missing += await self._unknown(scope, [one for one in held if one.arrival.event_id not in lost])
            missing = missing[: MOST - len(written)]
            lost.update(one.arrival.event_id for one in missing)
            if repairs and missing:
                left = await self._left_of([one.arrival for one in missing])
                stripped = await self._stripped(scope, missing)
                await self._writer.write(_batch(missing, left, stripped, await self._orders(scope, left, stripped)))
                written.update(one.arrival.event_id for one in missing)
        found = [_finding(scope, event_id, now_micros) for event_id in sorted(lost)]
        return [one.repaired(0) if one.event_id in written else one for one in found]

    async def _entries(self, *, is_asked: bool) -> AsyncIterator[list[LogEntry]]:
        if is_asked:
            async for entries in self._log.entries():
                yield entries

    async def _unknown(self, scope: Scope, held: Sequence[_Held]) -> list[_Held]:
        """Returns those that were never recorded."""
        unknown: list[_Held] = []
        for start in range(0, len(held), _IDS_AT_ONCE):
            some = held[start : start + _IDS_AT_ONCE]
            known = await self._recorded.known_ids(scope, [one.arrival.event_id for one in some])
            unknown += [one for one in some if one.arrival.event_id not in known]
        return unknown

    async def _stripped(self, scope: Scope, held: Sequence[_Held]) -> set[str]:
        """Returns which an erasure took out of the conversions that they name: of these their ids are known alone."""
        naming = [one.arrival.event_id for one in held if one.arrival.named_conversion_id]
        return await self._recorded.ids_without_conversion(scope, naming)

    async def _orders(
        self, scope: Scope, left: Sequence[Arrival | None], stripped: Collection[str]
    ) -> Mapping[str, str]:
        """Returns by what the orders that stripped events told are told apart."""
        staying = [one for one in left if one is not None and one.event_id in stripped]
        tokens = {token for one in staying for token in one.tokens}
        return await self._recorded.orders_of_entries(scope, tokens, [one.event_id for one in staying])


def _held(entry: LogEntry, scope: Scope, reader: ArrivalReader) -> list[_Held]:
    """Returns the events of a workspace in an entry that should have a row; none of one that cannot be read."""
    try:
        return [
            _Held(entry, position, letter, admission, admitted, arrival)
            for position, letter, admission, admitted in entry.events()
            if letter in ADMITTED and admission.workspace == scope.workspace
            for arrival in [reader.read(scope.workspace, letter, admitted, entry.accept_micros, admission.traceparent)]
        ]
    except PoisonEvent:
        return []  # the recorder has put it aside


def _batch(
    missing: Sequence[_Held],
    left: Sequence[Arrival | None],
    stripped: Collection[str],
    orders: Mapping[str, str],
) -> EventBatch:
    batch = EventBatch()
    for (entry, position, letter, admission, admitted, arrival), stays in zip(missing, left, strict=True):
        place = LogPlace.of(entry.shard, entry.lane, entry.entry_id, entry.accept_micros)
        where, context = (place, position, letter, admission.workspace), admission.accept_context
        is_stripped = arrival.event_id in stripped
        order = orders.get(arrival.event_id, "")
        entry_there = entry_left(admitted, arrival, stays, order) if is_stripped and stays is not None else b""
        if entry_there:
            add_entry(batch, *where, admitted, entry_there, context)
        elif stays is None or is_stripped:
            add_erased(batch, *where, admitted, context)
        elif stays is arrival:
            batch.add(*where, admitted, context, admission.traceparent)
        else:
            batch.add(*where, recorded_as(admitted, arrival, stays), context, stays.traceparent)
    return batch


def _finding(scope: Scope, event_id: str, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.MISSING,
        _MESSAGE,
        cause=FindingCause.LOST_EVENT,
        event_id=event_id,
        expected="a row",
        actual="nothing",
        find_micros=now_micros,
    )
