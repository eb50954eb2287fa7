"""Migrations bring a real ClickHouse to this version, once, and never past a change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.support.ports import free_address
from tests.support.revisions import Revision
from tests.support.stores import Stores, run_apart
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse.client import ClickHouse, connect
from tributary_storage.clickhouse.conversion_rows import REVISION_COLUMNS, revision_row
from tributary_storage.clickhouse.delivery_rows import DELIVERY_COLUMNS
from tributary_storage.clickhouse.event_rows import DECISION_COLUMNS, EVENT_COLUMNS, REFUSAL_COLUMNS
from tributary_storage.clickhouse.migrate import (
    MigrationChangedError,
    migrate,
    pending,
    read_migrations,
    read_views,
)

COLUMNS = {
    "events": EVENT_COLUMNS,
    "refusals": REFUSAL_COLUMNS,
    "quarantine_decisions": DECISION_COLUMNS,
    "conversion_revisions": REVISION_COLUMNS,
    "deliveries": DELIVERY_COLUMNS,
}


@dataclass(frozen=True)
class Migrated:
    """A database that did not exist before. To make it costs a second: whoever harms it mends it."""

    url: str
    applied: list[str]


@pytest.fixture(scope="module")
def migrated(stores: Stores) -> Iterator[Migrated]:
    """A database that was not there before; it goes, so that it is not there when this is asked for again."""
    url = f"{stores.clickhouse_url}_migrated"
    try:
        yield Migrated(url, run_apart(migrate(url)))
    finally:
        stores.clickhouse.execute(f"DROP DATABASE {url.rpartition('/')[2]} SYNC")


@pytest.fixture
def fresh_url(migrated: Migrated) -> str:
    return migrated.url


@pytest.fixture
async def fresh(fresh_url: str) -> AsyncIterator[ClickHouse]:
    async with connect(fresh_url, name="tests", connections=1) as clickhouse:
        yield clickhouse


@asynccontextmanager
async def claimed(clickhouse: ClickHouse, number: int, checksum: str) -> AsyncIterator[None]:
    """Lets a migration have been applied with another checksum for a while."""
    known = await clickhouse.execute("SELECT number, name, checksum FROM migrations FINAL")
    columns = ("number", "name", "checksum")
    await clickhouse.insert("migrations", columns, ([number], ["another"], [checksum]))
    try:
        yield
    finally:
        await clickhouse.execute("TRUNCATE TABLE migrations")
        await clickhouse.insert("migrations", columns, [list(column) for column in zip(*known, strict=True)])


async def test_a_database_that_is_not_there_is_made_with_everything(migrated: Migrated, fresh: ClickHouse) -> None:
    applied = migrated.applied
    assert applied == [str(migration) for migration in read_migrations()]
    tables = {row[0] for row in await fresh.execute("SHOW TABLES")}
    made = {migration.name for migration in read_migrations() if migration.statement.count("\nCREATE ")}
    assert tables >= {name for name in made if not name.endswith("_before")} | set(read_views())


async def test_what_was_stored_before_a_column_was_added_has_its_default(fresh: ClickHouse, workspace: str) -> None:
    added = [name for name in REVISION_COLUMNS if name in ("role", "touch_details", "reporting_credit_micros")]
    old = [name for name in REVISION_COLUMNS if name not in added]
    message, content = Revision(workspace=workspace).packed()
    row = dict(zip(REVISION_COLUMNS, revision_row(message, content), strict=True))
    await fresh.insert("conversion_revisions", old, [[row[name]] for name in old])
    found = await fresh.execute(
        "SELECT role, reporting_credit_micros, touch_details FROM conversions FINAL WHERE workspace = %(w)s",
        {"w": workspace},
    )
    assert found == [("", {}, [])]


async def test_a_second_run_applies_nothing(fresh_url: str, fresh: ClickHouse) -> None:
    assert await migrate(fresh_url) == []
    assert await pending(fresh) == []


async def test_a_run_that_was_cut_off_goes_on_where_it_was(fresh_url: str, fresh: ClickHouse) -> None:
    await fresh.execute("DELETE FROM migrations WHERE number > 9 SETTINGS lightweight_deletes_sync = 2")
    assert await migrate(fresh_url) == [str(migration) for migration in read_migrations()[9:]]


async def test_a_migration_that_was_edited_is_refused(fresh_url: str, fresh: ClickHouse) -> None:
    async with claimed(fresh, 1, "another"):
        with pytest.raises(MigrationChangedError, match="0001_events"):
            await migrate(fresh_url)


async def test_a_database_of_a_newer_version_is_refused(fresh_url: str, fresh: ClickHouse) -> None:
    async with claimed(fresh, 9_999, "x"):
        with pytest.raises(MigrationChangedError, match="newer version"):
            await migrate(fresh_url)


async def test_a_database_that_was_never_migrated_says_what_to_do(stores: Stores) -> None:
    url = f"{stores.clickhouse_url}_never_migrated"
    stores.clickhouse.execute(f"CREATE DATABASE IF NOT EXISTS {url.rpartition('/')[2]}")
    async with connect(url, name="tests", connections=1) as clickhouse:
        with pytest.raises(StorageUnavailableError, match="tributary migrate") as refused:
            await pending(clickhouse)
        assert refused.value.reason == "NOT_MIGRATED"


@pytest.mark.parametrize("table", COLUMNS)
async def test_every_column_that_is_written_exists(table: str, clickhouse_url: str) -> None:
    async with connect(clickhouse_url, name="tests", connections=1) as clickhouse:
        found = {row[0]: row[2] for row in await clickhouse.execute(f"DESCRIBE TABLE {table}")}
    assert set(COLUMNS[table]) <= set(found)
    assert {name for name in set(found) - set(COLUMNS[table]) if found[name] != "DEFAULT"} == set()


async def test_a_clickhouse_that_is_not_there_is_an_outage() -> None:
    with pytest.raises(StorageUnavailableError):
        await migrate(f"clickhouse://{free_address()}/tributary")
