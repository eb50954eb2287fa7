"""The past in turns: which of its days a nightly run compares, so that all are within a bounded number of nights.

The one rule: the days that were compared longest ago come next; days that never were count as compared when they ended,
for then they were among the newest. A night that failed is made up for by the next one, and days that somebody had
compared by hand wait for as long as if a night had.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import NamedTuple

_FIRST_DAY = date(1970, 1, 1)


class Compared(NamedTuple):
    """Days that a run has compared."""

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


def next_of(parts: Collection[tuple[int, int]], compared: Collection[Compared]) -> tuple[int, int] | None:
    """Returns what was compared longest ago; None if there is nothing.

    Args:
        parts: First moment of each, and the first after it, in microseconds.
        compared: What runs have compared as a whole.
    """
    return min(
        parts,
        key=lambda part: max(
            (one.create_micros for one in compared if one.begin_micros <= part[0] and part[1] <= one.end_micros),
            default=part[1],
        ),
        default=None,
    )
