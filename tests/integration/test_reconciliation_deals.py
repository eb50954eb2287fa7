"""A CRM's deals and conversions, held against each other night by night: each is spoken of once, as it is by now."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Events
from tributary_attribution.deal_checks import DealChecks
from tributary_attribution.runs import exit_status
from tributary_domain.findings import FindingKind, FindingState
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_deals import ReconciliationDeals
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns
from tributary_storage.clickhouse.reconciliation_staging import Scope

_MIDNIGHT = NOON // DAY * DAY
_ORDER_DAY = date(1970, 1, 1) + timedelta(days=NOON // DAY)
_EURO = 1_000_000
_COLUMNS = (
    *("workspace", "system", "deal_id", "modify_time", "status", "currency", "amount_micros", "order_id"),
    *("contact_token", "created_by", "close_date"),
)


async def _import(
    world: Reconciled,
    deal_id: str,
    *,
    order: str = "",
    euros: int = 90,
    contact: str = "",
    created_by: str = "anna",
    closed: int | None = 0,
    status: str = "WON",
    modified: int = NOON,
) -> None:
    """Writes a state of a deal as an import does; it closed so many days after the order."""
    day = None if closed is None else _ORDER_DAY + timedelta(days=closed)
    workspace = world.attribution.workspace.id
    row = (workspace, "crm", deal_id, modified, status, "EUR", euros * _EURO, order, contact, created_by, day)
    await world.attribution.clickhouse.insert("deals", _COLUMNS, [[value] for value in row])


async def _look(world: Reconciled, begin: int, end: int, **settings: Any) -> tuple[dict[str, int], list[FindingKind]]:
    """Looks at the deals of some time; returns what was counted and found."""
    clickhouse, own = world.attribution.clickhouse, world.attribution.workspace
    checks = DealChecks(ReconciliationDeals(clickhouse), ReconciliationRuns(clickhouse))
    told = Workspace.model_validate({"id": own.id, "pepper": {"value": "pepper"}, **settings})
    counts, found = await checks.check(Scope("r", own.id, begin, end, 1), told, SystemClock().unix_micros())
    return counts, sorted(one.kind for one in found)


async def _night(world: Reconciled, after: int, **deals: Any) -> tuple[dict[str, int], list[FindingKind]]:
    """Looks at the deals of the day so many after the order's."""
    begin = _MIDNIGHT + after * DAY
    return await _look(world, begin, begin + DAY, deals=deals)


async def test_deals_are_held_against_conversions_but_never_our_own(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        await world.happen(*(make.order(f"customer:{n}", order_id=f"o-{n}") for n in range(5)))
        await _import(world, "1", order="o-0")
        await _import(world, "2", order="o-1", euros=45)
        await _import(world, "3", order="o-none")
        await _import(world, "4", order="o-2", created_by="Tributary sync")
        run = await world.run()
        assert (run.counts["crm_conversions"], run.counts["crm_closed_deals"]) == (5, 3)
        found = sorted((one.kind, one.match_step) for one in await world.runs.findings(workspace))
        missing = [(FindingKind.MISSING_IN_CRM, "")] * 3
        assert found == [(FindingKind.AMOUNT_DIFFERS, "order_id"), (FindingKind.MISSING_HERE, ""), *missing]
        assert exit_status(run) == 1


async def test_a_deal_that_closes_months_after_its_order_is_matched_in_the_night_of_either(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(Events(workspace).order("customer:a"))
        await _import(world, "1", order="o-1", closed=120)
        for after in (0, 30, 120):
            counts, found = await _night(world, after)
            assert (after, counts["deals_matched"], found) == (after, 1, [])


async def test_a_conversion_is_missing_in_the_crm_from_the_night_it_comes_due_until_its_deal_is_there(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        await world.happen(make.order("customer:a"), make.order("customer:b", order_id="o-2"))
        await _import(world, "2", order="o-2")
        await world.execute(  # of somebody who was erased: whose deal it was, nobody can tell
            "INSERT INTO conversions SELECT * REPLACE('s1:x' AS conversion_id) FROM conversions FINAL"
            " WHERE workspace = %(w)s AND order_id = 'o-1'"
        )
        nights = [(await _night(world, after, due_days=20))[1] for after in (19, 20, 21)]
        assert nights == [[], [FindingKind.MISSING_IN_CRM], []]
        states = []
        for day in (30, 90, 91):
            begin = _MIDNIGHT + day * DAY
            if day == 91:
                await _import(world, "1", order="o-1", closed=25)
            await world.run(world.a_run(begin=begin, end=begin + DAY))
            states += [one.state for one in await world.runs.findings(workspace)]
        assert states == [FindingState.OPEN, FindingState.OPEN, FindingState.RESOLVED]


async def test_a_deal_without_a_day_is_matched_by_number_alone_and_spoken_of_once(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(Events(workspace).order("email:a", at=NOON - 40 * DAY))
        await _import(world, "1", order="o-1", closed=None)
        await _import(world, "2", order="o-none", contact="email:a", closed=None)
        counts, found = await _night(world, 0)
        assert (counts["deals_matched"], found) == (1, [FindingKind.MISSING_HERE])
        assert (await _night(world, 1))[1] == []


@pytest.mark.parametrize(
    ("settings", "deal"),
    [
        pytest.param({"amount_tolerance_percent": 50}, {"order": "o-1", "euros": 130}, id="amount"),
        pytest.param({"date_tolerance_days": 9}, {"contact": "email:a", "closed": 9}, id="days"),
    ],
)
async def test_what_is_close_enough_is_said_by_the_workspace(
    redis_url: str, clickhouse_url: str, workspace: str, settings: dict[str, Any], deal: dict[str, Any]
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(Events(workspace).order("email:a"))
        await _import(world, "1", **deal)
        assert "deals_matched" not in (await _night(world, 0))[0]
        assert (await _night(world, 0, **settings))[0]["deals_matched"] == 1


async def test_who_makes_our_deals_is_said_by_the_workspace(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        for number, name in enumerate(("sync user", "Tributary", "aab")):
            await _import(world, str(number), order="o-none", created_by=name)
        numbers = [
            (await _night(world, 0, own_creators=own))[0].get("deals_missing_here", 0)
            for own in (["Sync *"], ["a+b"], ["Sync *", "TRIBUTARY", "a*"], [])
        ]
        assert numbers == [2, 3, 0, 3]
        assert (await _night(world, 0))[0]["deals_missing_here"] == 2


async def test_days_of_deals_are_cut_in_the_zone_of_the_books(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await _import(world, "1", order="o-none")
        hour, found = DAY // 24, []
        for begin in (_MIDNIGHT + number * hour for number in (3, 4, 5)):  # its day begins at four in the morning, UTC
            found.append((await _look(world, begin, begin + hour, reporting={"time_zone": "America/New_York"}))[1])
        assert found == [[], [FindingKind.MISSING_HERE], []]
