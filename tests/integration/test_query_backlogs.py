"""What waits before a group is never overlooked, whatever state its entries are in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tributary_storage.redis import keys
from tributary_storage.redis.backlogs import GroupBacklog, conversion_log_backlogs, event_log_backlogs
from tributary_storage.redis.client import connect
from tributary_storage.redis.progress import complete_through, is_settled

SHARDS = 2
STREAM = keys.event_log(1, "live")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as opened:
        yield opened


async def append(client: redis.asyncio.Redis, count: int, stream: str = STREAM) -> list[bytes]:
    return [await client.xadd(stream, {"payload": b"x"}) for _ in range(count)]


async def read(client: redis.asyncio.Redis, group: str, count: int) -> list[bytes]:
    answer = await client.xreadgroup(group, "reader", {STREAM: ">"}, count=count)
    return [entry_id for entry_id, _ in answer[0][1]]


async def backlog(client: redis.asyncio.Redis, group: str = "attribute") -> GroupBacklog:
    return next(found for found in await event_log_backlogs(client, SHARDS) if found.group == group)


def micros(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0]) * 1000


async def test_an_empty_log_is_settled(client: redis.asyncio.Redis) -> None:
    backlogs = [*await event_log_backlogs(client, SHARDS), *await conversion_log_backlogs(client, SHARDS)]
    assert [(found.group, found.entries, found.age_micros) for found in backlogs] == [
        ("record", 0, 0),
        ("attribute", 0, 0),
        ("deliver", 0, 0),
    ]
    assert is_settled(backlogs)
    assert complete_through(backlogs) == backlogs[1].now_micros


async def test_before_a_group_exists_everything_waits_for_it(client: redis.asyncio.Redis) -> None:
    first, *_ = await append(client, 3)
    found = await backlog(client)
    assert (found.entries, found.oldest_micros) == (3, micros(first))


async def test_what_was_read_and_not_acknowledged_waits(client: redis.asyncio.Redis) -> None:
    entries = await append(client, 4)
    await client.xgroup_create(STREAM, "attribute", "0")
    taken = await read(client, "attribute", 3)
    assert (await backlog(client)).entries == 4
    await client.xack(STREAM, "attribute", taken[0], taken[2])
    found = await backlog(client)
    assert (found.entries, found.oldest_micros) == (2, micros(entries[1]))
    await client.xack(STREAM, "attribute", taken[1])
    found = await backlog(client)
    assert (found.entries, found.oldest_micros) == (1, micros(entries[3]))
    await client.xack(STREAM, "attribute", *await read(client, "attribute", 9))
    assert (await backlog(client)).oldest_micros is None


async def test_groups_are_told_apart(client: redis.asyncio.Redis) -> None:
    await append(client, 1)
    for group in ("record", "attribute"):
        await client.xgroup_create(STREAM, group, "0")
    await client.xack(STREAM, "record", *await read(client, "record", 1))
    assert (await backlog(client, "record")).entries == 0
    assert (await backlog(client, "attribute")).entries == 1


async def test_all_shards_and_lanes_are_counted(client: redis.asyncio.Redis) -> None:
    for shard in range(SHARDS):
        for lane in keys.LANES:
            await append(client, 1, keys.event_log(shard, lane))
    assert (await backlog(client)).entries == 2 * SHARDS


async def test_dead_letters_are_counted_apart(client: redis.asyncio.Redis) -> None:
    await append(client, 2, keys.event_dead_letters(0, "attribute"))
    found = await backlog(client)
    assert (found.entries, found.dead_letters) == (0, 2)


async def test_the_conversion_log_has_its_own(client: redis.asyncio.Redis) -> None:
    await append(client, 2, keys.conversion_log(0))
    (found,) = await conversion_log_backlogs(client, SHARDS)
    assert (found.group, found.entries) == ("deliver", 2)
