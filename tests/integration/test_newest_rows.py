"""A row of `conversions` is what the ledger says of the newest revision; whatever else it is, one run mends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Events
from tests.support.stores import Stores
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.runs import exit_status
from tributary_domain.findings import FindingCause, FindingKind, FindingState
from tributary_storage.clickhouse import ledger_rows, newest_rows
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.stand_ins import StandInRecords
from tributary_storage.clickhouse.writer import ConversionWriter

_HARMS = {
    "role": ("role = 'LEAD', is_primary = false", FindingCause.WRONG_FACTS),
    "settings": ("settings_version = 'zz'", FindingCause.WRONG_FACTS),
    "cycle": ("cycle = '9'", FindingCause.WRONG_FACTS),
    "posted": ("posting_date = posting_date - 30", FindingCause.WRONG_FACTS),
    "causes": ("causes = ['erasure']", FindingCause.WRONG_FACTS),
    "published": ("publish_time = publish_time + toIntervalYear(10)", FindingCause.WRONG_FACTS),
    "customer": ("customer_type = 'RETURNING', findings = ['parts_missing']", FindingCause.WRONG_FACTS),
    "unknown": ("findings = ['no_finding_of_ours']", FindingCause.WRONG_FACTS),
    "touch-times": ("touch_times = arrayMap(x -> x - toIntervalDay(3), touch_times)", FindingCause.WRONG_CREDIT),
    "touch-kinds": ("touch_kinds = arrayMap(x -> 'IMPRESSION', touch_kinds)", FindingCause.WRONG_CREDIT),
    "data-driven": ("data_driven_credit_micros = [1, 999999]", FindingCause.WRONG_CREDIT),
    "reason": ("linear_unattributed_reason = 'NO_CONSENT'", FindingCause.WRONG_CREDIT),
    "source": ("value_source = 'BROWSER', amounts_micros = map('tax', 5)", FindingCause.WRONG_VALUE),
    "rate": ("reporting_currency = 'USD', reporting_value_micros = 5", FindingCause.WRONG_VALUE),
    "counting": ("counted = false, not_counted_reason = 'ONCE_PER_PERSON'", FindingCause.WRONG_VALUE),
}
"""Assignments to a row, and what they are called."""

_COPIES = {
    "doubled": ("conversion_time - toIntervalDay(5) AS conversion_time", FindingCause.WRONG_FACTS),
    "doubled-far-away": ("conversion_time - toIntervalDay(900) AS conversion_time", FindingCause.WRONG_FACTS),
    "buried": ("true AS is_deleted", FindingCause.LOST_ROW),
    "buried-later": ("revision + 1 AS revision, true AS is_deleted", FindingCause.LOST_ROW),
    "later": ("revision + 1 AS revision, 7 AS value_micros", FindingCause.WRONG_FACTS),
    "later-elsewhere": (
        "revision + 1 AS revision, conversion_time + toIntervalDay(1) AS conversion_time",
        FindingCause.WRONG_FACTS,
    ),
}
"""Changes of a copy that is written beside a row, and what they are called."""

_COPY = """
INSERT INTO conversions
SELECT * REPLACE({changes})
FROM (SELECT * FROM conversions FINAL WHERE workspace = %(w)s AND conversion_id = %(c)s)
"""
_OF_ONE = "WHERE workspace = %(w)s AND conversion_id = %(c)s"


@pytest.fixture(scope="module")
def clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database of this module's own: to harm a row takes as long as the table is large."""
    with stores.a_database("newest_rows") as url:
        yield url


async def _world(world: Reconciled, names: list[str]) -> Events:
    make = Events(world.attribution.workspace.id)
    for name in names:
        await world.happen(
            make.touch(f"visitor:{name}", at=NOON - 3 * DAY, channel="Email"),
            make.touch(f"visitor:{name}", at=NOON - 2 * DAY, channel="Display"),
            make.order(f"visitor:{name}", order_id=name),
        )
        await world.happen(make.refund(30_000_000, order_id=name, at=NOON + DAY))
    return make


async def _copied(world: Reconciled, conversion_id: str, changes: str) -> None:
    values = {"w": world.attribution.workspace.id, "c": conversion_id}
    await world.attribution.clickhouse.execute(_COPY.format(changes=changes), values)


async def _everything(world: Reconciled) -> list[Any]:
    rows = await world.attribution.stored("*")
    ledger = await world.attribution.clickhouse.execute(
        "SELECT * FROM conversion_revisions FINAL WHERE workspace = %(w)s ORDER BY conversion_id, revision",
        {"w": world.attribution.workspace.id},
        raw_strings=True,
    )
    return [rows, ledger]


