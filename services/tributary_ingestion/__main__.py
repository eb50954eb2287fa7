"""Ingestion as a process: `python -m tributary_ingestion`."""

from contextlib import AsyncExitStack, aclosing

from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceStub
from tributary_ingestion.admission import Admission
from tributary_ingestion.fraud import Fraud
from tributary_ingestion.human_checks import HumanChecks
from tributary_ingestion.import_methods import ImportMethods
from tributary_ingestion.imports import Importing
from tributary_ingestion.match_keys import Sealing
from tributary_ingestion.peppers import PepperCheck
from tributary_ingestion.quotas import BacklogWatch, Quotas
from tributary_ingestion.room import Room
from tributary_ingestion.servicer import IngestionServicer
from tributary_ingestion.settings import IngestionSettings
from tributary_ingestion.turns import Turns
from tributary_ingestion.workspace_rules import RulesBook
from tributary_runtime.address_lists import AddressLists
from tributary_runtime.authentication import Authenticator
from tributary_runtime.channels import open_channel, reach
from tributary_runtime.clock import SystemClock
from tributary_runtime.heap import settle_heap
from tributary_runtime.server import run, serve
from tributary_runtime.settings import load
from tributary_runtime.streams import StreamLimits
from tributary_runtime.tls import Tls
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.imports import Imports
from tributary_storage.clickhouse.retained_since import RetainedSince
from tributary_storage.redis.client import connect
from tributary_storage.redis.human_verdicts import HumanVerdicts
from tributary_storage.redis.lazy_data_keys import LazyDataKeys
from tributary_storage.redis.peppers import Peppers
from tributary_storage.redis.rates import SharedRates
from tributary_storage.redis.velocity import Velocity


async def main(settings: IngestionSettings) -> None:
    """Builds the service from its parts and serves until SIGTERM."""
    clock = SystemClock()
    workspaces = WorkspacesFile(settings.workspaces_file)
    addresses = AddressLists(workspaces)
    async with AsyncExitStack() as closing:  # closes in reverse order
        channel = await closing.enter_async_context(
            open_channel(settings.dedup_target, settings.internal_token, tls=Tls.of(settings))
        )
        settle_heap()
        state = await closing.enter_async_context(
            connect(settings.state_url.get_secret_value(), name="ingestion-state", timeout_seconds=2.0)
        )
        human_checks = await closing.enter_async_context(aclosing(HumanChecks(clock, shared=HumanVerdicts(state))))
        velocity = Velocity(state)
        fraud = Fraud(velocity, human_checks, clock, settings.ingestion_velocity_timeout_seconds)
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(settings.clickhouse_url, name="ingestion", connections=2)
        )
        data_keys = LazyDataKeys(state, clock, settings.durability, settings.ingestion_replicas)
        sealing = Sealing(data_keys.open, clock)
        dedup = DedupServiceStub(channel)
        admission = Admission(dedup, settings.ingestion_dedup_deadline_seconds)
        backlog = BacklogWatch(dedup, clock)
        rules = RulesBook(workspaces, addresses)
        quotas = Quotas(workspaces, SharedRates(state, clock, settings.ingestion_processes), backlog)
        peppers = PepperCheck(Peppers(state), clock)
        retained = RetainedSince(clickhouse)
        room = Room(settings.ingestion_bytes_at_once)
        await reach(channel, settings.dedup_target)
        await serve(
            settings,
            IngestionServicer(
                rules,
                fraud,
                sealing,
                admission,
                quotas,
                peppers,
                room,
                Turns(settings.max_concurrent_calls, clock),
                ImportMethods(rules, Importing(Imports(clickhouse)), quotas, peppers, room, clock),
                clock,
                retained,
                StreamLimits(settings.ingestion_stream_batches, life_seconds=settings.ingestion_stream_seconds),
            ),
            loops=[workspaces, admission, addresses, backlog, human_checks, retained, data_keys],
            authenticator=Authenticator(workspaces, clock),
            clock=clock,
        )


if __name__ == "__main__":
    run(load(IngestionSettings), main)
