"""A CRM's deals held against conversions in a run of reconciliation: "50 conversions, 45 closed deals", and which.

The one rule: a run speaks of the deals and conversions of its days, of conversions that came due in its days, and of
whatever a finding is about that is not resolved. What it compares these with may be of any day. Days are cut in the
zone of the books; a deal without a day is of when the CRM changed it last.
"""

from __future__ import annotations

from collections import Counter

from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_attribution.deal_rivals import with_rivals
from tributary_attribution.journeys import identification
from tributary_domain.compared_deals import CountedConversion, Deal, DealClass, DealMatch, MatchLimits, begin_of_day
from tributary_domain.deal_creators import OWN_CREATOR, creator_token
from tributary_domain.deal_matching import match_deals
from tributary_domain.findings import DEAL_KINDS, Finding, FindingKind, FindingState, finding
from tributary_domain.redacted_ids import redaction_tokens
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_deals import DealScope, ReconciliationDeals
from tributary_storage.clickhouse.reconciliation_runs import MAX_FINDINGS, ReconciliationRuns
from tributary_storage.clickhouse.reconciliation_staging import Scope

_UNSETTLED = (FindingState.OPEN, FindingState.ACKNOWLEDGED)
_AGREE = (DealClass.MATCHED, DealClass.NOT_YET_DUE)
"""Nothing is to be done about these: they are counted, and are no finding."""


class DealChecks:
    """Holds deals against conversions.

    Args:
        deals: What ClickHouse has of both.
        runs: What earlier runs found.
    """

    def __init__(self, deals: ReconciliationDeals, runs: ReconciliationRuns) -> None:
        self._deals = deals
        self._runs = runs

    async def check(self, scope: Scope, workspace: Workspace, now_micros: int) -> tuple[dict[str, int], list[Finding]]:
        """Returns counts by name, and what does not agree; nothing where no deal was ever imported.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        rules = workspace.deals
        limits = MatchLimits(
            tolerance_percent=rules.amount_tolerance_percent,
            days=rules.date_tolerance_days,
            due_days=rules.due_days,
            zone=workspace.reporting.zone,
        )
        of = DealScope(scope, limits.days, limits.due_days, _own_creators(workspace))
        said = await self._deals.names(of)
        if not said:
            return {}, []
        asked = await self._deals.conversions(of), await self._deals.deals(of)
        conversions, deals = await with_rivals(self._deals, of, *asked)
        conversions = [
            one._replace(is_expected=one.name in said or ("" in said and workspace.conversion(one.name).primary))
            for one in conversions
        ]
        matches = match_deals(conversions, deals, now_micros, limits)
        about = _About(of, limits, await self._named(workspace.id))
        matches = [match for match in matches if about.is_in_question(match)]
        outcomes = Counter(match.outcome for match in matches)
        counts = {f"deals_{outcome.value.lower()}": number for outcome, number in sorted(outcomes.items())}
        counts |= about.totals(matches)
        return counts, [_finding(scope, match, now_micros) for match in matches if match.outcome not in _AGREE]

    async def _named(self, workspace: str) -> set[str]:
        """Returns the conversions, and the deals as `system/deal_id`, that unresolved findings are about."""
        named: set[str] = set()
        after = ""
        while True:
            page = await self._runs.findings(
                workspace, states=_UNSETTLED, kinds=DEAL_KINDS, after=after, limit=MAX_FINDINGS
            )
            for one in page:
                named.update((*one.conversion_id.split(","), *one.deal_id.split(",")))
            if len(page) < MAX_FINDINGS:
                return named - {""}
            after = page[-1].finding_id


class _About:
    """What a run speaks of."""

    def __init__(self, of: DealScope, limits: MatchLimits, named: set[str]) -> None:
        self._of = of
        self._limits = limits
        self._named = named

    def is_in_question(self, match: DealMatch) -> bool:
        """Tells whether a match is about anything that the run speaks of."""
        return any(
            self._of.is_of_run(one.time_micros)
            or self._of.comes_due(one.time_micros)
            or one.conversion_id in self._named
            for one in match.conversions
        ) or any(self._is_of_run(deal) or deal.name in self._named for deal in match.deals)

    def totals(self, matches: list[DealMatch]) -> dict[str, int]:
        """Returns how many conversions the run's days have, and how many won deals: theirs, or of these days."""
        conversions = {
            one.conversion_id for match in matches for one in match.conversions if self._of.is_of_run(one.time_micros)
        }
        won = {
            deal.name
            for match in matches
            for deal in match.deals
            if deal.status == "WON"
            and (
                any(one.conversion_id in conversions for one in match.conversions)
                if match.conversions
                else self._is_of_run(deal)
            )
        }
        return {"crm_conversions": len(conversions), "crm_closed_deals": len(won)}

    def _is_of_run(self, deal: Deal) -> bool:
        is_dated = deal.close_day >= 0
        return self._of.is_of_run(begin_of_day(deal.close_day, self._limits.zone) if is_dated else deal.modify_micros)


def _own_creators(workspace: Workspace) -> list[str]:
    """Returns who makes our deals as they are declared, and as `created_by` is stored where it is somebody's."""
    identify, token = identification(workspace).identify, redaction_tokens(workspace.pepper.reveal().encode())

    def email_token(email: str) -> str:
        return next(iter(identify(Identifiers(email=email)).tokens), "")

    declared = workspace.deals.own_creators
    stored = [creator_token(name, email_token, token) for name in declared]
    return list(dict.fromkeys((OWN_CREATOR, *declared, *stored)))


def _finding(scope: Scope, match: DealMatch, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind(match.outcome.value),
        _RIVAL_MESSAGES[match.outcome].format(match.rival) if match.rival else _MESSAGES[match.outcome],
        conversion_id=",".join(one.conversion_id for one in match.conversions),
        deal_id=",".join(deal.name for deal in match.deals),
        match_step=match.step,
        expected="; ".join(map(_deal_text, match.deals)),
        actual="; ".join(map(_conversion_text, match.conversions)),
        find_micros=now_micros,
    )


def _deal_text(deal: Deal) -> str:
    amount = "no amount" if deal.amount_micros is None else f"{deal.amount_micros} micros {deal.currency}"
    return f"{deal.status}, {amount}"


def _conversion_text(one: CountedConversion) -> str:
    order = f"{one.order_id} of {one.store}" if one.order_id and one.store else one.order_id
    return f"{one.name} {order}: {one.value_micros} micros {one.currency}"


_MESSAGES = {
    DealClass.AMOUNT_DIFFERS: "Deal and conversion differ in amount.",
    DealClass.MISSING_IN_CRM: "The conversion has no deal.",
    DealClass.MISSING_HERE: "The deal has no conversion.",
    DealClass.SPLIT_OR_MERGED: "One deal is several conversions, or the other way round.",
}
_RIVAL_MESSAGES = {
    DealClass.MISSING_IN_CRM: "The conversion has no deal: the one that names it is {}.",
    DealClass.MISSING_HERE: "The deal has no conversion: the one that it names is deal {}.",
}
