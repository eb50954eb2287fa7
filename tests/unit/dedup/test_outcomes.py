"""Answers of the claim scripts become outcomes, one per event."""

from __future__ import annotations

import pytest

from tributary.event.v1 import verdict_pb2
from tributary_dedup import outcomes
from tributary_dedup.outcomes import CONTENDED, FIRST_ROUND, Astray, Outcome, Registered
from tributary_storage.redis.claim_layout import Kind
from tributary_storage.redis.claims import Decided, Undecided

NOW = 14_000_000 * 128_000_000 + 5
FIRST = (14_000_000 - 10) * 128_000_000
ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
QUARANTINED = verdict_pb2.VERDICT_QUARANTINED
CONFLICT = verdict_pb2.VERDICT_CONFLICT
MERGED = verdict_pb2.REASON_CODE_MERGED_OBSERVATION


def a_claim(kind: Kind) -> bytes:
    return ((14_000_000 - 10) % 65536).to_bytes(2) + b"abc" + bytes([kind << 6])


AN_ORDER = (14_000_000 - 10).to_bytes(3) + b"\1abc\0\0\0"


def test_events_alike_share_one_outcome() -> None:
    found = outcomes.of_step_a(Decided(NOW, b"AAAA", b""))
    assert found == [Outcome(ACCEPTED, NOW)] * 4
    assert len({id(outcome) for outcome in found}) == 1


def test_a_rejected_event_was_never_accepted() -> None:
    assert outcomes.of_step_a(Decided(NOW, b"R", b"")) == [Outcome(verdict_pb2.VERDICT_REJECTED)]


@pytest.mark.parametrize(
    ("kind", "first_verdict", "reason"),
    [
        (Kind.ACCEPTED, ACCEPTED, verdict_pb2.REASON_CODE_UNSPECIFIED),
        (Kind.QUARANTINED, QUARANTINED, verdict_pb2.REASON_CODE_UNSPECIFIED),
        (Kind.MERGED, ACCEPTED, MERGED),
    ],
)
def test_a_duplicate_tells_the_first_time_and_verdict(
    kind: Kind,
    first_verdict: verdict_pb2.Verdict.ValueType,
    reason: verdict_pb2.ReasonCode.ValueType,
) -> None:
    found = outcomes.of_step_a(Decided(NOW, b"ADA", a_claim(kind)))
    assert found[1] == Outcome(DUPLICATE, FIRST, first_verdict, reason)


def test_known_claims_are_read_in_order() -> None:
    answer = Decided(NOW, b"DoCdc", b"".join([a_claim(Kind.QUARANTINED), a_claim(Kind.ACCEPTED)] * 2))
    differs = Outcome(CONFLICT, FIRST, reason=verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS)
    duplicate = Outcome(DUPLICATE, FIRST, QUARANTINED)
    assert outcomes.of_step_a(answer) == [duplicate, FIRST_ROUND, differs, duplicate, differs]


def test_rounds_are_read_in_order() -> None:
    home = (8).to_bytes(5) + bytes([Kind.REGISTERED << 6 | 3])
    answer = Decided(NOW, b"nhmDu", (7).to_bytes(6) + home + (9).to_bytes(6) + a_claim(Kind.QUARANTINED))
    assert outcomes.of_step_a(answer) == [
        Registered(7),
        Astray(3, False, 8),
        Astray(-1, True, 9),
        Outcome(DUPLICATE, FIRST, QUARANTINED),
        CONTENDED,
    ]
    barred = outcomes.of_step_b(Decided(NOW, b"BUA", (7).to_bytes(6)), [None] * 3)
    assert barred == [Astray(-1, True, 7), CONTENDED, Outcome(ACCEPTED, NOW)]


def test_what_step_a_found_stands_and_what_step_b_found_is_read_in_order() -> None:
    before = Outcome(CONFLICT, FIRST, reason=verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS)
    answer = Decided(NOW, b"ACMDVQ", AN_ORDER + a_claim(Kind.ACCEPTED) + AN_ORDER)
    assert outcomes.of_step_b(answer, [None, before, None, None, None, None]) == [
        Outcome(ACCEPTED, NOW),
        before,
        Outcome(DUPLICATE, FIRST, ACCEPTED, MERGED),
        Outcome(DUPLICATE, FIRST, ACCEPTED),
        Outcome(CONFLICT, FIRST, reason=verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS),
        Outcome(QUARANTINED, NOW),
    ]


@pytest.mark.parametrize(
    ("is_full", "reason"),
    [(True, verdict_pb2.REASON_CODE_LOG_FULL), (False, verdict_pb2.REASON_CODE_STORE_UNREACHABLE)],
)
def test_an_undecided_event_says_why(is_full: bool, reason: verdict_pb2.ReasonCode.ValueType) -> None:
    outcome = outcomes.undecided(Undecided(is_full, "text"))
    assert (outcome.verdict, outcome.reason) == (verdict_pb2.VERDICT_UNDECIDED, reason)
