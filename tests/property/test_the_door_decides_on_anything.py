"""Whatever an event holds, the door decides on it: no exception, one verdict, nothing personal kept."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary_ingestion.intake import take
from tributary_ingestion.workspace_rules import compile_rules
from tributary_runtime.workspaces import Workspace

NOW = 1_795_000_000_000_000
RULES = compile_rules(
    Workspace.model_validate(
        {
            "id": "shop",
            "pepper": {"value": "p" * 16},
            "own_domains": ["shop.example"],
            "channel_rules": [{"channel": "Mine", "page": "/a*"}],
        }
    )
)
HOSTILE = ["", "\0", "null", "ann@example.com", "%40", "https://[::1]:8/?a", "?", "=&&=", "x" * 5_000, "d1:x", "EUR"]
HOSTILE += [
    "https://u:p@h/?gclid=%ff&email=x#a=@",
    "purchase",
    "+49 171 2345678",
    "\u202e",
    "c1:",
    "https://shop.example/",
]
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8))
VERDICTS = {verdict_pb2.VERDICT_ACCEPTED, verdict_pb2.VERDICT_QUARANTINED, verdict_pb2.VERDICT_REJECTED}


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Draws an event with anything its types allow."""
    event = Event()
    _fill_all(draw, event)
    return event


def _fill_all(draw: st.DrawFn, message: Any) -> None:
    descriptor: Descriptor = message.DESCRIPTOR
    for field in descriptor.fields:
        if draw(st.booleans()):
            _fill(draw, message, field)


def _fill(draw: st.DrawFn, message: Any, field: FieldDescriptor) -> None:
    name = field.name
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, name).update(draw(st.dictionaries(TEXTS, TEXTS, max_size=3)))
    elif field.message_type is not None:
        part = getattr(message, name).add() if field.is_repeated else getattr(message, name)
        part.SetInParent()
        _fill_all(draw, part)
    elif field.type == FieldDescriptor.TYPE_STRING:
        if field.is_repeated:
            getattr(message, name).extend(draw(st.lists(TEXTS, max_size=10)))
        else:
            setattr(message, name, draw(TEXTS))
    elif field.type == FieldDescriptor.TYPE_BOOL:
        setattr(message, name, draw(st.booleans()))
    elif field.type == FieldDescriptor.TYPE_INT64:
        setattr(message, name, draw(st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), NOW // 10**6])))
    else:
        setattr(message, name, draw(st.sampled_from([0, 1, 2, 3, 99, -1, 2**31 - 1, -(2**31)])))


@given(events(), st.booleans(), st.booleans(), st.sampled_from([None, NOW, NOW - 3_600 * 10**6, -(2**62), 2**62]))
def test_any_event_gets_one_verdict(event: Event, backfill: bool, is_timely: bool, call_micros: int | None) -> None:
    if is_timely:
        event.event_time.FromMicroseconds(NOW)
        event.ClearField("sent_time")
    packed = take(event, RULES, NOW, call_micros, backfill=backfill)
    admitted = AdmittedEvent.FromString(packed.admitted)
    assert packed.verdict == admitted.verdict in VERDICTS
    assert admitted.event.event_id or packed.verdict == verdict_pb2.VERDICT_REJECTED
    assert not admitted.event.HasField("identifiers")
    assert not admitted.event.context.client_ip
    assert not admitted.event.context.user_agent
    assert (packed.verdict == verdict_pb2.VERDICT_REJECTED) <= bool(packed.reasons)


@given(st.binary(max_size=60))
def test_any_bytes_that_are_an_event_get_a_verdict(body: bytes) -> None:
    event = Event()
    try:
        event.MergeFromString(body)
    except DecodeError:  # the servicer answers INVALID_ARGUMENT
        return
    assert take(event, RULES, NOW, backfill=False).verdict in VERDICTS
