"""What can never be right is refused with the field to mend; what becomes of an import is a pure rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tributary.common.v1.calendar_date_pb2 import CalendarDate
from tributary.ingestion.v1.deal_pb2 import Deal
from tributary.ingestion.v1.exchange_rate_pb2 import ExchangeRate
from tributary.ingestion.v1.spend_pb2 import SpendRow, SpendSlice
from tributary_domain.deal_creators import OWN_CREATOR, kept_creators, own_creators, stored_creator
from tributary_domain.deals import check_deal
from tributary_domain.exchange_rates import check_rate
from tributary_domain.import_outcomes import ImportOutcome, outcome_of
from tributary_domain.reasons import Reason
from tributary_domain.spend import MAX_ROWS, check_slice

NOW = 1_795_000_000_000_000
DAY = {"year": 2026, "month": 11, "day": 2}
DAY_BEFORE = {"year": 1999, "month": 12, "day": 31}
FIRST_DAY = {"year": 2000, "month": 1, "day": 1}
LAST_DAY = {"year": 2299, "month": 12, "day": 31}
DAY_AFTER = {"year": 2300, "month": 1, "day": 1}
PLACEHOLDER = {"year": 9999, "month": 12, "day": 31}
"""What a CRM has where nobody knows when."""


def a_slice(**row: Any) -> SpendSlice:
    spend = SpendSlice(
        destination="google",
        account_id="123-456",
        start_date={"year": 2026, "month": 11, "day": 1},
        end_date={"year": 2026, "month": 11, "day": 7},
        level=2,
        account_time_zone="Europe/Berlin",
        currency_code="EUR",
        rows=[SpendRow(**{"date": DAY, "campaign_id": "c-1", "kind": 1, "cost_micros": 12_340_000, **row})],
    )
    spend.reported_at_time.FromMicroseconds(NOW)
    return spend


def a_deal() -> Deal:
    deal = Deal(system="hubspot", deal_id="d-1", stage="won", status=2, created_by="sales")
    deal.modify_time.FromMicroseconds(NOW)
    return deal


def a_rate() -> ExchangeRate:
    rate = ExchangeRate(date=DAY, base_currency_code="USD", quote_currency_code="EUR", rate_picos=10**12, source="ecb")
    rate.publish_time.FromMicroseconds(NOW)
    return rate


def of_slice(spend: SpendSlice) -> list[Reason]:
    return check_slice(spend, NOW, {"Europe/Berlin"}.__contains__)


def said(found: list[Reason]) -> list[str]:
    return [f"{reason.code}:{reason.field}" for reason in found]


def test_what_is_right_is_taken() -> None:
    assert said(of_slice(a_slice())) == said(check_deal(a_deal(), NOW)) == said(check_rate(a_rate(), NOW)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda spend: spend.ClearField("destination"), "FIELD_MISSING:destination"),
        (lambda spend: spend.ClearField("account_id"), "FIELD_MISSING:account_id"),
        (lambda spend: spend.ClearField("start_date"), "FIELD_MISSING:start_date"),
        (lambda spend: setattr(spend.start_date, "day", 31), "FIELD_MALFORMED:start_date"),
        (lambda spend: setattr(spend.start_date, "year", 1999), "FIELD_MALFORMED:start_date"),
        (lambda spend: (spend.ClearField("rows"), setattr(spend.end_date, "month", 10)), "FIELD_MALFORMED:end_date"),
        (lambda spend: setattr(spend.end_date, "year", 2028), "FIELD_MALFORMED:end_date"),
        (lambda spend: setattr(spend, "level", 0), "FIELD_MALFORMED:level"),
        (lambda spend: setattr(spend, "level", 3), "FIELD_MISSING:rows[0].adset_id"),
        (lambda spend: spend.ClearField("reported_at_time"), "FIELD_MISSING:reported_at_time"),
        (lambda spend: setattr(spend.reported_at_time, "seconds", 4 * 10**9), "FIELD_MALFORMED:reported_at_time"),
        (lambda spend: setattr(spend.reported_at_time, "nanos", -1), "TIME_MALFORMED:reported_at_time"),
        (lambda spend: setattr(spend, "account_time_zone", "Berlin"), "FIELD_MALFORMED:account_time_zone"),
        (lambda spend: setattr(spend, "currency_code", "eur"), "CURRENCY_UNKNOWN:currency_code"),
        (lambda spend: spend.rows[0].date.Clear(), "FIELD_MALFORMED:rows[0].date"),
        (lambda spend: setattr(spend.rows[0].date, "day", 8), "FIELD_MALFORMED:rows[0].date"),
        (lambda spend: setattr(spend.rows[0], "campaign_id", ""), "FIELD_MISSING:rows[0].campaign_id"),
        (lambda spend: setattr(spend.rows[0], "campaign_name", "n" * 257), "FIELD_TOO_LONG:rows[0].campaign_name"),
        (
            lambda spend: setattr(spend.rows[0], "campaign_name", "ann@example.com"),
            "PERSONAL_DATA_IN_CLEAR:rows[0].campaign_name",
        ),
        (lambda spend: setattr(spend, "destination", "203.0.113.7"), "PERSONAL_DATA_IN_CLEAR:destination"),
        (lambda spend: setattr(spend, "account_id", "u-203.0.113.7"), "PERSONAL_DATA_IN_CLEAR:account_id"),
        (lambda spend: setattr(spend.rows[0], "ad_id", "2001:db8::7"), "PERSONAL_DATA_IN_CLEAR:rows[0].ad_id"),
        (lambda spend: setattr(spend.rows[0], "kind", 5), "FIELD_MALFORMED:rows[0].kind"),
        (lambda spend: setattr(spend.rows[0], "kind", 3), "FIELD_MALFORMED:rows[0].cost_micros"),
        (lambda spend: setattr(spend.rows[0], "clicks", -1), "FIELD_MALFORMED:rows[0].clicks"),
        (lambda spend: setattr(spend.rows[0], "cost_micros", 2**62), "AMOUNT_TOO_LARGE:rows[0].cost_micros"),
        (
            lambda spend: spend.rows[0].reported_conversions.add(name="Purchase"),
            "FIELD_MISSING:rows[0].reported_conversions[0].basis",
        ),
        (lambda spend: spend.rows.extend([spend.rows[0]] * MAX_ROWS), "FIELD_TOO_LONG:rows"),
    ],
)
def test_a_slice_that_is_wrong_is_refused_with_the_field(change: Callable[[SpendSlice], Any], expected: str) -> None:
    spend = a_slice()
    change(spend)
    assert said(of_slice(spend)) == [expected]


def test_a_campaign_that_is_a_chain_of_words_and_years_refuses_no_slice() -> None:
    assert of_slice(a_slice(campaign_id="Search::Brand::2025::01", ad_id="fb::retargeting::2024::de")) == []


def test_a_fee_is_not_negative_a_credit_is_and_media_may_be() -> None:
    assert said(of_slice(a_slice(kind=2, cost_micros=-1))) == ["AMOUNT_NEGATIVE:rows[0].cost_micros"]
    assert of_slice(a_slice(kind=3, cost_micros=-1)) == of_slice(a_slice(kind=1, cost_micros=-1)) == []


def test_an_empty_slice_clears_its_days() -> None:
    spend = a_slice()
    del spend.rows[:]
    assert of_slice(spend) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda deal: deal.ClearField("system"), "FIELD_MISSING:system"),
        (lambda deal: deal.ClearField("deal_id"), "FIELD_MISSING:deal_id"),
        (lambda deal: deal.ClearField("stage"), "FIELD_MISSING:stage"),
        (lambda deal: deal.ClearField("created_by"), "FIELD_MISSING:created_by"),
        (lambda deal: setattr(deal, "created_by", "c" * 257), "FIELD_TOO_LONG:created_by"),
        (lambda deal: setattr(deal, "status", 4), "FIELD_MALFORMED:status"),
        (lambda deal: setattr(deal.amount, "amount_micros", 1), "CURRENCY_UNKNOWN:amount.currency_code"),
        (lambda deal: setattr(deal, "contact_email_sha256", "abc"), "HASH_MALFORMED:contact_email_sha256"),
        (lambda deal: setattr(deal, "contact_id", "ann@example.com"), "PERSONAL_DATA_IN_CLEAR:contact_id"),
        (lambda deal: setattr(deal, "order_id", "203.0.113.7-1795000000"), "PERSONAL_DATA_IN_CLEAR:order_id"),
        (lambda deal: setattr(deal, "lead_id", "2001:db8::7"), "PERSONAL_DATA_IN_CLEAR:lead_id"),
        (lambda deal: setattr(deal, "deal_id", "Mozilla/5.0 (X11; Linux)"), "PERSONAL_DATA_IN_CLEAR:deal_id"),
        *(
            (lambda deal, name=name: setattr(deal, name, "s-203.0.113.7"), f"PERSONAL_DATA_IN_CLEAR:{name}")
            for name in ("system", "stage", "store", "conversion_name")
        ),
        (lambda deal: setattr(deal.close_date, "year", 2026), "FIELD_MALFORMED:close_date"),
        (lambda deal: deal.ClearField("modify_time"), "FIELD_MISSING:modify_time"),
    ],
)
def test_a_deal_that_is_wrong_is_refused_with_the_field(change: Callable[[Deal], Any], expected: str) -> None:
    deal = a_deal()
    change(deal)
    assert said(check_deal(deal, NOW)) == [expected]


@pytest.mark.parametrize("day", [FIRST_DAY, LAST_DAY], ids=["the first", "the last"])
def test_each_day_that_can_be_stored_may_be_imported(day: dict[str, int]) -> None:
    spend, deal, rate = a_slice(date=day), a_deal(), a_rate()
    for one in (spend.start_date, spend.end_date, deal.close_date, rate.date):
        one.CopyFrom(CalendarDate(**day))
    assert said(of_slice(spend)) == said(check_deal(deal, NOW)) == said(check_rate(rate, NOW)) == []


@pytest.mark.parametrize("day", [DAY_BEFORE, DAY_AFTER, PLACEHOLDER], ids=["before", "after", "placeholder"])
def test_no_other_day_is_imported(day: dict[str, int]) -> None:
    spend, deal, rate = a_slice(date=day), a_deal(), a_rate()
    for one in (spend.start_date, spend.end_date, deal.close_date, rate.date):
        one.CopyFrom(CalendarDate(**day))
    wrong = [f"FIELD_MALFORMED:{field}" for field in ("start_date", "end_date", "rows[0].date")]
    assert said(of_slice(spend)) == wrong
    assert said(check_deal(deal, NOW)) == ["FIELD_MALFORMED:close_date"]
    assert said(check_rate(rate, NOW)) == ["FIELD_MALFORMED:date"]


def test_of_a_day_that_cannot_be_stored_it_is_said_which_can_and_what_to_do_without_one() -> None:
    deal = a_deal()
    deal.close_date.MergeFrom(CalendarDate(**PLACEHOLDER))
    [reason] = check_deal(deal, NOW)
    assert reason.message == "A day of the calendar, 2000-01-01 to 2299-12-31; leave it out where nobody knows it."


@pytest.mark.parametrize("number", ["25.11.27.104", "10.1.2.33", "SO-12.11.25.7", "v1.2.3.4"])
def test_a_deal_may_have_the_number_of_an_order_that_has_four_parts(number: str) -> None:
    deal = a_deal()
    deal.order_id = deal.lead_id = number
    assert said(check_deal(deal, NOW)) == []


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("sales", "sales"),
        ("API v1.2.3.4", "API v1.2.3.4"),
        ("ann@example.com", "email:ann@example.com"),
        ("Ann (ann@example.com)", "x1:Ann (ann@example.com)"),
        ("Ann +49 171 2345678", "x1:Ann +49 171 2345678"),
        ("API 203.0.113.7", "x1:API 203.0.113.7"),
        ("Mozilla/5.0 (X11; Linux)", "x1:Mozilla/5.0 (X11; Linux)"),
        ("Tributary", "Tributary"),
        ("Tributary API 203.0.113.7", OWN_CREATOR),
        ("Tributary/1.4 (Linux; x64)", OWN_CREATOR),
        ("tributary@shop.example", OWN_CREATOR),
        ("Tributary (api@shop.example)", OWN_CREATOR),
        ("API@shop.example", OWN_CREATOR),
        ("my api@shop.example", "x1:my api@shop.example"),
    ],
)
def test_who_made_a_deal_is_kept_as_a_token_if_it_is_somebodys_and_as_ours_if_it_is_ours(
    said: str, stored: str
) -> None:
    def email_token(email: str) -> str:
        return "" if " " in email else f"email:{email}"

    is_own, token = own_creators(["*tributary*", "api@shop.example"]), "x1:{}".format
    assert stored_creator(said, email_token, token, is_own) == stored
    undeclared = stored_creator(said, email_token, token, own_creators([]))
    assert {stored, undeclared} <= kept_creators(said, email_token, token), "the same state, declared then or not"


def test_nobody_makes_our_deals_where_nobody_is_declared() -> None:
    assert not own_creators([])("Tributary API 203.0.113.7")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rate: rate.ClearField("date"), "FIELD_MISSING:date"),
        (lambda rate: setattr(rate, "base_currency_code", "DOLLAR"), "CURRENCY_UNKNOWN:base_currency_code"),
        (lambda rate: setattr(rate, "quote_currency_code", "USD"), "FIELD_MALFORMED:quote_currency_code"),
        (lambda rate: setattr(rate, "rate_picos", 0), "FIELD_MALFORMED:rate_picos"),
        (lambda rate: setattr(rate, "rate_picos", -1), "FIELD_MALFORMED:rate_picos"),
        (lambda rate: rate.ClearField("source"), "FIELD_MISSING:source"),
        (lambda rate: setattr(rate, "source", "203.0.113.7"), "PERSONAL_DATA_IN_CLEAR:source"),
        (lambda rate: setattr(rate, "source", "Mozilla/5.0 (X11; Linux)"), "PERSONAL_DATA_IN_CLEAR:source"),
        (lambda rate: rate.ClearField("publish_time"), "FIELD_MISSING:publish_time"),
    ],
)
def test_a_rate_that_is_wrong_is_refused_with_the_field(change: Callable[[ExchangeRate], Any], expected: str) -> None:
    rate = a_rate()
    change(rate)
    assert said(check_rate(rate, NOW)) == [expected]


@pytest.mark.parametrize(
    ("known", "newest", "expected"),
    [
        pytest.param([{}], [0], ImportOutcome.STORED, id="the first"),
        pytest.param([{}], [4], ImportOutcome.STORED, id="newer than what is known"),
        pytest.param([{}, {}], [9, 4], ImportOutcome.STORED, id="the newest of one of its days"),
        pytest.param([{}, {}], [9, 6], ImportOutcome.OUTDATED, id="older everywhere"),
        pytest.param([{5: "a"}], [9], ImportOutcome.DUPLICATE, id="again, even if it is outdated"),
        pytest.param([{5: "a"}, {}], [5, 0], ImportOutcome.STORED, id="again, where the first attempt broke off"),
        pytest.param([{5: "b"}], [5], ImportOutcome.CONFLICT, id="another of the same time"),
        pytest.param([{5: "a"}, {5: "b"}], [5, 5], ImportOutcome.CONFLICT, id="another on one of its days"),
    ],
)
def test_what_becomes_of_a_statement(known: list[dict[int, str]], newest: list[int], expected: ImportOutcome) -> None:
    assert outcome_of(5, "a", known, newest) is expected
