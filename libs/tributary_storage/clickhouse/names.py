"""How columns name what protobuf numbers: enum values by name without their prefix, times in microseconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.timestamp_pb2 import Timestamp


def names_of(enum: EnumDescriptor, *, prefix: str = "", lower: bool = False) -> Callable[[int], str]:
    """Returns the function from an enum's numbers to what a column says.

    Args:
        enum: Which enum; 0, the unspecified value, is the empty text.
        prefix: What all names begin with; empty: the enum's own name in upper snake case.
        lower: Whether the column says it in lower case.

    Returns:
        A function that answers a number of a newer contract with the number itself, as text.
    """
    start = len(prefix or _upper_snake(enum.name) + "_")
    names = {value.number: value.name[start:] if value.number else "" for value in enum.values}
    if lower:
        names = {number: name.lower() for number, name in names.items()}

    def name(number: int) -> str:
        return names[number] if number in names else str(number)

    return name


def numbers_of(enum: EnumDescriptor, *, lower: bool = False) -> Callable[[str], Any]:
    """Returns the way back: from what a column says to the enum's number; 0 for a name nobody knows."""
    name = names_of(enum, lower=lower)
    numbers = {name(value.number): value.number for value in enum.values}

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
