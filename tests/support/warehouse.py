"""A warehouse's export on real stores, into a bucket on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio

from tests.support.delivery import digest_of
from tests.support.object_storage import ACCESS_KEY_ID, BUCKET, SECRET, ObjectStorage
from tests.support.revisions import Revision
from tributary_delivery.warehouse_export import WarehouseExport
from tributary_delivery.warehouse_lane import WarehouseLane, WarehouseLanes
from tributary_runtime.clock import SystemClock
from tributary_runtime.warehouse_destinations import WarehouseDestination
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement
from tributary_storage.clickhouse.warehouse_batches import WarehouseBatches
from tributary_storage.clickhouse.warehouse_files import WarehouseFiles
from tributary_storage.clickhouse.writer import ConversionWriter
from tributary_storage.redis.client import connect
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.warehouse_progress import WarehouseProgress


def declared(storage: ObjectStorage, **own: Any) -> dict[str, Any]:
    """Returns what the file says of a warehouse."""
    return {
        "id": "books",
        "type": "warehouse",
        "bucket": BUCKET,
        "prefix": "p",
        "endpoint_url": f"http://127.0.0.1:{storage.port}",
        "access_key_id": {"value": ACCESS_KEY_ID},
        "secret_access_key": {"value": SECRET},
        "allow_private_addresses": True,
        **own,
    }


@dataclass
class Warehousing:
    """Stores, a bucket, and what exports between them."""

    workspace: str
    storage: ObjectStorage
    clickhouse: ClickHouse
    redis: redis.asyncio.Redis

    @property
    def lane(self) -> Lane:
        return Lane(self.workspace, "books")

    def settings(self, **own: Any) -> WarehouseDestination:
        return WarehouseDestination.model_validate(declared(self.storage, **own))

    def export(self, **own: Any) -> WarehouseExport:
        """Makes an export as a process that has just started would."""
        batches, files = WarehouseBatches(self.clickhouse), WarehouseFiles(self.clickhouse)
        return WarehouseExport(self.workspace, self.settings(**own), batches, files, SystemClock())

    def a_lane(self, holder: str = "one", **own: Any) -> WarehouseLane:
        """Makes a lane as a process that has just started would."""
        batches, files = WarehouseBatches(self.clickhouse), WarehouseFiles(self.clickhouse)
        shared = (DestinationStates(self.redis), WarehouseProgress(self.redis), holder, SystemClock())
        return WarehouseLanes(batches, files, *shared, digest_of).make(self.lane, self.settings(**own))

    async def write(self, *revisions: Revision) -> None:
        """Stores revisions as attribution does."""
        await ConversionWriter(self.clickhouse).write([revision.packed() for revision in revisions])

    async def erase(self, conversion_id: str) -> None:
        """Leaves of a conversion what its person's erasure leaves: that there was one."""
        await self.forget(conversion_id)
        erasure = {
            **{"workspace": self.workspace, "erasure_id": conversion_id, "version": 1, "mode": "sever"},
            **{"state": "finished", "destroyed": {"conversion_revisions": 1}},
        }
        await self.clickhouse.insert("erasures", tuple(erasure), [[value] for value in erasure.values()])

    async def erasing(self, state: str, begin_micros: int) -> None:
        """Says how far an erasure is that was asked for at a moment; it is told at once."""
        row = {
            **{"workspace": self.workspace, "erasure_id": f"er-{begin_micros}", "version": SystemClock().unix_micros()},
            **{"mode": "sever", "request_time": begin_micros, "state": state},
            "destroyed": {"conversion_revisions": 9} if state != "requested" else {},
        }
        await self.clickhouse.insert("erasures", tuple(row), [[value] for value in row.values()])

    async def forget(self, conversion_id: str) -> None:
        """Deletes a conversion, as an erasure does once it has a copy of it."""
        own = {"workspace": self.workspace, "there_until": 0, "conversions": [conversion_id], "own": [conversion_id]}
        for table in ("conversion_revisions", "conversions"):
            await self.clickhouse.execute(statement(f"erasure/delete_{table}"), own)

    def manifests(self) -> list[dict[str, Any]]:
        """Returns the manifests of batches, by batch."""
        names = [name for name in self.storage.names(".json") if name.count("/") == 3]
        return [json.loads(self.storage.read(name)) for name in names]

    def files(self, table: str, manifests: list[dict[str, Any]] | None = None) -> list[str]:
        """Returns where the files of a table are that manifests name."""
        tables = [one["tables"].get(table, {"files": []}) for one in manifests or self.manifests()]
        start = f"s3://{BUCKET}/"
        return [str(self.storage.root / BUCKET / file["url"][len(start) :]) for one in tables for file in one["files"]]

    def read(self, file: str) -> bytes:
        return Path(file).read_bytes()

    async def rows(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """Returns what ClickHouse reads of a table in the bucket, in the order of its rows."""
        place = f"s3('{self.storage.url}/p/{table}/v1/**.parquet', '{ACCESS_KEY_ID}', '{SECRET}', 'Parquet')"
        return await self.clickhouse.execute(f"SELECT {columns} FROM {place} ORDER BY ALL")  # noqa: S608 - names of ours


@asynccontextmanager
async def warehousing(
    workspace: str, storage: ObjectStorage, clickhouse_url: str, redis_url: str
) -> AsyncIterator[Warehousing]:
    """Opens the stores; both are migrated."""
    async with (
        clickhouse_client.connect(clickhouse_url, name="test", timeout_seconds=60) as clickhouse,
        connect(redis_url, name="test") as client,
    ):
        yield Warehousing(workspace, storage, clickhouse, client)
