"""Jobs of a destination that is no more do not stay for ever; those of one that is, or comes back soon, do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio
import yaml

from tests.support.delivery import declared
from tributary_delivery.leftovers import KEEP_SECONDS, Leftovers
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.redis.abandoned_jobs import AbandonedJobs
from tributary_storage.redis.client import connect
from tributary_storage.redis.delivery_job import Lane, PlannedRevision
from tributary_storage.redis.delivery_jobs import DeliveryJobs


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as opened:
        yield opened


async def test_only_old_jobs_of_destinations_that_are_no_more_are_dropped(
    client: redis.asyncio.Redis, tmp_path: Path
) -> None:
    path = tmp_path / "workspaces.yaml"
    shop = {"id": "shop", "pepper": {"value": "a pepper"}, "destinations": [declared("http://127.0.0.1:1/hook")]}
    path.write_text(yaml.safe_dump({"workspaces": [shop]}))
    workspaces, jobs = WorkspacesFile.load(path), DeliveryJobs(client)
    there = Lane("shop", workspaces.current.workspaces[0].destinations[0].id)
    gone, left = Lane("shop", "gone"), Lane("left", "crm")
    now = SystemClock().unix_micros()
    old = now - (KEEP_SECONDS + 60) * 1_000_000
    for lane in (there, gone, left):
        await jobs.plan(lane, [PlannedRevision("c1:old", 7, 0, old), PlannedRevision("c1:new", 8, 0, now)])
    leftovers = Leftovers(AbandonedJobs(client), workspaces, SystemClock())
    assert await leftovers.drop() == 2
    assert [await jobs.waiting(lane) for lane in (there, gone, left)] == [2, 1, 1]
    assert not await client.exists("trb:{j:shop:gone}:job:c1:old", "trb:{j:left:crm}:job:c1:old")
    assert await leftovers.drop() == 0
