"""Every event of a file gets exactly one verdict in the tally."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import pytest

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import (
    REASON_CODE_FIELD_MISSING,
    VERDICT_ACCEPTED,
    VERDICT_REJECTED,
    EventVerdict,
    Reason,
)
from tributary_cli.event_lines import EventLine, UnreadableLine
from tributary_cli.sending import Problem, Sender, Tally
from tributary_client import NotAllowedError, OverdueError


def _lines(count: int) -> list[EventLine]:
    return [EventLine(number, Event(event_id=f"e-{number}")) for number in range(1, count + 1)]


def _accept(events: Sequence[Event]) -> list[EventVerdict]:
    return [EventVerdict(event_id=event.event_id, verdict=VERDICT_ACCEPTED) for event in events]


def _send(
    lines: Sequence[EventLine | UnreadableLine], ingest=_accept, batch_size: int = 3, in_flight: int = 2
) -> Tally:
    return Sender(ingest, batch_size, in_flight).send(lines, lambda _: None)


def test_every_event_is_sent_once_in_batches_of_the_size_asked_for() -> None:
    batches: list[list[str]] = []

    def ingest(events: Sequence[Event]) -> list[EventVerdict]:
        batches.append([event.event_id for event in events])
        return _accept(events)

    assert _send(_lines(7), ingest).verdicts == {"accepted": 7}
    assert sorted(map(len, batches)) == [1, 3, 3]
    assert len({event_id for batch in batches for event_id in batch}) == 7


def test_large_events_make_smaller_batches() -> None:
    sizes: list[int] = []

    def ingest(events: Sequence[Event]) -> list[EventVerdict]:
        sizes.append(sum(event.ByteSize() for event in events))
        return _accept(events)

    large = [EventLine(number, Event(properties={"text": "x" * 1_000_000})) for number in range(1, 6)]
    assert _send(large, ingest, batch_size=1000).verdicts == {"accepted": 5}
    assert max(sizes) < 4 * 2**20


def test_an_unreadable_line_is_counted_and_stops_nothing() -> None:
    tally = _send([UnreadableLine(1, "x", "is no field of an event"), *_lines(2)])
    assert (tally.unreadable, tally.verdicts["accepted"], tally.is_all_taken) == (1, 2, False)
    assert tally.problems == [Problem(1, "", "unreadable", "x", "is no field of an event")]


def test_a_rejected_event_is_told_with_line_field_and_message() -> None:
    def ingest(events: Sequence[Event]) -> list[EventVerdict]:
        reason = Reason(code=REASON_CODE_FIELD_MISSING, field="conversion.name", message="Give it a name.")
        return [*_accept(events[:-1]), EventVerdict(event_id="e-2", verdict=VERDICT_REJECTED, reasons=[reason])]

    tally = _send(_lines(2), ingest)
    assert tally.problems == [Problem(2, "e-2", "rejected", "conversion.name", "Give it a name.")]
    assert not tally.is_all_taken


def test_a_batch_without_an_answer_is_undecided_and_the_others_stand() -> None:
    def ingest(events: Sequence[Event]) -> list[EventVerdict]:
        if events[0].event_id == "e-1":
            raise OverdueError("nobody answers", code=grpc.StatusCode.UNAVAILABLE)
        return _accept(events)

    tally = _send(_lines(5), ingest)
    assert tally.verdicts == {"undecided": 3, "accepted": 2}
    assert not tally.is_all_taken


def test_a_failure_that_cannot_pass_ends_the_sending() -> None:
    def ingest(events: Sequence[Event]) -> list[EventVerdict]:
        raise NotAllowedError("no such key", code=grpc.StatusCode.UNAUTHENTICATED)

    with pytest.raises(NotAllowedError):
        _send(_lines(5), ingest)


def test_progress_never_goes_back() -> None:
    told: list[int] = []
    Sender(_accept, 2, 3).send(_lines(9), told.append)
    assert told == sorted(told)
    assert told[-1] == 9


def test_problems_are_kept_up_to_a_thousand_and_counted_beyond() -> None:
    tally = _send([UnreadableLine(number, "", "") for number in range(1, 1_500)])
    assert (len(tally.problems), tally.unreadable) == (1_000, 1_499)
