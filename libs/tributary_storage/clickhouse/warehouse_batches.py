"""The batches of warehouse destinations: which revisions each holds, and which are in the bucket.

The one rule: a batch is decided before it is written and never changes but by what is withdrawn from it. Two that
decide at once may both take a revision: it is the same row twice then, and counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_KEYS_AT_ONCE: Final = 2_000_000
"""Keys of earlier batches that are held in memory, by ClickHouse, to find what is new."""


class BatchKind(StrEnum):
    """What a batch holds."""

    REVISIONS = "revisions"
    WITHDRAWALS = "withdrawals"


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A destination, and which conversions it takes."""

    workspace: str
    destination_id: str
    names: tuple[str, ...] = ()
    """Of conversions; empty: all."""


@dataclass(frozen=True, slots=True)
class WarehouseBatch:
    """A batch that was decided."""

    batch_id: str
    generation: int
    """From 1; grows when something is withdrawn from it."""
    kind: BatchKind
    freeze_micros: int
    """When it was decided."""
    size: int
    """How many revisions, or withdrawn conversions, it holds."""
    first_revision: int
    """0: it holds none."""
    last_revision: int
    earlier_tables: tuple[str, ...] = ()
    """Of which an earlier generation wrote files."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Conversions that were exported and are no more."""

    conversion_ids: tuple[str, ...]
    erasable: int
    """How many erasures can have taken, at most: what is missing beyond that was lost, or is not visible yet."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is not exported yet, as far as a look at what was recorded lately tells."""

    revisions: int
    oldest_micros: int
    """When the oldest of them was recorded."""
    now_micros: int
    """By the clock that records are stamped with."""
    exported: int
    """Keys in all batches."""
    erasures: int
    """How far they are together: another number, one has destroyed what it is about, or is finished."""
    is_erasing: bool
    """Whether one is under way just now: what it leaves may be there already, and what it leaves it of still."""


class WarehouseBatches:
    """Every method raises `StorageUnavailableError` if ClickHouse does not answer: call it again, all may run twice."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads and writes through this client."""
        self._clickhouse = clickhouse

    async def waiting(self, warehouse: Warehouse, since_micros: int) -> Waiting:
        """Returns what was recorded since a moment."""
        parameters = {**_of(warehouse), "since_micros": since_micros}
        [row] = await self._clickhouse.execute(statement("warehouse/waiting_revisions"), parameters)
        revisions, oldest, now, exported, erasures, is_erasing = row
        return Waiting(revisions, oldest if revisions else 0, now, exported or 0, erasures, bool(is_erasing))

    async def freeze(
        self, warehouse: Warehouse, batch_id: str, freeze_micros: int, most: int, erasures: int | None = None
    ) -> int:
        """Decides a batch of what is new; returns how many revisions it holds, and makes none for 0.

        Args:
            warehouse: For which destination.
            batch_id: Of its own, whoever decides.
            freeze_micros: Now.
            most: Revisions in it at most.
            erasures: How far they are together, as far as a sweep has heeded it; None: no sweep is asked for.
        """
        heeded = -1 if erasures is None else erasures
        about = {"most": most, "is_sweep": False, "part": 0, "parts": 1, "erasures": heeded}
        return await self._freeze(warehouse, batch_id, freeze_micros, **about)

    async def sweep(
        self, warehouse: Warehouse, batch_id: str, freeze_micros: int, most: int, part: int, parts: int
    ) -> int:
        """Does the same, but holds all that was ever recorded of a part of the conversions against all batches."""
        about = {"most": most, "is_sweep": True, "part": part, "parts": parts, "erasures": -1}
        return await self._freeze(warehouse, batch_id, freeze_micros, **about)

    async def missing(self, warehouse: Warehouse, most: int, part: int, parts: int) -> Missing:
        """Returns conversions that were exported and are no more, of a part of them; looked for after erasures only.

        Args:
            warehouse: Of which destination.
            most: At most this many.
            part: Which part.
            parts: Of how many.
        """
        parameters = {**_of(warehouse), "most": most, "part": part, "parts": parts}
        [(erased, withdrawn)] = await self._clickhouse.execute(statement("warehouse/withdrawable"), parameters)
        erasable = erased - (withdrawn or 0)
        if not erased:
            return Missing((), 0)
        rows = await self._clickhouse.execute(statement("warehouse/missing_conversions"), parameters)
        return Missing(tuple(row[0] for row in rows), erasable)

    async def withdraw(
        self, warehouse: Warehouse, batch_id: str, freeze_micros: int, conversion_ids: Sequence[str]
    ) -> None:
        """Decides a batch of withdrawals."""
        columns: dict[str, list[Any]] = {
            "workspace": [warehouse.workspace],
            "destination_id": [warehouse.destination_id],
            "batch_id": [batch_id],
            "generation": [1],
            "kind": [BatchKind.WITHDRAWALS.value],
            "freeze_time": [freeze_micros],
            "conversion_ids": [list(conversion_ids)],
        }
        await self._clickhouse.insert("warehouse_batches", tuple(columns), list(columns.values()))

    async def take_out_withdrawn(self, warehouse: Warehouse) -> None:
        """Takes what was withdrawn out of all batches that have it, which are unfinished then."""
        await self._clickhouse.execute(statement("warehouse/take_out_withdrawn"), _of(warehouse))

    async def unfinished(self, warehouse: Warehouse) -> list[WarehouseBatch]:
        """Returns the batches that are not in the bucket as they are now, oldest first."""
        rows = await self._clickhouse.execute(statement("warehouse/unfinished_batches"), _of(warehouse))
        return [
            WarehouseBatch(batch_id, generation, BatchKind(kind), micros, size, first or 0, last or 0, tuple(tables))
            for batch_id, generation, kind, micros, size, first, last, tables in rows
        ]

    async def finish(
        self,
        warehouse: Warehouse,
        batch: WarehouseBatch,
        table_rows: Mapping[str, int],
        size_bytes: int,
        manifest: str,
    ) -> None:
        """Notes that a batch is in the bucket, manifest and all."""
        columns: dict[str, list[Any]] = {
            "workspace": [warehouse.workspace],
            "destination_id": [warehouse.destination_id],
            "batch_id": [batch.batch_id],
            "generation": [batch.generation],
            "table_rows": [dict(table_rows)],
            "bytes": [size_bytes],
            "manifest": [manifest],
        }
        await self._clickhouse.insert("warehouse_manifests", tuple(columns), list(columns.values()))

    async def _freeze(self, warehouse: Warehouse, batch_id: str, freeze_micros: int, **about: int | bool) -> int:
        parameters = {**_of(warehouse), "batch_id": batch_id, "freeze_micros": freeze_micros, **about}
        await self._clickhouse.execute(statement("warehouse/freeze_revisions"), parameters)
        found = await self.unfinished(warehouse)
        return next((batch.size for batch in found if batch.batch_id == batch_id), 0)


def sweep_parts(keys: int) -> int:
    """Returns in how many parts all that was exported is looked through.

    >>> [sweep_parts(keys) for keys in (0, 2_000_000, 30_000_000)]
    [1, 2, 16]
    """
    return keys // _KEYS_AT_ONCE + 1


def _of(warehouse: Warehouse) -> dict[str, Any]:
    return {
        "workspace": warehouse.workspace,
        "destination_id": warehouse.destination_id,
        "names": list(warehouse.names),
    }
