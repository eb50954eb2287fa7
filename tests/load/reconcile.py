"""What it costs to reconcile: a world is streamed through attribution, recorded, and recomputed from raw events.

Run it from a checkout: `python -m tests.load.reconcile [--people 95000] [--history 0] [--slices 8] [--json FILE]`.
95 000 people make a million events. With `--history 20` twenty times as many others did the same before the days of the
run. Real Redis, real ClickHouse; the job is a process of its own, as a night runs it. The streaming takes longer than
what is measured, and is no part of it; standard error says how far it is. A store that is too busy to answer is asked
again. Nothing may be found on a stream that nobody disturbed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.load.worlds import Mix, a_world
from tests.support.attribution import DAY, NOON, Admitted, Attribution, running_attribution
from tests.support.stores import Stores, create_test_epoch, running_stores
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis import keys

_BATCH = 2000
_BEGIN = NOON - 21 * DAY
"""Before all of what is streamed."""
_PEOPLE_AT_ONCE = 2000
_WORLD = Mix("reconciled", leaving=0)
"""Ten touches a person, of whom 60 per cent buy."""
_GOAL_SECONDS_PER_MILLION = 300.0
_GOAL_MEGABYTES = 1000.0
_SAMPLE_SECONDS = 0.05
_TRIES = 10


_EARLIER_EVENTS = """
INSERT INTO events
SELECT
    * REPLACE (
        event_time - toIntervalDay(%(days)s) AS event_time,
        accept_time - toIntervalDay(%(days)s) AS accept_time,
        concat(event_id, '-', toString(%(nth)s)) AS event_id,
        arrayMap(t -> concat(t, '-', toString(%(nth)s)), identity_tokens) AS identity_tokens,
        if(conversion_id = '', '', concat(conversion_id, '-', toString(%(nth)s))) AS conversion_id
    )
FROM (SELECT * FROM events WHERE workspace = 'w' AND event_time >= fromUnixTimestamp64Micro(%(since)s, 'UTC'))
"""
_EARLIER_CONVERSIONS = """
INSERT INTO conversions
SELECT
    * REPLACE (
        conversion_time - toIntervalDay(%(days)s) AS conversion_time,
        concat(conversion_id, '-', toString(%(nth)s)) AS conversion_id,
        arrayMap(t -> concat(t, '-', toString(%(nth)s)), observation_event_ids) AS observation_event_ids
    )
FROM
(
    SELECT *
    FROM conversions FINAL
    WHERE workspace = 'w' AND conversion_time >= fromUnixTimestamp64Micro(%(since)s, 'UTC')
)
"""


async def stream(attribution: Attribution, begin: int, end: int) -> int:
    """Streams and records what some people do, and counts it as the claim scripts would; returns how many events."""
    number, began = 0, time.monotonic()
    for first in range(begin, end, _PEOPLE_AT_ONCE):
        events = a_world(random.Random(first), first, min(_PEOPLE_AT_ONCE, end - first), _WORLD)
        for start in range(0, len(events), _BATCH):
            some = events[start : start + _BATCH]
            await asyncio.gather(_done(attribution.handle, some), _done(attribution.record, some))
        number += len(events)
        await attribution.state.hincrby(keys.verdicts(0), "w|ACCEPTED", len(events))
        share, took = min((first + _PEOPLE_AT_ONCE - begin) / (end - begin), 1), time.monotonic() - began
        say(f"streamed {number} events, {share:.0%}, {number / took:.0f}/s, {took / share - took:.0f} s to go")
    return number


async def _done(work: Callable[..., Awaitable[None]], events: list[Admitted]) -> None:
    """Does it until the stores take it; a second time changes nothing."""
    for left in reversed(range(_TRIES)):
        try:
            return await work(*events)
        except StorageUnavailableError as error:
            if not left:
                raise
            say(f"again, because a store did not answer: {error.message}")
    return None


def say(line: str) -> None:
    """Tells whoever waits."""
    print(line, file=sys.stderr, flush=True)


async def job(
    redis_url: str, clickhouse_url: str, clickhouse_pid: int, directory: Path, slices: int
) -> tuple[dict[str, int], float]:
    """Runs the job; returns what it counted, and what it and ClickHouse held together at most, in MB."""
    file = directory / "workspaces.yaml"
    file.write_text(yaml.safe_dump({"workspaces": [{"id": "w", "pepper": {"value": "pepper"}}]}))
    environment = {
        **os.environ,
        "TRIBUTARY_LOG_URL": redis_url,
        "TRIBUTARY_STATE_URL": redis_url,
        "TRIBUTARY_CLICKHOUSE_URL": clickhouse_url,
        "TRIBUTARY_WORKSPACES_FILE": str(file),
        "TRIBUTARY_INTERNAL_TOKEN": "of-a-load-command-only",
    }
    days = [str(datetime.fromtimestamp(at / 1e6, UTC).date()) for at in (_BEGIN, NOON + 60 * DAY)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tributary_attribution.reconcile", "--workspace", "w"),
        *("--since", days[0], "--until", days[1], "--slices", str(slices), "--grace-seconds=-1e9"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    together = asyncio.create_task(highest(process.pid, clickhouse_pid))
    said, _ = await process.communicate()
    if not said:
        raise RuntimeError(f"The job ended with {process.returncode} and told nothing.")
    counts: dict[str, int] = json.loads(said)
    return counts, await together


async def highest(job_pid: int, clickhouse_pid: int) -> float:
    """Returns the most resident memory, in MB, that job and ClickHouse had at one time, once the job has ended."""
    most = 0.0
    while own := resident(job_pid):
        most = max(most, own + resident(clickhouse_pid))
        await asyncio.sleep(_SAMPLE_SECONDS)
    return most


def resident(pid: int) -> float:
    """Returns the resident memory of a process in MB; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


