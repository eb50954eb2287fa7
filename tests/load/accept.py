"""What accepting an event costs, durably and deduplicated: ingestion, dedup and Redis together, beside their floor.

Run it from a checkout: `python -m tests.load.accept [--quick] [--curve] [--growth CLAIMS] [--json FILE]`. Events are
the mix of DESIGN section 12, every acknowledgement is on disk (`appendfsync always`). Per round everything is measured
once, in turns, and medians are told. The floor of the same minute is a bare gRPC echo of the same bytes plus the bare
claim script on a Redis of its own. ClickHouse is down meanwhile, so that only accepting is measured; then it
comes back, and what recording costs dedup is measured while the backlog drains. `--curve` adds what batches and linger
do to freshness and cost, `--growth` the cost among so many claims.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.load import echo, mix
from tests.load.bare_script import run_bare_script
from tests.load.figures import figure, machine, write
from tests.load.growth import fill
from tests.load.linger import curve
from tests.load.serving import (
    WORKSPACE,
    Installation,
    Load,
    bodies,
    cpu_seconds,
    running_installation,
    send,
    wait_until_recorded,
)
from tests.support.stores import running_redis
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary_cli.stack.redis_server import RedisServer

GOAL_PER_SECOND = {100: 50_000, 1: 4_000}
GOAL_ACK_MILLIS = 10
GOAL_FRAUD_MILLIS = 20
BURST, BURST_APART_SECONDS = 20, 0.02
"""Orders of one customer in a call, and how far apart such calls are."""
GOAL_GROWTH = 1.1
LIGHT = 0.1
"""Share of the capacity at which the acknowledgement is measured."""
BATCHES = {1: 64, 100: 8, 1000: 2}
"""Events per call -> calls in flight."""
WARM = (500, 10_000)
"""Events sent before anything is measured, one by one and in batches: enough to have seen every user agent."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    events: int
    rounds: int

    def count(self, batch: int) -> int:
        """Returns the events of one measurement; calls of one event are dear."""
        return self.events if batch > 1 else self.events // 5


class Bench:
    """One installation and its floors.

    Attributes:
        sent: Events sent so far.
    """

    def __init__(self, installation: Installation, floor_redis: RedisServer, echo_address: str, echo_pid: int) -> None:
        self._installation = installation
        self._floor_redis = floor_redis
        self._echo_address, self._echo_pid = echo_address, echo_pid
        self._key = installation.door.keys[WORKSPACE]
        self.sent = 0

    def accept(self, batch: int, events: int, flight: int, *, apart_seconds: float = 0.0) -> Load:
        """Sends new events through the door."""
        requests = bodies(f"{batch}-{time.monotonic_ns()}", events, batch)
        return self._send(requests, batch, flight, apart_seconds)

    def suspect(self, calls: int) -> Load:
        """Sends bursts of orders, most of which are one too many."""
        now, seed = time.time_ns() // 1000, f"burst-{time.monotonic_ns()}"
        requests = [
            IngestEventsRequest(events=mix.burst(f"{seed}-{number}", now, BURST)).SerializeToString()
            for number in range(calls)
        ]
        return self._send(requests, BURST, 1, BURST_APART_SECONDS)

    def _send(self, requests: Sequence[bytes], batch: int, flight: int, apart_seconds: float) -> Load:
        self.sent += len(requests) * batch
        return asyncio.run(
            send(
                self._installation.door.ingestion.address,
                requests,
                flight,
                self._installation.pids,
                events=len(requests) * batch,
                api_key=self._key,
                apart_seconds=apart_seconds,
            )
        )

    def floor(self, batch: int, events: int, flight: int) -> float:
        """Returns the CPU per event of a bare echo and a bare script."""
        requests = bodies("floor", events, batch)
        pids = {"echo": self._echo_pid}
        echoing = send(
            self._echo_address, requests, flight, pids, events=len(requests) * batch, method=echo.METHOD, api_key="k"
        )
        echoed = asyncio.run(echoing)
        redis, before = self._floor_redis, cpu_seconds(self._floor_redis.pid)
        asyncio.run(run_bare_script(redis.url, self._installation.epoch, events, max(batch, flight)))
        return echoed.micros() + 1e6 * (cpu_seconds(redis.pid) - before) / events


def python_micros() -> float:
    """Returns what a fixed piece of Python costs here and now.

    Interpreters differ by a third (the image's was built with profiles, many others were not), and busy neighbours
    take the caches away: by this, figures of different machines and minutes can be compared.
    """
    kept: dict[int, str] = {}
    started = time.process_time()
    for number in range(200_000):
        kept[number & 1023] = f"{number}.x".partition(".")[0]
    return 1e6 * (time.process_time() - started) / 200_000


