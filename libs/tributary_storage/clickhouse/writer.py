"""Writes what services learned to ClickHouse, a batch at a time.

One insert per table and call: the caller forms the batch, by what it read at once, so that it can acknowledge it when
the call returns. Every row is named by its content, so a batch that is written again, in whatever grouping, changes
nothing; therefore no `insert_deduplication_token`, which drops different data under the same token silently.

All writers fail closed: `StorageUnavailableError` means try the same again, `StatementRefusedError` a bug of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from xxhash import xxh64_intdigest

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse, Given
from tributary_storage.clickhouse.conversion_rows import REVISION_COLUMNS, revision_row
from tributary_storage.clickhouse.delivery_rows import DELIVERY_COLUMNS, delivery_row
from tributary_storage.clickhouse.event_rows import DECISION_COLUMNS, EVENT_COLUMNS, REFUSAL_COLUMNS, EventBatch
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement
from tributary_storage.codec.credit_bytes import Credited


class EventWriter:
    """Writes `events`, `refusals` and `quarantine_decisions`; for the recorder of dedup."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Writes through this client."""
        self._clickhouse = clickhouse

    async def write(self, batch: EventBatch) -> None:
        """Returns when all of the batch is stored. The batch stays as it is, to be written again if need be.

        Raises:
            StorageUnavailableError: Some of it may be stored; write the same again.
        """
        if batch.decisions:  # first: whoever finds a released event finds why
            await _insert(self._clickhouse, metrics.Table.QUARANTINE_DECISIONS, DECISION_COLUMNS, batch.decisions)
        if batch.events:
            await _insert(self._clickhouse, metrics.Table.EVENTS, EVENT_COLUMNS, batch.events)
        if batch.refusals:
            await _insert(self._clickhouse, metrics.Table.REFUSALS, REFUSAL_COLUMNS, batch.refusals)


class ConversionWriter:
    """Writes `conversion_revisions`, which fills `conversions`; for attribution."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Writes through this client."""
        self._clickhouse = clickhouse

    async def write(
        self, revisions: Iterable[tuple[ConversionRevised, bytes] | tuple[ConversionRevised, bytes, Credited | None]]
    ) -> None:
        """Returns when all of the revisions are stored, in both tables.

        A conversion whose time was corrected (`replaced_conversion_time`) gets a tombstone at its old place.

        Args:
            revisions: Each message with its serialised form, the one that goes to the conversion log, and the credit
                that it may be without (`revision_row`); several of one conversion in any order.

        Raises:
            StorageUnavailableError: Some of it may be stored; write the same again.
            StatementRefusedError: Credit or value of a counted conversion does not add up.
            ValueError: A message contradicts itself.
        """
        rows = [revision_row(*revision) for revision in revisions]
        if rows:
            await _insert(self._clickhouse, metrics.Table.CONVERSION_REVISIONS, REVISION_COLUMNS, rows)

    async def write_again(self, revisions: Iterable[tuple[ConversionRevised, bytes, int, bytes]]) -> None:
        """Does the same with revisions that have a row each, which is as old as before: what is new is asked by that.

        Where that row is not as it was read any more, or is of somebody who is being erased, nothing is written.

        Args:
            revisions: Each message with its serialised form, when its row was recorded, in microseconds, and what that
                carried as its message when it was read; all of one workspace.

        Raises:
            StorageUnavailableError: As for `write`, and so are the others.
            StatementRefusedError: Likewise.
            ValueError: Likewise.
        """
        rows = [
            (*revision_row(revised, content), micros, xxh64_intdigest(read))
            for revised, content, micros, read in revisions
        ]
        if not rows:
            return
        types: dict[str, str] = dict(await self._clickhouse.execute(reconciliation_statement("columns_of_revisions")))
        columns = [(name, types[name]) for name in (*REVISION_COLUMNS, "record_time")]
        workspace, places = rows[0][0], tuple((row[1], row[2]) for row in rows)
        await self._clickhouse.execute(
            reconciliation_statement("write_again"),
            {"workspace": workspace, "places": places, "revisions": tuple(revision for _, revision in places)},
            given=Given("written", [*columns, ("read_print", "UInt64")], rows),
        )


class DeliveryWriter:
    """Writes `deliveries`, the sent ledger; for delivery."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Writes through this client."""
        self._clickhouse = clickhouse

    async def write(self, deliveries: Iterable[tuple[str, Delivery]]) -> None:
        """Returns when all are stored.

        Args:
            deliveries: Workspace and delivery as it is after its newest attempt: one row per (destination,
                conversion, revision, attempts). The same attempt written again replaces itself.

        Raises:
            StorageUnavailableError: Some of it may be stored; write the same again.
        """
        rows = [delivery_row(workspace, delivery) for workspace, delivery in deliveries]
        if rows:
            await _insert(self._clickhouse, metrics.Table.DELIVERIES, DELIVERY_COLUMNS, rows)


async def _insert(
    clickhouse: ClickHouse, table: metrics.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    written = await clickhouse.insert(table.value, columns, list(zip(*rows, strict=True)))
    metrics.WRITTEN_ROWS.add(written, table=table)
