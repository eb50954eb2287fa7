"""A CRM's deals and conversions, held against each other night by night: each is spoken of once, as it is by now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Events
from tributary_attribution.deal_checks import DealChecks
from tributary_attribution.runs import exit_status
from tributary_domain.deal_creators import OWN_CREATOR
from tributary_domain.findings import Finding, FindingKind, FindingState
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.reconciliation_deals import ReconciliationDeals
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns
from tributary_storage.clickhouse.reconciliation_staging import Scope

_MIDNIGHT = NOON // DAY * DAY
_ORDER_DAY = date(1970, 1, 1) + timedelta(days=NOON // DAY)
_EURO = 1_000_000
_COLUMNS = (
    *("workspace", "system", "deal_id", "modify_time", "status", "currency", "amount_micros", "order_id"),
    *("lead_id", "contact_token", "created_by", "close_date", "conversion_name", "store"),
)
_OF_CONVERSIONS = (
    *("workspace", "conversion_id", "conversion_time", "revision", "name", "store", "order_id", "lead_id"),
    *("counted", "currency", "value_micros"),
)
_OF_EVENTS = ("workspace", "identity_token", "event_time", "event_id", "kind", "conversion_id", "verdict")


@dataclass
class Shop:
    """Conversions and deals of one workspace, as they are stored."""

    clickhouse: ClickHouse
    workspace: str

    async def sell(
        self,
        order: str = "",
        *,
        at: int = NOON,
        euros: int = 90,
        name: str = "purchase",
        store: str = "",
        lead: str = "",
        contact: str = "",
        own_id: str = "",
    ) -> None:
        """Writes a conversion that counts."""
        own_id = own_id or f"c1:{order or lead or contact}-{store}-{name}"
        row = (self.workspace, own_id, at, 1, name, store, order, lead, True, "EUR", euros * _EURO)
        await self.clickhouse.insert("conversions", _OF_CONVERSIONS, [[value] for value in row])
        if contact:
            seen = (self.workspace, contact, at, own_id, "conversion", own_id, "ACCEPTED")
            await self.clickhouse.insert("events_by_identifier", _OF_EVENTS, [[value] for value in seen])

    async def deal(
        self,
        deal_id: str,
        *,
        order: str = "",
        lead: str = "",
        euros: int = 90,
        contact: str = "",
        created_by: str = "anna",
        closed: int | None = 0,
        status: str = "WON",
        modified: int = NOON,
        name: str = "",
        store: str = "",
    ) -> None:
        """Writes a state of a deal as an import does; it closed so many days after the order."""
        day = None if closed is None else _ORDER_DAY + timedelta(days=closed)
        amount = ("EUR", euros * _EURO)
        row = (*(self.workspace, "crm", deal_id, modified, status, *amount, order, lead, contact), created_by, day)
        await self.clickhouse.insert("deals", _COLUMNS, [[value] for value in (*row, name, store)])

    async def look(self, begin: int, end: int, **settings: Any) -> tuple[dict[str, int], list[Finding]]:
        """Looks at the deals of some time; returns what was counted and found."""
        checks = DealChecks(ReconciliationDeals(self.clickhouse), ReconciliationRuns(self.clickhouse))
        told = Workspace.model_validate({"id": self.workspace, "pepper": {"value": "pepper"}, **settings})
        return await checks.check(Scope("r", self.workspace, begin, end, 1), told, SystemClock().unix_micros())

    async def night(self, after: int, **deals: Any) -> tuple[dict[str, int], list[FindingKind]]:
        """Looks at the deals of the day so many after the order's."""
        begin = _MIDNIGHT + after * DAY
        counts, found = await self.look(begin, begin + DAY, deals=deals)
        return counts, sorted(one.kind for one in found)


@pytest.fixture
async def shop(clickhouse_url: str, workspace: str) -> AsyncIterator[Shop]:
    async with clickhouse_client.connect(clickhouse_url, name="tests", connections=1) as clickhouse:
        yield Shop(clickhouse, workspace)


