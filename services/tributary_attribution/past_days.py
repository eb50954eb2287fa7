"""The past in turns: which of its days a nightly run compares, so that all are within a bounded number of nights.

The one rule: what was compared longest ago comes next, and before all what never was since it is over. A night that
failed is made up for by the next one; days that somebody had compared by hand wait for as long as if a night had. What
fails again and again gives way to the others once it was tried `MOST_TRIES` times, until its turn comes again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

MOST_TRIES: Final = 3
"""How often days are tried, one run after the other, before others are."""

_FIRST_DAY: Final = date(1970, 1, 1)


class Compared(NamedTuple):
    """Days that a run has compared, or began to."""

    begin_micros: int
    end_micros: int
    """The first moment after them."""
    create_micros: int
    """When the run was asked for."""


class Part(NamedTuple):
    """Days of the past that are compared at once."""

    first: date
    after: date
    """The first day after them."""


def parts_of(until: date, days: int, runs: int) -> list[Part]:
    """Returns the days before some day in parts, the oldest first; parts begin on the same days every night.

    Args:
        until: The first day that is not of the past.
        days: How far back it goes.
        runs: In about how many parts; a last one that is not over yet is left out.

    >>> [str(part.first) for part in parts_of(date(2026, 3, 10), 9, 3)]
    ['2026-02-27', '2026-03-02', '2026-03-05']
    """
    size = -(-days // runs)
    last = (until - _FIRST_DAY).days // size
    begin = ((until - _FIRST_DAY).days - days) // size
    starts = [_FIRST_DAY + timedelta(days=number * size) for number in range(begin, last)]
    return [Part(start, start + timedelta(days=size)) for start in starts]


def next_of(
    parts: Collection[tuple[int, int]], compared: Collection[Compared], tried: Collection[Compared] = ()
) -> tuple[int, int] | None:
    """Returns what was compared longest ago; None if there is nothing.

    Args:
        parts: First moment of each, and the first after it, in microseconds.
        compared: What runs have compared to their end.
        tried: What runs did not come to the end of.
    """
    return min(parts, key=lambda part: _waits_since(part, compared, tried), default=None)


def _waits_since(part: tuple[int, int], compared: Collection[Compared], tried: Collection[Compared]) -> int:
    since = _compared_since(part, compared)
    failed = [
        one.create_micros
        for one in tried
        if one.create_micros > since and one.begin_micros <= part[0] and part[1] <= one.end_micros
    ]
    return max(failed) if len(failed) >= MOST_TRIES else since


def _compared_since(part: tuple[int, int], compared: Collection[Compared]) -> int:
    """Returns when the moment of a part was compared that waits longest, after it was over; 0: never."""
    begin, end = part
    touching = [one for one in compared if one.begin_micros < end and begin < one.end_micros]
    cuts = sorted({begin, end, *(cut for one in touching for cut in one[:2] if begin < cut < end)})
    return min(
        max(
            (
                one.create_micros
                for one in touching
                if one.begin_micros <= first and after <= min(one.end_micros, one.create_micros)
            ),
            default=0,
        )
        for first, after in pairwise(cuts)
    )
