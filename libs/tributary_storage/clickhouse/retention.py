"""Retention in ClickHouse: what of a workspace is older than it is kept, and the deleting of it.

The one rule: since when there are events is stored before any is deleted, and how many rows go before they do. Every
method may run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tributary_domain.retention import PERSON_LEVEL_KINDS, SIGHTING, Announced, month_begin
from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement
from tributary_storage.codec.own_clicks import NOT_ONE_CLICK

_STATE_COLUMNS: Final = ("workspace", "version", "retained_since", "begin_time", "finish_time")
_ANNOUNCED_COLUMNS: Final = ("announce_time", "announced_retained_since")
_ROWS_COLUMNS: Final = (*("workspace", "source_table", "month", "accepted_until", "version", "rows", "is_deleted"),)
_MAX_MEMORY: Final = 600_000_000
_SPILL: Final = 200_000_000
"""Bytes that one statement may use, and from which on it continues on disk."""
_AT_ONCE: Final = 1_000_000
_DAY: Final = 86_400_000_000


class RetainedTable(StrEnum):
    """A table of which rows are deleted."""

    EVENTS = "events"
    """By the time of the event."""
    REFUSALS = "refusals"
    """By the time at which they were refused."""


class RetentionState(NamedTuple):
    """How retention of a workspace is."""

    since_micros: int = 0
    """Since when it has person-level events; 0: nothing was deleted yet."""
    finish_micros: int = 0
    """When the last run came to its end; 0: none did."""
    announced: Announced = Announced()
    """What more than ever before at once is told to be deleted."""


class Overdue(NamedTuple):
    """What of a workspace is older than it is kept."""

    oldest_micros: int
    """When the oldest of it happened."""
    rows: int
    """How many events and refusals it is."""


@dataclass(frozen=True, slots=True)
class MonthOfRows:
    """Rows of one workspace, table and month that are older than they are kept."""

    workspace: str
    table: RetainedTable
    month: date
    """Its first day."""
    accepted_until_micros: int
    """Only those that were accepted before it."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """How many, by verdict, once they are counted."""

    @property
    def span(self) -> tuple[int, int]:
        """Returns its first moment, and that of the next month, in microseconds."""
        return month_begin(self.month), month_begin(self.month, 1)

    def until(self, accepted_until_micros: int | None) -> MonthOfRows:
        """Returns the same of what was accepted until another moment; None: until the same."""
        return self if accepted_until_micros is None else replace(self, accepted_until_micros=accepted_until_micros)

    @property
    def values(self) -> dict[str, Any]:
        """Returns what every statement is told."""
        return {
            "workspace": self.workspace,
            "begin": month_begin(self.month),
            "end": month_begin(self.month, 1),
            "partition": self.month.year * 100 + self.month.month,
            "accepted_until": self.accepted_until_micros,
            "kinds": PERSON_LEVEL_KINDS,
        }


class RetentionRecords:
    """Knows what is kept since when, and deletes.

    Args:
        clickhouse: Through which; statements may take minutes.
        at_once: Of how many events sightings are kept at once.
    """

    def __init__(self, clickhouse: ClickHouse, at_once: int = _AT_ONCE) -> None:
        self._clickhouse = clickhouse
        self._at_once = at_once

    async def states(self) -> dict[str, RetentionState]:
        """Returns how retention is, of each workspace of which it has run."""
        rows = await self._clickhouse.execute(statement("retention/states"))
        return {
            str(row[0]): RetentionState(int(row[1]), int(row[2]), Announced(int(row[3]), int(row[4]))) for row in rows
        }

    async def now_micros(self) -> int:
        """Returns what time it is for ClickHouse."""
        [(now,)] = await self._clickhouse.execute(statement("retention/clock"))
        return int(now)

    async def write(self, workspace: str, state: RetentionState, begin_micros: int, now_micros: int) -> None:
        """Stores how retention of a workspace is.

        Args:
            workspace: Whose.
            state: How it is.
            begin_micros: When the run began.
            now_micros: When this is.
        """
        row = (workspace, now_micros, state.since_micros, begin_micros, state.finish_micros, *state.announced)
        await self._write(metrics.Table.RETENTIONS, (*_STATE_COLUMNS, *_ANNOUNCED_COLUMNS), row)

    async def months(
        self, workspace: str, table: RetainedTable, before_micros: int, accepted_until_micros: int
    ) -> list[MonthOfRows]:
        """Returns the months of what is older than it is kept, the oldest first.

        Args:
            workspace: Whose.
            table: Of which table.
            before_micros: What is older; the first moment of a month.
            accepted_until_micros: What was accepted later is left.
        """
        values = {
            "workspace": workspace,
            "before": before_micros,
            "accepted_until": accepted_until_micros,
            "kinds": PERSON_LEVEL_KINDS,
        }
        rows = await self._clickhouse.execute(statement(f"retention/months_of_{table.value}"), values)
        return [MonthOfRows(workspace, table, row[0], accepted_until_micros) for row in rows]

    async def undeleted(self, workspace: str) -> list[MonthOfRows]:
        """Returns what a run that stopped has counted and may not have deleted."""
        rows = await self._clickhouse.execute(statement("retention/undeleted"), {"workspace": workspace})
        return [MonthOfRows(workspace, RetainedTable(row[0]), row[1], int(row[2]), dict(row[3])) for row in rows]

    async def keep_sightings(self, month: MonthOfRows, customers: int, days: int) -> None:
        """Keeps what people are made of, and how they began, before the events go that tell of it.

        Args:
            month: Of events.
            customers: An identifier with more customer ids than so many is a shared device,
            days: If it is within so many days.
        """
        values = {
            **month.values,
            "sighting": SIGHTING,
            "customers": customers,
            "reach": days * _DAY,
            "not_one_click": tuple(sorted(NOT_ONE_CLICK)),
            "max_memory": _MAX_MEMORY,
            "spill": _SPILL,
        }
        [(naming,)] = await self._clickhouse.execute(statement("retention/count_naming"), month.values)
        parts = 1 + int(naming) // self._at_once
        for name in ("retention/keep_beginnings", "retention/keep_sightings"):
            for part in range(parts if naming else 0):
                await self._clickhouse.execute(statement(name), {**values, "parts": parts, "part": part})

    async def count(self, month: MonthOfRows, now_micros: int) -> MonthOfRows:
        """Counts what is to go and stores that: from now on it is counted as deleted."""
        rows = await self._clickhouse.execute(statement(f"retention/count_{month.table.value}"), month.values)
        counted = replace(month, rows={str(verdict): int(number) for verdict, number in rows})
        await self._tell(counted, now_micros, is_deleted=False)
        return counted

    async def delete(self, months: Sequence[MonthOfRows], now_micros: int) -> None:
        """Deletes what was counted, and stores that it is gone.

        Args:
            months: The same month, table and moment of acceptance, of some workspaces; one at least.
            now_micros: When this is.
        """
        one = months[0]
        values = {**one.values, "workspaces": [own.workspace for own in months]}
        await self._clickhouse.execute(statement(f"retention/delete_{one.table.value}"), values)
        if one.table is RetainedTable.EVENTS:
            values["workspaces"] = [own.workspace for own in months if not await self._younger(own)]
            if values["workspaces"]:
                await self._clickhouse.execute(statement("retention/delete_events_by_identifier"), values)
        for own in months:
            await self._tell(own, now_micros, is_deleted=True)

    async def forget_ids(self, before: Mapping[str, int], accepted_until_micros: int) -> None:
        """Deletes the ids of events that are deleted.

        Args:
            before: Workspace -> what is older than this moment is; one at least.
            accepted_until_micros: What was accepted later is left.
        """
        values = {**_moments(before), "accepted_until": accepted_until_micros, "kinds": PERSON_LEVEL_KINDS}
        await self._clickhouse.execute(statement("retention/delete_events_by_id"), values)

    async def overdue(self, before: Mapping[str, int], accepted_until_micros: int) -> dict[str, Overdue]:
        """Returns what is older than it is kept, of each workspace that has any.

        Args:
            before: Workspace -> what is older than this moment is.
            accepted_until_micros: What was accepted later is left out.
        """
        if not before:
            return {}
        values = {**_moments(before), "accepted_until": accepted_until_micros, "kinds": PERSON_LEVEL_KINDS}
        rows = await self._clickhouse.execute(statement("retention/overdue"), values)
        return {str(row[0]): Overdue(int(row[1]), int(row[2])) for row in rows}

    async def _younger(self, month: MonthOfRows) -> int:
        """Returns how many events of a month are left; they must be found until they go, too."""
        [(younger,)] = await self._clickhouse.execute(statement("retention/younger_events"), month.values)
        return int(younger)

    async def _tell(self, month: MonthOfRows, now_micros: int, *, is_deleted: bool) -> None:
        row = (
            *(month.workspace, month.table.value, month.month, month.accepted_until_micros, now_micros),
            *(dict(month.rows), is_deleted),
        )
        await self._write(metrics.Table.DELETED_ROWS, _ROWS_COLUMNS, row)

    async def _write(self, table: metrics.Table, columns: Sequence[str], row: Sequence[Any]) -> None:
        written = await self._clickhouse.insert(table.value, columns, [[one] for one in row])
        metrics.WRITTEN_ROWS.add(written, table=table)


def _moments(before: Mapping[str, int]) -> dict[str, Any]:
    """Returns a moment of each of some workspaces, as statements are told."""
    return {"workspaces": tuple(before), "names": list(before), "moments": list(before.values())}
