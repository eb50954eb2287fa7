"""What data_driven learned of people whose events are deleted since: kept added up, month by month, naming nobody.

The one rule: a month is kept once, before anything of it changes; a run that goes on with it uses what was kept. What a
page of its people adds, and that this page is done, is one row: neither is there without the other. Every method may
run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.retention import MonthOfRows
from tributary_storage.clickhouse.statements import statement
from tributary_storage.codec.counted_paths import Changes

_COLUMNS: Final = ("workspace", "month", "accepted_until", "version", "counts")
_PAGE_COLUMNS: Final = (*_COLUMNS[:3], "seen_time", "page", "version", "boundary", "counts")


class Begun(NamedTuple):
    """A month whose paths are being kept, and that is not deleted yet."""

    accepted_until_micros: int
    """Until which moment of acceptance."""
    is_kept: bool
    """Whether all of them are kept."""


class Progress(NamedTuple):
    """How far the paths of a month are kept."""

    seen_micros: int
    """The moment of which people are read: the same for all pages, so that nobody is of two."""
    page: int = 0
    """The last page that is done; 0: none is."""
    after: str = ""
    """The identifier that it ends with."""


class EndedPathRecords:
    """Keeps it.

    Args:
        clickhouse: Where.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def begun(self, workspace: str) -> dict[date, Begun]:
        """Returns the months that are kept, or being kept, and not deleted yet."""
        rows = await self._clickhouse.execute(statement("retention/ended_paths_begun"), {"workspace": workspace})
        return {row[0]: Begun(int(row[1]), bool(row[2])) for row in rows}

    async def progress(self, month: MonthOfRows, now_micros: int) -> Progress:
        """Returns how far a month is, which a run that stopped may have begun; else it begins now."""
        [(seen,)] = await self._clickhouse.execute(statement("retention/ended_paths_seen"), _asked(month))
        if not seen:
            return Progress(now_micros)
        asked = {**_asked(month), "seen": seen}
        rows = await self._clickhouse.execute(statement("retention/ended_paths_last_page"), asked)
        return next((Progress(int(seen), int(page), str(after)) for page, after in rows), Progress(int(seen)))

    async def of_pages(self, month: MonthOfRows, progress: Progress) -> Changes:
        """Returns what the pages add that are done."""
        asked = {**_asked(month), "seen": progress.seen_micros, "page": progress.page}
        rows = await self._clickhouse.execute(statement("retention/ended_paths_of_pages"), asked, raw_strings=True)
        return {field: int(count) for field, count in rows}

    async def identifiers(self, month: MonthOfRows, after: str, limit: int) -> list[str]:
        """Returns at most so many identifiers of a month after one, in the order of the alphabet; none at the end."""
        asked = {**month.values, "after": after, "limit": limit}
        rows = await self._clickhouse.execute(statement("retention/identifiers_of_month"), asked)
        return [str(row[0]) for row in rows]

    async def keep_page(
        self, month: MonthOfRows, progress: Progress, counts: Mapping[bytes, int], now_micros: int
    ) -> None:
        """Keeps what a page adds, and that it is done.

        Args:
            month: Of which month.
            progress: As it is with this page.
            counts: Field of the counts (`codec.counted_paths`) -> by how much.
            now_micros: When this is.
        """
        asked = {"after": progress.after}
        [(boundary,)] = await self._clickhouse.execute(statement("retention/boundary_of_page"), asked)
        row = (
            *(month.workspace, month.month, month.accepted_until_micros, progress.seen_micros, progress.page),
            *(now_micros, boundary, _named(counts)),
        )
        await self._write(metrics.Table.ENDED_PATHS_PAGES, _PAGE_COLUMNS, row)

    async def keep(self, month: MonthOfRows, counts: Mapping[bytes, int], now_micros: int) -> None:
        """Keeps what goes with the events of a month: what all pages add.

        Args:
            month: Which.
            counts: Field of the counts (`codec.counted_paths`) -> by how much.
            now_micros: When this is.
        """
        row = (month.workspace, month.month, month.accepted_until_micros, now_micros, _named(counts))
        await self._write(metrics.Table.ENDED_PATHS, _COLUMNS, row)

    async def forget_pages(self, months: Sequence[MonthOfRows]) -> None:
        """Deletes the pages of what is kept: the same month of some workspaces; one at least."""
        asked = {"workspaces": [own.workspace for own in months], "month": months[0].month}
        await self._clickhouse.execute(statement("retention/delete_ended_paths_pages"), asked)

    async def _write(self, table: metrics.Table, columns: Sequence[str], row: Sequence[Any]) -> None:
        written = await self._clickhouse.insert(table.value, columns, [[one] for one in row])
        metrics.WRITTEN_ROWS.add(written, table=table)


def _asked(month: MonthOfRows) -> dict[str, Any]:
    return {**month.values, "month": month.month}


def _named(counts: Mapping[bytes, int]) -> dict[str, int]:
    return {field.decode(): count for field, count in counts.items()}
