"""What deciding on an event costs dedup and its Redis, over gRPC, with every acknowledgement on disk.

Run it from a checkout: `python -m tests.load.admission [--events 40000] [--rounds 5] [--json FILE]`. The mix: 600-byte
events, 10 % duplicates, 8 % with an order id. Per round and batch size one measurement beside the floor of the same
minute: the same bytes appended to the same Redis by bare XADD, one entry per batch. CPU of the dedup process and of
Redis, medians over the rounds. ClickHouse is down meanwhile, so that the figures are those of the acknowledgement
alone; then it comes back, and what recording costs is measured while the backlog drains.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio
from pydantic import SecretStr

from tests.support.admissions import INTERNAL_TOKEN, Sent, a_request, running_dedup
from tests.support.eventually import eventually_async
from tests.support.stores import running_stores
from tributary.dedup.v1 import dedup_service_pb2, dedup_service_pb2_grpc
from tributary_runtime.channels import open_channel
from tributary_storage.redis import keys
from tributary_storage.redis.claim_sizing import bucket_bits
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch
from tributary_storage.redis.log_keeping import LogKeeping

WORKSPACE = "load"
SHARDS = 4
EVENT_BYTES = 600
DUPLICATES = 0.10
ORDERS = 0.08
BATCHES = ((1, 64), (100, 4), (1000, 2))
"""(events per call, calls in flight)."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one event, in microseconds of CPU."""

    dedup: float
    redis: float
    floor: float
    """Of Redis, for the bytes alone."""
    ack_p50_millis: float
    ack_p99_millis: float
    per_second: float


