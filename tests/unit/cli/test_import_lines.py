"""Lines of spend -> slices: whole ones, or none and why."""

from __future__ import annotations

import hashlib
import io

import pytest

from tributary_cli.csv_cells import read_lines
from tributary_cli.import_lines import (
    DEAL_COLUMNS,
    DEAL_REQUIRED,
    ROWS_PER_SLICE,
    SPEND_COLUMNS,
    SPEND_REQUIRED,
    Problem,
    Statement,
    deals_of,
    slices_of,
)

HEADER = "date,cost,level,currency,account_time_zone,reported_at"
GIVEN = {"destination": "google", "account_id": "a"}


def sliced(*lines: str) -> list[Statement | Problem]:
    file = io.StringIO("\n".join((HEADER, *lines)) + "\n", newline="")
    return list(slices_of(read_lines(file, SPEND_COLUMNS, GIVEN, SPEND_REQUIRED), None, None))


def test_spellings_of_one_level_and_time_make_one_slice() -> None:
    (one,) = sliced(
        "2026-11-01,1,,EUR,Europe/Berlin,2026-11-02T00:00:00Z",
        "2026-11-01,2,campaign,EUR,Europe/Berlin,2026-11-02T01:00:00+01:00",
        "2026-11-02,3,CAMPAIGN,EUR,Europe/Berlin,2026-11-02",
    )
    assert isinstance(one, Statement)
    assert [row.cost_micros for row in one.message.rows] == [1_000_000, 2_000_000, 3_000_000]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("2026-11-01,2,ad,EUR,Europe/Berlin,2026-11-02", "level"),
        ("2026-11-01,2,,USD,Europe/Berlin,2026-11-02", "currency"),
        ("2026-11-01,2,,EUR,Europe/Paris,2026-11-02", "account_time_zone"),
    ],
)
def test_an_account_is_of_one_level_currency_and_zone_or_kept_back_whole(line: str, column: str) -> None:
    differs, kept_back = sliced("2026-11-01,1,,EUR,Europe/Berlin,2026-11-02", line)
    assert isinstance(differs, Problem)
    assert (differs.line, differs.column) == (3, column)
    assert "line 2" in differs.message
    assert isinstance(kept_back, Problem)
    assert "kept back" in kept_back.message


@pytest.mark.parametrize(
    "first", ["2026-11-01,1,,,,2026-11-02", "2026-11-01,,,,,2026-11-02", "2026-11-01,1,ad,,,2026-11-02"]
)
def test_a_wrong_first_line_is_the_one_that_is_wrong(first: str) -> None:
    wrong, kept_back = sliced(first, *["2026-11-01,1,,EUR,Europe/Berlin,2026-11-02"] * 3)
    assert isinstance(wrong, Problem)
    assert wrong.line == 2
    assert isinstance(kept_back, Problem)
    assert "kept back" in kept_back.message


def test_a_cost_that_is_not_there_is_no_cost_of_nothing() -> None:
    empty, _ = sliced("2026-11-01,,,EUR,Europe/Berlin,2026-11-02")
    assert isinstance(empty, Problem)
    assert (empty.line, empty.column) == (2, "cost")


def test_a_day_of_too_many_lines_is_told_with_its_line_and_stops_no_other_account() -> None:
    line = "2026-11-01,1,,EUR,Europe/Berlin,2026-11-"
    crowded, other = sliced(*[f"{line}02"] * (ROWS_PER_SLICE + 1), f"{line}03")
    assert isinstance(crowded, Problem)
    assert (crowded.line, crowded.column) == (2, "date")
    assert isinstance(other, Statement)


@pytest.mark.parametrize(
    ("said", "is_one"),
    [
        (" Ann@Shop.example", True),
        ("n/a", False),
        ("ana@", False),
        ("Ann <ann@shop.example>", False),
        ("a@x.example; b@x.example", False),
    ],
)
def test_what_is_no_address_of_a_contact_is_told_and_not_hashed(said: str, is_one: bool) -> None:
    header = "system,deal_id,stage,status,created_by,modify_time,contact_email"
    file = io.StringIO(f"{header}\nhubspot,d-1,won,WON,ann,2026-11-02,{said}\n", newline="")
    [found] = deals_of(read_lines(file, DEAL_COLUMNS, {}, DEAL_REQUIRED))
    if is_one:
        assert isinstance(found, Statement)
        assert found.message.contact_email_sha256 == hashlib.sha256(b"ann@shop.example").hexdigest()
    else:
        assert isinstance(found, Problem)
        assert found.column == "contact_email"
