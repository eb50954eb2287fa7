"""`kill -9` of delivery at every step: one effect per message at a receiver that remembers ids, none lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.delivery import Rig, a_rig, declared, delivery_process, running
from tests.support.destinations import LOST, Answer, Endpoint, running_endpoint
from tests.support.eventually import eventually_async
from tests.support.holding_proxy import holding_proxy
from tests.support.revisions import Revision
from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_ACCEPTED
from tributary_storage.redis.delivery_jobs import Lane
from tributary_storage.redis.scripts import Script

pytestmark = pytest.mark.timeout(120)

C = "c1:one"


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def through(url: str, port: int) -> str:
    """Returns a URL that leads through a proxy."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}{'@' if user else ''}127.0.0.1:{port}").geturl()


async def settled(rig: Rig, lane: Lane, *revisions: Revision) -> bool:
    """Tells whether the ledger says of every revision that it was taken, and nothing waits."""
    deliveries = await rig.deliveries(lane, C)
    taken = {one.revision for one in deliveries if one.state == DELIVERY_STATE_ACCEPTED}
    return taken == {one.number for one in revisions} and await rig.stores.jobs.waiting(lane) == 0


@pytest.mark.parametrize(
    ("store", "marker"),
    [
        pytest.param("redis", Script("plan_jobs").sha.encode(), id="before a job is planned"),
        pytest.param("redis", Script("lease_jobs").sha.encode(), id="before it is leased"),
        pytest.param("redis", Script("begin_attempts").sha.encode(), id="before the attempt is noted"),
        pytest.param("clickhouse", b"INSERT INTO deliveries", id="before the ledger has the outcome"),
        pytest.param("redis", Script("settle_jobs").sha.encode(), id="before the job is settled"),
    ],
)
async def test_a_death_between_two_steps_neither_loses_nor_repeats_a_conversion(
    rig: Rig,
    migrated_redis_url: str,
    clickhouse_url: str,
    workspace: str,
    tmp_path: Path,
    store: str,
    marker: bytes,
) -> None:
    lane, first = Lane(workspace, "crm"), Revision(workspace=workspace)
    urls = {"redis": migrated_redis_url, "clickhouse": clickhouse_url}
    async with AsyncExitStack() as closing:
        endpoint = await closing.enter_async_context(running_endpoint())
        destinations = {workspace: [declared(endpoint.url)]}
        proxy = await closing.enter_async_context(holding_proxy(urlsplit(urls[store]).port or 0, marker))
        cut = {**urls, store: through(urls[store], proxy.port)}
        dying = delivery_process(tmp_path, cut["redis"], cut["clickhouse"], destinations)
        try:
            dying.start()
            await asyncio.to_thread(dying.wait_until_ready)
            await rig.publisher.publish(first)
            async with asyncio.timeout(20):
                await proxy.holds.wait()
        finally:
            dying.kill()
        with running(delivery_process(tmp_path, urls["redis"], urls["clickhouse"], destinations)):
            await eventually_async(lambda: settled(rig, lane, first), timeout_seconds=20)
        assert endpoint.types(C) == ["created"]
        assert endpoint.bad_signatures == 0


@pytest.mark.parametrize("has_effect", [True, False], ids=["after it was taken", "before it was taken"])
async def test_a_death_during_the_call_neither_loses_nor_repeats_a_conversion(
    rig: Rig, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path, *, has_effect: bool
) -> None:
    lane, first = Lane(workspace, "crm"), Revision(workspace=workspace)
    second = first.then(value_micros=50_000_000)
    urls = {"redis": migrated_redis_url, "clickhouse": clickhouse_url}
    async with running_endpoint() as endpoint:
        endpoint.answers.append(Answer(takes=has_effect, waits_for=asyncio.Event()))
        destinations = {workspace: [declared(endpoint.url)]}
        dying = delivery_process(tmp_path, urls["redis"], urls["clickhouse"], destinations)
        try:
            dying.start()
            await asyncio.to_thread(dying.wait_until_ready)
            await rig.publisher.publish(first)
            await eventually_async(lambda: endpoint.calls)
        finally:
            dying.kill()
        await rig.publisher.publish(second)
        with running(delivery_process(tmp_path, urls["redis"], urls["clickhouse"], destinations)):
            await eventually_async(lambda: settled(rig, lane, first, second), timeout_seconds=20)
        assert endpoint.types(C) == ["created", "updated"]
        assert len({call.body for call in endpoint.calls if call.message_id == "c1:one:crm"}) == 1


async def test_two_processes_killed_in_turn_under_load_send_every_conversion_once_in_effect(
    rig: Rig, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path
) -> None:
    revisions = [Revision(workspace=workspace, conversion_id=f"c1:{number}") for number in range(300)]
    lane = Lane(workspace, "crm")
    async with running_endpoint() as endpoint:
        processes = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            settings = {"TRIBUTARY_DELIVERY_CONSUMER": name, "TRIBUTARY_DELIVERY_CONCURRENCY": "4"}
            destinations = {workspace: [declared(endpoint.url)]}
            processes.append(
                delivery_process(tmp_path / name, migrated_redis_url, clickhouse_url, destinations, settings)
            )
        endpoint.answers.extend(LOST if number % 7 == 0 else Answer() for number in range(300))
        try:
            for process in processes:
                process.start()
            for process in processes:
                await asyncio.to_thread(process.wait_until_ready)
            for number, dying in enumerate(processes):
                third = revisions[number * 100 : number * 100 + 100]
                await rig.publisher.store(*[await rig.publisher.publish(one, stored=False) for one in third])
                await eventually_async(lambda number=number: len(endpoint.calls) > number * 100 + 50)
                dying.kill()
                dying.start()
            await rig.publisher.store(*[await rig.publisher.publish(one, stored=False) for one in revisions[200:]])
            await eventually_async(lambda: len(endpoint.created) == len(revisions), timeout_seconds=60)
            await eventually_async(lambda: nothing_waits(rig, lane), timeout_seconds=60)
        finally:
            for process in processes:
                process.stop()
    assert set(endpoint.created.values()) == {1}
    assert endpoint.most_at_once == 1
    assert await unsettled(rig, lane, endpoint) == []


async def nothing_waits(rig: Rig, lane: Lane) -> bool:
    """Tells whether every job is done."""
    return await rig.stores.jobs.waiting(lane) == 0


async def unsettled(rig: Rig, lane: Lane, endpoint: Endpoint) -> list[str]:
    """Returns the conversions whose creation the ledger does not call taken."""
    missing = []
    for conversion_id in endpoint.created:
        deliveries = await rig.deliveries(lane, conversion_id)
        if not any(one.state == DELIVERY_STATE_ACCEPTED for one in deliveries):
            missing.append(conversion_id)
    return missing
