"""One run of reconciliation: raw events recomputed by an independent path, compared, explained, repaired.

The one rule: COMPLETE is said last of all. A run that was killed reads the events anew and goes on after the slices of
people it has finished; findings and repairs may be written twice and change nothing then.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from tributary_attribution.chain_checks import ChainChecks, Chains, is_of_chains
from tributary_attribution.credit_settings import history_micros
from tributary_attribution.cross_checks import CrossChecks
from tributary_attribution.extra_conversions import ExtraConversions
from tributary_attribution.ledger_checks import AlteredRevisions, LedgerChecks, is_of_ledger
from tributary_attribution.newest_row_checks import NewestRowChecks, OddRows, is_of_altered, is_of_misplaced
from tributary_attribution.recording_checks import RecordingChecks
from tributary_attribution.repair import Repair
from tributary_attribution.run_reading import Reading, RunReading
from tributary_attribution.run_settings import compared_settings
from tributary_attribution.settled_findings import SettledFindings
from tributary_attribution.severed_row_checks import SeveredRowChecks
from tributary_attribution.steps import let_others_run
from tributary_domain.counting import Counting
from tributary_domain.findings import (
    RECONCILIATION_GRACE_SECONDS,
    Finding,
    FindingKind,
    FindingState,
    Severity,
    is_about_counting,
)
from tributary_domain.settings import SECOND
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_comparison import (
    LIMIT,
    Difference,
    MiscountedConversion,
    ReconciliationComparison,
    Settled,
)
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns, Run
from tributary_storage.clickhouse.reconciliation_staging import Scope

log = structlog.get_logger(__name__)

_SHORT: Final = frozenset({"cut_slices", "cut_checks", "cut_losses", "unrecorded"})
"""Counts of a run that vouches for nothing, as `finality/complete_runs.sql` knows them too."""
_UNSETTLED: Final = (FindingState.OPEN, FindingState.ACKNOWLEDGED)
_FOREVER: Final = 2**62

Told = Callable[[Run], None]
"""Is told how far a run is, after each step."""


class Reconciliation:
    """Runs of reconciliation.

    Args:
        reading: Reads raw events.
        comparison: Compares.
        runs: Keeps runs and findings.
        repair: Explains and repairs.
        chains: Names revisions that have no row.
        ledger: Holds the rows of revisions against what was published.
        rows: Holds what `conversions` has against the ledger.
        severed: Holds the ledger of severed orders against itself.
        extra: What is stored and nobody observed.
        checks: What else is held against each other.
        clock: Says when.
        recording: Whether all that was accepted is recorded; None: that is not looked at.
        settle: Returns when what repairs published is as safe as it must be to call it repaired.
        retained_since: Workspace -> since when it has events of people, in microseconds; 0: since ever. Raises
            `StorageUnavailableError`.
    """

    def __init__(
        self,
        reading: RunReading,
        comparison: ReconciliationComparison,
        runs: ReconciliationRuns,
        repair: Repair,
        chains: ChainChecks,
        ledger: LedgerChecks,
        rows: NewestRowChecks,
        severed: SeveredRowChecks,
        extra: ExtraConversions,
        checks: CrossChecks,
        clock: Clock,
        recording: RecordingChecks | None = None,
        settle: Callable[[], Awaitable[None]] = let_others_run,
        *,
        retained_since: Callable[[str], Awaitable[int]],
    ) -> None:
        self._retained_since = retained_since
        self._reading = reading
        self._comparison = comparison
        self._runs = runs
        self._repair = repair
        self._chains = chains
        self._ledger = ledger
        self._rows = rows
        self._severed = severed
        self._extra = extra
        self._checks = checks
        self._clock = clock
        self._recording = recording
        self._settled_findings = SettledFindings(runs, comparison)
        self._settle = settle

    async def run(
        self,
        run: Run,
        workspace: Workspace,
        *,
        grace_seconds: float = RECONCILIATION_GRACE_SECONDS,
        told: Told = lambda _: None,
    ) -> Run:
        """Brings a run to its end, from where it is; the caller sees to it that nobody else does (`RunLease`).

        Args:
            run: What `begun` made, or what was stored of it.
            workspace: Whose.
            grace_seconds: See `RECONCILIATION_GRACE_SECONDS`.
            told: Is told of its progress.

        Returns:
            The run, complete.

        Raises:
            StorageUnavailableError: A store does not answer; run it again.
        """
        days = run.begin_micros, run.end_micros
        attempt = secrets.token_hex(4)
        since = await self._retained_since(run.workspace)
        scope = Scope(
            *(run.reconciliation_id, run.workspace, *days, run.slices, run.with_changes, attempt),
            retained_since_micros=since,
            compared_since_micros=since + history_micros(workspace) if since else 0,
        )
        await self._runs.save(run, self._clock.unix_micros())
        now = self._clock.unix_micros()
        sums: dict[str, int] = {}
        unrecorded: list[Finding] = []
        if self._recording is not None:
            sums, unrecorded = await self._recording.check(scope, now, repairs=run.repairs)
        grace_micros = round(grace_seconds * SECOND)
        settled = Settled(now - grace_micros, now)
        # Rows first: of a row that says otherwise than was published, none is made that is lost.
        altered = await self._altered(run, scope, now, settled.accepted_until_micros)
        chains = await self._chains.check(
            *(scope, now, settled.accepted_until_micros, altered.misnumbered),
            *await self._noting(run, is_of_chains),
            repairs=run.repairs,
        )
        severed = await self._severed.sums(scope, now, settled.accepted_until_micros)
        unsure = {one.conversion_id for one in altered.found if one.state is not FindingState.RESOLVED}
        unsure |= {*(one.conversion_id for one in severed.found), *severed.passed_over}
        misplaced = await self._rows.misplaced(
            *(scope, now, settled.accepted_until_micros, unsure),
            *await self._noting(run, is_of_misplaced),
            repairs=run.repairs,
        )
        chains = chains.without(misplaced.unpublished)
        placed = await self._runs.report(run.workspace, misplaced.found, self._clock.unix_micros())
        if "misplaced_rows" in run.counts:  # a release of before counted them in the attempt before this one
            placed = []
        left = {one.conversion_id for one in misplaced.found if not run.repairs}
        read = await self._reading.read(scope, workspace)
        is_whole = not run.finished_slices
        for part in range(run.slices):
            if part not in run.finished_slices:
                counts = await self._reconcile(run, scope, workspace, part, settled, read, left, chains)
                run = replace(run, finished_slices=(*run.finished_slices, part), counts=_added(run.counts, counts))
                await self._runs.save(run, self._clock.unix_micros())
                told(run)
        odd = await self._odd(run, scope, settled, left, unsure)
        run = replace(run, counts=_added(run.counts, _differences([*placed, *odd.found])))
        extra = await self._extra.check(scope, settled, repairs=run.repairs)
        chains = await self._chains.again(scope, settled.accepted_until_micros, chains.without(extra.unpublished))
        counts, answers = await self._checks.check(scope, workspace, now)
        answers.add(extra.found, is_cut=len(extra.found) >= LIMIT)
        answers.add(altered.found, is_cut=altered.is_cut)
        is_cut = chains.is_cut or misplaced.is_cut or odd.is_cut or severed.is_cut
        answers.cut |= {FindingKind.MISSING, FindingKind.DIFFERENT} if is_cut else set()
        answers.passed_over.update(severed.passed_over, misplaced.passed_over, odd.passed_over)
        counts["misplaced_rows"] = run.counts.get("misplaced_rows", len(placed))
        counts["lost_revisions"] = len(chains.found)
        counts["altered_revisions"] = altered.rows
        found = [*answers.named, *unrecorded, *chains.found, *odd.found, *severed.found]
        found = await self._runs.report(run.workspace, found, self._clock.unix_micros())
        is_recorded = bool(sums) and not {"verdicts_unsettled", "cut_losses"} & sums.keys()
        moment = self._clock.unix_micros()
        resolved = await self._settled_findings.resolve(
            *(run, scope, settled, answers, moment),
            is_recorded=is_recorded,
            is_whole=is_whole and "cut_slices" not in run.counts,
        )
        counts["resolved"] = len(resolved)
        if answers.hides_errors or is_cut:
            counts["cut_checks"] = 1
        # What an attempt before this one compared, it compared as it was then.
        until = settled.accepted_until_micros if is_whole else run.create_micros - grace_micros
        notes = not _SHORT & {*run.counts, *sums, *counts}
        counts |= await self._comparison.looked_at(scope, run.create_micros, until, notes=notes)
        await self._reading.drop(scope)
        run = replace(
            run, is_complete=True, counts={**_added(run.counts, _unresolved([*placed, *found])), **sums, **counts}
        )
        await self._runs.save(run, self._clock.unix_micros())
        told(run)
        log.info("reconciliation_finished", workspace=run.workspace, reconciliation_id=run.reconciliation_id, **counts)
        return run

    async def _altered(self, run: Run, scope: Scope, now: int, published_until_micros: int) -> AlteredRevisions:
        """Returns the rows of revisions that were altered."""
        said, note = await self._noting(run, is_of_ledger)
        return await self._ledger.check(scope, now, published_until_micros, said, note, repairs=run.repairs)

    async def _noting(
        self, run: Run, is_one: Callable[[Finding], bool]
    ) -> tuple[dict[str, Finding], Callable[[Sequence[Finding]], Awaitable[None]]]:
        """Returns what an attempt before this one noted of some findings, by id, and the way to note more of them.

        They are noted before they are mended: where this attempt stops after that, the next one finds nothing there.
        """
        kinds = FindingKind.MISSING, FindingKind.DIFFERENT
        said = self._settled_findings.said_by(run, kinds)
        noted = {one.finding_id: one async for one in said if is_one(one)} if run.repairs else {}

        async def note(found: Sequence[Finding]) -> None:
            await self._runs.report(run.workspace, found, self._clock.unix_micros())

        return noted, note

    async def _odd(
        self, run: Run, scope: Scope, settled: Settled, left: Collection[str], unsure: Collection[str]
    ) -> OddRows:
        """Returns the rows that say otherwise than the ledger, where nothing is said of that yet."""
        named = await self._settled_findings.named_by(run, _UNSETTLED, with_counting=True)
        now, until = self._clock.unix_micros(), settled.accepted_until_micros
        said, note = await self._noting(run, is_of_altered)
        return await self._rows.altered(scope, now, until, unsure, named.union(left), said, note, repairs=run.repairs)

    async def _reconcile(
        self,
        run: Run,
        scope: Scope,
        workspace: Workspace,
        part: int,
        settled: Settled,
        read: Reading,
        left: Collection[str],
        chains: Chains,
    ) -> dict[str, int]:
        """Compares one slice of people, stores what differs, repairs it; returns what was counted.

        Of what has no row of its own, and is `left` so, that has been said; likewise of revisions that nobody
        knows (`Chains.unknown`), which are repaired beside it.
        """
        if part not in read.slices:  # of few conversions it costs more to ask than to compare
            return {"differences": 0, "repaired": 0}
        differences = await self._differences(scope, workspace, part, settled, read)
        stale = await self._comparison.stale_people(scope, part, settled)
        miscounted = await self._miscounted(scope, workspace, part, settled, read)
        is_cut = max(len(differences), len(stale), len(miscounted)) >= LIMIT
        differences = [one for one in differences if one.conversion_id not in left]
        miscounted = [one for one in miscounted if one.conversion_id not in left]
        known = {one.conversion_id for one in differences}
        stale = [one for one in stale if one.conversion_id not in known and one.conversion_id not in left]
        known |= {one.conversion_id for one in stale}
        now = self._clock.unix_micros()
        found = [
            *await self._repair.explain(scope, differences, now, settled.accepted_until_micros),
            *self._repair.explain_stale(scope, stale, now),
            *self._repair.explain_miscounted(scope, miscounted, now),
        ]
        lost = await self._comparison.staged(scope, part, chains.unknown) if chains.unknown else []
        if (found or lost) and run.repairs:
            tokens_of = await read.tokens_of([*differences, *lost])
            ids = list(
                dict.fromkeys(
                    (*known, *(one.conversion_id for one in miscounted), *(one.conversion_id for one in lost))
                )
            )
            people = [tokens_of.get(one, ()) for one in ids]
            numbers = {one.conversion_id: chains.unknown[one.conversion_id] for one in lost}
            await self._runs.report(run.workspace, chains.about_to_be_mended(numbers), now)
            revisions = await self._repair.repair(scope, workspace, people, ids, numbers)
            await self._settle()
            found = await self._checked(found, revisions, scope, workspace, part, read)
        found = await self._runs.report(run.workspace, found, self._clock.unix_micros())
        counts = {**_differences(found), **_unresolved(found)}
        if is_cut:
            counts["cut_slices"] = 1
        return counts

    async def _checked(
        self,
        found: Sequence[Finding],
        revisions: Mapping[str, int],
        scope: Scope,
        workspace: Workspace,
        part: int,
        read: Reading,
    ) -> list[Finding]:
        """Looks again: resolved is what does not differ any more."""
        whenever = Settled(_FOREVER, _FOREVER)
        again = {one.conversion_id for one in await self._differences(scope, workspace, part, whenever, read)}
        again |= {one.conversion_id for one in await self._comparison.stale_people(scope, part, whenever)}
        miscounted = await self._miscounted(scope, workspace, part, whenever, read)
        miscounted_again = {one.conversion_id for one in miscounted}
        return [
            one
            if one.conversion_id in (miscounted_again if is_about_counting(one) else again)
            else one.repaired(revisions.get(one.conversion_id, 0))
            for one in found
        ]

    async def _differences(
        self, scope: Scope, workspace: Workspace, part: int, settled: Settled, read: Reading
    ) -> list[Difference]:
        """Compares one slice under the settings that held at each time."""
        found = await self._comparison.frozen_differences(scope, part, settled)
        for compared in compared_settings(workspace, read.pinned, read.oldest_micros, scope.end_micros):
            found += await self._comparison.differences(scope, part, settled, compared)
        return found

    async def _miscounted(
        self, scope: Scope, workspace: Workspace, part: int, settled: Settled, read: Reading
    ) -> list[MiscountedConversion]:
        """Compares which conversions count in one slice, where names do not count every one."""
        rules = {one.name: one.counting.value for one in workspace.conversions if one.counting is not Counting.EVERY}
        found: list[MiscountedConversion] = []
        compares = compared_settings(workspace, read.pinned, read.oldest_micros, scope.end_micros) if rules else ()
        for compared in compares:
            found += await self._comparison.miscounted(scope, part, settled, compared, rules)
        return found


def _added(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: counts.get(name, 0) + more.get(name, 0) for name in {*counts, *more}}


def _differences(found: Sequence[Finding]) -> dict[str, int]:
    """Returns how many findings there are, how many of them are repaired, and how many have which cause."""
    repaired = sum(one.state is FindingState.RESOLVED for one in found)
    causes = Counter(f"cause_{one.cause.lower()}" for one in found)
    return {"differences": len(found), "repaired": repaired, **causes}


def _unresolved(found: Sequence[Finding]) -> dict[str, int]:
    """Returns how many findings of each severity nobody has looked at, and how many somebody has."""
    states = FindingState.OPEN, FindingState.ACKNOWLEDGED
    severities = Severity.ERROR, Severity.WARNING
    standing = Counter((one.state, one.severity) for one in found)
    return {f"{state}_{severity}s".lower(): standing[state, severity] for state in states for severity in severities}