async def test_each_column_that_somebody_changed_is_found_named_and_written_again_as_it_was_published(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = await _world(world, ["whole", *_HARMS])
        before = await _everything(world)
        for name, (harm, _) in _HARMS.items():
            await world.execute(f"ALTER TABLE conversions UPDATE {harm} {_OF_ONE}", c=make.conversion_id(name))
        run = await world.run(world.a_run(repairs=False))
        assert (run.counts["differences"], exit_status(run)) == (len(_HARMS), 2)
        run = await world.run()
        found = {one.conversion_id: (one.cause, one.state) for one in await world.differences()}
        assert found == {
            make.conversion_id(name): (cause, FindingState.RESOLVED) for name, (_, cause) in _HARMS.items()
        }
        assert (run.counts["repaired"], exit_status(run)) == (len(_HARMS), 0)
        # What batch compares, too, it mends in its own way, which says so in a revision of its own.
        changed = [now for now, was in zip(await _everything(world), before, strict=True) if now != was]
        assert changed == []
        assert (await world.run()).counts["differences"] == 0


async def test_a_row_at_another_time_or_of_another_number_goes_and_the_right_one_stays(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = await _world(world, ["whole", "lost", "moved", *_COPIES])
        before = await _everything(world)
        for name, (changes, _) in _COPIES.items():
            await _copied(world, make.conversion_id(name), changes)
        await world.execute(f"ALTER TABLE conversions DELETE {_OF_ONE}", c=make.conversion_id("lost"))
        await _copied(world, make.conversion_id("moved"), "conversion_time + toIntervalDay(5) AS conversion_time")
        noon = f"{_OF_ONE} AND conversion_time = fromUnixTimestamp64Micro({NOON})"
        await world.execute(f"ALTER TABLE conversions DELETE {noon}", c=make.conversion_id("moved"))
        expected = {make.conversion_id(name): cause for name, (_, cause) in _COPIES.items()}
        expected[make.conversion_id("lost")] = FindingCause.LOST_ROW
        expected[make.conversion_id("moved")] = FindingCause.WRONG_FACTS
        run = await world.run(world.a_run(repairs=False))
        assert (run.counts["differences"], exit_status(run)) == (len(expected), 2)
        run = await world.run()
        assert {one.conversion_id: one.cause for one in await world.differences()} == expected
        assert await world.runs.findings(workspace, states=[FindingState.OPEN]) == []
        assert (run.counts["repaired"], exit_status(run)) == (len(expected), 0)
        assert await _everything(world) == before
        await world.attribution.clickhouse.execute("OPTIMIZE TABLE conversions FINAL")
        assert await _everything(world) == before
        again = await world.run()
        assert (again.counts["differences"], again.counts["open_errors"]) == (0, 0)


async def test_a_time_that_was_corrected_and_what_is_on_its_way_is_nothing_odd(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = await _world(world, ["a", "b"])
        for at in (NOON - DAY, NOON - 2 * DAY):
            await world.happen(make.order("visitor:a", order_id="a", at=at, rank=9, event_id=f"earlier-{at}"))
        moved = await world.attribution.published(make.conversion_id("a"))
        assert moved is not None
        assert moved.revision > 0
        [newest] = await world.attribution.clickhouse.execute(
            f"SELECT count(), uniq(conversion_time) FROM conversions {_OF_ONE}",  # noqa: S608 - a constant of ours
            {"w": workspace, "c": make.conversion_id("a")},
        )
        assert newest[1] > 1, "it left tombstones"
        assert (await world.run()).counts["differences"] == 0
        await world.execute(f"ALTER TABLE conversions DELETE {_OF_ONE}", c=make.conversion_id("b"))
        recent = world.a_run(repairs=False)
        run = await world.reconciliation.run(recent, world.attribution.workspace, grace_seconds=60)
        assert run.counts["misplaced_rows"] == 0, "its row may come yet"
        run = await world.run()
        assert (run.counts["misplaced_rows"], run.counts["repaired"], exit_status(run)) == (1, 1, 0)
        await _copied(world, make.conversion_id("b"), "conversion_time + toIntervalDay(5) AS conversion_time")
        run = await world.run()
        assert (run.counts["misplaced_rows"], run.counts["repaired"], exit_status(run)) == (1, 1, 0)


async def test_a_row_whose_revision_the_ledger_lost_with_the_state_store_is_not_taken_away(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = await _world(world, ["a"])
        [row] = await world.attribution.stored("*")
        await world.execute(
            f"ALTER TABLE conversion_revisions DELETE {_OF_ONE} AND previous_revision > 0", c=make.conversion_id("a")
        )
        await world.attribution.state.flushdb()
        await world.run(world.a_run(repairs=False))
        assert await world.attribution.stored("*") == [row]
        found = await world.runs.findings(workspace, kinds=[FindingKind.MISSING])
        assert [one.cause for one in found] == [FindingCause.LOST_ROW]


async def test_what_somebody_changed_in_the_ledger_alone_comes_into_no_row(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = await _world(world, ["a"])
        before = await world.attribution.stored("*")
        harm = "linear_credit_micros = arrayMap((x, i) -> x + if(i = 1, 5, -5), linear_credit_micros, [1, 2])"
        await world.execute(f"ALTER TABLE conversion_revisions UPDATE {harm} {_OF_ONE}", c=make.conversion_id("a"))
        await world.run()
        assert await world.attribution.stored("*") == before


async def test_rows_that_are_more_than_a_statement_may_hold_are_read_in_smaller_parts(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        clickhouse, make = world.attribution.clickhouse, Events(workspace)
        touches = (make.touch("visitor:a", at=NOON - (300 - i) * 60_000_000, event_id=f"t{i}") for i in range(300))
        await world.happen(*touches, make.order("visitor:a", order_id="a"))
        [content] = (await StandInRecords(clickhouse).revisions(workspace, [make.conversion_id("a")])).values()
        alike = []
        for i in range(150):
            one = ConversionRevised.FromString(content)
            one.state.conversion_id = f"c1:{i * 7919 % 150:032x}"
            alike.append((one, one.SerializeToString()))
        await ConversionWriter(clickhouse).write(alike)
        await world.execute("ALTER TABLE conversions UPDATE role = 'LEAD' WHERE workspace = %(w)s")
        for module in (newest_rows, ledger_rows):
            monkeypatch.setattr(module, "MAX_MEMORY", 48_000_000)
        scope = Scope("r1", workspace, NOON - DAY, NOON + DAY, 8)
        altered, is_cut = await newest_rows.NewestRows(clickhouse).altered(scope, 2**52)
        assert ({one.columns for one in altered}, len(altered), is_cut) == ({("role",)}, 151, False)
        ledger = ledger_rows.LedgerRows(clickhouse)
        ids = await ledger.conversions(scope, 2**52)
        rows = [row async for page in ledger.pages(workspace, ids) for row in page]
        assert [row.conversion_id for row in rows if not row.differing] == ids
        said = {row.place: row.said for row in rows if row.said is not None}
        for one in said.values():
            one.state.name = "another"
        found = await ledger.differing(workspace, said)
        assert (len(found), set(found.values())) == (151, {("name",)})


async def test_no_row_is_written_again_of_somebody_who_is_being_erased(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = await _world(world, ["a", "b"])
        await world.attribution.clickhouse.execute(
            "INSERT INTO erasures (workspace, erasure_id, version, mode, state, person_keys)"  # noqa: S608 - a constant
            f" SELECT workspace, 'e1:1', 1, 'sever', 'destroyed', [person_id] FROM conversions FINAL {_OF_ONE}",
            {"w": workspace, "c": make.conversion_id("a")},
        )
        await world.execute("ALTER TABLE conversions DELETE WHERE workspace = %(w)s")
        run = await world.run(world.a_run(repairs=False))
        assert run.counts["misplaced_rows"] == 1
        revisions = dict(
            await world.attribution.clickhouse.execute(
                "SELECT conversion_id, max(revision) FROM conversion_revisions WHERE workspace = %(w)s GROUP BY 1",
                {"w": workspace},
            )
        )
        await newest_rows.NewestRows(world.attribution.clickhouse).rewrite(workspace, revisions)
        assert [row[0] for row in await world.attribution.stored("conversion_id")] == [make.conversion_id("b")]


async def test_rows_of_more_months_than_a_statement_writes_by_itself_are_written_again(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        clickhouse = world.attribution.clickhouse
        make = Events(workspace)
        await world.happen(make.touch("visitor:a", at=NOON - DAY), make.order("visitor:a", order_id="a"))
        [content] = (await StandInRecords(clickhouse).revisions(workspace, [make.conversion_id("a")])).values()
        alike = []
        for i in range(102):
            one = ConversionRevised.FromString(content)
            one.state.conversion_id = f"c1:{i:032x}"
            one.state.conversion_time.FromMicroseconds(NOON - i * 32 * DAY)
            one.ClearField("replaced_conversion_time")
            alike.append((one, one.SerializeToString()))
        await ConversionWriter(clickhouse).write(alike)
        before = await world.attribution.stored("*")
        await world.execute("ALTER TABLE conversions DELETE WHERE workspace = %(w)s")
        revisions = {one.state.conversion_id: one.revision for one, _ in alike}
        revisions[make.conversion_id("a")] = alike[0][0].revision
        await newest_rows.NewestRows(clickhouse).rewrite(workspace, revisions)
        assert await world.attribution.stored("*") == before
