"""What a run of reconciliation holds against each other beside stream and batch: sums, amounts, what is told oddly.

The one rule: each is a finding to be looked at; nothing here changes a conversion.
"""

from __future__ import annotations

from collections.abc import Sequence

from tributary_attribution.cut_answers import Answers
from tributary_attribution.deal_checks import DealChecks
from tributary_attribution.odd_conversions import odd_conversions
from tributary_attribution.waiting_checks import WaitingChecks
from tributary_domain.attribution import WHOLE
from tributary_domain.findings import Finding, FindingKind, finding
from tributary_domain.outliers import Outlier, find_outliers
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_sources import (
    MergedStages,
    ReconciliationSources,
    SeveralFirstCycles,
    SplitOrder,
    Sums,
    WrongSum,
)
from tributary_storage.clickhouse.reconciliation_staging import Scope

Checked = tuple[dict[str, int], list[Finding]]
"""Counts by name, and what was found."""


class CrossChecks:
    """Holds sums and amounts against each other, and what others state against conversions.

    Args:
        sources: What ClickHouse has of sums and amounts.
        deals: Holds a CRM's deals against conversions.
        waiting: Looks at what waits too long.
    """

    def __init__(self, sources: ReconciliationSources, deals: DealChecks, waiting: WaitingChecks) -> None:
        self._sources = sources
        self._deals = deals
        self._waiting = waiting

    async def check(self, scope: Scope, workspace: Workspace, now_micros: int) -> tuple[dict[str, int], Answers]:
        """Checks the days of a run.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        sums = await self._sources.sums(scope)
        outliers = find_outliers(await self._sources.amounts(scope))
        counts, answers = await self._waiting.check(scope, workspace.findings, now_micros)
        matched, found = await self._deals.check(scope, workspace, now_micros)
        counts |= matched
        split, merged = await self._sources.split_orders(scope), await self._sources.merged_stages(scope)
        several = await self._sources.several_first_cycles(scope)
        counts |= {name: number for name, number in _orders(len(split) + len(several), len(merged)) if number}
        most = self._sources.MOST
        twice = [split_finding(scope, one, now_micros) for one in split]
        twice += [_several(scope, one, now_micros) for one in several]
        answers.add(twice, is_cut=max(len(split), len(several)) >= most)
        answers.add([_merged(scope, one, now_micros) for one in merged], is_cut=len(merged) >= most)
        counts |= odd_conversions(scope, await self._sources.odd_conversions(scope), answers, now_micros)
        counts |= {"conversions": sums.conversions, "changed": sums.changed}
        counts["outliers"] = len(outliers)
        counts |= {"too_old": sums.too_old} if scope.retained_since_micros else {}
        for wrong in _sums(scope, sums, now_micros):
            answers.add(wrong, is_cut=len(wrong) >= most)
        found += [_outlier(scope, one, now_micros) for one in outliers]
        answers.named += found  # all that there are
        return counts, answers


def _sums(scope: Scope, sums: Sums, now_micros: int) -> list[list[Finding]]:
    """Returns a finding per sum that is wrong, about all that it is made of, by what is wrong."""
    kind, run = FindingKind.SUM_WRONG, scope.reconciliation_id
    repeated = (
        ("The order is more than one counted conversion.", sums.repeated_orders),
        ("The conversion is counted more than once.", sums.repeated_conversions),
    )
    found = [
        [
            finding(run, kind, text, conversion_id=one, expected="1", actual=str(times), find_micros=now_micros)
            for one, times in some
        ]
        for text, some in repeated
    ]
    text = "The event is recorded more than once."
    events = [
        finding(run, kind, text, event_id=one, expected="1", actual=str(times), find_micros=now_micros)
        for one, times in sums.repeated_events
    ]
    return [*found, events, [_wrong_sum(scope, one, now_micros) for one in sums.wrong_sums]]


def _wrong_sum(scope: Scope, one: WrongSum, now_micros: int) -> Finding:
    def sums(credit_micros: int, value_micros: int) -> str:
        return f"{credit_micros} micros of credit, {value_micros} micros {one.currency}".rstrip()

    return finding(
        scope.reconciliation_id,
        FindingKind.SUM_WRONG,
        "The credit or money of the conversion does not add up.",
        conversion_id=one.conversion_id,
        expected=sums(WHOLE, one.value_micros),
        actual="; ".join(f"{model}: {sums(credit, value)}" for model, credit, value in one.models),
        find_micros=now_micros,
    )


def _orders(split: int, merged: int) -> Sequence[tuple[str, int]]:
    return ("split_orders", split), ("merged_stages", merged)


def _merged(scope: Scope, one: MergedStages, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.STAGES_MERGED,
        "Stages of a lead with one order number are one conversion, and one stage. "
        "Retract it, and tell each stage without that number.",
        conversion_id=one.conversion_id,
        expected="a conversion per stage",
        actual=f"{one.name} {_order(one)}: {', '.join(one.stages)}",
        find_micros=now_micros,
    )


def _order(one: SplitOrder | SeveralFirstCycles | MergedStages) -> str:
    return f"{one.store}/{one.order_id}" if one.store else one.order_id


def split_finding(scope: Scope, one: SplitOrder, now_micros: int) -> Finding:
    """Returns what is said of an order that is counted twice, and what to do."""
    order = _order(one)
    advice = (
        "each counts for what was told of it. Look at what they are where they were made: if they are one purchase, "
        "retract the one without, and let all observers tell the same; if they are two, retract neither, and tell the "
        "one without by an order number of its own from now on."
    )
    if one.is_first:
        advice = (
            "they were published before they became one, or the state was lost between them. Retract neither, for "
            "that would take back both: what is repaired is one."
        )
    return finding(
        scope.reconciliation_id,
        FindingKind.ORDER_SPLIT,
        f"Counted twice, once with a cycle and once, as {one.plain_id}, without: {advice}",
        conversion_id=f"{one.conversion_id},{one.plain_id}",
        expected=f"one conversion of {one.name} {order}",
        actual=f"{order}:{one.cycle} {one.value_micros} micros {one.currency}, "
        f"{order} {one.plain_micros} micros {one.plain_currency}",
        find_micros=now_micros,
    )


def _several(scope: Scope, one: SeveralFirstCycles, now_micros: int) -> Finding:
    order, told = _order(one), f"Told as {len(one.cycles)} first cycles"
    parts = [f"{order}:{cycle.cycle} {cycle.original_micros} micros {cycle.currency}" for cycle in one.cycles]
    if one.plain_id:
        told += f" and, as {one.plain_id}, without a cycle, which does not count beside them"
    expected = f"a first cycle of {one.name} {order} for each subscription"
    if one.differs:
        expected = f"first cycles of {one.name} {order} that are worth {one.plain_micros} micros {one.plain_currency}"
    return finding(
        scope.reconciliation_id,
        FindingKind.ORDER_SPLIT,
        f"{told}: each counts for what was told of it. Look at what they are where they were made: restate by its "
        "cycle one that is worth something else, and retract by its cycle only one that there never was.",
        conversion_id=",".join(cycle.conversion_id for cycle in one.cycles),
        expected=expected,
        actual=", ".join(parts),
        find_micros=now_micros,
    )


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
