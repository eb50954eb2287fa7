"""The event log on a real Redis: nothing is read past, nothing is lost, nothing is kept for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from tests.support.admissions import AN_EPOCH, Sent, a_request, running_admission
from tests.support.eventually import eventually_async
from tributary.dedup.v1 import dedup_service_pb2
from tributary_cli.stack.redis_server import RedisServer
from tributary_dedup.admission import Admission
from tributary_runtime.errors import PoisonEvent, StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.backlogs import GroupBacklog, event_log_backlogs
from tributary_storage.redis.client import connect
from tributary_storage.redis.event_log import EventLogSource, Pace
from tributary_storage.redis.log_entry import LogEntry
from tributary_storage.redis.log_keeping import LogKeeping

BULK = dedup_service_pb2.LANE_BULK
SHARDS = AN_EPOCH.shards
QUICK = Pace(wait_seconds=0.05)
IMPATIENT = Pace(idle_seconds=0.0, wait_seconds=0.05)


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as client:
        yield client


@pytest.fixture
async def admission(redis_url: str) -> AsyncIterator[Admission]:
    async with running_admission(redis_url) as running:
        yield running


def a_source(
    log: redis.asyncio.Redis, consumer: str = "one", group: str = keys.RECORD_GROUP, pace: Pace | None = None
) -> EventLogSource:
    return EventLogSource(log, group, consumer, SHARDS, pace or QUICK)


async def read_all(source: EventLogSource) -> list[LogEntry]:
    """Reads until nothing comes."""
    found: list[LogEntry] = []
    while entries := await source.read():
        found += entries
    return found


def event_ids(entries: Sequence[LogEntry]) -> list[str]:
    found = []
    for entry in entries:
        for event in entry.events():
            found.append(event.admitted.split(b"\x12")[0].decode(errors="ignore").strip())
    return sorted(name[-3:] for name in found)


async def admit(admission: Admission, workspace: str, count: int, prefix: str = "e", lane: int = 0) -> None:
    events = [Sent(f"{prefix}{number:02}") for number in range(count)]
    await admission.admit(a_request(workspace, events, dedup_service_pb2.Lane.ValueType(lane)))


async def test_every_event_of_every_shard_is_read_once(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    source = a_source(log)
    await admit(admission, workspace, 50)
    entries = await read_all(source)
    assert {entry.shard for entry in entries} == set(range(SHARDS))
    assert event_ids(entries) == [f"e{number:02}" for number in range(50)]
    assert {entry.deliveries for entry in entries} == {1}
    assert all(entry.accept_micros > 1_700_000_000_000_000 for entry in entries)


async def test_live_events_are_read_before_bulk_ones(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 30, "b", BULK)
    await admit(admission, workspace, 30, "l")
    lanes = [entry.lane for entry in await read_all(a_source(log))]
    assert lanes == sorted(lanes, key=["live", "bulk"].index)
    assert {"live", "bulk"} == set(lanes)


async def test_a_group_that_comes_late_starts_at_the_beginning(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 10)
    assert len(event_ids(await read_all(a_source(log, group=keys.ATTRIBUTE_GROUP)))) == 10


async def the_stream(log: redis.asyncio.Redis) -> str:
    """Returns the one stream of the live lane that has entries."""
    (stream,) = [one for shard in range(AN_EPOCH.shards) if await log.xlen(one := keys.event_log(shard, "live"))]
    return stream


@pytest.mark.parametrize("is_again", [False, True], ids=["new", "left by a past life"])
async def test_heavy_entries_are_read_few_at_a_time(
    admission: Admission, log: redis.asyncio.Redis, workspace: str, is_again: bool
) -> None:
    await admit(admission, workspace, 1)
    stream = await the_stream(log)
    ((_, whole),) = await log.xrange(stream)
    for _ in range(20):
        await log.xadd(stream, {**whole, b"payload": bytes(2**20)})
    if is_again:
        await log.xgroup_create(stream, keys.RECORD_GROUP, "0")
        await log.xreadgroup(keys.RECORD_GROUP, "one", {stream: ">"}, count=100)
    source = a_source(log)
    sizes = [sum(len(entry.payload) for entry in await source.read()) for _ in range(4)]
    assert all(0 < size <= 8 * 2**20 for size in sizes)
    found = len(await read_all(source)) + sum(size // 2**20 for size in sizes)
    assert found in (20, 21)  # the entry without weight may be in either part


async def test_who_is_used_to_light_entries_hands_out_heavy_ones_few_at_a_time_too(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 1)
    stream = await the_stream(log)
    ((_, whole),) = await log.xrange(stream)
    source = a_source(log)
    await source.ack(await read_all(source))
    for _ in range(20):
        await log.xadd(stream, {**whole, b"payload": bytes(2**20)})
    found = [await source.read() for _ in range(3)]
    assert max(sum(len(entry.payload) for entry in entries) for entries in found) <= 8 * 2**20
    assert sum(map(len, found)) == 20
    await source.ack([entry for entries in found for entry in entries])
    assert await a_source(log, pace=IMPATIENT).take_over() == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"accept_time": "yesterday"}, id="time"),
        pytest.param({"accept_time": ""}, id="no-time"),
        pytest.param({"schema": "one"}, id="schema"),
        pytest.param({"mask": b"\xff"}, id="mask"),
    ],
)
async def test_a_damaged_entry_is_poison_and_hides_no_other(
    admission: Admission, log: redis.asyncio.Redis, workspace: str, damage: dict[str, str | bytes]
) -> None:
    await admit(admission, workspace, 1)
    stream = await the_stream(log)
    ((_, whole),) = await log.xrange(stream)
    await log.xadd(stream, {**whole, **{name.encode(): text for name, text in damage.items()}})
    found, damaged = await a_source(log).read()
    assert event_ids([found]) == ["e00"]
    if "mask" not in damage:
        with pytest.raises(PoisonEvent):
            damaged.admissions()


async def test_two_consumers_of_a_group_share_the_log(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    one, other = a_source(log, "one"), a_source(log, "other")
    await admit(admission, workspace, 10, "a")
    first = await one.read()
    await admit(admission, workspace, 10, "b")
    second = await other.read()
    assert len(event_ids([*first, *second])) == 20


async def test_what_was_acknowledged_is_not_handed_out_again(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 20)
    source = a_source(log)
    await source.ack(await read_all(source))
    assert await a_source(log, pace=IMPATIENT).take_over() == []
    assert await a_source(log, "other", pace=IMPATIENT).take_over() == []


async def test_a_restarted_consumer_finds_what_its_past_life_left_at_once(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 20)
    left = await read_all(a_source(log))
    again = a_source(log)
    found: list[LogEntry] = []
    while entries := await again.take_over():
        found += entries
        await again.ack(entries)
    assert sorted(entry.entry_id for entry in found) == sorted(entry.entry_id for entry in left)
    assert {entry.deliveries for entry in found} == {2}


async def test_what_another_consumer_left_is_taken_over_when_it_is_idle(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 20)
    left = await read_all(a_source(log, "dead"))
    assert await a_source(log, "patient").take_over() == []
    found = await a_source(log, "impatient", pace=IMPATIENT).take_over()
    assert sorted(entry.entry_id for entry in found) == sorted(entry.entry_id for entry in left)
    assert {entry.deliveries for entry in found} == {2}
    assert found[0].payload == next(entry for entry in left if entry.entry_id == found[0].entry_id).payload


async def test_an_entry_that_vanished_before_it_was_finished_is_alarmed(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 1)
    (entry,) = await read_all(a_source(log, "dead"))
    await log.xdel(keys.event_log(entry.shard, entry.lane), entry.entry_id)
    with capture_logs() as lines:
        assert await a_source(log, "other", pace=IMPATIENT).take_over() == []
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["log_entries_lost"]


async def test_a_group_that_was_lost_is_made_again_and_reads_everything(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    source = a_source(log)
    await admit(admission, workspace, 10)
    await read_all(source)
    for shard in range(SHARDS):
        for lane in keys.LANES:
            await log.xgroup_destroy(keys.event_log(shard, lane), keys.RECORD_GROUP)
    assert len(event_ids(await read_all(source))) == 10


async def test_what_is_postponed_comes_again_as_often_delivered_as_before(
    log: redis.asyncio.Redis, admission: Admission, workspace: str
) -> None:
    await admission.admit(a_request(workspace, [Sent("e-1")]))
    source = a_source(log, pace=Pace(idle_seconds=0.01, wait_seconds=0.05))
    entries = await read_all(source)
    for _ in range(4):
        assert [entry.deliveries for entry in entries] == [1]
        await source.postpone(entries)
        entries = list(await eventually_async(source.take_over))
    other = a_source(log, "two", pace=Pace(idle_seconds=6.0, wait_seconds=0.05))
    assert not await other.take_over()
    await a_source(log, pace=Pace(idle_seconds=3600.0, wait_seconds=0.05)).postpone(entries)
    assert not await a_source(log, "two", pace=Pace(idle_seconds=3600.0, wait_seconds=0.05)).take_over()
    assert (
        len(await eventually_async(a_source(log, "two", pace=Pace(idle_seconds=3594.0, wait_seconds=0.05)).take_over))
        == 1
    )


async def test_who_leaves_hands_back_what_it_has_not_finished_and_others_need_not_wait(
    log: redis.asyncio.Redis, admission: Admission, workspace: str
) -> None:
    await admit(admission, workspace, 30)
    patient = Pace(events=1, idle_seconds=3600.0, wait_seconds=0.05)
    leaving, other = a_source(log, pace=patient), a_source(log, "two", pace=patient)
    begun = await leaving.read()  # more is read than is handed out: it is ahead of what is worked on
    finished, unfinished = begun[:1], begun[1:]
    await leaving.ack(finished)
    assert not await other.take_over()
    for _ in range(2):
        await leaving.hand_back()
    taken: list[LogEntry] = []
    while entries := await other.take_over():
        taken += entries
    rest = [*taken, *await read_all(other)]
    assert {entry.place for entry in unfinished} <= {entry.place for entry in taken}
    assert {entry.deliveries for entry in taken} == {1}
    assert event_ids([*finished, *rest]) == [f"e{number:02}" for number in range(30)]


async def test_a_dead_letter_is_kept_with_payload_reason_and_version(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 1)
    source = a_source(log)
    (entry,) = await read_all(source)
    (single,) = entry.events()
    await source.dead_letter(entry, single, "BROKEN", "text")
    ((_, fields),) = await log.xrange(keys.event_dead_letters(entry.shard, keys.RECORD_GROUP))
    assert fields[b"payload"] == single.admitted
    assert (fields[b"reason"], fields[b"message"], fields[b"workspace"]) == (b"BROKEN", b"text", workspace.encode())
    assert fields[b"entry"].decode() == entry.entry_id
    assert fields[b"version"]


async def test_an_entry_that_cannot_be_taken_apart_is_kept_whole(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    broken = LogEntry(0, "live", "1-0", 1, b"\xff", "A", 1, 1)
    with pytest.raises(PoisonEvent):
        list(broken.events())
    await a_source(log).dead_letter(broken, None, "ENTRY_UNREADABLE", "text")
    ((_, fields),) = await log.xrange(keys.event_dead_letters(0, keys.RECORD_GROUP))
    assert fields[b"payload"] == b"\xff"


async def test_a_small_batch_waits_for_more(admission: Admission, log: redis.asyncio.Redis, workspace: str) -> None:
    source = a_source(log, pace=Pace(linger_seconds=0.001, wait_seconds=0.05))
    await admit(admission, workspace, 10)
    assert len(event_ids(await source.read())) == 10


async def test_what_comes_after_a_quiet_time_does_not_wait_for_more(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    source = a_source(log, pace=Pace(linger_seconds=3600, wait_seconds=0.05))
    await admit(admission, workspace, 10)
    async with asyncio.timeout(60):
        assert len(event_ids(await source.read())) == 10


async def test_an_outage_is_told_as_one(private_redis: RedisServer) -> None:
    async with connect(private_redis.url, name="tests") as log:
        source = a_source(log)
        private_redis.kill()
        with pytest.raises(StorageUnavailableError):
            await source.read()
        with pytest.raises(StorageUnavailableError):
            await source.take_over()


# -- keeping and trimming ---------------------------------------------------------------------------------------------


async def test_what_an_answer_held_that_never_came_is_read_as_soon_as_redis_is_back(
    private_redis: RedisServer, workspace: str
) -> None:
    async with connect(private_redis.url, name="tests") as client:
        source, gone = a_source(client), a_source(client)
        assert not await source.take_over()
        async with running_admission(private_redis.url) as admission:
            await admit(admission, workspace, 5)
        assert await read_all(gone), "as far as Redis knows, the consumer has them"
        private_redis.kill()
        with pytest.raises(StorageUnavailableError):
            await source.read()
        private_redis.start()
        private_redis.wait_until_ready()
        assert event_ids(await read_all(source)) == [f"e{number:02}" for number in range(5)]


async def finish(log: redis.asyncio.Redis, group: str) -> None:
    source = a_source(log, group=group)
    await source.ack(await read_all(source))


async def length(log: redis.asyncio.Redis) -> int:
    return sum([await log.xlen(keys.event_log(shard, lane)) for shard in range(SHARDS) for lane in keys.LANES])


MANY = 200


async def many_entries(admission: Admission, workspace: str) -> None:
    """Trimming is by whole nodes of a stream: enough entries to fill some."""
    for number in range(MANY):
        await admission.admit(a_request(workspace, [Sent(f"n-{number}")]))


async def test_only_what_every_group_has_finished_is_trimmed(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await many_entries(admission, workspace)
    keeping = LogKeeping(log, SHARDS)
    assert await keeping.trim(horizon_seconds=-60) == 0  # no group exists yet
    await finish(log, keys.RECORD_GROUP)
    assert await keeping.trim(horizon_seconds=-60) == 0
    left = await read_all(a_source(log, group=keys.ATTRIBUTE_GROUP))
    assert await keeping.trim(horizon_seconds=-60) == 0
    source = a_source(log, group=keys.ATTRIBUTE_GROUP)
    oldest_kept = {shard: [entry for entry in left if entry.shard == shard][-1] for shard in range(SHARDS)}
    await source.ack([entry for entry in left if entry not in oldest_kept.values()])
    assert await keeping.trim(horizon_seconds=-60) > 0
    for shard, entry in oldest_kept.items():
        assert await log.xrange(keys.event_log(shard, "live"), entry.entry_id, entry.entry_id)


async def test_what_is_within_the_horizon_is_kept(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await many_entries(admission, workspace)
    for group in keys.EVENT_LOG_GROUPS:
        await finish(log, group)
    assert await LogKeeping(log, SHARDS).trim(horizon_seconds=60) == 0
    assert await length(log) == MANY


async def test_an_unknown_group_holds_nothing_back_and_is_alarmed(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await many_entries(admission, workspace)
    for group in keys.EVENT_LOG_GROUPS:
        await finish(log, group)
    await log.xgroup_create(keys.event_log(0, "live"), "stranger", "0")
    with capture_logs() as lines:
        assert await LogKeeping(log, SHARDS).trim(horizon_seconds=-60) > 0
    assert "unknown_groups_ignored" in {line["event"] for line in lines}


async def record_backlog(log: redis.asyncio.Redis) -> GroupBacklog:
    return next(one for one in await event_log_backlogs(log, SHARDS) if one.group == keys.RECORD_GROUP)


async def test_the_backlog_is_what_is_not_finished(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    assert (await record_backlog(log)).age_micros == 0
    await admit(admission, workspace, 40)

    async def grown_old() -> None:
        assert (await record_backlog(log)).age_micros > 0

    await eventually_async(grown_old)
    source = a_source(log)
    entries = await read_all(source)
    assert (await record_backlog(log)).entries == len(entries)
    await source.ack(entries)
    done = await record_backlog(log)
    assert (done.entries, done.age_micros) == (0, 0)


async def test_the_last_position_outlives_trimming(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, 40)
    keeping = LogKeeping(log, SHARDS)
    before = await keeping.last_positions()
    for shard in range(SHARDS):
        await log.xtrim(keys.event_log(shard, "live"), maxlen=0, approximate=False)
    assert await keeping.last_positions() == before
    assert all(before[shard, "live"] > (0, 0) for shard in range(SHARDS))
