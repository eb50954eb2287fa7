"""Money that goes back changes what a conversion is worth, with a cause, and destinations are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest

import pytest

from tests.support.shop import EURO, Shop, a_visit, an_adjustment, an_order, causes, credit, named, reasons
from tributary.attribution.v1.finding_pb2 import FindingKind
from tributary.event.v1 import adjustment_pb2
from tributary.event.v1.event_pb2 import Event

REFUND = adjustment_pb2.ADJUSTMENT_REASON_REFUND
RESTATEMENT = adjustment_pb2.ADJUSTMENT_REASON_RESTATEMENT
RETRACTION = adjustment_pb2.ADJUSTMENT_REASON_RETRACTION
CHARGEBACK = adjustment_pb2.ADJUSTMENT_REASON_CHARGEBACK
REVERSAL = adjustment_pb2.ADJUSTMENT_REASON_REVERSAL

Step = tuple[int, int | None]
"""Reason, and euros."""


@dataclass(frozen=True)
class Case:
    """Adjustments of a purchase of 100 euros, in order of their event times, and what must come of them."""

    steps: Sequence[Step]
    euros: int
    cause: str
    findings: Sequence[FindingKind.ValueType] = ()


CASES = {
    "refund": Case([(REFUND, 30)], 70, "REFUND"),
    "two-refunds": Case([(REFUND, 30), (REFUND, 20)], 50, "REFUND"),
    "to-zero": Case([(REFUND, 100)], 0, "REFUND"),
    "below-zero": Case([(REFUND, 130)], 0, "REFUND", [FindingKind.FINDING_KIND_OVER_REFUNDED]),
    "below-zero-together": Case([(REFUND, 60), (REFUND, 60)], 0, "REFUND", [FindingKind.FINDING_KIND_OVER_REFUNDED]),
    "chargeback": Case([(CHARGEBACK, 100)], 0, "CHARGEBACK"),
    "restatement": Case([(RESTATEMENT, 80)], 80, "RESTATEMENT"),
    "restatement-upwards": Case([(RESTATEMENT, 250)], 250, "RESTATEMENT"),
    "absorbs-what-was-before": Case([(REFUND, 30), (RESTATEMENT, 80)], 80, "RESTATEMENT"),
    "not-what-comes-after": Case([(RESTATEMENT, 80), (REFUND, 30)], 50, "RESTATEMENT"),
    "absorbs-an-over-refund": Case([(REFUND, 130), (RESTATEMENT, 80)], 80, "RESTATEMENT"),
    "restated-below-zero": Case([(RESTATEMENT, -5)], 0, "RESTATEMENT", [FindingKind.FINDING_KIND_OVER_REFUNDED]),
    "refunded-below-zero-and-restated": Case([(RESTATEMENT, -5), (RESTATEMENT, 80)], 80, "RESTATEMENT"),
    "given-back-from-below-zero": Case([(RESTATEMENT, -5), (REVERSAL, 30)], 25, "REVERSAL"),
    "reversal": Case([(CHARGEBACK, 100), (REVERSAL, 100)], 100, "REVERSAL"),
    "reversal-of-an-over-refund": Case([(REFUND, 130), (REVERSAL, 50)], 20, "REVERSAL"),
}


def _adjustments(order_id: str, steps: Sequence[Step]) -> list[Event]:
    """Returns adjustments a minute apart."""
    return [
        an_adjustment(
            order_id, None if euros is None else euros * EURO, reason=reason, ago=timedelta(minutes=50 - place)
        )
        for place, (reason, euros) in enumerate(steps)
    ]


def _sale(order_id: str) -> list[Event]:
    """Returns a visit, and a purchase of 100 euros after it."""
    visitor = {"visitor_id": f"visitor-of-{order_id}"}
    visit = a_visit(timedelta(hours=3), event_id=f"touch-of-{order_id}", **visitor)
    return [visit, an_order(order_id, 100 * EURO, event_id=f"sale-{order_id}", **visitor)]


def _sold(shop: Shop) -> None:
    """Sells something, and waits until destinations know."""
    shop.accept(*_sale("o"))
    shop.wait_for_value("o", 100 * EURO)
    shop.wait_until_settled()


@pytest.fixture(scope="module", params=["in-order", "backwards"])
def adjusted(request: pytest.FixtureRequest, take_shop: Callable[[], Shop]) -> tuple[Shop, dict[str, list[Event]]]:
    """A shop in which every case happened, its adjustments one after the other in this order of arrival."""
    shop = take_shop()
    shop.accept(*(event for name in CASES for event in _sale(name)))
    shop.wait_until_settled()
    events = {name: _adjustments(name, case.steps) for name, case in CASES.items()}
    arrivals = [of_case if request.param == "in-order" else of_case[::-1] for of_case in events.values()]
    for round_ in zip_longest(*arrivals):
        shop.accept(*filter(None, round_))
        shop.wait_until_settled()
    return shop, events


@pytest.mark.parametrize("name", CASES)
def test_adjustments_give_the_value_in_whatever_order_they_arrive(
    adjusted: tuple[Shop, dict[str, list[Event]]], name: str
) -> None:
    (shop, events), case = adjusted, CASES[name]
    found = shop.wait_for_value(name, case.euros * EURO)
    state = found.newest.state
    assert list(state.findings) == list(case.findings)
    assert state.counted
    assert state.original_value.amount_micros == 100 * EURO
    assert [applied.event_id for applied in state.adjustments] == [event.event_id for event in events[name]]
    changes = sum(applied.change_micros for applied in state.adjustments)
    assert state.original_value.amount_micros + changes == case.euros * EURO
    assert sum(revised.value_delta_micros for revised in found.revisions) == case.euros * EURO
    assert case.cause in causes(found)
    assert credit(state, "last_touch") == {f"touch-of-{name}": (1_000_000, case.euros * EURO)}
    webhooks = shop.wait_for_webhooks(state.conversion_id, found.newest.revision)
    assert [webhook.type for webhook in webhooks].count("conversion.created") == 1
    assert webhooks[-1].data["value"]["amount_micros"] == case.euros * EURO


def test_a_refund_tells_its_cause_to_the_webhook(shop: Shop) -> None:
    _sold(shop)
    shop.accept(an_adjustment("o", 30 * EURO))
    found = shop.wait_for_value("o", 70 * EURO)
    first, second = shop.wait_for_webhooks(found.newest.state.conversion_id, found.newest.revision)
    assert (first.type, first.data["causes"]) == ("conversion.created", ["initial"])
    assert (second.type, second.data["causes"]) == ("conversion.updated", ["refund"])
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


def test_a_refund_may_come_before_its_order(shop: Shop) -> None:
    (refund,) = shop.accept(an_adjustment("o", 30 * EURO, ago=timedelta(minutes=10)))
    shop.wait_until_settled()
    with pytest.raises(AssertionError, match="not there"):
        shop.order("o")
    (order,) = shop.accept(an_order("o", 100 * EURO))
    assert refund.conversion_id == order.conversion_id
    found = shop.wait_for_value("o", 70 * EURO)
    assert found.newest.state.original_value.amount_micros == 100 * EURO
    assert len(found.revisions) == 1, "it was never worth 100"


def test_a_retraction_makes_a_conversion_uncounted_and_is_told(shop: Shop) -> None:
    _sold(shop)
    shop.accept(an_adjustment("o", None, reason=RETRACTION))
    found = shop.wait_for_value("o", 0)
    state = found.newest.state
    assert (state.counted, state.retracted) == (False, True)
    assert sum(revised.counted_delta for revised in found.revisions) == 0
    assert causes(found)[-1] == "RETRACTION"
    assert sum(value for _, value in credit(state, "last_touch").values()) == 0
    webhooks = shop.wait_for_webhooks(state.conversion_id, found.newest.revision)
    assert [webhook.type for webhook in webhooks] == ["conversion.created", "conversion.reversed"]


def test_a_restatement_after_a_retraction_makes_it_count_again(shop: Shop) -> None:
    _sold(shop)
    retraction, restatement = _adjustments("o", [(RETRACTION, None), (RESTATEMENT, 40)])
    shop.accept(retraction)
    shop.wait_for_value("o", 0)
    shop.accept(restatement)
    found = shop.wait_for_value("o", 40 * EURO)
    assert (found.newest.state.counted, found.newest.state.retracted) == (True, False)
    assert sum(revised.counted_delta for revised in found.revisions) == 1
    assert credit(found.newest.state, "last_touch") == {"touch-of-o": (1_000_000, 40 * EURO)}


@pytest.mark.parametrize("settled_between", [True, False], ids=["one-after-the-other", "in-one-call"])
def test_a_refund_that_two_systems_report_counts_once(shop: Shop, settled_between: bool) -> None:
    _sold(shop)
    of_psp = an_adjustment("o", 30 * EURO, adjustment_id="re-1", ago=timedelta(minutes=20), event_id="psp")
    of_erp = an_adjustment("o", 30 * EURO, adjustment_id="re-1", ago=timedelta(minutes=10), event_id="erp")
    if settled_between:
        shop.accept(of_psp)
        shop.wait_until_settled()
        (second,) = shop.send(of_erp)
        assert (named(second), reasons(second)) == ("DUPLICATE", [("MERGED_OBSERVATION", "")])
    else:
        assert sorted(map(named, shop.send(of_psp, of_erp))) == ["ACCEPTED", "DUPLICATE"]
    shop.wait_until_settled()
    state = shop.order("o").newest.state
    assert state.value.amount_micros == 70 * EURO
    assert [applied.adjustment_id for applied in state.adjustments] == ["re-1"]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_dispute_and_its_reversal_share_a_number_and_both_count(shop: Shop, backwards: bool) -> None:
    _sold(shop)
    lost = an_adjustment("o", 100 * EURO, reason=CHARGEBACK, adjustment_id="d-1", ago=timedelta(minutes=20))
    won = an_adjustment("o", 60 * EURO, reason=REVERSAL, adjustment_id="d-1", ago=timedelta(minutes=10))
    for event in (won, lost) if backwards else (lost, won):
        shop.accept(event)
    shop.wait_for_value("o", 60 * EURO)


def test_two_refunds_of_one_amount_count_twice(shop: Shop) -> None:
    _sold(shop)
    shop.accept(
        an_adjustment("o", 30 * EURO, adjustment_id="re-1"), an_adjustment("o", 30 * EURO, adjustment_id="re-2")
    )
    shop.wait_for_value("o", 40 * EURO)


def test_a_refund_sent_again_counts_once(shop: Shop) -> None:
    _sold(shop)
    refund = an_adjustment("o", 30 * EURO)
    shop.accept(refund)
    (again,) = shop.send(refund)
    assert named(again) == "DUPLICATE"
    shop.wait_until_settled()
    assert shop.order("o").newest.state.value.amount_micros == 70 * EURO


def test_a_refund_in_another_currency_changes_no_value_and_is_a_finding(shop: Shop) -> None:
    _sold(shop)
    shop.accept(an_adjustment("o", 30 * EURO, currency="USD"))
    shop.wait_until_settled()

    def found_out() -> None:
        state = shop.order("o").newest.state
        assert list(state.findings) == [FindingKind.FINDING_KIND_CURRENCY_MISMATCH]
        assert (state.value.currency_code, state.value.amount_micros) == ("EUR", 100 * EURO)

    shop.wait(found_out)
    assert causes(shop.order("o")) == ["INITIAL", "REFUND"]


@pytest.mark.parametrize("target", ["event_id", "conversion_id"])
def test_a_refund_finds_a_conversion_without_an_order_id(shop: Shop, target: str) -> None:
    (sold,) = shop.accept(an_order("", 100 * EURO, event_id="sale"))
    shop.wait(lambda: shop.conversion_of_event("sale"))
    refund = an_adjustment("", 30 * EURO)
    setattr(refund.adjustment, target, "sale" if target == "event_id" else sold.conversion_id)
    (verdict,) = shop.accept(refund)
    assert verdict.conversion_id == sold.conversion_id

    def refunded() -> None:
        assert shop.conversion_of_event("sale").newest.state.value.amount_micros == 70 * EURO

    shop.wait(refunded)


def test_a_refund_of_an_order_nobody_reported_is_kept_and_changes_nothing(shop: Shop) -> None:
    shop.accept(an_adjustment("nobody-s", 30 * EURO))
    shop.wait_until_settled()
    with pytest.raises(AssertionError, match="not there"):
        shop.order("nobody-s")