def requests(count: int, size: int, seed: str) -> list[dedup_service_pb2.AdmitEventsRequest]:
    """Returns batches of the mix; their events are never sent by another seed."""
    rng, sent, batches = random.Random(seed), list[Sent](), []
    numbers = itertools.count()
    for _ in range(count // size):
        events = []
        for _ in range(size):
            if sent and rng.random() < DUPLICATES:
                events.append(rng.choice(sent))
                continue
            name = f"{seed}-{next(numbers)}"
            events.append(Sent(name, order=name if rng.random() < ORDERS else ""))
            sent.append(events[-1])
        request = a_request(WORKSPACE, events)
        for index, event in enumerate(request.events):
            request.events[index] = (
                event + b"\x82\x7d" + _length(EVENT_BYTES - len(event)) + b"x" * (EVENT_BYTES - len(event))
            )  # an unknown field: parsed and passed over
        batches.append(request)
    return batches


def _length(number: int) -> bytes:
    return bytes([number & 127 | 128, number >> 7])


async def measure(address: str, pid: int, client: redis.asyncio.Redis, size: int, flight: int, count: int) -> Cost:
    """Sends batches and returns what an event cost."""
    batches = requests(count, size, f"{size}-{time.monotonic_ns()}")
    events = len(batches) * size
    latencies: list[float] = []
    queue = iter(batches)
    async with open_channel(address, SecretStr(INTERNAL_TOKEN)) as channel:
        stub = dedup_service_pb2_grpc.DedupServiceStub(channel)

        async def call() -> None:
            for request in queue:
                started = time.perf_counter()
                await stub.AdmitEvents(request)
                latencies.append(time.perf_counter() - started)

        dedup, server, started = process_seconds(pid), await redis_seconds(client), time.perf_counter()
        await asyncio.gather(*[call() for _ in range(flight)])
        wall = time.perf_counter() - started
        dedup, server = process_seconds(pid) - dedup, await redis_seconds(client) - server
    floor = await redis_seconds(client)
    payload = b"x" * EVENT_BYTES * size
    for _ in batches:
        await client.xadd("load:floor", {"payload": payload})
    floor = await redis_seconds(client) - floor
    await client.delete("load:floor")
    latencies.sort()
    return Cost(
        *(1e6 * seconds / events for seconds in (dedup, server, floor)),
        1000 * latencies[len(latencies) // 2],
        1000 * latencies[int(len(latencies) * 0.99)],
        events / wall,
    )


def process_seconds(pid: int) -> float:
    """Returns the CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def redis_seconds(client: redis.asyncio.Redis) -> float:
    """Returns the CPU the server has used."""
    told = await client.info("cpu")
    return float(told["used_cpu_sys"]) + float(told["used_cpu_user"])


async def measure_recording(pid: int, url: str, events: int) -> float:
    """Returns the CPU of dedup per event, in microseconds, from now until the backlog is gone."""
    async with connect(url, name="load", timeout_seconds=60) as client:
        keeping, before = LogKeeping(client, SHARDS), process_seconds(pid)

        async def is_drained() -> None:
            assert (await keeping.backlog(keys.RECORD_GROUP)).age_seconds == 0

        await eventually_async(is_drained, timeout_seconds=300)
    return 1e6 * (process_seconds(pid) - before) / events


async def measure_all(address: str, pid: int, url: str, events: int, rounds: int) -> dict[tuple[int, int], Cost]:
    """Returns the medians per batch size, measured in turns."""
    found: dict[tuple[int, int], list[Cost]] = {batch: [] for batch in BATCHES}
    async with connect(url, name="load", timeout_seconds=60) as client:
        for size, flight in BATCHES:
            await measure(address, pid, client, size, flight, 2 * size)  # warm
        for _ in range(rounds):
            for size, flight in BATCHES:
                count = events if size > 1 else events // 10
                found[size, flight].append(await measure(address, pid, client, size, flight, count))
    return {batch: _median(costs) for batch, costs in found.items()}


def _median(costs: Sequence[Cost]) -> Cost:
    names = Cost.__slots__
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in names))


def report(found: dict[tuple[int, int], Cost], recording: float) -> dict[str, Any]:
    """Returns the figures in the form of all benchmarks."""
    figures: list[dict[str, Any]] = [
        {
            "name": "CPU of dedup per event, recording",
            "value": round(recording, 2),
            "unit": "us",
            "goal": None,
            "ok": None,
        }
    ]
    for (size, _), cost in found.items():
        for name, value, unit in (
            ("CPU of dedup per event", cost.dedup, "us"),
            ("CPU of Redis per event", cost.redis, "us"),
            ("CPU of Redis per event, bytes alone", cost.floor, "us"),
            ("ack p50", cost.ack_p50_millis, "ms"),
            ("ack p99", cost.ack_p99_millis, "ms"),
            ("events per second", cost.per_second, "1/s"),
        ):
            figures.append(
                {"name": f"{name}, batch {size}", "value": round(value, 2), "unit": unit, "goal": None, "ok": None}
            )
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    return {"machine": machine, "figures": figures}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    events = options.events * (options.rounds + 1) * len(BATCHES)
    epoch = Epoch("load", SHARDS, bucket_bits(events, SHARDS), 1)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (
            running_stores(directory) as stores,
            running_dedup(directory, stores.redis.url, stores.clickhouse_url, epoch=epoch) as dedup,
        ):
            stores.clickhouse.kill()
            found = asyncio.run(measure_all(dedup.address, dedup.pid, stores.redis.url, options.events, options.rounds))
            stores.clickhouse.start()
            measured = options.rounds * sum(options.events if size > 1 else options.events // 10 for size, _ in BATCHES)
            recording = asyncio.run(measure_recording(dedup.pid, stores.redis.url, measured))
    print(f"{'batch':>6} {'dedup us':>9} {'redis us':>9} {'floor us':>9} {'p50 ms':>8} {'p99 ms':>8} {'events/s':>9}")
    for (size, _), cost in found.items():
        print(
            f"{size:>6} {cost.dedup:>9.2f} {cost.redis:>9.2f} {cost.floor:>9.2f} {cost.ack_p50_millis:>8.1f} "
            f"{cost.ack_p99_millis:>8.1f} {cost.per_second:>9,.0f}"
        )
    print(f"recording: {recording:.2f} us of dedup per event")
    if options.json:
        options.json.write_text(json.dumps(report(found, recording), indent=2) + "\n")


if __name__ == "__main__":
    main()
