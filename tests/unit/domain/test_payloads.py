"""The payload digest says what happened, not when it was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tributary.event.v1.event_pb2 import Event
from tributary_domain.payloads import PAYLOAD_DIGEST_VERSION, PayloadDigester, content_digester
from tributary_domain.texts import read_texts

KEY = b"k" * 32


def payload(event: Event) -> bytes:
    kind = event.WhichOneof("kind")
    return PayloadDigester(KEY)(event, kind, read_texts(event, kind))


def content(event: Event) -> bytes:
    kind = event.WhichOneof("kind")
    return content_digester(KEY)(event, kind, read_texts(event, kind))


def an_order() -> Event:
    event = Event(event_id="e-1")
    event.event_time.seconds = 1_795_000_000
    event.conversion.name = "purchase"
    event.conversion.order_id = "o-1"
    event.conversion.value.currency_code = "EUR"
    event.conversion.value.amount_micros = 10_000_000
    event.conversion.items.add(item_id="i-1", quantity=1)
    event.identifiers.customer_id = "k-1"
    event.properties.update({"a": "1", "b": "2"})
    return event


def test_a_digest_is_the_same_in_every_release_of_its_version() -> None:
    assert (PAYLOAD_DIGEST_VERSION, payload(an_order()).hex()) == (2, "e1ff41e06c8036d0")


def test_an_event_without_id_has_the_same_id_in_every_release_and_its_network_is_part_of_it() -> None:
    event = an_order()
    assert content(event).hex() == "5422452c33dc05d9adc0a1ad0f1adff3"
    event.context.client_ip, event.context.user_agent = "203.0.113.7", "agent"
    assert content(event).hex() == "0fb02df5b286271c155f267e5eae2ad3"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda event: event.event_time.FromSeconds(1), id="event_time"),
        pytest.param(lambda event: event.sent_time.FromSeconds(1), id="sent_time"),
        pytest.param(lambda event: setattr(event.human_check, "token", "t"), id="a human check token"),
        pytest.param(lambda event: setattr(event, "event_id", "other"), id="the id itself"),
        pytest.param(lambda event: event.context.SetInParent(), id="an empty part"),
        pytest.param(lambda event: setattr(event.context, "page_url", ""), id="an empty text"),
        pytest.param(lambda event: setattr(event.context, "client_ip", "203.0.113.7"), id="the network"),
        pytest.param(lambda event: setattr(event.context, "user_agent", "a\0b"), id="the user agent"),
    ],
)
def test_what_a_retry_may_change_changes_nothing(change: Callable[[Event], Any]) -> None:
    event = an_order()
    change(event)
    assert payload(event) == payload(an_order())


def _item(event: Event) -> None:
    event.conversion.items[0].price_micros = 0


CHANGES = [
    pytest.param(lambda event: setattr(event.conversion.value, "amount_micros", 10_000_001), id="amount"),
    pytest.param(lambda event: setattr(event.conversion.value, "currency_code", "USD"), id="currency"),
    pytest.param(lambda event: event.conversion.ClearField("value"), id="no value"),
    pytest.param(lambda event: setattr(event.conversion, "order_id", "o-2"), id="order id"),
    pytest.param(lambda event: setattr(event.conversion, "store", "o-1"), id="store"),
    pytest.param(lambda event: setattr(event.conversion.amounts, "tax_micros", 0), id="a zero that was unset"),
    pytest.param(lambda event: event.conversion.coupon_codes.append("c"), id="coupon"),
    pytest.param(lambda event: event.conversion.pixel_event_ids.update({"meta": "1"}), id="pixel id"),
    pytest.param(_item, id="price of an item"),
    pytest.param(lambda event: event.conversion.items.add(item_id="i-2"), id="a further item"),
    pytest.param(lambda event: setattr(event.identifiers, "customer_id", "k-2"), id="customer"),
    pytest.param(lambda event: setattr(event.identifiers, "visitor_id", "k-1"), id="visitor"),
    pytest.param(lambda event: event.identifiers.device_ids.append("d"), id="device"),
    pytest.param(lambda event: event.identifiers.apple_advertising_ids.append("d"), id="advertising id"),
    pytest.param(lambda event: event.identifiers.android_advertising_ids.append("d"), id="Android's"),
    pytest.param(lambda event: event.properties.update({"a": "2"}), id="property"),
    pytest.param(lambda event: event.properties.update({"c": ""}), id="a further property"),
    pytest.param(lambda event: setattr(event.consent, "ad_storage", 1), id="consent"),
    pytest.param(lambda event: setattr(event.context, "page_url", "x"), id="page"),
    pytest.param(lambda event: setattr(event.context, "observed_by", 4), id="observer"),
    pytest.param(lambda event: setattr(event.context, "page_url", "a"), id="page"),
    pytest.param(lambda event: setattr(event.context, "referrer_url", "a"), id="referrer"),
    pytest.param(lambda event: setattr(event.context, "app_version", "a"), id="the last of its context"),
    pytest.param(lambda event: setattr(event, "traffic", 3), id="traffic"),
    pytest.param(lambda event: setattr(event, "origin", 3), id="origin"),
    pytest.param(lambda event: setattr(event, "session_id", "s"), id="session"),
    pytest.param(lambda event: setattr(event.click_ids, "gclid", "g"), id="click id"),
    pytest.param(lambda event: setattr(event.experiment, "arm", "b"), id="experiment"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_another_content_is_another_payload(change: Callable[[Event], Any]) -> None:
    event = an_order()
    change(event)
    assert payload(event) != payload(an_order())


def test_all_of_these_payloads_differ_from_each_other() -> None:
    digests = set()
    for parameter in CHANGES:
        event = an_order()
        parameter.values[0](event)  # type: ignore[operator]
        digests.add(payload(event))
    assert len(digests) == len(CHANGES)


def test_text_that_moves_from_one_field_into_the_next_is_another_payload() -> None:
    one, other = an_order(), an_order()
    one.conversion.order_id, one.conversion.store = "a\0b", ""
    other.conversion.order_id, other.conversion.store = "a", "b"
    assert payload(one) != payload(other)


def test_the_order_of_properties_does_not_count() -> None:
    event = an_order()
    event.properties.clear()
    event.properties.update({"b": "2", "a": "1"})
    assert payload(event) == payload(an_order())


def test_an_event_without_id_is_another_a_moment_later() -> None:
    event = an_order()
    event.event_time.nanos = 1_000
    assert content(event) != content(an_order())


def test_another_key_is_another_digest() -> None:
    event = an_order()
    readings = read_texts(event, "conversion")
    assert PayloadDigester(b"x" * 32)(event, "conversion", readings) != payload(event)
