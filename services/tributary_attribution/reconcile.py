"""Reconciliation as a process: `python -m tributary_attribution.reconcile --workspace shop --days 1 --repair`.

Reads the same environment as the service. With `--past-days` a second run follows over older days, those that were
compared longest ago. Who asks for the same within a day goes on with what was stopped. Progress goes to standard error,
the result as one JSON document per run to standard output. Exit status, the worst of all runs: 0 nothing is open, 1
something should be looked at, 2 a promise is broken and not repaired; 3 a run could not be brought to its end: try
again, or go on with --resume; or nothing was begun: the command line, the environment or `workspaces.yaml` is wrong, or
the state store is one that the service would refuse as well.
What somebody has acknowledged is counted apart, and is no reason for 1 or 2.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import structlog

from tributary_attribution.attributor import Attributor
from tributary_attribution.chain_checks import ChainChecks
from tributary_attribution.composition import crediting_parts, state_guards
from tributary_attribution.cross_checks import CrossChecks
from tributary_attribution.deal_checks import DealChecks
from tributary_attribution.extra_conversions import ExtraConversions
from tributary_attribution.ledger_checks import LedgerChecks
from tributary_attribution.ledger_repair import LedgerRepair
from tributary_attribution.lost_events import LostEvents
from tributary_attribution.lost_refusals import LostRefusals
from tributary_attribution.newest_row_checks import NewestRowChecks
from tributary_attribution.open_erasures import OpenErasures
from tributary_attribution.reconcile_options import read_options
from tributary_attribution.reconciliation import Reconciliation
from tributary_attribution.recording_checks import RecordingChecks
from tributary_attribution.repair import Repair
from tributary_attribution.run_lease import RunLease
from tributary_attribution.run_reading import RunReading
from tributary_attribution.runs import UNFINISHED, exit_status
from tributary_attribution.settings import AttributionServiceSettings
from tributary_attribution.severed_row_checks import SeveredRowChecks
from tributary_attribution.steps import let_others_run
from tributary_attribution.stored_revisions import StoredRevisions
from tributary_attribution.tombstones import Tombstones
from tributary_attribution.verdict_sums import VerdictSums
from tributary_attribution.waiting_checks import WaitingChecks
from tributary_attribution.wanted_runs import WantedRuns
from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.errors import NotFoundError, StorageUnavailableError, TributaryError, WorkerDecision
from tributary_runtime.gate import Gate
from tributary_runtime.readiness import Guard, Health, Readiness
from tributary_runtime.settings import load
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.identity_words import IdentityWords
from tributary_storage.clickhouse.ledger_rows import LedgerRows
from tributary_storage.clickhouse.newest_rows import NewestRows
from tributary_storage.clickhouse.pending_values import PendingValues
from tributary_storage.clickhouse.reconciliation_comparison import ReconciliationComparison
from tributary_storage.clickhouse.reconciliation_deals import ReconciliationDeals
from tributary_storage.clickhouse.reconciliation_families import ReconciliationFamilies
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns, Run
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import ReconciliationStaging
from tributary_storage.clickhouse.retained_since import RetainedSince
from tributary_storage.clickhouse.revision_rows import RevisionRows
from tributary_storage.clickhouse.settings_versions import SettingsVersions
from tributary_storage.clickhouse.severed_rows import SeveredRows
from tributary_storage.clickhouse.unfinished_erasures import UnfinishedErasures
from tributary_storage.clickhouse.writer import ConversionWriter, EventWriter
from tributary_storage.redis.client import connect
from tributary_storage.redis.conversions import Conversions
from tributary_storage.redis.epoch import Epoch, wait_for_epoch
from tributary_storage.redis.log_side import LogSide
from tributary_storage.redis.people import People
from tributary_storage.redis.reconnection import Reconnection
from tributary_storage.redis.replication import Replication
from tributary_storage.redis.run_leases import RunLeases

STATEMENT_SECONDS: Final = 600.0
"""How long one statement may take."""

PATIENCE_SECONDS: Final = 60.0
"""How long a store may keep silent before the first statement: no deadline of a caller runs yet."""


def reconciliation_of(
    clickhouse: ClickHouse,
    attributor: Attributor,
    people: People,
    conversions: Conversions,
    erasures: OpenErasures,
    clock: Clock,
    recorded: tuple[LogSide, Tombstones] | None = None,
    settle: Callable[[], Awaitable[None]] = let_others_run,
) -> Reconciliation:
    """Puts reconciliation together.

    Args:
        clickhouse: With time for long statements.
        attributor: What repairs go through.
        people: Finds journeys.
        conversions: Knows what is published.
        erasures: Which are under way.
        clock: Says when.
        recorded: The event log, and who was erased; None: what the log counted and holds is not looked at.
        settle: Returns when what repairs published is as safe as it must be.
    """
    sources, words = ReconciliationSources(clickhouse), IdentityWords(clickhouse)
    rows, newest = RevisionRows(clickhouse), NewestRows(clickhouse)
    revisions = StoredRevisions(conversions, rows, newest, ConversionWriter(clickhouse))
    ledger = LedgerRows(clickhouse)
    severed = SeveredRowChecks(newest, SeveredRows(clickhouse), erasures, clock)
    recording: RecordingChecks | None = None
    if recorded is not None:
        log, tombstones = recorded
        lost = LostEvents(log, sources, EventWriter(clickhouse), tombstones.left_of)
        refusals = LostRefusals(log, sources, EventWriter(clickhouse), tombstones.names_erased)
        recording = RecordingChecks(VerdictSums(log, sources), lost, refusals)
    return Reconciliation(
        RunReading(
            ReconciliationStaging(clickhouse),
            ReconciliationFamilies(clickhouse),
            words,
            ReconciliationComparison(clickhouse),
            SettingsVersions(clickhouse),
        ),
        ReconciliationComparison(clickhouse),
        ReconciliationRuns(clickhouse),
        Repair(people, conversions, attributor, sources, words, revisions),
        ChainChecks(revisions),
        LedgerChecks(ledger, LedgerRepair(ledger, conversions, ConversionWriter(clickhouse))),
        NewestRowChecks(newest, conversions, severed),
        severed,
        ExtraConversions(ReconciliationComparison(clickhouse), conversions, rows),
        CrossChecks(
            sources,
            DealChecks(ReconciliationDeals(clickhouse), ReconciliationRuns(clickhouse)),
            WaitingChecks(sources, PendingValues(clickhouse)),
        ),
        clock,
        recording,
        settle,
        retained_since=RetainedSince(clickhouse).newest,
    )


@asynccontextmanager
async def opened(
    settings: AttributionServiceSettings, workspaces: WorkspacesFile, clock: Clock
) -> AsyncIterator[tuple[Reconciliation, ReconciliationRuns, RunLeases]]:
    """Opens the stores, and closes them on exit.

    Raises:
        PreconditionError: The state store may forget, or is older than what was published from it: nothing is read.
        StorageUnavailableError: A store does not answer.
    """
    gate = Gate()
    async with AsyncExitStack() as closing:  # closes in reverse order
        state_url = settings.state_url.get_secret_value()
        checks = await closing.enter_async_context(connect(state_url, name="reconcile-checks"))
        epoch: Epoch = await wait_for_epoch(checks, "state")
        log_url = settings.log_url.get_secret_value()
        log = await closing.enter_async_context(connect(log_url, name="reconcile-log"))
        log_epoch = await wait_for_epoch(log, "log")
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(
                settings.clickhouse_url, name="reconcile", timeout_seconds=STATEMENT_SECONDS, connections=1
            )
        )
        asked = await closing.enter_async_context(
            clickhouse_client.connect(settings.clickhouse_url, name="reconcile-checks", connections=1)
        )
        guarded = state_guards(checks, epoch, asked, settings)
        await closing.enter_async_context(watched(guarded.guards, gate, workspaces))
        confirm = Reconnection(checks, guarded.guards).confirm
        state = await closing.enter_async_context(
            connect(state_url, name="reconcile-state", confirm=confirm, gate=gate)
        )
        lookup, continuity = WorkspaceLookup(workspaces, clock, 0), guarded.continuity
        parts = crediting_parts(
            *(state, epoch, clickhouse, workspaces, lookup, settings, clock),
            lambda: continuity.loss_micros,
            lambda: not continuity.loss_micros,
        )
        await parts.models.refresh()
        unfinished = UnfinishedErasures(clickhouse, lambda name: workspaces.get(name).pepper.reveal().encode())
        erasures = OpenErasures(parts.erasures, unfinished, parts.tombstones.refresh, clock)
        yield (
            reconciliation_of(
                *(clickhouse, parts.attributor, parts.people, parts.conversions, erasures, clock),
                (LogSide(log, log_epoch.shards), parts.tombstones),
                Replication(state, "state", guarded.replicas).settle,
            ),
            ReconciliationRuns(clickhouse),
            RunLeases(state),
        )


@asynccontextmanager
async def watched(guards: Sequence[Guard], gate: Gate, workspaces: WorkspacesFile) -> AsyncIterator[None]:
    """Opens the gate if the guards pass, and keeps asking them, as a service does.

    Likewise it keeps the workspaces as the file says: repairs post to no day that was closed while the run went on.

    Raises:
        PreconditionError: A guard refuses.
        StorageUnavailableError: A store did not answer for `PATIENCE_SECONDS`: a busy minute must not cost the night.
    """
    for guard in guards:
        await answered(guard)
    readiness, stop = Readiness(guards, Health(()), gate), asyncio.Event()
    await readiness.check()
    watching = asyncio.gather(readiness.run(stop), workspaces.run(stop))
    try:
        yield
    finally:
        stop.set()
        await watching


async def answered(guard: Guard, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Asks a guard until it can tell.

    Raises:
        PreconditionError: It refuses: at once.
        StorageUnavailableError: It could not tell for that long.
    """
    now = asyncio.get_running_loop().time
    last = now() + patience_seconds
    while True:
        try:
            return await guard()
        except StorageUnavailableError as outage:
            if now() >= last:
                raise
            print(f"Waiting for {guard.name}: {outage.message}", file=sys.stderr)
        await asyncio.sleep(0.5)


