"""What it costs to turn admitted events into credit: people, journeys, six models, revisions, ClickHouse, both logs.

Run it from a checkout: `python -m tests.load.attribute [--people 2000] [--batch 1000] [--leaving 100] [--commands]
[--json FILE]`. Real Redis with fsync on every write, real ClickHouse, everything else in this process. CPU of this
process and of Redis is counted, ClickHouse's own is not. Two mixes: 95 % touchpoints, and 50 % conversions of ten
touchpoints each. Rounds are interleaved with a floor that only reads the same events and writes one hash field each;
medians. Compare figures with the floor beside them, not with another machine. `--commands` adds what Redis spends by
command.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import redis.asyncio
import uvloop
from hiredis import pack_command
from structlog.contextvars import clear_contextvars, get_contextvars

from tests.load.figures import figure, machine, write
from tests.load.worlds import Mix, a_world
from tests.support.attribution import SHARDS, Attribution, entry, running_attribution
from tests.support.stores import running_stores
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_domain.shards import shard_of_key
from tributary_runtime.clock import SystemClock
from tributary_runtime.heap import OF_A_BATCH, settle_heap
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis import keys
from tributary_storage.redis.log_entry import LogEntry
from tributary_storage.redis.ties import person_key

ROUNDS = 5
GOAL_MICROS = 40.0
"""Of the whole pipeline's 60, what accepting leaves."""
GOAL_BYTES = 120.0
"""Of Redis per touchpoint of a typical journey."""

MIXES = (
    (Mix("95 % touchpoints"), 1.0, GOAL_MICROS),
    (Mix("50 % conversions, 10 touchpoints each", converting=100, orders=10), 0.25, None),
)
"""With the share of the people and the goal of each."""
TYPICAL = Mix("6.5 touchpoints each", touches=(6, 7), converting=0)

STEPS = ("observe", "link", "settle", "publish", "emit")


@dataclass(slots=True)
class Cost:
    """CPU per event, in microseconds."""

    python: float
    redis: float
    steps: dict[str, float] = field(default_factory=dict)
    """Of `python`, by step of a batch."""

    @property
    def total(self) -> float:
        return self.python + self.redis


class CpuClock(SystemClock):
    """Measures durations in CPU of this process: so a batch's own stopwatch tells what its steps cost."""

    def monotonic_seconds(self) -> float:
        return time.process_time()


async def floor(client: redis.asyncio.Redis, batches: Sequence[LogEntry]) -> None:
    """Reads the same events and writes one field each: what nothing can be cheaper than."""
    for batch in batches:
        commands = []
        for event in batch.events():
            admitted = AdmittedEvent.FromString(event.admitted)
            name = admitted.event.event_id.encode()[-8:]
            commands.append(pack_command(("HSET", f"floor:{admitted.identity_tokens[:1]}", name, b"x" * 18)))
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


async def credited(attribution: Attribution, batches: Sequence[LogEntry], events: int) -> Cost:
    """Credits batches; returns what that cost."""
    steps = dict.fromkeys(STEPS, 0.0)

    async def handle() -> None:
        for batch in batches:
            clear_contextvars()
            await attribution.attributor.handle([batch])
            told = get_contextvars()
            for step in STEPS:
                steps[step] += told[f"{step}_ms"]

    cost = await measured(attribution.state, events, handle)
    cost.steps = {step: 1e3 * millis / events for step, millis in steps.items()}
    return cost


