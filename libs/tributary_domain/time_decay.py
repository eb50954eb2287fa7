"""Time decay in integers: a touch loses half of its weight per half life, alike on every machine and in SQL.

The weight of a touch is 2^62 * 2^(-age / half life), where age is counted from the newest touch of the window. That the
anchor is a touch and not the conversion changes no share, because it scales all weights alike. In fixed point:

    exponent = (2 * age_micros * 2^24 + half_life_micros) DIV (2 * half_life_micros)   # rounded to 24 fraction bits
    halvings = exponent >> 24          # whole half lives
    weight   = HIGH[(exponent >> 12) & 4095] * LOW[exponent & 4095] >> (62 + min(halvings, 63))

with HIGH[i] = round(2^62 * 2^(-i / 2^12)) and LOW[i] = round(2^62 * 2^(-i / 2^24)). Every intermediate value is below
2^125, so the same three lines in UInt128 give the same weight. After 63 half lives a weight is 0.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Final

FRACTION_BITS: Final = 24
"""Bits of the exponent behind the point; 2^-25 half lives of rounding move a weight by at most 2.1e-8 of itself."""

ONE: Final = 1 << 62
"""The weight of the newest touch."""

_PRECISION: Final = 256
"""Bits behind the point while the tables are made: far more than they keep, so that each entry is rounded once."""


def _powers_of_half(root_bits: int) -> tuple[int, ...]:
    """Returns round(2^62 * 2^(-i / 2^root_bits)) for i in 0..4095, by integer square roots and products only."""
    root = 1 << (_PRECISION - 1)  # one half
    for _ in range(root_bits):
        root = isqrt(root << _PRECISION)
    entries = []
    power = 1 << _PRECISION
    shift = _PRECISION - 62
    for _ in range(1 << 12):
        entries.append((power + (1 << (shift - 1))) >> shift)
        power = (power * root) >> _PRECISION
    return tuple(entries)


HIGH: Final = _powers_of_half(12)
"""For the upper 12 fraction bits; SQL receives the same array as a literal."""

LOW: Final = _powers_of_half(FRACTION_BITS)
"""For the lower 12 fraction bits."""


def decay_weights(times_micros: Sequence[int], half_life_micros: int) -> list[int]:
    """Returns the weight of each touch.

    Args:
        times_micros: Event times of the touches of one window, oldest first, at least one.
        half_life_micros: In how many microseconds a touch loses half of its weight; above 0.

    Returns:
        One integer per touch in 0..2^62; the newest has 2^62.

    >>> decay_weights([0, 7, 14], 7) == [ONE // 4, ONE // 2, ONE]
    True
    """
    newest = times_micros[-1]
    doubled = 2 * half_life_micros
    exponents = [(((newest - time) << 25) + half_life_micros) // doubled for time in times_micros]
    # A product is below 2^125, so that here, where no shift is too long, the minimum with 63 changes nothing.
    return [HIGH[(exponent >> 12) & 4095] * LOW[exponent & 4095] >> 62 + (exponent >> 24) for exponent in exponents]
