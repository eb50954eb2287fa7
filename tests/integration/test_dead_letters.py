"""Dead letters: alone, shown with why, put back once, gone after 30 days."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import pytest
import redis.asyncio
from click.testing import CliRunner, Result

from tests.support.admissions import AN_EPOCH, Sent, a_request, running_admission
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_cli.command_line import cli
from tributary_dedup.admission import Admission
from tributary_dedup.recorder import Recorder
from tributary_runtime import metrics
from tributary_runtime.clock import SystemClock
from tributary_runtime.poison_limit import PoisonLimit
from tributary_runtime.worker import Worker
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.writer import EventWriter
from tributary_storage.redis import keys
from tributary_storage.redis.backlogs import event_log_backlogs
from tributary_storage.redis.client import connect
from tributary_storage.redis.conversion_log import ConversionLogKeeping, ConversionLogSource
from tributary_storage.redis.dead_letters import DeadLetter, DeadLetters
from tributary_storage.redis.event_log import EventLogSource, Pace
from tributary_storage.redis.log_entry import LogEntry
from tributary_storage.redis.log_keeping import LogKeeping


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as client:
        yield client


@pytest.fixture
async def admission(redis_url: str) -> AsyncIterator[Admission]:
    async with running_admission(redis_url) as running:
        yield running


@pytest.fixture
async def clickhouse(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=2) as opened:
        yield opened


@pytest.fixture
def letters(log: redis.asyncio.Redis) -> DeadLetters:
    return DeadLetters(log, log, AN_EPOCH.shards)


def a_source(log: redis.asyncio.Redis, group: str = keys.RECORD_GROUP) -> EventLogSource:
    return EventLogSource(log, group, "one", AN_EPOCH.shards, Pace(idle_seconds=0.2, wait_seconds=0.05))


async def bury(log: redis.asyncio.Redis, event_id: str, reason: str = "BROKEN", group: str = keys.RECORD_GROUP) -> None:
    """Reads what is in the log as a group would, and puts one event of it aside; the rest is done."""
    source = a_source(log, group)
    entries: list[LogEntry] = list(await source.read())
    for entry in entries:
        for single in entry.events():
            if event_id.encode() in single.admitted:
                await source.dead_letter(entry, single, reason, "it broke")
    await source.ack(entries)


async def bury_whole(log: redis.asyncio.Redis, *groups: str) -> None:
    """Reads what is in the log as these groups would, and puts all of it aside as what nobody can take apart."""
    for group in groups:
        source = a_source(log, group)
        while entries := list(await source.read()):
            for entry in entries:
                await source.dead_letter(entry, None, "SCHEMA_UNKNOWN", "of another version")
            await source.ack(entries)


async def append_unreadable(log: redis.asyncio.Redis, *accept_times: int) -> None:
    for micros in accept_times:
        fields = {"schema": 99, "payload": b"x", "mask": "A", "accept_time": micros}
        await log.xadd(keys.event_log(1, "live"), fields)  # type: ignore[arg-type]  # as they are


async def all_of(letters: DeadLetters) -> list[DeadLetter]:
    return [letter async for letter in letters.all()]


async def put_back(letters: DeadLetters, letter: DeadLetter) -> int:
    return await letters.replay(lambda one: one.letter_id == letter.letter_id)


async def record(
    log: redis.asyncio.Redis,
    clickhouse: ClickHouse,
    workspace: str,
    expected: list[str],
    poison_limit: PoisonLimit | None = None,
) -> None:
    """Runs the recorder until ClickHouse has the expected events of a workspace, and nothing waits any more."""
    recorder = Recorder(EventWriter(clickhouse), SystemClock())
    worker = Worker(
        *(metrics.Group.RECORD, a_source(log), recorder, SystemClock()),
        poison_limit=poison_limit,
        take_over_seconds=0.2,
    )
    stop = asyncio.Event()

    async def recorded() -> None:
        backlogs = {one.group: one for one in await event_log_backlogs(log, AN_EPOCH.shards)}
        assert backlogs[keys.RECORD_GROUP].entries == 0
        statement = "SELECT event_id FROM events FINAL WHERE workspace = %(w)s ORDER BY event_id"
        assert [row[0] for row in await clickhouse.execute(statement, {"w": workspace})] == expected

    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        try:
            await eventually_async(recorded)
        finally:
            stop.set()


async def test_what_was_put_back_is_handled_with_all_that_was_known_of_it(
    admission: Admission, log: redis.asyncio.Redis, letters: DeadLetters, clickhouse: ClickHouse, workspace: str
) -> None:
    await admission.admit(a_request(workspace, [Sent("good"), Sent("broken")], traceparent="00-trace-01"))
    await bury(log, "broken")
    (letter,) = await all_of(letters)
    assert (letter.text("workspace"), letter.text("reason"), letter.text("message")) == (
        workspace,
        "BROKEN",
        "it broke",
    )
    assert await put_back(letters, letter)
    assert await all_of(letters) == []
    await record(log, clickhouse, workspace, ["broken"])
    statement = (
        "SELECT api_key_id, traceparent, toUnixTimestamp64Micro(accept_time) FROM events WHERE workspace = %(w)s"
    )
    (row,) = await clickhouse.execute(statement, {"w": workspace})
    assert row == ("k1", "00-trace-01", int(letter.text("accept_time")))


async def test_a_dead_letter_is_put_back_once_however_often_it_is_asked_for(
    admission: Admission, log: redis.asyncio.Redis, letters: DeadLetters, workspace: str
) -> None:
    await admission.admit(a_request(workspace, [Sent("broken")]))
    await bury(log, "broken")
    (letter,) = await all_of(letters)
    answers = await asyncio.gather(*[put_back(letters, letter) for _ in range(10)])
    assert sorted(answers) == [0] * 9 + [1]
    assert sum([await log.xlen(keys.event_log(shard, "bulk")) for shard in range(AN_EPOCH.shards)]) == 1


async def test_what_fails_again_is_a_dead_letter_again(
    admission: Admission, log: redis.asyncio.Redis, letters: DeadLetters, clickhouse: ClickHouse, workspace: str
) -> None:
    await admission.admit(a_request(workspace, [Sent("good"), Sent("broken", readable=False)]))
    await record(log, clickhouse, workspace, ["good"])
    (first,) = await all_of(letters)
    assert first.text("reason") == "EVENT_UNREADABLE"
    assert await put_back(letters, first)
    await record(log, clickhouse, workspace, ["good"])
    (again,) = await all_of(letters)
    assert (again.payload, again.text("reason")) == (first.payload, "EVENT_UNREADABLE")
    assert again.letter_id != first.letter_id


async def test_an_entry_that_could_not_be_taken_apart_is_put_back_whole(
    admission: Admission, log: redis.asyncio.Redis, letters: DeadLetters, clickhouse: ClickHouse, workspace: str
) -> None:
    await admission.admit(a_request(workspace, [Sent("one"), Sent("two"), Sent("one")]))
    source = a_source(log)
    entries = list(await source.read())
    for entry in entries:
        await source.dead_letter(entry, None, "SCHEMA_UNKNOWN", "of another version")
    await source.ack(entries)
    found = await all_of(letters)
    assert all(letter.is_whole_entry for letter in found)
    assert all([await put_back(letters, letter) for letter in found])
    await record(log, clickhouse, workspace, ["one", "two"])


async def test_what_both_groups_put_aside_is_put_back_once_and_never_becomes_more(
    admission: Admission, log: redis.asyncio.Redis, letters: DeadLetters, redis_url: str
) -> None:
    await append_unreadable(log, 1_000, 2_000, 3_000)
    await bury_whole(log, *keys.EVENT_LOG_GROUPS)
    for options in (["--all"], ["--all"], ["--all", "--group", "record"], ["--all", "--reason", "SCHEMA_UNKNOWN"]):
        assert len(await all_of(letters)) == 6
        answer = await asyncio.to_thread(run, {"TRIBUTARY_LOG_URL": redis_url}, "replay", *options, "--json")
        assert json.loads(answer.output) == {"put_back": 3}
        assert await all_of(letters) == []
        await bury_whole(log, *keys.EVENT_LOG_GROUPS)


@pytest.mark.parametrize("number", [pytest.param(0, id="of the recorder"), pytest.param(1, id="of attribution")])
async def test_a_dead_letter_goes_back_with_that_of_the_other_group_and_no_other(
    admission: Admission, log: redis.asyncio.Redis, letters: DeadLetters, workspace: str, number: int
) -> None:
    await admission.admit(a_request(workspace, [Sent("broken"), Sent("other")]))
    for group in keys.EVENT_LOG_GROUPS:
        await bury(log, "broken", group=group)
    await append_unreadable(log, 1_000)
    await bury_whole(log, *keys.EVENT_LOG_GROUPS)
    broken = [letter for letter in await all_of(letters) if not letter.is_whole_entry]
    assert [letter.group for letter in broken] == [*keys.EVENT_LOG_GROUPS]
    assert await put_back(letters, broken[number]) == 1
    assert [letter.is_whole_entry for letter in await all_of(letters)] == [True, True]
    for group in keys.EVENT_LOG_GROUPS:
        (entry,) = await a_source(log, group).read()
        assert [single.admitted for single in entry.events()] == [broken[0].payload]


async def test_what_replays_of_an_older_release_doubled_becomes_one_again(
    log: redis.asyncio.Redis, letters: DeadLetters
) -> None:
    await append_unreadable(log, *[1_000] * 8)
    await bury_whole(log, *keys.EVENT_LOG_GROUPS)
    assert len(await all_of(letters)) == 16
    assert await letters.replay(lambda letter: True) == 1
    await bury_whole(log, *keys.EVENT_LOG_GROUPS)
    assert len(await all_of(letters)) == 2


async def test_what_is_put_back_and_fails_again_stops_no_worker(
    log: redis.asyncio.Redis, letters: DeadLetters, clickhouse: ClickHouse, workspace: str
) -> None:
    await append_unreadable(log, *range(1_000, 1_020))
    await record(log, clickhouse, workspace, [])
    assert await letters.replay(lambda letter: True) == 20
    await record(log, clickhouse, workspace, [], PoisonLimit(window=10, share=0.1))
    assert len(await all_of(letters)) == 20


async def test_a_revision_is_put_back_into_the_conversion_log(log: redis.asyncio.Redis, letters: DeadLetters) -> None:
    revised = ConversionRevised(workspace="shop", revision=7)
    revised.state.conversion_id = "c1:a"
    await log.xadd(keys.conversion_log(1), {"revised": revised.SerializeToString()})
    source = ConversionLogSource(log, "one", AN_EPOCH.shards)
    (entry,) = await source.read()
    await source.dead_letter(entry, revised, "BROKEN", "it broke")
    await source.ack([entry])
    (letter,) = await all_of(letters)
    assert (letter.group, letter.text("workspace")) == ("deliver", "shop")
    assert await put_back(letters, letter)
    (again,) = await source.read()
    assert again.revised() == revised
    assert again.is_put_back


async def test_dead_letters_are_kept_for_30_days_and_not_longer(log: redis.asyncio.Redis, letters: DeadLetters) -> None:
    now = int((await log.time())[0])
    day = 86_400_000
    for age, key in ((29, keys.event_dead_letters(0, "record")), (29, keys.conversion_dead_letters(0, "deliver"))):
        await log.xadd(key, {"reason": "OLD"}, id=f"{now * 1000 - 31 * day}-0")
        await log.xadd(key, {"reason": "YOUNG"}, id=f"{now * 1000 - age * day}-0")
    await LogKeeping(log, AN_EPOCH.shards).trim(3600)
    await ConversionLogKeeping(log, AN_EPOCH.shards).trim(3600)
    assert [letter.text("reason") for letter in await all_of(letters)] == ["YOUNG", "YOUNG"]


def run(environment: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["dead-letters", *arguments], env=environment)


async def test_the_command_line_lists_shows_and_puts_back(
    admission: Admission, log: redis.asyncio.Redis, redis_url: str, workspace: str
) -> None:
    environment = {"TRIBUTARY_LOG_URL": redis_url}
    assert "No dead letters" in (await asyncio.to_thread(run, environment, "list")).output
    await admission.admit(a_request(workspace, [Sent("broken"), Sent("other")]))
    await bury(log, "broken")

    listed = json.loads((await asyncio.to_thread(run, environment, "list", "--json")).output)
    assert [(one["workspace"], one["reason"]) for one in listed] == [(workspace, "BROKEN")]
    for option, value in (("--reason", "OTHER"), ("--workspace", "other"), ("--group", "attribute")):
        chosen = (await asyncio.to_thread(run, environment, "list", "--json", option, value)).output
        assert json.loads(chosen) == []

    shown = json.loads((await asyncio.to_thread(run, environment, "show", listed[0]["id"], "--json")).output)
    assert shown["payload"]["event"]["event_id"] == "broken"
    assert shown["version"]

    assert "1 put back" in (await asyncio.to_thread(run, environment, "replay", "--all", "--reason", "BROKEN")).output
    none_left = (await asyncio.to_thread(run, environment, "replay", "--all", "--json")).output
    assert json.loads(none_left) == {"put_back": 0}
    again = await asyncio.to_thread(run, environment, "replay", listed[0]["id"])
    assert again.exit_code == 1
    assert "no such dead letter" in again.stderr
    assert (await asyncio.to_thread(run, environment, "replay")).exit_code == 2
