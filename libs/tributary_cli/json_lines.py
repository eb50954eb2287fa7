"""JSON Lines of small objects, read one by one: a line that is none is said with its number, and stops no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

MAX_LINE_BYTES: Final = 65_536


class BadLineError(ValueError):
    """A line is not what it should be.

    Args:
        message: What is wrong with it; never holds what stands in it.
        field: The field to blame; empty if the line is no JSON object at all.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yields the lines of a file as they come; of one that is too long only its beginning."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def read_object(line: bytes) -> dict[str, Any]:
    """Reads a line.

    Raises:
        BadLineError: It is too long, or no JSON object.
    """
    if len(line) > MAX_LINE_BYTES:
        message = f"is longer than {MAX_LINE_BYTES} bytes"
        raise BadLineError(message)
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        message = "is no JSON"
        raise BadLineError(message) from None
    if not isinstance(said, dict):
        message = "is no JSON object"
        raise BadLineError(message)
    return said


def check_text(value: Any, field: str, most_characters: int) -> str:
    """Returns a value that is a text.

    Raises:
        BadLineError: It is none, is too long, or holds half of a character.
    """
    if not isinstance(value, str):
        message = "is no text"
        raise BadLineError(message, field)
    if len(value) > most_characters:
        message = f"is longer than {most_characters} characters"
        raise BadLineError(message, field)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        message = "is no Unicode text"
        raise BadLineError(message, field)
    return value
