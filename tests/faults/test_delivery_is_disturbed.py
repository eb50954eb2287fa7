"""Whatever is lost, late, doubled or killed: in the end the receiver knows every conversion as it is, created once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.support.delivery import Rig, a_destination, a_rig
from tests.support.destinations import LOST, Answer, Endpoint, running_endpoint
from tests.support.eventually import eventually_async
from tests.support.revisions import Revision
from tributary_delivery.attempt import AttemptRules
from tributary_delivery.destinations.webhook import Webhook
from tributary_delivery.lane import LaneRunner, Pace
from tributary_delivery.sender import OneByOne
from tributary_domain.backoff import Backoff
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.delivery_job import Lane

CONVERSIONS = 25
ANSWERS = (Answer(), Answer(), LOST, Answer(503), Answer(hangs_up=True), Answer(500, takes=True))
PACE = Pace(concurrency=4, call_seconds=0.5, margin_seconds=0.5)


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def histories(workspace: str, chance: random.Random) -> list[list[Revision]]:
    """Returns the lives of conversions: values change, some are taken back, some counted again."""
    lives = []
    for number in range(CONVERSIONS):
        life = [Revision(workspace=workspace, conversion_id=f"c1:{number}")]
        for _ in range(chance.randrange(5)):
            counted = chance.random() > 0.3
            life.append(life[-1].then(value_micros=chance.randrange(1, 100) * 1_000_000, counted=counted))
        lives.append(life)
    return lives


async def run_and_die(rig: Rig, lane: Lane, endpoint: Endpoint, chance: random.Random, stop: asyncio.Event) -> None:
    """Runs one lane after another, each killed after a moment, until stopped; the last one finishes."""
    while not stop.is_set():
        rules = AttemptRules(Backoff(0.02, 0.1), chance, 3600.0)
        settings = a_destination(endpoint.url)
        webhook = Webhook(settings, call_seconds=PACE.call_seconds)
        runner = LaneRunner(lane, settings, OneByOne(webhook), rig.stores, rules, SystemClock(), PACE)
        life = asyncio.create_task(runner.run(stop))
        await asyncio.wait([life], timeout=chance.uniform(0.3, 1.5))
        if not stop.is_set():
            life.cancel()
        with suppress(asyncio.CancelledError):
            await life


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_receiver_knows_every_conversion_as_it_is(rig: Rig, workspace: str, seed: int) -> None:
    chance = random.Random(seed)
    lane, lives, stop = Lane(workspace, "crm"), histories(workspace, chance), asyncio.Event()
    async with running_endpoint() as endpoint, asyncio.TaskGroup() as group:
        endpoint.answers.extend(chance.choice(ANSWERS) for _ in range(150))
        for number in range(2):
            group.create_task(run_and_die(rig, lane, endpoint, random.Random(seed * 10 + number), stop))
        try:
            waiting = [list(life) for life in lives]
            while any(waiting):
                life = chance.choice([one for one in waiting if one])
                message = await rig.publisher.publish(life.pop(0))
                await rig.plan(lane, message)
                if chance.random() < 0.2:
                    await rig.plan(lane, message)
            endpoint.answers.clear()
            await eventually_async(lambda: is_idle(rig, lane))
        finally:
            stop.set()
    assert endpoint.most_at_once == 1
    assert set(endpoint.created.values()) <= {1}
    assert [wrong for life in lives if (wrong := finding(endpoint, life))] == []


async def is_idle(rig: Rig, lane: Lane) -> bool:
    return await rig.stores.jobs.waiting(lane) == 0


def finding(endpoint: Endpoint, life: list[Revision]) -> str:
    """Compares what the receiver knows with what is; empty if it is the same."""
    last = life[-1]
    effects = [one for one in endpoint.effects.values() if one.data["conversion_id"] == last.conversion_id]
    if not effects:
        return f"{last.conversion_id} never arrived" if last.counted else ""
    newest = max(effects, key=lambda one: int(one.data["revision"])).data
    if newest["counted"] != last.counted or newest["value"]["amount_micros"] != last.value_micros:
        return f"{last.conversion_id} is known as {newest['value']}, counted {newest['counted']}"
    if last.counted and endpoint.created[last.conversion_id] != 1:
        return f"{last.conversion_id} was never created"
    return ""
