"""Ids that name nothing: what would make strangers' sales one is taken as not sent, or refused."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import pytest

from tests.unit.ingestion.test_intake import (
    ACCEPTED,
    NOW,
    REJECTED,
    a_purchase,
    a_refund,
    a_renewal,
    a_visit,
    codes,
    pack,
    rules,
)
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TouchpointKind
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary_domain.ids import conversion_id, event_digest, order_digest
from tributary_ingestion.intake import take_all
from tributary_ingestion.sliced import parse
from tributary_ingestion.visits import Visits

NOTHING = [
    "undefined",
    "NULL",
    " ",
    "0",
    "-",
    "{{ order.id }}",
    "%%ORDER_ID%%",
    "order_id",
    "[object Object]",
    '"null"',
    "WEB-undefined",
    "undefined undefined",
    "null_null",
    "ORD_NULL",
    "order-NaN",
    "#[object HTMLElement]",
    "#{{ order.name }}",
    "SHOP-{{order_id}}",
    "S2-{{order_id}}",
    "2026-${order.id}",
    "#{order.name}",
    "*|ORDER|*",
    "SHOP-*|ORDER|*",
    "WEB-%%ORDER_ID%%",
    "WEB-<%= order.id %>",
    "WEB-[order_id]",
    "WEB-<order_id>",
    "%7B%7Border.id%7D%7D",
    "SHOP-%257B%257B%20order.id%20%257D%257D",
    "WEB%20undefined",
    "WEB-None",
    "2026-%ORDER_ID%-1",
]
REAL = [
    *("1", "7", "1001", "000001", "0-1", "a", "test-1001", "undefined-1001", "{b7f1-22}", "1001-null", "NaN-7"),
    *("annulled", "Wundefined", "nan-do", "Nullarbor", "1001[de]", "1001 <web>", "50%", "a%20b", "a|b", "[b-1]"),
    *("web-test", "contact-email", "app_default", "user-guest", "crm-id"),
    "c3ab8ff1-3720-4e8a-9047-dd39466b3c8974e592c2fa383d4a3960714caef0c4f2",
]


def a_stage(stage: str, lead_id: str, root_order_id: str = "") -> Event:
    event = a_purchase()
    event.conversion.order_id = ""
    lead = event.conversion.lead
    lead.stage, lead.lead_id, lead.root_order_id = stage, lead_id, root_order_id
    return event


@pytest.mark.parametrize("text", NOTHING)
def test_an_order_number_that_names_nothing_is_taken_as_not_sent_and_told(text: str) -> None:
    event = a_purchase()
    event.conversion.order_id = text
    packed, admitted = pack(event)
    assert (packed.verdict, packed.key.order_digest) == (ACCEPTED, b"")
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == [
        ("PLACEHOLDER_IGNORED", "conversion.order_id")
    ]
    assert admitted.conversion_id == conversion_id(event_digest("shop", "e-2"))
    assert admitted.event.conversion.order_id == ""


@pytest.mark.parametrize("text", REAL)
def test_a_short_or_odd_number_is_a_number(text: str) -> None:
    sale, refund = a_purchase(), a_refund(text)
    sale.event_id = sale.conversion.order_id = sale.session_id = text
    packed, _ = pack(sale)
    assert (packed.reasons, packed.key.order_digest) == ([], order_digest("shop", "purchase", "", text))
    assert pack(refund)[0].reasons == []


def test_what_names_nothing_is_still_part_of_what_was_sent() -> None:
    sent = a_purchase()
    sent.conversion.order_id = "undefined"
    other = a_purchase()
    other.conversion.order_id = ""
    assert pack(sent)[0].payload_digest != pack(other)[0].payload_digest


@pytest.mark.parametrize(
    ("make", "field"),
    [
        pytest.param(a_purchase, "conversion.pixel_event_id", id="what browser tags sent"),
        pytest.param(a_purchase, "session_id", id="an order's session"),
        pytest.param(a_visit, "session_id", id="a visit's session"),
        pytest.param(a_visit, "touchpoint.interaction_id", id="a click's id"),
        pytest.param(a_purchase, "conversion.store", id="an order's store"),
        pytest.param(lambda: a_refund("r-1"), "adjustment.cycle", id="a refund's cycle"),
        pytest.param(lambda: a_refund("r-1"), "adjustment.store", id="a refund's store"),
    ],
)
def test_an_id_that_the_event_may_do_without_is_taken_out(make: Callable[[], Event], field: str) -> None:
    event = make()
    part, _, name = field.rpartition(".")
    setattr(attrgetter(part)(event) if part else event, name, "undefined")
    packed, admitted = pack(event)
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == [("PLACEHOLDER_IGNORED", field)]
    assert attrgetter(field)(admitted.event) == ""


@pytest.mark.parametrize("store", ["undefined", "null", "{{ shop.name }}", "store_id"])
def test_a_store_that_names_none_makes_no_other_order_of_it_and_its_refund(store: str) -> None:
    sale, same, refund = a_purchase(), a_purchase(), a_refund("r-1")
    sale.conversion.order_id = same.conversion.order_id = refund.adjustment.order_id = "1001"
    sale.conversion.store = refund.adjustment.store = store
    keys = [pack(event)[0].key.conversion_id for event in (sale, same, refund)]
    assert keys == [conversion_id(order_digest("shop", "purchase", "", "1001"))] * 3


@pytest.mark.parametrize(
    "store", ["0", "1", "de", "id", "default", "Test", "web-id", "app-default", "app_default", "web-test"]
)
def test_a_short_or_plain_store_is_a_store(store: str) -> None:
    event = a_purchase()
    event.conversion.order_id, event.conversion.store = "1001", store
    packed, _ = pack(event)
    assert (packed.reasons, packed.key.order_digest) == ([], order_digest("shop", "purchase", store, "1001"))


def test_an_id_for_one_destination_is_taken_out_and_the_others_stay() -> None:
    event = a_purchase()
    event.conversion.pixel_event_ids.update({"meta": "null", "snap": "\ufeff\n", "tiktok": " t-1\r\n"})
    packed, admitted = pack(event)
    assert codes(packed) == ["PLACEHOLDER_IGNORED"]
    assert dict(admitted.event.conversion.pixel_event_ids) == {"tiktok": "t-1"}


@pytest.mark.parametrize(
    ("subscription_id", "cycle", "order_id", "claimed"),
    [
        pytest.param("null", "2", "o-1", ("o-1", "2"), id="the order names it"),
        pytest.param("null", "2", "", None, id="no subscription"),
        pytest.param("s-1", "null", "", None, id="no cycle: all of the subscription would be one order"),
        pytest.param("s-1", "null", "o-1", ("o-1", ""), id="no cycle, but an order"),
        pytest.param("s-1", "0", "", ("s-1", "0"), id="a cycle may be counted from 0"),
        pytest.param("s-1", "2", "null", ("s-1", "2"), id="no order number"),
    ],
)
def test_a_cycle_is_known_by_what_names_it(
    subscription_id: str, cycle: str, order_id: str, claimed: tuple[str, str] | None
) -> None:
    event = a_renewal()
    event.conversion.order_id = order_id
    event.conversion.recurrence.subscription_id, event.conversion.recurrence.cycle = subscription_id, cycle
    event.conversion.recurrence.kind = 3
    packed, _ = pack(event)
    assert packed.verdict == ACCEPTED
    assert packed.key.order_digest == (order_digest("shop", "purchase", "", *claimed) if claimed else b"")


@pytest.mark.parametrize(
    ("event", "claimed"),
    [
        pytest.param(a_stage("won", "undefined"), None, id="no lead"),
        pytest.param(a_stage("won", "undefined", "7"), "7", id="named by its first order"),
        pytest.param(a_stage("won", "L-1", "undefined"), "L-1", id="named by itself"),
    ],
)
def test_a_stage_is_known_by_what_names_its_lead(event: Event, claimed: str | None) -> None:
    packed, _ = pack(event)
    assert codes(packed) == ["PLACEHOLDER_IGNORED"]
    assert packed.key.order_digest == (order_digest("shop", "purchase", "", claimed, "stage:won") if claimed else b"")


def a_refund_of(**target: str) -> Event:
    event = a_refund()
    for name, value in target.items():
        setattr(event.adjustment, name, value)
    return event


def an_event_named(event_id: str, make: Callable[[], Event]) -> Event:
    event = make()
    event.event_id = event_id
    return event


@pytest.mark.parametrize(
    ("event", "field"),
    [
        pytest.param(an_event_named("undefined", a_purchase), "event_id", id="an order"),
        pytest.param(an_event_named(" ", a_visit), "event_id", id="a visit"),
        pytest.param(an_event_named("sale-{{order_id}}", a_purchase), "event_id", id="all sales of a template"),
        pytest.param(an_event_named("evt-{{id}}-1", a_purchase), "event_id", id="all sales of a numbered template"),
        pytest.param(an_event_named("{{id}}-20261126", a_visit), "event_id", id="all visits of a day"),
        pytest.param(a_refund_of(event_id="x{{a}}-7-{{b}}"), "adjustment.event_id", id="a refund of all events"),
        pytest.param(a_refund("null"), "adjustment.adjustment_id", id="a refund number"),
        pytest.param(a_refund("0"), "adjustment.adjustment_id", id="a refund number of nothing"),
        pytest.param(a_refund_of(order_id="WEB-undefined"), "adjustment.order_id", id="a refund of all orders"),
        pytest.param(a_refund_of(order_id="undefined"), "adjustment.order_id", id="a refund of no order"),
        pytest.param(a_refund_of(event_id="undefined"), "adjustment.event_id", id="a refund of no event"),
        pytest.param(a_stage("lost", "undefined"), "conversion.lead.lead_id", id="no lead is lost"),
    ],
)
def test_an_id_that_the_event_cannot_do_without_is_refused(event: Event, field: str) -> None:
    packed, _ = pack(event)
    assert packed.verdict == REJECTED
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == [("ID_PLACEHOLDER", field)]


@pytest.mark.parametrize("event_id", ["sale-{{order_id}}-1795000000", "{{a}}-9f0a3c77-1e22-4b6d-8e51"])
def test_an_event_that_a_long_number_tells_apart_is_taken(event_id: str) -> None:
    assert pack(an_event_named(event_id, a_purchase))[0].reasons == []
    assert pack(a_refund_of(event_id=event_id))[0].reasons == []


def a_sale_named(field: str, text: str) -> Event:
    part, _, name = field.rpartition(".")
    made = {"adjustment": lambda: a_refund("r-1"), "conversion.lead": lambda: a_stage("won", "L-1")}
    event = made.get(part, a_renewal)()
    if event.HasField("conversion") and event.conversion.HasField("recurrence"):
        event.conversion.recurrence.kind = 3
    setattr(attrgetter(part)(event) if part else event, name, text)
    return event


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("event_id", "EVENT_ID_RESERVED"),
        ("conversion.name", "FIELD_MALFORMED"),
        ("conversion.order_id", "FIELD_MALFORMED"),
        ("conversion.store", "FIELD_MALFORMED"),
        ("conversion.recurrence.subscription_id", "FIELD_MALFORMED"),
        ("conversion.recurrence.cycle", "FIELD_MALFORMED"),
        ("conversion.lead.lead_id", "FIELD_MALFORMED"),
        ("conversion.lead.root_order_id", "FIELD_MALFORMED"),
        ("conversion.lead.stage", "FIELD_MALFORMED"),
        ("adjustment.conversion_name", "FIELD_MALFORMED"),
        ("adjustment.store", "FIELD_MALFORMED"),
        ("adjustment.order_id", "FIELD_MALFORMED"),
        ("adjustment.event_id", "FIELD_MALFORMED"),
        ("adjustment.adjustment_id", "FIELD_MALFORMED"),
        ("adjustment.cycle", "FIELD_MALFORMED"),
    ],
)
def test_what_is_shown_in_place_of_a_personal_id_is_refused_when_it_is_sent(field: str, code: str) -> None:
    shown = pack(an_event_named("order-ann@example.com", a_purchase))[1].event.event_id
    packed, _ = pack(a_sale_named(field, shown))
    assert (packed.verdict, [(reason.code.value, reason.field) for reason in packed.reasons]) == (
        REJECTED,
        [(code, field)],
    )
    assert pack(a_sale_named(field, "x1:7"))[0].reasons == [], "a number of a shop's own"


def test_what_is_refused_for_its_event_id_is_told_apart_by_what_it_says() -> None:
    ann, bob = an_event_named("undefined", a_purchase), an_event_named("undefined", a_purchase)
    bob.identifiers.customer_id = "k-2"
    assert pack(ann)[0].event_digest != pack(bob)[0].event_digest


def test_a_session_that_names_nothing_is_none_where_one_is_needed() -> None:
    event = a_visit()
    event.session_id = "undefined"
    own = rules(session_id_required=["touchpoint"])
    assert codes(pack(event, own)[0]) == ["SESSION_ID_MISSING"]


def test_an_order_without_a_number_is_known_for_as_long_as_its_event_id() -> None:
    event = a_purchase()
    event.conversion.order_id = "undefined"
    event.event_time.FromMicroseconds(NOW - 100 * 86_400 * 10**6)
    assert codes(pack(event)[0]) == ["EVENT_TIME_OUT_OF_WINDOW"]


@pytest.mark.parametrize("name", ["event_id", "session_id", "interaction_id", "coupon_code"])
@pytest.mark.parametrize(
    "text",
    [
        *("undefined", "  ", "{{ id }}", "s-1", "x1:0123456789abcdef01234567", "v-null", "v-{{id}}", "v-{{id}}-7"),
        *(" s-1\n", "\ufeffs-1", "s\n1", "s\x001"),
    ],
)
def test_usual_visits_are_judged_alike(name: str, text: str) -> None:
    event, own = a_visit(), rules()
    setattr(event.touchpoint if name in {"interaction_id", "coupon_code"} else event, name, text)
    request = parse(IngestEventsRequest, IngestEventsRequest(events=[event]).SerializeToString())
    (quick,) = take_all(request.events, own, NOW, backfill=False, visits=Visits(own))
    packed, admitted = pack(event, own)
    assert (quick.verdict, quick.reasons) == (packed.verdict, packed.reasons)
    assert AdmittedEvent.FromString(quick.admitted) == admitted


@pytest.mark.parametrize(
    "around", ["{}\n", " {}", "\t{}\r\n", "\ufeff{}", "{}\u00a0", "\u200b{} \u2028"], ids=lambda around: ascii(around)
)
@pytest.mark.parametrize(
    ("make", "fields"),
    [
        pytest.param(a_purchase, ["conversion.order_id", "conversion.store"], id="an order"),
        pytest.param(a_purchase, ["conversion.name"], id="an order's name"),
        pytest.param(
            lambda: a_renewal_of(""),
            ["conversion.recurrence.subscription_id", "conversion.recurrence.cycle"],
            id="a cycle",
        ),
        pytest.param(a_purchase, ["conversion.pixel_event_id", "session_id"], id="what browser tags sent"),
        pytest.param(a_visit, ["session_id", "touchpoint.interaction_id", "touchpoint.coupon_code"], id="a visit"),
        pytest.param(lambda: a_renewal_of("0"), ["conversion.recurrence.cycle"], id="the first cycle"),
        pytest.param(lambda: a_stage("won", "L-1"), ["conversion.lead.lead_id"], id="a lead"),
        pytest.param(lambda: a_stage("won", "L-1"), ["conversion.lead.stage"], id="a stage"),
        pytest.param(lambda: a_stage("won", "", "7"), ["conversion.lead.root_order_id"], id="a lead's first order"),
        pytest.param(
            lambda: a_refund("r-1"),
            [f"adjustment.{name}" for name in ("conversion_name", "order_id", "store", "adjustment_id", "cycle")],
            id="a refund",
        ),
        pytest.param(lambda: a_refund_of(conversion_id="c1:7"), ["adjustment.conversion_id"], id="a conversion's"),
    ],
)
def test_blanks_around_an_id_make_no_other_order_of_it(
    make: Callable[[], Event], fields: list[str], around: str
) -> None:
    plain, blank = make(), make()
    for field in fields:
        part, _, name = field.rpartition(".")
        plainly, blankly = ((attrgetter(part)(event) if part else event) for event in (plain, blank))
        text = getattr(plainly, name) or ("0" if name == "cycle" else "7")
        setattr(plainly, name, text)
        setattr(blankly, name, around.format(text))
    (one, as_sent), (other, stripped) = pack(plain), pack(blank)
    assert (one.reasons, other.reasons, one.key) == ([], [], other.key)
    assert stripped.event == as_sent.event
    assert one.payload_digest != other.payload_digest, "it is of what was sent"


def a_renewal_of(cycle: str) -> Event:
    event = a_renewal()
    event.conversion.order_id, event.conversion.recurrence.kind = "", 3
    event.conversion.recurrence.cycle = cycle or "2026-11"
    return event


@pytest.mark.parametrize(
    ("code", "source", "is_told"),
    [
        *(("SAVE10", "anna", False), ("SAVE10 ", "anna", False), ("\ufeffSAVE10\r\n", "anna", False)),
        *(("SAVE10\nFREE", "(direct)", True), ("SAVE\x0010", "(direct)", True), (" \n", "(direct)", True)),
    ],
)
def test_a_coupon_that_was_shown_names_its_partner_whatever_blanks_it_has(
    code: str, source: str, is_told: bool
) -> None:
    event = a_visit()
    event.touchpoint.kind, event.touchpoint.coupon_code = TouchpointKind.TOUCHPOINT_KIND_COUPON, code
    packed, admitted = pack(event, rules(coupons={"SAVE10": "anna"}))
    assert admitted.channel_evidence.source == source
    assert admitted.event.touchpoint.coupon_code == ("" if is_told else "SAVE10")
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == (
        [("PLACEHOLDER_IGNORED", "touchpoint.coupon_code")] * is_told
    )


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (a_purchase, "conversion.name"),
        (lambda: a_stage("won", "L-1"), "conversion.lead.stage"),
        (lambda: a_refund("r-1"), "adjustment.conversion_name"),
    ],
)
def test_a_blank_is_no_name(make: Callable[[], Event], field: str) -> None:
    event = make()
    part, _, name = field.rpartition(".")
    setattr(attrgetter(part)(event), name, " \u200b\n")
    assert [(reason.code.value, reason.field) for reason in pack(event)[0].reasons] == [("FIELD_MISSING", field)]


def test_a_name_with_blanks_is_the_one_that_the_workspace_declares() -> None:
    event = a_purchase()
    event.conversion.name = "purchase\n"
    declared = rules(conversions=[{"name": "purchase"}])
    assert codes(pack(event, declared)[0]) == []


def test_blanks_alone_name_nothing_and_hide_no_token() -> None:
    event = a_purchase()
    event.conversion.order_id = "\u00a0\u2028"
    assert codes(pack(event)[0]) == ["PLACEHOLDER_IGNORED"]
    event = a_purchase()
    event.conversion.order_id = "x1:0123456789abcdef01234567\n"
    assert codes(pack(event)[0]) == ["FIELD_MALFORMED"]