async def reconcile(settings: AttributionServiceSettings, options: argparse.Namespace) -> int:
    """Runs what the command line asks for; returns the exit status."""
    clock, workspaces = SystemClock(), WorkspacesFile.load(settings.workspaces_file)
    asked = workspaces.current.workspaces if options.all else (workspaces.get(options.workspace),)
    worst = 0
    async with opened(settings, workspaces, clock) as (reconciliation, runs, leases):
        wanted = WantedRuns(runs, options, clock)
        for of in (wanted.recent, wanted.past):
            for workspace in asked:
                try:
                    run = await of(workspace)
                    if run is None:
                        continue
                    async with RunLease(leases, run, clock):
                        run = await reconciliation.run(run, workspace, grace_seconds=options.grace_seconds, told=_tell)
                except TributaryError as error:  # the next workspace may be well
                    print(f"{workspace.id}: {error.reason}: {error.message}", file=sys.stderr)
                    worst = UNFINISHED
                    continue
                except WorkerDecision as undecided:  # likewise
                    print(f"{workspace.id}: UNFINISHED: {undecided}", file=sys.stderr)
                    worst = UNFINISHED
                    continue
                print(json.dumps(_document(run)), flush=True)
                worst = max(worst, exit_status(run, fails_on=options.fail_on))
    return worst


