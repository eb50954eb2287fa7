"""How a run of reconciliation begins, and what its end means for whoever started it."""

from __future__ import annotations

import secrets

from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_storage.clickhouse.reconciliation_runs import Run

MAX_SLICES = 1024


def begun(workspace: str, begin_micros: int, end_micros: int, now_micros: int, *, repairs: bool, slices: int) -> Run:
    """Returns a run that has done nothing yet.

    Args:
        workspace: Whose.
        begin_micros: Of the conversions; the first moment inside.
        end_micros: The first moment after them.
        now_micros: When it was asked for.
        repairs: Whether it repairs what it finds.
        slices: In how many parts people are compared.

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
    )


def exit_status(run: Run) -> int:
    """Returns 2 where a promise is broken and not repaired, 1 where something should be looked at, else 0."""
    if run.counts.get("open_errors"):
        return 2
    return 1 if run.counts.get("open_warnings") else 0
