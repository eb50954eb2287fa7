"""Bits of a consent string: base64url without padding, big-endian, as IAB's frameworks write them."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Final

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_BITS: Final = 6
"""Of one character."""
_QUARTET: Final = 4
_MOST_IDS: Final = 65_535


class UnreadableStringError(ValueError):
    """A consent string is not what it says it is. Never holds the string."""


class Ids:
    """Some whole numbers up to 65 535: quick to make of ranges, however many overlap.

    Args:
        mask: A bit for each, counted from 0.
    """

    __slots__ = ("mask",)

    def __init__(self, mask: int = 0) -> None:
        self.mask = mask

    def __contains__(self, number: int) -> bool:
        """Tells whether a number is one of them."""
        return number >= 0 and bool(self.mask >> number & 1)

    def __iter__(self) -> Iterator[int]:
        """Yields them, the least first."""
        return (number for number in range(self.mask.bit_length()) if self.mask >> number & 1)

    def __and__(self, other: Ids) -> Ids:
        """Returns those that both have."""
        return Ids(self.mask & other.mask)

    def __eq__(self, other: object) -> bool:
        """Tells whether they are the same."""
        return isinstance(other, Ids) and self.mask == other.mask

    def __hash__(self) -> int:
        return hash(self.mask)


class Bits:
    """The bits of one part of a string.

    Args:
        text: The part.

    Raises:
        UnreadableStringError: It has characters that stand for no bits.
    """

    __slots__ = ("_length", "_value")

    def __init__(self, text: str) -> None:
        if _BASE64URL.fullmatch(text) is None:
            raise UnreadableStringError("is no base64url")
        missing = -len(text) % _QUARTET
        self._value = int.from_bytes(urlsafe_b64decode(text + "A" * missing)) >> _BITS * missing
        self._length = _BITS * len(text)

    def number(self, at: int, width: int) -> int:
        """Returns a whole number.

        Raises:
            UnreadableStringError: The part ends before it.
        """
        end = at + width
        if end > self._length:
            raise UnreadableStringError("ends too early")
        return self._value >> (self._length - end) & ((1 << width) - 1)

    def flags(self, at: int, width: int) -> frozenset[int]:
        """Returns which flags are set, counted from 1."""
        value = self.number(at, width)
        return frozenset(place + 1 for place in range(width) if value >> (width - 1 - place) & 1)

    def letters(self, at: int, count: int) -> str:
        """Returns letters of six bits each."""
        return "".join(chr(ord("A") + self.number(at + _BITS * place, _BITS)) for place in range(count))

    def ids(self, at: int) -> tuple[Ids, int]:
        """Returns a set of ids (the greatest, then a bit for each or ranges of them), and where it ends."""
        most, is_range = self.number(at, 16), self.number(at + 16, 1)
        at += 17
        if not is_range:
            # The first bit is of 1, and the greatest number's comes last.
            bits = self.number(at, most)
            return Ids(int(f"{bits:0{most}b}"[::-1], 2) << 1 if most else 0), at + most
        mask = 0
        entries = self.number(at, 12)
        at += 12
        for _ in range(entries):
            if self.number(at, 1):
                first, last, at = self.number(at + 1, 16), self.number(at + 17, 16), at + 33
            else:
                first, at = self.number(at + 1, 16), at + 17
                last = first
            mask |= ((1 << max(0, last - first + 1)) - 1) << first
        return Ids(mask), at

    def fibonacci(self, at: int) -> tuple[int, int]:
        """Returns a number in Fibonacci code, which two set bits in a row end, and where it ends."""
        number, before, weight, next_weight = 0, 0, 1, 2
        while True:
            bit, at = self.number(at, 1), at + 1
            if bit and before:
                return number, at
            number += weight if bit else 0
            before, weight, next_weight = bit, next_weight, weight + next_weight

    def fibonacci_range(self, at: int) -> Iterator[int]:
        """Yields ids, each told by how much it is more than the one before."""
        entries, at = self.number(at, 12), at + 12
        last = 0
        for _ in range(entries):
            is_range, at = self.number(at, 1), at + 1
            offset, at = self.fibonacci(at)
            first = last = last + offset
            if is_range:
                length, at = self.fibonacci(at)
                last = min(first + length, _MOST_IDS)
            yield from range(first, last + 1)
