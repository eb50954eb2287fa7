"""What a flooding workspace costs another one: acknowledgements of a quiet caller with and without the flood, in turns.

Run it from a checkout: `python -m tests.load.fairness [--pairs 5] [--seconds 8] [--json FILE]`. A quiet workspace sends
20 batches of 20 events a second; every other time another workspace floods from processes of its own: with all it has
(`--flight` calls of 100 events each), or within a rate that its key declares. The flood's clients run at the lowest
priority: they stand for machines of others. Every acknowledgement is on disk. The goal of 1.3 presumes that the flood's
clients and the services do not share two cores; figures say what was measured here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.load.serving import bodies, send
from tests.support.door import METHOD, Door, running_door
from tests.support.stores import create_test_epoch, running_stores
from tributary_runtime.authentication import new_key
from tributary_storage.clickhouse.migrate import migrate

GOAL = 1.3
QUIET_BATCH, QUIET_APART_SECONDS = 20, 0.05
FLOOD_BATCH = 100
RATE = 2_000
"""Events per second that the key of the limited flood declares."""
QUIET, FLOOD, LIMITED = "quiet", "flood", "limited"


def _flood(address: str, api_key: str, flight: int, seed: str) -> None:
    """Sends as fast as it can until it is killed; who is told to come back does."""
    os.nice(19)
    asyncio.run(_flooding(address, api_key, flight, seed))


async def _flooding(address: str, api_key: str, flight: int, seed: str) -> None:
    metadata = (("authorization", f"Bearer {api_key}"),)
    requests = bodies(seed, 20_000, FLOOD_BATCH)
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)

        async def worker(number: int) -> None:
            at = number
            while True:
                try:
                    await call(requests[at % len(requests)], metadata=metadata, timeout=30)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.5)  # about what RetryInfo says
                at += flight

        await asyncio.gather(*[worker(number) for number in range(flight)])


@contextmanager
def flooding(door: Door, workspace: str, flight: int, seed: str) -> Iterator[None]:
    """Floods meanwhile."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_flood, args=(door.ingestion.address, door.keys[workspace], flight, seed))
    process.start()
    try:
        time.sleep(3)  # it imports, makes its events, and begins
        yield
    finally:
        process.kill()
        process.join()


def quiet(door: Door, seconds: float, seed: str) -> tuple[float, float]:
    """Returns p50 and p99 of the quiet caller's acknowledgements, in milliseconds."""
    count = int(seconds / QUIET_APART_SECONDS)
    requests = bodies(seed, count * QUIET_BATCH, QUIET_BATCH)
    load = asyncio.run(
        send(
            door.ingestion.address,
            requests,
            0,
            {"ingestion": door.ingestion.pid},
            events=count * QUIET_BATCH,
            api_key=door.keys[QUIET],
            apart_seconds=QUIET_APART_SECONDS,
        )
    )
    return load.ack_millis(0.5), load.ack_millis(0.99)


def measure(pairs: int, seconds: float, flight: int) -> list[dict[str, Any]]:
    """Returns the figures."""
    found: dict[str, list[tuple[float, float]]] = {"alone": [], FLOOD: [], LIMITED: []}
    with tempfile.TemporaryDirectory() as scratch, running_stores(Path(scratch)) as stores:
        asyncio.run(create_test_epoch(stores.redis.url, claim_bucket_bits=12))
        asyncio.run(migrate(stores.clickhouse_url))
        key = new_key()
        limited = {"id": key.id, "sha256": key.sha256, "scopes": ["ingest"], "events_per_second": RATE}
        workspaces: dict[str, dict[str, Any]] = {QUIET: {}, FLOOD: {}, LIMITED: {"api_keys": [limited]}}
        with running_door(Path(scratch), stores.redis.url, stores.clickhouse_url, workspaces) as started:
            keyed = {**started.keys, LIMITED: key.key.get_secret_value()}
            door = Door(started.ingestion, started.dedup, keyed, started.ids, started.channel)
            quiet(door, 2, "warm")
            for pair in range(pairs):
                found["alone"].append(quiet(door, seconds, f"alone-{pair}"))
                for name in (FLOOD, LIMITED):
                    with flooding(door, name, flight, f"{name}-{pair}"):
                        found[name].append(quiet(door, seconds, f"{name}-quiet-{pair}"))
    figures = []
    for index, share in enumerate(("p50", "p99")):
        alone = statistics.median(one[index] for one in found["alone"])
        figures.append(_figure(f"ack {share} of a quiet workspace, alone", alone, "ms"))
        for name, about in ((FLOOD, "another floods"), (LIMITED, f"another floods within {RATE} events/s")):
            value = statistics.median(one[index] for one in found[name])
            figures.append(_figure(f"ack {share} of a quiet workspace while {about}", value, "ms"))
            pairwise = statistics.median(
                flooded[index] / calm[index] for flooded, calm in zip(found[name], found["alone"], strict=True)
            )
            figures.append(_figure(f"ack {share}, {name} over alone", pairwise, "x", GOAL if share == "p99" else None))
    return figures


def _figure(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "ok": goal is None or value <= goal}


def main() -> None:
    """Measures and tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--flight", type=int, default=32)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.pairs, options.seconds, options.flight)
    for figure in figures:
        goal = "" if figure["goal"] is None else f"  goal {figure['goal']}  {'ok' if figure['ok'] else 'MISSED'}"
        print(f"{figure['name']:<70} {figure['value']:>10} {figure['unit']}{goal}")
    if options.json:
        machine = {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2))


if __name__ == "__main__":
    main()
