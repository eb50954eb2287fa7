"""Texts of where touches came from: spread over the shards, alive as long as somebody uses them, and no longer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tests.support.eventually import eventually_async
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.click_ids import ClickIds
from tributary_storage.redis.client import connect
from tributary_storage.redis.descriptors import RENEWED_SECONDS, Descriptors

LIFE = 1000
PLACE, TEXT = ("shop", 7), b"email"


class HandClock(SystemClock):
    """Whose monotonic time is moved by hand."""

    seconds = 0.0

    def monotonic_seconds(self) -> float:
        return self.seconds


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as opened:
        yield opened


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def another(client: redis.asyncio.Redis, clock: HandClock | None = None) -> Descriptors:
    return Descriptors(client, 4, clock or HandClock())


async def the_key(client: redis.asyncio.Redis) -> bytes:
    (key,) = await client.keys("trb:*:descriptor:*")
    assert isinstance(key, bytes)
    return key


async def life(client: redis.asyncio.Redis) -> int:
    return int(await client.ttl(await the_key(client)))


def is_whole(seconds: int) -> bool:
    return LIFE + RENEWED_SECONDS - 60 < seconds <= LIFE + RENEWED_SECONDS


async def test_what_one_process_wrote_another_reads(client: redis.asyncio.Redis) -> None:
    await another(client).write({PLACE: TEXT, ("blog", 7): b"other"}, LIFE)
    wanted = [PLACE, ("blog", 7), ("shop", 8), ("shop", 0)]
    assert await another(client).read(wanted, LIFE) == {PLACE: TEXT, ("blog", 7): b"other"}


async def test_a_text_nobody_uses_is_gone_after_its_life(client: redis.asyncio.Redis) -> None:
    await another(client).write({PLACE: TEXT}, LIFE)
    assert is_whole(await life(client))
    await client.pexpire(await the_key(client), 1)

    async def is_gone() -> bool:
        return not await client.keys("trb:*:descriptor:*")

    await eventually_async(is_gone)
    assert await another(client).read([PLACE], LIFE) == {}


async def test_what_the_store_has_lost_is_written_again_by_whoever_knows_it(client: redis.asyncio.Redis) -> None:
    losses = [0]
    own = Descriptors(client, 4, HandClock(), lambda: losses[-1])
    clicks, click = ClickIds(client, 4, lambda: losses[-1]), {("shop", 7): ("gclid", "g")}
    for _ in range(2):
        await own.write({PLACE: TEXT}, LIFE)
        await clicks.write(click)
        assert await another(client).read([PLACE], LIFE) == {PLACE: TEXT}
        assert await ClickIds(client, 4).read(click) == click
        await client.flushdb()
        losses.append(losses[-1] + 1)


async def test_reading_renews_the_life(client: redis.asyncio.Redis) -> None:
    await another(client).write({PLACE: TEXT}, LIFE)
    await client.expire(await the_key(client), 100)
    await another(client).read([PLACE], LIFE)
    assert is_whole(await life(client))


async def test_writing_again_renews_the_life(client: redis.asyncio.Redis) -> None:
    await another(client).write({PLACE: TEXT}, LIFE)
    await client.expire(await the_key(client), 100)
    await another(client).write({PLACE: TEXT}, LIFE)
    assert is_whole(await life(client))


@pytest.mark.parametrize("how", ["write", "read"])
async def test_a_process_renews_once_a_day(client: redis.asyncio.Redis, clock: HandClock, how: str) -> None:
    descriptors = another(client, clock)

    async def use() -> None:
        if how == "write":
            await descriptors.write({PLACE: TEXT}, LIFE)
        else:
            assert await descriptors.read([PLACE], LIFE) == {PLACE: TEXT}

    await descriptors.write({PLACE: TEXT}, LIFE)
    await client.expire(await the_key(client), 100)
    clock.seconds = RENEWED_SECONDS - 1
    await use()
    assert await life(client) <= 100
    clock.seconds = RENEWED_SECONDS
    await use()
    assert is_whole(await life(client))


async def test_the_texts_of_one_workspace_are_spread_over_the_shards(client: redis.asyncio.Redis) -> None:
    await another(client).write({("shop", number): b"x" for number in range(100)}, LIFE)
    shards = {key.split(b":")[1] for key in await client.keys("trb:*:descriptor:*")}
    assert shards == {b"{p0}", b"{p1}", b"{p2}", b"{p3}"}
