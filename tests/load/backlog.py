"""A backlog of a million events, credited by the service as a process: what it costs, and whether memory grows with it.

Run it from a checkout: `python -m tests.load.backlog [--events 1000000] [--json FILE]`. All events are in the event log
before attribution starts. Its resident memory is looked at while it works, and told as the highest until a tenth, half
and all of the events: what a process remembers is bounded, so the second half may add little to the first.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import tempfile
import time
from bisect import bisect_right
from pathlib import Path
from typing import Any

import redis.asyncio
import yaml

from tests.load.figures import figure, machine, write
from tests.load.serving import SHARDS, cpu_seconds
from tests.load.worlds import Mix, a_world
from tests.support.attribution import entry
from tests.support.ports import free_port
from tests.support.stores import Stores, create_test_epoch, running_stores
from tributary_cli.stack.services import ServiceProcess
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis import keys
from tributary_storage.redis.claims import SCHEMA
from tributary_storage.redis.client import connect

GOAL_GROWTH = 1.1
MARKS = (0.1, 0.5, 1.0)
PEOPLE_AT_ONCE = 2_000
ENTRY_EVENTS = 100
LOOK_SECONDS = 0.5
MIX = Mix("95 % touchpoints")

Id = tuple[int, int]
"""Of a stream entry."""


async def append(client: redis.asyncio.Redis, events: int) -> list[list[Id]]:
    """Fills the event log; returns the ids of the entries by shard."""
    rng, places, appended, person = random.Random(1), [list[Id]() for _ in range(SHARDS)], 0, 0
    while appended < events:
        world = a_world(rng, person, PEOPLE_AT_ONCE, MIX)[: events - appended]
        person += PEOPLE_AT_ONCE
        pipeline = client.pipeline(transaction=False)
        now = time.time_ns() // 1000  # what was accepted long before it is read may be known: it would be asked for
        shards = []
        for number, at in enumerate(range(0, len(world), ENTRY_EVENTS)):
            made = entry("w", world[at : at + ENTRY_EVENTS])
            shards.append(number % SHARDS)
            fields: dict[Any, Any] = {
                "schema": SCHEMA,
                "payload": made.payload,
                "mask": made.mask,
                "accept_time": now,
            }
            pipeline.xadd(keys.event_log(shards[-1], "live"), fields)
        for shard, name in zip(shards, await pipeline.execute(), strict=True):
            places[shard].append(_id(name))
        appended += len(world)
    return places


async def done(client: redis.asyncio.Redis, places: list[list[Id]]) -> int:
    """Returns how many entries are finished."""
    finished = 0
    for shard, own in enumerate(places):
        groups: list[Any] = await client.xinfo_groups(keys.event_log(shard, "live"))
        for group in groups:
            if group["name"] == keys.ATTRIBUTE_GROUP.encode():
                finished += bisect_right(own, _id(group["last-delivered-id"])) - group["pending"]
    return finished


def attribution(directory: Path, stores: Stores, url: str) -> ServiceProcess:
    """Describes the service."""
    file = directory / "workspaces.yaml"
    workspace = {"id": "w", "pepper": {"value": secrets.token_hex(16)}, "api_keys": []}
    file.write_text(yaml.safe_dump({"workspaces": [workspace]}))
    environment = {
        "TRIBUTARY_LOG_URL": url,
        "TRIBUTARY_STATE_URL": url,
        "TRIBUTARY_CLICKHOUSE_URL": stores.clickhouse_url,
        "TRIBUTARY_WORKSPACES_FILE": str(file),
        "TRIBUTARY_INTERNAL_TOKEN": secrets.token_hex(16),
        "TRIBUTARY_DRAIN_DELAY_SECONDS": "0",
    }
    return ServiceProcess("attribution", free_port(), directory / "attribution.log", environment)


def resident_megabytes(pid: int) -> float:
    """Returns the memory that a process has now."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def drain(stores: Stores, url: str, directory: Path, events: int) -> list[dict[str, Any]]:
    """Drains a backlog; returns the figures."""
    async with connect(url, name="load", timeout_seconds=60) as client:
        places = await append(client, events)
        entries = sum(map(len, places))
        service = attribution(directory, stores, url)
        redis_before = cpu_seconds(stores.redis.pid)
        highest, peaks = 0.0, dict[float, float]()
        try:
            service.start()
            service.wait_until_ready(60)
            started = time.perf_counter()
            while len(peaks) < len(MARKS):
                await asyncio.sleep(LOOK_SECONDS)
                share = await done(client, places) / entries
                highest = max(highest, resident_megabytes(service.pid))
                peaks.update({mark: highest for mark in MARKS if share >= mark and mark not in peaks})
            wall = time.perf_counter() - started
            spent = {"attribution": cpu_seconds(service.pid), "Redis": cpu_seconds(stores.redis.pid) - redis_before}
        finally:
            service.kill()
    return [
        figure("events", events, ""),
        figure("wall", wall, "s"),
        *(figure(f"CPU, {name}", 1e6 * seconds / events, "us/event") for name, seconds in spent.items()),
        *(figure(f"memory of attribution, highest in the first {mark:.0%}", peaks[mark], "MB") for mark in MARKS),
        figure("memory after all over that after half", peaks[1.0] / peaks[0.5], "x", GOAL_GROWTH),
    ]


def _id(name: bytes) -> Id:
    millis, _, number = name.partition(b"-")
    return int(millis), int(number)


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    told = {"machine": machine(), "figures": list[dict[str, Any]]()}
    with tempfile.TemporaryDirectory() as name, running_stores(Path(name)) as stores:
        await migrate(stores.clickhouse_url)
        url = stores.redis.url
        await create_test_epoch(url, SHARDS)
        told["figures"] += await drain(stores, url, Path(name), options.events)
    write(told, options.json)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    asyncio.run(main(parser.parse_args()))
