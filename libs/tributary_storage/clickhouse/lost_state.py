"""What the state store was made of, page by page in event order: for making it whole again after a loss.

Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tributary_storage.clickhouse.admission_rows import RecordedAdmission, recorded_admission
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement
from tributary_storage.codec.counted_paths import Changes

MARGIN_SECONDS: Final = 300
"""How far the clocks of two Redis may be apart: that of the event log, and that by which a loss is confirmed."""


class EventPlace(NamedTuple):
    """Where an event stands among all of its workspace."""

    event_time_micros: int
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTime:
    """Of which events the state store was made."""

    workspace: str
    journeys_since_micros: int
    """Events accepted before this are no part of journeys any more."""
    ties_since_micros: int
    """Those accepted before this do not even say who is who."""
    until_micros: int
    """Those accepted from then on come through the event log."""
    keeps_seen: bool = False
    """Whether impressions, engaged views and opens may earn anything."""

    def values(self, after: EventPlace, limit: int) -> dict[str, Any]:
        """Returns what a statement is told."""
        return {
            "workspace": self.workspace,
            "journeys_since": max(0, self.journeys_since_micros),
            "ties_since": max(0, self.ties_since_micros),
            "until": self.until_micros,
            "keeps_seen": int(self.keeps_seen),
            "event_time": after.event_time_micros,
            "event_id": after.event_id,
            "limit": limit,
        }


class OldConversion(NamedTuple):
    """A counted conversion, as far as data_driven learns from it."""

    time_micros: int
    conversion_id: str
    name: str
    channels: Sequence[str]
    """Of the touches that share it, oldest first."""


class OldEvent(NamedTuple):
    """Something that a person did."""

    admitted: bytes
    """Serialised `AdmittedEvent`; empty: it is part of a journey."""
    accept_micros: int
    tokens: Sequence[str]
    event_micros: int
    """When it happened."""
    is_conversion: bool
    """Else it is a touch."""


class LostState:
    """Reads it.

    Args:
        clickhouse: Where the events are.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def events(self, time: LostTime, after: EventPlace, limit: int) -> list[tuple[EventPlace, RecordedAdmission]]:
        """Returns at most so many events after a place, in event order; none at the end."""
        return await self._admissions("events_to_rebuild", time, after, limit)

    async def firsts(self, time: LostTime, after: EventPlace, limit: int) -> list[tuple[EventPlace, RecordedAdmission]]:
        """Returns, of the events after a place that are no part of journeys any more, at most so many firsts of people.

        In event order; none at the end. An earlier page may have had an earlier one of the same person.
        """
        return await self._admissions("firsts_to_rebuild", time, after, limit)

    async def conversions(self, time: LostTime, after: EventPlace, limit: int) -> list[tuple[EventPlace, str]]:
        """Returns the conversions that at most so many events after a place observed, in event order."""
        rows = await self._clickhouse.execute(statement("conversions_to_rebuild"), time.values(after, limit))
        return [(EventPlace(event_micros, event_id), conversion) for event_micros, event_id, conversion in rows]

    async def old_conversions(self, time: LostTime, after: EventPlace, limit: int) -> list[OldConversion]:
        """Returns at most so many counted conversions after a place that had ended before the loss; none at the end."""
        rows = await self._clickhouse.execute(statement("old_conversions_to_rebuild"), time.values(after, limit))
        return [OldConversion(*row) for row in rows]

    async def old_identifiers(self, time: LostTime, after: EventPlace, limit: int) -> list[str]:
        """Returns at most so many identifiers after one, in the order of the alphabet; none at the end."""
        rows = await self._clickhouse.execute(statement("old_identifiers_to_rebuild"), time.values(after, limit))
        return [row[0] for row in rows]

    async def old_events(self, time: LostTime, tokens: Sequence[str]) -> list[OldEvent]:
        """Returns what identifiers did, in the order in which it was accepted."""
        asked = {**time.values(EventPlace(0, ""), 0), "tokens": list(tokens)}
        rows = await self._clickhouse.execute(statement("old_events_to_rebuild"), asked, raw_strings=True)
        return [
            OldEvent(admitted, accept_micros, [token.decode() for token in named], event_micros, bool(is_conversion))
            for admitted, accept_micros, named, event_micros, is_conversion in rows
        ]

    async def ended_paths(self, workspace: str) -> Changes:
        """Returns what is kept of people whose events were deleted for their age, added up."""
        rows = await self._clickhouse.execute(
            statement("ended_paths_to_rebuild"), {"workspace": workspace}, raw_strings=True
        )
        return {field: int(count) for field, count in rows}

    async def counted_names(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, str]:
        """Returns what conversions are called, of those that count."""
        if not conversion_ids:
            return {}
        asked = {"workspace": workspace, "conversions": list(conversion_ids)}
        return dict(await self._clickhouse.execute(statement("counted_names"), asked))

    async def _admissions(
        self, name: str, time: LostTime, after: EventPlace, limit: int
    ) -> list[tuple[EventPlace, RecordedAdmission]]:
        rows = await self._clickhouse.execute(statement(name), time.values(after, limit), raw_strings=True)
        return [(EventPlace(row[4], row[5].decode()), recorded_admission(*row)) for row in rows]
