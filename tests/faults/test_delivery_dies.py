"""`kill -9` of delivery at every step, at every type of destination: a conversion counts once, or is dead with why."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.all_destinations import KINDS, TAKEN, Row, differences, in_doubt, open_row
from tests.support.batches import a_batch_destination, a_purchase, clicked, plan, publish
from tests.support.delivery import Rig, a_rig, declared, delivery_process
from tests.support.destinations import LOST, Answer, Endpoint, running_endpoint
from tests.support.eventually import eventually_async
from tests.support.holding_proxy import holding_proxy
from tests.support.revisions import Revision
from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_ACCEPTED
from tributary_cli.demo.fakes.server import Fault
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.scripts import Script

C = "c1:0000"


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def through(url: str, port: int) -> str:
    """Returns a URL that leads through a proxy."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}{'@' if user else ''}127.0.0.1:{port}").geturl()


async def wait_for(rig: Rig, row: Row, *, is_planned: bool = True) -> None:
    """Publishes a conversion, and plans it for each destination."""
    messages = await publish(rig, row.lanes[0], [a_purchase(row.lanes[0])], clicked, is_planned=False)
    if is_planned:
        await plan(rig, row.lanes, messages)


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
    rig: Rig, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path, store: str, marker: bytes
) -> None:
    urls, all_asked = {"redis": migrated_redis_url, "clickhouse": clickhouse_url}, threading.Event()
    is_sent = marker in (b"INSERT INTO deliveries", Script("settle_jobs").sha.encode())
    async with AsyncExitStack() as closing:
        row = closing.enter_context(open_row(workspace))
        closing.callback(all_asked.set)
        for stand in row:
            stand.front.faults.append(Fault(takes=True, reply=None, until=all_asked))
        proxy = await closing.enter_async_context(holding_proxy(urlsplit(urls[store]).port or 0, marker))
        cut = {**urls, store: through(urls[store], proxy.port)}
        declarations = {workspace: [stand.declared for stand in row]}
        calls = {"TRIBUTARY_DELIVERY_CALL_SECONDS": "4"} if is_sent else {}
        dying = delivery_process(tmp_path, cut["redis"], cut["clickhouse"], declarations, calls, has_data_key=True)
        try:
            dying.start()
            await wait_for(rig, row, is_planned=marker != Script("plan_jobs").sha.encode())
            if is_sent:
                await eventually_async(lambda: all(stand.front.asks for stand in row))
            all_asked.set()
            async with asyncio.timeout(60):
                await proxy.holds.wait()
            if store == "redis" and is_sent:  # let the ledger have all of them
                await eventually_async(lambda: has_lines(rig, workspace))
        finally:
            dying.kill()
        again = delivery_process(tmp_path, migrated_redis_url, clickhouse_url, declarations, has_data_key=True)
        if marker == Script("plan_jobs").sha.encode():
            await asyncio.to_thread(again.start)
            closing.callback(again.kill)
            await eventually_async(lambda: has_lines(rig, workspace))
        else:
            await row.deliver(rig)
        found = await row.fates(rig, [C])
        expected = dict.fromkeys(found, TAKEN)
        if marker == b"INSERT INTO deliveries":
            expected["linkedin", C] = in_doubt(1)  # nobody says that it would know it again
        assert differences(expected, found) == []
        assert row.stands["webhook"].front.fake.bad_signatures == 0  # type: ignore[attr-defined]


async def has_lines(rig: Rig, workspace: str) -> bool:
    """Tells whether the ledger knows of an attempt at each destination."""
    return len(await rig.history.deliveries(workspace, C)) == len(KINDS)


def soon_over(kind: str) -> dict[str, Any]:
    """Returns what lets a destination that takes corrections be told of something else in a moment."""
    is_held = kind != "webhook" and a_batch_destination(kind).restates
    return {"unanswered_seconds": 5} if is_held else {}


@pytest.mark.parametrize("has_effect", [True, False], ids=["after it was taken", "before it was taken"])
async def test_a_death_during_the_call_neither_loses_nor_repeats_a_conversion(
    rig: Rig, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path, *, has_effect: bool
) -> None:
    held, other = threading.Event(), a_purchase(Lane(workspace, "webhook"), 1)
    with open_row(workspace) as row:
        for stand in row:
            stand.front.faults.extend([Fault(takes=has_effect, until=held)] * (2 if stand.kind == "webhook" else 1))
        webhook = row.stands["webhook"]
        # Who dies about to send leaves its object held for as long as a request may still be carried out.
        declarations = {workspace: [stand.declared | soon_over(stand.kind) for stand in row]}
        dying = delivery_process(tmp_path, migrated_redis_url, clickhouse_url, declarations, has_data_key=True)
        await wait_for(rig, row)
        await publish(rig, webhook.lane, [other], clicked)
        try:
            dying.start()
            await eventually_async(lambda: all(stand.front.asks for stand in row) and len(webhook.front.asks) > 1)
        finally:
            dying.kill()
            held.set()
        await publish(rig, webhook.lane, [other.then(value_micros=50_000_000)], clicked)

        async def are_done() -> bool:
            """Tells it of both; what the dead one held of the other elsewhere waits until it cannot be carried out."""
            waiting = [job_keys.job(workspace, stand.lane.destination, C) for stand in row]
            waiting.append(job_keys.job(workspace, webhook.lane.destination, other.conversion_id))
            return not await rig.redis.exists(*waiting)

        await row.deliver(rig, are_done)
        found = await row.fates(rig, [C])
    expected = {key: TAKEN if key[0] != "linkedin" else in_doubt(int(has_effect)) for key in found}
    assert differences(expected, found) == []
    # A change that came meanwhile follows under an id of its own, after the creation as it was tried.
    about = [ask for ask in webhook.front.asks if ask.json()["data"]["conversion_id"] == "c1:0001"]
    assert about[-1].json()["type"] == "conversion.updated"
    assert len({ask.body for ask in about[:-1]}) == len({ask.headers["webhook-id"] for ask in about[:-1]}) == 1
    assert webhook.front.fake.counted == {C: 1, "c1:0001": 1}
    assert webhook.front.fake.values["c1:0001"] == 50


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
            await eventually_async(lambda: len(endpoint.created) == len(revisions))
            await eventually_async(lambda: nothing_waits(rig, lane))
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
