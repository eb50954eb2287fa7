"""The recorder: whatever the log holds is in ClickHouse, once, however often ClickHouse or the recorder dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from tests.support.admissions import AN_EPOCH, Sent, a_request, running_admission
from tests.support.attribution import Events, entry
from tests.support.eventually import eventually_async
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_dedup.admission import Admission
from tributary_dedup.recorder import Recorder
from tributary_domain.event_order import event_hash
from tributary_runtime import metrics
from tributary_runtime.clock import SystemClock
from tributary_runtime.worker import Worker
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.clickhouse.recorded_events import RecordedEvents
from tributary_storage.clickhouse.recorded_positions import RecordedPositions
from tributary_storage.clickhouse.writer import EventWriter
from tributary_storage.redis import keys
from tributary_storage.redis.backlogs import event_log_backlogs
from tributary_storage.redis.client import connect
from tributary_storage.redis.event_log import EventLogSource, Pace
from tributary_storage.redis.log_keeping import LogKeeping

REJECTED = verdict_pb2.VERDICT_REJECTED
ROWS = """
SELECT event_id, verdict FROM events FINAL WHERE workspace = %(w)s
UNION ALL SELECT event_id, verdict FROM refusals FINAL WHERE workspace = %(w)s
"""
REASONS = "SELECT event_id, reason_codes, reason_fields FROM refusals FINAL WHERE workspace = %(w)s ORDER BY event_id"


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as client:
        yield client


@pytest.fixture
async def admission(redis_url: str) -> AsyncIterator[Admission]:
    async with running_admission(redis_url) as running:
        yield running


@asynccontextmanager
async def recording(log: redis.asyncio.Redis, clickhouse: ClickHouse, consumer: str = "one") -> AsyncIterator[None]:
    """Runs a recorder beside the test; a crash of it fails the test."""
    source = EventLogSource(
        log, keys.RECORD_GROUP, consumer, AN_EPOCH.shards, Pace(idle_seconds=0.2, wait_seconds=0.05)
    )
    clock = SystemClock()
    recorder = Recorder(EventWriter(clickhouse), clock)
    worker = Worker(metrics.Group.RECORD, source, recorder, clock, take_over_seconds=0.2)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        try:
            yield
        finally:
            stop.set()


async def rows(clickhouse: ClickHouse, workspace: str) -> list[tuple[str, str]]:
    return sorted((str(event), str(verdict)) for event, verdict in await clickhouse.execute(ROWS, {"w": workspace}))


async def nothing_is_pending(log: redis.asyncio.Redis) -> None:
    (backlog,) = [one for one in await event_log_backlogs(log, AN_EPOCH.shards) if one.group == keys.RECORD_GROUP]
    assert (backlog.entries, backlog.oldest_micros) == (0, None)


async def test_each_event_is_one_row_where_its_verdict_says(
    admission: Admission, log: redis.asyncio.Redis, clickhouse_url: str, workspace: str
) -> None:
    await migrate(clickhouse_url)
    events = [Sent("a"), Sent("a"), Sent("a", payload="x"), Sent("r", door=REJECTED), Sent("o", order="o")]
    await admission.admit(a_request(workspace, events))
    await admission.admit(a_request(workspace, [Sent("o2", order="o", rank=2), Sent("a")]))
    expected = [("a", "ACCEPTED"), ("a", "CONFLICT"), ("o", "ACCEPTED"), ("o2", "DUPLICATE"), ("r", "REJECTED")]
    async with (
        clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse,
        recording(log, clickhouse),
    ):
        await eventually_async(lambda: _equal(clickhouse, workspace, expected))
        await eventually_async(lambda: nothing_is_pending(log))


async def _equal(clickhouse: ClickHouse, workspace: str, expected: list[tuple[str, str]]) -> None:
    assert await rows(clickhouse, workspace) == expected


async def test_a_conflict_is_recorded_with_what_differs(
    admission: Admission, log: redis.asyncio.Redis, clickhouse_url: str, workspace: str
) -> None:
    await migrate(clickhouse_url)
    events = [Sent("a", order="o"), Sent("b", order="o", value=7), Sent("a", order="o", payload="other"), Sent("c")]
    await admission.admit(a_request(workspace, [*events, Sent("c", payload="other")]))
    async with (
        clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse,
        recording(log, clickhouse),
    ):

        async def is_recorded() -> None:
            assert await clickhouse.execute(REASONS, {"w": workspace}) == [
                ("a", ["PAYLOAD_DIFFERS"], ["event_id"]),
                ("b", ["ORDER_VALUE_DIFFERS"], ["conversion.value"]),
                ("c", ["PAYLOAD_DIFFERS"], ["event_id"]),
            ]

        await eventually_async(is_recorded)


async def test_a_refund_is_of_the_order_of_an_event_that_an_earlier_version_stored_as_it_was_sent(
    clickhouse_url: str, workspace: str
) -> None:
    await migrate(clickhouse_url)
    make = Events(workspace)
    refund, other = (make.refund(1, of_event=f"203.0.113.{end}", event_id=f"r-{end}") for end in (7, 8))
    for end, (_, admitted) in ((7, refund), (8, other)):
        admitted.event.adjustment.event_id, admitted.sent_target_hash = "x1:t", event_hash(f"203.0.113.{end}")
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse:
        recorder = Recorder(EventWriter(clickhouse), SystemClock(), recorded=RecordedEvents(clickhouse))
        await recorder.handle([entry(workspace, [make.order("visitor:a", event_id="203.0.113.7")])])
        await recorder.handle([entry(workspace, [make.touch("visitor:a"), refund, other])])
        rows = await clickhouse.execute(
            "SELECT event_id, conversion_id, admitted FROM events WHERE workspace = %(w)s AND kind = 'adjustment'",
            {"w": workspace},
            raw_strings=True,
        )
    found = {
        event_id: (conversion_id.decode(), AdmittedEvent.FromString(kept)) for event_id, conversion_id, kept in rows
    }
    assert {conversion_id: kept.conversion_id for conversion_id, kept in found.values()} == {
        make.conversion_id(): make.conversion_id(),
        other[1].conversion_id: other[1].conversion_id,
    }
    assert found[b"r-7"][0] == make.conversion_id()


async def test_clickhouse_may_be_down_for_a_while(
    admission: Admission, log: redis.asyncio.Redis, private_clickhouse: ClickHouseServer, workspace: str
) -> None:
    await migrate(private_clickhouse.url)
    expected = []
    async with clickhouse_client.connect(private_clickhouse.url, name="tests", timeout_seconds=60) as clickhouse:
        async with recording(log, clickhouse):
            for number in range(60):
                if number == 20:
                    private_clickhouse.kill()
                if number == 40:
                    private_clickhouse.start()
                await admission.admit(a_request(workspace, [Sent(f"e-{number:02}")]))
                expected.append((f"e-{number:02}", "ACCEPTED"))
            private_clickhouse.wait_until_ready()
            await eventually_async(lambda: nothing_is_pending(log))
        assert await rows(clickhouse, workspace) == expected


async def test_what_a_dead_recorder_had_read_is_recorded_by_another(
    admission: Admission, log: redis.asyncio.Redis, clickhouse_url: str, workspace: str
) -> None:
    await migrate(clickhouse_url)
    await admission.admit(a_request(workspace, [Sent(f"e-{number:02}") for number in range(20)]))
    dead = EventLogSource(log, keys.RECORD_GROUP, "dead", AN_EPOCH.shards)
    while await dead.read():
        pass
    async with (
        clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse,
        recording(log, clickhouse),
    ):
        expected = [(f"e-{number:02}", "ACCEPTED") for number in range(20)]
        await eventually_async(lambda: _equal(clickhouse, workspace, expected))
        await eventually_async(lambda: nothing_is_pending(log))


async def test_an_event_that_can_never_be_a_row_is_buried_alone(
    admission: Admission, log: redis.asyncio.Redis, clickhouse_url: str, workspace: str
) -> None:
    await migrate(clickhouse_url)
    events = [Sent(f"e-{number:02}", readable=number != 7) for number in range(20)]
    await admission.admit(a_request(workspace, events))
    async with (
        clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse,
        recording(log, clickhouse),
    ):
        expected = [(f"e-{number:02}", "ACCEPTED") for number in range(20) if number != 7]
        await eventually_async(lambda: _equal(clickhouse, workspace, expected))
        await eventually_async(lambda: nothing_is_pending(log))
    dead = [await log.xrange(keys.event_dead_letters(shard, keys.RECORD_GROUP)) for shard in range(AN_EPOCH.shards)]
    ((_, letter),) = [entry for entries in dead for entry in entries]
    assert (letter[b"payload"], letter[b"reason"]) == (b"\xff\xff", b"EVENT_UNREADABLE")


async def test_the_recorded_positions_are_those_of_the_log(
    admission: Admission, log: redis.asyncio.Redis, private_clickhouse: ClickHouseServer, workspace: str
) -> None:
    await migrate(private_clickhouse.url)
    await admission.admit(a_request(workspace, [Sent(f"e-{number:02}") for number in range(40)]))
    there = {
        stream: position
        for stream, position in (await LogKeeping(log, AN_EPOCH.shards).last_positions()).items()
        if position != (0, 0)
    }
    async with clickhouse_client.connect(private_clickhouse.url, name="tests", timeout_seconds=60) as clickhouse:
        async with recording(log, clickhouse):
            await eventually_async(lambda: nothing_is_pending(log))
        assert await RecordedPositions(clickhouse).last_positions() == there
