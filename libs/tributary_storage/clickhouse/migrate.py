"""Brings a database to this version: the statements of `schema/` in order, once each, then the views anew.

A statement that was applied is never edited: its checksum is remembered, and a changed one is refused before anything
is done. All statements may run twice, so that a migration that was killed is simply run again. The comments
`/*ON CLUSTER*/` and `/*Replicated*/` become a cluster's words where one is configured; a file runs as it stands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from pydantic import SecretStr

from tributary_runtime.errors import PreconditionError
from tributary_storage.clickhouse.client import Address, ClickHouse, connect

_NAME: Final = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_CLUSTER: Final = re.compile(r"[A-Za-z0-9_.-]+")
_DATABASE: Final = re.compile(r"[A-Za-z0-9_]+")

_MIGRATIONS: Final = """
CREATE TABLE IF NOT EXISTS migrations /*ON CLUSTER*/
(
    number UInt32,
    name String,
    checksum String,
    apply_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY number
"""


class MigrationChangedError(PreconditionError):
    """A statement that was applied before is another now, or is not known here: an older or a forked version."""

    default_reason = "MIGRATION_CHANGED"


@dataclass(frozen=True, slots=True)
class Migration:
    """One statement of `schema/`."""

    number: int
    name: str
    statement: str

    @property
    def checksum(self) -> str:
        """Of the text as it stands, whatever cluster it is applied to."""
        return hashlib.sha256(self.statement.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04d}_{self.name}"


def read_migrations() -> list[Migration]:
    """Returns the statements of `schema/`, in order.

    Raises:
        ValueError: Two have one number, or one is missing.
    """
    found = sorted(_read("schema"))
    if [migration[0] for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("the numbers in schema/ must be 1, 2, 3, ... each once")
    return [Migration(*migration) for migration in found]


def read_views() -> dict[str, str]:
    """Returns the statements of `views/` by name."""
    folder = files("tributary_storage.clickhouse").joinpath("views")
    return {
        file.name.removesuffix(".sql"): file.read_text("utf-8")
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    }


def for_cluster(statement: str, cluster: str) -> str:
    """Fills in a cluster's words; without a cluster the statement stays as it is.

    >>> for_cluster("CREATE TABLE t /*ON CLUSTER*/ (n Int8) ENGINE = /*Replicated*/MergeTree ORDER BY n", "main")
    "CREATE TABLE t ON CLUSTER 'main' (n Int8) ENGINE = ReplicatedMergeTree ORDER BY n"

    Raises:
        ValueError: The name is none of a cluster.
    """
    if not cluster:
        return statement
    if not _CLUSTER.fullmatch(cluster):
        raise ValueError("the name of a cluster has letters, digits, dashes, dots and underscores only")
    return statement.replace("/*ON CLUSTER*/", f"ON CLUSTER '{cluster}'").replace("/*Replicated*/", "Replicated")


async def migrate(url: str | SecretStr, *, cluster: str = "", timeout_seconds: float = 120.0) -> list[str]:
    """Makes the database if there is none, applies what was not applied, and makes the views anew.

    May run twice, and at the same time as another: every statement is harmless when repeated.

    Args:
        url: `clickhouse://user:password@host:port/database`.
        cluster: The setting CLICKHOUSE_CLUSTER; empty for a single node.
        timeout_seconds: For each statement.

    Returns:
        The names of the migrations that were applied now; none if the database was up to date.

    Raises:
        MigrationChangedError: A migration that was applied is another now; nothing was done.
        StorageUnavailableError: ClickHouse did not answer; run it again.
        ValueError: The URL or the cluster's name cannot be read.
    """
    await _make_database(Address.parse(url), cluster, timeout_seconds)
    async with connect(url, name="migrate", timeout_seconds=timeout_seconds, connections=1) as clickhouse:
        await clickhouse.execute(for_cluster(_MIGRATIONS, cluster))
        waiting = await pending(clickhouse)
        for migration in waiting:
            await clickhouse.execute(for_cluster(migration.statement, cluster))
            await clickhouse.insert(
                "migrations",
                ("number", "name", "checksum"),
                ([migration.number], [migration.name], [migration.checksum]),
            )
        for statement in read_views().values():
            await clickhouse.execute(for_cluster(statement, cluster))
    return [str(migration) for migration in waiting]


async def pending(clickhouse: ClickHouse) -> list[Migration]:
    """Returns the migrations that were not applied yet, in order.

    Raises:
        MigrationChangedError: One that was applied is another now, or unknown here.
        StorageUnavailableError: ClickHouse did not answer, or was never migrated (reason NOT_MIGRATED).
    """
    known = {migration.number: migration for migration in read_migrations()}
    applied = await _applied(clickhouse)
    for number, checksum in applied.items():
        migration = known.get(number)
        if migration is None:
            message = f"ClickHouse was migrated by a newer version (migration {number}); run that version."
            raise MigrationChangedError(message, subject=f"clickhouse:{number:04d}", reason="MIGRATION_UNKNOWN")
        if migration.checksum != checksum:
            message = f"Migration {migration} is not what was applied; add a new migration instead of editing it."
            raise MigrationChangedError(message, subject=f"clickhouse:{migration}")
    return [migration for number, migration in sorted(known.items()) if number not in applied]


async def _applied(clickhouse: ClickHouse) -> Mapping[int, str]:
    rows = await clickhouse.execute("SELECT number, checksum FROM migrations FINAL ORDER BY number")
    return dict(rows)


async def _make_database(address: Address, cluster: str, timeout_seconds: float) -> None:
    if not _DATABASE.fullmatch(address.database):
        raise ValueError("the name of a database has letters, digits and underscores only")
    server = Address(address.host, address.port, address.user, address.password, "default", address.is_secure)
    maker = ClickHouse(server, name="migrate", timeout_seconds=timeout_seconds, connections=1)
    try:
        statement = f"CREATE DATABASE IF NOT EXISTS {address.database} /*ON CLUSTER*/"
        await maker.execute(for_cluster(statement, cluster))
    finally:
        await maker.close()


def _read(folder: str) -> Iterator[tuple[int, str, str]]:
    for file in files("tributary_storage.clickhouse").joinpath(folder).iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            yield int(match["number"]), match["name"], file.read_text("utf-8")
