"""Which events travel together, when, and what happens to those that come back."""

from __future__ import annotations

import random
from math import inf

import grpc
import pytest

from tributary.event.v1 import verdict_pb2
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_client import Batching, RetryPolicy
from tributary_client.dispatch import Dispatcher, Parcel
from tributary_client.entry import Entry
from tributary_client.outcome import Answered, failed, overtaken

ACCEPTED, UNDECIDED = verdict_pb2.VERDICT_ACCEPTED, verdict_pb2.VERDICT_UNDECIDED


class Most(random.Random):
    """Draws the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        return b


def a_dispatcher(**batching: float) -> Dispatcher:
    options = {"events": 3, "bytes": 1000, "linger_seconds": 1.0, "in_flight": 2, **batching}
    return Dispatcher(Batching(**options), RetryPolicy(first_delay_seconds=1, max_delay_seconds=8), Most())  # type: ignore[arg-type]


def put(dispatcher: Dispatcher, *names: str, now: float = 0.0) -> None:
    for name in names:
        dispatcher.add(Entry(name.encode()), now)


def names(parcel: Parcel | None) -> list[str]:
    assert parcel is not None
    return [entry.body.decode() for entry in parcel.entries]


def sent(dispatcher: Dispatcher, now: float, *, hurry: bool = False) -> Parcel:
    parcel = dispatcher.next_parcel(now, hurry=hurry)
    assert parcel is not None
    return parcel


def answers(parcel: Parcel, *verdicts: int, delay: float = 0.0) -> Answered:
    told = [EventVerdict(verdict=verdict) for verdict in verdicts or [ACCEPTED] * len(parcel.entries)]
    for verdict in told:
        if verdict.verdict == UNDECIDED:
            verdict.retry_delay.FromMilliseconds(int(delay * 1000))
    return Answered(told)


UNAVAILABLE = failed(grpc.StatusCode.UNAVAILABLE, "")


def test_a_full_parcel_leaves_at_once_and_a_smaller_one_when_it_has_waited() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, *"abcd")
    assert names(dispatcher.next_parcel(0.0)) == ["a", "b", "c"]
    assert dispatcher.next_parcel(0.9) is None
    assert dispatcher.next_time() == 1.0
    assert names(dispatcher.next_parcel(1.0)) == ["d"]


def test_who_is_in_a_hurry_does_not_wait_for_more() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, "a")
    assert names(dispatcher.next_parcel(0.0, hurry=True)) == ["a"]


def test_a_parcel_is_bounded_by_its_bytes_and_takes_one_event_of_any_size() -> None:
    dispatcher = a_dispatcher(bytes=5)
    put(dispatcher, "aaa", "bbb", "cccccccc")
    assert [names(dispatcher.next_parcel(0.0)) for _ in range(2)] == [["aaa"], ["bbb"]]
    dispatcher = a_dispatcher(bytes=5)
    put(dispatcher, "cccccccc")
    assert names(dispatcher.next_parcel(0.0)) == ["cccccccc"]


def test_no_more_parcels_are_under_way_than_allowed() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, *"abcdefghi")
    first = sent(dispatcher, 0.0)
    assert dispatcher.next_parcel(0.0) is not None
    assert dispatcher.next_parcel(0.0) is None
    assert dispatcher.next_time() == inf
    dispatcher.take(first, answers(first), 0.0)
    assert names(dispatcher.next_parcel(0.0)) == ["g", "h", "i"]


def test_decided_events_are_over_and_each_undecided_one_waits_for_its_own_delay() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, *"abc")
    parcel = sent(dispatcher, 0.0)
    settled = dispatcher.take(parcel, answers(parcel, ACCEPTED, UNDECIDED, ACCEPTED, delay=5), 10.0)
    assert [entry.body for entry, _ in settled.decided] == [b"a", b"c"]
    assert (settled.undecided, dispatcher.waiting) == (1, 1)
    assert dispatcher.next_time() == 16.0  # 5 asked for, 1 of jitter
    assert dispatcher.next_parcel(15.9) is None
    assert names(dispatcher.next_parcel(16.0)) == ["b"]
    assert dispatcher.resent == 1


def test_events_that_were_undecided_together_are_sent_again_together() -> None:
    dispatcher = Dispatcher(Batching(linger_seconds=0.2), RetryPolicy(), random.Random(7))
    put(dispatcher, *map(str, range(1_000)))
    parcels = [sent(dispatcher, 0.0) for _ in range(2)]
    for at, parcel in enumerate(parcels):
        told = [UNDECIDED if number % 2 else ACCEPTED for number in range(500)]
        dispatcher.take(parcel, answers(parcel, *told, delay=1), at * 0.01)
    again: list[int] = []
    while dispatcher.waiting or dispatcher.ready:
        parcel = sent(dispatcher, dispatcher.next_time())
        dispatcher.take(parcel, answers(parcel), dispatcher.next_time())
        again.append(len(parcel.entries))
    assert again == [250, 250]


def test_undecided_events_hold_up_no_others() -> None:
    dispatcher = a_dispatcher(in_flight=1)
    put(dispatcher, *"abc")
    parcel = sent(dispatcher, 0.0)
    dispatcher.take(parcel, answers(parcel, UNDECIDED, UNDECIDED, UNDECIDED, delay=60), 0.0)
    put(dispatcher, *"def")
    assert names(dispatcher.next_parcel(0.0)) == ["d", "e", "f"]


def test_after_a_failure_everything_waits_and_then_one_parcel_finds_out() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, *"abcdef")
    parcel = sent(dispatcher, 0.0)
    dispatcher.take(parcel, failed(grpc.StatusCode.UNAVAILABLE, "", 4.0), 0.0)
    assert dispatcher.next_parcel(4.9) is None
    assert dispatcher.next_time() == 5.0
    again = sent(dispatcher, 5.0)
    assert names(again) == ["a", "b", "c"], "what has waited goes first"
    assert dispatcher.next_parcel(5.0) is None, "the way may still be closed"
    dispatcher.take(again, answers(again), 5.0)
    assert names(dispatcher.next_parcel(5.0)) == ["d", "e", "f"]


def test_a_parcel_that_others_have_overtaken_goes_again_at_once_and_holds_up_no_others() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, *"abcdefghi")
    hung, other = sent(dispatcher, 0), sent(dispatcher, 0)
    dispatcher.take(hung, overtaken(), 1)
    assert names(sent(dispatcher, 1)) == [*"abc"]
    dispatcher.take(other, answers(other), 1)
    assert names(sent(dispatcher, 1)) == [*"ghi"], "two are under way, as ever"
    assert dispatcher.resent == 3


def test_pauses_grow_with_failures_in_a_row_and_parcels_that_fail_together_count_once() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, *"abcdef")
    both = [sent(dispatcher, 0.0), sent(dispatcher, 0.0)]
    for parcel in both:
        dispatcher.take(parcel, UNAVAILABLE, 0.0)
    assert dispatcher.next_time() == 1.0
    for now, due in ((1.0, 3.0), (3.0, 7.0), (7.0, 15.0), (15.0, 23.0)):
        dispatcher.take(sent(dispatcher, now), UNAVAILABLE, now)
        assert dispatcher.next_time() == due


def test_a_refused_parcel_is_halved_until_it_is_known_which_event_is_refused() -> None:
    dispatcher = a_dispatcher(events=4, in_flight=1)
    put(dispatcher, *"abcd")
    refused, decided = [], []
    while (parcel := dispatcher.next_parcel(0.0, hurry=True)) is not None:
        is_bad = "c" in names(parcel)
        outcome = failed(grpc.StatusCode.INVALID_ARGUMENT, "") if is_bad else answers(parcel)
        settled = dispatcher.take(parcel, outcome, 0.0)
        refused += [entry.body for entry, _ in settled.refused]
        decided += [entry.body for entry, _ in settled.decided]
    assert (refused, sorted(decided)) == ([b"c"], [b"a", b"b", b"d"])


def test_an_event_that_the_server_fails_over_is_kept_and_holds_up_no_others() -> None:
    dispatcher = a_dispatcher(events=4, in_flight=1)
    put(dispatcher, *"abcd")
    now, decided = 0.0, set()
    while len(decided) < 3:
        now = max(now, dispatcher.next_time())
        parcel = sent(dispatcher, now, hurry=True)
        is_bad = "c" in names(parcel)
        outcome = failed(grpc.StatusCode.INTERNAL, "") if is_bad else answers(parcel)
        settled = dispatcher.take(parcel, outcome, now)
        assert settled.refused == []
        decided |= {entry.body for entry, _ in settled.decided}
        assert now < 60
    assert [entry.body for entry in dispatcher.take_all()] == [b"c"]


def test_a_key_that_is_refused_is_tried_again_slowly() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, *"abc")
    dispatcher.take(sent(dispatcher, 0.0), failed(grpc.StatusCode.UNAUTHENTICATED, ""), 0.0)
    assert dispatcher.next_time() == 8.0


def test_what_is_given_up_is_everything_that_is_not_under_way() -> None:
    dispatcher = a_dispatcher()
    put(dispatcher, *"abcdef")
    parcel = sent(dispatcher, 0.0)
    dispatcher.take(parcel, answers(parcel, ACCEPTED, UNDECIDED, UNDECIDED), 0.0)
    assert sorted(entry.body for entry in dispatcher.take_all()) == [b"b", b"c", b"d", b"e", b"f"]
    assert dispatcher.next_parcel(100.0, hurry=True) is None


@pytest.mark.parametrize(
    "options", [{"events": 0}, {"events": 1001}, {"bytes": 0}, {"in_flight": 0}, {"linger_seconds": -1}]
)
def test_batches_that_the_server_would_refuse_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Batching(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_every_event_is_decided_once(seed: int) -> None:
    chance = random.Random(seed)
    dispatcher = Dispatcher(
        Batching(events=7, bytes=200, linger_seconds=0.5, in_flight=3), RetryPolicy(max_delay_seconds=1), chance
    )
    events = [f"e-{number}" for number in range(200)]
    left, decided, under_way, now = list(events), [], [], 0.0
    while len(decided) < len(events):
        now += chance.random()
        assert now < 5_000, "it does not come to an end"
        for _ in range(min(len(left), chance.randrange(20))):
            put(dispatcher, left.pop(0), now=now)
        while (parcel := dispatcher.next_parcel(now)) is not None:
            under_way.append(parcel)
        chance.shuffle(under_way)
        for _ in range(chance.randrange(len(under_way) + 1)):
            parcel = under_way.pop()
            codes = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAUTHENTICATED]
            verdicts = [chance.choice([ACCEPTED, ACCEPTED, UNDECIDED]) for _ in parcel.entries]
            outcome = failed(chance.choice(codes), "") if chance.random() < 0.3 else answers(parcel, *verdicts)
            settled = dispatcher.take(parcel, outcome, now)
            assert settled.refused == []
            decided += [entry.body.decode() for entry, _ in settled.decided]
    assert sorted(decided) == sorted(events)
