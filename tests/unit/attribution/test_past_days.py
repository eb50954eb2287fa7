"""The past is compared in turns, every day of it within a bounded number of nights."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tributary_attribution.past_days import Compared, Part, next_of, parts_of

_TODAY = date(2026, 11, 26)


def _ordinal(part: Part) -> tuple[int, int]:
    return part.first.toordinal(), part.after.toordinal()


@pytest.mark.parametrize(("days", "runs"), [(400, 100), (30, 7), (1, 1), (5, 50)])
def test_every_day_of_the_past_is_compared_within_about_as_many_nights_though_some_fail(days: int, runs: int) -> None:
    size, fails = -(-days // runs), range(3, 400, 11)
    last: dict[int, int] = {}
    compared: list[Compared] = []
    for night in range(3 * runs + 30):
        until = _TODAY + timedelta(days=night)
        parts = [_ordinal(part) for part in parts_of(until, days, runs)]
        turn, today = next_of(parts, compared), until.toordinal() + 1
        if night not in fails:  # the newest days are compared every night
            compared.append(Compared(until.toordinal(), today + 1, create_micros=today))
        if turn is not None and night not in fails:
            compared.append(Compared(*turn, create_micros=today))
            last.update(dict.fromkeys(range(*turn), night))
        if night > 2 * len(parts) + 20:  # and what is younger has not waited for that long
            old = range(until.toordinal() - days, until.toordinal() - 2 * size - round(len(parts) * 1.2) - 4)
            assert all(night - last.get(day, -1) <= len(parts) * 1.2 + 4 for day in old)


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        pytest.param([], (0, 10), id="nothing-was"),
        pytest.param([Compared(0, 10, 50)], (10, 20), id="the-first-was"),
        pytest.param([Compared(0, 20, 50), Compared(20, 30, 40)], (20, 30), id="longest-ago"),
        pytest.param([Compared(0, 5, 50), Compared(10, 30, 40)], (0, 10), id="a-part-of-it-is-not-all-of-it"),
    ],
)
def test_what_was_compared_longest_ago_comes_next(compared: list[Compared], expected: tuple[int, int]) -> None:
    assert next_of([(0, 10), (10, 20), (20, 30)], compared) == expected


def test_nights_that_were_missed_are_made_up_for_next() -> None:
    newest = [Compared(day, day + 2, day + 1) for day in range(30) if day not in (11, 12, 13)]
    parts = [(number, number + 5) for number in range(0, 25, 5)]
    past = [Compared(*part, 28) for part in parts if part[0] != 10]
    assert next_of(parts, newest + past) == (10, 15)
    assert next_of(parts, [*newest, *past, Compared(10, 15, 29)]) != (10, 15)


def test_days_are_not_compared_before_they_are_over() -> None:
    assert next_of([(0, 1), (1, 2)], [Compared(0, 1, 5), Compared(1, 2, 1)]) == (1, 2)


def test_what_fails_again_and_again_gives_way_until_its_turn_comes_again() -> None:
    parts = [(number, number + 5) for number in range(0, 50, 5)]
    compared, tried, turns = [Compared(*part, 50) for part in parts], [], []
    for night in range(60, 100):
        turn = next_of(parts, compared, tried)
        assert turn is not None
        turns.append(turn)
        (tried if turn == parts[4] else compared).append(Compared(*turn, night))
    assert turns[4:7] == [parts[4]] * 3
    assert {turns.count(part) for part in parts} <= {3, 4, 6}  # and then as often as the others


def test_without_a_past_there_is_no_turn() -> None:
    assert next_of([], []) is None
