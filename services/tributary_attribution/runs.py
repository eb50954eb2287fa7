"""How a run of reconciliation begins, and what its end means for whoever started it."""

from __future__ import annotations

import secrets
from typing import Final

from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_storage.clickhouse.reconciliation_runs import Run

MAX_SLICES: Final = 1024

FAILED: Final = {"warning": 1, "error": 2}
"""Exit statuses of runs that came to their end, by the severity they stand for; another attempt finds the same."""

UNFINISHED: Final = 3
"""Exit status of a run that was not brought to its end; another attempt may be."""


def begun(
    workspace: str,
    begin_micros: int,
    end_micros: int,
    now_micros: int,
    *,
    repairs: bool,
    slices: int,
    with_changes: bool = False,
) -> Run:
    """Returns a run that has done nothing yet.

    Args:
        workspace: Whose.
        begin_micros: Of the conversions; the first moment inside.
        end_micros: The first moment after them.
        now_micros: When it was asked for.
        repairs: Whether it repairs what it finds.
        slices: In how many parts people are compared.
        with_changes: Whether it also compares what came in this time may have changed, whenever that was.

    Raises:
        InvalidRequestError: There is no time in it, or too many parts.
    """
    if begin_micros >= end_micros:
        violation = FieldViolation("time_range", "Ends before it begins.")
        raise InvalidRequestError("There is nothing to reconcile.", [violation])
    if not 1 <= slices <= MAX_SLICES:
        violation = FieldViolation("slices", f"1 to {MAX_SLICES}.")
        raise InvalidRequestError("People cannot be compared in so many parts.", [violation])
    return Run(
        workspace=workspace,
        reconciliation_id="r1:" + secrets.token_hex(12),
        begin_micros=begin_micros,
        end_micros=end_micros,
        create_micros=now_micros,
        repairs=repairs,
        slices=slices,
        with_changes=with_changes,
    )


def exit_status(run: Run, *, fails_on: str = "warning") -> int:
    """Returns the status of `FAILED` for the worst that nobody has looked at, 0 where that is less than it fails on."""
    found = FAILED["warning"] if run.counts.get("open_warnings") else 0
    found = FAILED["error"] if run.counts.get("open_errors") else found
    return found if found >= FAILED[fails_on] else 0
