"""What it costs to turn admitted events into credit: people, journeys, six models, revisions, ClickHouse, both logs.

Run it from a checkout: `python -m tests.load.attribute [--people 2000] [--batch 1000] [--touches 10] [--converting 60]
[--leaving 100] [--json FILE]`. Real Redis with fsync on every write, real ClickHouse, everything else in this process.
CPU of this process and of Redis is counted, ClickHouse's own is not. Rounds are interleaved with a floor that only
reads the same events and writes one hash field each; medians. Compare figures with the floor beside them, not with
another machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio
from hiredis import pack_command

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, entry, leaving, running_attribution
from tests.support.stores import running_stores
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis.log_entry import LogEntry

ROUNDS = 5
GOAL_MICROS = 40.0
"""Of the whole pipeline's 60, what accepting leaves."""

CHANNELS = ("Paid Search", "Email", "Direct", "Display", "Organic Search", "Referral", "Affiliates", "Paid Social")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU per event, in microseconds."""

    python: float
    redis: float

    @property
    def total(self) -> float:
        return self.python + self.redis


def a_world(rng: random.Random, first: int, people: int, options: argparse.Namespace) -> list[Admitted]:
    """Returns what people do in ten days, in the order of time; some per cent of them buy, a tenth of these refund.

    Of the touches some per cent carry what a browser shows: match keys and a browser id, every third a click id.
    """
    make = Events("w")
    events: list[tuple[int, Admitted]] = []
    for person in range(first, first + people):
        start = NOON - 20 * DAY + rng.randrange(10 * DAY)
        visitor = f"visitor:{person:022d}"
        for number in range(options.touches):
            at = start + rng.randrange(9 * DAY)
            channel, campaign = rng.choice(CHANNELS), f"campaign {rng.randrange(200)}"
            event_id = f"touch-{person}-{number}"
            is_leaving = rng.randrange(100) < options.leaving
            clicks = {"gclid": event_id} if is_leaving and number % 3 == 0 else {}
            touch = make.touch(visitor, at=at, channel=channel, campaign=campaign, event_id=event_id, clicks=clicks)
            events.append((at, leaving(touch, rng.randbytes(190), fbp=f"fb.1.{person}") if is_leaving else touch))
        if rng.randrange(100) < options.converting:
            at, tokens = start + 9 * DAY, (f"customer:{person:022d}", f"email:{person:022d}", visitor)
            events.append((at, make.order(*tokens, at=at, order_id=f"o-{person}", event_id=f"order-{person}")))
            if rng.randrange(10) == 0:
                refund = make.refund(10_000_000, at=at + DAY, order_id=f"o-{person}", event_id=f"refund-{person}")
                events.append((at + DAY, refund))
    events.sort(key=lambda timed: timed[0])
    return [event for _, event in events]


async def floor(client: redis.asyncio.Redis, batches: Sequence[LogEntry]) -> None:
    """Reads the same events and writes one field each: what nothing can be cheaper than."""
    for batch in batches:
        commands = []
        for event in batch.events():
            admitted = AdmittedEvent.FromString(event.admitted)
            field = admitted.event.event_id.encode()[-8:]
            commands.append(pack_command(("HSET", f"floor:{admitted.identity_tokens[:1]}", field, b"x" * 18)))
        pool: Any = client.connection_pool
        connection = await pool.get_connection()
        await connection.send_packed_command(commands)
        for _ in commands:
            await connection.read_response(disable_decoding=True)
        await pool.release(connection)


async def measured(client: redis.asyncio.Redis, events: int, work: Callable[[], Awaitable[None]]) -> Cost:
    """Returns what a piece of work costs per event."""
    redis_before, python_before = await redis_seconds(client), time.process_time()
    await work()
    python, redis_used = time.process_time() - python_before, await redis_seconds(client) - redis_before
    return Cost(1e6 * python / events, 1e6 * redis_used / events)


async def redis_seconds(client: redis.asyncio.Redis) -> float:
    """Returns the CPU the server has used."""
    told = await client.info("cpu")
    return float(told["used_cpu_sys"]) + float(told["used_cpu_user"])


async def run(attribution: Attribution, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures all rounds and returns the figures."""
    rng = random.Random(1)
    client = attribution.state
    await attribution.handle(*a_world(rng, 10**9, 100, options))
    floors, costs, sizes = [], [], []
    for number in range(ROUNDS):
        people = options.people // ROUNDS
        events = a_world(rng, number * people, people, options)
        batches = [entry("w", events[at : at + options.batch]) for at in range(0, len(events), options.batch)]
        floors.append(await measured(client, len(events), lambda batches=batches: floor(client, batches)))  # type: ignore[misc]
        before = (await client.info("memory"))["used_memory"]

        async def handle(batches: Sequence[LogEntry] = batches) -> None:
            for batch in batches:
                await attribution.attributor.handle([batch])

        costs.append(await measured(client, len(events), handle))
        sizes.append(((await client.info("memory"))["used_memory"] - before) / len(events))
    total = statistics.median(cost.total for cost in costs)
    least = statistics.median(cost.total for cost in floors)
    return [
        _figure("attribution, this process", statistics.median(cost.python for cost in costs), "us/event"),
        _figure("attribution, Redis", statistics.median(cost.redis for cost in costs), "us/event"),
        _figure("attribution, together", total, "us/event", GOAL_MICROS),
        _figure("floor, together", least, "us/event"),
        _figure("attribution over floor", total / least, "x"),
        _figure("Redis memory, conversion log included", statistics.median(sizes), "B/event"),
    ]


def _figure(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    ok = None if goal is None else value <= goal
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "ok": ok}


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as directory, running_stores(Path(directory)) as stores:
        await migrate(stores.clickhouse_url)
        async with running_attribution(stores.empty_redis_url(), stores.clickhouse_url, "w") as attribution:
            figures = await run(attribution, options)
    for figure in figures:
        goal = "" if figure["goal"] is None else f"  (goal {figure['goal']:g}: {'ok' if figure['ok'] else 'missed'})"
        print(f"{figure['name']:40} {figure['value']:10.2f} {figure['unit']}{goal}")
    if options.json:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--touches", type=int, default=10)
    parser.add_argument("--converting", type=int, default=60, help="per cent of the people")
    parser.add_argument("--leaving", type=int, default=100, help="per cent of the touches that a browser shows")
    parser.add_argument("--json", type=Path)
    asyncio.run(main(parser.parse_args()))
