"""Every event gets its verdict, in request order, with reasons that say what to do."""

from __future__ import annotations

import pytest

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.dedup_service_pb2 import AdmitOutcome
from tributary.event.v1 import verdict_pb2
from tributary_domain.business_keys import NO_KEY, BusinessKey
from tributary_domain.reasons import Reason, ReasonCode
from tributary_ingestion.intake import Packed
from tributary_ingestion.reasons import dedup_reason
from tributary_ingestion.verdicts import decided, validated

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
WARNING = Reason(ReasonCode.PHONE_UNREADABLE, "identifiers.phone", "ignored")


def a_packed(
    event_id: str = "e", verdict: verdict_pb2.Verdict.ValueType = ACCEPTED, key: BusinessKey = NO_KEY, *reasons: Reason
) -> Packed:
    return Packed(event_id, verdict, list(reasons), bytes(16), bytes(8), key, 1, b"")


def test_verdicts_come_in_request_order() -> None:
    packed = [a_packed("a"), a_packed("b")]
    outcomes = [AdmitOutcome(verdict=ACCEPTED), AdmitOutcome(verdict=verdict_pb2.VERDICT_DUPLICATE)]
    assert [(one.event_id, one.verdict) for one in decided(packed, outcomes)] == [
        ("a", ACCEPTED),
        ("b", verdict_pb2.VERDICT_DUPLICATE),
    ]


def test_a_conversion_is_named() -> None:
    packed = a_packed("a", ACCEPTED, BusinessKey(b"", "c1:7", b""))
    assert decided([packed], [AdmitOutcome(verdict=ACCEPTED)])[0].conversion_id == "c1:7"


def test_what_dedup_says_comes_before_warnings() -> None:
    outcome = AdmitOutcome(
        verdict=verdict_pb2.VERDICT_CONFLICT, reason_code=verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS
    )
    verdict = decided([a_packed("a", ACCEPTED, NO_KEY, WARNING)], [outcome])[0]
    assert [reason.field for reason in verdict.reasons] == ["conversion.value", "identifiers.phone"]


def test_a_refund_stated_twice_with_two_amounts_is_about_its_amount() -> None:
    admitted = AdmittedEvent()
    admitted.event.adjustment.adjustment_id = "r-1"
    packed = Packed("a", ACCEPTED, [], bytes(16), bytes(8), NO_KEY, 1, admitted.SerializeToString())
    outcome = AdmitOutcome(
        verdict=verdict_pb2.VERDICT_CONFLICT, reason_code=verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS
    )
    assert [reason.field for reason in decided([packed], [outcome])[0].reasons] == ["adjustment.amount"]


def test_an_undecided_event_says_when_to_come_back() -> None:
    outcome = AdmitOutcome(verdict=verdict_pb2.VERDICT_UNDECIDED, reason_code=verdict_pb2.REASON_CODE_LOG_FULL)
    outcome.retry_delay.FromSeconds(2)
    outcome.first_accept_time.FromSeconds(7)
    verdict = decided([a_packed()], [outcome])[0]
    assert (verdict.retry_delay.seconds, verdict.first_accept_time.seconds) == (2, 7)


def test_a_very_long_id_is_echoed_in_part() -> None:
    assert len(decided([a_packed("x" * 100_000)], [AdmitOutcome(verdict=ACCEPTED)])[0].event_id) == 256


def test_valid_means_would_be_accepted() -> None:
    packed = [
        a_packed("a"),
        a_packed("b", verdict_pb2.VERDICT_QUARANTINED),
        a_packed("c", verdict_pb2.VERDICT_REJECTED),
    ]
    assert [one.verdict for one in validated(packed)] == [
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
    ],
)
def test_every_code_of_dedup_says_something_to_people(code: verdict_pb2.ReasonCode.ValueType) -> None:
    assert dedup_reason(code).message
