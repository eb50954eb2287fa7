"""The conversion log loses nothing that was not acknowledged."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_runtime.errors import PoisonEvent
from tributary_storage.redis import keys
from tributary_storage.redis.backlogs import conversion_log_backlogs
from tributary_storage.redis.client import connect
from tributary_storage.redis.conversion_log import ConversionLogKeeping, ConversionLogSource
from tributary_storage.redis.conversions import Conversions, Publication

SHARDS = 2


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="test") as opened:
        yield opened


async def _emit(client: redis.asyncio.Redis, conversion_id: str, revision: int) -> None:
    conversions = Conversions(client, SHARDS)
    record = (await conversions.observe({conversion_id: {b"12345678": b"part"}}, 60))[conversion_id]
    state = ConversionState(conversion_id=conversion_id)
    revised = ConversionRevised(workspace="w", revision=revision, state=state).SerializeToString()
    assert await conversions.publish([Publication(record, 1, revision, revised, revised)]) == [True]
    assert await conversions.emit([(conversion_id, revision)]) == 1
    assert await conversions.emit([(conversion_id, revision)]) == 0


def _source(client: redis.asyncio.Redis, consumer: str = "one", idle_seconds: float = 60.0) -> ConversionLogSource:
    return ConversionLogSource(client, consumer, SHARDS, idle_seconds=idle_seconds)


async def test_a_revision_is_read_once_and_gone_when_acknowledged(client: redis.asyncio.Redis) -> None:
    await _emit(client, "c1:a", 5)
    source = _source(client)
    [entry] = await source.read()
    assert (entry.revised().state.conversion_id, entry.revised().revision, entry.deliveries) == ("c1:a", 5, 1)
    await source.ack([entry])
    assert list(await _source(client).take_over()) == []
    [backlog] = await conversion_log_backlogs(client, SHARDS)
    assert (backlog.entries, backlog.age_micros) == (0, 0)


async def test_what_a_dead_consumer_read_is_found_by_its_next_life_and_by_others(client: redis.asyncio.Redis) -> None:
    await _emit(client, "c1:a", 5)
    await _source(client).read()
    [again] = await _source(client).take_over()
    assert again.revised().revision == 5
    assert again.deliveries == 2
    other = _source(client, "two", idle_seconds=0.0)
    [taken] = await other.take_over()
    assert taken.entry_id == again.entry_id
    assert taken.deliveries == 3


async def test_only_what_the_group_has_finished_is_trimmed(client: redis.asyncio.Redis) -> None:
    await _emit(client, "c1:a", 5)
    keeping = ConversionLogKeeping(client, SHARDS)
    assert await keeping.trim(0) == 0
    source = _source(client)
    entries = await source.read()
    await keeping.trim(-1)
    assert sum([await client.xlen(keys.conversion_log(shard)) for shard in range(SHARDS)]) == 1
    [backlog] = await conversion_log_backlogs(client, SHARDS)
    assert backlog.entries == 1
    await source.ack(entries)


async def test_an_entry_that_is_no_revision_becomes_a_dead_letter(client: redis.asyncio.Redis) -> None:
    await client.xadd(keys.conversion_log(1), {"revised": b"\xff\xff"})
    source = _source(client)
    [entry] = await source.read()
    with pytest.raises(PoisonEvent):
        entry.revised()
    await source.dead_letter(entry, None, "REVISION_UNREADABLE", "said so")
    [(_, fields)] = await client.xrange(keys.conversion_dead_letters(1, keys.DELIVER_GROUP))
    assert fields[b"reason"] == b"REVISION_UNREADABLE"
    assert fields[b"payload"] == b"\xff\xff"
