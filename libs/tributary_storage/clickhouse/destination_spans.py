"""From when to when workspaces declared destinations: whose conversions the delivery funnel begins with.

Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_COLUMNS: Final = ("workspace", "destination_id", "start_time", "end_time")


class Span(NamedTuple):
    """A time in which a destination was declared."""

    workspace: str
    destination_id: str
    start_micros: int
    """No conversion that is planned for it was published before."""
    end_micros: int | None = None
    """None: it is declared. Else none that was published from then on is its to have."""


class DestinationSpans:
    """Reads and writes spans."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Uses this client."""
        self._clickhouse = clickhouse

    async def of(self, workspace: str) -> list[Span]:
        """Returns the spans of a workspace."""
        rows = await self._clickhouse.execute(statement("destination_spans"), {"workspace": workspace})
        return [
            Span(workspace, str(destination_id), int(start), None if end is None else int(end))
            for destination_id, start, end in rows
        ]

    async def write(self, spans: Sequence[Span]) -> None:
        """Stores spans; one that begins when another of the destination does replaces that. May run twice."""
        table = metrics.Table.DESTINATION_SPANS
        written = await self._clickhouse.insert(
            table.value, _COLUMNS, [list(column) for column in zip(*spans, strict=True)]
        )
        metrics.WRITTEN_ROWS.add(written, table=table)
