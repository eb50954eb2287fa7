"""What is looked at before it is written is written, however many requests the quota allows: a look alone is no use."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from tests.support.batches import a_batch_destination, a_purchase, match_keys, publish, running_fake, seal
from tests.support.delivery import PACE, Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_ACCEPTED
from tributary_cli.demo.fakes.server import FakeServer
from tributary_delivery.admission import Admission
from tributary_domain.backoff import Backoff
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane

CONTACTS: dict[str, Any] = {
    **{"object_type": "contacts", "id_property": "email", "retracted": {}},
    "properties": {"amount": "value", "last_at": "time"},
}
BRIEF = replace(PACE, call_seconds=1.0, margin_seconds=2.0)
"""A job, and an object, are somebody's for less long than the quota makes a second request wait."""


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def with_binding_quota(rig: Rig, lane: Lane, server: FakeServer, per_minute: int, **own: Any) -> BatchDestination:
    """Declares contacts whose quota allows no burst any more, only one request after the other."""
    quota = {"requests_per_minute": per_minute, "requests_per_ten_seconds": None, "requests_per_day": None}
    settings = a_batch_destination("hubspot", server.url, quota=quota, **CONTACTS, **own)
    granted, wait_seconds = await Admission(lane, settings, rig.stores.states, SystemClock(), 1.0).take(per_minute)
    assert (granted > 0, wait_seconds > 0) == (True, True)
    return settings


async def publish_people(rig: Rig, lane: Lane, people: int) -> None:
    """Publishes a purchase of each of so many people."""
    sealed = {
        f"c1:{number:04}": await seal(rig, lane.workspace, match_keys(f"ann.{number}@example.com"))
        for number in range(people)
    }

    def own(message: ConversionRevised) -> None:
        del message.match.sealed_match_keys[:]
        message.match.sealed_match_keys.append(sealed[message.state.conversion_id])

    await publish(rig, lane, [a_purchase(lane, number) for number in range(people)], own)


def kinds(server: FakeServer) -> list[str]:
    return [ask.path.rpartition("/")[2] for ask in server.asks]


async def test_a_quota_that_binds_writes_every_contact_that_two_processes_looked_at(rig: Rig, workspace: str) -> None:
    lane, people, per_minute = Lane(workspace, "hubspot"), 10, 120
    with running_fake("hubspot") as server:
        clock = SystemClock()
        begin_seconds = clock.monotonic_seconds()
        settings = await with_binding_quota(rig, lane, server, per_minute, batch_size=1)
        await publish_people(rig, lane, people)
        async with AsyncExitStack() as running:
            for _ in range(2):
                await running.enter_async_context(rig.running_lane(lane, settings, backoff=Backoff(600.0, 3600.0)))
            await eventually_async(lambda: len(server.fake.events) == people)
            took_seconds = clock.monotonic_seconds() - begin_seconds
    interval_seconds = 61 / (per_minute - per_minute // 4 + 1)
    made = Counter(kinds(server))
    assert made["upsert"] == people
    assert people <= made["read"] <= people + 3, "no place was taken in vain, but where the machine stood still"
    assert (len(server.asks) - 1) * interval_seconds <= took_seconds + 0.1, "never more than the quota allows"
    lines = [line for number in range(people) for line in await rig.deliveries(lane, f"c1:{number:04}")]
    assert [(line.state, line.attempts) for line in lines] == [(DELIVERY_STATE_ACCEPTED, 1)] * people


async def test_what_was_looked_at_is_nobody_elses_until_it_is_written(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "hubspot")
    with running_fake("hubspot") as server:
        settings = await with_binding_quota(rig, lane, server, 8)
        await publish_people(rig, lane, 1)
        async with AsyncExitStack() as running:
            for _ in range(2):
                await running.enter_async_context(rig.running_lane(lane, settings, pace=BRIEF))
            await eventually_async(lambda: bool(server.asks))
            while len(server.asks) == 1:
                held = [name async for name in rig.redis.scan_iter(f"*{workspace}*:object:*")]
                assert held or len(server.asks) > 1
                await asyncio.sleep(0.05)
            await eventually_async(lambda: len(server.fake.events) == 1)
    assert kinds(server)[-1] == "upsert"
    assert Counter(kinds(server))["upsert"] == 1
    [line] = await rig.deliveries(lane, "c1:0000")
    assert (line.state, line.attempts) == (DELIVERY_STATE_ACCEPTED, 1)


@pytest.mark.parametrize("is_paused", [True, False], ids=["paused", "stopped"])
async def test_who_waits_to_write_gives_it_back_when_the_destination_is_paused_or_the_lane_stopped(
    rig: Rig, workspace: str, *, is_paused: bool
) -> None:
    lane = Lane(workspace, "hubspot")
    with running_fake("hubspot") as server:
        settings = await with_binding_quota(rig, lane, server, 5)
        await publish_people(rig, lane, 1)
        async with asyncio.timeout(120):
            async with rig.running_lane(lane, settings):
                await eventually_async(lambda: bool(server.asks))
                if is_paused:
                    await rig.stores.states.hold(lane, "somebody looks after it")
                    name = job_keys.job(workspace, lane.destination, "c1:0000")

                    async def is_given_back() -> bool:
                        return not await rig.redis.hexists(name, "l")

                    await eventually_async(is_given_back)
        job = await rig.redis.hgetall(job_keys.job(workspace, lane.destination, "c1:0000"))
    assert kinds(server) == ["read"], "nothing was written"
    assert (job[b"a"], b"l" in job) == (b"0", False), "it was no attempt, and is anybody's"
    assert not await rig.deliveries(lane, "c1:0000")
