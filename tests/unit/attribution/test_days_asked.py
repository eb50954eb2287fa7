"""The days that the nightly job is asked for begin where those of the workspace's books do."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from tributary_attribution.reconcile_options import read_options
from tributary_attribution.wanted_runs import days_asked

BERLIN = ZoneInfo("Europe/Berlin")
LATE = datetime(2026, 10, 24, 23, tzinfo=UTC)
"""In Berlin it is the next day already, on which clocks are put back."""


@pytest.mark.parametrize(
    ("asked", "zone", "begin", "end"),
    [
        pytest.param([], UTC, "2026-10-23T00:00+00:00", "2026-10-25T00:00+00:00", id="two-days-with-today"),
        pytest.param([], BERLIN, "2026-10-24T00:00+02:00", "2026-10-26T00:00+01:00", id="where-today-is-another"),
        pytest.param(
            ["--since", "2026-10-25", "--until", "2026-10-26"],
            BERLIN,
            "2026-10-25T00:00+02:00",
            "2026-10-26T00:00+01:00",
            id="a-day-of-25-hours",
        ),
    ],
)
def test_days_are_those_of_the_books(asked: list[str], zone: tzinfo, begin: str, end: str) -> None:
    found = days_asked(read_options(["--all", *asked]), LATE, zone)
    moments = tuple(datetime.fromtimestamp(micros / 1e6, UTC) for micros in found)
    assert moments == (datetime.fromisoformat(begin), datetime.fromisoformat(end))
