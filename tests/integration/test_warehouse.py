"""What is exported to a warehouse: which rows, once, under the same names with the same bytes; what manifests say."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.object_storage import ACCESS_KEY_ID, ObjectStorage, running_object_storage
from tests.support.revisions import NOON, Revision, Touch
from tests.support.warehouse import Warehousing, warehousing
from tributary_domain.warehouse_tables import TABLES
from tributary_storage.clickhouse.report_query import Basis, Dimension, Metric, ReportQuery
from tributary_storage.clickhouse.reports import read_report


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[ObjectStorage]:
    with running_object_storage(tmp_path / "s3") as running:
        yield running


@pytest.fixture
async def books(
    workspace: str, storage: ObjectStorage, clickhouse_url: str, migrated_redis_url: str
) -> AsyncIterator[Warehousing]:
    async with warehousing(workspace, storage, clickhouse_url, migrated_redis_url) as opened:
        yield opened


def an_order(books: Warehousing, number: int = 1, **own: object) -> Revision:
    about = {"conversion_id": f"c1:{number}", "order_id": f"o-{number}", **own}
    return Revision(workspace=books.workspace, **about)  # type: ignore[arg-type] # a test's own words


async def test_every_table_has_its_columns_and_the_manifest_names_each_file(books: Warehousing) -> None:
    first = an_order(books, touches=(Touch("Email", "t-1"), Touch("Paid Search", "t-2")))
    refunded = first.then(value_micros=60_000_000)
    await books.write(first, refunded, an_order(books, 2, touches=()))
    await books.export().export_new()
    assert all(ACCESS_KEY_ID in said for said in books.storage.authorizations)
    [manifest] = books.manifests()
    assert (manifest["kind"], manifest["keys"], manifest["generation"]) == ("revisions", 3, 1)
    assert manifest["revisions"] == {"first": first.number, "last": refunded.number}
    for name, said in manifest["tables"].items():
        [file] = said["files"]
        content = books.read(books.files(name)[0])
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert said["key"] == list(TABLES[name].key)
        described = await books.clickhouse.execute(
            f"DESCRIBE s3('{books.storage.url}/p/{name}/v1/**.parquet', 'a', 'b', 'Parquet')"
            " SETTINGS use_hive_partitioning = 0"
        )
        assert [row[0] for row in described] == list(TABLES[name].names)
        assert len(await books.rows(name)) == said["rows"]
    rows = {name: said["rows"] for name, said in manifest["tables"].items()}
    # Six models of two touches and seven of none; without a model of data_driven nobody earned its credit.
    assert rows == {"conversions": 2, "conversion_revisions": 3, "credits": 2 * 13 + 7, "postings": 3 * 13 + 7}


async def test_the_last_thing_written_is_the_batchs_manifest(books: Warehousing) -> None:
    await books.write(an_order(books))
    last = await books.export().export_new()
    written = [path for method, path in books.storage.requests if method == "PUT"]
    assert written[-1] == f"/books/p/_manifests/v1/{last}.json"
    assert len(written) == 4 + 4 + 1


async def test_what_was_exported_is_not_exported_again_and_what_comes_late_is(books: Warehousing) -> None:
    await books.write(an_order(books))
    export = books.export(tables=["conversion_revisions"])
    first = await export.export_new()
    assert await books.export(tables=["conversion_revisions"]).export_new() == ""
    await books.write(an_order(books))  # written again: the same row
    late = an_order(books, 2, published=NOON - timedelta(days=3))
    await books.write(late)
    second = await export.export_new()
    assert second != first
    assert [one["keys"] for one in books.manifests()] == [1, 1]
    assert await books.rows("conversion_revisions", "conversion_id, revision, batch_id") == [
        ("c1:1", an_order(books).number, first),
        ("c1:2", late.number, second),
    ]


async def test_a_batch_that_is_written_twice_is_the_same_to_the_byte(books: Warehousing) -> None:
    orders = [an_order(books, number, touches=(Touch("Email", f"t-{number}"),)) for number in range(40)]
    await books.write(*orders, *(order.then(value_micros=1_000_003) for order in orders))
    await books.export().export_new()
    before = {name: books.storage.read(name) for name in books.storage.names()}
    assert len(before) == 4 + 4 + 1
    await books.clickhouse.execute(
        "ALTER TABLE warehouse_manifests DELETE WHERE workspace = %(workspace)s SETTINGS mutations_sync = 2",
        {"workspace": books.workspace},
    )
    assert await books.export().export_new() != ""
    assert {name: books.storage.read(name) for name in books.storage.names()} == before


async def test_a_large_backlog_is_several_batches_each_revision_in_one(books: Warehousing) -> None:
    await books.write(*(an_order(books, number) for number in range(25)))
    await books.export(tables=["conversion_revisions"], batch_rows=10).export_new()
    assert sorted(one["keys"] for one in books.manifests()) == [5, 10, 10]
    ids = [row[0] for row in await books.rows("conversion_revisions", "conversion_id")]
    assert sorted(ids) == sorted(f"c1:{number}" for number in range(25))


async def test_a_batch_has_the_newest_revision_of_a_conversion_in_conversions(books: Warehousing) -> None:
    first = an_order(books)
    last = first.then(value_micros=10_000_000).then(value_micros=0, counted=False)
    await books.write(first, first.then(value_micros=10_000_000), last)
    await books.export(tables=["conversions"]).export_new()
    rows = await books.rows("conversions", "revision, value_micros, counted, causes")
    assert rows == [(last.number, 0, False, "initial")]


async def test_postings_by_day_are_what_the_books_say(books: Warehousing) -> None:
    first = an_order(books, posted=date(2026, 11, 20))
    refunded = first.then(value_micros=30_000_000, posted=date(2026, 11, 25))
    held_back = an_order(books, 2, value_pending=True, posted=date(2026, 11, 20))
    gone = an_order(books, 3, posted=date(2026, 11, 20))
    export = books.export(tables=["postings"])
    await books.write(first, held_back, gone)
    await export.export_new()
    await books.write(refunded, gone.then(counted=False, value_micros=0, posted=date(2026, 11, 26)))
    await export.export_new()
    rows = await books.rows("postings", "posting_date, model, credit_micros, value_micros")
    sums: dict[date, tuple[int, int]] = {}
    for day, model, credit, value in rows:
        if model == "linear":
            before = sums.get(day, (0, 0))
            sums[day] = (before[0] + credit, before[1] + value)
    assert sums == {
        date(2026, 11, 20): (3_000_000, 180_000_000),
        date(2026, 11, 25): (0, -60_000_000),
        date(2026, 11, 26): (-1_000_000, -90_000_000),
    }


async def test_a_revision_waits_for_the_one_it_replaces(books: Warehousing) -> None:
    first = an_order(books)
    second = first.then(value_micros=1)
    await books.write(second)
    assert await books.export(tables=["conversion_revisions"]).export_new() == ""
    await books.write(first)
    await books.export(tables=["conversion_revisions"]).export_new()
    assert [one["keys"] for one in books.manifests()] == [2]


@pytest.mark.parametrize(("days", "keys"), [(2, [2]), (4, [1, 1])], ids=["written again in time", "given up"])
async def test_a_revision_waits_until_what_was_lost_would_have_been_written_again(
    books: Warehousing, days: int, keys: list[int]
) -> None:
    first, export = an_order(books), books.export(tables=["conversions"])
    await books.write(first.then(value_micros=1))
    await books.clickhouse.execute(
        "ALTER TABLE conversion_revisions UPDATE record_time = record_time - INTERVAL %(days)s DAY "
        "WHERE workspace = %(workspace)s SETTINGS mutations_sync = 2",
        {"days": days, "workspace": books.workspace},
    )
    await export.sweep(exported=1)
    await books.write(first)
    await export.sweep(exported=1)
    assert [one["keys"] for one in books.manifests()] == keys


@pytest.mark.parametrize(
    "exports",
    [
        pytest.param([], id="there again before anything was exported"),
        pytest.param([1], id="there again after the newest was exported"),
        pytest.param([0, 1], id="there again after each was exported by itself"),
        pytest.param([1, 2], id="there again, and what follows it written anew, after all was exported"),
    ],
)
async def test_a_lost_row_that_is_there_again_is_posted_as_reports_have_it(
    books: Warehousing, exports: list[int]
) -> None:
    first = an_order(books, value_micros=90_000_000)
    lost = first.then(value_micros=60_000_000, touches=(Touch("Email", "t-2"),))
    newest = lost.then(value_micros=30_000_000, previous=first.published)  # as repaired while nobody had the lost one
    after = newest.then(value_micros=20_000_000)
    export = books.export(tables=["postings"])
    steps: list[list[Revision]] = [[first], [newest], [lost, replace(newest, previous=lost.published)], [after]]
    for at, written in enumerate(steps):
        await books.write(*written)
        if at in exports or at == len(steps) - 1:
            await export.export_new()
    rows = await books.rows(
        "postings", "channel, credit_micros, value_micros, model, position, revision, posted_revision"
    )
    assert len({row[3:] for row in rows}) == len(rows), "no key comes twice"
    posted: dict[str, tuple[int, int]] = {}
    for channel, credit, value, model, *_ in rows:
        if model == "linear":
            before = posted.get(channel, (0, 0))
            posted[channel] = (before[0] + credit, before[1] + value)
    query = ReportQuery(
        workspace=books.workspace,
        metrics=(Metric.CONVERSIONS, Metric.VALUE),
        dimensions=(Dimension.CHANNEL,),
        model="linear",
        basis=Basis.POSTING,
        start_date="2020-01-01",
        end_date="2200-01-01",
        end_micros=2 * after.number,
    )
    reported = {str(line.key[0]): tuple(line.values) for line in await read_report(books.clickhouse, query)}
    assert {key: sums for key, sums in reported.items() if any(sums)} == {"Email": (1_000_000, 20_000_000)}
    assert {key: sums for key, sums in posted.items() if any(sums)} == {"Email": (1_000_000, 20_000_000)}


async def test_only_the_names_asked_for_and_only_the_own_workspace_are_exported(books: Warehousing) -> None:
    await books.write(an_order(books), an_order(books, 2, name="sign_up"))
    await books.write(Revision(workspace=f"{books.workspace}-other", conversion_id="c1:3"))
    await books.export(conversions={"sign_up": {}}, tables=["conversions"]).export_new()
    assert await books.rows("conversions", "conversion_id, name") == [("c1:2", "sign_up")]
    assert {name.split("/")[1] for name in books.storage.names(".parquet")} == {"conversions"}


async def test_who_was_erased_is_withdrawn_and_no_file_has_them_any_more(books: Warehousing) -> None:
    gone, stays = an_order(books, order_id="o-gone"), an_order(books, 2)
    await books.write(gone, stays)
    batch = await books.export().export_new()
    export = books.export(tables=["conversions"])  # the files of other tables are written anew all the same
    assert any(b"o-gone" in books.storage.read(name) for name in books.storage.names(".parquet"))
    await books.erase("c1:1")
    stand_in = an_order(books, order_id="", conversion_id="s1:random")
    await books.write(stand_in)
    await export.sweep(exported=2)
    assert await books.rows("withdrawals", "workspace, conversion_id") == [(books.workspace, "c1:1")]
    assert not any(b"o-gone" in books.storage.read(name) for name in books.storage.names(".parquet"))
    by_id = {one["batch_id"]: one for one in books.manifests()}
    assert (by_id[batch]["generation"], by_id[batch]["keys"]) == (2, 1)
    assert sorted(await books.rows("conversions", "conversion_id")) == [("c1:2",), ("s1:random",)]
    assert await export.sweep(exported=3) == ""


async def test_what_is_missing_without_an_erasure_is_not_withdrawn(books: Warehousing) -> None:
    await books.write(an_order(books), an_order(books, 2), an_order(books, 3))
    export = books.export(tables=["conversions"])
    await export.export_new()
    await books.erase("c1:1")
    await books.clickhouse.execute(  # and another was lost, by whatever means
        "ALTER TABLE conversion_revisions DELETE WHERE workspace = %(workspace)s AND conversion_id = 'c1:2'"
        " SETTINGS mutations_sync = 2",
        {"workspace": books.workspace},
    )
    assert await export.sweep(exported=3) == ""
    assert books.storage.names("withdrawals.parquet") == []
    await books.write(an_order(books, 2))
    await export.sweep(exported=3)
    assert await books.rows("withdrawals", "conversion_id") == [("c1:1",)]
