"""How columns name what protobuf numbers: enum values by name without their prefix, times in microseconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.timestamp_pb2 import Timestamp


class Names(dict[int, str]):
    """An enum's numbers and what a column says for each; a number of a newer contract is said as it is."""

    def __missing__(self, number: int) -> str:
        return str(number)


def names_of(enum: EnumDescriptor, *, prefix: str = "", lower: bool = False) -> Names:
    """Returns what a column says for each number of an enum.

    Args:
        enum: Which enum; 0, the unspecified value, is the empty text.
        prefix: What all names begin with; empty: the enum's own name in upper snake case.
        lower: Whether the column says it in lower case.
    """
    start = len(prefix or _upper_snake(enum.name) + "_")
    names = {value.number: value.name[start:] if value.number else "" for value in enum.values}
    return Names({number: name.lower() if lower else name for number, name in names.items()})


def numbers_of(enum: EnumDescriptor, *, lower: bool = False) -> Callable[[str], Any]:
    """Returns the way back: from what a column says to the enum's number; 0 for a name nobody knows."""
    numbers = {name: number for number, name in names_of(enum, lower=lower).items()}

    @cache
    def number(text: str) -> int:
        return int(text) if text.isdigit() else numbers.get(text, 0)

    return number


def micros(time: Timestamp) -> int:
    """Returns a time in microseconds since 1970, as a DateTime64(6) column takes it."""
    return time.seconds * 1_000_000 + time.nanos // 1_000


def timestamp(time_micros: int) -> Timestamp:
    """Returns the way back."""
    seconds, rest = divmod(time_micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def _upper_snake(name: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() and at else letter for at, letter in enumerate(name)).upper()
