"""What destinations reported on requests that they had queued, and what the ledger has of such a request.

Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from typing import Final

from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.delivery_rows import delivery_of
from tributary_storage.clickhouse.statements import statement
from tributary_storage.redis.awaited_reports import Awaited
from tributary_storage.redis.delivery_job import Lane

_COLUMNS: Final = (
    *("workspace", "destination_id", "request_id", "accept_time", "report_time", "status"),
    *("conversions", "taken", "causes"),
)
_OLDEST_MICROS: Final = 400 * 86_400 * 1_000_000
"""How much older than its sending a revision can be."""


class DestinationReports:
    """Reads and writes what is known of requests."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads and writes through this client."""
        self._clickhouse = clickhouse

    async def of_request(self, lane: Lane, request_id: str, accept_micros: int) -> list[Delivery]:
        """Returns what a destination took with a request and has not reported on yet."""
        parameters = {
            "workspace": lane.workspace,
            "destination_id": lane.destination,
            "request_id": request_id,
            "accept_micros": accept_micros,
            "since": max(0, accept_micros - _OLDEST_MICROS),
        }
        rows = await self._clickhouse.execute(statement("deliveries_of_request"), parameters)
        return [delivery_of(row) for row in rows]

    async def conversions_of(self, lane: Lane, request: Awaited) -> int:
        """Returns how many conversions a request held, as was stored when its report was read before; 0: it was not."""
        parameters = {
            "workspace": lane.workspace,
            "destination_id": lane.destination,
            "request_id": request.request_id,
            "accept_micros": request.accept_micros,
        }
        [(conversions,)] = await self._clickhouse.execute(statement("conversions_of_request"), parameters)
        return int(conversions)

    async def write(
        self, lane: Lane, request: Awaited, status: str, conversions: int, causes: dict[str, int], now_micros: int
    ) -> None:
        """Stores of how many conversions of a request a destination says what; those of no cause are taken.

        Args:
            lane: Which destination.
            request: Which request.
            status: In the destination's words.
            conversions: How many it held; at least as many as the causes name.
            causes: Why some do not count, and how many.
            now_micros: When the report was read.
        """
        taken = conversions - sum(causes.values())
        row = (lane.workspace, lane.destination, request.request_id, request.accept_micros, now_micros, status)
        columns = [[value] for value in (*row, conversions, taken, causes)]
        written = await self._clickhouse.insert(metrics.Table.DESTINATION_REPORTS.value, _COLUMNS, columns)
        metrics.WRITTEN_ROWS.add(written, table=metrics.Table.DESTINATION_REPORTS)
