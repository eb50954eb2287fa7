"""Events as dedup gets them: claims and events in bytes, callers alike as one."""

from __future__ import annotations

from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvents
from tributary.event.v1 import verdict_pb2
from tributary_domain.business_keys import NO_KEY, BusinessKey
from tributary_domain.channel import CHANNEL_RULES_VERSION
from tributary_domain.claim_records import CLAIM_RECORD, NO_ORDER, payload_mark, read_order
from tributary_domain.payloads import PAYLOAD_DIGEST_VERSION
from tributary_ingestion.caller_events import Sender, merge, pack
from tributary_ingestion.packed import Packed

NOW = 1_795_000_000_000_000
SHOP = Sender("shop", "key-1", backfill=False, traceparent="")


def a_packed(
    name: bytes, verdict: verdict_pb2.Verdict.ValueType = verdict_pb2.VERDICT_ACCEPTED, key: BusinessKey = NO_KEY
) -> Packed:
    return Packed("e", verdict, [], name * 16, name * 8, key, 2, name * 300)


def admission_of(caller: dedup_service_pb2.CallerEvents) -> Admission:
    return Admission.FromString(caller.admission + caller.events)


def test_each_event_has_a_claim_record_that_says_how_long_it_is() -> None:
    key = BusinessKey(b"o" * 16, "c1:o", b"val")
    packed = [a_packed(b"a"), a_packed(b"b", verdict_pb2.VERDICT_REJECTED), a_packed(b"c", key=key)]
    events = pack(SHOP, NOW, packed, [b"", b"x" * 99, b""])
    records = list(CLAIM_RECORD.iter_unpack(events.claims))
    assert [record[0] for record in records] == [b"a" * 16, b"b" * 16, b"c" * 16]
    assert [record[1] for record in records] == [
        payload_mark(PAYLOAD_DIGEST_VERSION, name * 8) for name in (b"a", b"b", b"c")
    ]
    assert [record[2] for record in records] == [b"A", b"R", b"A"]
    assert sum(record[3] for record in records) == len(events.events)
    assert [record[4] for record in records[:2]] == [NO_ORDER] * 2
    assert read_order(records[2][4]) == (b"o" * 16, 2, b"val")


def test_what_is_passed_on_parses_as_the_admission_it_becomes_part_of() -> None:
    sender = Sender("shop", "key-1", backfill=True, traceparent="00-a-b-01")
    (caller,) = merge([pack(sender, NOW, [a_packed(b"a"), a_packed(b"b")], [b"", b"sealed"])])
    admission = admission_of(caller)
    assert (caller.workspace, caller.lane) == ("shop", dedup_service_pb2.LANE_BULK)
    assert (admission.workspace, admission.traceparent) == ("shop", "00-a-b-01")
    context = admission.accept_context
    assert (context.api_key_id, context.backfill, context.receive_time.ToMicroseconds()) == ("key-1", True, NOW)
    assert context.channel_rules_version == CHANNEL_RULES_VERSION
    assert list(admission.events) == [b"a" * 300, b"b" * 300 + b"sealed"]
    assert AdmittedEvents(admissions=[admission]).ByteSize() > 600


def test_callers_alike_are_one_and_others_are_not() -> None:
    others = [
        SHOP._replace(workspace="other"),
        SHOP._replace(api_key_id="key-2"),
        SHOP._replace(backfill=True),
        SHOP._replace(traceparent="00-a-b-01"),
    ]
    senders = [SHOP, SHOP, *others, SHOP]
    callers = merge([pack(sender, NOW + n, [a_packed(bytes([n]))], [b""]) for n, sender in enumerate(senders)])
    assert [len(caller.claims) // CLAIM_RECORD.size for caller in callers] == [2, 1, 1, 1, 1, 1]
    assert [admission_of(caller).events[0][:1] for caller in callers] == [
        b"\0",
        b"\2",
        b"\3",
        b"\4",
        b"\5",
        b"\6",
    ]
    assert admission_of(callers[0]).accept_context.receive_time.ToMicroseconds() == NOW
