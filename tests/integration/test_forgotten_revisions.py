"""Newest revisions that the ledger lost after the state store had forgotten them: written as their rows have them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.integration.test_lost_revisions import _report
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, SHARDS, Events
from tributary_attribution.runs import exit_status
from tributary_domain.findings import FindingCause, FindingState
from tributary_domain.shards import shard_of_key
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.report_query import Basis
from tributary_storage.redis import keys
from tributary_storage.redis.conversions import conversion_key

_OF_ONE = "WHERE workspace = %(w)s AND conversion_id = %(c)s"


async def _forget(world: Reconciled, conversion_id: str) -> None:
    """Lets the lives of journeys and of a conversion end in the state store."""
    await world.attribution.let_journeys_expire()
    key = conversion_key(world.attribution.workspace.id, conversion_id)
    await world.attribution.state.delete(keys.conversion(shard_of_key(key, SHARDS), key))


async def _ledger(world: Reconciled, conversion_id: str) -> list[tuple[Any, ...]]:
    return list(
        await world.attribution.clickhouse.execute(
            "SELECT revision, previous_revision, posting_date, publish_time, value_delta_micros, counted_delta, causes,"  # noqa: S608 - ours
            f" linear_credit_micros, touch_event_ids FROM conversion_revisions FINAL {_OF_ONE} ORDER BY revision",
            {"w": world.attribution.workspace.id, "c": conversion_id},
        )
    )


@pytest.mark.parametrize("refunds", [0, 1, 2])
async def test_a_forgotten_revision_that_the_ledger_lost_is_there_again_after_one_run(
    redis_url: str, clickhouse_url: str, workspace: str, refunds: int
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(make.touch("visitor:a", at=NOON - DAY), make.order("visitor:a", order_id="a"))
        for number in range(refunds):
            await world.happen(make.refund(10_000_000, order_id="a", at=NOON + (number + 1) * DAY))
        conversion_id = make.conversion_id("a")
        row, before = await world.attribution.stored("*"), await _ledger(world, conversion_id)
        posted = await _report(world.attribution, Basis.POSTING)
        told = len(await world.attribution.logged())
        await _forget(world, conversion_id)
        await world.execute(
            f"ALTER TABLE conversion_revisions DELETE {_OF_ONE} AND revision = %(r)s", c=conversion_id, r=before[-1][0]
        )
        # What was posted on a day that is closed by now stays there.
        reporting = world.attribution.workspace.reporting
        closed = reporting.model_copy(update={"books_closed_through": before[-1][2] + timedelta(days=1)})
        world.attribution.workspace = world.attribution.workspace.model_copy(update={"reporting": closed})
        run = await world.run()
        assert await world.runs.findings(workspace, states=[FindingState.OPEN]) == []
        assert exit_status(run) == 0
        assert {one.cause for one in await world.differences()} == {FindingCause.LOST_ROW}
        assert await _ledger(world, conversion_id) == before
        assert await world.attribution.stored("*") == row
        assert await _report(world.attribution, Basis.POSTING) == posted
        assert posted == await _report(world.attribution, Basis.CONVERSION)
        assert len(await world.attribution.logged()) == told, "nobody is told what they know"
        chains = await StoredIntegrity(world.attribution.clickhouse).revisions(workspace)
        assert (chains.linked, chains.firsts) == (chains.rows, chains.conversions)
        again = await world.run()
        assert (again.counts["differences"], again.counts["lost_revisions"]) == (0, 0)
        await world.happen(make.refund(5_000_000, order_id="a", at=NOON + 9 * DAY))
        assert await _report(world.attribution, Basis.POSTING) == await _report(world.attribution, Basis.CONVERSION)


async def test_a_forgotten_revision_whose_row_tells_otherwise_than_its_events_is_published_anew(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(make.touch("visitor:a", at=NOON - DAY), make.order("visitor:a", order_id="a"))
        for number in (1, 2):
            await world.happen(make.refund(10_000_000, order_id="a", at=NOON + number * DAY))
        conversion_id = make.conversion_id("a")
        before = await _ledger(world, conversion_id)
        await _forget(world, conversion_id)
        await world.execute(
            f"ALTER TABLE conversion_revisions DELETE {_OF_ONE} AND revision IN %(r)s",
            c=conversion_id,
            r=(before[1][0], before[2][0]),
        )
        await world.execute(f"ALTER TABLE conversions UPDATE value_micros = 1 {_OF_ONE}", c=conversion_id)
        run = await world.run()
        assert (exit_status(run), await world.runs.findings(workspace, states=[FindingState.OPEN])) == (0, [])
        first, anew = await _ledger(world, conversion_id)
        assert (first, anew[1]) == (before[0], first[0])
        assert anew[0] > before[2][0]
        posted = await _report(world.attribution, Basis.POSTING)
        assert posted == await _report(world.attribution, Basis.CONVERSION)
        assert {values[:2] for values in posted.values()} == {(1_000_000, 70_000_000)}
        assert (await world.run()).counts["differences"] == 0


async def test_a_forgotten_revision_that_only_other_settings_would_tell_is_left_and_nobody_is_told_of_a_new_order(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    conversion_id = make.conversion_id("a")
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[{"lookback_days": 30}]) as world:
        await world.happen(make.touch("visitor:a", at=NOON - DAY), make.order("visitor:a", order_id="a"))
        row, told = await world.attribution.stored("*"), len(await world.attribution.logged())
        await _forget(world, conversion_id)
        await world.execute(f"ALTER TABLE conversion_revisions DELETE {_OF_ONE}", c=conversion_id)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[{"lookback_days": 10}]) as world:
        for _ in range(2):
            assert exit_status(await world.run()) != 0
            left = await world.runs.findings(workspace, states=[FindingState.OPEN])
            assert FindingCause.LOST_ROW in {one.cause for one in left}
        assert await world.attribution.stored("*") == row
        assert await _ledger(world, conversion_id) == []
        assert len(await world.attribution.logged()) == told
