"""Messages become rows: whole, in the order of their columns, or refused alone."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from google.protobuf.message import Message

from tests.support.revisions import NOON, Revision, Touch, micros
from tributary.attribution.v1.conversion_pb2 import ConversionRole
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.common.v1.money_pb2 import Money
from tributary.dedup.v1.admitted_events_pb2 import AcceptContext, AdmittedEvent
from tributary.delivery.v1 import delivery_pb2
from tributary.event.v1 import adjustment_pb2, touchpoint_pb2, verdict_pb2
from tributary_runtime.errors import PoisonEvent
from tributary_storage.clickhouse.conversion_rows import REVISION_COLUMNS, revision_row
from tributary_storage.clickhouse.credit_columns import MODELS, TOUCH_DETAILS
from tributary_storage.clickhouse.delivery_rows import DELIVERY_COLUMNS, delivery_of, delivery_row
from tributary_storage.clickhouse.event_details import EVENT_DETAILS
from tributary_storage.clickhouse.event_rows import (
    DECISION_COLUMNS,
    EVENT_COLUMNS,
    REFUSAL_COLUMNS,
    EventBatch,
    LogPlace,
)
from tributary_storage.clickhouse.names import names_of, numbers_of

PLACE = LogPlace.of(3, "live", b"1764000000000-7", 1_764_000_000_000_123)
CONTEXT = AcceptContext(api_key_id="key-1", backfill=True)


def an_event(event_id: str = "e-1") -> AdmittedEvent:
    admitted = AdmittedEvent(identity_tokens=["v:token"], payload_digest=b"\x01digest!!")
    admitted.event.event_id = event_id
    admitted.event.event_time.FromDatetime(NOON)
    return admitted


def a_touchpoint() -> AdmittedEvent:
    admitted = an_event()
    admitted.event.touchpoint.kind = touchpoint_pb2.TOUCHPOINT_KIND_CLICK
    admitted.event.touchpoint.ad.destination = "google"
    admitted.channel_evidence.channel = "Paid Search"
    admitted.channel_evidence.click_ids.add(family="gclid", value="abc")
    return admitted


def an_order(value: Money | None = None) -> AdmittedEvent:
    admitted = an_event("o-event")
    admitted.event.conversion.name = "purchase"
    admitted.event.conversion.order_id = "o-1"
    admitted.event.conversion.recurrence.cycle = "2026-11"
    if value is not None:
        admitted.event.conversion.value.CopyFrom(value)
    admitted.conversion_id = "c1:abc"
    return admitted


def add(batch: EventBatch, letter: str, admitted: AdmittedEvent, index: int = 0) -> None:
    batch.add(PLACE, index, letter, "shop", admitted.SerializeToString(), CONTEXT, "a-traceparent")


def event_row(admitted: AdmittedEvent, letter: str = "A") -> dict[str, Any]:
    batch = EventBatch()
    add(batch, letter, admitted)
    return dict(zip(EVENT_COLUMNS, batch.events[0], strict=True))


def refusal_row(admitted: AdmittedEvent, letter: str) -> dict[str, Any]:
    batch = EventBatch()
    add(batch, letter, admitted)
    return dict(zip(REFUSAL_COLUMNS, batch.refusals[0], strict=True))


def revision(**said: Any) -> dict[str, Any]:
    return dict(zip(REVISION_COLUMNS, revision_row(*Revision(workspace="shop", **said).packed()), strict=True))


@pytest.mark.parametrize(
    ("letter", "verdict"),
    [pytest.param("A", "ACCEPTED"), pytest.param("M", "DUPLICATE"), pytest.param("Q", "QUARANTINED")],
)
def test_what_exists_is_an_event_with_its_verdict(letter: str, verdict: str) -> None:
    assert event_row(a_touchpoint(), letter)["verdict"] == verdict


def decided(admitted: AdmittedEvent, verdict: verdict_pb2.Verdict.ValueType) -> AdmittedEvent:
    """Returns an event with a decision beside it."""
    admitted.decision.decided_by, admitted.decision.reason = "key-1", "why not"
    quarantine = admitted.decision.quarantine
    quarantine.event_id, quarantine.verdict, quarantine.conversion_id = "bot", verdict, "c1:a"
    quarantine.first_accept_time.FromMicroseconds(1_764_000_000_000_000)
    return admitted


@pytest.mark.parametrize(
    ("letter", "verdict", "action", "rows"),
    [
        pytest.param("A", verdict_pb2.VERDICT_ACCEPTED, "RELEASED", 1, id="a release is an event and a decision"),
        pytest.param("M", verdict_pb2.VERDICT_ACCEPTED, "RELEASED", 1, id="also one that joins a known order"),
        pytest.param("X", verdict_pb2.VERDICT_REJECTED, "REJECTED", 0, id="a rejection is a decision only"),
    ],
)
def test_what_was_decided_in_quarantine_is_a_row(
    letter: str, verdict: verdict_pb2.Verdict.ValueType, action: str, rows: int
) -> None:
    batch = EventBatch()
    add(batch, letter, decided(a_touchpoint(), verdict))
    assert len(batch.events) == rows
    assert dict(zip(DECISION_COLUMNS, batch.decisions[0], strict=True)) == {
        "workspace": "shop",
        "event_id": "bot",
        "action": action,
        "decide_time": 1_764_000_000_000_123,
        "decided_by": "key-1",
        "reason": "why not",
        "first_accept_time": 1_764_000_000_000_000,
        "conversion_id": "c1:a",
    }


def test_a_decision_that_is_not_known_here_is_poison() -> None:
    with pytest.raises(PoisonEvent, match="none that this version knows"):
        add(EventBatch(), "X", a_touchpoint())


def test_what_was_released_is_quarantined_in_no_row_more() -> None:
    batch = EventBatch()
    for letter in "QA":
        add(batch, letter, a_touchpoint())
    assert len(batch.quarantined()) == 1
    batch.drop_quarantined(set(batch.quarantined()))
    assert [row[4] for row in batch.events] == ["ACCEPTED"]


def test_a_duplicate_is_no_row() -> None:
    batch = EventBatch()
    add(batch, "D", a_touchpoint())
    assert len(batch) == 0


def test_a_touchpoint_keeps_its_evidence_and_place() -> None:
    row = event_row(a_touchpoint())
    assert (row["kind"], row["touchpoint_kind"], row["channel"]) == ("touchpoint", "CLICK", "Paid Search")
    assert (row["click_id_families"], row["click_id_values"]) == (["gclid"], ["abc"])
    assert (row["log_shard"], row["log_milliseconds"], row["log_sequence"]) == (3, 1_764_000_000_000, 7)
    assert row["event_time"] == micros(NOON)
    assert row["accept_time"] == 1_764_000_000_000_123
    assert row["backfill"] is True


def test_the_whole_event_is_kept_with_its_columns() -> None:
    admitted = an_order()
    assert AdmittedEvent.FromString(event_row(admitted)["admitted"]) == admitted


def test_what_few_events_say_has_a_key_only_where_it_was_said() -> None:
    assert event_row(a_touchpoint())["details"] == {}
    admitted = a_touchpoint()
    admitted.event.touchpoint.ad.adset_id, admitted.event.touchpoint.ad.keyword = "s-1", "shoes"
    admitted.channel_evidence.content = "red"
    assert event_row(admitted)["details"] == {"adset_id": "s-1", "keyword": "shoes", "content": "red"}


def test_an_order_keeps_its_parts_and_codes() -> None:
    admitted = an_order()
    admitted.event.conversion.amounts.tax_micros = 0
    admitted.event.conversion.amounts.goods_micros = 7
    admitted.event.conversion.coupon_codes.append("ANNA10")
    admitted.event.conversion.recurrence.subscription_id = "s-1"
    row = event_row(admitted)
    assert row["details"] == {
        "subscription_id": "s-1",
        "amount_goods_micros": "7",
        "amount_tax_micros": "0",
        "coupon_codes": "ANNA10",
    }


def test_clocks_are_kept_as_they_were() -> None:
    admitted = a_touchpoint()
    admitted.event.sent_time.FromMicroseconds(5)
    admitted.clock_correction_micros = -3
    assert event_row(admitted)["details"] == {"sent_time_micros": "5", "clock_correction_micros": "-3"}


def fill(message: Message) -> None:
    """Sets every field of a message that is no list."""
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            continue
        if field.message_type is not None:
            fill(getattr(message, field.name))
        else:
            value: Any = {str: "x", bytes: b"x", bool: True, int: 1}[type(field.default_value)]
            setattr(message, field.name, value)


def test_the_keys_of_details_are_the_names_that_never_change() -> None:
    said: set[str] = set()
    for kind in ("touchpoint", "conversion", "adjustment"):
        admitted = an_event()
        fill(admitted.channel_evidence)
        fill(admitted.agent_evidence)
        admitted.event.sent_time.seconds, admitted.clock_correction_micros = 1, 1
        admitted.allowed_vendors.append(4)
        admitted.denied_vendors.append(755)
        for part in ("experiment", "consent", "human_check", kind):
            fill(getattr(admitted.event, part))
        if kind == "conversion":
            admitted.event.conversion.coupon_codes.append("ANNA10")
            admitted.event.click_ids.gclid = "c"
        if kind == "touchpoint":
            admitted.channel_evidence.click_ids.add(family="gclid", value="c").click_time.FromMicroseconds(5)
        if kind == "adjustment":
            admitted.event.adjustment.conversion_id = "c1:x"
            said |= event_row(admitted)["details"].keys()
            admitted.event.adjustment.event_id = "e-2"
        said |= event_row(admitted)["details"].keys()
    assert said == set(EVENT_DETAILS)


def test_the_click_ids_that_an_order_carries_itself_are_lines() -> None:
    admitted = an_order()
    admitted.event.click_ids.fbclid = "f"
    admitted.event.context.page_url = "https://shop.example/thanks?gclid=g"
    assert event_row(admitted)["details"]["own_click_ids"] == "gclid=g\nfbclid=f"


def test_a_value_that_was_not_stated_is_not_zero() -> None:
    assert event_row(an_order())["value_micros"] is None
    assert event_row(an_order(Money(currency_code="EUR")))["value_micros"] == 0


def test_an_order_keeps_its_key() -> None:
    row = event_row(an_order())
    assert (row["conversion_name"], row["order_id"], row["cycle"]) == ("purchase", "o-1", "2026-11")


def test_a_refund_keeps_what_it_refunds() -> None:
    admitted = an_event()
    admitted.event.adjustment.conversion_name = "purchase"
    admitted.event.adjustment.order_id = "o-1"
    admitted.event.adjustment.adjustment_id = "r-1"
    admitted.event.adjustment.reason = adjustment_pb2.ADJUSTMENT_REASON_REFUND
    admitted.event.adjustment.amount.amount_micros = 5
    row = event_row(admitted)
    assert (row["kind"], row["adjustment_reason"], row["adjustment_id"]) == ("adjustment", "REFUND", "r-1")
    assert (row["order_id"], row["value_micros"]) == ("o-1", 5)


@pytest.mark.parametrize(
    ("content", "letter", "reason"),
    [
        pytest.param(b"\xff\xff", "A", "EVENT_UNREADABLE", id="no message"),
        pytest.param(an_event("").SerializeToString(), "A", "EVENT_ID_MISSING", id="no id"),
        pytest.param(an_event().SerializeToString(), "Z", "MASK_UNKNOWN", id="a letter of a later version"),
    ],
)
def test_what_can_be_no_row_is_refused_alone_and_adds_nothing(content: bytes, letter: str, reason: str) -> None:
    batch = EventBatch()
    with pytest.raises(PoisonEvent) as refused:
        batch.add(PLACE, 0, letter, "shop", content, CONTEXT)
    assert refused.value.reason == reason
    assert len(batch) == 0


def test_a_rejected_event_keeps_its_reasons_with_their_fields() -> None:
    admitted = an_event()
    admitted.reasons.add(
        code=verdict_pb2.REASON_CODE_FIELD_MISSING, field="conversion.name", message="Name the conversion."
    )
    row = refusal_row(admitted, "R")
    assert row["verdict"] == "REJECTED"
    assert (row["reason_codes"], row["reason_fields"]) == (["FIELD_MISSING"], ["conversion.name"])


@pytest.mark.parametrize(
    ("seconds", "nanos", "micros"),
    [
        pytest.param(1_763_999_999, 5_999, 1_763_999_999_000_005, id="as the event says"),
        pytest.param(0, 0, PLACE.accept_time_micros, id="it does not say"),
        pytest.param(1_764_000_001, 0, PLACE.accept_time_micros, id="later than it was refused"),
        pytest.param(2**62, 0, PLACE.accept_time_micros, id="in a year that there is not"),
        pytest.param(-(2**62), 0, PLACE.accept_time_micros, id="nor that"),
        pytest.param(1_763_999_999, -1, PLACE.accept_time_micros, id="nor such a part of a second"),
        pytest.param(-1, 0, PLACE.accept_time_micros, id="before 1970"),
    ],
)
def test_what_was_refused_happened_when_it_says_and_never_later_than_it_was_refused(
    seconds: int, nanos: int, micros: int
) -> None:
    admitted = an_event()
    admitted.event.event_time.seconds, admitted.event.event_time.nanos = seconds, nanos
    assert refusal_row(admitted, "R")["event_time"] == micros


def a_stage() -> AdmittedEvent:
    admitted = an_event()
    admitted.event.conversion.lead.lead_id = "l-1"
    return admitted


def a_cycle() -> AdmittedEvent:
    admitted = an_event()
    admitted.event.conversion.recurrence.subscription_id = "s-1"
    return admitted


def a_refund() -> AdmittedEvent:
    admitted = an_event()
    admitted.event.adjustment.adjustment_id = "r-1"
    admitted.adjustment_key = bytes(16)
    return admitted


@pytest.mark.parametrize(
    ("admitted", "letter", "code", "field"),
    [
        pytest.param(a_touchpoint(), "C", "PAYLOAD_DIFFERS", "event_id", id="a touchpoint"),
        pytest.param(an_order(), "C", "PAYLOAD_DIFFERS", "event_id", id="the id of an order's event"),
        pytest.param(a_stage(), "C", "PAYLOAD_DIFFERS", "event_id", id="the id of a stage's event"),
        pytest.param(an_order(), "V", "ORDER_VALUE_DIFFERS", "conversion.value", id="an order"),
        pytest.param(a_stage(), "V", "ORDER_VALUE_DIFFERS", "conversion.value", id="a lead's stage"),
        pytest.param(a_cycle(), "V", "ORDER_VALUE_DIFFERS", "conversion.value", id="a subscription's cycle"),
        pytest.param(a_refund(), "V", "ORDER_VALUE_DIFFERS", "adjustment.amount", id="a refund"),
    ],
)
def test_a_conflict_says_what_differs(admitted: AdmittedEvent, letter: str, code: str, field: str) -> None:
    row = refusal_row(admitted, letter)
    assert row["verdict"] == "CONFLICT"
    assert (row["reason_codes"], row["reason_fields"]) == ([code], [field])
    assert all(row["reason_messages"])


def test_a_stage_that_has_the_order_number_of_another_is_told_what_to_do() -> None:
    (message,) = refusal_row(a_stage(), "V")["reason_messages"]
    assert "a further stage of a lead without this order number" in message


def test_what_differs_comes_before_what_the_door_said() -> None:
    admitted = an_order()
    admitted.reasons.add(code=verdict_pb2.REASON_CODE_CLOCK_CORRECTED, field="sent_time", message="Corrected.")
    assert refusal_row(admitted, "V")["reason_codes"] == ["ORDER_VALUE_DIFFERS", "CLOCK_CORRECTED"]


def test_every_model_gives_each_touch_its_share() -> None:
    row = revision(touches=(Touch("Email"), Touch("Direct"), Touch("Social")), value_micros=100)
    assert row["touch_channels"] == ("Email", "Direct", "Social")
    assert row["linear_credit_micros"] == [333_334, 333_333, 333_333]
    assert row["time_decay_value_micros"] == [34, 33, 33]


def credited() -> ConversionRevised:
    message = Revision(workspace="shop", touches=(Touch("Email"), Touch("Direct"))).message()
    state = message.state
    ad = state.touches[0].source.ad
    ad.adset_id, ad.ad_id, ad.placement = "set", "ad", "feed"
    state.touches[0].spend_join_step = "utm_id"
    state.touches[1].just_after_conversion = True
    return message


def row_of(message: ConversionRevised) -> dict[str, Any]:
    return dict(zip(REVISION_COLUMNS, revision_row(message, message.SerializeToString()), strict=True))


def test_what_is_known_of_an_ad_is_kept_with_its_touch() -> None:
    first, second = row_of(credited())["touch_details"]
    assert first == {"adset_id": "set", "ad_id": "ad", "placement": "feed", "spend_join_step": "utm_id"}
    assert second == {"just_after_conversion": "1"}
    assert set(first) | set(second) <= set(TOUCH_DETAILS)


def test_details_are_as_many_as_touches_with_what_nobody_earned() -> None:
    row = revision(touches=(), value_micros=100)
    assert row["touch_details"] == [{}]


def test_the_reporting_currency_is_kept_per_model_and_touch_with_its_rate() -> None:
    message = credited()
    assert (row_of(message)["reporting_credit_micros"], row_of(message)["rate_date"]) == ({}, date(1970, 1, 1))
    state = message.state
    state.reporting_value.currency_code, state.reporting_value.amount_micros = "USD", 3
    state.rate_picos = 5
    state.rate_date.year, state.rate_date.month, state.rate_date.day = 2026, 11, 20
    for touch, share in zip(state.touches, (2, 1), strict=True):
        for credit in touch.credits:
            credit.reporting_value_micros = share
    row = row_of(message)
    assert row["reporting_credit_micros"] == {model.name: [2, 1] for model in state.models}
    assert (row["rate_picos"], row["rate_date"]) == (5, date(2026, 11, 20))


def test_what_its_name_stood_for_is_kept() -> None:
    assert (revision()["role"], revision()["is_primary"]) == ("", True)
    message = credited()
    message.state.role, message.state.secondary = ConversionRole.CONVERSION_ROLE_LEAD, True
    message.state.amounts.tax_micros = 4
    row = row_of(message)
    assert (row["role"], row["is_primary"], row["amounts_micros"]) == ("LEAD", False, {"tax": 4})


def test_what_nobody_earned_is_one_more_element() -> None:
    row = revision(touches=(), value_micros=100)
    assert row["touch_channels"] == ("unattributed",)
    assert row["touch_event_ids"] == ("",)
    assert row["touch_times"] == (micros(NOON),)
    assert (row["linear_credit_micros"], row["linear_value_micros"]) == ([1_000_000], [100])
    assert row["linear_unattributed_reason"] == "NO_TOUCHPOINT"


def test_a_model_that_was_not_computed_has_no_credit() -> None:
    assert revision()["data_driven_credit_micros"] == ()


def test_an_uncounted_conversion_needs_no_credit() -> None:
    row = revision(counted=False)
    assert all(row[f"{model}_credit_micros"] == () for model in MODELS)


def test_a_touch_with_too_few_credits_is_a_bug() -> None:
    message, content = Revision(workspace="shop").packed()
    del message.state.touches[0].credits[-1]
    with pytest.raises(ValueError, match="5 credits for 6 models"):
        revision_row(message, content)


def test_a_model_without_columns_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no columns"):
        revision(models=("last_week",))


def test_a_delivery_is_the_same_after_it_was_a_row() -> None:
    delivery = delivery_pb2.Delivery(
        destination_id="crm",
        conversion_id="c1:one",
        revision=5,
        operation=delivery_pb2.DELIVERY_OPERATION_RESTATE,
        state=delivery_pb2.DELIVERY_STATE_PENDING,
        visible_id="o-1",
        sent_name="Purchase",
        sent_account="4711",
        sent_value="full",
        click_id_family="gclid",
        click_id="G",
        destination_request_id="R",
        outcome=delivery_pb2.OUTCOME_CLASS_RETRY,
        attempts=2,
        value=Money(currency_code="EUR", amount_micros=7),
        message="503",
        status_code=503,
    )
    delivery.plan_time.FromDatetime(NOON)
    delivery.attempt_time.FromDatetime(NOON)
    delivery.due_time.FromDatetime(NOON)
    row = delivery_row("shop", delivery)
    assert len(row) == len(DELIVERY_COLUMNS)
    assert delivery_of(row[1:]) == delivery


def test_a_delivery_that_was_not_attempted_has_no_attempt_time() -> None:
    delivery = delivery_pb2.Delivery(destination_id="crm", state=delivery_pb2.DELIVERY_STATE_INELIGIBLE)
    delivery.plan_time.FromDatetime(NOON)
    assert delivery_of(delivery_row("shop", delivery)[1:]) == delivery


def test_a_number_of_a_later_contract_keeps_its_number() -> None:
    enum = delivery_pb2.OutcomeClass.DESCRIPTOR
    assert names_of(enum)[99] == "99"
    assert numbers_of(enum)("99") == 99
    assert names_of(enum)[0] == ""
