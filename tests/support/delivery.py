"""Delivery on real stores: conversions as attribution publishes them, lanes in this process, delivery as a process."""

from __future__ import annotations

import asyncio
import base64
import random
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import redis.asyncio
import yaml

from tests.support.destinations import SECRET
from tests.support.ports import free_port
from tests.support.revisions import Revision
from tests.support.stores import create_test_epoch
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_cli.stack.services import ServiceProcess
from tributary_delivery.attempt import AttemptRules
from tributary_delivery.destinations import Destination
from tributary_delivery.destinations.adapter import Home
from tributary_delivery.key_consents import KeyConsents
from tributary_delivery.lane import LaneRunner, Pace, Stores
from tributary_delivery.lead_objects import NameStores
from tributary_delivery.ledger_batches import LedgerBatches
from tributary_delivery.match_keys import MatchKeyOpener
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.permissions import Permissions
from tributary_delivery.sender import OneByOne, Sender
from tributary_delivery.senders import Senders
from tributary_domain.backoff import Backoff
from tributary_domain.click_digests import click_key
from tributary_domain.consent import Assumed
from tributary_domain.identifiers import Identification
from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.destination_settings import DestinationSettings, WebhookDestination
from tributary_runtime.public_addresses import Lookup
from tributary_runtime.settings_digest import settings_digest
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.past_families import PastFamilies
from tributary_storage.clickhouse.writer import ConversionWriter, DeliveryWriter
from tributary_storage.redis.awaited_reports import AwaitedReports
from tributary_storage.redis.client import connect
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.conversions import Conversions, Publication, conversion_key
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.delivery_job import Lane, Plan, PlannedRevision
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.first_claims import FirstClaims
from tributary_storage.redis.object_holds import ObjectHolds
from tributary_storage.redis.people import People
from tributary_storage.redis.shared_tokens import SharedTokens

SHARDS = 4
WORKSPACE_KEY = bytes(range(32))
"""Wraps the data keys of tests."""
CLICK_KEY = click_key(b"a pepper of tests")
"""Under which click ids are claimed."""
IDENTIFICATION = Identification(b"a pepper of tests", "DE")
"""Makes identity tokens."""


def digest_of(workspace: str, settings: DestinationSettings) -> str:
    """Tells the settings of destinations apart."""
    return settings_digest(settings, workspace.encode())


INTERNAL_TOKEN = "internal-token-of-tests"
PACE = Pace(concurrency=16, call_seconds=2.0, margin_seconds=2.0, alive_seconds=0.2)


def a_destination(url: str = "http://127.0.0.1:1/hook", destination_id: str = "crm", **own: Any) -> WebhookDestination:
    """Returns a webhook destination as `workspaces.yaml` would declare it, for loopback."""
    return WebhookDestination.model_validate(declared(url, destination_id, **own))


def declared(url: str, destination_id: str = "crm", **own: Any) -> dict[str, Any]:
    """Returns what the file says of a webhook."""
    return {
        "id": destination_id,
        "type": "webhook",
        "url": url,
        "secret": {"value": SECRET},
        "conversions": {"purchase": {}},
        "allow_private_addresses": True,
        "quota": {"requests_per_minute": 1_000_000},
        **own,
    }


@cache
def usual_tls() -> ssl.SSLContext:
    """Returns how certificates are checked, slow to make and so made once."""
    return httpx.create_ssl_context()


@dataclass
class Publisher:
    """Publishes revisions where attribution would."""

    client: redis.asyncio.Redis
    clickhouse: ClickHouse
    _records: dict[str, int] = field(default_factory=dict)

    async def publish(self, revision: Revision, *, stored: bool = True, traceparent: str = "") -> ConversionRevised:
        """Publishes to Redis; to ClickHouse and the conversion log too if `stored`."""
        conversions = Conversions(self.client, SHARDS)
        message = revision.message()
        message.traceparent = traceparent
        content, key = message.SerializeToString(), conversion_key(message.workspace, message.state.conversion_id)
        kept = (await conversions.observe({key: {b"12345678": b"part"}}, 3600))[key]
        assert await conversions.publish([Publication(kept, 1, message.revision, content, content)]) == [True]
        if stored:
            await self.store(message)
        return message

    async def store(self, *messages: ConversionRevised) -> None:
        """Brings what was published to ClickHouse, in one insert, and to the conversion log."""
        await ConversionWriter(self.clickhouse).write([(one, one.SerializeToString()) for one in messages])
        names = [(conversion_key(one.workspace, one.state.conversion_id), one.revision) for one in messages]
        await Conversions(self.client, SHARDS).emit(names)


