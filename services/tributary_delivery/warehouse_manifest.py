"""What a batch in a warehouse's bucket is called, and what its manifests say.

The one rule: a manifest is written after everything it names, the batch's own last of all. Whoever loads only what
manifests name sees whole batches only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tributary_domain.warehouse_tables import SCHEMA_VERSION, TABLES, WITHDRAWALS
from tributary_storage.clickhouse.warehouse_batches import BatchKind, Warehouse, WarehouseBatch
from tributary_storage.clickhouse.warehouse_files import FileMeasures

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION: Final = f"v{SCHEMA_VERSION}"


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of a batch."""

    table: str
    path: str
    """Below the prefix."""
    measures: FileMeasures


def batch_name(now_micros: int, token: str) -> str:
    """Returns the id of a batch that is decided now; it sorts by time, and `token` makes it nobody else's.

    >>> batch_name(1_795_687_200_000_000, "a1b2")
    '20261126T100000-a1b2'
    """
    return f"{_moment(now_micros):%Y%m%dT%H%M%S}-{token}"


def file_path(table: str, batch: WarehouseBatch) -> str:
    """Returns where a table's rows of a batch are, below the prefix: the same whoever writes them, however often."""
    day = _moment(batch.freeze_micros).date()
    return f"{table}/{_VERSION}/dt={day}/batch={batch.batch_id}/part-0.parquet"


def manifest_path(batch: WarehouseBatch, table: str = "") -> str:
    """Returns where the manifest of a batch is, or of one table of it."""
    return f"_manifests/{_VERSION}/{f'{table}/' if table else ''}{batch.batch_id}.json"


def tables_of(batch: WarehouseBatch, chosen: Sequence[str]) -> tuple[str, ...]:
    """Returns the tables that a batch has rows of: those chosen, and those that have files of it already."""
    if batch.kind is BatchKind.WITHDRAWALS:
        return (WITHDRAWALS,)
    return tuple(dict.fromkeys((*map(str, chosen), *sorted(batch.earlier_tables))))


def batch_manifest(warehouse: Warehouse, batch: WarehouseBatch, uri: str, files: Sequence[WrittenFile]) -> str:
    """Returns what tells that a batch can be loaded, as JSON.

    Args:
        warehouse: Whose.
        batch: Which.
        uri: Of the prefix, as warehouses name it.
        files: All that were written, those without rows too: such are not named.
    """
    tables = {
        file.table: {
            "rows": file.measures.rows,
            "key": list(TABLES[file.table].key),
            "files": [_entry(uri, file)] if file.measures.rows else [],
        }
        for file in files
    }
    said: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "workspace": warehouse.workspace,
        "destination_id": warehouse.destination_id,
        "batch_id": batch.batch_id,
        "generation": batch.generation,
        "kind": batch.kind.value,
        "freeze_time": _moment(batch.freeze_micros).isoformat(),
        "keys": batch.size,
        "tables": tables,
    }
    if batch.kind is BatchKind.REVISIONS:
        said["revisions"] = {"first": batch.first_revision, "last": batch.last_revision}
    return json.dumps(said, indent=1) + "\n"


def table_manifest(uri: str, file: WrittenFile) -> str:
    """Returns what Redshift's COPY takes as the manifest of one table of a batch."""
    entry = {
        "url": f"{uri}/{file.path}",
        "mandatory": True,
        "meta": {"content_length": file.measures.size_bytes},
    }
    return json.dumps({"entries": [entry] if file.measures.rows else []}, indent=1) + "\n"


def rows_by_table(files: Sequence[WrittenFile]) -> Mapping[str, int]:
    """Returns how many rows each table of a batch has."""
    return {file.table: file.measures.rows for file in files}


def _entry(uri: str, file: WrittenFile) -> dict[str, Any]:
    return {
        "url": f"{uri}/{file.path}",
        "rows": file.measures.rows,
        "bytes": file.measures.size_bytes,
        "sha256": file.measures.sha256,
    }


def _moment(time_micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_micros)
