"""What waits too long, as a run of reconciliation sees it: adjustments without a conversion, orders in quarantine.

The one rule: each is a finding until it waits no more. Every run looks at all orders that wait, and at the adjustments
of its days, at those that came due in its days, and at those that a finding is about.
"""

from __future__ import annotations

from typing import Final

from tributary_attribution.cut_answers import Answers
from tributary_domain.findings import Finding, FindingKind, finding
from tributary_runtime.comparison_settings import FindingDelays
from tributary_storage.clickhouse.pending_values import MOST_GROUPS, PendingOrder, PendingValue, PendingValues
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import Scope

_HOUR: Final = 3_600_000_000
_FOREVER: Final = 2**61


class WaitingChecks:
    """Looks at what waits.

    Args:
        sources: What ClickHouse has of adjustments.
        pending: What it has of orders in quarantine.
    """

    MOST_PENDING = 100_000
    """Orders of one name and currency that are looked at."""

    def __init__(self, sources: ReconciliationSources, pending: PendingValues) -> None:
        self._sources = sources
        self._pending = pending

    async def check(self, scope: Scope, delays: FindingDelays, now_micros: int) -> tuple[dict[str, int], Answers]:
        """Returns counts by name, and what waits longer than the workspace says.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        wait = delays.unmatched_adjustment_days * 24 * _HOUR
        answers = Answers()
        unmatched = await self._sources.unmatched_adjustments(scope, wait, now_micros)
        found = [
            finding(
                scope.reconciliation_id,
                FindingKind.UNMATCHED_ADJUSTMENT,
                "The conversion that it adjusts never came: nothing was taken off.",
                conversion_id=one.conversion_id,
                event_id=one.event_id,
                expected=f"{one.name} {one.named}".strip(),
                actual=f"{one.reason} {one.amount}".strip(),
                find_micros=now_micros,
            )
            for one in unmatched
        ]
        answers.add(found, is_cut=len(unmatched) >= self._sources.MOST)
        counts = {"unmatched_adjustments": len(found)}
        before = now_micros - delays.pending_value_hours * _HOUR
        waiting = await self._pending.read(scope.workspace, 0, _FOREVER, before, most=self.MOST_PENDING)
        for group in waiting:
            pending = [_pending(scope, group, one, now_micros) for one in group.places]
            answers.add(pending, is_cut=len(pending) < group.orders or len(waiting) >= MOST_GROUPS)
        counts["pending_orders"] = sum(group.orders for group in waiting)
        return {name: number for name, number in counts.items() if number}, answers


def _pending(scope: Scope, group: PendingValue, one: PendingOrder, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.PENDING_VALUE,
        "Its amount is outside the expected range, and nobody has released or rejected it.",
        conversion_id=one.conversion_id,
        event_id=one.event_id,
        actual=f"{group.conversion_name}: {one.value_micros} micros {group.currency}".strip(),
        find_micros=now_micros,
    )
