"""What `tributary doctor` says of retention: whether what is older than workspaces keep it is deleted, day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tributary_cli.doctor_checks import Check
from tributary_domain.retention import SETTLED_MICROS, Announced, retained_since
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import TributaryError
from tributary_runtime.workspaces import Workspace
from tributary_runtime.workspaces_file import InvalidWorkspacesError, parse_workspaces
from tributary_storage.clickhouse.client import connect
from tributary_storage.clickhouse.retention import Overdue, RetentionRecords, RetentionState

_TIMEOUT_SECONDS: Final = 30.0
_PATIENCE_MICROS: Final = 2 * 86_400_000_000
"""How long after what is due, or after its last run, retention is said to be late: it runs once a day."""
_SAY: Final = "Say retention.person_event_months of the workspace: how many months, or null for ever."
_SEE: Final = (
    "See that retention.person_event_months of the workspace, and the clocks of attribution and ClickHouse, are right:"
    " what is deleted never comes back."
)
_NEXT_STEP: Final = "See that attribution runs, and its log (retention_not_finished)."


async def check_retention(workspaces_file: Path, clickhouse_url: str) -> list[Check]:
    """Says of each workspace what is kept since when; nothing where file or ClickHouse cannot be read."""
    try:
        workspaces = parse_workspaces(workspaces_file, resolve_secrets=False).workspaces
    except InvalidWorkspacesError:
        return []
    due = SystemClock().unix_micros() - _PATIENCE_MICROS
    months = {one.id: one.person_event_months for one in workspaces}
    before = {name: retained_since(due, kept) for name, kept in months.items() if kept is not None}
    try:
        async with connect(
            clickhouse_url, name="doctor", timeout_seconds=_TIMEOUT_SECONDS, connections=1
        ) as clickhouse:
            records = RetentionRecords(clickhouse)
            states, overdue = await records.states(), await records.overdue(before, due - SETTLED_MICROS)
    except (TributaryError, ValueError):  # the check of ClickHouse says it
        return []
    return retention_checks(workspaces, states, overdue, due)


def retention_checks(
    workspaces: Sequence[Workspace],
    states: Mapping[str, RetentionState],
    overdue: Mapping[str, Overdue],
    due_micros: int,
) -> list[Check]:
    """Says how retention is.

    Args:
        workspaces: All of them.
        states: How the last run of each went.
        overdue: What is older than it is kept, of each workspace that has any.
        due_micros: Since when each should have run.
    """
    checks = []
    for workspace in workspaces:
        name, state = f"retention:{workspace.id}", states.get(workspace.id, RetentionState())
        kept = workspace.person_event_months
        months = f"events of people are kept {'for ever' if kept is None else f'for {kept} months'}, orders for ever"
        if state.since_micros:
            months += f", there are none of before {_day(state.since_micros)}"
        old = overdue.get(workspace.id)
        says_months, told = workspace.retention.says_months, state.announced
        if not (told.begin_micros or state.since_micros or says_months):
            told = Announced(due_micros)  # attribution tells of it when it looks next
        until = told.until_micros(says_months=says_months)
        if old is not None and due_micros < until:
            said = (
                f"{months}; {old.rows} are older, since {_day(old.oldest_micros)}, and are deleted from {_day(until)}"
                f" on: {'more at once than ever before' if says_months else 'nobody said for how long they are kept'}"
            )
            checks.append(Check(name, False, said, _SEE if says_months else _SAY))
        elif old is not None:
            said = f"{months}; what happened on {_day(old.oldest_micros)} is there still"
            checks.append(Check(name, False, said, _NEXT_STEP))
        elif 0 < state.finish_micros < due_micros:
            said = f"{months}; nobody looked since {_day(state.finish_micros)}"
            checks.append(Check(name, False, said, _NEXT_STEP))
        else:
            checks.append(Check(name, True, months))
    return checks


def _day(micros: int) -> str:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%d")
