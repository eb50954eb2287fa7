"""Stand-ins: what a lead or a subscription goes on knowing of a conversion whose person was erased.

The one rule: it names nobody, and whoever else is of the family is counted and credited as before: the stand-in holds
the place of the conversion among the others, under a random id, at a time that is told to the minute.
"""

from collections.abc import Iterable
from typing import Final

from tributary_domain.erasures import SEVERED_PREFIX

_MINUTE: Final = 60 * 1_000_000


def is_stand_in(conversion_id: str) -> bool:
    """Tells whether a conversion is what is left of one whose person was erased: nobody's, and frozen."""
    return conversion_id.startswith(SEVERED_PREFIX)


def to_the_minute(time_micros: int) -> int:
    """Returns a time without what is finer than a minute, which no day or hour of any time zone cuts.

    >>> to_the_minute(119_000_001)
    60000000
    """
    return time_micros - time_micros % _MINUTE


def place_of(time_micros: int, before: Iterable[int]) -> int:
    """Returns when a stand-in happened: to the minute, but after everything that came before it.

    Args:
        time_micros: When its conversion happened.
        before: When those of its family happened that are before it in event order.

    >>> place_of(119_000_000, [59_000_000])
    60000000
    >>> place_of(119_000_000, [59_000_000, 70_000_000])
    70000001
    """
    begin = to_the_minute(time_micros)
    return max([begin, *(time + 1 for time in before if time >= begin)])
