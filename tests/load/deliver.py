"""What it costs to deliver conversions to a batch destination, and how soon one is there.

Run it from a checkout: `python -m tests.load.deliver [--kind meta] [--conversions 20000] [--rate 200] [--seconds 10]
[--json FILE]`. Real Redis with fsync on every write, real ClickHouse; the lane runs in this process, the destination's
fake in one of its own. Throughput: rounds of waiting jobs, each leased, its match keys opened, said, sent, settled and
written to the ledger; CPU of this process and of Redis is counted, ClickHouse's own and the fake's are not. Interleaved
with a floor that only says the same conversions and writes their JSON; medians. Where the destination takes corrections
(`--kind google`), a refund of each is delivered after that, and what ClickHouse is asked for it is counted. Latency:
jobs planned at a steady rate, from the plan until the fake has answered. Compare figures with the floor beside them,
not with another machine.
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
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.load.attribute import redis_seconds
from tests.support.batches import TOKEN, UNLIMITED, a_batch_destination, a_purchase, match_keys, publish, running_fake
from tests.support.delivery import Rig, a_rig, prepare
from tests.support.revisions import Revision
from tests.support.stores import running_stores
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE
from tributary_cli.demo.fakes.fake import Ask, Reply
from tributary_cli.demo.fakes.server import FakeServer
from tributary_delivery.destinations import ADAPTERS
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Permits, PersonKeys
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.lane import Pace
from tributary_domain.consent import GRANTED
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis.delivery_job import Lane

ROUNDS = 5
GOAL_PER_SECOND = 3_000.0
"""Conversions per second and core."""
GOAL_SECONDS = 2.0
"""From the plan until it is accepted, 95 of 100."""
PACE = Pace(concurrency=4_000, call_seconds=20.0, margin_seconds=10.0)


class Timed(FakeServer):
    """Notes when each conversion was answered first, and counts no repeats of its own."""

    def respond(self, ask: Ask) -> Reply | None:
        """Answers, or tells what it noted to who asks."""
        if ask.path == "/noted":
            return Reply(200, dict(self.noted))
        reply = super().respond(ask)
        self.asks.clear()
        now = time.time()  # noqa: TID251 - the other process's clock, of the same machine
        for visible_id in self.fake.counted:
            self.noted.setdefault(visible_id, now)
        return reply

    @property
    def noted(self) -> dict[str, float]:
        """Visible id -> Unix seconds."""
        return self.__dict__.setdefault("_noted", {})


def _serve(kind: str, url: Any, over: Any) -> None:
    with running_fake(kind) as made:
        server = Timed(made.fake)
        with server:
            url.put(server.url)
            over.wait()


@contextmanager
def elsewhere(kind: str) -> Iterator[str]:
    """Runs the fake of a destination in a process of its own; gives its address."""
    spawn = multiprocessing.get_context("spawn")
    url, over = spawn.Queue(), spawn.Event()
    process = spawn.Process(target=_serve, args=(kind, url, over))
    process.start()
    try:
        yield url.get(timeout=60)
    finally:
        over.set()
        process.join()


def floor(settings: BatchDestination, messages: Sequence[ConversionRevised]) -> float:
    """Returns the CPU seconds of only saying conversions and writing their JSON."""
    identifiers = match_keys().identifiers
    keys = PersonKeys(emails=(identifiers.email,), client_ip="203.0.113.7", user_agent="Mozilla/5.0")
    adapter = ADAPTERS[settings.type](settings)
    before = time.process_time()
    for message in messages:
        mapped = adapter.event(
            Outgoing(
                revised=message,
                operation=DELIVERY_OPERATION_CREATE,
                name=settings.name_of("purchase") or "",
                visible_id=message.match.pixel_event_id,
                amount_micros=message.state.value.amount_micros,
                currency=message.state.value.currency_code,
                keys=keys,
                permits=Permits(GRANTED, GRANTED),
                click_ids={},
                now_micros=0,
            )
        )
        assert isinstance(mapped, Mapped)
        json_bytes(mapped.event)
    return time.process_time() - before


async def until_idle(rig: Rig, lane: Lane) -> None:
    """Waits until no job of a lane waits."""
    while await rig.stores.jobs.waiting(lane):  # noqa: ASYNC110 - Redis tells nobody
        await asyncio.sleep(0.02)


async def delivered(rig: Rig, lane: Lane, settings: BatchDestination) -> tuple[float, float]:
    """Returns the CPU seconds of this process and of Redis that a lane's waiting jobs cost."""
    redis_before, python_before = await redis_seconds(rig.redis), time.process_time()
    async with rig.running_lane(lane, settings, pace=PACE):
        await until_idle(rig, lane)
    return time.process_time() - python_before, await redis_seconds(rig.redis) - redis_before


