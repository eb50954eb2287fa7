"""What an admitted event adds to a journey and to a conversion."""

from __future__ import annotations

import pytest

from tests.support.attribution import NOON, Admitted, Events
from tributary.event.v1.consent_pb2 import ConsentState
from tributary.event.v1.event_pb2 import Traffic
from tributary_attribution.arrivals import Arrival, ArrivalReader
from tributary_domain.journey import DIRECT, NO_CONSENT, NO_TOUCH, QUARANTINED, JourneyTouch
from tributary_runtime.errors import PoisonEvent
from tributary_storage.redis.journey_layout import Journey, unpack_journey

EVENTS = Events("shop")
THANKS = "https://shop.example/thanks"


def read(admitted: Admitted, reader: ArrivalReader | None = None) -> Arrival:
    letter, event = admitted
    return (reader or ArrivalReader()).read("shop", letter, event.SerializeToString(), NOON, "")


def journey(*arrivals: Arrival) -> Journey:
    return unpack_journey("p1:x", [dict(arrival.entry for arrival in arrivals if arrival.entry)])


def entry(admitted: Admitted) -> JourneyTouch:
    [touch] = journey(read(admitted)).entries
    return touch


def test_a_touch_keeps_its_time_kind_and_source() -> None:
    reader = ArrivalReader()
    arrival = read(EVENTS.touch("visitor:a", at=NOON, channel="Email"), reader)
    [touch] = journey(arrival).entries
    assert (touch.event_time_micros, touch.event_hash, touch.flags) == (NOON, arrival.event_hash, 0)
    assert ("shop", touch.descriptor) in reader.new_texts
    assert not arrival.conversion_id


@pytest.mark.parametrize(
    ("admitted", "flag"),
    [
        pytest.param(EVENTS.touch("visitor:a", channel="Direct"), DIRECT, id="direct"),
        pytest.param(EVENTS.touch("visitor:a", letter="Q"), QUARANTINED, id="quarantined"),
        pytest.param(EVENTS.touch("visitor:a", continues_session=True), NO_TOUCH, id="a return from a payment page"),
    ],
)
def test_a_flag_says_what_a_touch_is_not(admitted: Admitted, flag: int) -> None:
    assert entry(admitted).flags == flag


def test_a_direct_touch_needs_no_descriptor() -> None:
    reader = ArrivalReader()
    read(EVENTS.touch("visitor:a", channel="Direct"), reader)
    assert reader.new_texts == {}


def test_denied_consent_is_flagged_and_silence_is_not_a_grant() -> None:
    admitted = EVENTS.touch("visitor:a")
    assert journey(read(admitted)).consented == frozenset()
    admitted[1].event.consent.analytics_storage = ConsentState.CONSENT_STATE_GRANTED
    assert journey(read(admitted)).consented == {read(admitted).event_hash}
    admitted[1].event.consent.analytics_storage = ConsentState.CONSENT_STATE_DENIED
    assert entry(admitted).flags == NO_CONSENT


def test_internal_traffic_is_told_apart_without_a_flag_of_the_core() -> None:
    admitted = EVENTS.touch("visitor:a")
    admitted[1].event.traffic = Traffic.TRAFFIC_INTERNAL
    arrival = read(admitted)
    assert journey(arrival).internal == {arrival.event_hash}
    assert entry(admitted).flags == 0


def test_two_clicks_of_one_campaign_are_one_source_and_two_clicks() -> None:
    first = entry(EVENTS.touch("visitor:a", clicks={"gclid": "a"}))
    second = entry(EVENTS.touch("visitor:a", clicks={"gclid": "b"}))
    assert first.descriptor == second.descriptor
    assert first.click != second.click


def test_an_id_that_many_clicks_share_names_no_click() -> None:
    assert entry(EVENTS.touch("visitor:a", clicks={"gbraid": "shared", "gad_source": "1"})).click == 0


def test_an_order_points_at_its_conversion() -> None:
    arrival = read(EVENTS.order("visitor:a", order_id="o-1"))
    assert journey(arrival).conversions == {EVENTS.conversion_id("o-1"): (NOON,)}
    assert arrival.conversion_id == EVENTS.conversion_id("o-1")
    assert arrival.part


@pytest.mark.parametrize(
    ("click_ids", "page_url", "same_as"),
    [
        pytest.param({"gclid": "a"}, "", {"gclid": "a"}, id="its own"),
        pytest.param({}, f"{THANKS}?gclid=a", {"gclid": "a"}, id="in its page"),
        pytest.param({"gclid": "a"}, f"{THANKS}?gclid=b", {"gclid": "a"}, id="its own before the page's"),
        pytest.param({"gbraid": "x", "fbclid": "f"}, "", {"gbraid": "x", "fbclid": "f"}, id="one that names one click"),
        pytest.param({"gbraid": "x"}, "", {}, id="none that names one click"),
        pytest.param({}, THANKS, {}, id="none"),
    ],
)
def test_an_order_carries_the_click_that_a_visit_to_its_page_would_have(
    click_ids: dict[str, str], page_url: str, same_as: dict[str, str]
) -> None:
    order = EVENTS.order("visitor:a", click_ids=click_ids, page_url=page_url)
    arrival = read(order)
    expected = entry(EVENTS.touch("visitor:a", clicks=same_as)).click if same_as else 0
    assert journey(arrival).own_clicks == ({arrival.event_hash: expected} if expected else {})
    assert entry(order).click == 0  # it is no touch


def test_a_click_id_that_came_without_consent_to_measure_is_not_an_orders_own() -> None:
    order = EVENTS.order("visitor:a", click_ids={"gclid": "a"})
    order[1].event.consent.analytics_storage = ConsentState.CONSENT_STATE_DENIED
    assert journey(read(order)).own_clicks == {}


def test_a_quarantined_order_is_shown_and_is_no_conversion() -> None:
    arrival = read(EVENTS.order("visitor:a", letter="Q"))
    assert journey(arrival).conversions == {}
    assert list(journey(arrival).conversion_ids.values()) == [EVENTS.conversion_id()]
    assert (arrival.conversion_id, arrival.part, arrival.sighting) == ("", b"", b"")


def test_an_adjustment_goes_to_its_conversion_and_into_no_journey() -> None:
    arrival = read(EVENTS.refund(1))
    assert arrival.entry is None
    assert arrival.conversion_id == EVENTS.conversion_id()


def test_an_adjustment_may_name_the_conversion_id_itself() -> None:
    admitted = EVENTS.refund(1)
    admitted[1].conversion_id = ""
    admitted[1].event.adjustment.conversion_id = "c1:00"
    assert read(admitted).conversion_id == "c1:00"


@pytest.mark.parametrize("content", [b"\xff\xff", b""], ids=["no protobuf", "no event id"])
def test_what_is_no_event_is_poison(content: bytes) -> None:
    with pytest.raises(PoisonEvent):
        ArrivalReader().read("shop", "A", content, NOON, "")


def test_what_is_left_under_a_string_that_denies_is_no_trace_of_its_person() -> None:
    order = EVENTS.order("visitor:a")
    order[1].event.browser_ids.fbp = "fb.1.2.3"
    assert read(order).traces
    order[1].event.consent.tcf_string = "CQdZmkAQdZmkAAKACBENCWFgAAAAAAAAAAqIAAAAAAAA.IAAA.YAAAAAAAAAAA"
    assert not read(order).traces
