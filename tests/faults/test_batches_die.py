"""`kill -9` of delivery while it sends batches: every conversion counts once, or is a dead letter that says why not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.test_delivery_dies import nothing_waits, through
from tests.support.batches import FAKES, TOKEN, a_purchase, declared_batches, publish
from tests.support.delivery import Rig, a_rig, delivery_process, running
from tests.support.eventually import eventually_async
from tests.support.holding_proxy import holding_proxy
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    OUTCOME_CLASS_UNKNOWN,
)
from tributary_cli.demo.fakes.server import FakeServer, Fault
from tributary_storage.redis.delivery_jobs import Lane

pytestmark = pytest.mark.timeout(120)

KINDS = ("google", "linkedin", "meta", "tiktok")


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@pytest.mark.parametrize("step", ["before it is taken", "after it is taken", "before the ledger has the outcome"])
async def test_a_death_while_batches_are_sent_neither_loses_nor_repeats_a_conversion(
    rig: Rig, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path, step: str
) -> None:
    lanes = {kind: Lane(workspace, kind) for kind in KINDS}
    async with AsyncExitStack() as closing:
        servers = {kind: closing.enter_context(FakeServer(FAKES[kind](TOKEN))) for kind in KINDS}
        held = threading.Event()
        closing.callback(held.set)
        at_ledger = step == "before the ledger has the outcome"
        for server in servers.values() if not at_ledger else ():
            server.faults.append(Fault(takes=step == "after it is taken", until=held))
        proxy = await closing.enter_async_context(
            holding_proxy(urlsplit(clickhouse_url).port or 0, b"INSERT INTO deliveries")
        )
        first_url = through(clickhouse_url, proxy.port) if at_ledger else clickhouse_url
        destinations = {workspace: [declared_batches(kind, server.url) for kind, server in servers.items()]}
        for lane in lanes.values():
            await publish(rig, lane, [a_purchase(lane, 0)])
        dying = delivery_process(tmp_path, migrated_redis_url, first_url, destinations, has_data_key=True)
        try:
            dying.start()
            await eventually_async(lambda: all(server.asks for server in servers.values()), 20)
            if at_ledger:
                async with asyncio.timeout(20):
                    await proxy.holds.wait()
        finally:
            dying.kill()
        held.set()
        again = delivery_process(tmp_path, migrated_redis_url, clickhouse_url, destinations, has_data_key=True)
        with running(again):
            for lane in lanes.values():
                await eventually_async(lambda lane=lane: nothing_waits(rig, lane), 30)
        taken = {kind: dict(server.fake.counted) for kind, server in servers.items()}
    once = {"p-c1:0000": 1}
    assert {kind: taken[kind] for kind in KINDS if kind != "linkedin"} == dict.fromkeys(
        ("google", "meta", "tiktok"), once
    )
    assert taken["linkedin"] == ({} if step == "before it is taken" else once)
    for kind, lane in lanes.items():
        [delivery] = await rig.deliveries(lane, "c1:0000")
        if kind == "linkedin":  # nobody says that it would know it again
            assert (delivery.state, delivery.outcome) == (DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN)
        else:
            assert delivery.state == DELIVERY_STATE_ACCEPTED
