"""Whoever is erased of those who told an order as several first cycles, and as a whole: no money comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.test_erased_families import erase, happen, totals
from tests.integration.test_families import UNIT, Names, assert_batch_agrees
from tests.integration.test_several_first_cycles import FIRST, PLAIN, SECOND, Order
from tests.support.attribution import NOON, Attribution, running_attribution
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tests.support.stores import Stores
from tributary_domain.erasures import ErasureState

_PEOPLE = {PLAIN: "visitor:x", FIRST: "customer:x-a", SECOND: "customer:x-b"}
_CHANGES: tuple[Callable[[Order], object], ...] = (
    lambda order: None,
    lambda order: order.change("RETRACTION"),
    lambda order: order.change("REFUND", 70),
    lambda order: order.change("REFUND", 50),
    lambda order: order.change("REFUND", 120),
    lambda order: order.change("RESTATEMENT", 50),
    lambda order: (
        order.change("RESTATEMENT", 50),
        order.change("REFUND", 40, days=2),
        order.change("REVERSAL", 20, days=3),
    ),
    lambda order: (
        order.change("REFUND", 20, adjustment_id="r-1"),
        order.change("REFUND", 20, names=FIRST, adjustment_id="r-1", days=2),
        order.change("REFUND", 30, days=3),
    ),
    lambda order: (order.change("RETRACTION", names=SECOND), order.change("REFUND", 30)),
    lambda order: order.change("REFUND", 70, adjustment_id="r-2"),
)
"""Without a change; taken back; refunded in part, by less than the first is worth, by more than all are; told a new
total, of which a refund is won back; refunded by a name, too; one of them a mistake; refunded by a number."""


@pytest.fixture
async def attribution(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    about = (stores.empty_redis_url(), clickhouse_url, workspace)
    named = [{"name": "purchase"}]
    async with (
        running_attribution(*about, delivery_seconds=PATIENCE_SECONDS, conversions=named) as running,
        forgetting(running),
    ):
        yield running


@pytest.mark.parametrize(
    ("who", "off"),
    [
        pytest.param((PLAIN, FIRST), 70, id="the whole, then the first: all of a later refund is taken off"),
        pytest.param((SECOND, PLAIN, FIRST), 60, id="all, the second first: what is left of that changes no more"),
    ],
)
async def test_no_money_comes_back_whoever_is_erased_of_several_first_cycles(
    attribution: Attribution, workspace: str, who: tuple[str, ...], off: int
) -> None:
    named: Names = {}
    orders = [Order(workspace, number, "x") for number in range(len(_CHANGES))]
    for order, change in zip(orders, _CHANGES, strict=True):
        change(order)
        named |= {f"{order.number} {name}": one for name, one in order.named.items()}
    await happen(attribution, named)
    before = await totals(attribution)
    await stumble(attribution, who[0])
    assert await totals(attribution) == before
    orders[0].change("REFUND", 70)
    orders[-1].change("REFUND", 70, adjustment_id="r-2", days=2)  # another system reports it, too
    late, again = ([*order.named.values()][-1] for order in (orders[0], orders[-1]))
    await happen(attribution, {"late": late, "again": again})
    (micros, counted) = before[1]["purchase"]
    assert (await totals(attribution))[1] == {"purchase": (micros - off * UNIT, counted)}
    await assert_batch_agrees(attribution)
    for erasure in await attribution.erasures.opened():
        assert (await attribution.erasing.go_on(erasure)).state is ErasureState.FINISHED
    await attribution.lose_state()
    for one in who[1:]:
        await erase(attribution, _PEOPLE[one])
        assert (await totals(attribution))[1] == {"purchase": (micros - off * UNIT, counted)}, one
        await assert_batch_agrees(attribution)
    kept = "SELECT count() > 0 FROM order_changes WHERE workspace = %(w)s"
    assert await attribution.clickhouse.execute(kept, {"w": workspace}) == [(len(who) < len(_PEOPLE),)]


async def stumble(attribution: Attribution, who: str) -> None:
    """Erases somebody, and stops twice on the way."""
    plan = attribution.erasing.plan(attribution.workspace.id, [_PEOPLE[who]])
    erasure = await attribution.erasing.request(plan)
    steps = attribution.erasing.steps()
    for last in ("_stand_in", "_forget"):
        [going] = await attribution.erasures.opened()
        for step in steps[: [one.__name__ for one in steps].index(last) + 1]:
            going = await step(going)
    [going] = await attribution.erasures.opened()
    erasure = await attribution.erasing.go_on(going)
    assert not any(erasure.remaining.values()), erasure.remaining


async def test_a_cycle_that_somebody_tells_again_after_its_person_was_erased_takes_none_of_the_others_part(
    attribution: Attribution, workspace: str
) -> None:
    order = Order(workspace, 0, "x")
    await happen(attribution, order.named)
    await erase(attribution, _PEOPLE[FIRST])
    told = {"order_id": "o-0", "name": "purchase", "subscription": "s-o-0-a", "event_id": "again", "letter": "M"}
    again = order.families.cycle("customer:y", kind="FIRST", cycle="a", micros=60 * UNIT, at=NOON + UNIT, **told)
    order.change("REFUND", 70)
    await happen(attribution, {"again": again, "refund": list(order.named.values())[-1]})
    assert (await totals(attribution))[1] == {"purchase": (90 * UNIT, 2)}, "60 that stay, and what is left of 40"
    await assert_batch_agrees(attribution)
