"""What became of conversions at each destination, day by day, as ClickHouse knows it now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tributary.query.v1.delivery_funnel_pb2 import DeliveryFunnelRow
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_COUNTS: Final = tuple(
    field.name
    for field in DeliveryFunnelRow.DESCRIPTOR.fields
    if field.name not in ("destination_id", "day", "reports_later")
)
"""As the query returns them, after day and destination."""


@dataclass(frozen=True, slots=True)
class WantedFunnel:
    """Which part of the funnel."""

    workspace: str
    destination_id: str
    """Empty: all."""
    start_micros: int
    """In the first day."""
    end_micros: int
    """After the last moment of the last day."""


class DeliveryFunnel:
    """Reads the funnel; `StorageUnavailableError` if ClickHouse does not answer."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def page(self, wanted: WantedFunnel, after: tuple[str, str], size: int) -> list[DeliveryFunnelRow]:
        """Returns rows by day and destination.

        Args:
            wanted: Which.
            after: Day (YYYY-MM-DD) and destination of the last row before; empty: from the first on.
            size: At most this many.
        """
        parameters = {
            "workspace": wanted.workspace,
            "destination_id": wanted.destination_id,
            "start_micros": wanted.start_micros,
            "end_micros": wanted.end_micros,
            "after_day": after[0],
            "after_destination": after[1],
            "size": size,
        }
        rows = await self._clickhouse.execute(statement("delivery_funnel_page"), parameters)
        found = []
        for day, destination_id, *counts in rows:
            row = DeliveryFunnelRow(destination_id=destination_id, **dict(zip(_COUNTS, counts, strict=True)))
            row.day.year, row.day.month, row.day.day = day.year, day.month, day.day
            found.append(row)
        return found
