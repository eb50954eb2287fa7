"""Cells of CSV files: read exactly, or refused by column."""

from __future__ import annotations

import pytest

from tributary_cli.csv_cells import CellError, Line


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
