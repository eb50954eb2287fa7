"""Every event gets its verdict, in request order, with reasons that say what to do."""

from __future__ import annotations

import pytest

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsResponse
from tributary_domain.business_keys import NO_KEY, BusinessKey
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_domain.reasons import Reason, ReasonCode
from tributary_ingestion import verdicts
from tributary_ingestion.admission import Outcomes
from tributary_ingestion.packed import Packed
from tributary_ingestion.reasons import dedup_reason, to_messages

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
WARNING = Reason(ReasonCode.PHONE_UNREADABLE, "identifiers.phone", "ignored")


def a_packed(
    event_id: str = "e", verdict: verdict_pb2.Verdict.ValueType = ACCEPTED, key: BusinessKey = NO_KEY, *reasons: Reason
) -> Packed:
    return Packed(event_id, verdict, list(reasons), bytes(16), bytes(8), key, 1, b"")


def an_outcome(verdict: int, code: int = 0, first_verdict: int = 0, first_accept_micros: int = 0) -> bytes:
    return OUTCOME_RECORD.pack(verdict, code, first_verdict, first_accept_micros)


def read(answers: verdicts.Answers) -> list[EventVerdict]:
    response = IngestEventsResponse.FromString(answers.field(IngestEventsResponse.VERDICTS_FIELD_NUMBER))
    assert response.SerializeToString() == IngestEventsResponse(verdicts=response.verdicts).SerializeToString()
    return list(response.verdicts)


def decided(packed: list[Packed], *outcomes: bytes, retry: float = 0.0) -> list[EventVerdict]:
    return read(verdicts.decided(packed, Outcomes(b"".join(outcomes), retry)))


def test_verdicts_come_in_request_order() -> None:
    answers = decided([a_packed("a"), a_packed("b")], an_outcome(ACCEPTED), an_outcome(verdict_pb2.VERDICT_DUPLICATE))
    assert [(one.event_id, one.verdict) for one in answers] == [("a", ACCEPTED), ("b", verdict_pb2.VERDICT_DUPLICATE)]


def test_a_verdict_in_bytes_is_the_message_it_stands_for() -> None:
    packed = a_packed("\u00e4" * 100, ACCEPTED, BusinessKey(b"", "c1:7", b""), WARNING)
    outcome = an_outcome(
        verdict_pb2.VERDICT_DUPLICATE, verdict_pb2.REASON_CODE_MERGED_OBSERVATION, ACCEPTED, 1_795_000_000_000_001
    )
    expected = EventVerdict(
        event_id="\u00e4" * 100,
        verdict=verdict_pb2.VERDICT_DUPLICATE,
        first_verdict=ACCEPTED,
        conversion_id="c1:7",
        reasons=[dedup_reason(verdict_pb2.REASON_CODE_MERGED_OBSERVATION), *to_messages([WARNING])],
    )
    expected.first_accept_time.FromMicroseconds(1_795_000_000_000_001)
    assert decided([packed], outcome) == [expected]


def test_a_conversion_is_named() -> None:
    packed = a_packed("a", ACCEPTED, BusinessKey(b"", "c1:7", b""))
    assert decided([packed], an_outcome(ACCEPTED))[0].conversion_id == "c1:7"


def test_what_dedup_says_comes_before_warnings() -> None:
    outcome = an_outcome(verdict_pb2.VERDICT_CONFLICT, verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS)
    (verdict,) = decided([a_packed("a", ACCEPTED, NO_KEY, WARNING)], outcome)
    assert [reason.field for reason in verdict.reasons] == ["conversion.value", "identifiers.phone"]


def test_orders_and_refunds_that_differ_in_one_call_are_each_about_their_own_amount() -> None:
    admitted = AdmittedEvent()
    admitted.event.adjustment.adjustment_id = "r-1"
    refund = Packed("a", ACCEPTED, [], bytes(16), bytes(8), NO_KEY, 1, admitted.SerializeToString())
    outcome = an_outcome(verdict_pb2.VERDICT_CONFLICT, verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS)
    answers = decided([a_packed("o"), refund, a_packed("p")], *[outcome] * 3)
    fields = [reason.field for one in answers for reason in one.reasons]
    assert fields == ["conversion.value", "adjustment.amount", "conversion.value"]


def test_an_undecided_event_says_when_to_come_back() -> None:
    outcome = an_outcome(verdict_pb2.VERDICT_UNDECIDED, verdict_pb2.REASON_CODE_LOG_FULL, 0, 7_000_000)
    (verdict,) = decided([a_packed()], outcome, retry=2.0)
    assert (verdict.retry_delay.seconds, verdict.first_accept_time.seconds) == (2, 7)


def test_a_very_long_id_is_echoed_in_part() -> None:
    assert len(decided([a_packed("x" * 100_000)], an_outcome(ACCEPTED))[0].event_id) == 256


def test_verdicts_and_warnings_about_accepted_events_are_counted() -> None:
    packed = [a_packed("a", ACCEPTED, NO_KEY, WARNING, WARNING), a_packed("b", ACCEPTED, NO_KEY, WARNING), a_packed()]
    outcomes = [an_outcome(ACCEPTED), an_outcome(verdict_pb2.VERDICT_DUPLICATE), an_outcome(ACCEPTED)]
    answers = verdicts.decided(packed, Outcomes(b"".join(outcomes), 0.0))
    assert answers.tally == {ACCEPTED: 2, verdict_pb2.VERDICT_DUPLICATE: 1}
    assert answers.warnings == 2


def test_valid_means_would_be_accepted() -> None:
    packed = [
        a_packed("a"),
        a_packed("b", verdict_pb2.VERDICT_QUARANTINED),
        a_packed("c", verdict_pb2.VERDICT_REJECTED),
    ]
    assert [one.verdict for one in read(verdicts.validated(packed))] == [
        verdict_pb2.VERDICT_VALID,
        verdict_pb2.VERDICT_QUARANTINED,
        verdict_pb2.VERDICT_REJECTED,
    ]


@pytest.mark.parametrize(
    "code",
    [
        verdict_pb2.REASON_CODE_MERGED_OBSERVATION,
        verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS,
        verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS,
        verdict_pb2.REASON_CODE_LOG_FULL,
        verdict_pb2.REASON_CODE_STORE_UNREACHABLE,
        verdict_pb2.REASON_CODE_ORDER_CONTENDED,
    ],
)
def test_every_code_of_dedup_says_something_to_people(code: verdict_pb2.ReasonCode.ValueType) -> None:
    assert dedup_reason(code).message
