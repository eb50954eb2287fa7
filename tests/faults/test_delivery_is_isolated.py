"""A destination that hangs, that may be called once a minute, or that was declared wrong holds up itself alone."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.all_destinations import open_row
from tests.support.batches import a_purchase, clicked, plan, publish
from tests.support.delivery import PACE, Rig, a_rig, declared, delivery_process
from tests.support.eventually import eventually_async
from tests.support.ports import free_port
from tributary_cli.demo.fakes.server import Fault
from tributary_delivery.attempt import AttemptRules
from tributary_delivery.dispatcher import Dispatcher
from tributary_delivery.lane import LaneRunner
from tributary_domain.backoff import Backoff
from tributary_runtime.clock import SystemClock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.workspaces import Workspaces
from tributary_storage.redis.delivery_job import Lane

HANG = ("google", "webhook")
"""One that is called with many at once, one that is called one by one."""
THROTTLED = "snap"
HALF = 50


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def test_others_deliver_all_of_theirs_while_one_hangs_and_one_is_throttled(
    rig: Rig, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path
) -> None:
    over = threading.Event()
    with open_row(workspace) as row:
        for kind in HANG:
            row.stands[kind].front.faults.extend([Fault(takes=False, until=over)] * 1_000)
        throttled = row.stands[THROTTLED]
        throttled.declared |= {"batch_size": 1, "quota": {"requests_per_minute": 2}}
        declarations = [
            *(stand.declared for stand in row),
            declared(f"http://127.0.0.1:{free_port()}/", "dead"),
            declared("https://nobody.invalid/", "nameless"),
            declared(row.stands["webhook"].declared["url"], "unsigned", secret={"value": "whsec_%%%"}),
        ]
        # Longer than anybody waits here: were a call of theirs waited for, nothing would arrive in time.
        calls = {"TRIBUTARY_DELIVERY_CALL_SECONDS": "60"}
        process = delivery_process(
            tmp_path, migrated_redis_url, clickhouse_url, {workspace: declarations}, calls, has_data_key=True
        )
        others = [stand for stand in row if stand.kind not in (*HANG, THROTTLED)]
        lane = others[0].lane
        try:
            await asyncio.to_thread(process.start)
            await publish(rig, lane, [a_purchase(lane, one) for one in range(HALF)], clicked, is_planned=False)
            await eventually_async(lambda: all(row.stands[kind].front.asks for kind in HANG))
            second = [a_purchase(lane, one) for one in range(HALF, 2 * HALF)]
            await publish(rig, lane, second, clicked, is_planned=False)

            def missing() -> None:
                lack = {stand.kind: 2 * HALF - len(stand.front.fake.counted) for stand in others}
                assert not any(lack.values()), f"{lack} did not arrive"

            await eventually_async(missing)
            assert {kind: row.stands[kind].front.fake.accepted for kind in HANG} == dict.fromkeys(HANG, 0)
            assert throttled.front.fake.accepted <= 2
            assert await rig.stores.jobs.waiting(throttled.lane) >= 2 * HALF - 2
            for kind in HANG:
                assert await rig.stores.jobs.waiting(row.stands[kind].lane) == 2 * HALF
        finally:
            process.kill()
            over.set()
    assert {stand.kind for stand in others if set(stand.front.fake.counted.values()) != {1}} == set()


@dataclass
class File:
    """A workspaces file that never changes."""

    current: Workspaces


async def test_a_destination_that_no_lane_can_be_made_of_stops_no_other(rig: Rig, workspace: str) -> None:
    rules = AttemptRules(Backoff(0.02, 0.1), random.Random(7), 3600.0)

    def make(lane: Lane, settings: DestinationSettings) -> LaneRunner:
        if lane.destination == "snap":
            raise ValueError("what the checks of the file let through")
        sender = rig.senders().make(lane, settings)
        return LaneRunner(lane, settings, sender, rig.stores, rules, SystemClock(), PACE)

    with open_row(workspace, kinds=("snap", "meta")) as row:
        one = {"id": workspace, "pepper": {"value": "pepper"}, "destinations": [stand.declared for stand in row]}
        dispatcher, stop = Dispatcher(File(Workspaces.model_validate({"workspaces": [one]})), make), asyncio.Event()
        lane = row.lanes[0]
        await plan(rig, row.lanes, await publish(rig, lane, [a_purchase(lane)], clicked, is_planned=False))
        async with asyncio.TaskGroup() as group:
            group.create_task(dispatcher.run(stop))
            try:
                await eventually_async(lambda: row.stands["meta"].front.fake.accepted)
            finally:
                stop.set()
        assert await rig.stores.jobs.waiting(lane) == 1
