"""Promises 1 and 2 over `kill -9` of dedup: between its two steps, and under load."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr

from tests.faults.load import Load, findings
from tests.support.admissions import (
    INTERNAL_TOKEN,
    Sent,
    a_request,
    dedup_process,
    prepare_and_vouch,
    stored,
    verdicts_of,
)
from tests.support.eventually import eventually_async
from tests.support.holding_proxy import holding_proxy
from tests.support.stores import Stores
from tributary.dedup.v1 import dedup_service_pb2_grpc
from tributary.event.v1 import verdict_pb2
from tributary_cli.stack.redis_server import RedisServer
from tributary_runtime.channels import open_channel
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis.client import connect
from tributary_storage.redis.scripts import Script


async def send_one(address: str, workspace: str, event: Sent) -> int:
    async with open_channel(address, SecretStr(INTERNAL_TOKEN)) as channel:
        stub = dedup_service_pb2_grpc.DedupServiceStub(channel)
        response = await stub.AdmitEvents(a_request(workspace, [event]))
        return response.outcomes[0]


async def test_a_retry_after_a_death_between_the_two_steps_is_accepted(
    private_redis: RedisServer, stores: Stores, workspace: str, tmp_path: Path
) -> None:
    await prepare_and_vouch(private_redis.url)
    await migrate(stores.clickhouse_url)
    event = Sent("e", order="o")
    async with holding_proxy(private_redis.port, Script("admit_orders").sha.encode()) as proxy:
        dying = dedup_process(tmp_path, f"redis://127.0.0.1:{proxy.port}", stores.clickhouse_url)
        try:
            dying.start()
            await asyncio.to_thread(dying.wait_until_ready)
            call = asyncio.create_task(send_one(dying.address, workspace, event))
            await proxy.holds.wait()
        finally:
            dying.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    async with connect(private_redis.url, name="tests") as log:
        left = await stored(log)
        assert (left.claims, left.orders, dict(left.letters), dict(left.counted)) == (1, 0, {}, {})
        next_life = dedup_process(tmp_path, private_redis.url, stores.clickhouse_url)
        try:
            next_life.start()
            await asyncio.to_thread(next_life.wait_until_ready)
            assert await send_one(next_life.address, workspace, event) == verdict_pb2.VERDICT_ACCEPTED
            assert await send_one(next_life.address, workspace, event) == verdict_pb2.VERDICT_DUPLICATE
        finally:
            next_life.stop()
        assert (await stored(log)).letters == {"A": 1}


async def test_nothing_acknowledged_is_lost_and_nothing_accepted_twice_when_dedup_dies_under_load(
    private_redis: RedisServer, stores: Stores, workspace: str, tmp_path: Path
) -> None:
    await prepare_and_vouch(private_redis.url)
    await migrate(stores.clickhouse_url)
    dedup = dedup_process(tmp_path, private_redis.url, stores.clickhouse_url)
    events = [Sent(f"e-{number}", order=f"o-{number}" if number % 10 == 0 else "") for number in range(1200)]
    try:
        dedup.start()
        await asyncio.to_thread(dedup.wait_until_ready)
        async with open_channel(dedup.address, SecretStr(INTERNAL_TOKEN), deadline_seconds=2.0) as channel:
            stub = dedup_service_pb2_grpc.DedupServiceStub(channel)

            async def send(batch: Sequence[Sent]) -> list[int]:
                return verdicts_of(await stub.AdmitEvents(a_request(workspace, batch)))

            load = Load(send, events)
            running = asyncio.create_task(load.run())
            for share in (0.2, 0.4, 0.6):
                await eventually_async(lambda share=share: load.progress > share)
                dedup.kill()
                dedup.start()
            await running
    finally:
        dedup.stop()
    assert load.unanswered > 0
    async with connect(private_redis.url, name="tests") as log:
        assert await findings(load, log) == []
