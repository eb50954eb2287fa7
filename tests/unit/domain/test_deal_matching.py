"""Deals and conversions meet on the highest step of the ladder that links them, each once."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from tributary_domain.compared_deals import CountedConversion, Deal, DealClass, MatchLimits
from tributary_domain.deal_matching import match_deals

DAY = 86_400_000_000
NOW = 100 * DAY
EURO = 1_000_000


def _conversion(
    number: int,
    *,
    order: str = "",
    lead: str = "",
    euros: int = 100,
    day: int = 50,
    name: str = "purchase",
    store: str = "",
    contact: str = "",
    is_expected: bool = True,
) -> CountedConversion:
    tokens = (contact or f"email:{number}",)
    money = ("EUR", euros * EURO)
    return CountedConversion(f"c1:{number}", name, order, lead, *money, day * DAY, tokens, store, is_expected)


def _deal(
    number: int,
    *,
    order: str = "",
    lead: str = "",
    euros: int | None = 100,
    status: str = "WON",
    contact: str = "",
    day: int = 50,
    name: str = "",
    store: str = "",
) -> Deal:
    amount = None if euros is None else euros * EURO
    return Deal("crm", str(number), status, "EUR", amount, order, lead, contact, name, day, 0, store)


def _said(conversions: list[CountedConversion], deals: list[Deal]) -> list[str]:
    """Returns "conversions=deals step CLASS" per match, after checking that no order of arrival changes it."""
    found = match_deals(conversions, deals, NOW, MatchLimits())
    assert match_deals(conversions[::-1], deals[::-1], NOW, MatchLimits()) == found
    return [
        " ".join(
            filter(
                None,
                (
                    "+".join(one.conversion_id[3:] for one in match.conversions)
                    + "="
                    + "+".join(deal.deal_id for deal in match.deals),
                    match.step,
                    match.outcome,
                    match.rival,
                ),
            )
        )
        for match in found
    ]


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


def test_an_open_deal_takes_no_conversion_of_its_contact_that_a_deal_which_is_won_may_be() -> None:
    deals = [_deal(1, contact="email:1", day=52), _deal(2, contact="email:1", day=51, status="OPEN")]
    assert _said([_conversion(1)], deals) == ["1=1 contact_amount_date MATCHED", "=2 NOT_YET_DUE"]
    two = [_conversion(1), _conversion(2, contact="email:1")]
    assert _said(two, deals) == ["1=1 contact_amount_date MATCHED", "2=2 contact_amount_date NOT_YET_DUE"]


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


@pytest.mark.parametrize(
    ("conversions", "deals", "expected"),
    [
        pytest.param(
            [_conversion(1, order="o", lead="l"), _conversion(2, lead="l")],
            [_deal(1, lead="l"), _deal(2, order="o")],
            ["1=2 order_id MATCHED", "2=1 lead_id MATCHED"],
            id="what-a-higher-step-takes-leaves-the-rest-of-the-lead",
        ),
        pytest.param(
            [_conversion(1, order="o", lead="l")],
            [_deal(1, lead="l"), _deal(2, order="o")],
            ["1=2 order_id MATCHED", "=1 MISSING_HERE crm/2"],
            id="a-conversion-is-one-deal",
        ),
        pytest.param(
            [_conversion(1, order="o"), _conversion(2, contact="email:1")],
            [_deal(1, order="o", contact="email:1"), _deal(2, order="o", contact="email:1")],
            ["1=1 order_id MATCHED", "2=2 contact_amount_date MATCHED"],
            id="who-has-no-place-by-number-goes-on-down-the-ladder",
        ),
        pytest.param(
            [_conversion(1, order="1001", store="a", euros=50), _conversion(2, order="1001", store="b", euros=80)],
            [_deal(1, order="1001", store="b", euros=80), _deal(2, order="1001", store="a", euros=50)],
            ["2=1 order_id MATCHED", "1=2 order_id MATCHED"],
            id="an-order-is-of-the-store-that-the-deal-says",
        ),
        pytest.param(
            [_conversion(1, order="1001", store="a")],
            [_deal(1, order="1001", store="b")],
            ["1= MISSING_IN_CRM", "=1 MISSING_HERE"],
            id="and-of-no-other",
        ),
        pytest.param(
            [_conversion(1, order="1001", store="a", euros=50), _conversion(2, order="1001", store="b", euros=80)],
            [_deal(1, order="1001", euros=80)],
            ["2=1 order_id MATCHED", "1= MISSING_IN_CRM c1:2"],
            id="where-it-says-none-of-the-one-that-agrees",
        ),
        pytest.param(
            [_conversion(1, order="o", name="quote"), _conversion(2, order="o", name="purchase")],
            [_deal(1, order="o", name="purchase", euros=70), _deal(2, order="o", name="quote", euros=70)],
            ["2=1 order_id AMOUNT_DIFFERS", "1=2 order_id AMOUNT_DIFFERS"],
            id="a-deal-is-of-the-name-it-says",
        ),
        pytest.param(
            [_conversion(1, lead="l", name="quote")],
            [_deal(1, lead="l", name="purchase", contact="email:1")],
            ["1= MISSING_IN_CRM", "=1 MISSING_HERE"],
            id="on-every-step",
        ),
        pytest.param(
            [_conversion(1, order="o", euros=70), _conversion(2, order="o", euros=30)],
            [_deal(1, order="o")],
            ["1+2=1 order_id SPLIT_OR_MERGED"],
            id="one-deal-of-two",
        ),
        pytest.param(
            [_conversion(1, order="o")],
            [_deal(1, order="o", euros=60), _deal(2, order="o", euros=40)],
            ["1=1+2 order_id SPLIT_OR_MERGED"],
            id="two-deals-of-one",
        ),
        pytest.param(
            [_conversion(1, order="o")],
            [_deal(1, order="o", euros=60), _deal(2, order="o", euros=50)],
            ["1=1 order_id AMOUNT_DIFFERS", "=2 MISSING_HERE crm/1"],
            id="not-of-what-is-worth-something-else",
        ),
        pytest.param(
            [_conversion(1, order="o")],
            [_deal(1, order="o", status="OPEN"), _deal(2, order="o", euros=50)],
            ["1=2 order_id AMOUNT_DIFFERS", "=1 NOT_YET_DUE crm/2"],
            id="a-deal-that-is-won-goes-first",
        ),
        pytest.param(
            [_conversion(1, lead="l", euros=0, name="lead"), _conversion(2, lead="l", name="sale", day=55)],
            [_deal(1, lead="l")],
            ["2+1=1 lead_id MATCHED"],
            id="stages-go-with-their-lead",
        ),
        pytest.param(
            [_conversion(1, contact="email:1", day=49), _conversion(2, contact="email:1", day=54)],
            [_deal(1, contact="email:1", day=51), _deal(2, contact="email:1", day=47)],
            ["2=1 contact_amount_date MATCHED", "1=2 contact_amount_date MATCHED"],
            id="as-many-as-there-can-be",
        ),
        pytest.param(
            [_conversion(1, order="o", is_expected=False), _conversion(2, is_expected=False)],
            [_deal(1, order="o"), _deal(2, contact="email:2")],
            ["1=1 order_id MATCHED", "=2 MISSING_HERE"],
            id="what-no-crm-should-know-is-there-for-its-number-only",
        ),
    ],
)
def test_a_deal_is_the_one_conversion_that_the_ladder_links_best(
    conversions: list[CountedConversion], deals: list[Deal], expected: list[str]
) -> None:
    assert _said(conversions, deals) == expected


def test_a_number_that_very_many_share_is_no_number() -> None:
    conversions = [_conversion(number, order="n/a", lead=f"l-{number}") for number in range(101)]
    deals = [_deal(number, order="n/a", lead=f"l-{number}") for number in range(101)]
    assert {match.step for match in match_deals(conversions, deals, NOW, MatchLimits())} == {"lead_id"}
    more = [_conversion(200, order="n/a", contact="email:a"), *conversions]
    both = [_deal(200, order="n/a", contact="email:a"), _deal(201, order="n/a")]
    found = [(match.step, match.rival) for match in match_deals(more, both, NOW, MatchLimits()) if match.deals]
    assert found == [("order_id", ""), ("order_id", "")], "two deals are few enough"
    found = [(match.step, match.rival) for match in match_deals(more, [*both, *deals], NOW, MatchLimits())][-2:]
    assert found == [("contact_amount_date", ""), ("", "")]


def test_everybody_is_matched_where_very_many_are_alike() -> None:
    conversions = [_conversion(number, contact="email:1") for number in range(300)]
    deals = [_deal(number, contact="email:1") for number in range(300)]
    assert {match.outcome for match in match_deals(conversions, deals, NOW, MatchLimits())} == {DealClass.MATCHED}
