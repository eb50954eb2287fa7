"""What data_driven learned of people whose events are deleted since: kept added up, month by month, naming nobody.

The one rule: a month is kept once, before anything of it changes; a run that goes on with it uses what was kept. Every
method may run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.retention import MonthOfRows
from tributary_storage.clickhouse.statements import statement

_COLUMNS: Final = ("workspace", "month", "accepted_until", "version", "counts")


class EndedPathRecords:
    """Keeps it.

    Args:
        clickhouse: Where.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def begun(self, workspace: str) -> dict[date, int]:
        """Returns the months that are kept and not deleted yet -> until which moment of acceptance in microseconds."""
        rows = await self._clickhouse.execute(statement("retention/ended_paths_begun"), {"workspace": workspace})
        return {row[0]: int(row[1]) for row in rows}

    async def identifiers(self, month: MonthOfRows, after: str, limit: int) -> list[str]:
        """Returns at most so many identifiers of a month after one, in the order of the alphabet; none at the end."""
        asked = {**month.values, "after": after, "limit": limit}
        rows = await self._clickhouse.execute(statement("retention/identifiers_of_month"), asked)
        return [str(row[0]) for row in rows]

    async def keep(self, month: MonthOfRows, counts: Mapping[bytes, int], now_micros: int) -> None:
        """Keeps what goes with the events of a month.

        Args:
            month: Which.
            counts: Field of the counts (`codec.counted_paths`) -> by how much.
            now_micros: When this is.
        """
        named = {field.decode(): count for field, count in counts.items()}
        row = (month.workspace, month.month, month.accepted_until_micros, now_micros, named)
        written = await self._clickhouse.insert(metrics.Table.ENDED_PATHS.value, _COLUMNS, [[one] for one in row])
        metrics.WRITTEN_ROWS.add(written, table=metrics.Table.ENDED_PATHS)
