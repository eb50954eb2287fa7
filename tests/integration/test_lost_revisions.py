"""Rows of revisions that ClickHouse has lost: found, written again as they were published, and posted once."""

from __future__ import annotations

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Attribution, Events
from tributary_attribution.runs import exit_status
from tributary_domain.findings import FindingCause, FindingKind, FindingState
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.report_query import Basis, Dimension, Metric, ReportQuery
from tributary_storage.clickhouse.reports import read_report

_BOTH = ("conversions", "conversion_revisions")
_LOST = {  # order -> which of its revisions is lost, in which tables
    "newest": (2, _BOTH),
    "alone": (2, _BOTH[1:]),
    "middle": (1, _BOTH),
    "first": (0, _BOTH),
}


async def _report(world: Attribution, basis: Basis) -> dict[tuple[str, ...], tuple[int, ...]]:
    query = ReportQuery(
        workspace=world.workspace.id,
        metrics=(Metric.CONVERSIONS, Metric.VALUE),
        dimensions=(Dimension.CHANNEL, Dimension.CONVERSION_NAME),
        model="linear",
        basis=basis,
        start_date="2020-01-01",
        end_date="2200-01-01",
        end_micros=2 * NOON,
    )
    return {tuple(map(str, line.key)): tuple(line.values) for line in await read_report(world.clickhouse, query)}


async def _lose(world: Reconciled, make: Events) -> dict[str, tuple[int, ...]]:
    """Makes orders that are refunded twice, and loses a revision of each; returns all revisions of each."""
    await world.happen(make.touch("visitor:a", at=NOON - DAY))
    await world.happen(*(make.order("visitor:a", order_id=order) for order in (*_LOST, "whole")))
    for number in (1, 2):
        await world.happen(*(make.refund(30_000_000, order_id=order, at=NOON + number * DAY) for order in _LOST))
    revisions = {}
    for order, (lost, tables) in _LOST.items():
        conversion_id = make.conversion_id(order)
        revisions[order] = tuple(await world.attribution.stored_revisions(conversion_id))
        for table in tables:
            await world.execute(
                f"ALTER TABLE {table} DELETE WHERE workspace = %(w)s AND conversion_id = %(c)s AND revision = %(r)s",
                c=conversion_id,
                r=revisions[order][lost],
            )
    return revisions


async def test_a_revision_whose_row_is_lost_is_posted_neither_twice_nor_never(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _lose(world, make)
        told = len(await world.attribution.logged())
        run = await world.run()
        posted = await _report(world.attribution, Basis.POSTING)
        assert posted == await _report(world.attribution, Basis.CONVERSION)
        assert {values[:2] for values in posted.values()} == {(5_000_000, 4 * 30_000_000 + 90_000_000)}
        found = {one.conversion_id: one for one in await world.differences()}
        assert {(one.kind, one.cause, one.state) for one in found.values()} == {
            (FindingKind.MISSING, FindingCause.LOST_ROW, FindingState.RESOLVED)
        }
        assert found.keys() == {make.conversion_id(order) for order in _LOST}
        assert (exit_status(run), run.counts["lost_revisions"]) == (0, 3)
        for order, (lost, _) in _LOST.items():
            conversion_id, known = make.conversion_id(order), revisions[order]
            left = known if lost == 2 else tuple(one for one in known if one != known[lost])
            assert tuple(await world.attribution.stored_revisions(conversion_id)) == left, "no revision is made"
            assert found[conversion_id].repair_revision == known[min(2, lost + 1)]
        assert len(await world.attribution.logged()) == told, "nobody is told what they know"
        chains = await StoredIntegrity(world.attribution.clickhouse).revisions(workspace)
        assert (chains.linked, chains.firsts) == (chains.rows, chains.conversions)
        assert (await world.run()).counts["lost_revisions"] == 0


async def test_what_is_posted_adds_up_before_anybody_repairs_it(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await _lose(world, Events(workspace))
        run = await world.run(world.a_run(repairs=False))
        assert {one.state for one in await world.differences()} == {FindingState.OPEN}
        assert (exit_status(run), run.counts["lost_revisions"]) == (2, 3)
        posted = await _report(world.attribution, Basis.POSTING)
        assert sum(values[1] for values in posted.values()) == 60_000_000 + 60_000_000 + 2 * 30_000_000 + 90_000_000


@pytest.mark.parametrize("lost", ["first", "middle", "newest", "all"])
@pytest.mark.parametrize("buried", [False, True])
async def test_a_conversion_that_lost_its_row_and_a_revision_is_whole_after_one_run(
    redis_url: str, clickhouse_url: str, workspace: str, lost: str, *, buried: bool
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(make.touch("visitor:a", at=NOON - DAY), make.order("visitor:a", order_id="a"))
        for number in (1, 2):
            await world.happen(make.refund(30_000_000, order_id="a", at=NOON + number * DAY))
        conversion_id = make.conversion_id("a")
        revisions = await world.attribution.stored_revisions(conversion_id)
        row = await world.attribution.stored("*")
        gone = {"first": revisions[:1], "middle": revisions[1:2], "newest": revisions[2:], "all": revisions}[lost]
        of_one = "WHERE workspace = %(w)s AND conversion_id = %(c)s"
        await world.execute(
            f"ALTER TABLE conversion_revisions DELETE {of_one} AND revision IN %(r)s", c=conversion_id, r=tuple(gone)
        )
        if buried:
            await world.attribution.clickhouse.execute(
                "INSERT INTO conversions SELECT * REPLACE(revision + 1 AS revision, true AS is_deleted)"  # noqa: S608 - ours
                f" FROM (SELECT * FROM conversions FINAL {of_one})",
                {"w": workspace, "c": conversion_id},
            )
        else:
            await world.execute(f"ALTER TABLE conversions DELETE {of_one}", c=conversion_id)
        run = await world.run()
        assert (exit_status(run), await world.runs.findings(workspace, states=[FindingState.OPEN])) == (0, [])
        assert await world.attribution.stored("*") == row
        chains = await StoredIntegrity(world.attribution.clickhouse).revisions(workspace)
        assert (chains.linked, chains.firsts) == (chains.rows, chains.conversions)
        posted = await _report(world.attribution, Basis.POSTING)
        assert posted == await _report(world.attribution, Basis.CONVERSION)
        assert (await world.run()).counts["differences"] == 0
