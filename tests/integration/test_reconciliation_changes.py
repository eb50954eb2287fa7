"""What came in the days of a run is compared with all it may have changed, however old; the past comes in turns."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.test_consent import NO, consent
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Admitted, Events
from tests.support.families import Families
from tributary_attribution.reconcile_options import read_options
from tributary_attribution.runs import begun
from tributary_attribution.wanted_runs import WantedRuns
from tributary_domain.findings import FindingKind, FindingState
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import NotFoundError
from tributary_storage.clickhouse.reconciled_days import GRACE_MICROS, ReconciledDays
from tributary_storage.clickhouse.reconciliation_runs import Run

_OLD = NOON - 100 * DAY


def _a_run(world: Reconciled, *, with_changes: bool, repairs: bool = False, end: int = NOON + 3 * DAY) -> Run:
    workspace, now = world.attribution.workspace.id, SystemClock().unix_micros()
    return begun(workspace, NOON, end, now, repairs=repairs, slices=2, with_changes=with_changes)


async def _happened(world: Reconciled, *events: Admitted) -> None:
    """Lets events have come long ago, credited and recorded."""
    await world.attribution.handle(*events, accept_micros=_OLD + DAY)
    await world.attribution.record(*events, accept_micros=_OLD + DAY)


async def test_what_came_in_its_days_is_compared_with_all_that_it_changes_however_old(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        for name in ("refunded", "late", "merged", "after", "quiet"):
            await _happened(
                world,
                make.touch(f"visitor:{name}", at=_OLD - DAY),
                make.order(f"visitor:{name}", at=_OLD, order_id=name),
            )
        await _happened(world, make.touch("customer:c", at=_OLD - 2 * DAY, channel="Email"))
        await world.attribution.record(  # and nobody credits what changes
            make.refund(30_000_000, order_id="refunded"),
            make.touch("visitor:late", at=_OLD - 2 * DAY, channel="Email"),
            make.identify("visitor:merged", "customer:c"),
            make.touch("visitor:after", at=NOON + DAY, channel="Email"),
        )
        run = await world.run(_a_run(world, with_changes=False))
        assert (run.counts["conversions"], await world.differences()) == (0, [])

        run = await world.run(_a_run(world, with_changes=True))
        assert (run.counts["conversions"], run.counts["changed"], run.counts["differences"]) == (3, 3, 3)
        ids = {make.conversion_id(name) for name in ("refunded", "late", "merged")}
        assert {one.conversion_id for one in await world.differences()} == ids

        await world.run(_a_run(world, with_changes=False))  # looks at none of them, and so closes nothing
        assert {one.conversion_id for one in await world.differences()} == ids

        stored = await world.runs.find(workspace, run.reconciliation_id)
        assert stored is not None
        assert (stored.with_changes, stored.is_complete, stored.counts["changed"]) == (True, True, 3)
        assert await ReconciledDays(world.attribution.clickhouse).look_at(workspace, make.conversion_id("late")) == (
            *(run.create_micros - GRACE_MICROS, True, run.create_micros - GRACE_MICROS),
        )
        assert run.counts["noted"] == 3
        run = await world.run(_a_run(world, with_changes=True, repairs=True))
        assert (run.counts["differences"], run.counts["repaired"]) == (3, 3)
        assert {one.state for one in await world.differences()} == {FindingState.RESOLVED}
        values = dict(await world.attribution.stored("order_id, value_micros"))
        assert (values["refunded"], values["quiet"]) == (60_000_000, 90_000_000)
        touches = dict(await world.attribution.stored("order_id, touch_channels"))
        assert touches["late"] == touches["merged"] == ["Email", "Paid Search"]


async def test_a_lost_row_of_a_revision_that_was_published_in_its_days_is_found_however_old_the_order(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(make.order("visitor:a", at=_OLD))
        await world.happen(make.refund(30_000_000, at=_OLD + 1))
        await world.execute("ALTER TABLE conversion_revisions DELETE WHERE workspace = %(w)s AND previous_revision > 0")
        until = SystemClock().unix_micros() + DAY
        run = await world.run(_a_run(world, with_changes=False, end=until))
        assert run.counts["lost_revisions"] == 0
        run = await world.run(_a_run(world, with_changes=True, repairs=True, end=until))
        assert run.counts["lost_revisions"] == 1
        [found] = await world.runs.findings(workspace, states=[FindingState.RESOLVED])
        assert found.conversion_id == make.conversion_id()
        assert len(await world.attribution.stored_revisions(make.conversion_id())) == 2


async def test_what_says_itself_that_it_is_old_is_compared_as_old(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await _happened(
            world,
            make.touch("visitor:w", at=_OLD - DAY),
            make.order("visitor:w", at=_OLD, order_id="withdrawn"),
            make.touch("visitor:d", at=_OLD - 21 * DAY),
            make.order("customer:d", at=_OLD - 20 * DAY, order_id="older"),
            make.order("customer:d", at=_OLD, order_id="joined"),
            make.touch("visitor:v", at=_OLD - 2 * DAY),
            make.identify("customer:a", "visitor:v", at=_OLD - DAY),
            make.order("customer:a", at=_OLD, order_id="parted"),
        )
        await world.attribution.record(  # and nobody credits what changes
            consent(make, "visitor:w", NO, at=_OLD - 2 * DAY, event_id="late-no"),
            make.order("visitor:d", at=_OLD - DAY // 24, order_id="joined", letter="M", rank=1),
            make.identify("customer:b", "visitor:v", at=_OLD - 3 * DAY),  # whose the visitor was first
        )
        run = await world.run(_a_run(world, with_changes=True))
        found = {one.conversion_id for one in await world.differences()}
        assert found == {make.conversion_id(name) for name in ("withdrawn", "older", "joined", "parted")}, run.counts


@pytest.mark.parametrize(
    "others",
    [
        pytest.param(0, id="a pair that was known"),
        pytest.param(25, id="a device that many were seen with"),
    ],
)
async def test_whom_a_device_links_no_more_since_today_is_compared_however_long_ago_it_linked_them(
    redis_url: str, clickhouse_url: str, workspace: str, others: int
) -> None:
    make, device, hour = Events(workspace), "visitor:kiosk", DAY // 24
    then = _OLD - 20 * DAY
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await _happened(
            world,
            *(make.identify(device, f"device:{n}", at=then - 9 * DAY, event_id=f"d-{n}") for n in range(others)),
            make.identify(device, "customer:5", at=then - 60 * DAY),
            *(make.identify(device, f"customer:{n}", at=then + n * hour, event_id=f"i-{n}") for n in range(5)),
            make.touch(device, at=then + 8 * DAY),
            make.identify(device, "email:x", at=then + 9 * DAY, event_id="linked"),
            make.order("email:x", at=then + 10 * DAY, order_id="parted"),
        )
        assert dict(await world.attribution.stored("order_id, length(touch_times)")) == {"parted": 1}
        sixth = f"customer:{6 if others else 5}"
        await world.attribution.record(make.identify(device, sixth, at=then + 5 * hour, event_id="sixth"))
        run = await world.run(_a_run(world, with_changes=True))
        assert [one.conversion_id for one in await world.differences()] == [make.conversion_id("parted")], run.counts


async def test_an_order_that_is_counted_twice_since_today_is_found_however_old_it_is(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    told = Families(make).cycle(
        "customer:a", kind="UPGRADE", cycle="1", at=_OLD, name="purchase", order_id="twice", subscription="s-1"
    )
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await _happened(world, told)
        await world.happen(make.order("visitor:a", order_id="twice", rank=1, at=_OLD - DAY // 24))
        await world.run(_a_run(world, with_changes=False))
        assert await world.runs.findings(workspace, kinds=[FindingKind.ORDER_SPLIT]) == []
        await world.run(_a_run(world, with_changes=True))
        [found] = await world.runs.findings(workspace, kinds=[FindingKind.ORDER_SPLIT])
        assert found.state is FindingState.OPEN


async def test_the_newest_days_begin_where_nights_failed_and_an_unknown_run_is_not_gone_on_with(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    clock = SystemClock()
    parse = read_options
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        own, at = world.attribution.workspace, clock.unix_micros() - 5 * DAY
        wanted = WantedRuns(world.runs, parse(["--all", "--with-changes"]), clock)
        usual = await wanted.recent(own)
        assert usual is not None
        last = begun(workspace, at - DAY, at + DAY, at, repairs=False, slices=1, with_changes=True)
        await world.runs.save(replace(last, is_complete=True), at)
        made_up = await wanted.recent(own)
        assert made_up is not None
        assert (made_up.end_micros, at - DAY < made_up.begin_micros <= at) == (usual.end_micros, True)
        with pytest.raises(NotFoundError, match="r1:none"):
            await WantedRuns(world.runs, parse(["--workspace", workspace, "--resume", "r1:none"]), clock).recent(own)


async def test_the_past_is_compared_in_turns_and_what_was_stopped_is_gone_on_with(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    options = read_options(["--all", "--days=2", "--past-days=6", "--past-runs=3", "--slices=1"])
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        wanted, own = WantedRuns(world.runs, options, SystemClock()), world.attribution.workspace
        seen: list[int] = []
        for _ in range(4):
            run = await wanted.past(own)
            assert run is not None
            await world.runs.save(run, SystemClock().unix_micros())
            again = await wanted.past(own)  # the next attempt, before it came to its end
            assert again is not None
            assert again.reconciliation_id == run.reconciliation_id
            seen.append((await world.run(again)).begin_micros)
        recent = await wanted.recent(own)
        assert recent is not None
        size = timedelta(days=2) // timedelta(microseconds=1)
        assert seen[:3] == [seen[0], seen[0] + size, seen[0] + 2 * size]
        assert 0 <= recent.begin_micros - (seen[2] + size) < size
        assert seen[3] == seen[0]
