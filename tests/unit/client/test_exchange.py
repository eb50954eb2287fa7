"""One call of `ingest` over its attempts."""

from __future__ import annotations

import random

import grpc
import pytest

from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_client import InvalidBatchError, NotAllowedError, OverdueError, RetryPolicy
from tributary_client.entry import Entry
from tributary_client.exchange import Exchange
from tributary_client.outcome import Answered, Outcome, failed

ACCEPTED, UNDECIDED = verdict_pb2.VERDICT_ACCEPTED, verdict_pb2.VERDICT_UNDECIDED
UNAVAILABLE = failed(grpc.StatusCode.UNAVAILABLE, "")


def an_exchange(*ids: str) -> Exchange:
    entries = [Entry(Event(event_id=event_id).SerializeToString()) for event_id in ids]
    retry = RetryPolicy(total_seconds=10, first_delay_seconds=1)
    return Exchange(entries, "", retry, random.Random(1), validate_only=False, backfill=False)


def told(**verdicts: int) -> Outcome:
    return Answered([EventVerdict(event_id=event_id, verdict=verdict) for event_id, verdict in verdicts.items()])


def ids_of(exchange: Exchange, now: float) -> list[str]:
    return [entry.event.event_id for entry in exchange.parcel(now).entries]


def verdicts_of(exchange: Exchange) -> list[tuple[str, int]]:
    return [(one.event_id, one.verdict) for one in exchange.future.result(0)]


def test_an_attempt_after_undecided_sends_only_what_waits() -> None:
    exchange = an_exchange("a", "b", "c")
    assert ids_of(exchange, 0) == ["a", "b", "c"]
    assert exchange.take(told(a=ACCEPTED, b=UNDECIDED, c=ACCEPTED), 0) is not None
    assert ids_of(exchange, 1) == ["b"]
    assert exchange.take(told(b=ACCEPTED), 1) is None
    assert verdicts_of(exchange) == [("a", ACCEPTED), ("b", ACCEPTED), ("c", ACCEPTED)]
    assert exchange.resent == 1


def test_an_attempt_after_a_failure_sends_everything_again() -> None:
    exchange = an_exchange("a", "b")
    exchange.parcel(0)
    due = exchange.take(failed(grpc.StatusCode.UNAVAILABLE, "", 3.0), 0)
    assert due is not None
    assert 3 <= due <= 4
    assert ids_of(exchange, due) == ["a", "b"]
    assert exchange.resent == 2


def test_no_answer_in_time_is_overdue() -> None:
    exchange = an_exchange("a")
    exchange.parcel(0)
    assert exchange.take(UNAVAILABLE, 10) is None
    with pytest.raises(OverdueError):
        exchange.future.result(0)


def test_what_is_undecided_when_the_time_is_up_says_so() -> None:
    exchange = an_exchange("a", "b")
    exchange.parcel(0)
    exchange.take(told(a=ACCEPTED, b=UNDECIDED), 0)
    exchange.parcel(1)
    assert exchange.take(UNAVAILABLE, 10) is None
    assert verdicts_of(exchange) == [("a", ACCEPTED), ("b", UNDECIDED)]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidBatchError),
        (grpc.StatusCode.UNAUTHENTICATED, NotAllowedError),
        (grpc.StatusCode.PERMISSION_DENIED, NotAllowedError),
    ],
)
def test_what_repeating_cannot_mend_is_said_at_once(code: grpc.StatusCode, error: type[Exception]) -> None:
    exchange = an_exchange("a")
    exchange.parcel(0)
    assert exchange.take(failed(code, ""), 0) is None
    with pytest.raises(error):
        exchange.future.result(0)
