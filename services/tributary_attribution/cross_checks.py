"""What a run of reconciliation holds against each other beside stream and batch: sums, amounts, a CRM's deals.

The one rule: each is a finding to be looked at; nothing here changes a conversion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tributary_domain.deal_matching import CountedConversion, Deal, DealClass, DealMatch, MatchLimits, match_deals
from tributary_domain.findings import Finding, FindingKind, finding
from tributary_domain.outliers import Outlier, find_outliers
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources, Sums
from tributary_storage.clickhouse.reconciliation_staging import Scope

Checked = tuple[dict[str, int], list[Finding]]
"""Counts by name, and what was found."""


class CrossChecks:
    """Holds sums, amounts and deals against each other.

    Args:
        sources: What ClickHouse has of them.
        limits: How far a deal and its conversion may be apart.
    """

    def __init__(self, sources: ReconciliationSources, limits: MatchLimits | None = None) -> None:
        self._sources = sources
        self._limits = limits or MatchLimits()

    async def check(self, scope: Scope, workspace: Workspace, accepted_until_micros: int, now_micros: int) -> Checked:
        """Checks the days of a run.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        sums = await self._sources.sums(scope, accepted_until_micros)
        outliers = find_outliers(await self._sources.amounts(scope))
        counts, found = await self._deals(scope, workspace, now_micros)
        counts |= {"conversions": sums.conversions, "too_recent": sums.too_recent, "outliers": len(outliers)}
        found += [_sum(scope, text, number, now_micros) for text, number in _named(sums) if number]
        found += [_outlier(scope, one, now_micros) for one in outliers]
        return counts, found

    async def _deals(self, scope: Scope, workspace: Workspace, now_micros: int) -> Checked:
        """Holds a CRM's deals against the conversions that have deals: nothing where no deal was ever imported."""
        deals = await self._sources.closed_deals(scope, self._limits.days)
        if not deals:
            return {}, []
        names = {deal.conversion_name for deal in deals if deal.conversion_name}
        conversions = [
            one
            for one in await self._sources.counted_conversions(scope)
            if (one.name in names if names else workspace.conversion(one.name).primary)
        ]
        matches = match_deals(conversions, deals, now_micros, self._limits)
        matches = [match for match in matches if _is_inside(match, scope)]
        outcomes = Counter(match.outcome for match in matches)
        counts = {f"deals_{outcome.value.lower()}": number for outcome, number in sorted(outcomes.items())}
        closed = {deal[:2] for match in matches for deal in match.deals if deal.status == "WON"}
        counts |= {"crm_conversions": len(conversions), "crm_closed_deals": len(closed)}
        return counts, [_match(scope, match, now_micros) for match in matches if match.outcome is not DealClass.MATCHED]


def _is_inside(match: DealMatch, scope: Scope) -> bool:
    """Tells whether a match is about the run's days: a deal alone may be another day's."""
    if match.conversions:
        return True
    day = 86_400_000_000
    return all(
        deal.close_day < 0 or scope.begin_micros // day <= deal.close_day < -(-scope.end_micros // day)
        for deal in match.deals
    )


def _named(sums: Sums) -> Sequence[tuple[str, int]]:
    return (
        ("Event ids that were recorded more than once.", sums.repeated_events),
        ("Orders that are more than one counted conversion.", sums.repeated_orders),
        ("Conversions that are counted more than once.", sums.repeated_conversions),
        ("Counted conversions whose credit or money does not add up.", sums.wrong_sums),
    )


def _sum(scope: Scope, text: str, number: int, now_micros: int) -> Finding:
    kind, run = FindingKind.SUM_WRONG, scope.reconciliation_id
    return finding(run, kind, text, expected="0", actual=str(number), find_micros=now_micros)


def _outlier(scope: Scope, one: Outlier, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.OUTLIER,
        f"Its score among {one.compared_with} amounts of {one.group.conversion_name} is {one.score}.",
        conversion_id=one.conversion_id,
        expected=f"about {one.typical_micros} micros {one.group.currency_code}",
        actual=f"{one.amount_micros} micros {one.group.currency_code}",
        find_micros=now_micros,
    )


def _match(scope: Scope, match: DealMatch, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind(match.outcome.value),
        _MESSAGES[match.outcome],
        conversion_id=",".join(one.conversion_id for one in match.conversions),
        deal_id=",".join(f"{deal.system}/{deal.deal_id}" for deal in match.deals),
        match_step=match.step,
        expected="; ".join(map(_deal_text, match.deals)),
        actual="; ".join(map(_conversion_text, match.conversions)),
        find_micros=now_micros,
    )


def _deal_text(deal: Deal) -> str:
    amount = "no amount" if deal.amount_micros is None else f"{deal.amount_micros} micros {deal.currency}"
    return f"{deal.status}, {amount}"


def _conversion_text(one: CountedConversion) -> str:
    return f"{one.name} {one.order_id}: {one.value_micros} micros {one.currency}"


_MESSAGES = {
    DealClass.AMOUNT_DIFFERS: "Deal and conversion differ in amount.",
    DealClass.MISSING_IN_CRM: "The conversion has no deal.",
    DealClass.MISSING_HERE: "The deal has no conversion.",
    DealClass.NOT_YET_DUE: "The deal is not closed yet, or the conversion is too young to have one.",
    DealClass.SPLIT_OR_MERGED: "One deal is several conversions, or the other way round.",
}
