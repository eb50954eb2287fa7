"""What claims cost in memory and time as they grow to the volume their buckets are for.

Run it from a checkout: `python -m tests.load.claims [--claims 1000000] [--json FILE]`. Fills a real Redis in memory
only (its files would measure the disk), a tenth at a time, and prints the curve: bytes of Redis memory per claim,
resident bytes, and server CPU per claim.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio

from tests.support.stores import running_redis
from tributary_domain.ids import event_digest
from tributary_storage.redis.claim_layout import ACCEPT, Placement, pack_claim
from tributary_storage.redis.claim_sizing import bucket_bits, size_at
from tributary_storage.redis.claims import Admit, Claims, Decided
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch

SHARDS = 4
BATCH = 100
STEPS = 10
GOAL_BYTES = 24


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at one number of claims."""

    claims: int
    bytes_per_claim: float
    resident_per_claim: float
    cpu_micros_per_claim: float
    expected_bytes: float


async def fill(url: str, number_of_claims: int) -> list[Point]:
    """Claims events until there are so many; measures after each tenth."""
    bits = bucket_bits(number_of_claims, SHARDS)
    placement = Placement(Epoch("load", SHARDS, bits, 1))
    points = []
    async with connect(url, name="load", timeout_seconds=60) as client:
        claims = Claims(client)
        await claims.commit(batch(placement, range(-BATCH, 0)))  # scripts are loaded, counters are there
        empty = await client.info("memory")
        for step in range(STEPS):
            cpu = await cpu_seconds(client)
            first, last = number_of_claims * step // STEPS, number_of_claims * (step + 1) // STEPS
            for at in range(first, last, BATCH * SHARDS):
                calls = batch(placement, range(at, min(at + BATCH * SHARDS, last)))
                for answer in await claims.commit(calls):
                    if not isinstance(answer, Decided) or set(answer.letters) != {ord("A")}:
                        raise RuntimeError(f"a new event was not accepted: {answer}")
            memory = await client.info("memory")
            points.append(
                Point(
                    last,
                    (memory["used_memory"] - empty["used_memory"]) / last,
                    (memory["used_memory_rss"] - empty["used_memory_rss"]) / last,
                    1e6 * (await cpu_seconds(client) - cpu) / (last - first),
                    size_at(last, SHARDS, bits).bytes_per_claim,
                )
            )
            # The log is not what is measured here.
            for shard in range(SHARDS):
                await client.delete(f"trb:{{l{shard}}}:log:live")
    return points


def batch(placement: Placement, numbers: Sequence[int], payload_bytes: int = 0) -> list[Admit]:
    """Returns a commit of new events, one call per shard, each event with so many bytes of payload."""
    by_shard: dict[int, list[bytes]] = {}
    for number in numbers:
        digest = event_digest("load", str(number))
        by_shard.setdefault(placement.shard(digest), []).append(digest)
    return [
        Admit(
            shard=shard,
            lane="live",
            payload=bytes(payload_bytes * len(digests)),
            letters=b"A" * len(digests),
            claims=b"".join([pack_claim(digest, digest[8:11], ACCEPT) for digest in digests]),
            bucket_keys=[placement.claims_key(digest, shard) for digest in digests],
            runs=[("load", len(digests))],
        )
        for shard, digests in by_shard.items()
    ]


async def cpu_seconds(client: redis.asyncio.Redis) -> float:
    """Returns the CPU the server has used."""
    told = await client.info("cpu")
    return float(told["used_cpu_sys"]) + float(told["used_cpu_user"])


def report(points: Sequence[Point]) -> dict[str, Any]:
    """Returns the figures in the form of all benchmarks."""
    last = points[-1]
    figures: list[dict[str, Any]] = [
        {
            "name": f"bytes per claim at {point.claims} claims",
            "value": round(point.bytes_per_claim, 2),
            "unit": "B",
            "goal": GOAL_BYTES if point is last else None,
            "ok": point.bytes_per_claim <= GOAL_BYTES if point is last else None,
        }
        for point in points
    ]
    figures.append(  # a part of what an event costs; what may grow is held against the whole by `tests.load.accept`
        {
            "name": "server CPU per claim, full minus fresh",
            "value": round(last.cpu_micros_per_claim - points[0].cpu_micros_per_claim, 2),
            "unit": "us",
            "goal": None,
            "ok": None,
        }
    )
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    return {"machine": machine, "figures": figures}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running_redis(Path(directory), {"appendonly": "no"}) as server:
        points = asyncio.run(fill(server.url, options.claims))
    print(f"{'claims':>12} {'bytes':>7} {'expected':>9} {'resident':>9} {'CPU us':>7}")
    for point in points:
        print(
            f"{point.claims:>12,} {point.bytes_per_claim:>7.1f} {point.expected_bytes:>9.1f} "
            f"{point.resident_per_claim:>9.1f} {point.cpu_micros_per_claim:>7.2f}"
        )
    if options.json:
        options.json.write_text(json.dumps(report(points), indent=2) + "\n")


if __name__ == "__main__":
    main()
