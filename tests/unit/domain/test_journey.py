from typing import Any

from tributary_domain.journey import (
    DIRECT,
    NO_TOUCH,
    PASSED_OVER,
    QUARANTINED,
    JourneyTouch,
    TouchKind,
    in_event_order,
    path_start,
    since,
    with_passed_over,
)

ORDERED = [JourneyTouch(1, 9), JourneyTouch(2, 3), JourneyTouch(2, 7)]


def test_entries_are_ordered_by_time_and_then_hash() -> None:
    assert in_event_order([ORDERED[2], ORDERED[0], ORDERED[1]]) == ORDERED


def test_an_entry_given_twice_is_there_once() -> None:
    assert in_event_order([*ORDERED, ORDERED[1], ORDERED[1]]) == ORDERED


def test_two_touches_of_one_event_are_two() -> None:
    coupons = [JourneyTouch(1, 9, TouchKind.COUPON, descriptor) for descriptor in (4, 5)]
    assert in_event_order([*coupons, coupons[0]]) == coupons


def test_a_window_holds_what_is_exactly_at_its_older_end() -> None:
    assert list(since(ORDERED, 2)) == ORDERED[1:]
    assert list(since(ORDERED, 1)) == ORDERED
    assert list(since(ORDERED, 3)) == []


def test_conversions_and_payment_returns_are_no_touches() -> None:
    assert JourneyTouch(1, 1).is_touch
    assert not JourneyTouch(1, 1, flags=NO_TOUCH).is_touch
    assert not JourneyTouch(1, 1, TouchKind.CONVERSION).is_touch


def test_what_was_taken_back_ends_no_path_and_what_is_told_twice_ends_it_once() -> None:
    told = [JourneyTouch(time, time, TouchKind.CONVERSION, 40) for time in (1, 3, 5)]
    ids = {1: "c1:a", 3: "c1:b", 5: "c1:c"}

    def start(**told_as: str) -> tuple[int, int] | None:
        return path_start(told, (9, 9), {40}, 100, ids, told_as={f"c1:{name}": to for name, to in told_as.items()})

    assert start() == (5, 5)
    assert start(c="") == (3, 3)
    assert start(c="c1:a") == (3, 3)
    assert start(b="c1:a", c="c1:a") == (1, 1)
    assert start(a="", b="", c="") is None


def test_a_path_starts_after_the_last_conversion_that_resets_it() -> None:
    resets = [JourneyTouch(time, time, TouchKind.CONVERSION, 40) for time in (1, 3, 9)]
    other = JourneyTouch(4, 5, TouchKind.CONVERSION, 41)
    quarantined = JourneyTouch(5, 5, TouchKind.CONVERSION, 40, QUARANTINED)
    entries = [*resets, other, quarantined, JourneyTouch(6, 1)]
    assert path_start(entries, (9, 5), {40}, 100, {}) == (3, 3)
    assert path_start(entries, (1, 1), {40}, 100, {}) is None
    assert path_start(entries, (9, 5), set(), 100, {}) is None


def test_an_order_that_is_told_several_times_ends_the_path_once_where_it_happened() -> None:
    told = [JourneyTouch(time, time, TouchKind.CONVERSION, 40) for time in (5, 3, 8)]
    late = JourneyTouch(2, 2, TouchKind.CONVERSION, 40, QUARANTINED)
    of_one = {2: "c1:a", 3: "c1:a", 5: "c1:a", 8: "c1:a"}

    def start(at: int, history: int = 100, ids: dict[int, str] = of_one, internal: frozenset[int] = frozenset()) -> Any:
        return path_start([*told, late], (at, at), {40}, history, ids, internal)

    assert start(9) == (3, 3)
    assert start(3) is None, "no conversion ends its own path"
    assert start(9, ids=of_one | {5: "c1:b"}) == (5, 5)
    assert start(9, ids={}) == (8, 8), "each of an order that went with its person stands for itself"
    assert start(9, history=5) == (5, 5), "what is older may be forgotten"
    assert start(9, internal=frozenset({3})) == (5, 5), "what counts before what is internal"
    assert start(5, internal=frozenset({3})) == (3, 3), "what is told later decides nothing"


def test_an_order_whose_first_observation_is_forgotten_takes_no_credit_back() -> None:
    left = [JourneyTouch(time, time, TouchKind.CONVERSION, 40) for time in (1, 5)]
    of_two = {1: "c1:a", 5: "c1:b"}
    assert path_start(left, (9, 9), {40}, 100, of_two, earned=(4, 4)) == (1, 1)
    assert path_start(left, (9, 9), {40}, 100, of_two, earned=(4, 4), arrived={5}) == (5, 5)
    assert path_start(left, (9, 9), {40}, 100, of_two, earned=(6, 6)) == (5, 5)


def test_touches_of_channels_that_are_passed_over_are_marked_and_conversions_and_direct_visits_are_not() -> None:
    entries = [
        JourneyTouch(1, 1, descriptor=7, flags=QUARANTINED),
        JourneyTouch(2, 2, descriptor=8),
        JourneyTouch(3, 3, descriptor=9, flags=DIRECT),
        JourneyTouch(4, 4, TouchKind.CONVERSION, 7),
    ]
    marked = with_passed_over(entries, {7, 9})
    assert [entry.flags for entry in marked] == [QUARANTINED | PASSED_OVER, 0, DIRECT, 0]
    assert with_passed_over(entries, ()) == entries
