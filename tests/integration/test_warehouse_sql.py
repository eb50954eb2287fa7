"""The SQL for warehouses, run on an engine: whatever is loaded, however often, in any order, comes to the truth."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from tests.support.object_storage import running_object_storage
from tests.support.revisions import Revision, Touch
from tests.support.stores import Stores, create_test_epoch
from tests.support.warehouse import Warehousing, warehousing
from tributary_domain.warehouse_sql import Dialect, as_of, create, merge
from tributary_domain.warehouse_tables import TABLES

SCHEMA = "tributary"

TRUTH = """
SELECT touch_channel, sum(credit), sum(value)
FROM conversions FINAL
ARRAY JOIN touch_channels AS touch_channel, linear_credit_micros AS credit, linear_value_micros AS value
WHERE workspace = %(workspace)s AND counted
GROUP BY touch_channel
ORDER BY touch_channel
"""

CREDITED = f"""
SELECT channel, sum(credit_micros)::BIGINT, sum(value_micros)::BIGINT
FROM {SCHEMA}.current_credits
WHERE model = 'linear' AND counted
GROUP BY channel
ORDER BY channel
"""  # noqa: S608 - our own name

POSTED = f"""
SELECT channel, sum(credit_micros)::BIGINT, sum(value_micros)::BIGINT
FROM {SCHEMA}.postings
WHERE model = 'linear'
GROUP BY channel
HAVING sum(credit_micros) <> 0
ORDER BY channel
"""  # noqa: S608 - our own name

WHOLE = f"SELECT conversion_id, revision::BIGINT, value_micros::BIGINT FROM {SCHEMA}.conversions ORDER BY conversion_id"  # noqa: S608


@dataclass
class Exported:
    """What a warehouse is given over three days, and the truth on the last."""

    batches: list[dict[str, list[str]]]
    """Per batch: table -> files."""
    credited: list[tuple[Any, ...]]
    newest: list[tuple[Any, ...]]
    first_moment: str
    first_values: list[tuple[Any, ...]]


def orders(workspace: str) -> list[Revision]:
    touches = (Touch("Email", "t-1"), Touch("Paid Search", "t-2", weight=2), Touch("Direct", "t-3"))
    return [
        Revision(workspace=workspace, conversion_id=f"c1:{n}", value_micros=10_000_001 * n, touches=touches[: n % 4])
        for n in range(1, 9)
    ]


@pytest.fixture(scope="module")
def exported(stores: Stores, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    with running_object_storage(tmp_path_factory.mktemp("s3") / "root") as storage:

        async def export() -> Exported:
            workspace = f"w-{uuid.uuid4().hex[:12]}"  # another one if the tests of this module run apart in one process
            redis_url = stores.empty_redis_url()
            await create_test_epoch(redis_url)
            async with warehousing(workspace, storage, clickhouse_url, redis_url) as books:
                return await _export(books)

        yield asyncio.run(export())


async def _export(books: Warehousing) -> Exported:
    export, first = books.export(), orders(books.workspace)
    await books.write(*first)
    await export.export_new()
    await books.write(
        *(
            one.then(value_micros=(one.value_micros or 0) // 3, touches=(Touch("Organic Search", "t-9"),))
            for one in first[:4]
        ),
        first[4].then(counted=False, value_micros=0),
    )
    await export.export_new()
    old_files = {name: books.read(name) for table in TABLES for name in books.files(table)}
    await books.erase("c1:6")
    await books.write(Revision(workspace=books.workspace, conversion_id="s1:6", touches=(), value_micros=60_000_006))
    await export.sweep(exported=13)
    batches = [{table: books.files(table, [one]) for table in one["tables"]} for one in books.manifests()]
    before = Path(books.storage.root) / "before"  # who loads a file from before it was written anew
    again = {name: str(before / f"{number}.parquet") for number, name in enumerate(old_files)}
    _keep(before, {again[name]: content for name, content in old_files.items()})
    batches += [
        {table: [again[file] for file in files if file in again] for table, files in one.items()} for one in batches
    ]
    parameters = {"workspace": books.workspace}
    newest = (
        "SELECT conversion_id, toInt64(revision), value_micros FROM conversions FINAL WHERE workspace = %(workspace)s"
    )
    return Exported(
        batches,
        await books.clickhouse.execute(TRUTH, parameters),
        sorted(await books.clickhouse.execute(newest, parameters)),
        f"{first[0].published:%Y-%m-%d %H:%M:%S}",
        [(one.conversion_id, one.value_micros) for one in first if one.conversion_id != "c1:6"]
        + [("s1:6", 60_000_006)],
    )


def _keep(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        Path(name).write_bytes(content)


def translated(statements: Sequence[str], dialect: Dialect) -> list[str]:
    return [sqlglot.transpile(one, read=dialect.value, write="duckdb")[0] for one in statements]


@pytest.mark.parametrize("dialect", list(Dialect))
def test_batches_loaded_twice_and_in_any_order_come_to_the_truth(dialect: Dialect, exported: Exported) -> None:
    engine = duckdb.connect()
    for statement in translated(create(dialect, SCHEMA), dialect):
        engine.execute(statement)
    merging = translated(merge(dialect, SCHEMA), dialect)
    loaded = exported.batches * 2
    random.Random(dialect.value).shuffle(loaded)
    for batch in loaded:
        for table in TABLES:
            stage = f"{SCHEMA}.stage_{table}"
            engine.execute(f"DELETE FROM {stage}")  # noqa: S608 - our own name
            for file in batch.get(table, []):
                read = f"read_parquet('{file}', hive_partitioning = false)"
                engine.execute(f"INSERT INTO {stage} SELECT * FROM {read}")  # noqa: S608 - our own name
        for statement in merging:
            engine.execute(statement)
    assert engine.execute(WHOLE).fetchall() == exported.newest
    assert engine.execute(CREDITED).fetchall() == exported.credited
    assert engine.execute(POSTED).fetchall() == exported.credited
    query = translated(as_of(dialect, SCHEMA, f"TIMESTAMP '{exported.first_moment}'")[-1:], dialect)[0]
    told = f"SELECT conversion_id, value_micros::BIGINT FROM ({query}) ORDER BY conversion_id"  # noqa: S608 - our own
    assert engine.execute(told).fetchall() == exported.first_values
    for table in TABLES:
        key = ", ".join(TABLES[table].key)
        counted = f"SELECT count(*), count(DISTINCT ({key})) FROM {SCHEMA}.{table}"  # noqa: S608 - our own
        [(rows, keys)] = engine.execute(counted).fetchall()
        assert rows == keys, f"a row of {table} is there twice"
    engine.close()
