"""One order, one refund, whatever their event ids."""

from __future__ import annotations

from tributary.event.v1.event_pb2 import Event
from tributary_domain.business_keys import NO_KEY, BusinessKey, business_key, has_business_key
from tributary_domain.ids import conversion_id, event_digest


def key_of(event: Event, workspace: str = "shop") -> BusinessKey:
    return business_key(workspace, event, event.WhichOneof("kind"), event_digest(workspace, event.event_id))


def an_order(event_id: str = "e-1", **fields: str) -> Event:
    event = Event(event_id=event_id)
    event.conversion.name = fields.pop("name", "purchase")
    for name, value in fields.items():
        setattr(event.conversion, name, value)
    return event


def a_refund(event_id: str = "r-1", adjustment_id: str = "", **target: str) -> Event:
    event = Event(event_id=event_id)
    event.adjustment.conversion_name = "purchase"
    event.adjustment.adjustment_id = adjustment_id
    for name, value in target.items():
        setattr(event.adjustment, name, value)
    return event


def test_an_order_is_one_conversion_under_any_event_id() -> None:
    assert key_of(an_order("a", order_id="o-1")) == key_of(an_order("b", order_id="o-1"))


def test_the_same_number_in_two_stores_is_two_conversions() -> None:
    assert key_of(an_order(order_id="1", store="de")) != key_of(an_order(order_id="1", store="at"))


def test_without_an_order_id_the_event_id_names_the_conversion() -> None:
    key = key_of(an_order("e-7"))
    assert key == BusinessKey(b"", conversion_id(event_digest("shop", "e-7")), b"")


def test_cycles_of_a_subscription_are_two_conversions() -> None:
    first, second = an_order(order_id="s-1"), an_order(order_id="s-1")
    first.conversion.recurrence.cycle, second.conversion.recurrence.cycle = "1", "2"
    assert key_of(first).order_digest != key_of(second).order_digest


def test_a_subscription_without_an_order_id_is_keyed_by_its_own() -> None:
    event = an_order()
    event.conversion.recurrence.subscription_id, event.conversion.recurrence.cycle = "s-1", "2"
    other = an_order(order_id="s-1")
    other.conversion.recurrence.cycle = "2"
    assert key_of(event) == key_of(other)


def test_each_stage_of_a_lead_is_a_conversion_of_its_own() -> None:
    won, lost = an_order(name="lead"), an_order(name="lead")
    for event, stage in ((won, "won"), (lost, "lost")):
        event.conversion.lead.lead_id, event.conversion.lead.stage = "l-1", stage
    assert key_of(won).order_digest != key_of(lost).order_digest
    assert has_business_key(won, "conversion")


def test_a_refund_finds_its_order() -> None:
    assert key_of(a_refund(order_id="o-1")).conversion_id == key_of(an_order(order_id="o-1")).conversion_id


def test_a_refund_finds_a_conversion_by_its_event_id() -> None:
    assert key_of(a_refund(event_id="r", **{"order_id": "x"})) != NO_KEY
    refund = Event(event_id="r")
    refund.adjustment.event_id = "e-7"
    assert key_of(refund).conversion_id == key_of(an_order("e-7")).conversion_id


def test_one_refund_reported_by_order_and_by_conversion_id_is_one() -> None:
    by_order = key_of(a_refund("a", "refund-9", order_id="o-1"))
    by_id = key_of(a_refund("b", "refund-9", conversion_id=by_order.conversion_id))
    assert by_order.order_digest == by_id.order_digest


def test_two_refunds_of_one_order_are_two() -> None:
    assert (
        key_of(a_refund("a", "1", order_id="o")).order_digest != key_of(a_refund("a", "2", order_id="o")).order_digest
    )


def test_a_refund_without_a_number_is_only_known_by_its_event_id() -> None:
    key = key_of(a_refund(order_id="o-1"))
    assert key.order_digest == b""
    assert not has_business_key(a_refund(order_id="o-1"), "adjustment")


def test_a_value_that_was_not_stated_contradicts_nobody() -> None:
    event = an_order(order_id="o-1")
    assert key_of(event).value_digest == b""
    event.conversion.value.amount_micros = 0
    event.conversion.value.currency_code = "EUR"
    assert len(key_of(event).value_digest) == 3


def test_a_touchpoint_has_no_business_key() -> None:
    event = Event(event_id="e")
    event.touchpoint.kind = 1
    assert key_of(event) is NO_KEY
