"""Promises 1 and 2 over `kill -9` of the log's Redis under load; and a check that reports a loss when there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from pydantic import SecretStr

from tests.faults.load import Load, findings
from tests.support.admissions import (
    INTERNAL_TOKEN,
    Sent,
    a_request,
    dedup_process,
    prepare,
    prepare_and_vouch,
    running_admission,
    verdicts_of,
)
from tests.support.eventually import eventually_async
from tests.support.stores import running_redis
from tributary.dedup.v1 import dedup_service_pb2_grpc
from tributary_cli.stack.redis_server import RedisServer
from tributary_runtime.channels import open_channel
from tributary_storage.redis.client import connect

if TYPE_CHECKING:
    Stub = dedup_service_pb2_grpc.DedupServiceAsyncStub  # the stubs' own name for it; not there when running

EVENTS = [Sent(f"e-{number}", order=f"o-{number}" if number % 10 == 0 else "") for number in range(4000)]


async def load_over_kills(server: RedisServer, workspace: str, kills: int) -> Load:
    """Sends through two admissions, as two replicas of dedup would, while Redis is killed and started again."""
    async with AsyncExitStack() as closing:
        replicas = [await closing.enter_async_context(running_admission(server.url)) for _ in range(2)]

        async def send(batch: Sequence[Sent]) -> list[int]:
            replica = replicas[hash(batch[0].event_id) % 2]
            return [outcome.verdict for outcome in await replica.admit(a_request(workspace, batch))]

        load = Load(send, EVENTS)
        running = asyncio.create_task(load.run())
        for kill in range(kills):
            share = (kill + 1) / (kills + 1)
            await eventually_async(lambda share=share: load.progress > share * 0.8)
            server.kill()
            server.start()
        await running
    return load


async def test_nothing_acknowledged_is_lost_and_nothing_accepted_twice_when_redis_dies_under_load(
    private_redis: RedisServer, workspace: str
) -> None:
    load = await load_over_kills(private_redis, workspace, kills=3)
    assert load.unanswered > 0
    async with connect(private_redis.url, name="tests") as log:
        assert await findings(load, log) == []


async def test_a_redis_that_comes_back_forgetful_acknowledges_nothing_not_even_at_first(
    private_redis: RedisServer, clickhouse_url: str, workspace: str, tmp_path: Path
) -> None:
    await prepare_and_vouch(private_redis.url)
    dedup = dedup_process(tmp_path, private_redis.url, clickhouse_url)
    answers: list[int] = []

    async def is_noticed(stub: Stub) -> bool:
        with suppress(grpc.aio.AioRpcError):
            answers.extend(verdicts_of(await stub.AdmitEvents(request)))
        return "has appendonly no" in dedup.log_file.read_text()

    try:
        dedup.start()
        await asyncio.to_thread(dedup.wait_until_ready)
        async with open_channel(dedup.address, SecretStr(INTERNAL_TOKEN)) as channel:
            stub: Stub = dedup_service_pb2_grpc.DedupServiceStub(channel)
            request = a_request(workspace, [Sent("e")])
            await stub.AdmitEvents(request)
            private_redis.kill()
            other = RedisServer(tmp_path / "other", private_redis.port, {"appendonly": "no"})
            try:
                other.start()
                other.wait_until_ready()
                await prepare(other.url)
                await eventually_async(lambda: is_noticed(stub))
            finally:
                other.stop()
    finally:
        dedup.stop()
    assert answers == []


async def test_the_check_reports_the_loss_when_redis_keeps_nothing(tmp_path: Path, workspace: str) -> None:
    with running_redis(tmp_path, {"appendonly": "no"}) as server:
        load = await load_over_kills(server, workspace, kills=1)
        async with connect(server.url, name="tests") as log:
            found = await findings(load, log)
    assert any("not in the log" in finding for finding in found)
