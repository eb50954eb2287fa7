"""Fair shares at the door: who takes too much is told so, alone, or waits behind, alone."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis

from tests.support.door import Door, running_door
from tests.support.eventually import eventually
from tests.support.statuses import Failure, failure_of
from tests.support.stores import create_test_epoch, run_apart, running_redis
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvents
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.ingestion.v1.deal_pb2 import Deal
from tributary.ingestion.v1.ingestion_service_pb2 import ImportDealsRequest, IngestEventsRequest
from tributary.ingestion.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from tributary_runtime.authentication import NewKey, new_key
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import keys

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
SLOW, FAST = new_key(), new_key()


def a_key(key: NewKey, **limits: int) -> dict[str, Any]:
    return {"id": key.id, "sha256": key.sha256, "scopes": ["ingest"], **limits}


WORKSPACES: Mapping[str, Mapping[str, Any]] = {
    "limited": {"api_keys": [a_key(SLOW, events_per_second=50), a_key(FAST, bytes_per_second=20_000)]},
    "bursty": {"limits": {"live_events_per_second": 20}},
    "flood": {"limits": {"live_percent": 30, "backlog_percent": 10}},
    "quiet": {},
    "alone": {},
}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small log of the module's own, whose events nobody but the recorder reads: all of them wait."""
    with running_redis(tmp_path_factory.mktemp("redis"), {"maxmemory": "64mb"}) as server:
        run_apart(create_test_epoch(f"{server.url}/0"))
        yield f"{server.url}/0"


