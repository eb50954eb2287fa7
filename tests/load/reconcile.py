"""What it costs to reconcile: a world is streamed through attribution, recorded, and recomputed from raw events.

Run it from a checkout: `python -m tests.load.reconcile [--people 20000] [--slices 8] [--json FILE]`. 20 000 people make
some 210 000 events. Real Redis, real ClickHouse; the streaming takes far longer than what is measured. Nothing may be
found on a stream that nobody disturbed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.load.attribute import a_world
from tests.support.attribution import DAY, NOON, Attribution, running_attribution
from tests.support.stores import Stores, running_stores
from tributary_attribution.reconcile import reconciliation_of
from tributary_attribution.runs import begun
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.migrate import migrate

_BATCH = 1000
_GOAL_SECONDS_PER_MILLION = 300.0
_GOAL_MEGABYTES = 1000.0


async def stream(attribution: Attribution, people: int) -> int:
    """Streams and records a world; returns how many events it has."""
    events = a_world(random.Random(1), 0, people, 10, 60)
    for start in range(0, len(events), _BATCH):
        some = events[start : start + _BATCH]
        await attribution.handle(*some)
        await attribution.record(*some)
    return len(events)


async def run(attribution: Attribution, url: str, options: argparse.Namespace, stores: Stores) -> list[dict[str, Any]]:
    """Streams, reconciles, and returns the figures."""
    events = await stream(attribution, options.people)
    clock = SystemClock()
    async with clickhouse_client.connect(url, name="load", timeout_seconds=600, connections=1) as clickhouse:
        parts = attribution.attributor, attribution.people, attribution.conversions, clock
        reconciliation = reconciliation_of(clickhouse, *parts)
        asked = begun("w", NOON - 60 * DAY, NOON + 60 * DAY, clock.unix_micros(), repairs=False, slices=options.slices)
        before, cpu_before = time.monotonic(), _server_seconds(stores)
        own_before = time.process_time()
        finished = await reconciliation.run(asked, attribution.workspace, grace_seconds=-1e9)
        took, cpu = time.monotonic() - before, _server_seconds(stores) - cpu_before
        own = time.process_time() - own_before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        _figure("events", events, ""),
        _figure("conversions compared", finished.counts["conversions"], ""),
        _figure("differences", finished.counts["differences"], "", 0),
        _figure("wall, per million events", took / events * 1e6, "s", _GOAL_SECONDS_PER_MILLION),
        _figure("CPU of ClickHouse, per million events", cpu / events * 1e6, "s"),
        _figure("CPU of this process, per million events", own / events * 1e6, "s"),
        _figure("resident memory of this process, highest ever", peak, "MB", _GOAL_MEGABYTES),
        _figure("resident memory of ClickHouse, highest ever", _server_peak(stores), "MB", _GOAL_MEGABYTES),
    ]


def _server_seconds(stores: Stores) -> float:
    fields = Path(f"/proc/{stores.clickhouse.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _server_peak(stores: Stores) -> float:
    status = Path(f"/proc/{stores.clickhouse.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def _figure(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    ok = None if goal is None else value <= goal
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "ok": ok}


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as directory, running_stores(Path(directory)) as stores:
        await migrate(stores.clickhouse_url)
        async with running_attribution(stores.empty_redis_url(), stores.clickhouse_url, "w") as attribution:
            figures = await run(attribution, stores.clickhouse_url, options, stores)
    for figure in figures:
        goal = "" if figure["goal"] is None else f"  (goal {figure['goal']:g}: {'ok' if figure['ok'] else 'missed'})"
        print(f"{figure['name']:48} {figure['value']:12.2f} {figure['unit']}{goal}")
    if options.json:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--json", type=Path)
    asyncio.run(main(parser.parse_args()))