async def test_what_a_run_finds_of_deals_is_open_until_it_is_true_no_more(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make, shop = Events(workspace), Shop(world.attribution.clickhouse, workspace)
        await world.happen(*(make.order(f"customer:{n}", order_id=f"o-{n}") for n in range(5)))
        await shop.deal("1", order="o-0")
        await shop.deal("2", order="o-1", euros=45)
        await shop.deal("3", order="o-none")
        await shop.deal("4", order="o-2", created_by="Tributary sync")
        run = await world.run()
        assert (run.counts["crm_conversions"], run.counts["crm_closed_deals"]) == (5, 3)
        found = sorted((one.kind, one.match_step) for one in await world.runs.findings(workspace))
        missing = [(FindingKind.MISSING_IN_CRM, "")] * 3
        assert found == [(FindingKind.AMOUNT_DIFFERS, "order_id"), (FindingKind.MISSING_HERE, ""), *missing]
        assert exit_status(run) == 1
        await shop.deal("2", order="o-1", modified=NOON + 1)
        for number in (2, 3, 4):
            await shop.deal(f"5{number}", order=f"o-{number}", closed=80)
        far = _MIDNIGHT + 90 * DAY
        await world.run(world.a_run(begin=far, end=far + DAY))
        states = sorted((one.kind, one.state) for one in await world.runs.findings(workspace))
        gone = [FindingState.RESOLVED] * 3
        assert [state for _, state in states] == [FindingState.RESOLVED, FindingState.OPEN, *gone]


async def test_a_deal_that_closes_months_after_its_order_is_matched_in_the_night_of_either(shop: Shop) -> None:
    await shop.sell("o-1")
    await shop.deal("1", order="o-1", closed=120)
    for after in (0, 30, 120):
        counts, found = await shop.night(after)
        assert (after, counts["deals_matched"], found) == (after, 1, [])


async def test_a_conversion_is_missing_in_the_crm_from_the_night_it_comes_due(shop: Shop) -> None:
    await shop.sell("o-1")
    await shop.sell("o-2")
    await shop.deal("2", order="o-2")
    await shop.sell("o-1", own_id="s1:x")  # of somebody who was erased: whose deal it was, nobody can tell
    nights = [(await shop.night(after, due_days=20))[1] for after in (19, 20, 21)]
    assert nights == [[], [FindingKind.MISSING_IN_CRM], []]


async def test_a_deal_without_a_day_is_matched_by_number_alone_and_spoken_of_once(shop: Shop) -> None:
    await shop.sell("o-1", at=NOON - 40 * DAY, contact="email:a")
    await shop.deal("1", order="o-1", closed=None)
    await shop.deal("2", order="o-none", contact="email:a", closed=None)
    counts, found = await shop.night(0)
    assert (counts["deals_matched"], found) == (1, [FindingKind.MISSING_HERE])
    assert (await shop.night(1))[1] == []


async def test_that_one_deal_names_a_conversion_changes_nothing_of_the_others(shop: Shop) -> None:
    """Neither what others are matched with, nor what is missing; and what a deal named before counts no more."""
    conversions = [{"name": name, "primary": False} for name in ("call", "visit", "chat")]
    for name in ("purchase", "call", "visit", "chat"):
        await shop.sell(f"o-{name}", name=name)
    await shop.sell("o-2")
    await shop.deal("1", order="o-purchase")
    await shop.deal("2", order="o-call")
    await shop.deal("3", order="o-none", name="chat", modified=NOON - 1)
    await shop.deal("3", order="o-none", name="visit")
    counts, found = await shop.look(_MIDNIGHT, _MIDNIGHT + DAY, conversions=conversions, deals={"due_days": 0})
    assert counts["deals_matched"] == 2
    missing = [one.conversion_id for one in found if one.kind == FindingKind.MISSING_IN_CRM]
    assert missing == ["c1:o-2--purchase", "c1:o-visit--visit"]


async def test_order_numbers_are_of_a_store_and_a_deal_is_one_order(shop: Shop) -> None:
    await shop.sell("1001", store="a", euros=50)
    await shop.sell("1001", store="b", euros=80, at=NOON - 50 * DAY)
    await shop.deal("1", order="1001", store="b", euros=80)
    await shop.deal("2", order="1001", store="a", euros=50, closed=90, modified=NOON + 90 * DAY)
    assert (await shop.night(0))[0]["deals_matched"] == 2
    assert (await shop.night(90))[0]["deals_matched"] == 1
    await shop.deal("3", order="1001", store="a", euros=50, closed=91, modified=NOON + 91 * DAY)
    _, found = await shop.look(_MIDNIGHT + 91 * DAY, _MIDNIGHT + 92 * DAY)
    [message] = [one.message for one in found]
    assert message == "The deal has no conversion: the one that it names is deal crm/2."


async def test_which_conversion_a_deal_is_does_not_depend_on_the_night(shop: Shop) -> None:
    """By lead it could be one that another deal is by order, and that deal's night is another."""
    await shop.sell("o-1", lead="l-1")
    await shop.deal("1", lead="l-1", closed=90)
    await shop.deal("2", order="o-1", closed=120)
    found = [(await shop.night(after))[1] for after in (0, 90, 120)]
    assert found == [[], [FindingKind.MISSING_HERE], []]


@pytest.mark.parametrize(
    ("settings", "deal"),
    [
        pytest.param({"amount_tolerance_percent": 50}, {"order": "o-1", "euros": 130}, id="amount"),
        pytest.param({"date_tolerance_days": 9}, {"contact": "email:a", "closed": 9}, id="days"),
    ],
)
async def test_what_is_close_enough_is_said_by_the_workspace(
    shop: Shop, settings: dict[str, Any], deal: dict[str, Any]
) -> None:
    await shop.sell("o-1", contact="email:a")
    await shop.deal("1", **deal)
    assert "deals_matched" not in (await shop.night(0))[0]
    assert (await shop.night(0, **settings))[0]["deals_matched"] == 1


async def test_who_makes_our_deals_is_said_by_the_workspace(shop: Shop) -> None:
    for number, name in enumerate(("sync user", "Tributary", "aab")):
        await shop.deal(str(number), order="o-none", created_by=name)
    numbers = [
        (await shop.night(0, own_creators=own))[0].get("deals_missing_here", 0)
        for own in (["Sync *"], ["a+b"], ["Sync *", "TRIBUTARY", "a*"], [])
    ]
    assert numbers == [2, 3, 0, 3]
    assert (await shop.night(0))[0]["deals_missing_here"] == 2
    await shop.deal("3", order="o-none", created_by=OWN_CREATOR)  # what is declared now does not tell of it
    assert [(await shop.night(0, own_creators=own))[0]["deals_missing_here"] for own in (["Sync *"], [])] == [2, 3]


async def test_days_of_deals_are_cut_in_the_zone_of_the_books(shop: Shop) -> None:
    await shop.deal("1", order="o-none")
    hour, found = DAY // 24, []
    for begin in (_MIDNIGHT + number * hour for number in (3, 4, 5)):  # its day begins at four in the morning, UTC
        found.append((await shop.look(begin, begin + hour, reporting={"time_zone": "America/New_York"}))[1])
    assert [[one.kind for one in some] for some in found] == [[], [FindingKind.MISSING_HERE], []]
