"""Attribution as a process: from the event log to ClickHouse, the conversion log, and a journey by gRPC."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from pathlib import Path

import grpc
import pytest
import redis.asyncio
import yaml
from pydantic import SecretStr

from tests.support.attribution import DAY, NOON, SHARDS, Admitted, Events, entry
from tests.support.eventually import eventually_async
from tests.support.ports import free_port
from tests.support.stores import running_redis_at, vouch_for
from tributary.attribution.v1.attribution_service_pb2 import GetJourneyRequest, GetJourneyResponse
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_cli.stack.redis_server import RedisServer
from tributary_cli.stack.services import ServiceProcess
from tributary_domain.shards import shard_of_key
from tributary_runtime.channels import open_channel
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch, create_epoch
from tributary_storage.redis.ties import person_key

METHOD = "/tributary.attribution.v1.AttributionService/GetJourney"
TOKEN = "internal-token-of-tests"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as opened:
        await create_epoch({"log": opened, "state": opened}, Epoch("an-epoch", SHARDS, 6, 1))
        await vouch_for(opened)
        yield opened


@pytest.fixture
async def clickhouse(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as opened:
        yield opened


@pytest.fixture
def process(
    client: redis.asyncio.Redis, redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path
) -> Iterator[ServiceProcess]:
    service = described(redis_url, clickhouse_url, workspace, tmp_path)
    try:
        yield service
    finally:
        service.kill()


def described(
    redis_url: str,
    clickhouse_url: str,
    workspace: str,
    directory: Path,
    batch_events: int = 1_000,
    state_url: str | None = None,
) -> ServiceProcess:
    """Returns an attribution that knows one workspace; nothing runs yet."""
    file = directory / "workspaces.yaml"
    file.write_text(yaml.safe_dump({"workspaces": [{"id": workspace, "pepper": {"value": "a pepper"}}]}))
    environment = {
        "TRIBUTARY_LOG_URL": redis_url,
        "TRIBUTARY_STATE_URL": state_url or redis_url,
        "TRIBUTARY_CLICKHOUSE_URL": clickhouse_url,
        "TRIBUTARY_WORKSPACES_FILE": str(file),
        "TRIBUTARY_INTERNAL_TOKEN": TOKEN,
        "TRIBUTARY_DRAIN_DELAY_SECONDS": "0",
        "TRIBUTARY_ATTRIBUTION_CONSUMER": secrets.token_hex(4),
        "TRIBUTARY_ATTRIBUTION_BATCH_EVENTS": str(batch_events),
    }
    return ServiceProcess("attribution", free_port(), directory / "attribution.log", environment)


async def append(client: redis.asyncio.Redis, workspace: str, events: Sequence[Admitted], shard: int = 0) -> None:
    """Appends one entry to the event log, as dedup does."""
    made = entry(workspace, events)
    seconds, _ = await client.time()
    fields = {"schema": made.schema, "payload": made.payload, "mask": made.mask, "accept_time": seconds * 1_000_000}
    await client.xadd(keys.event_log(shard, "live"), fields)  # type: ignore[arg-type]  # as they are


async def get_journey(address: str, request: GetJourneyRequest, token: str = TOKEN) -> GetJourneyResponse:
    async with open_channel(address, SecretStr(token)) as channel:
        call = channel.unary_unary(
            METHOD,
            request_serializer=GetJourneyRequest.SerializeToString,
            response_deserializer=GetJourneyResponse.FromString,
        )
        answer: GetJourneyResponse = await call(request)
        return answer


async def logged(client: redis.asyncio.Redis) -> list[ConversionRevised]:
    found = []
    for shard in range(SHARDS):
        for _, fields in await client.xrange(keys.conversion_log(shard)):
            found.append(ConversionRevised.FromString(fields[b"revised"]))
    return found


async def unfinished(client: redis.asyncio.Redis) -> int:
    """Returns how many entries of the event log group `attribute` has read and not acknowledged, or not even read."""
    count = 0
    for shard in range(SHARDS):
        stream = keys.event_log(shard, "live")
        if not await client.exists(stream):
            continue
        groups = await client.xinfo_groups(stream)
        read = groups[0]["last-delivered-id"] if groups else b"0-0"
        count += len(await client.xrange(stream, min=b"(" + read)) + sum(group["pending"] for group in groups)
    return count


async def test_what_the_log_holds_is_credited_and_told(
    process: ServiceProcess, client: redis.asyncio.Redis, clickhouse: ClickHouse, workspace: str
) -> None:
    make = Events(workspace)
    process.start()
    process.wait_until_ready()
    await append(client, workspace, [make.touch("visitor:a", channel="Email"), make.order("visitor:a")])
    await append(client, workspace, [make.touch("visitor:a", channel="Display", at=NOON - 2 * DAY)], shard=3)

    async def stored() -> bool:
        rows = await clickhouse.execute(
            "SELECT touch_channels FROM conversions FINAL WHERE workspace = %(w)s", {"w": workspace}
        )
        return rows == [(["Display", "Email"],)]

    await eventually_async(stored)
    await eventually_async(lambda: _is(unfinished(client), 0))
    assert {revised.state.conversion_id for revised in await logged(client)} == {make.conversion_id()}

    named = GetJourneyRequest(workspace=workspace, conversion_id=make.conversion_id())
    journey = (await get_journey(process.address, named)).journey
    assert [step.touchpoint.source.channel for step in journey.steps] == ["Display", "Email", ""]
    assert journey.steps[2].conversion.conversion_id == make.conversion_id()
    by_person = GetJourneyRequest(workspace=workspace, person_id=journey.person_id)
    assert (await get_journey(process.address, by_person)).journey == journey


async def test_what_a_killed_process_had_read_is_credited_by_the_next(
    process: ServiceProcess, client: redis.asyncio.Redis, workspace: str
) -> None:
    make = Events(workspace)
    process.start()
    process.wait_until_ready()
    for number in range(40):
        order = make.order(f"visitor:{number}", order_id=f"o-{number}")
        await append(client, workspace, [make.touch(f"visitor:{number}"), order], shard=number % SHARDS)
        if number in (10, 20, 30):
            process.kill()
            process.start()
    process.wait_until_ready()
    await eventually_async(lambda: _is(unfinished(client), 0))
    revisions = await logged(client)
    assert len(revisions) == 40
    assert sum(revised.counted_delta for revised in revisions) == 40
    assert all(len(revised.state.touches) == 1 for revised in revisions)


async def test_redis_may_be_killed_while_credit_is_published(
    private_redis: RedisServer, private_clickhouse: ClickHouseServer, workspace: str, tmp_path: Path
) -> None:
    make, clickhouse_url = Events(workspace), private_clickhouse.url
    await migrate(clickhouse_url)  # a shared one knows places of other tests: a Redis that comes back would be older
    async with connect(private_redis.url, name="tests") as client:
        await create_epoch({"log": client, "state": client}, Epoch("an-epoch", SHARDS, 6, 1))
        await vouch_for(client)
        for number in range(60):
            order = make.order(f"visitor:{number}", order_id=f"o-{number}")
            await append(client, workspace, [make.touch(f"visitor:{number}"), order], shard=number % SHARDS)
    service = described(private_redis.url, clickhouse_url, workspace, tmp_path, batch_events=2)
    try:
        service.start()
        service.wait_until_ready()
        for credited in (5, 15, 30):
            async with connect(private_redis.url, name="tests") as client:
                await eventually_async(lambda: _reaches(logged(client), credited))  # noqa: B023 - awaited here
            private_redis.kill()
            private_redis.start()
            private_redis.wait_until_ready()
        async with connect(private_redis.url, name="tests") as client:
            await eventually_async(lambda: _is(unfinished(client), 0))
            revisions = await logged(client)
    finally:
        service.kill()
    assert len(revisions) == 60
    assert {revised.state.conversion_id for revised in revisions} == {make.conversion_id(f"o-{n}") for n in range(60)}


async def test_an_event_that_cannot_be_read_is_put_aside_alone(
    process: ServiceProcess, client: redis.asyncio.Redis, workspace: str
) -> None:
    make = Events(workspace)
    _, broken = make.touch("visitor:a")
    broken.event.event_id = ""
    await append(client, workspace, [("A", broken), make.order("visitor:a")])
    process.start()
    process.wait_until_ready()
    await eventually_async(lambda: _is(_length(client), 1))
    await eventually_async(lambda: _is(unfinished(client), 0))
    assert len(await logged(client)) == 1


async def test_an_event_that_redis_refuses_for_good_is_put_aside_and_stops_nobody(
    process: ServiceProcess, client: redis.asyncio.Redis, workspace: str
) -> None:
    make = Events(workspace)
    broken = person_key(workspace, "visitor:broken")
    await client.set(keys.journey(shard_of_key(broken, SHARDS), broken), "no journey")
    await append(client, workspace, [make.touch("visitor:broken"), make.touch("visitor:a"), make.order("visitor:a")])
    process.start()
    process.wait_until_ready()
    await eventually_async(lambda: _is(_length(client), 1))
    await eventually_async(lambda: _is(unfinished(client), 0))
    [revised] = await logged(client)
    assert len(revised.state.touches) == 1


async def test_a_stranger_and_a_stranger_s_question_are_refused(
    process: ServiceProcess, client: redis.asyncio.Redis, workspace: str
) -> None:
    process.start()
    process.wait_until_ready()
    nobody = GetJourneyRequest(workspace=workspace, person_id="p1:nobody")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await get_journey(process.address, nobody, token="not-the-internal-token")
    assert refused.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await get_journey(process.address, nobody)
    assert missing.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as invalid:
        await get_journey(process.address, GetJourneyRequest(workspace=workspace))
    assert invalid.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def _length(client: redis.asyncio.Redis) -> int:
    return int(await client.xlen(keys.event_dead_letters(0, keys.ATTRIBUTE_GROUP)))


async def _is(counting: object, wanted: int) -> bool:
    return await counting == wanted  # type: ignore[misc]


async def _reaches(revisions: Awaitable[list[ConversionRevised]], wanted: int) -> bool:
    return len(await revisions) >= wanted


async def test_another_state_store_is_not_worked_on_before_the_guard_has_passed(
    client: redis.asyncio.Redis,
    redis_url: str,
    clickhouse_url: str,
    private_redis: RedisServer,
    workspace: str,
    tmp_path: Path,
) -> None:
    make, epoch = Events(workspace), Epoch("an-epoch", SHARDS, 6, 1)
    async with connect(private_redis.url, name="tests") as state:
        await create_epoch({"state": state}, epoch)
        await vouch_for(state)
    process = described(redis_url, clickhouse_url, workspace, tmp_path, state_url=private_redis.url)
    try:
        process.start()
        process.wait_until_ready()
        await append(client, workspace, [make.touch("visitor:a"), make.order("visitor:a")])
        await eventually_async(lambda: _is(unfinished(client), 0))
        private_redis.kill()
        with running_redis_at(private_redis.port, tmp_path / "other") as other:
            async with connect(other.url, name="tests") as state:
                await append(client, workspace, [make.touch("visitor:b"), make.order("visitor:b", order_id="o-2")])
                log = tmp_path / "attribution.log"
                await eventually_async(lambda: "has no epoch" in log.read_text())
                assert await unfinished(client) == 1
                assert await state.dbsize() == 0
                await create_epoch({"state": state}, epoch)
                await vouch_for(state)
                await eventually_async(lambda: _is(unfinished(client), 0))
    finally:
        process.kill()
