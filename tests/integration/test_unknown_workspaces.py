"""A workspace that a consumer has not heard of yet loses nothing, and keeps nobody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import yaml

from tests.support.attribution import DAY, NOON, SHARDS, Admitted, Events, entry, running_attribution
from tests.support.delivery import declared
from tests.support.eventually import eventually_async
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvents
from tributary_delivery.destination_spans import DestinationSpans
from tributary_delivery.ledger_batches import LedgerBatches
from tributary_delivery.planner import Planner
from tributary_runtime import metrics
from tributary_runtime.clock import SystemClock
from tributary_runtime.poison_limit import PoisonLimit
from tributary_runtime.worker import Worker
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.destination_spans import DestinationSpans as StoredSpans
from tributary_storage.clickhouse.writer import DeliveryWriter
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.conversion_log import ConversionLogSource
from tributary_storage.redis.dead_letters import DeadLetters
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.event_log import EventLogSource, Pace
from tributary_storage.redis.readmission import Readmission

STRICT = PoisonLimit(window=10, share=0.1)
"""One poisonous event stops the worker."""


class Installation:
    """A workspaces.yaml that nobody polls, and who reads it."""

    def __init__(self, path: Path, known: str) -> None:
        self._path = path
        self._ids = [known]
        self._write()
        self.file = WorkspacesFile.load(path, poll_seconds=3600)

    def lookup(self, grace_seconds: float) -> WorkspaceLookup:
        return WorkspaceLookup(self.file, SystemClock(), grace_seconds)

    def add(self, workspace: str) -> None:
        self._ids.append(workspace)
        self._write()

    def _write(self) -> None:
        destinations = [declared("http://127.0.0.1:1/hook")]
        found = [{"id": one, "pepper": {"value": "a pepper"}, "destinations": destinations} for one in self._ids]
        self._path.write_text(yaml.safe_dump({"workspaces": found}), encoding="utf-8")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as opened:
        yield opened


@pytest.fixture
def installation(tmp_path: Path, workspace: str) -> Installation:
    return Installation(tmp_path / "workspaces.yaml", workspace)


@asynccontextmanager
async def working(worker: Worker[Any, Any]) -> AsyncIterator[None]:
    """Runs a worker that must not fail."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        try:
            yield
        finally:
            stop.set()


@asynccontextmanager
async def attributing(
    client: redis.asyncio.Redis, redis_url: str, clickhouse_url: str, lookup: WorkspaceLookup
) -> AsyncIterator[None]:
    async with running_attribution(redis_url, clickhouse_url, "nobody", lookup=lookup) as attribution:
        source = EventLogSource(client, keys.ATTRIBUTE_GROUP, "one", SHARDS, Pace(idle_seconds=0.05, wait_seconds=0.05))
        worker = Worker(
            *(metrics.Group.ATTRIBUTE, source, attribution.attributor, SystemClock()),
            poison_limit=STRICT,
            take_over_seconds=0.05,
        )
        async with working(worker):
            yield


async def append(client: redis.asyncio.Redis, *callers: tuple[str, list[Admitted]]) -> None:
    """Appends one entry that holds the events of several callers, as group commit makes them."""
    merged, mask = AdmittedEvents(), ""
    for workspace, events in callers:
        made = entry(workspace, events)
        merged.MergeFromString(made.payload)
        mask += made.mask
    seconds, micros = await client.time()
    fields = {"schema": made.schema, "payload": merged.SerializeToString(), "mask": mask}
    accepted = {"accept_time": seconds * 1_000_000 + micros}
    await client.xadd(keys.event_log(0, "live"), {**fields, **accepted})  # type: ignore[arg-type]  # as they are


async def credited(client: redis.asyncio.Redis) -> list[tuple[str, int]]:
    """Returns workspace and number of touches of every revision."""
    found = []
    for shard in range(SHARDS):
        for _, fields in await client.xrange(keys.conversion_log(shard)):
            revised = ConversionRevised.FromString(fields[b"revised"])
            found.append((revised.workspace, len(revised.state.touches)))
    return sorted(found)


async def pending(client: redis.asyncio.Redis, stream: str, group: str) -> int:
    return int((await client.xpending(stream, group))["pending"])


async def dead(client: redis.asyncio.Redis, stream: str) -> list[tuple[str, str]]:
    letters = await client.xrange(stream)
    return sorted({(fields[b"workspace"].decode(), fields[b"reason"].decode()) for _, fields in letters})


def a_sale(workspace: str) -> tuple[str, list[Admitted]]:
    make = Events(workspace)
    return workspace, [make.touch("visitor:a", at=NOON - DAY), make.order("visitor:a")]


async def test_events_of_an_unknown_workspace_wait_alone_and_are_credited_once_it_is_known(
    client: redis.asyncio.Redis, redis_url: str, clickhouse_url: str, workspace: str, installation: Installation
) -> None:
    new, stream = f"{workspace}-new", keys.event_log(0, "live")
    await append(client, a_sale(workspace), a_sale(new))
    await append(client, a_sale(new))
    async with attributing(client, redis_url, clickhouse_url, installation.lookup(120)):
        await eventually_async(lambda: _is(credited(client), [(workspace, 1)]))
        await append(client, (workspace, [Events(workspace).order("visitor:b", order_id="o-2")]))
        await eventually_async(lambda: _is(credited(client), [(workspace, 0), (workspace, 1)]))
        assert await pending(client, stream, keys.ATTRIBUTE_GROUP) == 2
        installation.add(new)
        await eventually_async(lambda: _is(pending(client, stream, keys.ATTRIBUTE_GROUP), 0))
    assert await credited(client) == [(workspace, 0), (workspace, 1), (new, 1)]
    assert await dead(client, keys.event_dead_letters(0, keys.ATTRIBUTE_GROUP)) == []


