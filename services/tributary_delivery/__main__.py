"""Delivery as a process: `python -m tributary_delivery`."""

from __future__ import annotations

import random
import socket
from contextlib import AsyncExitStack

import httpx

from tributary_delivery.attempt import AttemptRules
from tributary_delivery.destination_spans import DestinationSpans
from tributary_delivery.dispatcher import Dispatcher, Runner
from tributary_delivery.forgotten_names import ForgottenNames
from tributary_delivery.key_consents import KeyConsents, identifications
from tributary_delivery.lane import LaneRunner, Pace, Stores
from tributary_delivery.lead_objects import NameStores
from tributary_delivery.ledger_batches import LedgerBatches
from tributary_delivery.leftovers import Leftovers
from tributary_delivery.match_keys import MatchKeyOpener
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.operations import Operations
from tributary_delivery.permissions import Permissions
from tributary_delivery.planner import Planner
from tributary_delivery.reports import Reports
from tributary_delivery.senders import Senders, click_keys, homes
from tributary_delivery.servicer import DeliveryServicer
from tributary_delivery.settings import DeliverySettings
from tributary_delivery.trial_runs import DestinationTests
from tributary_delivery.warehouse_lane import WarehouseLanes
from tributary_delivery.warehouse_trial import TrialRuns
from tributary_domain.backoff import Backoff
from tributary_runtime import metrics
from tributary_runtime.assumed_consent import assumed_by_id
from tributary_runtime.clock import SystemClock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.gate import Gate
from tributary_runtime.identity_limits import limits_by_id
from tributary_runtime.readiness import Guard
from tributary_runtime.server import run, serve
from tributary_runtime.settings import DurabilityMode, load
from tributary_runtime.settings_digest import digests_by_id
from tributary_runtime.warehouse_destinations import WarehouseDestination
from tributary_runtime.worker import Worker
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.destination_reports import DestinationReports
from tributary_storage.clickhouse.destination_spans import DestinationSpans as StoredSpans
from tributary_storage.clickhouse.past_families import PastFamilies
from tributary_storage.clickhouse.recorded_leads import RecordedLeads
from tributary_storage.clickhouse.role_marks import PublishedMarks, TriedMarks
from tributary_storage.clickhouse.sent_ledger import SentLedger
from tributary_storage.clickhouse.warehouse_batches import WarehouseBatches
from tributary_storage.clickhouse.warehouse_files import WarehouseFiles
from tributary_storage.clickhouse.writer import DeliveryWriter
from tributary_storage.continuity import Continuity
from tributary_storage.redis.abandoned_jobs import AbandonedJobs
from tributary_storage.redis.awaited_reports import AwaitedReports
from tributary_storage.redis.client import connect
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.conversion_log import ConversionLogSource
from tributary_storage.redis.conversions import Conversions
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.dead_letters import DeadLetters
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import wait_for_epoch
from tributary_storage.redis.erased_names import ErasedNames
from tributary_storage.redis.first_claims import FirstClaims
from tributary_storage.redis.keys import CONVERSION_LOG_GROUPS
from tributary_storage.redis.names_in_jobs import NamesInJobs
from tributary_storage.redis.object_holds import ObjectHolds
from tributary_storage.redis.people import People
from tributary_storage.redis.readmission import Readmission
from tributary_storage.redis.reconnection import Reconnection
from tributary_storage.redis.replayed_jobs import ReplayedJobs
from tributary_storage.redis.replication import Replication
from tributary_storage.redis.shared_tokens import SharedTokens
from tributary_storage.redis.taken_back import TakingBack
from tributary_storage.redis.waiting_jobs import WaitingJobs
from tributary_storage.redis.warehouse_progress import WarehouseProgress


