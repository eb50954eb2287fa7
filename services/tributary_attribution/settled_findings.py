"""Findings of earlier runs that are true no more.

The one rule: a finding is resolved by a run that would have found it again. It looked at the conversion, deal or sum
that the finding is about and did not find it, or found something else about it; or what it was about is gone. What is
about several is resolved by a run that looked at them all. Of what there is more of than a run names, or looks at, it
resolves nothing that it may have found again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final, Protocol

from tributary_attribution.cut_answers import Answers
from tributary_attribution.severed_row_checks import is_severed
from tributary_attribution.verdict_sums import is_verdict_sum
from tributary_domain.findings import (
    DIFFERENCE_KINDS,
    Finding,
    FindingCause,
    FindingKind,
    FindingState,
    is_about_counting,
    is_about_ledger,
    is_about_others,
)
from tributary_storage.clickhouse.reconciliation_comparison import Settled, Standing
from tributary_storage.clickhouse.reconciliation_runs import MAX_FINDINGS, Run
from tributary_storage.clickhouse.reconciliation_staging import Scope

_LOST: Final = (FindingCause.LOST_EVENT, FindingCause.LOST_REFUSAL)
_UNSETTLED: Final = (FindingState.OPEN, FindingState.ACKNOWLEDGED)
_OF_CONVERSIONS: Final = (*DIFFERENCE_KINDS, FindingKind.EXTRA, FindingKind.OUTLIER)
_BY_CONVERSION: Final = (*_OF_CONVERSIONS, FindingKind.SUM_WRONG)


class Runs(Protocol):
    """What is stored of runs. Every method raises `StorageUnavailableError` if it cannot be read or written."""

    async def find(self, workspace: str, reconciliation_id: str = "") -> Run | None:
        """Returns a run; None if there is none."""
        ...

    async def findings(
        self,
        workspace: str,
        *,
        reconciliation_id: str = "",
        states: Collection[FindingState] = (),
        kinds: Collection[FindingKind] = (),
        after: str = "",
        limit: int = 0,
    ) -> list[Finding]:
        """Returns findings in the order of their ids."""
        ...

    async def write(self, workspace: str, findings: Sequence[Finding], now_micros: int) -> None:
        """Stores findings as they are."""
        ...


class Comparison(Protocol):
    """What a run has read, as long as it has it."""

    async def standing(self, scope: Scope, settled: Settled, conversion_ids: Collection[str]) -> Mapping[str, Standing]:
        """Returns what the run can say of each of some conversions; raises `StorageUnavailableError`."""
        ...


class SettledFindings:
    """Resolves what is true no more.

    Args:
        runs: Where findings are.
        comparison: What the run has read.
    """

    def __init__(self, runs: Runs, comparison: Comparison) -> None:
        self._runs = runs
        self._comparison = comparison

    async def resolve(
        self,
        run: Run,
        scope: Scope,
        settled: Settled,
        answers: Answers,
        now_micros: int,
        *,
        is_recorded: bool,
        is_whole: bool,
    ) -> list[Finding]:
        """Resolves findings; returns them.

        Args:
            run: Which looked, and has stored all it found.
            scope: Likewise.
            settled: What it compared.
            answers: What else it looked at.
            now_micros: When.
            is_recorded: Whether it looked at what was recorded of all that was accepted, and could tell.
            is_whole: Whether it named all that differs as of `settled`: not one that went on where another stopped.

        Raises:
            StorageUnavailableError: A store did not answer; run the same again.
        """
        named = await self.named_by(run, tuple(FindingState), with_counting=False)
        look = _Look(self._runs, run, named, answers, is_recorded=is_recorded, is_whole=is_whole)
        resolved: list[Finding] = []
        after = ""
        while True:
            page = await self._runs.findings(run.workspace, states=_UNSETTLED, after=after, limit=MAX_FINDINGS)
            earlier = [one for one in page if one.reconciliation_id != run.reconciliation_id]
            ids = {named for one in earlier if one.kind in _BY_CONVERSION for named in _conversions_of(one)}
            standing = await self._comparison.standing(scope, settled, sorted(ids))
            resolved += [
                one.in_state(FindingState.RESOLVED)
                for one in earlier
                if await look.is_settled(one, [standing[named] for named in _conversions_of(one) if named in standing])
            ]
            if len(page) < MAX_FINDINGS:
                break
            after = page[-1].finding_id
        for start in range(0, len(resolved), MAX_FINDINGS):
            await self._runs.write(run.workspace, resolved[start : start + MAX_FINDINGS], now_micros)
        return resolved

    async def named_by(self, run: Run, states: Collection[FindingState], *, with_counting: bool) -> set[str]:
        """Returns the conversions that a run says differ, as far as it is dealt with in one of some ways.

        Args:
            run: Which says so.
            states: How far.
            with_counting: Whether also those that differ beside others of their person alone.
        """
        return {
            one.conversion_id
            async for one in self.said_by(run, DIFFERENCE_KINDS, states)
            if with_counting or not (is_about_counting(one) or is_about_ledger(one))
        } - {""}

    async def said_by(
        self, run: Run, kinds: Collection[FindingKind], states: Collection[FindingState] = tuple(FindingState)
    ) -> AsyncIterator[Finding]:
        """Yields what a run has found of some kinds, as far as it is dealt with in one of some ways."""
        after = ""
        while True:
            page = await self._runs.findings(
                run.workspace,
                reconciliation_id=run.reconciliation_id,
                states=states,
                kinds=kinds,
                after=after,
                limit=MAX_FINDINGS,
            )
            for one in page:
                yield one
            if len(page) < MAX_FINDINGS:
                return
            after = page[-1].finding_id


class _Look:
    """What a run can say of findings of earlier ones."""

    def __init__(
        self, runs: Runs, run: Run, named: Collection[str], answers: Answers, *, is_recorded: bool, is_whole: bool
    ) -> None:
        self._runs = runs
        self._run = run
        self._named = named
        self._answers = answers
        self._is_recorded = is_recorded
        self._is_whole = is_whole
        self._covered: dict[str, bool] = {}

    async def is_settled(self, one: Finding, standings: Sequence[Standing]) -> bool:
        """Tells whether a finding that the run did not find again is true no more."""
        if (one.cause in _LOST and not one.conversion_id) or is_verdict_sum(one):
            return self._is_recorded
        if one.finding_id in self._answers.unnamed:
            return False
        if one.kind in self._answers.cut:
            return bool(standings) and all(_is_gone(each) for each in standings)
        standing = standings[0] if standings else None
        match one.kind:
            case FindingKind.SUM_WRONG:
                is_seen = bool(standings) and all(each.is_looked_for or not each.is_stored for each in standings)
                return is_seen or await self._covers(one)
            case kind if kind in DIFFERENCE_KINDS and is_severed(one.conversion_id):
                # Nobody computes it, or has an event of it: that it has no row does not say that it is gone.
                is_again = one.conversion_id in self._named and not is_about_ledger(one)
                is_looked_at = self._is_whole and one.conversion_id not in self._answers.passed_over
                return is_again or (is_looked_at and await self._covers(one))
            case kind if kind in DIFFERENCE_KINDS and standing and (is_about_others(one) or is_about_ledger(one)):
                return _is_gone(standing) or (self._is_whole and await self._covers(one))
            case kind if kind in DIFFERENCE_KINDS and standing:
                is_seen = standing.is_compared and self._is_whole
                return one.conversion_id in self._named or is_seen or _is_gone(standing)
            case FindingKind.EXTRA if standing:
                return standing.is_observed or standing.is_looked_for or not standing.is_stored
            case FindingKind.OUTLIER if standing:
                is_other = standing.is_compared and standing.amount != one.actual
                return is_other or _is_gone(standing) or await self._covers(one)
            case kind if kind in _OF_CONVERSIONS:
                return False
            case _:  # whatever is open of these is looked at by every run whose answer is not cut
                return True

    async def _covers(self, one: Finding) -> bool:
        """Tells whether the run looked at all that the one did which found this."""
        found_by = one.reconciliation_id
        if found_by not in self._covered:
            other = await self._runs.find(self._run.workspace, found_by) if found_by else None
            run = self._run
            self._covered[found_by] = (
                other is not None
                and run.begin_micros <= other.begin_micros
                and other.end_micros <= run.end_micros
                and (run.with_changes or not other.with_changes)
            )
        return self._covered[found_by]


def _conversions_of(one: Finding) -> list[str]:
    """Returns the conversions that a finding names."""
    return [named for named in one.conversion_id.split(",") if named]


def _is_gone(standing: Standing) -> bool:
    return not standing.is_stored and not standing.is_observed
