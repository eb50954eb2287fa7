"""Deals and conversions meet on the highest step of the ladder that links them, each once."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from tributary_domain.deal_matching import CountedConversion, Deal, DealClass, MatchLimits, match_deals

DAY = 86_400_000_000
NOW = 100 * DAY
EURO = 1_000_000


def _conversion(number: int, *, order: str = "", lead: str = "", euros: int = 100, day: int = 50) -> CountedConversion:
    tokens = (f"email:{number}",)
    return CountedConversion(f"c1:{number}", "purchase", order, lead, "EUR", euros * EURO, day * DAY, tokens)


def _deal(
    number: int,
    *,
    order: str = "",
    lead: str = "",
    euros: int | None = 100,
    status: str = "WON",
    contact: str = "",
    day: int = 50,
) -> Deal:
    amount = None if euros is None else euros * EURO
    return Deal("crm", str(number), status, "EUR", amount, order, lead, contact, "", day)


@pytest.mark.parametrize(
    ("conversion", "deal", "expected"),
    [
        pytest.param(_conversion(1, order="o"), _deal(1, order="o"), ("MATCHED", "order_id"), id="order"),
        pytest.param(_conversion(1, lead="l"), _deal(1, lead="l"), ("MATCHED", "lead_id"), id="lead"),
        pytest.param(
            _conversion(1, order="o"), _deal(1, order="o", euros=102), ("AMOUNT_DIFFERS", "order_id"), id="two-per-cent"
        ),
        pytest.param(
            _conversion(1, order="o"), _deal(1, order="o", euros=101), ("MATCHED", "order_id"), id="one-per-cent"
        ),
        pytest.param(
            _conversion(1, order="o"), _deal(1, order="o", euros=None), ("MATCHED", "order_id"), id="no-amount"
        ),
        pytest.param(
            _conversion(1, order="o"), _deal(1, order="o", status="OPEN"), ("NOT_YET_DUE", "order_id"), id="still-open"
        ),
        pytest.param(
            _conversion(1), _deal(1, contact="email:1", day=53), ("MATCHED", "contact_amount_date"), id="three-days"
        ),
    ],
)
def test_a_link_names_its_step(conversion: CountedConversion, deal: Deal, expected: tuple[str, str]) -> None:
    [match] = match_deals([conversion], [deal], NOW, MatchLimits())
    assert (match.outcome, match.step) == expected
    assert (match.conversions, match.deals) == ((conversion,), (deal,))


@pytest.mark.parametrize(
    "deal",
    [
        pytest.param(_deal(1, contact="email:1", day=54), id="four-days"),
        pytest.param(_deal(1, contact="email:2"), id="another-contact"),
        pytest.param(_deal(1, contact="email:1", euros=150), id="another-amount"),
    ],
)
def test_what_nothing_links_is_missing_on_either_side(deal: Deal) -> None:
    outcomes = [match.outcome for match in match_deals([_conversion(1)], [deal], NOW, MatchLimits())]
    assert outcomes == [DealClass.MISSING_IN_CRM, DealClass.MISSING_HERE]


def test_a_young_conversion_without_a_deal_is_not_due() -> None:
    both = [_conversion(1, day=71), _conversion(2, day=70)]
    outcomes = [match.outcome for match in match_deals(both, [], NOW, MatchLimits())]
    assert outcomes == [DealClass.MISSING_IN_CRM, DealClass.NOT_YET_DUE]


def test_the_day_of_a_conversion_is_that_of_the_books() -> None:
    late = _conversion(1)._replace(time_micros=51 * DAY - 1)  # a minute past midnight in Berlin
    deal = _deal(1, contact="email:1", day=54)
    steps = [
        match_deals([late], [deal], NOW, MatchLimits(zone=zone))[0].step for zone in (UTC, ZoneInfo("Europe/Berlin"))
    ]
    assert steps == ["", "contact_amount_date"]


def test_one_deal_of_two_conversions_is_merged_not_missing() -> None:
    both = [_conversion(1, lead="l"), _conversion(2, lead="l")]
    [match] = match_deals(both, [_deal(1, lead="l", euros=200)], NOW, MatchLimits())
    assert (match.outcome, match.step, len(match.conversions)) == (DealClass.SPLIT_OR_MERGED, "lead_id", 2)


def test_fifty_conversions_and_forty_five_deals() -> None:
    conversions = [_conversion(number, order=f"o-{number}") for number in range(50)]
    deals = [_deal(number, order=f"o-{number}") for number in range(45)]
    outcomes = [match.outcome for match in match_deals(conversions, deals, NOW, MatchLimits())]
    assert outcomes.count(DealClass.MATCHED) == 45
    assert outcomes.count(DealClass.MISSING_IN_CRM) == 5


def test_a_lost_deal_is_no_deal() -> None:
    [match] = match_deals([_conversion(1, order="o")], [_deal(1, order="o", status="LOST")], NOW, MatchLimits())
    assert match.outcome is DealClass.MISSING_IN_CRM
