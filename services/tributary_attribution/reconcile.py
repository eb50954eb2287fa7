"""Reconciliation as a process: `python -m tributary_attribution.reconcile --workspace shop --days 1 --repair`.

Reads the same environment as the service. Progress goes to standard error, the result as one JSON document per
workspace to standard output. Exit status, the worst of all workspaces: 0 nothing is open, 1 something should be looked
at, 2 a promise is broken and not repaired; 3 a run could not be brought to its end: try again, or go on with --resume.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, timedelta, tzinfo
from typing import Final

import structlog

from tributary_attribution.attributor import Attributor
from tributary_attribution.consents import ConsentLedger
from tributary_attribution.cross_checks import CrossChecks
from tributary_attribution.deal_checks import DealChecks
from tributary_attribution.deferral import Deferral
from tributary_attribution.erasure_plans import again
from tributary_attribution.families import Families
from tributary_attribution.linking import Linking
from tributary_attribution.lost_events import LostEvents
from tributary_attribution.lost_refusals import LostRefusals
from tributary_attribution.models import Models
from tributary_attribution.observing import Observing
from tributary_attribution.publishing import Publisher
from tributary_attribution.rates import Rates
from tributary_attribution.reconciliation import GRACE_SECONDS, Reconciliation
from tributary_attribution.recording_checks import RecordingChecks
from tributary_attribution.repair import Repair
from tributary_attribution.restoration import Restoration
from tributary_attribution.runs import FAILED, UNFINISHED, begun, exit_status
from tributary_attribution.settings import AttributionServiceSettings
from tributary_attribution.stored_revisions import StoredRevisions
from tributary_attribution.tombstones import Tombstones
from tributary_attribution.verdict_sums import VerdictSums
from tributary_attribution.waiting_checks import WaitingChecks
from tributary_domain.deal_matching import begin_of_day
from tributary_runtime.assumed_consent import assumed_by_id
from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.errors import TributaryError
from tributary_runtime.identity_limits import limits_by_id
from tributary_runtime.settings import load
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.consent_decisions import ConsentDecisions
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.exchange_rates import ExchangeRates
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.clickhouse.identity_words import IdentityWords
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.clickhouse.past_families import PastFamilies
from tributary_storage.clickhouse.pending_values import PendingValues
from tributary_storage.clickhouse.reconciliation_comparison import ReconciliationComparison
from tributary_storage.clickhouse.reconciliation_deals import ReconciliationDeals
from tributary_storage.clickhouse.reconciliation_families import ReconciliationFamilies
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns, Run
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import ReconciliationStaging
from tributary_storage.clickhouse.revision_rows import RevisionRows
from tributary_storage.clickhouse.writer import ConversionWriter, EventWriter
from tributary_storage.redis.click_ids import ClickIds
from tributary_storage.redis.client import connect
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.conversions import Conversions
from tributary_storage.redis.current_models import CurrentModels
from tributary_storage.redis.deferred import DeferredConversions
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.epoch import Epoch, wait_for_epoch
from tributary_storage.redis.erasures import Erasures
from tributary_storage.redis.log_side import LogSide
from tributary_storage.redis.people import People
from tributary_storage.redis.person_paths import PersonPaths

STATEMENT_SECONDS: Final = 600.0
"""How long one statement may take."""


def reconciliation_of(
    clickhouse: ClickHouse,
    attributor: Attributor,
    people: People,
    conversions: Conversions,
    clock: Clock,
    recorded: tuple[LogSide, Tombstones] | None = None,
) -> Reconciliation:
    """Puts reconciliation together.

    Args:
        clickhouse: With time for long statements.
        attributor: What repairs go through.
        people: Finds journeys.
        conversions: Knows what is published.
        clock: Says when.
        recorded: The event log, and who was erased; None: what the log counted and holds is not looked at.
    """
    sources, words = ReconciliationSources(clickhouse), IdentityWords(clickhouse)
    revisions = StoredRevisions(
        conversions, ConversionHistory(clickhouse), RevisionRows(clickhouse), ConversionWriter(clickhouse)
    )
    recording: RecordingChecks | None = None
    if recorded is not None:
        log, tombstones = recorded
        lost = LostEvents(log, sources, EventWriter(clickhouse), tombstones.living)
        refusals = LostRefusals(log, sources, EventWriter(clickhouse), tombstones.names_erased)
        recording = RecordingChecks(VerdictSums(log, sources), lost, refusals)
    return Reconciliation(
        ReconciliationStaging(clickhouse),
        ReconciliationFamilies(clickhouse),
        words,
        ReconciliationComparison(clickhouse),
        ReconciliationRuns(clickhouse),
        Repair(people, conversions, attributor, sources, words, revisions),
        CrossChecks(
            sources,
            DealChecks(ReconciliationDeals(clickhouse), ReconciliationRuns(clickhouse)),
            WaitingChecks(sources, PendingValues(clickhouse)),
        ),
        clock,
        recording,
    )


@asynccontextmanager
async def opened(
    settings: AttributionServiceSettings, workspaces: WorkspacesFile, clock: Clock
) -> AsyncIterator[tuple[Reconciliation, ReconciliationRuns]]:
    """Opens the stores, and closes them on exit."""
    async with AsyncExitStack() as closing:  # closes in reverse order
        state_url = settings.state_url.get_secret_value()
        state = await closing.enter_async_context(connect(state_url, name="reconcile-state"))
        epoch: Epoch = await wait_for_epoch(state, "state")
        log_url = settings.log_url.get_secret_value()
        log = await closing.enter_async_context(connect(log_url, name="reconcile-log"))
        log_epoch = await wait_for_epoch(log, "log")
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(
                settings.clickhouse_url, name="reconcile", timeout_seconds=STATEMENT_SECONDS, connections=1
            )
        )
        limits_of = limits_by_id(workspaces.find)
        people, conversions = People(state, epoch.shards, limits_of), Conversions(state, epoch.shards)
        descriptors, click_ids = Descriptors(state, epoch.shards, clock), ClickIds(state, epoch.shards)
        history = ConversionHistory(clickhouse)
        restoration = Restoration(history, conversions, epoch.create_time_micros)
        lookup = WorkspaceLookup(workspaces, clock, 0)
        models = Models(CurrentModels(state), ModelVersions(clickhouse))
        await models.refresh()
        paths = PersonPaths(state, epoch.shards, settings.attribution_path_delay_seconds)
        writer = ConversionWriter(clickhouse)
        rates = Rates(ExchangeRates(clickhouse), clock)
        families = Families(conversions, restoration, PastFamilies(clickhouse))
        publisher = Publisher(
            people, conversions, descriptors, click_ids, writer, restoration, paths, models, rates, families, clock
        )
        deferral = Deferral(DeferredConversions(state, epoch.shards), conversions, publisher, lookup, clock)
        observing = Observing(conversions, history)
        linking = Linking(people.ties, IdentityChanges(clickhouse), limits_of)
        consents = ConsentLedger(Consents(state, epoch.shards), ConsentDecisions(clickhouse))
        tombstones = Tombstones(
            Erasures(state, epoch.shards),
            ErasureRecords(clickhouse),
            lambda workspace, token, until: again(workspace, token, until, clock.unix_micros()),
        )
        attributor = Attributor(
            *(
                people,
                linking,
                observing,
                descriptors,
                click_ids,
                publisher,
                deferral,
                consents,
                tombstones,
                lookup,
                clock,
            ),
            assumed_of=assumed_by_id(workspaces.find),
        )
        yield (
            reconciliation_of(
                clickhouse, attributor, people, conversions, clock, (LogSide(log, log_epoch.shards), tombstones)
            ),
            ReconciliationRuns(clickhouse),
        )


async def reconcile(settings: AttributionServiceSettings, options: argparse.Namespace) -> int:
    """Runs what the command line asks for; returns the exit status."""
    clock, workspaces = SystemClock(), WorkspacesFile.load(settings.workspaces_file)
    asked = workspaces.current.workspaces if options.all else (workspaces.get(options.workspace),)
    worst = 0
    async with opened(settings, workspaces, clock) as (reconciliation, runs):
        for workspace in asked:
            try:
                run = await runs.find(workspace.id, options.resume) if options.resume else None
                if run is None:
                    now, (begin, end) = clock.unix_micros(), _days(options, clock, workspace.reporting.zone)
                    run = begun(workspace.id, begin, end, now, repairs=options.repair, slices=options.slices)
                run = await reconciliation.run(run, workspace, grace_seconds=options.grace_seconds, told=_tell)
            except TributaryError as error:  # the next workspace may be well
                print(f"{workspace.id}: {error.reason}: {error.message}", file=sys.stderr)
                worst = UNFINISHED
                continue
            named = {"workspace": run.workspace, "reconciliation_id": run.reconciliation_id}
            print(json.dumps({**named, "complete": run.is_complete, **run.counts}), flush=True)
            worst = max(worst, exit_status(run, fails_on=options.fail_on))
    return worst


def _tell(run: Run) -> None:
    done = len(run.finished_slices)
    print(
        f"{run.workspace} {run.reconciliation_id}: {done}/{run.slices} slices, {run.counts}",
        file=sys.stderr,
        flush=True,
    )


def _days(options: argparse.Namespace, clock: Clock, zone: tzinfo) -> tuple[int, int]:
    """Returns the first moment of the days, and the first after them, in the zone of the books."""
    end = options.until or clock.now().astimezone(zone).date() + timedelta(days=1)
    begin = options.since or end - timedelta(days=options.days)
    return _micros(begin, zone), _micros(end, zone)


def _micros(day: date, zone: tzinfo) -> int:
    return begin_of_day((day - date(1970, 1, 1)).days, zone)


def command_line() -> argparse.ArgumentParser:
    """Returns what reads the command line."""
    parser = argparse.ArgumentParser(prog="tributary_attribution.reconcile", description=__doc__)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--workspace", help="of this workspace")
    whose.add_argument("--all", action="store_true", help="of every workspace, one after the other")
    parser.add_argument("--since", type=date.fromisoformat, help="first day, in the zone of the books")
    parser.add_argument("--until", type=date.fromisoformat, help="first day after; default: tomorrow")
    parser.add_argument("--days", type=int, default=2, help="how many days, where --since is not given")
    parser.add_argument("--repair", action="store_true", help="repair what differs, as revisions")
    parser.add_argument("--resume", default="", metavar="ID", help="bring a run that was stopped to its end")
    parser.add_argument("--slices", type=int, default=8, help="in how many parts people are compared")
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS, help="what is younger waits")
    parser.add_argument("--fail-on", choices=sorted(FAILED), default="warning", help="what is no success")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line and the environment, and runs."""
    parser = command_line()
    options = parser.parse_args(arguments)
    if options.all and options.resume:
        parser.error("--resume goes on with the run of one --workspace")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is the result's
    try:
        return asyncio.run(reconcile(load(AttributionServiceSettings), options))
    except TributaryError as error:
        print(f"{error.reason}: {error.message}", file=sys.stderr)
        return UNFINISHED


if __name__ == "__main__":
    sys.exit(main())