async def test_events_of_a_workspace_that_stays_unknown_are_put_aside_and_the_worker_goes_on(
    client: redis.asyncio.Redis, redis_url: str, clickhouse_url: str, workspace: str, installation: Installation
) -> None:
    gone, stream = f"{workspace}-gone", keys.event_log(0, "live")
    letters = keys.event_dead_letters(0, keys.ATTRIBUTE_GROUP)
    for _ in range(20):
        await append(client, a_sale(gone))
    await append(client, a_sale(workspace), a_sale(gone))
    async with attributing(client, redis_url, clickhouse_url, installation.lookup(0.2)):
        await eventually_async(lambda: _is(client.xlen(letters), 42))
        await append(client, (workspace, [Events(workspace).order("visitor:b", order_id="o-2")]))
        await eventually_async(lambda: _is(credited(client), [(workspace, 0), (workspace, 1)]))
        await eventually_async(lambda: _is(pending(client, stream, keys.ATTRIBUTE_GROUP), 0))
    assert await dead(client, letters) == [(gone, "WORKSPACE_UNKNOWN")]


@asynccontextmanager
async def planning(
    client: redis.asyncio.Redis, clickhouse_url: str, lookup: WorkspaceLookup
) -> AsyncIterator[DeliveryJobs]:
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse:
        jobs, ledger = DeliveryJobs(client), LedgerBatches(DeliveryWriter(clickhouse))
        spans = DestinationSpans(StoredSpans(clickhouse))
        planner = Planner(lookup, jobs, ledger, spans, SystemClock(), lambda lane: None)
        source = ConversionLogSource(client, "one", SHARDS, idle_seconds=0.05)
        worker = Worker(
            *(metrics.Group.DELIVER, source, planner, SystemClock()), poison_limit=STRICT, take_over_seconds=0.05
        )
        async with working(worker):
            yield jobs


async def revise(client: redis.asyncio.Redis, workspace: str, conversion_id: str) -> None:
    message = Revision(workspace=workspace, conversion_id=conversion_id).message()
    await client.xadd(keys.conversion_log(0), {"revised": message.SerializeToString()})


async def test_revisions_of_an_unknown_workspace_wait_alone_and_are_planned_once_it_is_known(
    client: redis.asyncio.Redis, clickhouse_url: str, workspace: str, installation: Installation
) -> None:
    new, stream = f"{workspace}-new", keys.conversion_log(0)
    await revise(client, new, "c1:one")
    await revise(client, workspace, "c1:two")
    async with planning(client, clickhouse_url, installation.lookup(120)) as jobs:
        await eventually_async(lambda: _is(jobs.waiting(Lane(workspace, "crm")), 1))
        await eventually_async(lambda: _is(pending(client, stream, keys.DELIVER_GROUP), 1))
        installation.add(new)
        await eventually_async(lambda: _is(jobs.waiting(Lane(new, "crm")), 1))
        await eventually_async(lambda: _is(pending(client, stream, keys.DELIVER_GROUP), 0))
    assert await dead(client, keys.conversion_dead_letters(0, keys.DELIVER_GROUP)) == []


async def test_revisions_of_a_workspace_that_stays_unknown_are_put_aside_and_the_planner_goes_on(
    client: redis.asyncio.Redis, clickhouse_url: str, workspace: str, installation: Installation
) -> None:
    gone, stream = f"{workspace}-gone", keys.conversion_log(0)
    for number in range(20):
        await revise(client, gone, f"c1:{number}")
    async with planning(client, clickhouse_url, installation.lookup(0)) as jobs:
        await eventually_async(lambda: _is(client.xlen(keys.conversion_dead_letters(0, keys.DELIVER_GROUP)), 20))
        await revise(client, workspace, "c1:two")
        await eventually_async(lambda: _is(jobs.waiting(Lane(workspace, "crm")), 1))
        await eventually_async(lambda: _is(pending(client, stream, keys.DELIVER_GROUP), 0))
    assert await dead(client, keys.conversion_dead_letters(0, keys.DELIVER_GROUP)) == [(gone, "WORKSPACE_UNKNOWN")]


async def _is(counting: Any, wanted: object) -> bool:
    return bool(await counting == wanted)


async def test_what_was_put_aside_for_want_of_a_workspace_comes_back_once_it_is_known(
    client: redis.asyncio.Redis, redis_url: str, clickhouse_url: str, workspace: str, installation: Installation
) -> None:
    gone, letters = f"{workspace}-gone", keys.event_dead_letters(0, keys.ATTRIBUTE_GROUP)
    await append(client, a_sale(workspace), a_sale(gone))
    readmission = Readmission(
        DeadLetters(client, client, SHARDS), [keys.ATTRIBUTE_GROUP], installation.file, look_seconds=0.05
    )
    stop = asyncio.Event()
    looking = asyncio.create_task(readmission.run(stop))
    async with attributing(client, redis_url, clickhouse_url, installation.lookup(0)):
        await eventually_async(lambda: _is(client.xlen(letters), 2))
        installation.add(gone)
        await installation.file.refresh()
        await eventually_async(lambda: _is(credited(client), [(workspace, 1), (gone, 1)]))
    stop.set()
    await looking
    assert await dead(client, letters) == []
