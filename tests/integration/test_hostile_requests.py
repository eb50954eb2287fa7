"""Whatever is sent, the door answers: a verdict, or what is wrong with the request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.load.fuzz import GOAL_LET_IN
from tests.support.door import Door, running_door
from tests.support.fuzzing import fuzz
from tests.support.stores import Stores, create_test_epoch, run_apart
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED
from tributary_runtime.clock import SystemClock

REQUESTS = 2_000


@pytest.fixture
def door(stores: Stores, clickhouse_url: str, tmp_path: Path) -> Iterator[Door]:
    redis_url = stores.empty_redis_url()
    run_apart(create_test_epoch(redis_url))
    with running_door(tmp_path, redis_url, clickhouse_url, {"shop": {"default_region": "DE"}}) as running:
        yield running


async def test_hostile_requests_bring_nothing_down_and_are_never_our_fault(door: Door) -> None:
    pids = door.ingestion.pid, door.dedup.pid
    fuzzed = await fuzz(door, REQUESTS, seed=1)
    assert fuzzed.bad == []
    assert fuzzed.codes.total() == REQUESTS
    assert {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"} <= set(fuzzed.codes)
    assert fuzzed.verdicts["VERDICT_ACCEPTED"] >= REQUESTS * GOAL_LET_IN, "else it says nothing of the recorder"
    assert (door.ingestion.pid, door.dedup.pid) == pids
    assert door.ingestion.is_running
    assert door.dedup.is_running

    event = Event(event_id="after")
    event.event_time.FromMicroseconds(SystemClock().unix_micros())
    event.identifiers.visitor_id = "anna"
    event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
    event.context.observed_by = OBSERVER_BACKEND
    (verdict,) = door.send(event)
    assert verdict.verdict == VERDICT_ACCEPTED
    log = door.ingestion.log_file.read_text() + door.dedup.log_file.read_text()
    assert '"code": "INTERNAL"' not in log
    assert "event_buried" not in log  # what the door let in could be recorded
