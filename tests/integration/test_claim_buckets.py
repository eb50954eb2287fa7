"""Buckets of claims stay small, and if they do not, it is said before it costs memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio
from click.testing import CliRunner
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.support.admissions import prepare, sweep_all
from tests.support.stores import running_redis
from tributary_cli.command_line import cli
from tributary_runtime.instruments import bind_all, unbind_all
from tributary_storage.redis import keys
from tributary_storage.redis.claim_buckets import sample_buckets
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch

EPOCH = Epoch("e", shards=2, claim_bucket_bits=2, create_time_micros=1)
LIMIT = 128


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = {"hash-max-ziplist-entries": str(LIMIT)}
    with running_redis(tmp_path_factory.mktemp("redis"), settings) as server:
        yield f"{server.url}/0"


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as client:
        await client.flushall()
        await prepare(redis_url, EPOCH)
        yield client


@pytest.fixture
def exported() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    bind_all(provider.get_meter("tests"))
    yield reader
    unbind_all()
    provider.shutdown()


async def fill(log: redis.asyncio.Redis, claims: int) -> None:
    """Puts that many claims of now into every bucket."""
    stamp = (int((await log.time())[0]) // 128 % 65536).to_bytes(2)
    for shard in range(EPOCH.shards):
        for bucket in range(1 << EPOCH.claim_bucket_bits):
            mapping = {number.to_bytes(7): stamp + b"\1\1\1\0" for number in range(claims)}
            await log.hset(keys.claims(shard, bucket), mapping=mapping)


def told(reader: InMemoryMetricReader) -> dict[str, float]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: metric.data.data_points[0].value  # type: ignore[union-attr]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if "bucket" in metric.name
    }


async def test_buckets_at_the_configured_volume_are_no_problem(log: redis.asyncio.Redis) -> None:
    await fill(log, 48)
    sample = await sample_buckets(log, EPOCH, random.Random(1))
    assert (sample.largest, sample.outgrown, sample.limit) == (48, 0, LIMIT)
    assert sample.problems() == []


async def test_buckets_that_near_the_limit_are_told_before_they_outgrow_it(log: redis.asyncio.Redis) -> None:
    await fill(log, 90)
    sample = await sample_buckets(log, EPOCH, random.Random(1))
    assert sample.outgrown == 0
    assert "will soon outgrow" in sample.problems()[0]


async def test_buckets_that_outgrew_the_limit_are_told(log: redis.asyncio.Redis) -> None:
    await fill(log, LIMIT + 1)
    sample = await sample_buckets(log, EPOCH, random.Random(1))
    assert sample.outgrown > 0
    assert "have lost the small encoding" in sample.problems()[0]


async def test_doctor_warns_of_buckets_that_outgrew_the_limit(log: redis.asyncio.Redis, redis_url: str) -> None:
    def said() -> str:
        return CliRunner().invoke(cli, ["doctor"], env={"TRIBUTARY_LOG_URL": redis_url}).output

    assert "lost the small encoding" not in await asyncio.to_thread(said)
    await fill(log, LIMIT + 1)
    assert "lost the small encoding" in await asyncio.to_thread(said)


async def test_the_sweeper_measures_the_largest_bucket_and_counts_those_that_outgrew(
    log: redis.asyncio.Redis, exported: InMemoryMetricReader
) -> None:
    await fill(log, 48)
    await sweep_all(log, EPOCH)
    assert told(exported) == {"tributary.admission.largest_bucket": 48, "tributary.admission.outgrown_buckets": 0}
    await fill(log, LIMIT + 1)
    await sweep_all(log, EPOCH)
    assert told(exported) == {"tributary.admission.largest_bucket": 129, "tributary.admission.outgrown_buckets": 8}
