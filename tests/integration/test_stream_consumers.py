"""A consumer that is gone is removed; one that holds entries never is, for they would go with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.stream_consumers import StreamConsumers

STREAM, GROUP = keys.event_log(0, "live"), keys.RECORD_GROUP


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as opened:
        await opened.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        yield opened


@pytest.fixture
def consumers(client: redis.asyncio.Redis) -> StreamConsumers:
    return StreamConsumers.of_event_log(client, 1)


async def read(client: redis.asyncio.Redis, consumer: str, most: int = 1) -> list[bytes]:
    found = await client.xreadgroup(GROUP, consumer, {STREAM: ">"}, count=most)
    return [entry_id for _, entries in found for entry_id, _ in entries]


async def names(client: redis.asyncio.Redis) -> set[str]:
    return {one["name"].decode() for one in await client.xinfo_consumers(STREAM, GROUP)}


async def test_who_holds_nothing_and_does_not_read_is_removed(
    client: redis.asyncio.Redis, consumers: StreamConsumers
) -> None:
    await client.xgroup_createconsumer(STREAM, GROUP, "gone")
    assert await consumers.remove_idle(0) == {"gone": 1}
    assert await names(client) == set()
    assert await consumers.remove_idle(0) == {}


async def test_who_holds_an_entry_stays_however_idle_and_its_entry_too(
    client: redis.asyncio.Redis, consumers: StreamConsumers
) -> None:
    await client.xadd(STREAM, {"payload": "x"})
    (entry_id,) = await read(client, "died")
    assert await consumers.remove_idle(0) == {}
    assert (await client.xpending(STREAM, GROUP))["pending"] == 1
    await client.xclaim(STREAM, GROUP, "other", 0, [entry_id])
    await client.xack(STREAM, GROUP, entry_id)
    assert set(await consumers.remove_idle(0)) == {"died", "other"}


async def test_who_read_lately_stays(client: redis.asyncio.Redis, consumers: StreamConsumers) -> None:
    await client.xadd(STREAM, {"payload": "x"})
    (entry_id,) = await read(client, "alive")
    await client.xack(STREAM, GROUP, entry_id)
    assert await consumers.remove_idle() == {}
    assert await names(client) == {"alive"}


async def test_a_stream_or_group_that_is_not_there_yet_has_none(redis_url: str) -> None:
    async with connect(redis_url, name="tests") as client:
        assert await StreamConsumers.of_conversion_log(client, 2).remove_idle(0) == {}
        await client.xadd(keys.conversion_log(0), {"revised": "x"})
        assert await StreamConsumers.of_conversion_log(client, 2).remove_idle(0) == {}


async def test_removing_while_others_read_loses_no_pending_entry(
    client: redis.asyncio.Redis, consumers: StreamConsumers
) -> None:
    """Two steps instead of one script fail here: an entry is read between them, and goes with its consumer."""
    sent = [await client.xadd(STREAM, {"payload": str(number)}) for number in range(400)]
    finished: set[bytes] = set()
    is_done = asyncio.Event()

    async def reader(name: str) -> None:
        while entries := await read(client, name):
            if len(finished) < len(sent) // 2:  # and so holds nothing for a moment
                assert await client.xack(STREAM, GROUP, *entries) == len(entries)
                finished.update(entries)

    async def remover() -> None:
        while not is_done.is_set():
            await consumers.remove_idle(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as removing:
        for _ in range(4):
            removing.create_task(remover())
        try:
            await asyncio.gather(*(reader(f"r{number}") for number in range(6)))
        finally:
            is_done.set()
    held = await client.xpending_range(STREAM, GROUP, "-", "+", 1000)
    assert {one["message_id"] for one in held} == set(sent) - finished