def _document(run: Run) -> dict[str, object]:
    """Returns what is printed of a run."""
    begin, end = (datetime.fromtimestamp(at / 1e6, UTC).isoformat() for at in (run.begin_micros, run.end_micros))
    named = {"workspace": run.workspace, "reconciliation_id": run.reconciliation_id, "begin": begin, "end": end}
    return {**named, "with_changes": run.with_changes, "complete": run.is_complete, **run.counts}


def _tell(run: Run) -> None:
    done = len(run.finished_slices)
    print(
        f"{run.workspace} {run.reconciliation_id}: {done}/{run.slices} slices, {run.counts}",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line and the environment, and runs; returns the exit status, or exits with `UNFINISHED`."""
    options = read_options(arguments, description=__doc__)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is the result's
    try:
        return asyncio.run(reconcile(load(AttributionServiceSettings, exit_status=UNFINISHED), options))
    except NotFoundError as error:
        print(f"{error.reason}: {error.message} ({error.resource_type} {error.resource_name})", file=sys.stderr)
    except TributaryError as error:
        print(f"{error.reason}: {error.message}", file=sys.stderr)
    except Exception:  # Python's own status is 1, and that says that a run came to its end
        traceback.print_exc()
    return UNFINISHED


if __name__ == "__main__":
    sys.exit(main())
