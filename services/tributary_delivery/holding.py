"""How long a conversion waits before it is sent first.

The one rule: what waits to be right is sent all the same before it is too old to be taken at all.
"""

from __future__ import annotations

from typing import Final

_SPARE_SECONDS: Final = 6 * 3_600
"""What is left for the quota, and for other attempts, before it is too old."""
_STEP_SECONDS: Final = 900
"""Waits that are cut short are so many whole steps: those of many are planned together."""


def held_seconds(hold_seconds: int, age_seconds: float, most_age_seconds: float | None) -> int:
    """Returns for how long a conversion waits: as is declared, but so that it leaves in time.

    Args:
        hold_seconds: As is declared.
        age_seconds: How long ago it happened.
        most_age_seconds: How old it may be when it is sent; None: as old as it is.

    >>> day = 86_400
    >>> [held_seconds(6 * day, age * day, 7 * day) / day for age in (0, 0.75, 1, 3, 6.9)]
    [6.0, 6.0, 5.75, 3.75, 0.0]
    """
    if not hold_seconds or most_age_seconds is None:
        return hold_seconds
    left_seconds = most_age_seconds - age_seconds - _SPARE_SECONDS
    if left_seconds >= hold_seconds:
        return hold_seconds
    return max(0, int(left_seconds // _STEP_SECONDS) * _STEP_SECONDS)
