"""The accept path as processes under load: what is sent, how it is sent, and the CPU each process spends on it.

The one rule: what is counted is the CPU of whole processes, as the kernel tells it; the client's is not counted.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tests.load import mix
from tests.support.door import METHOD, Door, running_door
from tests.support.eventually import eventually_async
from tests.support.stores import running_stores
from tributary.event.v1 import verdict_pb2
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_cli.stack.redis_server import RedisServer
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis import keys
from tributary_storage.redis.backlogs import event_log_backlogs
from tributary_storage.redis.claim_sizing import bucket_bits
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch, create_epoch

SHARDS = 4
WORKSPACE = "load"
DECLARED = {
    "default_region": "DE",
    "data_key": {"value": base64.b64encode(b"what the benchmarks are sealed..").decode()},
    "own_domains": ["shop.example"],
    "conversions": [
        {"name": "purchase", "expected_amounts": [{"currency": "EUR", "minimum": 1, "maximum": 1_000_000}]}
    ],
}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Installation:
    """A running door with its Redis; its ClickHouse is down, so that accepting alone is measured."""

    door: Door
    redis: RedisServer
    clickhouse: ClickHouseServer
    epoch: Epoch

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what counts."""
        return {"ingestion": self.door.ingestion.pid, "dedup": self.door.dedup.pid, "redis": self.redis.pid}


@contextmanager
def running_installation(directory: Path, claims: int) -> Iterator[Installation]:
    """Starts an installation for a volume of claims."""
    with running_stores(directory) as stores:
        epoch = Epoch("load", SHARDS, bucket_bits(claims, SHARDS), 1)
        asyncio.run(_prepare(stores.redis.url, stores.clickhouse_url, epoch))
        with running_door(directory, stores.redis.url, stores.clickhouse_url, {WORKSPACE: DECLARED}) as door:
            stores.clickhouse.kill()
            yield Installation(door, stores.redis, stores.clickhouse, epoch)


async def _prepare(redis_url: str, clickhouse_url: str, epoch: Epoch) -> None:
    async with connect(redis_url, name="load") as client:
        await create_epoch({"log": client}, epoch)
    await migrate(clickhouse_url)


async def wait_until_recorded(installation: Installation) -> None:
    """Returns when the recorder has nothing left to do."""
    async with connect(installation.redis.url, name="load", timeout_seconds=60) as client:

        async def is_drained() -> None:
            backlogs = {one.group: one for one in await event_log_backlogs(client, installation.epoch.shards)}
            assert backlogs[keys.RECORD_GROUP].entries == 0

        await eventually_async(is_drained, timeout_seconds=300)


def cpu_seconds(pid: int) -> float:
    """Returns the CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def bodies(seed: str, events: int, batch: int) -> list[bytes]:
    """Returns serialised requests of the mix; events of another seed are other events."""
    now = time.time_ns() // 1000
    stream = mix.events(seed, now)
    return [
        IngestEventsRequest(events=itertools.islice(stream, batch)).SerializeToString() for _ in range(events // batch)
    ]


@dataclass(slots=True)
class Load:
    """What came of sending."""

    events: int
    cpu: dict[str, float]
    """Process -> CPU seconds."""
    wall_seconds: float
    ack_seconds: list[float] = field(default_factory=list)
    """Sorted, one per call."""
    verdicts: dict[str, int] = field(default_factory=dict)

    def micros(self, *processes: str) -> float:
        """Returns the CPU of some processes per event; of all where none is named."""
        return 1e6 * sum(self.cpu[name] for name in processes or self.cpu) / self.events

    def ack_millis(self, share: float) -> float:
        """Returns a percentile of the acknowledgements."""
        return 1000 * self.ack_seconds[min(int(share * len(self.ack_seconds)), len(self.ack_seconds) - 1)]


async def send(
    address: str,
    requests: Sequence[bytes],
    flight: int,
    pids: Mapping[str, int],
    *,
    events: int,
    method: str = METHOD,
    api_key: str = "",
    apart_seconds: float = 0.0,
) -> Load:
    """Sends requests and returns what they cost.

    Args:
        address: Where to.
        requests: Serialised.
        flight: How many calls at once.
        pids: Whose CPU is counted.
        events: How many there are in all requests.
        method: Which.
        api_key: Whose.
        apart_seconds: If set, calls begin so far apart, whatever is in flight.
    """
    metadata = (("authorization", f"Bearer {api_key}"),)
    answers: list[bytes] = []
    took: list[float] = []
    queue = iter(requests)
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(method)
        await channel.channel_ready()

        async def one(body: bytes) -> None:
            started = time.perf_counter()
            answers.append(await sent(call, body, metadata))
            took.append(time.perf_counter() - started)

        async def worker() -> None:
            for body in queue:
                await one(body)

        before, started = {name: cpu_seconds(pid) for name, pid in pids.items()}, time.perf_counter()
        if apart_seconds:
            async with asyncio.TaskGroup() as group:
                for number, body in enumerate(queue):
                    await asyncio.sleep(started + number * apart_seconds - time.perf_counter())
                    group.create_task(one(body))
        else:
            await asyncio.gather(*[worker() for _ in range(flight)])
        wall = time.perf_counter() - started
        cpu = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    return Load(events, cpu, wall, sorted(took), _tally(answers) if method == METHOD else {})


async def sent(call: Any, body: bytes, metadata: Sequence[tuple[str, str]]) -> bytes:
    """Sends a request and returns the answer: again, as callers do, while a disk takes seconds for a write."""
    started = time.perf_counter()
    while True:
        try:
            answer: bytes = await call(body, metadata=metadata, timeout=60)
            return answer
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.perf_counter() - started > 60:
                raise
            await asyncio.sleep(0.1)


def _tally(answers: Sequence[bytes]) -> dict[str, int]:
    tally: dict[str, int] = {}
    for answer in answers:
        for verdict in IngestEventsResponse.FromString(answer).verdicts:
            name = verdict_pb2.Verdict.Name(verdict.verdict).removeprefix("VERDICT_")
            tally[name] = tally.get(name, 0) + 1
    return tally