async def fill(url: str, redis_url: str, options: argparse.Namespace) -> int:
    """Streams the world; returns how many events it has."""
    async with running_attribution(redis_url, url, "w") as attribution:
        return await stream(attribution, 0, options.people)


async def age(url: str, times: int) -> None:
    """Lets other people have done the same, so many times before, each 30 days earlier."""
    async with clickhouse_client.connect(url, name="tests", timeout_seconds=600, connections=1) as clickhouse:
        for time_before in range(1, times + 1):
            for statement in (_EARLIER_EVENTS, _EARLIER_CONVERSIONS):
                await clickhouse.execute(
                    statement, {"nth": time_before, "days": 30 * time_before, "since": NOON - 21 * DAY}
                )
            say(f"{time_before} of {times} times before")


async def measure(
    redis_url: str, url: str, events: int, options: argparse.Namespace, stores: Stores, directory: Path
) -> list[dict[str, Any]]:
    """Reconciles what was streamed, and returns the figures."""
    streamed = _server_peak(stores)
    before, cpu_before = time.monotonic(), _server_seconds(stores)
    counts, together = await job(redis_url, url, _pid(stores), directory, options.slices)
    took, cpu = time.monotonic() - before, _server_seconds(stores) - cpu_before
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [
        figure("events", events, ""),
        figure("conversions compared", counts["conversions"], ""),
        figure("differences", counts["differences"], "", 0),
        figure("wall", took, "s", _GOAL_SECONDS_PER_MILLION * events / 1e6),
        figure("CPU of ClickHouse, per million events", cpu / events * 1e6, "s"),
        figure("CPU of the job, per million events", (own.ru_utime + own.ru_stime) / events * 1e6, "s"),
        figure("resident memory of job and ClickHouse together, highest", together, "MB", _GOAL_MEGABYTES),
        figure("resident memory of the job, highest ever", own.ru_maxrss / 1024, "MB"),
        figure("resident memory of ClickHouse, highest before the job", streamed, "MB"),
        figure("resident memory of ClickHouse, highest ever", _server_peak(stores), "MB"),
    ]


def _pid(stores: Stores) -> int:
    if stores.clickhouse.pid is None:
        raise RuntimeError("ClickHouse does not run")
    return stores.clickhouse.pid


def _server_seconds(stores: Stores) -> float:
    fields = Path(f"/proc/{stores.clickhouse.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _server_peak(stores: Stores) -> float:
    status = Path(f"/proc/{stores.clickhouse.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def figure(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    """Returns a figure as all commands here write it."""
    ok = None if goal is None else value <= goal
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "ok": ok}


def machine() -> dict[str, Any]:
    """Returns what it was measured on."""
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as scratch, running_stores(Path(scratch)) as stores:
        await migrate(stores.clickhouse_url)
        redis_url, url = stores.empty_redis_url(), stores.clickhouse_url
        await create_test_epoch(redis_url)
        events = await fill(url, redis_url, options)
        await age(url, options.history)
        figures = await measure(redis_url, url, events, options, stores, Path(scratch))
    for one in figures:
        goal = "" if one["goal"] is None else f"  (goal {one['goal']:g}: {'ok' if one['ok'] else 'missed'})"
        print(f"{one['name']:60} {one['value']:12.2f} {one['unit']}{goal}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=95_000)
    parser.add_argument("--history", type=int, default=0)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--json", type=Path)
    asyncio.run(main(parser.parse_args()))
