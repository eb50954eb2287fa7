"""A call's state over its attempts."""

from __future__ import annotations

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import (
    VERDICT_ACCEPTED,
    VERDICT_DUPLICATE,
    VERDICT_UNDECIDED,
    EventVerdict,
    Verdict,
)
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsResponse
from tributary_client.batch import Batch


def a_batch(*ids: str) -> Batch:
    return Batch([Event(event_id=one) for one in ids], validate_only=False, backfill=False)


def an_answer(*verdicts: Verdict.ValueType, retry_seconds: int = 0) -> IngestEventsResponse:
    answer = IngestEventsResponse(verdicts=[EventVerdict(verdict=one) for one in verdicts])
    for verdict in answer.verdicts:
        if verdict.verdict == VERDICT_UNDECIDED:
            verdict.retry_delay.seconds = retry_seconds
    return answer


def test_an_attempt_after_undecided_sends_only_what_waits_and_keeps_the_order_of_verdicts() -> None:
    batch = a_batch("a", "b", "c")
    batch.request()
    batch.take(an_answer(VERDICT_ACCEPTED, VERDICT_UNDECIDED, VERDICT_DUPLICATE, retry_seconds=2))

    assert batch.retry_after_seconds == 2
    assert [event.event_id for event in batch.request().events] == ["b"]

    batch.take(an_answer(VERDICT_ACCEPTED))
    assert batch.waiting == []
    assert [verdict.verdict for verdict in batch.verdicts()] == [VERDICT_ACCEPTED, VERDICT_ACCEPTED, VERDICT_DUPLICATE]


def test_what_was_sent_again_is_counted_because_a_lost_reply_turns_accepted_into_duplicate() -> None:
    batch = a_batch("a", "b")
    assert [len(batch.request().events), batch.resent_events] == [2, 0]
    assert [len(batch.request().events), batch.resent_events] == [2, 2]


def test_an_event_without_an_id_keeps_the_one_it_gets_over_all_attempts() -> None:
    event = Event()
    batch = Batch([event], validate_only=False, backfill=False)
    first, second = batch.request().events[0].event_id, batch.request().events[0].event_id
    assert first == second != ""
    assert event.event_id == "", "the caller's message was changed"


def test_what_nobody_answered_is_undecided() -> None:
    batch = a_batch("a")
    assert not batch.decided_any
    assert [(one.event_id, one.verdict) for one in batch.verdicts()] == [("a", VERDICT_UNDECIDED)]
