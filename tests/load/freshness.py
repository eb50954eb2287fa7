"""How long it takes from a caller's send until a report counts it, at a steady pace through a whole installation.

Run it from a checkout: `python -m tests.load.freshness [--per-second 1000] [--seconds 30] [--json FILE]`. The mix of
DESIGN section 12, in calls of 20 events; beside it single conversions of their own names, each sent when the one
before was counted, and one report of all these names that is asked for again and again. All processes, the client and
the stores share this machine: where they have to wait for a core, that is in the figures; how busy it was is told too.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc

from tests.load.figures import figure, machine, write
from tests.load.serving import DECLARED, WORKSPACE, bodies, cpu_seconds, sent
from tests.support.door import METHOD
from tests.support.stack import running_stack
from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary.query.v1.query_service_pb2 import DimensionFilter, QueryReportRequest, QueryReportResponse
from tributary.query.v1.report_pb2 import DIMENSION_CONVERSION_NAME, METRIC_CONVERSIONS
from tributary_cli.stack.stack import Stack
from tributary_runtime.clock import SystemClock

GOAL_MILLIS = {0.95: 250.0, 0.99: 1000.0}
BATCH = 20
LANES = tuple(f"probe-{number}" for number in range(8))
"""Conversion names, of each of which one conversion is under way."""
POLL_SECONDS = 0.05
CLOCK = SystemClock()
REPORT = "/tributary.query.v1.QueryService/QueryReport"
_MICROS = 1_000_000


@dataclass
class Probes:
    """Conversions that are sent and looked for."""

    call: Any
    ask: Any
    metadata: Sequence[tuple[str, str]]
    counted: dict[str, int] = field(default_factory=dict)
    """Conversion name -> how many the newest report counts."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    seconds: list[float] = field(default_factory=list)

    async def lane(self, name: str, ended: asyncio.Event) -> None:
        """Sends one after the other until the time is up; the last is waited for."""
        rng = random.Random(name)
        for number in itertools.count(1):
            await asyncio.sleep(rng.random() * 0.5)
            if ended.is_set():
                return
            event = Event(event_id=f"{name}-{number}")
            event.event_time.FromDatetime(CLOCK.now() - timedelta(seconds=1))
            event.conversion.name, event.conversion.order_id = name, f"{name}-{number}"
            event.identifiers.customer_id = f"{name}-{number}"
            started = time.perf_counter()
            await sent(self.call, IngestEventsRequest(events=[event]).SerializeToString(), self.metadata)
            async with self.changed:
                await self.changed.wait_for(lambda number=number: self.counted.get(name, 0) >= number)
            self.seconds.append(time.perf_counter() - started)

    async def look(self) -> None:
        """Asks for the report, again and again, until cancelled."""
        request = QueryReportRequest(metrics=[METRIC_CONVERSIONS], dimensions=[DIMENSION_CONVERSION_NAME])
        request.filters.append(DimensionFilter(dimension=DIMENSION_CONVERSION_NAME, values=LANES))
        request.model = "last_touch"
        request.time_range.start_time.FromDatetime(CLOCK.now() - timedelta(days=1))
        request.time_range.end_time.FromDatetime(CLOCK.now() + timedelta(days=1))
        body = request.SerializeToString()
        while True:
            rows = QueryReportResponse.FromString(await self.ask(body, metadata=self.metadata, timeout=60)).rows
            async with self.changed:
                self.counted = {row.dimension_values[0]: row.metric_values[0].count_micros // _MICROS for row in rows}
                self.changed.notify_all()
            await asyncio.sleep(POLL_SECONDS)


async def pace(call: Any, requests: Sequence[bytes], per_second: float, metadata: Sequence[tuple[str, str]]) -> float:
    """Sends calls at a steady pace; returns how late the last began, in seconds."""
    started, late = time.perf_counter(), 0.0
    async with asyncio.TaskGroup() as group:
        for number, body in enumerate(requests):
            wait = started + number * BATCH / per_second - time.perf_counter()
            late = max(0.0, -wait)
            await asyncio.sleep(max(0.0, wait))
            group.create_task(sent(call, body, metadata))
    return late


async def run(stack: Stack, api_key: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures, after some seconds that do not count; returns the figures."""
    metadata = (("authorization", f"Bearer {api_key}"),)
    events = int(options.per_second * options.seconds)
    pids = {name: process.pid for name, process in stack.processes().items()}
    async with (
        grpc.aio.insecure_channel(stack.addresses["ingestion"]) as door,
        grpc.aio.insecure_channel(stack.addresses["query"]) as query,
    ):
        call = door.unary_unary(METHOD)
        probes = Probes(call, query.unary_unary(REPORT), metadata)
        looking = asyncio.create_task(probes.look())
        await pace(call, bodies("warm", int(options.per_second * 5), BATCH), options.per_second, metadata)
        requests, ended = bodies("steady", events, BATCH), asyncio.Event()
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        async with asyncio.TaskGroup() as group:
            for name in LANES:
                group.create_task(probes.lane(name, ended))
            late = await pace(call, requests, options.per_second, metadata)
            ended.set()
        looking.cancel()
        spent = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    found = sorted(probes.seconds)
    at = f"at {options.per_second:,.0f} events/s"
    return [
        figure(f"conversions looked for {at}", len(found), ""),
        *(
            figure(
                f"event to report {at}: p{share * 100:.0f}", 1000 * _share(found, share), "ms", GOAL_MILLIS.get(share)
            )
            for share in (0.5, 0.95, 0.99)
        ),
        figure("how late the last call began", 1000 * late, "ms"),
        *(figure(f"CPU, {name}", 1e6 * seconds / events, "us/event") for name, seconds in spent.items()),
    ]


def _share(found: Sequence[float], share: float) -> float:
    return found[min(int(share * len(found)), len(found) - 1)]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=float, default=1_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    told = {"machine": machine(), "figures": list[dict[str, Any]]()}
    with tempfile.TemporaryDirectory() as name, running_stack(Path(name), {WORKSPACE: DECLARED}) as (stack, keyed):
        told["figures"] += asyncio.run(run(stack, keyed[WORKSPACE].api_key, options))
    write(told, options.json)


if __name__ == "__main__":
    main()
