"""Cells of CSV files: read exactly, or refused by column."""

from __future__ import annotations

import io
from itertools import islice

import pytest

from tributary_cli.csv_cells import CellError, Line, read_lines
from tributary_cli.errors import CommandError


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0001-01-01T00:00:00+01:00", id="before the first hour of the calendar"),
        pytest.param("9999-12-31T23:59:59-01:00", id="after its last"),
        pytest.param("yesterday", id="no time"),
        pytest.param("", id="none"),
    ],
)
def test_a_time_that_cannot_be_is_refused_and_stops_nothing(text: str) -> None:
    with pytest.raises(CellError, match="must be a time"):
        Line(2, {"modify_time": text}).time("modify_time")


def test_the_first_hour_of_the_calendar_is_a_time() -> None:
    assert Line(2, {"modify_time": "0001-01-01T00:00:00"}).time("modify_time").seconds == -62135596800


@pytest.mark.parametrize(
    ("text", "micros"), [("12.5", 12_500_000), (".5", 500_000), ("5.", 5_000_000), ("-2", -2_000_000)]
)
def test_a_decimal_number_is_read_exactly(text: str, micros: int) -> None:
    assert Line(2, {"cost": text}).scaled("cost", 6) == micros


@pytest.mark.parametrize("text", ["1_000", "1e3", "1,5", "1.234,50", "0x10", "NaN", "Infinity", "--1", ".", "1" * 41])
def test_what_only_a_programmer_reads_as_a_number_is_refused(text: str) -> None:
    with pytest.raises(CellError, match="must be a decimal number"):
        Line(2, {"cost": text}).scaled("cost", 6)


def test_no_digit_is_lost_however_many_there_are() -> None:
    assert Line(2, {"rate": "0" * 20 + "1." + "0" * 18}).scaled("rate", 12) == 10**12
    assert Line(2, {"rate": "1" * 40}).scaled("rate", 12) == int("1" * 40) * 10**12
    for text in ("1." + "0" * 33 + "1", "0." + "9" * 38, "1234567890123456789012345678.0000001"):
        with pytest.raises(CellError, match="more than 6 decimals"):
            Line(2, {"rate": text}).scaled("rate", 6)


def test_a_day_is_written_in_one_way() -> None:
    day = Line(2, {"date": "2026-11-06"}).day("date")
    assert (day.year, day.month, day.day) == (2026, 11, 6)


@pytest.mark.parametrize(
    "text",
    ["20261106", "2026-W45-5", "2026W455", "2026-W45", "2026-11", "2026-11-6", "2026-11-31", "2026-11-06T00:00:00", ""],
)
def test_a_day_that_is_written_in_another_way_is_refused(text: str) -> None:
    with pytest.raises(CellError, match="must be a day, YYYY-MM-DD"):
        Line(2, {"date": text}).day("date")


def test_zeros_before_a_whole_number_do_not_cut_it_off() -> None:
    assert Line(2, {"clicks": "0" * 30 + "12"}).whole("clicks") == 12
    assert Line(2, {"clicks": "000"}).whole("clicks") == 0
    with pytest.raises(CellError, match="must be a whole number"):
        Line(2, {"clicks": "\u0661"}).whole("clicks")


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_file_parted_by_something_else_is_told_so(sign: str) -> None:
    file = io.StringIO(f"date{sign}cost\n2026-11-01{sign}1,5\n", newline="")
    with pytest.raises(CommandError, match="not parted by commas"):
        list(read_lines(file, frozenset({"date", "cost"}), {}, frozenset({"date", "cost"})))


@pytest.mark.parametrize(
    "line", ['2026-11-01,"1', '2026-11-01,"1"5', "2026-11-01," + "1" * 200_000], ids=["open quote", "quote", "long"]
)
def test_a_line_that_is_no_csv_is_told_with_its_number(line: str) -> None:
    file = io.StringIO(f"date,cost\n{line}\n2026-11-02,1\n", newline="")
    with pytest.raises(CommandError, match=r"no CSV at line [23]"):
        list(read_lines(file, frozenset({"date", "cost"}), {}, frozenset({"date", "cost"})))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("wrong", [b"\xe9", b"\xed\xb2\x80", b"\xc3"], ids=["Latin-1", "a surrogate", "cut off"])
def test_the_lines_before_one_that_is_no_utf8_are_read_and_its_number_is_told(end: str, wrong: bytes) -> None:
    before = "".join(f"2026-11-01,{number},\u00e9{end}" for number in range(20))
    data = f"\ufeffdate,cost,name{end}{before}2026-11-02,1,".encode() + wrong
    file = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", errors="surrogateescape", newline="")
    columns = frozenset({"date", "cost", "name"})
    lines = read_lines(file, columns, {}, columns)
    assert [line.text("name") for line in islice(lines, 20)] == ["\u00e9"] * 20
    with pytest.raises(CommandError, match="no UTF-8 text at line 22"):
        next(lines)
