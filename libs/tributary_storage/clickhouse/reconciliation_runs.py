"""Runs of reconciliation and their findings, as they are stored.

The one rule: the newest version of a row counts, so writing one again, or a run that goes on after it was killed,
changes nothing twice. Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tributary_domain.findings import Finding, FindingCause, FindingKind, FindingState, Severity, is_as_acknowledged
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement

MAX_FINDINGS: Final = 1000
"""Findings that are read at once."""

_RUN_COLUMNS: Final = (
    *("workspace", "reconciliation_id", "version", "begin_time", "end_time", "create_time"),
    *("state", "repairs", "slices", "finished_slices", "counts", "with_changes"),
)
_FINDING_COLUMNS: Final = (
    *("workspace", "finding_id", "version", "reconciliation_id", "kind", "cause", "severity", "state"),
    *("conversion_id", "event_id", "deal_id", "match_step", "message", "expected", "actual"),
    *("repair_revision", "find_time"),
)

ALL_STATES: Final = tuple(FindingState)
ALL_KINDS: Final = tuple(FindingKind)


@dataclass(frozen=True, slots=True)
class Run:
    """How far a run is."""

    workspace: str
    reconciliation_id: str
    begin_micros: int
    end_micros: int
    create_micros: int
    repairs: bool
    slices: int
    with_changes: bool = False
    """Whether it also compares what came in its days may have changed, whenever that was."""
    finished_slices: tuple[int, ...] = ()
    is_complete: bool = False
    counts: dict[str, int] = field(default_factory=dict)


class ReconciliationRuns:
    """Keeps runs and findings."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Keeps them here."""
        self._clickhouse = clickhouse

    async def find(self, workspace: str, reconciliation_id: str = "") -> Run | None:
        """Returns a run, or the newest one of a workspace; None if there is none."""
        values = {"workspace": workspace, "run": reconciliation_id}
        rows = await self._clickhouse.execute(reconciliation_statement("run"), values)
        if not rows:
            return None
        run_id, begin, end, created, state, repairs, slices, finished, counts, with_changes = rows[0]
        return Run(
            workspace=workspace,
            reconciliation_id=run_id,
            begin_micros=begin,
            end_micros=end,
            create_micros=created,
            repairs=bool(repairs),
            slices=slices,
            with_changes=bool(with_changes),
            finished_slices=tuple(finished),
            is_complete=state == "COMPLETE",
            counts=dict(counts),
        )

    async def unfinished(self, run: Run, since_micros: int) -> Run | None:
        """Returns the newest run that was asked for the same since some moment, and has not come to its end."""
        values = {
            "workspace": run.workspace,
            "repairs": run.repairs,
            "slices": run.slices,
            "with_changes": run.with_changes,
            "begin": run.begin_micros,
            "end": run.end_micros,
            "since": since_micros,
        }
        rows = await self._clickhouse.execute(reconciliation_statement("unfinished_run"), values)
        return await self.find(run.workspace, rows[0][0]) if rows else None

    async def looked_at(
        self, workspace: str, begin_micros: int, end_micros: int, *, repairs: bool, is_complete: bool = True
    ) -> list[tuple[int, int, int]]:
        """Returns the days of runs, and when they were asked for.

        Args:
            workspace: Whose.
            begin_micros: Of days that are touched; the first moment inside.
            end_micros: The first moment after them.
            repairs: Only of runs that repair.
            is_complete: Of runs that came to their end, or of those that did not.

        Returns:
            First moment, first moment after, when it was asked for; in microseconds.
        """
        values = {
            "workspace": workspace,
            "begin": begin_micros,
            "end": end_micros,
            "repairs": repairs,
            "complete": is_complete,
        }
        rows = await self._clickhouse.execute(reconciliation_statement("runs_of_days"), values)
        return [(row[0], row[1], row[2]) for row in rows]

    async def last_with_changes(self, workspace: str, *, repairs: bool) -> int | None:
        """Returns when the last run was asked for that came to its end and looked at what days may have changed.

        Args:
            workspace: Whose.
            repairs: Only of runs that repair.

        Returns:
            Microseconds; None: there was none.
        """
        values = {"workspace": workspace, "repairs": repairs}
        [(created,)] = await self._clickhouse.execute(reconciliation_statement("last_run_with_changes"), values)
        return created or None

    async def save(self, run: Run, now_micros: int) -> None:
        """Notes how far a run is."""
        state = "COMPLETE" if run.is_complete else "RUNNING"
        row: tuple[Any, ...] = (
            *(run.workspace, run.reconciliation_id, now_micros, run.begin_micros, run.end_micros, run.create_micros),
            *(state, run.repairs, run.slices, list(run.finished_slices), run.counts, run.with_changes),
        )
        await self._clickhouse.insert("reconciliations", _RUN_COLUMNS, [[value] for value in row])

    async def findings(
        self,
        workspace: str,
        *,
        reconciliation_id: str = "",
        states: Collection[FindingState] = ALL_STATES,
        kinds: Collection[FindingKind] = ALL_KINDS,
        finding_ids: Collection[str] | None = None,
        after: str = "",
        limit: int = MAX_FINDINGS,
    ) -> list[Finding]:
        """Returns findings in the order of their ids.

        Args:
            workspace: Whose.
            reconciliation_id: Only those that this run found last; empty: of all runs.
            states: Only those in one of these.
            kinds: Only those of one of these.
            finding_ids: Only these; None: all.
            after: Only those with a higher id.
            limit: At most so many.
        """
        values = {
            "workspace": workspace,
            "run": reconciliation_id,
            "states": tuple(state.value for state in states),
            "kinds": tuple(kind.value for kind in kinds),
            "any_id": finding_ids is None,
            "finding_ids": tuple(finding_ids or ("",)),
            "after": after,
            "limit": limit,
        }
        rows = await self._clickhouse.execute(reconciliation_statement("findings"), values)
        return [_finding(row) for row in rows]

    async def report(self, workspace: str, found: Sequence[Finding], now_micros: int) -> list[Finding]:
        """Stores what a run found; returns it as stored.

        What was acknowledged before stays so if it says the same still: what is worse since is open again.
        """
        stored: list[Finding] = []
        for start in range(0, len(found), MAX_FINDINGS):
            some = found[start : start + MAX_FINDINGS]
            seen = await self.findings(
                workspace,
                states=(FindingState.ACKNOWLEDGED,),
                finding_ids=[finding.finding_id for finding in some],
            )
            acknowledged = {finding.finding_id: finding for finding in seen}
            some = [
                finding.in_state(FindingState.ACKNOWLEDGED)
                if finding.state is FindingState.OPEN
                and finding.finding_id in acknowledged
                and is_as_acknowledged(finding, acknowledged[finding.finding_id])
                else finding
                for finding in some
            ]
            await self.write(workspace, some, now_micros)
            stored += some
        return stored

    async def write(self, workspace: str, findings: Sequence[Finding], now_micros: int) -> None:
        """Stores findings as they are."""
        rows = [
            (
                *(workspace, one.finding_id, now_micros, one.reconciliation_id, one.kind.value, one.cause.value),
                *(one.severity.value, one.state.value, one.conversion_id, one.event_id, one.deal_id, one.match_step),
                *(one.message, one.expected, one.actual, one.repair_revision, one.find_micros),
            )
            for one in findings
        ]
        await self._clickhouse.insert("reconciliation_findings", _FINDING_COLUMNS, list(zip(*rows, strict=True)))


def _finding(row: Sequence[Any]) -> Finding:
    finding_id, run_id, kind, cause, severity, state, *rest = row
    conversion_id, event_id, deal_id, match_step, message, expected, actual, revision, found = rest
    return Finding(
        finding_id=finding_id,
        reconciliation_id=run_id,
        kind=FindingKind(kind),
        cause=FindingCause(cause),
        severity=Severity(severity),
        state=FindingState(state),
        conversion_id=conversion_id,
        event_id=event_id,
        deal_id=deal_id,
        match_step=match_step,
        message=message,
        expected=expected,
        actual=actual,
        repair_revision=revision,
        find_micros=found,
    )