def measure(bench: Bench, size: Size) -> list[dict[str, Any]]:
    """Returns the figures."""
    python: list[float] = []
    loads: dict[int, list[Load]] = {batch: [] for batch in BATCHES}
    floors: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    light: list[Load] = []
    bursts: list[Load] = []
    for batch in (1000, *BATCHES):
        bench.accept(batch, WARM[batch > 1], BATCHES[batch])
    for _ in range(size.rounds):
        for batch, flight in BATCHES.items():
            loads[batch].append(bench.accept(batch, size.count(batch), flight))
            floors[batch].append(bench.floor(batch, size.count(batch), flight))
        python.append(python_micros())
        capacity = 1e6 / loads[100][-1].micros()
        light.append(bench.accept(100, size.events // 4, 1, apart_seconds=100 / (LIGHT * capacity)))
        bursts.append(bench.suspect(size.events // 200))
    figures = [figure("floor: a store and a cut text in Python", statistics.median(python), "us")]
    for batch in BATCHES:
        figures += _figures_of(batch, loads[batch], floors[batch])
    for share in (0.5, 0.99):
        figures.append(
            figure(
                f"ack p{100 * share:.0f}, batch 100 at a tenth of capacity",
                statistics.median(one.ack_millis(share) for one in light),
                "ms",
                GOAL_ACK_MILLIS if share > 0.9 else None,
            )
        )
    caught = sum(one.verdicts.get("QUARANTINED", 0) for one in bursts) / sum(one.events for one in bursts)
    figures.append(figure("orders of bursts that were quarantined in the ack", 100 * caught, "%", 50, at_least=True))
    millis = statistics.median(one.ack_millis(0.99) for one in bursts)
    return [*figures, figure("ack p99 of calls with fraud", millis, "ms", GOAL_FRAUD_MILLIS)]


def _figures_of(batch: int, loads: list[Load], floors: list[float]) -> list[dict[str, Any]]:
    together = statistics.median(load.micros() for load in loads)
    goal = GOAL_PER_SECOND.get(batch)
    figures = []
    for process in loads[0].cpu:
        micros = statistics.median(load.micros(process) for load in loads)
        figures.append(figure(f"CPU per event, {process}, batch {batch}", micros, "us"))
    acks = {share: statistics.median(load.ack_millis(share) for load in loads) for share in (0.5, 0.99)}
    verdicts: dict[str, int] = {}
    for load in loads:
        for name, count in load.verdicts.items():
            verdicts[name] = verdicts.get(name, 0) + count
    return [
        *figures,
        figure(f"CPU per event, together, batch {batch}", together, "us", goal and 1e6 / goal),
        figure(f"events per second and core, batch {batch}", 1e6 / together, "1/s", goal, at_least=True),
        figure(f"floor: echo and script, batch {batch}", statistics.median(floors), "us"),
        figure(f"over the floor, batch {batch}", together / statistics.median(floors), "x"),
        figure(f"duplicates, batch {batch}", 100 * verdicts.get("DUPLICATE", 0) / sum(verdicts.values()), "%"),
        figure(f"undecided, batch {batch}", verdicts.get("UNDECIDED", 0), "events", 0),
        *(figure(f"ack p{100 * share:.0f} under full load, batch {batch}", ack, "ms") for share, ack in acks.items()),
    ]


def record(installation: Installation, events: int) -> dict[str, Any]:
    """Brings ClickHouse back; returns the CPU of dedup per event until the backlog is gone."""
    before = cpu_seconds(installation.pids["dedup"])
    installation.clickhouse.start()
    asyncio.run(wait_until_recorded(installation))
    micros = 1e6 * (cpu_seconds(installation.pids["dedup"]) - before) / events
    return figure("recording: CPU per event, dedup", micros, "us")


def grow(fresh: Bench, full: Bench, size: Size) -> list[dict[str, Any]]:
    """Returns what many claims do to the cost: pairs, in turns."""
    ratios = []
    for number in range(max(size.rounds, 5)):
        pair = [fresh, full] if number % 2 else [full, fresh]
        costs = {id(bench): bench.accept(100, size.events, BATCHES[100]).micros() for bench in pair}
        ratios.append(costs[id(full)] / costs[id(fresh)])
    return [figure("CPU per event, full over fresh", statistics.median(ratios), "x", GOAL_GROWTH)]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000, help="per measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of it: to see that it runs")
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--growth", type=int, default=0, metavar="CLAIMS")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    size = Size(4_000, 2) if options.quick else Size(options.events, options.rounds)
    volume = max(options.growth, size.events * (size.rounds + 1) * 8)
    told = {"machine": machine(), "figures": list[dict[str, Any]]()}
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        echo_at = closing.enter_context(echo.running_echo(directory))
        floor_redis = closing.enter_context(running_redis(directory / "floor"))
        fresh = closing.enter_context(running_installation(directory / "fresh", volume))
        bench = Bench(fresh, floor_redis, *echo_at)
        told["figures"] += measure(bench, size)
        if options.curve:
            points = asyncio.run(curve(fresh, quick=options.quick))
            told["figures"] += [figure(*point) for point in points]
        if not options.quick:
            told["figures"].append(record(fresh, bench.sent))
        if options.growth:
            full = closing.enter_context(running_installation(directory / "full", volume))
            asyncio.run(fill(full.redis.url, full.epoch, options.growth))
            told["figures"] += grow(bench, Bench(full, floor_redis, *echo_at), size)
    write(told, options.json)


if __name__ == "__main__":
    main()