async def main(settings: DeliverySettings) -> None:
    """Builds the service from its parts and serves until SIGTERM."""
    clock, gate, workspaces = SystemClock(), Gate(), WorkspacesFile.load(settings.workspaces_file)
    rules = AttemptRules(Backoff(), random.Random(), settings.delivery_horizon_seconds)  # noqa: S311 - jitter
    tls = httpx.create_ssl_context()
    async with AsyncExitStack() as closing:  # closes in reverse order
        state_url, jobs_url = settings.state_url.get_secret_value(), settings.jobs_url.get_secret_value()
        state_checks = await closing.enter_async_context(connect(state_url, name="delivery-state-checks"))
        checks = await closing.enter_async_context(connect(jobs_url, name="delivery-checks"))
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(settings.clickhouse_url, name="delivery")
        )
        epoch, jobs_epoch = await wait_for_epoch(state_checks, "state"), await wait_for_epoch(checks, "jobs")
        replicas = settings.delivery_replicas if settings.durability is DurabilityMode.REPLICATED else 0
        published = PublishedMarks(clickhouse, epoch.shards)
        state_continuity = Continuity(state_checks, "state", Conversions(state_checks, epoch.shards), published)
        state_guards: list[Guard] = [
            Durability(state_checks, "state", settings.durability, epoch=epoch),
            state_continuity,
        ]
        continuity = Continuity(checks, "jobs", DeliveryJobs(checks), TriedMarks(clickhouse))
        jobs_guards: list[Guard] = [
            Durability(checks, "jobs", settings.durability, epoch=jobs_epoch, replicas=replicas),
            continuity,
        ]
        confirm = Reconnection(state_checks, state_guards).confirm
        state_store = await closing.enter_async_context(
            connect(state_url, name="delivery-state", confirm=confirm, gate=gate)
        )
        confirm = Reconnection(checks, jobs_guards).confirm
        jobs_store = await closing.enter_async_context(
            connect(jobs_url, name="delivery-jobs", confirm=confirm, gate=gate)
        )
        jobs = DeliveryJobs(jobs_store, lambda: continuity.loss_micros)
        replication = Replication(jobs_store, "jobs", replicas)
        states, history = DestinationStates(jobs_store), ConversionHistory(clickhouse)
        newest = NewestRevisions(Conversions(state_store, epoch.shards), history)
        ledger = LedgerBatches(DeliveryWriter(clickhouse))
        permissions = Permissions(
            People(state_store, epoch.shards, limits_by_id(workspaces.find)),
            Consents(state_store, epoch.shards),
            assumed_by_id(workspaces.find),
            lambda: state_continuity.loss_micros,
        )
        awaited, digest_of = AwaitedReports(jobs_store), digests_by_id(workspaces.find)
        stores = Stores(
            *(jobs, states, newest, ledger, history, permissions, ObjectHolds(jobs_store), digest_of),
            *(awaited, replication),
        )
        pace = Pace(settings.delivery_concurrency, settings.delivery_call_seconds, settings.delivery_margin_seconds)

        opener = MatchKeyOpener(DataKeys(state_store, epoch.shards), workspaces.wrapping_keys)
        names = NameStores(FirstClaims(jobs_store), PastFamilies(clickhouse), click_keys(workspaces.find))
        consents = KeyConsents(permissions, identifications(workspaces.find))
        about = (opener, consents, history, names, homes(workspaces.find), clock, settings.delivery_call_seconds, tls)
        senders = Senders(*about, tokens=SharedTokens(jobs_store))

        exporting = await closing.enter_async_context(
            clickhouse_client.connect(
                settings.clickhouse_url, name="export", timeout_seconds=settings.delivery_export_seconds
            )
        )
        consumer = settings.delivery_consumer or socket.gethostname()
        progress = WarehouseProgress(jobs_store)
        exports = WarehouseLanes(
            WarehouseBatches(exporting), WarehouseFiles(exporting), states, progress, consumer, clock, digest_of
        )

        def make_lane(lane: Lane, destination: DestinationSettings) -> Runner:
            if isinstance(destination, WarehouseDestination):
                return exports.make(lane, destination)
            return LaneRunner(lane, destination, senders.make(lane, destination), stores, rules, clock, pace)

        dispatcher = Dispatcher(workspaces, make_lane)
        source = ConversionLogSource(
            state_store, consumer, epoch.shards, entries=settings.delivery_batch_revisions, linger_seconds=0.02
        )
        lookup = WorkspaceLookup(workspaces, clock, settings.workspace_grace_seconds)
        spans = DestinationSpans(StoredSpans(clickhouse))
        planner = Planner(lookup, jobs, ledger, spans, clock, dispatcher.wake)
        operations = Operations(SentLedger(clickhouse), ReplayedJobs(jobs_store), clock, WaitingJobs(jobs_store))
        kept, taking_back = DestinationReports(clickhouse), TakingBack(jobs_store)
        tests = DestinationTests(TrialRuns(senders, WarehouseFiles(exporting)), states, clock)
        await serve(
            settings,
            DeliveryServicer(workspaces, jobs, states, operations, tests, progress, clock, digest_of),
            loops=[
                workspaces,
                dispatcher,
                Reports(workspaces, awaited, senders, kept, ledger, taking_back, states, clock, digest_of),
                Leftovers(AbandonedJobs(jobs_store), workspaces, clock),
                ForgottenNames(
                    *(ErasedNames(state_store), NamesInJobs(jobs_store), RecordedLeads(clickhouse)),
                    *(workspaces, clock, replication.settle),
                ),
                Readmission(DeadLetters(state_store, state_store, epoch.shards), CONVERSION_LOG_GROUPS, workspaces),
                Worker(metrics.Group.DELIVER, source, planner, clock, gate=gate, settle=replication.settle),
            ],
            guards=[*state_guards, *jobs_guards],
            clock=clock,
            gate=gate,
        )


if __name__ == "__main__":
    run(load(DeliverySettings), main)
