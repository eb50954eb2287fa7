"""What the quick way packs is what the long way packs, whatever the event."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_the_door_decides_on_anything import HOSTILE, NOW, events
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary_domain.addresses import AddressBook, Span
from tributary_ingestion import sliced
from tributary_ingestion.intake import take
from tributary_ingestion.packed import Packed
from tributary_ingestion.visits import Visits
from tributary_ingestion.workspace_rules import WorkspaceRules, compile_rules
from tributary_runtime.workspaces import Workspace

BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
PAGES = [
    "https://shop.example/a/b?utm_source=google&utm_medium=cpc&utm_campaign=spring%201&gclid=Cj0",
    "https://shop.example/?utm_source=news&utm_medium=email",
    "https://other.example/?gad_source=1&gad_campaignid=7&gclid=Cj0&wbraid=x",
    "https://other.example/?_kx=abc&fbclid=x",
    "https://shop.example/?email=a%40b.de",
    "/",
    "",
]
SAID = {
    "event_id": ["e-1", "d1:x", "x" * 129, "ann@example.com", "0040-2540", "", "203.0.113.7-1", "v1.2.3.4"],
    "session_id": ["s-1", "x" * 129, "ann@example.com", "\0", "s:2001:db8::7"],
    "event_time.nanos": [0, 999, 1_001, -1, 10**9],
    "event_time.seconds": [NOW // 10**6, NOW // 10**6 + 400, NOW // 10**6 - 86_400 * 60, 0, 2**63 - 1],
    "sent_time.seconds": [NOW // 10**6, NOW // 10**6 - 3_600, -(2**63)],
    "touchpoint.kind": [1, 2, 3, 6, 99, 0],
    "touchpoint.utm.source": ["google", "\0", "ann@example.com", "x" * 513],
    "touchpoint.utm.campaign": ["spring", ""],
    "touchpoint.ad.destination": ["meta", "x" * 65],
    "touchpoint.landing": [True, False],
    "touchpoint.cost.amount_micros": [5, -5],
    "touchpoint.coupon_code": ["save10", "ann@example.com"],
    "touchpoint.title": ["Shoes", "x" * 257, "ann@example.com", "203.0.113.7"],
    "identifiers.visitor_id": ["v-1", "null", " v ", "\0", "ä" * 70, "x" * 300, ""],
    "identifiers.customer_id": ["c-1", "null"],
    "identifiers.email": ["ann@example.com"],
    "context.client_ip": ["203.0.113.7", "198.51.100.9", "2001:db8::1", "nonsense", "x" * 65],
    "context.user_agent": [BROWSER, "Googlebot/2.1", "python-requests/2", "x" * 1_025, ""],
    "context.page_url": [*PAGES, "x" * 5_000],
    "context.referrer_url": ["https://www.google.com/", "https://shop.example/", "https://u:p@h/?email=a", "x" * 5_000],
    "context.language": ["de-AT", "x" * 36],
    "context.app_version": ["1.2", "x" * 65],
    "context.observed_by": [0, 1, 2, 3, 4, 5, -1],
    "origin": [0, 1],
    "traffic": [0, 2],
    "click_ids.gclid": ["Cj0"],
    "properties": [
        {"a": "b"},
        {"z": "1", "colour": "r\u00f6d", "a": "\0"},
        {"note": "ann@example.com"},
        {"client_email": "x"},
        {"order_id": "203.0.113.7"},
        {"order_id": "25.11.27.104"},
        {"note": "s-203.0.113.7-1795000000"},
        {"app_version": "2001:db8::1"},
        {"em": "0cc175b9c0f1b6a831c399e269772661"},
        {"order": "0cc175b9c0f1b6a831c399e269772661"},
        {"a": ""},
        {"": "b"},
        {"x" * 65: "b"},
        {"a": "x" * 1_025},
        {f"p{number}": "x" for number in range(65)},
    ],
    "experiment.id": ["x"],
}
WORKSPACE = {
    "id": "shop",
    "pepper": {"value": "p" * 16},
    "own_domains": ["shop.example"],
    "conversions": [{"name": "purchase"}],
}
_KEY = base64.b64encode(b"k" * 32).decode()
_LISTED = (0xC6336400, 0xC63364FF)
"""198.51.100.0/24"""
RULES = [
    compile_rules(Workspace.model_validate({**WORKSPACE, **own}), addresses)
    for own, addresses in (
        ({}, AddressBook([])),
        ({"channel_rules": [{"channel": "Mine", "page": "/a*"}]}, AddressBook([("tor", [Span(4, *_LISTED)])])),
        (
            {"session_id_required": ["touchpoint"], "data_key": {"value": base64.b64encode(b"k" * 32).decode()}},
            AddressBook([]),
        ),
    )
]
KEPT = [Visits(rules) for rules in RULES]
"""Kept over all examples, as a process does: what one event taught must be right for the next."""


def a_visit() -> Event:
    event = Event(event_id="e-1")
    event.event_time.FromMicroseconds(NOW)
    event.touchpoint.kind = 1
    event.identifiers.visitor_id = "v-1"
    event.context.user_agent = BROWSER
    event.context.client_ip = "203.0.113.7"
    event.context.page_url = PAGES[0]
    return event


@st.composite
def visits(draw: st.DrawFn) -> Event:
    """Draws a usual visit in which some fields are set to something usual or unusual."""
    event = a_visit()
    for path in draw(st.lists(st.sampled_from(sorted(SAID)), max_size=4)):
        values: list[Any] = list(SAID[path])
        value = draw(st.sampled_from(values + HOSTILE if isinstance(values[0], str) else values))
        _set(event, path, value)
    return event


def _set(event: Any, path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        event = getattr(event, parent)
    if isinstance(value, dict):
        getattr(event, name).update(value)
    else:
        setattr(event, name, value)


def quick(event: Event, visits: Visits) -> Packed | None:
    request = sliced.parse(IngestEventsRequest, IngestEventsRequest(events=[event]).SerializeToString())
    one = request.events[0]
    return None if isinstance(one, Event) else visits.take(one, NOW)


def assert_alike(event: Event, rules: WorkspaceRules, visits: Visits) -> None:
    packed = quick(event, visits)
    if packed is not None:
        expected = take(event, rules, NOW, backfill=False)
        assert packed._replace(admitted=b"") == expected._replace(admitted=b"")
        assert AdmittedEvent.FromString(packed.admitted) == AdmittedEvent.FromString(expected.admitted)


@given(visits(), st.integers(0, len(RULES) - 1))
def test_a_visit_is_packed_alike_on_both_ways(event: Event, own: int) -> None:
    assert_alike(event, RULES[own], KEPT[own])


@given(events(), st.booleans())
def test_any_event_is_packed_alike_on_both_ways(event: Event, is_timely: bool) -> None:
    if is_timely:
        event.event_time.FromMicroseconds(NOW)
        event.ClearField("sent_time")
    assert_alike(event, RULES[0], KEPT[0])


@given(visits())
def test_what_is_not_packed_quickly_is_not_changed(event: Event) -> None:
    request = sliced.parse(IngestEventsRequest, IngestEventsRequest(events=[event]).SerializeToString())
    one = request.events[0]
    if not isinstance(one, Event) and KEPT[0].take(one, NOW) is None:
        assert sliced.whole_event(one) == event


def test_a_usual_visit_takes_the_quick_way() -> None:
    event = a_visit()
    event.session_id = "s-1"
    for visits in KEPT:
        assert quick(event, visits) is not None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("identifiers.email", "ann@example.com", id="whose e-mail address is known"),
        pytest.param("identifiers.customer_id", "c-1", id="of a customer"),
        pytest.param("context.user_agent", "Googlebot/2.1", id="of a bot"),
        pytest.param("context.user_agent", "", id="without a user agent"),
        pytest.param("properties", {"size": "42", "colour": "red"}, id="with properties"),
    ],
)
def test_a_visit_takes_the_quick_way(path: str, value: object) -> None:
    for rules, visits in zip(RULES, KEPT, strict=True):
        event = a_visit()
        event.session_id = "s-1"
        _set(event, path, value)
        assert quick(event, visits) is not None
        assert_alike(event, rules, visits)


def test_an_observer_that_does_not_exist_is_not_taken_for_one_that_does() -> None:
    for observed_by in (4, -1):
        event = a_visit()
        event.context.observed_by = observed_by  # type: ignore[assignment]
        assert_alike(event, RULES[0], KEPT[0])
