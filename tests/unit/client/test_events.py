"""Keyword arguments become the events of the contract, exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from typing import Any

import pytest

from tributary.common.v1.money_pb2 import Money
from tributary.event.v1 import adjustment_pb2, consent_pb2, context_pb2, event_pb2
from tributary.event.v1.adjustment_pb2 import Adjustment
from tributary.event.v1.click_ids_pb2 import ClickIds
from tributary.event.v1.context_pb2 import Context
from tributary.event.v1.conversion_pb2 import Conversion
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.event.v1.touchpoint_pb2 import Touchpoint
from tributary_client import events, fields
from tributary_client.amounts import to_money

NOW = 1_700_000_000_123_456_789


def test_a_touchpoint_says_all_it_was_told() -> None:
    event = events.touchpoint(
        "click",
        {
            "event_id": "t-1",
            "event_time": datetime(2026, 11, 25, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))),
            "visitor_id": "v-1",
            "email": "a@example.com",
            "page_url": "https://shop.example/",
            "user_agent": "Mozilla",
            "observed_by": "browser",
            "utm_source": "google",
            "utm_medium": "cpc",
            "click_ids": {"gclid": "Cj0"},
            "browser_ids": {"fbp": "fb.1"},
            "consent": {"ad_user_data": True, "ad_storage": False},
            "properties": {"color": "red"},
            "origin": "web",
            "traffic": "test",
            "experiment": ("e", "b"),
            "session_id": "s-1",
            "landing": False,
            "cost": "0.35",
            "currency": "EUR",
        },
        NOW,
    )
    assert event.event_time.ToDatetime(UTC) == datetime(2026, 11, 25, 11, 0, 0, 5, tzinfo=UTC)
    assert (event.identifiers.visitor_id, event.identifiers.email) == ("v-1", "a@example.com")
    assert (event.touchpoint.kind, event.touchpoint.utm.source, event.touchpoint.utm.medium) == (2, "google", "cpc")
    assert event.touchpoint.HasField("landing")
    assert (event.touchpoint.cost.currency_code, event.touchpoint.cost.amount_micros) == ("EUR", 350_000)
    assert event.context.observed_by == context_pb2.OBSERVER_BROWSER
    assert (event.click_ids.gclid, event.browser_ids.fbp) == ("Cj0", "fb.1")
    granted, denied, unsaid = event.consent.ad_user_data, event.consent.ad_storage, event.consent.ad_personalization
    assert (granted, denied, unsaid) == (
        consent_pb2.CONSENT_STATE_GRANTED,
        consent_pb2.CONSENT_STATE_DENIED,
        consent_pb2.CONSENT_STATE_UNSPECIFIED,
    )
    assert (event.origin, event.traffic) == (event_pb2.ORIGIN_WEB, event_pb2.TRAFFIC_TEST)
    assert (event.experiment.id, event.experiment.arm, event.properties["color"]) == ("e", "b", "red")


def test_without_a_time_it_is_now_and_without_an_id_there_is_one() -> None:
    event = events.identify({"visitor_id": "v", "customer_id": "c"}, NOW)
    assert event.event_time.ToMicroseconds() == NOW // 1_000
    assert event.event_id
    assert event.WhichOneof("kind") == "identify"


def test_a_conversion_without_value_has_none_and_with_zero_has_one() -> None:
    assert not events.conversion("lead", {"customer_id": "c"}, NOW).conversion.HasField("value")
    zero = events.conversion("lead", {"customer_id": "c", "value": 0, "currency": "EUR"}, NOW).conversion
    assert zero.HasField("value")


@pytest.mark.parametrize("reason", ["refund", "restatement", "retraction", "chargeback", "reversal"])
def test_an_adjustment_names_its_conversion(reason: str) -> None:
    event = events.adjustment(
        reason, "purchase", {"order_id": "1001", "value": 5, "currency": "EUR", "adjustment_id": "r-1"}, NOW
    )
    assert event.adjustment == Adjustment(
        conversion_name="purchase",
        order_id="1001",
        adjustment_id="r-1",
        amount=Money(currency_code="EUR", amount_micros=5_000_000),
        reason=adjustment_pb2.AdjustmentReason.Value(f"ADJUSTMENT_REASON_{reason.upper()}"),
    )


def test_an_adjustment_may_name_an_event_or_a_conversion_id() -> None:
    assert events.adjustment("retraction", "", {"conversion_event_id": "e"}, NOW).adjustment.event_id == "e"
    assert events.adjustment("retraction", "", {"conversion_id": "c1:x"}, NOW).adjustment.conversion_id == "c1:x"


def test_what_else_is_said_of_consent_is_said_as_it_is() -> None:
    said = {"sale_or_sharing": False, "gpc": False, "region": "US-CA"}
    consent = events.identify({"visitor_id": "v", "consent": said}, NOW).consent
    assert consent == consent_pb2.Consent(sale_or_sharing=consent_pb2.CONSENT_STATE_DENIED, region="US-CA")
    assert events.identify({"visitor_id": "v", "consent": {"gpc": True}}, NOW).consent.gpc


def test_a_consent_change_was_decided_when_it_happened() -> None:
    event = events.consent_change({"visitor_id": "v", "consent": {"ad_user_data": False}}, NOW)
    assert event.consent.consent_time == event.event_time


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"visitor_id": 7}, "visitor_id cannot be of type int"),
        ({"value": 1.5, "currency": "EUR"}, "float"),
        ({"coupon_codes": "ANNA10"}, "coupon_codes is a list"),
    ],
)
def test_what_there_is_not_is_a_type_error(said: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        events.conversion("purchase", said, NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"event_time": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is what is wrong with it
        ({"origin": "moon"}, "none of web, app"),
        ({"value": 1}, "currency"),
        ({"click_ids": {"nonsense": "x"}}, "nonsense"),
    ],
)
def test_what_cannot_be_written_is_a_value_error(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        events.conversion("purchase", said, NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "micros"),
    [("49.90", 49_900_000), (Decimal("0.000001"), 1), (7, 7_000_000), (-3, -3_000_000), ("1e3", 1_000_000_000)],
)
def test_an_amount_is_exact(amount: Any, micros: int) -> None:
    assert to_money(amount, "EUR").amount_micros == micros


def test_an_amount_is_exact_whatever_precision_the_application_computes_with() -> None:
    with localcontext() as context:
        context.prec = 6
        assert to_money("1234567.89", "EUR").amount_micros == 1_234_567_890_000


@pytest.mark.parametrize(
    "amount", ["0.0000001", "nan", "inf", "ten", 10**13, "1e999999999", "1e-999999999", "49.9" + "0" * 60 + "1"]
)
def test_an_amount_that_is_not_exact_is_refused(amount: Any) -> None:
    with pytest.raises(ValueError, match="amount"):
        to_money(amount, "EUR")


@pytest.mark.parametrize("amount", [0.1, True, None])
def test_a_float_is_no_amount(amount: Any) -> None:
    with pytest.raises(TypeError, match="Decimal"):
        to_money(amount, "EUR")


def test_a_money_brings_its_own_currency() -> None:
    money = Money(currency_code="USD", amount_micros=1)
    assert to_money(money, None) is money
    with pytest.raises(ValueError, match="own currency"):
        to_money(money, "EUR")


# What the contract has and the arguments name otherwise, or only `track` can say.
ELSEWHERE = {
    Event: {
        "sent_time", "touchpoint", "conversion", "adjustment", "identify", "consent_change", "identifiers", "context",
    },
    Touchpoint: {"kind", "utm"},
    Conversion: {"name", "customer_type", "value_source"},
    Adjustment: {"conversion_name", "reason", "amount"},
    Identifiers: set(),
    Context: set(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "known"),
    [
        pytest.param(Event, fields.EventFields, id="event"),
        pytest.param(Identifiers, fields.EventFields, id="identifiers"),
        pytest.param(Context, fields.EventFields, id="context"),
        pytest.param(Touchpoint, fields.TouchpointFields, id="touchpoint"),
        pytest.param(Conversion, fields.ConversionFields, id="conversion"),
        pytest.param(Adjustment, fields.AdjustmentFields, id="adjustment"),
    ],
)
def test_every_field_of_the_contract_can_be_said(message: Any, known: Any) -> None:
    assert set(message.DESCRIPTOR.fields_by_name) - set(known.__annotations__) == ELSEWHERE[message]


def test_every_click_id_can_be_said_by_its_parameter() -> None:
    names = set(ClickIds.DESCRIPTOR.fields_by_name) - {"click_time"}
    event = events.identify({"click_ids": dict.fromkeys(names, "x")}, NOW)
    assert len(event.click_ids.ListFields()) == len(names)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"visitor_id": 7}, "visitor_id cannot be of type int"),
        ({"visitor_id": "v", "properties": {"a": 1}}, "properties cannot be of type dict"),
        ({"visitor_id": "v", "utm_id": 7}, "utm_id cannot be of type int"),
        ({"visitor_id": "v", "click_ids": {"gclid": 7}}, "gclid cannot be of type int"),
        ({"device_ids": "abc"}, "device_ids is a list"),
        ({"consent": {"ad_user_data": "denied"}}, "True .granted. or False .denied., not 'denied'"),
        ({"consent": {"ad_storage": None}}, "not None"),
        ({"consent": {"region": 7}}, "region cannot be of type int"),
    ],
)
def test_a_value_of_another_type_is_named(given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        events.touchpoint("visit", given, NOW)
