"""Rates over all replicas: kept together, told when to come back, and in part without Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tests.support.eventually import eventually_async
from tests.support.ports import free_port
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.client import connect
from tributary_storage.redis.rates import LEASE_SECONDS, LONGEST_ALONE_SECONDS, SharedRates


@pytest.fixture
async def state(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as client:
        yield client


async def test_replicas_keep_a_rate_together(state: redis.asyncio.Redis) -> None:
    clock, per_second = SystemClock(), 10_000
    replicas = [SharedRates(state, clock) for _ in range(2)]
    started, taken, refusals = clock.monotonic_seconds(), 0, 0
    while not refusals or taken < per_second * 1.5:  # more than it may burst
        for rates in replicas:
            if await rates.take("key:k:events", per_second, 500):
                refusals += 1
            else:
                taken += 500
    seconds = clock.monotonic_seconds() - started
    assert taken <= per_second * (1 + seconds + 2 * LEASE_SECONDS) + 2 * 500


async def test_a_request_larger_than_the_rate_is_possible_and_the_next_waits_for_it(state: redis.asyncio.Redis) -> None:
    rates = SharedRates(state, SystemClock())
    assert await rates.take("key:k:events", 100, 1000) == 0
    assert await rates.take("key:k:events", 100, 1) == pytest.approx(9, abs=0.5)


async def test_after_what_was_told_there_is_some_again(state: redis.asyncio.Redis) -> None:
    rates = SharedRates(state, SystemClock())
    while not await rates.take("key:k:events", 50, 10):
        pass
    wait = await rates.take("key:k:events", 50, 10)
    assert 0 < wait <= 1

    async def some() -> bool:
        return await rates.take("key:k:events", 50, 10) == 0

    await eventually_async(some)


async def test_rates_do_not_mix(state: redis.asyncio.Redis) -> None:
    rates = SharedRates(state, SystemClock())
    await rates.take("key:a:events", 10, 1000)
    assert await rates.take("key:a:events", 10, 1) > 0
    assert await rates.take("key:b:events", 10, 1) == 0


class HeldClock(SystemClock):
    """Stands still until it is moved."""

    now = 1_000.0

    def monotonic_seconds(self) -> float:
        return self.now


async def test_without_redis_each_replica_keeps_to_its_part_of_a_rate() -> None:
    clock = HeldClock()
    async with connect(f"redis://127.0.0.1:{free_port()}/0", name="tests", timeout_seconds=0.2) as nowhere:
        rates = SharedRates(nowhere, clock, replicas=4)
        taken = 0
        for _ in range(100):  # ten seconds
            for _ in range(10):
                taken += 50 * (await rates.take("key:k:events", 1_000, 50) == 0)
            clock.now += 0.1
        assert 10 * 250 <= taken <= 11 * 250 + 50, "its part of each second, and of one more at once"
        assert await rates.take("key:other:events", 1_000, 50) == 0


async def test_without_redis_what_is_larger_than_the_rate_is_possible_and_told_to_come_back_soon() -> None:
    clock = HeldClock()
    async with connect(f"redis://127.0.0.1:{free_port()}/0", name="tests", timeout_seconds=0.2) as nowhere:
        rates = SharedRates(nowhere, clock)
        assert await rates.take("key:k:events", 1, 1_000) == 0
        assert await rates.take("key:k:events", 1, 1) == LONGEST_ALONE_SECONDS
        assert await rates.take("key:k:bytes", 100, 150) == 0
        assert await rates.take("key:k:bytes", 100, 1) == pytest.approx(0.51)


async def test_a_redis_that_hangs_is_asked_once_and_then_left_alone() -> None:
    asked: list[int] = []

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"redis://127.0.0.1:{port}/0", name="tests", timeout_seconds=300) as silent:
            rates = SharedRates(silent, SystemClock())
            async with asyncio.timeout(60):
                assert [await rates.take("key:k:events", 1000, 1) for _ in range(3)] == [0, 0, 0]
    assert asked == [1]
