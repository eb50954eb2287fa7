"""Query as a process: `python -m tributary_query`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceStub
from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceStub
from tributary.delivery.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from tributary_query.conversions import Conversions
from tributary_query.deliveries import Deliveries
from tributary_query.delivery_funnel import Funnels
from tributary_query.erasures import Erasures
from tributary_query.event_filters import EventFilters
from tributary_query.events import Events
from tributary_query.explanations import Explanations
from tributary_query.finality import Finalities
from tributary_query.health import Health
from tributary_query.identities import Identities
from tributary_query.integrity import Integrity
from tributary_query.journeys import Journeys
from tributary_query.models import Models
from tributary_query.naming import ConversionNames
from tributary_query.quarantine import Quarantine
from tributary_query.reattributions import Reattributions
from tributary_query.reconciliations import Reconciliations
from tributary_query.reports import Reports
from tributary_query.servicer import QueryServicer, UseCases
from tributary_query.settings import QuerySettings
from tributary_runtime.authentication import Authenticator
from tributary_runtime.channels import open_channel
from tributary_runtime.clock import SystemClock
from tributary_runtime.server import run, serve
from tributary_runtime.settings import load
from tributary_runtime.tls import Tls
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.delivery_funnel import DeliveryFunnel
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.clickhouse.past_events import PastEvents
from tributary_storage.clickhouse.quarantine import QuarantinedEvents
from tributary_storage.clickhouse.reconciled_days import ReconciledDays
from tributary_storage.clickhouse.refused_events import RefusedEvents
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import wait_for_epoch
from tributary_storage.redis.progress import Progress

FORWARD_SECONDS: Final = 60.0
"""How long a forwarded call may take whose caller did not say how long to wait: a page of reattribution needs it."""


async def main(settings: QuerySettings) -> None:
    """Builds the service from its parts and serves until SIGTERM."""
    tls = Tls.of(settings)
    clock, workspaces, token = SystemClock(), WorkspacesFile.load(settings.workspaces_file), settings.internal_token
    async with AsyncExitStack() as closing:  # closes in reverse order
        log_store = await closing.enter_async_context(
            connect(settings.log_url.get_secret_value(), name="query-log", timeout_seconds=2.0)
        )
        state_store = await closing.enter_async_context(
            connect(settings.state_url.get_secret_value(), name="query-state", timeout_seconds=2.0)
        )
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(
                settings.clickhouse_url,
                name="query",
                timeout_seconds=settings.query_timeout_seconds,
                connections=settings.query_connections,
            )
        )
        to = partial(open_channel, internal_token=token, deadline_seconds=FORWARD_SECONDS, is_forwarding=True, tls=tls)
        attribution = await closing.enter_async_context(to(settings.attribution_target))
        dedup = await closing.enter_async_context(to(settings.dedup_target))
        delivery = await closing.enter_async_context(to(settings.delivery_target))
        progress = Progress(log_store, state_store, await wait_for_epoch(log_store, "log"))
        history, models = ConversionHistory(clickhouse), Models(ModelVersions(clickhouse))
        refused, decided = RefusedEvents(clickhouse), QuarantinedEvents(clickhouse)
        filters, finalities = EventFilters(workspaces, clock), Finalities(ReconciledDays(clickhouse), workspaces, clock)
        names = ConversionNames(history, filters.stored_ids)
        use_cases = UseCases(
            reports=Reports(clickhouse, models, progress, finalities, clock),
            conversions=Conversions(history, names, finalities),
            identities=Identities(AttributionServiceStub(attribution)),
            erasures=Erasures(AttributionServiceStub(attribution)),
            journeys=Journeys(AttributionServiceStub(attribution), history),
            health=Health(clickhouse, progress, settings.durability),
            integrity=Integrity(StoredIntegrity(clickhouse), progress, DeliveryServiceStub(delivery)),
            events=Events(DedupServiceStub(dedup), refused, filters),
            quarantine=Quarantine(DedupServiceStub(dedup), refused, decided, filters),
            reattributions=Reattributions(AttributionServiceStub(attribution)),
            explanations=Explanations(
                AttributionServiceStub(attribution), history, names, PastEvents(clickhouse), decided
            ),
            models=models,
            reconciliations=Reconciliations(AttributionServiceStub(attribution)),
            deliveries=Deliveries(DeliveryServiceStub(delivery)),
            funnels=Funnels(DeliveryFunnel(clickhouse), clock),
        )
        await serve(
            settings,
            QueryServicer(workspaces, use_cases),
            loops=[workspaces],
            authenticator=Authenticator(workspaces, clock),
            clock=clock,
        )


if __name__ == "__main__":
    run(load(QuerySettings), main)