@pytest.fixture(scope="module")
def door(redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    directory: Path = tmp_path_factory.mktemp("door")
    with running_door(directory, redis_url, clickhouse_url, WORKSPACES) as running:
        yield running


def visits(count: int, size: int = 0) -> list[Event]:
    events = []
    for _ in range(count):
        event = Event(event_id=secrets.token_hex(8))
        event.event_time.FromMicroseconds(SystemClock().unix_micros())
        event.identifiers.visitor_id = "anna"
        event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
        event.context.observed_by = OBSERVER_BACKEND
        event.properties["note"] = "x" * size
        events.append(event)
    return events


def refused(door: Door, events: list[Event], api_key: str) -> Failure | None:
    try:
        door.call(IngestEventsRequest(events=events), api_key)
    except grpc.RpcError as error:
        return failure_of(error)
    return None


def lanes(door: Door, redis_url: str) -> dict[str, Counter[str]]:
    """Returns per lane how many events the log holds of each workspace."""
    found: dict[str, Counter[str]] = {}
    names = {workspace_id: name for name, workspace_id in door.ids.items()}
    with redis.Redis.from_url(redis_url) as client:
        for lane in keys.LANES:
            counts = found[lane] = Counter[str]()
            for shard in range(4):
                for _, fields in client.xrange(keys.event_log(shard, lane)):
                    for admission in AdmittedEvents.FromString(fields[b"payload"]).admissions:
                        counts[names[admission.workspace]] += len(admission.events)
    return found


def test_a_workspace_that_floods_while_nobody_else_is_there_leaves_the_live_lane_to_who_comes_next(
    door: Door, redis_url: str
) -> None:
    for _ in range(6):  # more than is worked off in a moment
        assert {verdict.verdict for verdict in door.send(*visits(400, 500), workspace="alone")} == {ACCEPTED}

    def moved() -> None:
        door.send(*visits(1), workspace="alone")
        assert lanes(door, redis_url)["bulk"]["alone"] > 0

    eventually(moved)
    door.send(*visits(5), workspace="quiet")
    assert lanes(door, redis_url)["live"]["quiet"] == 5


@pytest.mark.parametrize(("key", "size"), [pytest.param(SLOW, 0, id="events"), pytest.param(FAST, 200, id="bytes")])
def test_a_key_over_its_rate_is_told_when_to_come_back_and_another_is_not(door: Door, key: NewKey, size: int) -> None:
    other = FAST if key is SLOW else SLOW

    def over() -> Failure:
        failure = refused(door, visits(40, size), key.key.get_secret_value())
        assert failure is not None
        return failure

    failure = eventually(over)
    assert (failure.code, failure.reason) == ("RESOURCE_EXHAUSTED", "KEY_RATE_EXCEEDED")
    assert failure.quotas == [f"key:{key.id}"]
    assert failure.retry_seconds is not None
    assert 0 < failure.retry_seconds < 5
    eventually(lambda: refused(door, visits(1), other.key.get_secret_value()) is None)
    eventually(lambda: refused(door, visits(1), key.key.get_secret_value()) is None)  # it may come back


def test_imports_count_towards_the_bytes_of_their_key(door: Door) -> None:
    request = ImportDealsRequest(deals=[Deal(stage="x" * 200)] * 500, validate_only=True)
    metadata = [("authorization", f"Bearer {FAST.key.get_secret_value()}")]

    def over() -> Failure:
        try:
            IngestionServiceStub(door.channel).ImportDeals(request, timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            return failure_of(error)
        raise AssertionError("not over its rate yet")

    failure = eventually(over)
    assert (failure.code, failure.reason) == ("RESOURCE_EXHAUSTED", "KEY_RATE_EXCEEDED")
    assert failure.quotas == [f"key:{FAST.id}"]


def test_bytes_that_are_no_request_count_towards_the_bytes_of_their_key(door: Door) -> None:
    def over() -> Failure:
        try:
            door.call(b"\xff" * 30_000, FAST.key.get_secret_value())
        except grpc.RpcError as error:
            failure = failure_of(error)
            assert failure.code == "RESOURCE_EXHAUSTED"
            return failure
        raise AssertionError("taken for a request")

    assert eventually(over).quotas == [f"key:{FAST.id}"]


def test_batches_that_are_wrong_count_towards_the_bytes_of_their_key(door: Door) -> None:
    key = FAST.key.get_secret_value()

    def over() -> Failure:
        failure = refused(door, visits(1_001), key)
        assert failure is not None
        assert failure.reason == "KEY_RATE_EXCEEDED"
        return failure

    assert eventually(over).quotas == [f"key:{FAST.id}"]


def test_what_exceeds_a_workspaces_live_rate_goes_on_in_the_bulk_lane(door: Door, redis_url: str) -> None:
    begun, sent = time.monotonic(), 0

    def moved() -> Counter[str]:
        nonlocal sent
        assert {verdict.verdict for verdict in door.send(*visits(200), workspace="bursty")} == {ACCEPTED}
        sent += 200
        found = {lane: counts["bursty"] for lane, counts in lanes(door, redis_url).items()}
        assert found["bulk"]
        return Counter(found)

    found = eventually(moved)
    assert found.total() == sent
    assert found["live"] <= 20 * (1 + time.monotonic() - begun) + 200, "a second's may come at once; no call is divided"


def test_a_workspace_beyond_its_share_of_the_live_lane_goes_on_in_bulk_and_others_stay_live(
    door: Door, redis_url: str
) -> None:
    door.send(*visits(5), workspace="quiet")

    def moved() -> None:
        door.send(*visits(200, 500), workspace="flood")
        assert lanes(door, redis_url)["bulk"]["flood"] > 0

    eventually(moved)
    before = lanes(door, redis_url)
    door.send(*visits(5), workspace="quiet")
    door.send(*visits(50), workspace="flood")
    after = lanes(door, redis_url)
    assert after["live"]["quiet"] == before["live"]["quiet"] + 5
    assert after["live"]["flood"] == before["live"]["flood"]


def test_a_workspace_that_holds_its_share_of_the_room_is_refused_and_others_are_not(door: Door) -> None:
    def over() -> Failure:
        failure = refused(door, visits(200, 500), door.keys["flood"])
        assert failure is not None
        return failure

    failure = eventually(over)
    assert (failure.code, failure.reason) == ("RESOURCE_EXHAUSTED", "BACKLOG_SHARE_EXCEEDED")
    assert failure.quotas == [f"workspace:{door.ids['flood']}"]
    assert failure.retry_seconds == 2
    with pytest.raises(grpc.RpcError) as raised:
        door.send(*visits(1), workspace="flood", backfill=True)
    assert failure_of(raised.value).reason == "BACKLOG_SHARE_EXCEEDED"
    assert {verdict.verdict for verdict in door.send(*visits(20), workspace="quiet")} == {ACCEPTED}