async def costs_of(
    attribution: Attribution, mix: Mix, options: argparse.Namespace, share: float, first: int
) -> dict[str, Any]:
    """Measures all rounds of a mix, of people from a first on; returns medians."""
    rng = random.Random(1)
    client, people = attribution.state, max(10, int(options.people * share) // ROUNDS)
    await attribution.handle(*a_world(rng, first + 10**8, 100, mix))
    await client.config_resetstat()
    floors, costs, total, sizes = [], [], 0, []
    for number in range(ROUNDS):
        events = a_world(rng, first + number * people, people, mix)
        batches = [entry("w", events[at : at + options.batch]) for at in range(0, len(events), options.batch)]
        floors.append(await measured(client, len(events), lambda batches=batches: floor(client, batches)))  # type: ignore[misc]
        before = (await client.info("memory"))["used_memory"]
        costs.append(await credited(attribution, batches, len(events)))
        sizes.append(((await client.info("memory"))["used_memory"] - before) / len(events))
        total += len(events)
    commands = await client.info("commandstats") if options.commands else {}
    return {
        "python": statistics.median(cost.python for cost in costs),
        "redis": statistics.median(cost.redis for cost in costs),
        "total": statistics.median(cost.total for cost in costs),
        "floor": statistics.median(cost.total for cost in floors),
        "ratio": statistics.median(one.total / least.total for one, least in zip(costs, floors, strict=True)),
        "steps": {step: statistics.median(cost.steps[step] for cost in costs) for step in STEPS},
        "bytes": statistics.median(sizes),
        "commands": {name: told["usec"] / total for name, told in commands.items()},
    }


def figures_of(mix: Mix, costs: dict[str, Any], goal: float | None) -> list[dict[str, Any]]:
    """Returns the figures of a mix."""
    name = mix.name
    read = costs["python"] - sum(costs["steps"].values())
    by_command = sorted(costs["commands"].items(), key=lambda one: -one[1])[:12]
    return [
        figure(f"{name}: this process", costs["python"], "us/event"),
        *(figure(f"{name}: {step}", micros, "us/event") for step, micros in {"read": read, **costs["steps"]}.items()),
        figure(f"{name}: Redis", costs["redis"], "us/event"),
        *(figure(f"{name}: {command}", micros, "us/event") for command, micros in by_command),
        figure(f"{name}: together", costs["total"], "us/event", goal),
        figure(f"{name}: floor, together", costs["floor"], "us/event"),
        figure(f"{name}: over its floor", costs["ratio"], "x"),
        figure(f"{name}: Redis memory, conversion log included", costs["bytes"], "B/event"),
    ]


async def memory(attribution: Attribution, people: int) -> list[dict[str, Any]]:
    """Returns what typical journeys take in Redis, per touchpoint."""
    client = attribution.state
    first = 9 * 10**9
    await attribution.handle(*a_world(random.Random(2), first + 10**8, 2_000, TYPICAL))  # all sources are known
    events = a_world(random.Random(3), first, people, TYPICAL)
    before = (await client.info("memory"))["used_memory"]
    for at in range(0, len(events), 1_000):
        await attribution.handle(*events[at : at + 1_000])
    in_all = (await client.info("memory"))["used_memory"] - before
    own = 0
    for person in range(first, first + people):
        name = person_key(attribution.workspace.id, f"visitor:{person:022d}")
        own += await client.memory_usage(keys.journey(shard_of_key(name, SHARDS), name), samples=0)
    return [
        figure(f"{TYPICAL.name}: journeys in Redis", own / len(events), "B/touchpoint", GOAL_BYTES),
        figure(f"{TYPICAL.name}: all that Redis holds for them", in_all / len(events), "B/touchpoint"),
    ]


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    told = {"machine": machine(), "figures": list[dict[str, Any]]()}
    with tempfile.TemporaryDirectory() as directory, running_stores(Path(directory)) as stores:
        await migrate(stores.clickhouse_url)
        url = stores.empty_redis_url()
        async with running_attribution(url, stores.clickhouse_url, "w", clock=CpuClock()) as attribution:
            settle_heap(OF_A_BATCH)
            for number, (mix, share, goal) in enumerate(MIXES, 1):
                own = replace(mix, leaving=options.leaving)
                costs = await costs_of(attribution, own, options, share, number * 10**9)
                told["figures"] += figures_of(own, costs, goal)
            told["figures"] += await memory(attribution, options.people)
    write(told, options.json)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--leaving", type=int, default=100, help="per cent of the touches that a browser shows")
    parser.add_argument("--commands", action="store_true")
    parser.add_argument("--json", type=Path)
    uvloop.run(main(parser.parse_args()))  # as the service runs
