"""Findings of earlier runs that are true no more: sums that are right again, rows that are there again.

The one rule: a finding is resolved by a run that looked at all it is about, and did not find it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from tributary_attribution.verdict_sums import is_verdict_sum
from tributary_domain.findings import Finding, FindingCause, FindingKind, FindingState
from tributary_storage.clickhouse.reconciliation_runs import MAX_FINDINGS, Run

_KINDS: Final = (FindingKind.SUM_WRONG, FindingKind.MISSING)
_LOST: Final = (FindingCause.LOST_EVENT, FindingCause.LOST_REFUSAL)
_UNSETTLED: Final = (FindingState.OPEN, FindingState.ACKNOWLEDGED)


class Runs(Protocol):
    """What is stored of runs. Every method raises `StorageUnavailableError` if it cannot be read or written."""

    async def find(self, workspace: str, reconciliation_id: str = "") -> Run | None:
        """Returns a run; None if there is none."""
        ...

    async def findings(
        self,
        workspace: str,
        *,
        states: Sequence[FindingState],
        kinds: Sequence[FindingKind],
        after: str,
        limit: int,
    ) -> list[Finding]:
        """Returns findings in the order of their ids."""
        ...

    async def write(self, workspace: str, findings: Sequence[Finding], now_micros: int) -> None:
        """Stores findings as they are."""
        ...


async def resolve_settled(
    runs: Runs, run: Run, found: Sequence[Finding], now_micros: int, *, is_recorded: bool
) -> list[Finding]:
    """Resolves what is true no more; returns that.

    Args:
        runs: Where findings are.
        run: Which looked.
        found: What it found.
        now_micros: When.
        is_recorded: Whether it looked at what was recorded of all that was accepted, and could tell.

    Raises:
        StorageUnavailableError: A store did not answer; run the same again.
    """
    again = {one.finding_id for one in found}
    spans: dict[str, bool] = {}
    settled: list[Finding] = []
    after = ""
    while True:
        page = await runs.findings(run.workspace, states=_UNSETTLED, kinds=_KINDS, after=after, limit=MAX_FINDINGS)
        for one in page:
            if one.finding_id in again:
                continue
            if one.cause in _LOST or is_verdict_sum(one):
                is_settled = is_recorded
            elif one.kind is FindingKind.SUM_WRONG:
                if one.reconciliation_id not in spans:
                    spans[one.reconciliation_id] = await _covers(runs, run, one.reconciliation_id)
                is_settled = spans[one.reconciliation_id]
            else:
                is_settled = False
            if is_settled:
                settled.append(one.in_state(FindingState.RESOLVED))
        if len(page) < MAX_FINDINGS:
            break
        after = page[-1].finding_id
    for start in range(0, len(settled), MAX_FINDINGS):
        await runs.write(run.workspace, settled[start : start + MAX_FINDINGS], now_micros)
    return settled


async def _covers(runs: Runs, run: Run, reconciliation_id: str) -> bool:
    """Tells whether a run looked at all days that another had."""
    other = await runs.find(run.workspace, reconciliation_id) if reconciliation_id else None
    return other is not None and run.begin_micros <= other.begin_micros and other.end_micros <= run.end_micros
