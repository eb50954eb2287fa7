"""Requests put together from events that are bytes already.

A protobuf message may be written as the concatenation of its fields. The one rule: what is joined here parses as the
request it stands for, which a test shows; the numbers come from the contract itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, StreamEventsRequest
from tributary_client.entry import Entry

_LENGTH_DELIMITED: Final = 2


def _tag(message: type, field: str, kind: int) -> bytes:
    number: int = message.DESCRIPTOR.fields_by_name[field].number  # type: ignore[attr-defined]
    return bytes((number << 3 | kind,))  # all of ours are below 16: one byte


_SENT_TIME: Final = _tag(Event, "sent_time", _LENGTH_DELIMITED)
_CALL_TIME: Final = _tag(IngestEventsRequest, "sent_time", _LENGTH_DELIMITED)
_STREAM_TIME: Final = _tag(StreamEventsRequest, "sent_time", _LENGTH_DELIMITED)
_CALL_EVENTS: Final = _tag(IngestEventsRequest, "events", _LENGTH_DELIMITED)
_STREAM_EVENTS: Final = _tag(StreamEventsRequest, "events", _LENGTH_DELIMITED)


def call_request(
    entries: Sequence[Entry], now_nanos: int, *, validate_only: bool = False, backfill: bool = False
) -> bytes:
    """Returns a serialised `IngestEventsRequest`.

    Args:
        entries: The events.
        now_nanos: Unix time of this attempt: the request's, and that of events that say when they are sent.
        validate_only: As in the contract.
        backfill: As in the contract.
    """
    head = IngestEventsRequest(validate_only=validate_only, backfill=backfill)
    return head.SerializeToString() + _join(_CALL_EVENTS, _CALL_TIME, entries, now_nanos)


def stream_request(
    number: int,
    entries: Sequence[Entry],
    now_nanos: int,
    traceparent: str = "",
    *,
    validate_only: bool = False,
    backfill: bool = False,
) -> bytes:
    """Returns a serialised `StreamEventsRequest`; arguments as `call_request`."""
    head = StreamEventsRequest(
        batch_number=number, validate_only=validate_only, backfill=backfill, traceparent=traceparent
    )
    return head.SerializeToString() + _join(_STREAM_EVENTS, _STREAM_TIME, entries, now_nanos)


def _join(tag: bytes, time_tag: bytes, entries: Sequence[Entry], now_nanos: int) -> bytes:
    sent = Timestamp(seconds=now_nanos // 1_000_000_000, nanos=now_nanos % 1_000_000_000).SerializeToString()
    sent = varint(len(sent)) + sent
    parts = [time_tag, sent]
    stamp = _SENT_TIME + sent
    for entry in entries:
        body = entry.body
        if entry.is_stamped:
            parts += (tag, varint(len(body) + len(stamp)), body, stamp)
        else:
            parts += (tag, varint(len(body)), body)
    return b"".join(parts)


def varint(number: int) -> bytes:
    r"""Returns a length as protobuf writes it.

    >>> varint(127), varint(300)
    (b'\x7f', b'\xac\x02')
    """
    if number < 0x80:
        return bytes((number,))
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
