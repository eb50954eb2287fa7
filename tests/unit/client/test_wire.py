"""What is joined parses as the request it stands for."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, StreamEventsRequest
from tributary_client.entry import Entry
from tributary_client.wire import call_request, stream_request

NOW = 1_700_000_000_123_456_789
SENT = Timestamp(seconds=NOW // 10**9, nanos=NOW % 10**9)
EVENTS = [Event(event_id="a"), Event(event_id="b" * 200), Event(event_id="c", properties={"x": "y" * 20_000})]


def entries(*, is_stamped: bool = False) -> list[Entry]:
    return [Entry(event.SerializeToString(), is_stamped=is_stamped) for event in EVENTS]


@pytest.mark.parametrize("flags", [{}, {"validate_only": True}, {"backfill": True}])
def test_a_call_is_what_the_contract_would_write(flags: dict[str, bool]) -> None:
    assert IngestEventsRequest.FromString(call_request(entries(), NOW, **flags)) == IngestEventsRequest(
        events=EVENTS, sent_time=SENT, **flags
    )


@pytest.mark.parametrize("flags", [{}, {"validate_only": True}, {"backfill": True}])
@pytest.mark.parametrize("number", [1, 2**40])
def test_a_batch_is_what_the_contract_would_write(number: int, flags: dict[str, bool]) -> None:
    written = stream_request(number, entries(), NOW, "00-1-2-01", **flags)
    assert StreamEventsRequest.FromString(written) == StreamEventsRequest(
        batch_number=number, events=EVENTS, traceparent="00-1-2-01", sent_time=SENT, **flags
    )


def test_only_events_that_ask_for_it_say_when_they_were_sent() -> None:
    mixed = [*entries(is_stamped=True), *entries()]
    request = IngestEventsRequest.FromString(call_request(mixed, NOW))
    sent = [event.sent_time.ToNanoseconds() if event.HasField("sent_time") else None for event in request.events]
    assert sent == [NOW] * 3 + [None] * 3
    request = IngestEventsRequest.FromString(call_request(mixed, NOW + 1_000_000_000))
    assert request.events[0].sent_time.ToNanoseconds() == NOW + 1_000_000_000
