"""Events that were refused, and whose row is not in ClickHouse: named, and written again from the event log.

The one rule: only what the log says is written, as the recorder would; of somebody who was erased since, what that
leaves: that something was refused, when, and why. Else the sum of what was refused would be wrong for good.
What the log holds no more cannot be named: no other table knows of it; that it is missing is told by the sum alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Final, NamedTuple, Protocol

from google.protobuf.message import DecodeError

from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvent
from tributary_domain.findings import Finding, FindingCause, FindingKind, finding
from tributary_runtime.errors import PoisonEvent
from tributary_storage.clickhouse.event_rows import REFUSED, EventBatch, LogPlace
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.stripped_refusals import strip_last
from tributary_storage.codec.refusal_times import happened_micros
from tributary_storage.redis.log_entry import LogEntry

MOST: Final = 10_000
"""Refusals that are named at once; the next run names the rest."""
_MESSAGE: Final = "It was refused, and the row that says so is not in ClickHouse."

RefusalPlace = tuple[int, str, int, int, int]
"""Shard, lane, both parts of the entry's id, and which event of the entry."""


class Log(Protocol):
    """The event log."""

    def entries(self) -> AsyncIterator[list[LogEntry]]:
        """Yields all that it still holds, oldest first of each stream; raises `StorageUnavailableError`."""
        ...


class Recorded(Protocol):
    """The rows."""

    async def refusal_places(self, scope: Scope, begin_micros: int, end_micros: int) -> set[RefusalPlace]:
        """Returns the places of the refusals of some time, its end included; raises `StorageUnavailableError`."""
        ...


class Writer(Protocol):
    """Where rows go."""

    async def write(self, batch: EventBatch) -> None:
        """Returns when all of the batch is stored; may run twice. Raises `StorageUnavailableError`."""
        ...


class _Held(NamedTuple):
    """A refusal that the log holds."""

    place: LogPlace
    position: int
    letter: str
    admission: Admission
    admitted: bytes
    message: AdmittedEvent

    @property
    def key(self) -> RefusalPlace:
        """Returns its place as the table has it."""
        shard, lane, milliseconds, sequence, _ = self.place
        return shard, lane, milliseconds, sequence, self.position

    @property
    def happened_micros(self) -> int:
        """Returns when it happened, as its row says."""
        return happened_micros(self.message.event, self.place.accept_time_micros)

    @property
    def name(self) -> str:
        """Returns its event id, or its place where it has none: what was refused may lack one."""
        shard, lane, milliseconds, sequence, position = self.key
        return self.message.event.event_id or f"{lane}/{shard}/{milliseconds}-{sequence}/{position}"


class LostRefusals:
    """Finds refusals without a row, and writes them again.

    Args:
        log: What may still hold them.
        recorded: What is there.
        writer: Where rows go.
        names_erased: Tells whether tokens name somebody who was erased since a moment (`Tombstones.names_erased`).
    """

    def __init__(
        self,
        log: Log,
        recorded: Recorded,
        writer: Writer,
        names_erased: Callable[[str, Collection[str], int], Awaitable[bool]],
    ) -> None:
        self._log = log
        self._recorded = recorded
        self._writer = writer
        self._names_erased = names_erased

    async def find(self, scope: Scope, through_micros: int, now_micros: int, *, repairs: bool) -> list[Finding]:
        """Returns a finding per refusal of a workspace that the log holds and that has no row.

        Args:
            scope: The run.
            through_micros: What was refused later may be recorded in a moment.
            now_micros: When.
            repairs: Whether rows are written again.

        Raises:
            StorageUnavailableError: A store does not answer.
        """
        found: dict[str, Finding] = {}
        async for entries in self._log.entries():
            held = [one for entry in entries if entry.accept_micros < through_micros for one in _held(entry, scope)]
            missing = (await self._missing(scope, held))[: MOST - len(found)]
            if repairs and missing:
                await self._writer.write(await self._batch(missing))
            for one in missing:
                named = _finding(scope, one.name, now_micros)
                found[one.name] = named.repaired(0) if repairs else named
        return [found[name] for name in sorted(found)]

    async def _missing(self, scope: Scope, held: Sequence[_Held]) -> list[_Held]:
        if not held:
            return []
        times = [one.place.accept_time_micros for one in held]
        known = await self._recorded.refusal_places(scope, min(times), max(times))
        return [one for one in held if one.key not in known]

    async def _batch(self, missing: Sequence[_Held]) -> EventBatch:
        batch = EventBatch()
        for one in missing:
            admission = one.admission
            context, traceparent = admission.accept_context, admission.traceparent
            batch.add(one.place, one.position, one.letter, admission.workspace, one.admitted, context, traceparent)
            if await self._names_erased(admission.workspace, one.message.identity_tokens, one.happened_micros):
                strip_last(batch)
        return batch


def _held(entry: LogEntry, scope: Scope) -> list[_Held]:
    """Returns the refusals of a workspace in an entry; none of one that cannot be read: the recorder put it aside."""
    place = LogPlace.of(entry.shard, entry.lane, entry.entry_id, entry.accept_micros)
    try:
        return [
            _Held(place, position, letter, admission, admitted, AdmittedEvent.FromString(admitted))
            for position, letter, admission, admitted in entry.events()
            if letter in REFUSED and admission.workspace == scope.workspace
        ]
    except (PoisonEvent, DecodeError):
        return []


def _finding(scope: Scope, name: str, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.MISSING,
        _MESSAGE,
        cause=FindingCause.LOST_REFUSAL,
        event_id=name,
        expected="a row",
        actual="nothing",
        find_micros=now_micros,
    )
