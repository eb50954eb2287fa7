"""The client against a server on real gRPC that fails in the ways a real one does."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.eventually import eventually, eventually_async
from tests.support.scripted_door import ScriptedDoor, a_failure, opened
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_client import (
    AsyncTributary,
    Batching,
    BufferFullError,
    Buffering,
    CallError,
    ClosedError,
    Decision,
    EventTooLargeError,
    InvalidBatchError,
    Loss,
    NotAllowedError,
    OverdueError,
    RetryPolicy,
    SpoolDamagedError,
    Spooling,
    TransportKind,
    Tributary,
    WhenFull,
)

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
REJECTED = verdict_pb2.VERDICT_REJECTED
UNDECIDED = verdict_pb2.VERDICT_UNDECIDED
VALID = verdict_pb2.VERDICT_VALID
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

QUICK = RetryPolicy(total_seconds=60, first_delay_seconds=0.01, max_delay_seconds=0.05, attempt_seconds=30)

by_both_ways = pytest.mark.parametrize("way", list(TransportKind), ids=lambda way: way.value)


def a_client(target: str, **options: Any) -> Tributary:
    return Tributary(target, **{"api_key": "k", "retry": QUICK, "batching": Batching(linger_seconds=0.01), **options})


def an_async_client(target: str, **options: Any) -> AsyncTributary:
    return AsyncTributary(
        target, **{"api_key": "k", "retry": QUICK, "batching": Batching(linger_seconds=0.01), **options}
    )


def put(client: Tributary, *ids: str) -> None:
    for event_id in ids:
        client.identify(event_id=event_id, visitor_id="v", customer_id="c")


def an_undecided(seconds: float) -> EventVerdict:
    verdict = EventVerdict(verdict=UNDECIDED)
    verdict.retry_delay.FromNanoseconds(round(seconds * 1e9))
    return verdict


# -- ingest -----------------------------------------------------------------------------------------------------------


def ask_blocking(target: str, **options: Any) -> list[int]:
    with a_client(target, traceparent=lambda: TRACEPARENT, **options) as tributary:
        return [int(one.verdict) for one in tributary.ingest([Event(event_id="a"), Event()])]


def ask_asyncio(target: str, **options: Any) -> list[int]:
    async def ask() -> list[int]:
        async with an_async_client(target, traceparent=lambda: TRACEPARENT, **options) as tributary:
            return [int(one.verdict) for one in await tributary.ingest([Event(event_id="a"), Event()])]

    return asyncio.run(ask())


Ask = Callable[..., list[int]]
by_both = pytest.mark.parametrize("ask", [ask_blocking, ask_asyncio], ids=["blocking", "asyncio"])


@by_both
@by_both_ways
def test_a_retry_carries_the_same_ids_the_key_and_the_trace(ask: Ask, way: TransportKind) -> None:
    door = ScriptedDoor()
    door.failures.extend([a_failure(UNAVAILABLE), a_failure(grpc.StatusCode.CANCELLED)])
    with opened(door) as target:
        assert ask(target, transport=way) == [ACCEPTED] * 2
    sent = [[event.event_id for event in batch.events] for batch in door.asked]
    assert len(sent) == 3
    assert sent[0] == sent[1] == sent[2]
    assert sent[0][1], "an event went out without an id"
    assert door.metadata[0]["authorization"] == "Bearer k"
    told = door.asked[0].traceparent if way is TransportKind.STREAM else door.metadata[0]["traceparent"]  # type: ignore[union-attr]
    assert told == TRACEPARENT


@by_both
def test_a_wrong_key_is_said_at_once(ask: Ask) -> None:
    door = ScriptedDoor()
    door.failures.append(a_failure(grpc.StatusCode.UNAUTHENTICATED))
    with opened(door) as target, pytest.raises(NotAllowedError):
        ask(target)
    assert len(door.asked) == 1


@by_both
def test_no_answer_in_time_is_overdue_and_undecided_is_an_answer(ask: Ask) -> None:
    short = RetryPolicy(total_seconds=0.3, first_delay_seconds=0.01)
    door = ScriptedDoor()
    door.refuses = lambda _: a_failure(UNAVAILABLE)
    with opened(door) as target, pytest.raises(OverdueError):
        ask(target, retry=short)
    door = ScriptedDoor()
    door.decides = lambda _: an_undecided(0)
    with opened(door) as target:
        assert ask(target, retry=short) == [UNDECIDED] * 2


def test_validate_only_and_backfill_are_passed_on() -> None:
    door = ScriptedDoor()
    with opened(door) as target, a_client(target) as client:
        client.ingest([Event()], validate_only=True)
        client.ingest([Event()], backfill=True)
    assert [(one.validate_only, one.backfill) for one in door.asked] == [(True, False), (False, True)]


async def test_a_call_whose_caller_has_left_is_not_repeated() -> None:
    door = ScriptedDoor()
    door.refuses = lambda _: a_failure(UNAVAILABLE, 0.05)
    with opened(door) as target:
        async with an_async_client(target) as client:
            call = asyncio.ensure_future(client.ingest([Event()]))
            await eventually_async(lambda: len(door.asked) > 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            count = len(door.asked)
            door.refuses = lambda _: None
            await client.ingest([Event(event_id="later")])
            assert len(door.asked) <= count + 2
    assert set(door.accepted) == {"later"}


# -- tracking ---------------------------------------------------------------------------------------------------------


@by_both_ways
def test_tracked_events_travel_together_and_each_verdict_is_told(way: TransportKind) -> None:
    door, told = ScriptedDoor(), []
    with opened(door) as target:
        with a_client(
            target, transport=way, on_verdict=told.append, batching=Batching(10, linger_seconds=0.05)
        ) as client:
            put(client, *(f"e-{number}" for number in range(25)))
            assert client.flush()
            counters = client.counters
        assert sorted(len(batch.events) for batch in door.asked) == [5, 10, 10]
    assert sorted(decision.verdict.event_id for decision in told) == sorted(door.accepted)
    assert all(decision.event.event_id == decision.verdict.event_id for decision in told)
    assert (counters.tracked, counters.accepted, counters.open, counters.in_memory, counters.sent) == (25, 25, 0, 0, 3)
    assert counters.bytes_in_memory == 0


def test_a_few_events_leave_when_they_have_waited_long_enough() -> None:
    door = ScriptedDoor()
    with opened(door) as target, a_client(target, batching=Batching(1000, linger_seconds=0.2)) as client:
        started = time.monotonic()
        put(client, "a", "b")
        eventually(lambda: len(door.accepted) == 2)
        assert time.monotonic() - started >= 0.2
        assert len(door.asked) == 1


async def test_asyncio_tracks_by_the_same_methods() -> None:
    door, told = ScriptedDoor(), []
    with opened(door) as target:
        async with an_async_client(target, on_verdict=told.append) as client:
            ids = [
                await client.track_touchpoint("click", visitor_id="v"),
                await client.track_conversion("purchase", order_id="1", value="1.50", currency="EUR", customer_id="c"),
                await client.refund("purchase", order_id="1", value=1, currency="EUR"),
                await client.restate("purchase", order_id="1", value=1, currency="EUR"),
                await client.retract("purchase", order_id="1"),
                await client.chargeback("purchase", order_id="1", value=1, currency="EUR"),
                await client.reverse("purchase", order_id="1", value=1, currency="EUR"),
                await client.identify(visitor_id="v", customer_id="c"),
                await client.change_consent(visitor_id="v", consent={"ad_storage": True}),
                await client.track(Event(event_id="own")),
            ]
            assert await client.flush()
    assert [event.event_id for event in door.events] == ids
    kinds = [event.WhichOneof("kind") for event in door.events]
    assert kinds == ["touchpoint", "conversion", *["adjustment"] * 5, "identify", "consent_change", None]
    assert {decision.verdict.verdict for decision in told} == {ACCEPTED}


def test_a_key_from_a_file_ends_with_its_line_and_what_no_key_holds_is_said_at_once() -> None:
    door = ScriptedDoor()
    with opened(door) as target, a_client(target, api_key="trb_a_b\n") as client:
        put(client, "a")
        assert client.flush()
    assert [one.event_id for one in door.events] == ["a"]
    for key in ("trb_a\nb", "trb_ä"):
        with pytest.raises(ValueError, match="api_key holds"):
            a_client("localhost:1", api_key=key)


def test_what_the_caller_does_with_an_event_later_changes_nothing() -> None:
    door = ScriptedDoor()
    with opened(door) as target, a_client(target) as client:
        event = Event(event_id="a", session_id="before")
        client.track(event)
        event.session_id = "after"
        client.flush()
    assert [one.session_id for one in door.events] == ["before"]


def test_only_an_event_of_this_machines_time_says_when_it_was_sent() -> None:
    door = ScriptedDoor()
    with opened(door) as target, a_client(target) as client:
        client.identify(event_id="ours", visitor_id="v")
        client.track(Event(event_id="theirs"))
        client.flush()
    assert {event.event_id: event.HasField("sent_time") for event in door.events} == {"ours": True, "theirs": False}


def test_a_batch_carries_the_trace_of_its_events() -> None:
    door = ScriptedDoor()
    with opened(door) as target, a_client(target) as client:
        client.identify(visitor_id="v", traceparent=TRACEPARENT)
        client.flush()
    assert door.metadata[0]["traceparent"] == TRACEPARENT


@by_both_ways
@pytest.mark.parametrize("traceparent", ["nonsense", "bad\nvalue", "\u00fc", "x" * 20_000])
def test_a_trace_that_is_none_holds_no_event_up(traceparent: str, way: TransportKind) -> None:
    door = ScriptedDoor()
    with opened(door) as target, a_client(target, transport=way) as client:
        client.identify(event_id="a", visitor_id="v", traceparent=traceparent)
        put(client, "b")
        assert client.flush(60)
        assert client.counters.failed == 0
    assert sorted(door.accepted) == ["a", "b"]


# -- what goes wrong --------------------------------------------------------------------------------------------------


@by_both_ways
def test_a_server_that_asks_to_be_left_alone_is(way: TransportKind) -> None:
    door, errors = ScriptedDoor(), []
    times: list[float] = []
    door.refuses = lambda _: times.append(time.monotonic())  # type: ignore[func-returns-value]
    door.failures.append(a_failure(grpc.StatusCode.RESOURCE_EXHAUSTED, 0.5))
    with opened(door) as target, a_client(target, transport=way, on_error=errors.append) as client:
        started = time.monotonic()
        put(client, "a")
        assert client.flush()
    assert times[0] - started >= 0.5
    assert [(type(error), error.code) for error in errors] == [(OverdueError, grpc.StatusCode.RESOURCE_EXHAUSTED)]
    assert client.counters.resent == 1
    assert door.accepted == {"a": 1}


@by_both_ways
def test_an_undecided_event_is_sent_again_alone_after_its_delay(way: TransportKind) -> None:
    door, told = ScriptedDoor(), []
    undecided = [an_undecided(0.3)]
    door.decides = lambda event: undecided.pop() if event.event_id == "b" and undecided else None
    with opened(door) as target, a_client(target, transport=way, on_verdict=told.append) as client:
        started = time.monotonic()
        put(client, "a", "b", "c")
        assert client.flush()
        assert time.monotonic() - started >= 0.3
    assert [[event.event_id for event in batch.events] for batch in door.asked] == [["a", "b", "c"], ["b"]]
    assert [decision.verdict.event_id for decision in told] == ["a", "c", "b"]
    assert client.counters.undecided == 1


def test_an_event_that_the_server_refuses_to_read_is_dropped_alone() -> None:
    door, lost = ScriptedDoor(), []
    door.refuses = lambda event: a_failure(grpc.StatusCode.INVALID_ARGUMENT) if event.event_id == "e-13" else None
    with opened(door) as target, a_client(target, on_drop=lost.append) as client:
        put(client, *(f"e-{number}" for number in range(20)))
        assert client.flush()
    assert len(door.accepted) == 19
    assert [(loss.event.event_id, type(loss.error)) for loss in lost] == [("e-13", InvalidBatchError)]
    assert client.counters.dropped == 1


def test_a_rejection_is_told_with_its_reason_and_its_event() -> None:
    door, told = ScriptedDoor(), []
    reason = verdict_pb2.Reason(code=verdict_pb2.REASON_CODE_CURRENCY_UNKNOWN, field="conversion.value.currency_code")
    door.decides = lambda _: EventVerdict(verdict=REJECTED, reasons=[reason])
    with opened(door) as target, a_client(target, on_verdict=told.append) as client:
        client.track_conversion("purchase", order_id="7", value=1, currency="EURO", customer_id="c")
        client.flush()
    (decision,) = told
    assert (decision.verdict.verdict, decision.verdict.reasons[0]) == (REJECTED, reason)
    assert decision.event.conversion.order_id == "7"


def test_without_a_callback_the_log_is_told_once_of_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    door = ScriptedDoor()
    reason = verdict_pb2.Reason(code=verdict_pb2.REASON_CODE_CURRENCY_UNKNOWN, message="Say EUR.")
    door.decides = lambda _: EventVerdict(verdict=REJECTED, reasons=[reason])
    with caplog.at_level(logging.WARNING), opened(door) as target, a_client(target) as client:
        put(client, *"abc")
        client.flush()
    (record,) = [one for one in caplog.records if one.name == "tributary_client"]
    assert "REJECTED" in record.getMessage()
    assert "CURRENCY_UNKNOWN" in record.getMessage()


@pytest.mark.parametrize("error", [KeyError("a bug of the application"), SystemExit(1), asyncio.CancelledError()])
def test_a_callback_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    def fail(_: Decision) -> None:
        raise error

    door = ScriptedDoor()
    with caplog.at_level(logging.CRITICAL), opened(door) as target, a_client(target, on_verdict=fail) as client:
        put(client, *"abc")
        assert client.flush()
        assert client.counters.callback_errors == 3
    assert len(door.accepted) == 3


@by_both_ways
def test_a_server_that_comes_later_gets_everything_once(way: TransportKind) -> None:
    door = ScriptedDoor()
    with opened(ScriptedDoor()) as target:
        port = int(target.rpartition(":")[2])
    with a_client(target, transport=way) as client:
        put(client, *(f"e-{number}" for number in range(50)))
        eventually(lambda: client.counters.failed > 1)
        with opened(door, port=port):
            assert client.flush()
    assert set(door.accepted.values()) == {1}
    assert len(door.accepted) == 50


@by_both_ways
def test_a_server_that_never_answers_is_given_up_and_asked_again(way: TransportKind) -> None:
    door = ScriptedDoor()
    door.open.clear()
    retry = RetryPolicy(attempt_seconds=0.5, first_delay_seconds=0.01)
    with opened(door) as target, a_client(target, transport=way, retry=retry) as client:
        put(client, "a")
        eventually(lambda: len(door.asked) > 1)
        door.open.set()
        assert client.flush()
    assert door.accepted == {"a": 1}
    assert client.counters.failed > 0


Begin = Callable[[], bool]
"""Asked after each event; true once it is time for all others."""


def track_blocking(target: str, ids: list[str], begin: Begin, **options: Any) -> bool:
    with a_client(target, **options) as client:
        for number in count():
            put(client, f"before-{number}")
            assert client.flush(timeout=60)
            if begin():
                break
        put(client, *ids)
        return client.flush(timeout=60)


def track_asyncio(target: str, ids: list[str], begin: Begin, **options: Any) -> bool:
    async def track() -> bool:
        async with an_async_client(target, **options) as client:
            for number in count():
                await client.identify(event_id=f"before-{number}", visitor_id="v", customer_id="c")
                assert await client.flush(timeout=60)
                if begin():
                    break
            for event_id in ids:
                await client.identify(event_id=event_id, visitor_id="v", customer_id="c")
            return await client.flush(timeout=60)

    return asyncio.run(track())


@pytest.mark.parametrize("track", [track_blocking, track_asyncio], ids=["blocking", "asyncio"])
def test_one_replica_that_hangs_holds_nothing_up_and_is_left_alone(track: Callable[..., bool]) -> None:
    doors = [ScriptedDoor() for _ in range(3)]
    hung = doors[0]
    ids = [f"e-{number}" for number in range(600)]

    def begin() -> bool:
        """Lets one hang when all are connected: where it was the only one yet, all would wait for it."""
        if not all(door.asked for door in doors):
            return False
        hung.open.clear()
        hung.asked.clear()
        return True

    with ExitStack() as opening:
        targets = [opening.enter_context(opened(door)) for door in doors]
        batching = Batching(events=1, linger_seconds=0)
        retry = RetryPolicy(attempt_seconds=60)  # nobody waits for a deadline
        assert track(f"ipv4:{','.join(targets)}", ids, begin, batching=batching, retry=retry)
        assert len(hung.asked) < len(ids) / 6, "a third would have gone there, and then again"
        assert set(ids) <= (doors[1].accepted + doors[2].accepted).keys()


@pytest.mark.parametrize("has_answered", [False, True], ids=["from the start", "after it has answered"])
def test_a_stream_to_a_replica_that_hangs_is_given_up_for_one_to_another(has_answered: bool) -> None:
    doors = [ScriptedDoor(), ScriptedDoor()]
    ids = [f"e-{number}" for number in range(20)]
    if not has_answered:
        for door in doors:
            door.open.clear()
    retry = RetryPolicy(attempt_seconds=60, first_delay_seconds=0.01)  # nobody waits for a deadline
    with ExitStack() as opening:
        target = f"ipv4:{','.join(opening.enter_context(opened(door)) for door in doors)}"
        with a_client(target, transport=TransportKind.STREAM, retry=retry) as client:
            put(client, "first")
            if has_answered:
                assert client.flush()
            eventually(lambda: any(door.asked for door in doors))
            hung, other = sorted(doors, key=lambda door: not door.asked)
            hung.open.clear()
            other.open.set()
            put(client, *ids)
            assert client.flush(timeout=60)
            assert client.counters.failed > 0
        hung.open.set()
    assert set(ids) <= other.accepted.keys()


@pytest.mark.parametrize("in_flight", [1, 4])
def test_where_all_calls_went_to_a_replica_that_hangs_they_go_on_to_another(in_flight: int) -> None:
    hung, other = ScriptedDoor(), ScriptedDoor()
    hung.open.clear()
    ids = [f"e-{number}" for number in range(20)]
    batching = Batching(events=1, linger_seconds=0, in_flight=in_flight)
    retry = RetryPolicy(attempt_seconds=600, first_delay_seconds=0.01)  # nobody waits for a deadline
    with opened(ScriptedDoor()) as freed:
        port = int(freed.rpartition(":")[2])
    with opened(hung) as target, a_client(f"ipv4:{target},{freed}", batching=batching, retry=retry) as client:
        put(client, *ids)
        eventually(lambda: len(hung.asked) >= in_flight)
        with opened(other, port=port):
            assert client.flush(timeout=60)
        assert client.counters.failed >= in_flight
        hung.open.set()
    assert set(ids) == other.accepted.keys()
    assert client.counters.accepted == len(ids)


def test_batches_under_way_are_bounded() -> None:
    door = ScriptedDoor()
    door.open.clear()
    with opened(door) as target, a_client(target, batching=Batching(2, in_flight=3)) as client:
        put(client, *(f"e-{number}" for number in range(40)))
        eventually(lambda: len(door.asked) == 3)
        assert client.counters.sent == 3
        door.open.set()
        assert client.flush()
    assert len(door.accepted) == 40


def test_a_stream_has_its_time_and_then_another_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tributary_client.stream_transport.LIFE_SECONDS", 0.1)
    door = ScriptedDoor()
    with opened(door) as target, a_client(target, transport=TransportKind.STREAM) as client:
        put(client, "a")
        assert client.flush()
        begun = time.monotonic()
        eventually(lambda: time.monotonic() - begun > 0.1)
        put(client, "b")
        assert client.flush()
        assert client.counters.failed == 0
    assert len(door.metadata) == 2
    assert door.accepted == {"a": 1, "b": 1}


def test_where_nobody_knows_streams_calls_are_used() -> None:
    class OldDoor(ScriptedDoor):
        def StreamEvents(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    door = OldDoor()
    with opened(door) as target, a_client(target, transport=TransportKind.STREAM) as client:
        put(client, *(f"e-{number}" for number in range(30)))
        assert client.flush()
        put(client, "later")
        assert client.flush()
        assert client.counters.failed == 1
    assert len(door.accepted) == 31


def test_a_key_that_is_refused_for_a_while_costs_no_event() -> None:
    door, lost, errors = ScriptedDoor(), [], []
    door.failures.extend([a_failure(grpc.StatusCode.UNAUTHENTICATED), a_failure(grpc.StatusCode.PERMISSION_DENIED)])
    with opened(door) as target, a_client(target, on_drop=lost.append, on_error=errors.append) as client:
        put(client, *"abc")
        assert client.flush()
    assert (set(door.accepted), lost) == (set("abc"), [])
    assert [type(error) for error in errors] == [NotAllowedError] * 2


# -- no room ----------------------------------------------------------------------------------------------------------

FULL = Buffering(max_events=3, block_seconds=0.2)


def test_a_caller_waits_for_room_and_goes_on_when_there_is_some() -> None:
    door = ScriptedDoor()
    door.open.clear()
    with opened(door) as target, a_client(target, buffering=Buffering(max_events=3, block_seconds=20)) as client:
        put(client, *"abc")
        waiting = threading.Thread(target=put, args=(client, "d"))
        waiting.start()
        eventually(lambda: len(door.asked) >= 1)
        assert waiting.is_alive()
        door.open.set()
        waiting.join(60)
        assert not waiting.is_alive()
        assert client.flush()
    assert set(door.accepted) == set("abcd")


def test_a_caller_that_waited_in_vain_is_told_and_the_event_is_not_taken() -> None:
    door = ScriptedDoor()
    door.open.clear()
    with opened(door) as target, a_client(target, buffering=FULL) as client:
        put(client, *"abc")
        with pytest.raises(BufferFullError):
            put(client, "d")
        assert client.counters.tracked == 3
        door.open.set()
    assert set(door.accepted) == set("abc")


def test_bytes_are_bounded_too() -> None:
    door = ScriptedDoor()
    door.open.clear()
    with opened(door) as target, a_client(target, buffering=Buffering(max_bytes=2500, block_seconds=0)) as client:
        for _ in range(2):
            client.identify(visitor_id="v", properties={"x": "y" * 1000})
        with pytest.raises(BufferFullError):
            client.identify(visitor_id="v", properties={"x": "y" * 1000})
        assert client.counters.bytes_in_memory <= 2500
        door.open.set()


def test_what_there_is_no_room_for_may_be_dropped_and_told() -> None:
    door, lost = ScriptedDoor(), []
    door.open.clear()
    buffering = Buffering(max_events=3, when_full=WhenFull.DROP)
    with opened(door) as target, a_client(target, buffering=buffering, on_drop=lost.append) as client:
        put(client, *"abcde")
        assert [(loss.event.event_id, type(loss.error)) for loss in lost] == [
            ("d", BufferFullError),
            ("e", BufferFullError),
        ]
        door.open.set()
        assert client.flush()
        assert (client.counters.tracked, client.counters.dropped) == (3, 2)
    assert set(door.accepted) == set("abc")


@pytest.mark.parametrize(
    "buffering",
    [
        pytest.param(Buffering(max_events=3, when_full=WhenFull.DROP), id="drop"),
        pytest.param(Buffering(max_events=3, block_seconds=0), id="block for no time"),
    ],
)
def test_what_is_not_taken_costs_no_memory_while_nobody_answers(buffering: Buffering) -> None:
    door, lost = ScriptedDoor(), 0
    door.open.clear()

    def forget(_loss: Loss) -> None:
        nonlocal lost
        lost += 1

    def put_in_vain(times: int) -> int:
        """Returns how much more is held afterwards."""
        before = len(gc.get_objects())
        for _ in range(times):
            with suppress(BufferFullError):
                put(client, "x")
        gc.collect()
        return len(gc.get_objects()) - before

    with opened(door) as target, a_client(target, buffering=buffering, on_drop=forget) as client:
        put(client, *"abc")
        eventually(lambda: len(door.asked) >= 1)
        put_in_vain(10)
        assert put_in_vain(2_000) < 1_000
        door.open.set()
    assert lost in (0, 2_010)


async def test_asyncio_with_a_spool_that_waits_for_the_disk_takes_everything(tmp_path: Path) -> None:
    door = ScriptedDoor()
    with opened(door) as target:
        async with an_async_client(target, spool=Spooling(tmp_path, fsync=True)) as client:
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(client.identify(event_id=f"e-{number}", visitor_id="v"))
            assert await client.flush()
    assert len(door.accepted) == 50


async def test_asyncio_does_not_refuse_what_the_disk_takes_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, refused_once = ScriptedDoor(), []

    with opened(door) as target:
        spool, buffering = Spooling(tmp_path, fsync=True), Buffering(block_seconds=0.05)
        async with an_async_client(target, spool=spool, buffering=buffering) as client:
            offer = client._engine.offer

            def as_by_a_slow_disk(entry: Any, *, waits: bool = True) -> Any:
                if not refused_once:
                    refused_once.append(entry)
                    room: Future[None] = Future()
                    room.set_result(None)
                    return room
                time.sleep(0.2)
                return offer(entry, waits=waits)

            monkeypatch.setattr(client._engine, "offer", as_by_a_slow_disk)
            await client.identify(event_id="a", visitor_id="v")
            assert await client.flush()
    assert list(door.accepted) == ["a"]


async def test_asyncio_waits_for_room_without_blocking_the_loop() -> None:
    door = ScriptedDoor()
    door.open.clear()
    with opened(door) as target:
        async with an_async_client(target, buffering=Buffering(max_events=1, block_seconds=20)) as client:
            await client.identify(event_id="a", visitor_id="v")
            second = asyncio.ensure_future(client.identify(event_id="b", visitor_id="v"))
            await eventually_async(lambda: len(door.asked) == 1)
            assert not second.done()
            door.open.set()
            assert await second == "b"
            assert await client.flush()
    assert set(door.accepted) == {"a", "b"}


@pytest.mark.parametrize("when_full", list(WhenFull))
async def test_asyncio_has_the_same_policies(when_full: WhenFull) -> None:
    door, lost = ScriptedDoor(), []
    door.open.clear()
    buffering = Buffering(max_events=1, when_full=when_full, block_seconds=0.1)
    with opened(door) as target:
        async with an_async_client(target, buffering=buffering, on_drop=lost.append) as client:
            await client.identify(event_id="a", visitor_id="v")
            if when_full is WhenFull.BLOCK:
                with pytest.raises(BufferFullError):
                    await client.identify(event_id="b", visitor_id="v")
            else:
                assert await client.identify(event_id="b", visitor_id="v") == "b"
            door.open.set()
    assert [loss.event.event_id for loss in lost] == (["b"] if when_full is WhenFull.DROP else [])


def test_an_event_larger_than_a_batch_is_refused() -> None:
    with a_client("127.0.0.1:1", batching=Batching(bytes=100)) as client, pytest.raises(EventTooLargeError):
        client.identify(visitor_id="v" * 200)


# -- the end ----------------------------------------------------------------------------------------------------------


@by_both_ways
def test_closing_sends_what_waits(way: TransportKind) -> None:
    door = ScriptedDoor()
    with opened(door) as target:
        with a_client(target, transport=way, batching=Batching(linger_seconds=60)) as client:
            put(client, *"abc")
        assert set(door.accepted) == set("abc")
        client.close()
        with pytest.raises(ClosedError):
            put(client, "d")
        with pytest.raises(ClosedError):
            client.ingest([Event()])


def test_what_cannot_be_sent_before_closing_is_told_as_lost() -> None:
    lost: list[Loss] = []
    door = ScriptedDoor()
    door.open.clear()
    with opened(door) as target:
        client = a_client(target, on_drop=lost.append, batching=Batching(1, in_flight=1, linger_seconds=0))
        put(client, *"abc")
        client.close(timeout=0.1)
        door.open.set()
    assert sorted(loss.event.event_id for loss in lost) == ["a", "b", "c"]
    assert {type(loss.error) for loss in lost} == {ClosedError}
    assert (client.counters.dropped, client.counters.open, client.counters.in_memory) == (3, 0, 0)


def test_a_call_that_is_under_way_when_the_client_is_closed_is_told() -> None:
    door, errors = ScriptedDoor(), []
    door.open.clear()

    def ask(client: Tributary) -> None:
        try:
            client.ingest([Event()])
        except (ClosedError, CallError) as error:
            errors.append(error)

    with opened(door) as target:
        client = a_client(target)
        asking = threading.Thread(target=ask, args=(client,))
        asking.start()
        eventually(lambda: len(door.asked) == 1)
        client.close(timeout=0)
        asking.join(60)
        door.open.set()
    assert [type(error) for error in errors] == [ClosedError]


@by_both_ways
def test_a_closed_client_leaves_no_thread(way: TransportKind) -> None:
    with opened(ScriptedDoor()) as target, a_client(target, transport=way) as client:
        put(client, "a")
        client.flush()
    eventually(lambda: not [one.name for one in threading.enumerate() if one.name.startswith("tributary")])


def test_flush_says_whether_it_was_in_time() -> None:
    door = ScriptedDoor()
    door.open.clear()
    with opened(door) as target, a_client(target) as client:
        put(client, "a")
        assert not client.flush(0.05)
        door.open.set()
        assert client.flush()


def test_flush_does_not_wait_for_what_comes_later() -> None:
    door = ScriptedDoor()
    stop = threading.Event()
    with opened(door) as target, a_client(target) as client:

        def go_on() -> None:
            while not stop.is_set():
                put(client, *(f"{threading.get_ident()}-{time.monotonic_ns()}" for _ in range(5)))
                stop.wait(0.001)

        others = threading.Thread(target=go_on)
        others.start()
        put(client, "mine")
        assert client.flush(60)
        assert "mine" in door.accepted
        stop.set()
        others.join()


def test_many_threads_lose_nothing_and_send_nothing_twice() -> None:
    door = ScriptedDoor()
    buffering = Buffering(max_events=200, block_seconds=30)
    with opened(door) as target, a_client(target, buffering=buffering, batching=Batching(20)) as client:
        threads = [
            threading.Thread(target=put, args=(client, *(f"{one}-{number}" for number in range(300))))
            for one in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert client.flush()
        assert client.counters.accepted == 2400
    assert len(door.accepted) == 2400
    assert len(door.events) == 2400


def test_flushing_a_client_that_is_closed_or_was_never_used_waits_for_nothing() -> None:
    with a_client("127.0.0.1:1") as client:
        assert client.flush(0)
    assert client.flush(0)


def test_a_callback_may_track_and_is_not_held_up() -> None:
    door, told = ScriptedDoor(), []

    def follow(decision: Decision) -> None:
        told.append(decision.verdict.event_id)
        if len(told) == 1:
            put(client, "b", "c")
        elif len(told) == 2:
            with pytest.raises(BufferFullError):
                put(client, "d", "e", "f", "g")

    buffering = Buffering(max_events=3, block_seconds=60)
    with opened(door) as target, a_client(target, buffering=buffering, on_verdict=follow) as client:
        put(client, "a")
        eventually(lambda: len(told) >= 4)
        assert client.counters.callback_errors == 0


def test_a_callback_cannot_wait_for_verdicts_and_is_told_so() -> None:
    door, told = ScriptedDoor(), []

    def ask(decision: Decision) -> None:
        with pytest.raises(RuntimeError, match="callback"):
            client.ingest([decision.event])
        told.append(decision)

    with opened(door) as target, a_client(target, on_verdict=ask) as client:
        put(client, "a")
        assert client.flush(60)
    assert len(told) == 1


def test_a_callback_may_close_the_client() -> None:
    door = ScriptedDoor()
    with opened(door) as target:
        client = a_client(target, on_verdict=lambda _: client.close())
        put(client, "a")
        eventually(lambda: door.accepted)
        client.close()
    assert client.counters.open == 0


# -- with a spool -----------------------------------------------------------------------------------------------------


def test_with_a_spool_what_was_not_sent_is_sent_by_the_next_client(tmp_path: Path) -> None:
    lost: list[Loss] = []
    spool = Spooling(tmp_path)
    with opened(ScriptedDoor()) as target:
        port = int(target.rpartition(":")[2])
    client = a_client(target, spool=spool, on_drop=lost.append)
    put(client, *(f"e-{number}" for number in range(20)))
    client.close(timeout=0.1)
    assert lost == [], "it is not lost"
    door = ScriptedDoor()
    with opened(door, port=port), a_client(target, spool=spool) as client:
        put(client, "new")
        assert client.flush()
    assert door.accepted == {"new": 1, **{f"e-{number}": 1 for number in range(20)}}
    assert list(tmp_path.glob("lane-*/*.events")) == []


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "logged"])
def test_with_a_spool_what_the_disk_did_not_keep_is_told_and_the_rest_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_told: bool
) -> None:
    lost: list[Loss] = []
    spool, door = Spooling(tmp_path), ScriptedDoor()
    with opened(ScriptedDoor()) as nowhere:
        pass
    client = a_client(nowhere, spool=spool)
    put(client, "e-1", "e-2", "e-3")
    client.close(timeout=0.1)
    (path,) = tmp_path.glob("lane-*/*.events")
    path.write_bytes(path.read_bytes().replace(b"e-2", b"e/2"))
    with opened(door) as target, a_client(target, spool=spool, on_drop=lost.append if is_told else None) as client:
        put(client, "e-4")
        assert client.flush()
        assert (client.counters.unreadable, client.counters.dropped, client.counters.open) == (1, 0, 0)
    assert sorted(door.accepted) == ["e-1", "e-3", "e-4"]
    (kept,) = tmp_path.glob("lane-*/*.damaged")
    errors = [loss.error for loss in lost]
    assert [
        (type(error), getattr(error, "path", None), loss.body) for error, loss in zip(errors, lost, strict=True)
    ] == [(SpoolDamagedError, kept, b"")] * is_told
    assert (str(kept) in caplog.text) is not is_told


def test_with_a_spool_more_may_wait_than_memory_holds(tmp_path: Path) -> None:
    door = ScriptedDoor()
    door.open.clear()
    buffering = Buffering(max_events=10, block_seconds=0)
    batching = Batching(5, linger_seconds=0.01)
    with (
        opened(door) as target,
        a_client(target, spool=Spooling(tmp_path), buffering=buffering, batching=batching) as client,
    ):
        put(client, *(f"e-{number:03}" for number in range(200)))
        assert client.counters.in_memory <= 10
        assert client.counters.open == 200
        door.open.set()
        assert client.flush()
        assert client.counters.in_memory == 0
    assert set(door.accepted.values()) == {1}
    assert len(door.accepted) == 200


def test_a_full_spool_holds_its_callers_up(tmp_path: Path) -> None:
    door = ScriptedDoor()
    door.open.clear()
    spool = Spooling(tmp_path, max_bytes=2_000, segment_bytes=500)
    with opened(door) as target, a_client(target, spool=spool, buffering=Buffering(block_seconds=0)) as client:
        with pytest.raises(BufferFullError):
            put(client, *(f"e-{number}" for number in range(1000)))
        taken = client.counters.tracked
        assert client.counters.spool_bytes <= 2_000
        door.open.set()
        assert client.flush()
        put(client, "again")
        assert client.flush()
    assert len(door.accepted) == taken + 1
