"""Attribution as a process: `python -m tributary_attribution`."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

from tributary_attribution.beginnings import Beginnings
from tributary_attribution.composition import crediting_parts, state_guards
from tributary_attribution.ended_paths import EndedPaths
from tributary_attribution.erasing import Erasing
from tributary_attribution.erasure_waits import ErasureWaits
from tributary_attribution.expiry import Expiry
from tributary_attribution.explaining import Explainer
from tributary_attribution.heirs_of_erased import HeirsOfErased
from tributary_attribution.identities import Identities
from tributary_attribution.journeys import JourneyReader
from tributary_attribution.model_choices import ModelChoices
from tributary_attribution.model_publishing import ModelPublishing
from tributary_attribution.names_at_delivery import NamesAtDelivery
from tributary_attribution.old_evidence import OldEvidence
from tributary_attribution.old_people import OldPeople
from tributary_attribution.open_erasures import OpenErasures
from tributary_attribution.order_changes import OrderChanges
from tributary_attribution.people_as_paths import PeopleAsPaths
from tributary_attribution.rate_corrections import RateCorrections
from tributary_attribution.reattribution import Reattribution
from tributary_attribution.rebuild import Rebuild
from tributary_attribution.reconcile import STATEMENT_SECONDS, reconciliation_of
from tributary_attribution.reconciling import Reconciling
from tributary_attribution.retention import Retention
from tributary_attribution.servicer import AttributionServicer
from tributary_attribution.settings import AttributionServiceSettings
from tributary_attribution.shared_orders import SharedOrders
from tributary_attribution.stand_in_making import StandInMaking
from tributary_attribution.stand_ins import StandIns
from tributary_attribution.turns import Turn
from tributary_runtime import metrics
from tributary_runtime.assumed_consent import assumed_by_id
from tributary_runtime.clock import SystemClock
from tributary_runtime.gate import Gate
from tributary_runtime.heap import OF_A_BATCH, settle_heap
from tributary_runtime.readiness import Guard
from tributary_runtime.server import run, serve
from tributary_runtime.settings import load
from tributary_runtime.worker import Worker
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.deliveries_of_others import DeliveriesOfOthers
from tributary_storage.clickhouse.ended_paths import EndedPathRecords
from tributary_storage.clickhouse.erased_deals import ErasedDeals
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.exchange_rates import ExchangeRates
from tributary_storage.clickhouse.identity_words import IdentityWords
from tributary_storage.clickhouse.lost_state import LostState
from tributary_storage.clickhouse.order_changes import OrderChangeRecords
from tributary_storage.clickhouse.past_events import PastEvents
from tributary_storage.clickhouse.published_conversions import PublishedConversions
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns
from tributary_storage.clickhouse.retention import RetentionRecords
from tributary_storage.clickhouse.stand_ins import StandInRecords
from tributary_storage.clickhouse.unfinished_erasures import UnfinishedErasures
from tributary_storage.redis import keys
from tributary_storage.redis.backlogs import oldest_event_micros
from tributary_storage.redis.client import connect
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.conversion_log import ConversionLogKeeping
from tributary_storage.redis.converted_paths import ConvertedPaths
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.dead_letters import DeadLetters
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import wait_for_epoch
from tributary_storage.redis.erased_names import ErasedNames
from tributary_storage.redis.erased_people import ErasedPeople
from tributary_storage.redis.event_log import EventLogSource, Pace
from tributary_storage.redis.log_side import LogSide
from tributary_storage.redis.old_paths import OldPaths
from tributary_storage.redis.readmission import Readmission
from tributary_storage.redis.rebuild_progress import RebuildProgress
from tributary_storage.redis.reconnection import Reconnection
from tributary_storage.redis.replication import Replication
from tributary_storage.redis.run_leases import RunLeases
from tributary_storage.redis.stream_consumers import StreamConsumers


async def main(settings: AttributionServiceSettings) -> None:
    """Builds the service from its parts and serves until SIGTERM."""
    clock, gate, workspaces = SystemClock(), Gate(), WorkspacesFile.load(settings.workspaces_file)
    log_url, state_url = settings.log_url.get_secret_value(), settings.state_url.get_secret_value()
    async with AsyncExitStack() as closing:  # closes in reverse order
        log_checks = await closing.enter_async_context(connect(log_url, name="attribution-log-checks"))
        checks = await closing.enter_async_context(connect(state_url, name="attribution-checks"))
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(settings.clickhouse_url, name="attribution", connections=2)
        )
        log_epoch, epoch = await wait_for_epoch(log_checks, "log"), await wait_for_epoch(checks, "state")
        log_guards: list[Guard] = [Durability(log_checks, "log", settings.durability, epoch=log_epoch)]
        guarded = state_guards(checks, epoch, clickhouse, settings)
        continuity, replicas = guarded.continuity, guarded.replicas
        confirm = Reconnection(log_checks, log_guards).confirm
        log = await closing.enter_async_context(connect(log_url, name="attribution-log", confirm=confirm, gate=gate))
        confirm = Reconnection(checks, guarded.guards).confirm
        state = await closing.enter_async_context(
            connect(state_url, name="attribution-state", confirm=confirm, gate=gate)
        )
        lookup = WorkspaceLookup(workspaces, clock, settings.workspace_grace_seconds)
        parts = crediting_parts(
            *(state, epoch, clickhouse, workspaces, lookup, settings, clock),
            lambda: continuity.loss_micros,
            lambda: rebuild.is_whole(),
        )
        people, conversions, descriptors = parts.people, parts.conversions, parts.descriptors
        publisher = parts.publisher
        attributor, deferral, paths, history = parts.attributor, parts.deferral, parts.paths, parts.history
        models, rates, erasures, tombstones = parts.models, parts.rates, parts.erasures, parts.tombstones
        current_models, model_versions, changes = parts.current_models, parts.model_versions, parts.changes
        pace = Pace(settings.attribution_batch_events, settings.attribution_linger_ms / 1000)
        consumer = settings.attribution_consumer or socket.gethostname()
        sources = [
            EventLogSource(log, keys.ATTRIBUTE_GROUP, name, log_epoch.shards, pace)
            for name in (consumer, f"{consumer}/2")
        ]
        choices = ModelChoices(models, model_versions)
        beginnings = Beginnings(people, conversions, descriptors, history)
        turns = asyncio.Lock()
        consumers = [Turn(turns, source, attributor) for source in sources]
        settings_history = parts.settings_history
        converted = ConvertedPaths(state, epoch.shards)
        as_paths = PeopleAsPaths(paths, converted, people, conversions, descriptors, lookup, clock)
        old_people = OldPeople(
            *(LostState(clickhouse), PastEvents(clickhouse), IdentityWords(clickhouse), Consents(state, epoch.shards)),
            assumed_by_id(workspaces.find),
        )
        rebuild = Rebuild(
            RebuildProgress(state),
            LostState(clickhouse),
            IdentityWords(clickhouse),
            attributor,
            publisher,
            converted,
            paths,
            current_models,
            model_versions,
            OldEvidence(
                *(LostState(clickhouse), history, old_people, conversions, OldPaths(state, epoch.shards)),
                parts.settings_history,
            ),
            workspaces,
            clock,
            lambda: continuity.loss_micros,
        )
        interval = settings.attribution_model_interval_seconds
        long_reads = await closing.enter_async_context(
            clickhouse_client.connect(
                settings.clickhouse_url, name="reconcile", timeout_seconds=STATEMENT_SECONDS, connections=2
            )
        )
        unfinished = UnfinishedErasures(long_reads, lambda name: workspaces.get(name).pepper.reveal().encode())
        opened = OpenErasures(erasures, unfinished, tombstones.refresh, clock)
        reconciling = Reconciling(
            reconciliation_of(
                long_reads,
                attributor,
                people,
                conversions,
                opened,
                clock,
                (LogSide(log_checks, log_epoch.shards), tombstones),
                Replication(state, "state", replicas).settle,
            ),
            ReconciliationRuns(long_reads),
            RunLeases(state),
            workspaces,
            clock,
        )
        ended_paths = EndedPaths(EndedPathRecords(long_reads), old_people, clock)
        dead_letters = DeadLetters(log, state, log_epoch.shards)
        order_changes = OrderChanges(conversions, OrderChangeRecords(long_reads))
        of_stand_ins = (conversions, publisher, StandInRecords(long_reads), order_changes, workspaces, clock)
        making, stand_ins = StandInMaking(*of_stand_ins), StandIns(*of_stand_ins)
        erasing = Erasing(
            people,
            erasures,
            ErasedPeople(state, epoch.shards),
            opened,
            ErasureRecords(long_reads),
            DataKeys(state, epoch.shards),
            paths,
            conversions,
            making,
            stand_ins,
            HeirsOfErased(StandInRecords(long_reads), DeliveriesOfOthers(long_reads)),
            SharedOrders(conversions, ErasureRecords(long_reads), workspaces),
            ErasedDeals(long_reads, lambda name: workspaces.get(name).pepper.reveal().encode()),
            dead_letters,
            NamesAtDelivery(ErasedNames(state), opened, making),
            workspaces,
            clock,
            ErasureWaits(lambda: oldest_event_micros(log, log_epoch.shards), RunLeases(state)),
        )
        settle_heap(OF_A_BATCH)
        await serve(
            settings,
            AttributionServicer(
                JourneyReader(people, conversions, descriptors, workspaces, beginnings, clock),
                Explainer(
                    *(publisher, conversions, history, PastEvents(clickhouse), IdentityWords(clickhouse)),
                    *(settings_history, workspaces, choices, beginnings, parts.retained_since.of),
                ),
                Reattribution(publisher, PublishedConversions(clickhouse), workspaces, choices),
                reconciling,
                Identities(
                    people, beginnings, changes, IdentityWords(clickhouse), attributor.relink, workspaces, clock
                ),
                erasing,
            ),
            loops=[
                *[
                    Worker(
                        metrics.Group.ATTRIBUTE,
                        own,
                        own,
                        clock,
                        gate=gate,
                        settle=Replication(state, "state", replicas).settle,
                    )
                    for own in consumers
                ],
                deferral,
                RateCorrections(ExchangeRates(clickhouse), rates, deferral, workspaces, clock),
                settings_history,
                as_paths,
                models,
                ModelPublishing(
                    as_paths, current_models, model_versions, workspaces, clock, interval, rebuild.is_whole
                ),
                rebuild,
                reconciling,
                erasing,
                parts.retained_since,
                Expiry(RetentionRecords(long_reads), ended_paths, RunLeases(state), workspaces, clock),
                Retention(ConversionLogKeeping(state, epoch.shards), settings.attribution_replay_horizon_seconds),
                StreamConsumers.of_conversion_log(state, epoch.shards),
                Readmission(dead_letters, [keys.ATTRIBUTE_GROUP], workspaces),
                workspaces,
            ],
            guards=[*log_guards, *guarded.guards],
            clock=clock,
            gate=gate,
        )


if __name__ == "__main__":
    run(load(AttributionServiceSettings), main)
