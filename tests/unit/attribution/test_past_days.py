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
        turn = next_of(parts, compared)
        if turn is not None and night not in fails:
            compared.append(Compared(*turn, create_micros=until.toordinal()))
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


def test_without_a_past_there_is_no_turn() -> None:
    assert next_of([], []) is None
