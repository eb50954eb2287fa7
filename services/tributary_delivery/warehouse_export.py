"""Exports batches to a warehouse's bucket: files, then manifests, then the note that it is done.

The one rule: a step is done again until the last is done. Killed anywhere, whoever comes next finds the batch decided
and unfinished, and writes the same.
"""

from __future__ import annotations

import secrets

import structlog

from tributary_delivery.warehouse_manifest import (
    WrittenFile,
    batch_manifest,
    batch_name,
    file_path,
    manifest_path,
    rows_by_table,
    table_manifest,
    tables_of,
)
from tributary_domain.warehouse_tables import TABLES
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.traces import span
from tributary_runtime.warehouse_destinations import WarehouseDestination
from tributary_storage.clickhouse.warehouse_batches import (
    BatchKind,
    Waiting,
    Warehouse,
    WarehouseBatch,
    WarehouseBatches,
    sweep_parts,
)
from tributary_storage.clickhouse.warehouse_files import Bucket, WarehouseFiles

log = structlog.get_logger(__name__)


def bucket_of(settings: WarehouseDestination) -> Bucket:
    """Returns where the files of a destination are, and as whom to write them."""
    key, secret = settings.access_key_id, settings.secret_access_key
    must_be_public = settings.endpoint_url is not None and not settings.allow_private_addresses
    return Bucket(settings.url, key.reveal() if key else "", secret.reveal() if secret else "", must_be_public)


class WarehouseExport:
    """What is done for one destination.

    Args:
        workspace: Whose.
        settings: Of the destination.
        batches: What each holds.
        files: The bucket.
        clock: Tells when a batch is decided.
    """

    def __init__(
        self,
        workspace: str,
        settings: WarehouseDestination,
        batches: WarehouseBatches,
        files: WarehouseFiles,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._warehouse = Warehouse(workspace, settings.id, tuple(sorted(settings.conversions)))
        self._batches = batches
        self._files = files
        self._clock = clock
        self._bucket = bucket_of(settings)

    async def waiting(self, since_micros: int) -> Waiting:
        """Returns what is not exported yet, of what was recorded since a moment.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
        """
        return await self._batches.waiting(self._warehouse, since_micros)

    async def finish(self) -> str:
        """Writes every batch that was decided and is not in the bucket; returns the id of the last, if there was one.

        Raises:
            FileError: The bucket does not take one; those before it are done.
            StorageUnavailableError: ClickHouse does not answer.
        """
        last = ""
        while unfinished := await self._batches.unfinished(self._warehouse):
            for batch in unfinished:
                await self._write(batch)
                last = batch.batch_id
        return last

    async def export_new(self, erasures: int | None = None) -> str:
        """Exports what is new, batch by batch; returns the id of the last, if there was one. Raises as `finish`.

        Args:
            erasures: How far they are together, as far as a sweep has heeded it; None: no sweep is asked for.
        """
        last, most = await self.finish(), self._settings.batch_rows
        while True:
            size = await self._batches.freeze(self._warehouse, *self._decided(), most, erasures)
            last = await self.finish() or last
            if size < most:
                return last

    async def sweep(self, exported: int) -> str:
        """Looks through all that there ever was for what was missed, and for what is no more. Else as `export_new`.

        Args:
            exported: Keys in all batches.
        """
        parts, last = sweep_parts(exported), ""
        await self._batches.take_out_withdrawn(self._warehouse)
        for part in range(parts):
            await self._withdraw(part, parts)
            last = await self.finish() or last
            size = self._settings.batch_rows
            while size == self._settings.batch_rows:
                about = (self._settings.batch_rows, part, parts)
                size = await self._batches.sweep(self._warehouse, *self._decided(), *about)
                last = await self.finish() or last
        return last

    async def _withdraw(self, part: int, parts: int) -> None:
        """Decides to withdraw what is no more, unless more is missing than erasures can have taken: that was lost."""
        missing = await self._batches.missing(self._warehouse, self._settings.batch_rows, part, parts)
        if len(missing.conversion_ids) > missing.erasable:
            about = {"destination": self._settings.id, "workspace": self._warehouse.workspace}
            log.error("more_missing_than_erased", missing=len(missing.conversion_ids), **about)
        elif missing.conversion_ids:
            await self._batches.withdraw(self._warehouse, *self._decided(), missing.conversion_ids)

    def _decided(self) -> tuple[str, int]:
        now_micros = self._clock.unix_micros()
        return batch_name(now_micros, secrets.token_hex(3)), now_micros

    async def _write(self, batch: WarehouseBatch) -> None:
        with span("export batch", batch=batch.batch_id, revisions=batch.size):
            if batch.kind is BatchKind.WITHDRAWALS:  # first: else files would keep for longer what is to be deleted
                await self._batches.take_out_withdrawn(self._warehouse)
            files = [await self._write_table(batch, table) for table in tables_of(batch, self._settings.tables)]
            manifest = batch_manifest(self._warehouse, batch, self._settings.uri, files)
            await self._files.write_text(self._bucket, manifest_path(batch), manifest)
            size_bytes = sum(file.measures.size_bytes for file in files)
            await self._batches.finish(self._warehouse, batch, rows_by_table(files), size_bytes, manifest)
        metrics.WAREHOUSE_REVISIONS.add(batch.size if batch.kind is BatchKind.REVISIONS else 0)
        log.info(
            "warehouse_batch_written",
            destination=self._settings.id,
            workspace=self._warehouse.workspace,
            batch=batch.batch_id,
            generation=batch.generation,
            keys=batch.size,
            bytes=size_bytes,
        )

    async def _write_table(self, batch: WarehouseBatch, table: str) -> WrittenFile:
        path, warehouse = file_path(table, batch), self._warehouse
        about = (TABLES[table].name, warehouse.workspace, warehouse.destination_id, batch.batch_id)
        file = WrittenFile(table, path, await self._files.write_table(self._bucket, path, *about))
        await self._files.write_text(
            self._bucket, manifest_path(batch, table), table_manifest(self._settings.uri, file)
        )
        return file