@dataclass
class Rig:
    """Stores, jobs, and lanes in this process."""

    publisher: Publisher
    stores: Stores
    redis: redis.asyncio.Redis
    clickhouse: ClickHouse
    history: ConversionHistory
    tls: ssl.SSLContext = field(default_factory=usual_tls)
    """How lanes check certificates."""

    def senders(self, call_seconds: float = 2.0, clock: Clock | None = None, lookup: Lookup | None = None) -> Senders:
        """Makes senders, for people of `tests.support.sealed`."""
        opener = MatchKeyOpener(DataKeys(self.redis, SHARDS), lambda _: (WORKSPACE_KEY,))
        clock = clock or SystemClock()
        about = (
            opener,
            KeyConsents(self.stores.permissions, lambda _: IDENTIFICATION),
            self.stores.memory,
            NameStores(FirstClaims(self.redis), PastFamilies(self.clickhouse), lambda _: CLICK_KEY),
            lambda _: Home("DE"),
            clock,
            call_seconds,
            self.tls,
            lookup,
        )
        return Senders(*about, SharedTokens(self.redis))

    async def plan(self, lane: Lane, message: ConversionRevised, hold_seconds: int = 0) -> int:
        """Plans a revision as the planner would."""
        planned = PlannedRevision(
            message.state.conversion_id, message.revision, message.previous_revision, SystemClock().unix_micros()
        )
        return (await self.stores.jobs.plan(lane, [planned], hold_seconds)).count(Plan.NEW)

    async def deliveries(self, lane: Lane, conversion_id: str) -> list[Delivery]:
        """Returns what the ledger says of a conversion at a destination."""
        found = await self.history.deliveries(lane.workspace, conversion_id)
        return [one for one in found if one.destination_id == lane.destination]

    @asynccontextmanager
    async def running_lane(
        self,
        lane: Lane,
        settings: DestinationSettings,
        *,
        stores: Stores | None = None,
        backoff: Backoff | None = None,
        horizon_seconds: float = 3600.0,
        pace: Pace = PACE,
        destination: Destination | None = None,
        sender: Sender | None = None,
        clock: Clock | None = None,
    ) -> AsyncIterator[LaneRunner]:
        """Runs a lane; retries come soon."""
        rules = AttemptRules(backoff or Backoff(0.02, 0.1), random.Random(7), horizon_seconds)
        if sender is None and destination is not None:
            sender = OneByOne(destination)
        sender = sender or self.senders(pace.call_seconds, clock).make(lane, settings)
        runner = LaneRunner(lane, settings, sender, stores or self.stores, rules, clock or SystemClock(), pace)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(runner.run(stop))
            try:
                yield runner
            finally:
                stop.set()


@asynccontextmanager
async def a_rig(redis_url: str, clickhouse_url: str, assumed: Assumed | None = None) -> AsyncIterator[Rig]:
    """Opens the stores; both are migrated."""
    async with AsyncExitStack() as closing:
        client = await closing.enter_async_context(connect(redis_url, name="test"))
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(clickhouse_url, name="test", timeout_seconds=60)
        )
        history = ConversionHistory(clickhouse)
        stores = Stores(
            DeliveryJobs(client),
            DestinationStates(client),
            NewestRevisions(Conversions(client, SHARDS), history),
            LedgerBatches(DeliveryWriter(clickhouse)),
            history,
            Permissions(People(client, SHARDS), Consents(client, SHARDS), lambda _: assumed or Assumed()),
            ObjectHolds(client),
            digest_of,
            AwaitedReports(client),
        )
        yield Rig(Publisher(client, clickhouse), stores, client, clickhouse, history)


def delivery_process(
    directory: Path,
    redis_url: str,
    clickhouse_url: str,
    workspaces: dict[str, list[dict[str, Any]]],
    settings: dict[str, str] | None = None,
    *,
    has_data_key: bool = False,
) -> ServiceProcess:
    """Describes a delivery; nothing runs yet.

    Args:
        directory: For its files.
        redis_url: State and jobs.
        clickhouse_url: Migrated.
        workspaces: Destinations by workspace, as `declared` makes them.
        settings: Environment that shall differ.
        has_data_key: Whether the workspaces' match keys can be opened: sealed under `WORKSPACE_KEY`.
    """
    own = {"data_key": {"value": base64.b64encode(WORKSPACE_KEY).decode()}} if has_data_key else {}
    entries = [
        {"id": one, "pepper": {"value": secrets.token_hex(16)}, "destinations": destinations, **own}
        for one, destinations in workspaces.items()
    ]
    file = directory / "workspaces.yaml"
    file.write_text(yaml.safe_dump({"workspaces": entries}))
    environment = {
        "TRIBUTARY_STATE_URL": redis_url,
        "TRIBUTARY_JOBS_URL": redis_url,
        "TRIBUTARY_CLICKHOUSE_URL": clickhouse_url,
        "TRIBUTARY_WORKSPACES_FILE": str(file),
        "TRIBUTARY_INTERNAL_TOKEN": INTERNAL_TOKEN,
        "TRIBUTARY_DRAIN_DELAY_SECONDS": "0",
        "TRIBUTARY_DELIVERY_CONSUMER": "one",
        "TRIBUTARY_DELIVERY_CALL_SECONDS": "1",
        "TRIBUTARY_DELIVERY_MARGIN_SECONDS": "1",
        **(settings or {}),
    }
    return ServiceProcess("delivery", free_port(), directory / "delivery.log", environment)


@contextmanager
def running(process: ServiceProcess) -> Iterator[ServiceProcess]:
    """Runs a process until the end of the block."""
    try:
        process.start()
        process.wait_until_ready()
        yield process
    finally:
        process.kill()  # how it leaves is looked at elsewhere


async def prepare(redis_url: str) -> None:
    """Gives a Redis of the test's own its epoch."""
    await create_test_epoch(redis_url, SHARDS)