async def throughput(rig: Rig, url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Delivers rounds of jobs that wait already."""
    settings = a_batch_destination(options.kind, url, id=options.kind.replace("_", "-"))
    count = options.conversions // ROUNDS
    floors, pythons, redises = [], [], []
    corrections: list[float] = []
    questions: list[int] = []
    for number in range(ROUNDS):
        lane = Lane(f"load-{number}", settings.id)
        bought = [a_purchase(lane, number * 1_000_000 + at) for at in range(count)]
        messages = await publish_all(rig, lane, bought)
        floors.append(floor(settings, messages) / count)
        python, redis_used = await delivered(rig, lane, settings)
        pythons.append(python / count)
        redises.append(redis_used / count)
        if settings.restates:
            await publish_all(rig, lane, [one.then(value_micros=70_000_000) for one in bought])
            asked = await selects(rig)
            python, redis_used = await delivered(rig, lane, settings)
            corrections.append((python + redis_used) / count)
            questions.append(await selects(rig) - asked)
    told = [
        _figure("correction, this process and Redis", statistics.median(corrections or [0.0]) * 1e6, "us/conversion"),
        _figure("questions to ClickHouse", statistics.median(questions or [0]) / count * 1000, "per 1 000 corrections"),
    ]
    python, redis_used, least = (statistics.median(one) * 1e6 for one in (pythons, redises, floors))
    return [
        _figure("delivery, this process", python, "us/conversion"),
        _figure("delivery, Redis", redis_used, "us/conversion"),
        _figure("delivery, per core", 1e6 / (python + redis_used), "conversions/s", at_least=GOAL_PER_SECOND),
        _figure("floor: said and written", least, "us/conversion"),
        _figure("delivery over floor", (python + redis_used) / least, "x"),
        *(told if settings.restates else ()),
    ]


async def publish_all(rig: Rig, lane: Lane, revisions: Sequence[Revision]) -> list[ConversionRevised]:
    """Publishes revisions, a thousand at once."""
    messages: list[ConversionRevised] = []
    for first in range(0, len(revisions), 1_000):
        messages += await publish(rig, lane, revisions[first : first + 1_000])
    return messages


async def selects(rig: Rig) -> int:
    """Returns how many questions ClickHouse was asked so far."""
    [(count,)] = await rig.clickhouse.execute("SELECT value FROM system.events WHERE event = 'SelectQuery'")
    return int(count)


async def latency(rig: Rig, url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Plans jobs at a steady rate while the lane runs."""
    settings = a_batch_destination(
        options.kind, url, id=options.kind.replace("_", "-"), quota={**UNLIMITED, "requests_per_minute": 600}
    )
    lane, planned = Lane("load-steady", settings.id), dict[str, float]()
    step = max(1, options.rate // 20)

    def plan_now(message: ConversionRevised) -> None:
        planned[message.match.pixel_event_id] = SystemClock().unix_micros() / 1e6

    async with rig.running_lane(lane, settings, pace=PACE) as runner:
        began = time.perf_counter()
        for tick in range(options.rate * options.seconds // step):
            purchases = [a_purchase(lane, 900_000_000 + tick * step + at) for at in range(step)]
            await publish(rig, lane, purchases, plan_now)
            runner.wake()
            await asyncio.sleep(max(0.0, began + (tick + 1) * step / options.rate - time.perf_counter()))
        await until_idle(rig, lane)
    async with httpx.AsyncClient() as client:
        answer = (await client.post(f"{url}/noted", headers={"authorization": f"Bearer {TOKEN}"})).json()
    waits = sorted(answer[visible_id] - at for visible_id, at in planned.items())
    assert len(waits) == len(planned)
    return [
        _figure(f"plan to accepted at {options.rate}/s, p50", waits[len(waits) // 2], "s"),
        _figure(f"plan to accepted at {options.rate}/s, p95", waits[len(waits) * 95 // 100], "s", at_most=GOAL_SECONDS),
    ]


def _figure(
    name: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> dict[str, Any]:
    goal = at_least if at_most is None else at_most
    ok = None if goal is None else value >= goal if at_most is None else value <= goal
    return {"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "ok": ok}


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    measures: Sequence[Callable[[Rig, str, argparse.Namespace], Awaitable[list[dict[str, Any]]]]]
    measures = (throughput, latency)
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory, running_stores(Path(directory)) as stores:
        await migrate(stores.clickhouse_url)
        redis_url = stores.empty_redis_url()
        await prepare(redis_url)
        with elsewhere(options.kind) as url:
            async with a_rig(redis_url, stores.clickhouse_url) as rig:
                for measure in measures:
                    figures += await measure(rig, url, options)
    for figure in figures:
        goal = "" if figure["goal"] is None else f"  (goal {figure['goal']:g}: {'ok' if figure['ok'] else 'missed'})"
        print(f"{figure['name']:40} {figure['value']:10.2f} {figure['unit']}{goal}")
    if options.json:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="meta")
    parser.add_argument("--conversions", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=200, help="conversions per second, for latency")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    asyncio.run(main(parser.parse_args()))
