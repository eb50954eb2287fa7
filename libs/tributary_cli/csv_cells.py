"""CSV files of people and of exports: lines by column name, cells as exact values.

The one rule: a cell is read exactly or refused with its line and column; nothing is rounded and nothing guessed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, TextIO

from tributary_cli.errors import CommandError

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from tributary.common.v1.calendar_date_pb2 import CalendarDate

MICROS = 6
PICOS = 12

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
"""A number as a file means it; Python itself reads 1_000, 1e3 and more."""
_MOST_CHARACTERS = 40
_EXACTLY = Context(prec=_MOST_CHARACTERS)
"""As many digits as such a number can have: the context that Python has of itself rounds to 28."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""A day as a file means it; Python itself reads 20261106, 2026-W45-5 and more."""
_NO_UTF8 = re.compile(r"[\udc80-\udcff]")
"""What stands for the bytes that are none: no UTF-8 means such a character."""


class CellError(ValueError):
    """A cell that cannot be read."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.message = message


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file."""

    number: int
    """Its line in the file, from 1; the header is line 1."""
    cells: Mapping[str, str]
    """Column to text, without surrounding blanks; columns that the file lacks have what the command line says."""

    def text(self, column: str) -> str:
        """Returns a text; empty if there is none."""
        return self.cells.get(column, "")

    def choice(self, column: str, numbers: Mapping[str, int]) -> Any:
        """Returns the number of a word; of the empty text if that has one.

        Raises:
            CellError: The word is none of these.
        """
        word = self.text(column).upper()
        if word not in numbers:
            raise CellError(column, f"must be one of {', '.join(name for name in numbers if name)}")
        return numbers[word]

    def whole(self, column: str) -> int:
        """Returns a whole number; 0 for an empty cell.

        Raises:
            CellError: It is none.
        """
        text = self.text(column)
        if text and not (text.isascii() and text.isdecimal()):
            raise CellError(column, "must be a whole number")
        return int(text.lstrip("0")[:20] or "0")  # twenty digits are too many for any field, and nobody is kept busy

    def scaled(self, column: str, digits: int) -> int:
        """Returns a decimal number times 10^digits; 0 for an empty cell.

        Raises:
            CellError: It is none, or has more decimals than that.
        """
        text = self.text(column) or "0"
        if _DECIMAL.fullmatch(text) is None or len(text) > _MOST_CHARACTERS:
            raise CellError(column, "must be a decimal number with a point, without thousands separators")
        scaled = Decimal(text).scaleb(digits, _EXACTLY)
        if scaled != scaled.to_integral_value():
            raise CellError(column, f"has more than {digits} decimals")
        return int(scaled)

    def day(self, column: str) -> CalendarDate:
        """Returns a day written YYYY-MM-DD.

        Raises:
            CellError: It is none.
        """
        from tributary.common.v1.calendar_date_pb2 import CalendarDate

        text = self.text(column)
        try:
            day = date.fromisoformat(text if _DAY.fullmatch(text) else "")
        except ValueError:
            raise CellError(column, "must be a day, YYYY-MM-DD") from None
        return CalendarDate(year=day.year, month=day.month, day=day.day)

    def time(self, column: str) -> Timestamp:
        """Returns a time in ISO 8601; one without a zone is UTC.

        Raises:
            CellError: It is none.
        """
        from google.protobuf.timestamp_pb2 import Timestamp

        found = Timestamp()
        try:
            moment = datetime.fromisoformat(self.text(column))
            found.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError):  # the latter in the first and last hours of the calendar
            raise CellError(column, "must be a time, such as 2026-11-25T12:00:00Z") from None
        return found


def read_lines(
    file: TextIO, columns: frozenset[str], given: Mapping[str, str], required: frozenset[str]
) -> Iterator[Line]:
    """Yields the lines of a file with a header, in order; empty lines are passed over.

    Args:
        file: Opened with `newline=""`, and with `errors="surrogateescape"`, so that the lines before one that is no
            UTF-8 are yielded.
        columns: All that have a meaning.
        given: What the command line says for columns that the file lacks, or leaves empty.
        required: Columns that must be in the file or given.

    Raises:
        CommandError: The header lacks a column, or has one that means nothing: a misspelt one would be lost silently.
            Or the file is no CSV, or a line of it no UTF-8.
    """
    reader = csv.reader(_texts(file), strict=True)  # else a quote that nothing closes takes the lines after it along
    rows = _rows(reader)
    header = [name.strip().lower() for name in next(rows, [])]
    unknown = [name for name in header if name not in columns]
    missing = sorted(required - set(header) - given.keys())
    if unknown and any(sign in unknown[0] for sign in ";\t"):
        raise CommandError("The cells of this file are not parted by commas.", "Export it as CSV with commas.")
    if unknown or missing or len(set(header)) < len(header):
        problem = (
            f"The file has no column {', '.join(missing)}."
            if missing
            else f"Nobody knows the column {', '.join(map(repr, unknown))}."
            if unknown
            else "A column is there twice."
        )
        raise CommandError(problem, f"Columns are: {', '.join(sorted(columns))}.")
    for cells in rows:
        if any(cells):
            texts = (cell.strip() for cell in cells)
            found = {name: text for name, text in zip(header, texts, strict=False) if text}
            if len(cells) > len(header):
                found[""] = "too many"
            yield Line(reader.line_num, {**given, **found})


def _texts(file: TextIO) -> Iterator[str]:
    for number, text in enumerate(file, start=1):
        if not text.isascii() and _NO_UTF8.search(text):
            raise CommandError(f"The file is no UTF-8 text at line {number}.", "Export it as CSV, UTF-8.")
        yield text


def _rows(reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        problem = f"The file is no CSV at line {reader.line_num}: {error}."
        raise CommandError(problem, "Is a quote missing? What came before it may be imported already.") from error
