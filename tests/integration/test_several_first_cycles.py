"""An order that is told as several first cycles, and as a whole: each cycle counts for what was told of it, once."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from tests.integration.test_families import UNIT, Names, arrive, assert_batch_agrees, reconcile, told
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.eventually import moment_passed
from tests.support.families import Families
from tests.support.stores import Stores
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary_domain.findings import Finding, FindingKind, FindingState
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import Scope

PLAIN, FIRST, SECOND = "plain", "first", "second"


@pytest.fixture
async def attribution(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    about = stores.empty_redis_url(), clickhouse_url, workspace
    async with running_attribution(*about, conversions=[{"name": "lead"}, {"name": "purchase"}]) as running:
        yield running


class Order:
    """An order of 100 that a browser or a backend tells as a whole, and a billing system as cycles of 60 and 40."""

    def __init__(self, workspace: str, number: int, people: str = "") -> None:
        self.number = number
        self.people = people or str(number)
        self.events = Events(workspace)
        self.families = Families(self.events)
        self.named: Names = {
            "browsed": self.events.touch(
                f"visitor:{self.people}", at=NOON - DAY, channel="Email", event_id=f"t-{number}"
            ),
            PLAIN: self._plain(f"visitor:{self.people}"),
            FIRST: self._cycle("a", 60 * UNIT, 1),
            SECOND: self._cycle("b", 40 * UNIT, 2),
        }

    def _plain(self, who: str) -> Admitted:
        own = f"o-{self.number}"
        return self.events.order(who, order_id=own, micros=100 * UNIT, rank=2, event_id=f"{own}-plain")

    def _cycle(self, cycle: str, micros: int, after: int) -> Admitted:
        own, who = f"o-{self.number}", f"customer:{self.people}-{cycle}"
        told = {"order_id": own, "name": "purchase", "subscription": f"s-{own}-{cycle}", "event_id": f"{own}-{cycle}"}
        return self.families.cycle(who, kind="FIRST", cycle=cycle, micros=micros, at=NOON + after * UNIT, **told)

    def change(self, reason: str, micros: int = 0, *, names: str = "", days: int = 1, adjustment_id: str = "") -> None:
        """Changes the order, without naming a cycle or as one conversion."""
        event_id = f"o-{self.number}-{reason}-{len(self.named)}"
        made = self.events.refund(micros * UNIT, at=NOON + days * DAY, order_id=f"o-{self.number}", event_id=event_id)
        adjustment = made[1].event.adjustment
        adjustment.reason = AdjustmentReason.Value(f"ADJUSTMENT_REASON_{reason}")
        adjustment.adjustment_id = adjustment_id
        if reason == "RETRACTION":
            adjustment.ClearField("amount")
        self.named[event_id] = self.families.adjusted(made, self.named[names]) if names else made


async def test_several_first_cycles_of_an_order_count_for_what_was_told_of_each_in_any_order_of_arrival(
    attribution: Attribution, workspace: str
) -> None:
    rng = random.Random(17)
    orders = [Order(workspace, number) for number in range(12)]
    expected = {}

    def becomes(number: int, plain: int | str | None, first: int | str, second: int | str) -> Order:
        expected[number] = plain, first, second
        return orders[number]

    becomes(0, 100, 60, 40)
    becomes(1, 30, 0, 30).change("REFUND", 70)
    becomes(2, "RETRACTED", "RETRACTED", "RETRACTED").change("RETRACTION")
    becomes(3, 100, 100, "RETRACTED").change("RETRACTION", names=SECOND)
    becomes(4, 100, "RETRACTED", 100).change("RETRACTION", names=FIRST)
    orders[4].change("REFUND", 0)
    becomes(5, 20, 0, 0).change("REFUND", 20, names=FIRST)
    orders[5].change("REFUND", 80, days=2)
    becomes(6, 50, 30, 20).change("RESTATEMENT", 50)
    becomes(7, 90, 50, 40).change("REFUND", 70)
    orders[7].change("REVERSAL", 60, days=2)
    orders[7].change("REFUND", 60, days=3)
    orders[7].change("REVERSAL", 60, days=4)
    becomes(8, None, 50, 40).change("REFUND", 10)
    del orders[8].named[PLAIN]
    becomes(9, 80, 40, 40).change("REFUND", 20, adjustment_id="r-9")
    orders[9].change("REFUND", 20, names=FIRST, adjustment_id="r-9", days=3)
    becomes(10, 30, 0, 30).change("REFUND", 70)
    orders[10].change("RESTATEMENT", 80, days=2)
    [*orders[10].named.values()][-1][1].event.adjustment.amount.currency_code = "USD"
    becomes(11, 30, 80, 30).change("REFUND", 70)
    orders[11].change("RESTATEMENT", 80, names=FIRST, days=2)
    for order in orders:
        how = await arrive(attribution, order.named, rng)
        known = {name: order.named[name] for name in ("browsed", PLAIN, FIRST, SECOND) if name in order.named}
        found = await told(attribution, known)
        values = [found[name][0] if found[name][0] == "RETRACTED" else found[name][1] for name in found]
        assert values == [one for one in expected[order.number] if one is not None], (order.number, how)
        if PLAIN in found and "RETRACTED" not in values:
            assert [one[0] for one in found.values()] == ["MERGED_ORDER", "", ""], (order.number, how)
        if PLAIN in found:
            earned = {name: one[3] for name, one in found.items()}
            assert earned == {PLAIN: "", FIRST: PLAIN, SECOND: PLAIN}, (order.number, how)
        if order.number == 1:
            for name in (PLAIN, FIRST, SECOND):
                explained = (await attribution.explainer.explain(workspace, known[name][1].conversion_id)).message
                assert explained.reproduces_revision, name
    await assert_batch_agrees(attribution)
    assert await splits(attribution) == [], "they are worth together what the order is, each of its own subscription"


async def test_of_any_moment_a_cycle_is_explained_with_the_part_that_it_had_then(
    attribution: Attribution, workspace: str
) -> None:
    order = Order(workspace, 1)
    batches = [list(order.named.values())]
    for change in (("REFUND", 70), ("RESTATEMENT", 90)):
        order.change(*change, days=len(batches))
        batches.append([list(order.named.values())[-1]])
    order.change("REFUND", 20, names=FIRST, days=9)  # takes another part of what was said of the order before
    batches.append([list(order.named.values())[-1]])
    moments, known = [], []
    for batch in batches:
        accepted = SystemClock().unix_micros()
        await attribution.record(*batch, accept_micros=accepted)
        await attribution.handle(*batch, accept_micros=accepted)
        moments.append(moment_passed())
    revisions = await attribution.logged()
    for moment in moments:
        then = {one.state.conversion_id: one.state for one in revisions if one.revision <= moment}
        cycles = [order.named[name][1].conversion_id for name in (FIRST, SECOND)]
        said = [(await attribution.explainer.explain(workspace, one, moment)).message for one in cycles]
        assert [(one.reproduces_revision, one.value) for one in said] == [(True, then[one].value) for one in cycles]
        known.append([one.value.amount_micros // UNIT for one in said])
    assert known == [[60, 40], [0, 30], [54, 36], [34, 36]]


async def splits(attribution: Attribution) -> list[Finding]:
    kinds = [FindingKind.ORDER_SPLIT]
    return await ReconciliationRuns(attribution.clickhouse).findings(attribution.workspace.id, kinds=kinds)


async def test_several_first_cycles_that_cannot_all_be_right_are_found_until_one_is_changed(
    attribution: Attribution, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gross, dearer, same, known_later, same_gross = (Order(workspace, number) for number in range(5))
    dearer.named[SECOND][1].event.conversion.value.amount_micros = 60 * UNIT
    for one in (same, known_later):
        del one.named[PLAIN]
    for one in (gross, same_gross):  # a browser tells them, whose values are with the tax
        one.named[PLAIN][1].event.conversion.value.amount_micros = 119 * UNIT
        one.named[PLAIN][1].source_rank = 1
    for one in (same, same_gross):
        one.named[SECOND][1].event.conversion.recurrence.subscription_id = f"s-o-{one.number}-a"
    for order in (dearer, same, known_later, gross, same_gross):
        await attribution.handle(*order.named.values())
        await attribution.record(*order.named.values())
    await assert_batch_agrees(attribution)
    found = sorted(await splits(attribution), key=lambda one: one.actual)
    assert [one.actual for one in found] == [
        "o-1:a 60000000 micros EUR, o-1:b 60000000 micros EUR",
        "o-2:a 60000000 micros EUR, o-2:b 40000000 micros EUR",
        "o-4:a 60000000 micros EUR, o-4:b 40000000 micros EUR",
    ]
    assert [one.expected for one in found] == [
        "first cycles of purchase o-1 that are worth 100000000 micros EUR",
        "a first cycle of purchase o-2 for each subscription",
        "a first cycle of purchase o-4 for each subscription",
    ]
    assert {one.message.partition(": ")[2] for one in found} == {
        "each counts for what was told of it. Look at what they are where they were made: restate by its cycle one "
        "that is worth something else, and retract by its cycle only one that there never was."
    }
    scope = Scope(f"r-{workspace}", workspace, NOON - DAY, NOON + 2 * DAY, 1)
    monkeypatch.setattr(ReconciliationSources, "MOST", 1)
    told_by_pages = await ReconciliationSources(attribution.clickhouse).several_first_cycles(scope)
    assert [one.order_id for one in told_by_pages] == ["o-1"], "o-0 is looked at, and nothing is odd about it"
    monkeypatch.undo()
    for order in (dearer, same, same_gross):
        order.change(*(("RESTATEMENT", 40) if order is dearer else ("RETRACTION",)), names=SECOND)
        taken_back = list(order.named.values())[-1]
        await attribution.handle(taken_back)
        await attribution.record(taken_back)
    await reconcile(attribution, begin=NOON + 40 * DAY)
    assert [one.state for one in await splits(attribution)] == [FindingState.RESOLVED] * 3
    await assert_batch_agrees(attribution)
