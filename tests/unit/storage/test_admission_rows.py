"""What is left of an event that is older than it is kept goes the way it would have gone."""

from __future__ import annotations

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.event_pb2 import Traffic
from tributary.event.v1.touchpoint_pb2 import TouchpointKind
from tributary_storage.clickhouse.admission_rows import recorded_admission

_PLACE = (b"ACCEPTED", b"", 7, b"", 1_000_001, b"e-1", [b"customer:c", b"visitor:v"])


def test_an_event_that_is_kept_is_as_the_log_carried_it() -> None:
    assert recorded_admission(b"QUARANTINED", b"bytes", 7, b"00-1") == ("Q", b"bytes", 7, "00-1")


def test_a_sighting_is_an_identification_of_its_identifiers_at_its_time() -> None:
    read = AdmittedEvent.FromString(recorded_admission(*_PLACE).admitted)
    assert read.event.WhichOneof("kind") == "identify"
    assert (read.event.event_id, read.event.event_time.ToMicroseconds()) == ("e-1", 1_000_001)
    assert list(read.identity_tokens) == ["customer:c", "visitor:v"]


def test_a_sighting_of_how_somebody_began_is_a_touch_with_its_source_and_the_number_of_its_click() -> None:
    said = {b"touchpoint_kind": b"CLICK", b"channel": b"Paid Search", b"rule": b"click_id:gclid", b"term": b"shoes"}
    said |= {b"ad_campaign_id": b"c-1", b"keyword": b"shoe", b"sighted_click": b"18446744073709551615"}
    read = AdmittedEvent.FromString(recorded_admission(*_PLACE, said).admitted)
    touch, evidence = read.event.touchpoint, read.channel_evidence
    assert (touch.kind, touch.ad.campaign_id, touch.ad.keyword) == (
        TouchpointKind.TOUCHPOINT_KIND_CLICK,
        "c-1",
        "shoe",
    )
    assert (evidence.channel, evidence.term, evidence.continues_session) == ("Paid Search", "shoes", False)
    assert read.sighted_click == 2**64 - 1
    assert not read.event.HasField("consent")


def test_a_sighting_of_an_id_alone_is_no_first_touch() -> None:
    said = {b"sighted_interaction": b"5", b"traffic": b"INTERNAL", b"consent": b"GRANTED", b"consent_time_micros": b"9"}
    read = AdmittedEvent.FromString(recorded_admission(*_PLACE, said).admitted)
    assert read.channel_evidence.continues_session
    assert read.event.traffic == Traffic.TRAFFIC_INTERNAL
    assert read.event.consent.consent_time.ToMicroseconds() == 9
    assert read.sighted_interaction == 5
