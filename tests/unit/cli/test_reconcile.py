"""What a run of reconciliation says of itself: also that it compared nothing, and from when on one can."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from tributary.attribution.v1.reconciliation_pb2 import Reconciliation
from tributary_cli.command_line import cli
from tributary_cli.reconcile import told

NOW = datetime(2026, 11, 27, 23, 59, 30, 500_000, tzinfo=UTC)
YOUNG = " came within the last 60 seconds."


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        pytest.param({}, [], id="nothing there"),
        pytest.param({"conversions": 23, "too_recent": 0}, [], id="all compared"),
        pytest.param(
            {"conversions": 23, "too_recent": 23, "differences": 0},
            [
                "Nothing was compared yet.",
                f"23 conversions were too young: something of them or their people{YOUNG}",
                "A run from 2026-11-28 00:00:31 UTC on compares them, unless more comes.",
            ],
            id="none compared",
        ),
        pytest.param(
            {"conversions": 23, "too_recent": 1},
            [
                "Not everything was compared.",
                f"1 conversion was too young: something of it or its person{YOUNG}",
                "A run from 2026-11-28 00:00:31 UTC on compares it, unless more comes.",
            ],
            id="one not compared",
        ),
        pytest.param(
            {"crm_conversions": 50, "crm_closed_deals": 45, "open_warnings": 5},
            ["50 conversions, 45 closed deals", "`tributary reconcile findings --run r-1` lists what is open."],
            id="deals",
        ),
        pytest.param(
            {"open_errors": 1, "acknowledged_warnings": 5},
            [
                "`tributary reconcile findings --run r-1` lists what is open.",
                "`tributary reconcile findings --run r-1 --state ACKNOWLEDGED` lists what somebody has looked at.",
            ],
            id="acknowledged",
        ),
    ],
)
def test_a_run_says_what_it_means_and_what_to_do_next(counts: dict[str, int], said: list[str]) -> None:
    assert told(Reconciliation(reconciliation_id="r-1", counts=counts), NOW) == [*said, "r-1 is complete."]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--days", "0"], "Invalid value for '--days'", id="no days"),
        pytest.param(["--day", "1"], "No such option", id="no option"),
        pytest.param(["--since", "0001-01-01"], "no events are of such days", id="before all events"),
        pytest.param(["--target", "127.0.0.1:1", "--api-key", "key"], "127.0.0.1:1", id="nobody answers"),
    ],
)
def test_what_could_not_be_begun_ends_with_no_status_of_what_was_found(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, ["reconcile", "run", *arguments])
    assert (result.exit_code, said in result.stderr) == (3, True), result.stderr
