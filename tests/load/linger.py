"""What a client gains by waiting: batches of 1 to 1000 events, sent when they are full or so old, at a steady pace.

Events come evenly; the freshness of one is from when it happened to when it was acknowledged, the ack of a call from
when it was sent.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import grpc

from tests.load.serving import WORKSPACE, Installation, bodies, cpu_seconds
from tests.support.door import METHOD
from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest

BATCHES = (1, 10, 100, 1000)
LINGERS_MILLIS = (0, 5, 20, 100, 200, 1000)
PER_SECOND = 500
SECONDS = 4


@dataclass(frozen=True)
class Point:
    """What one batch size with one pause costs and gives; `acks` of calls, `freshness` of events: seconds, sorted."""

    micros: float
    events_per_call: float
    acks: list[float]
    freshness: list[float]


async def curve(installation: Installation, *, quick: bool) -> list[tuple[str, float, str]]:
    """Returns (name, value, unit) of every point."""
    found: list[tuple[str, float, str]] = []
    seconds = 1 if quick else SECONDS
    for batch in BATCHES:
        for linger in LINGERS_MILLIS if batch > 1 else (0,):
            point = await _point(installation, batch, linger / 1000, seconds)
            name = f"at {PER_SECOND:,} events/s, batch {batch}, linger {linger} ms"
            found += [
                (f"{name}: CPU per event", point.micros, "us"),
                (f"{name}: events per call", point.events_per_call, "events"),
                (f"{name}: ack p50", 1000 * _at(point.acks, 0.5), "ms"),
                (f"{name}: ack p99", 1000 * _at(point.acks, 0.99), "ms"),
                (f"{name}: freshness p50", 1000 * _at(point.freshness, 0.5), "ms"),
                (f"{name}: freshness p99", 1000 * _at(point.freshness, 0.99), "ms"),
            ]
    return found


async def _point(installation: Installation, batch: int, linger: float, seconds: int) -> Point:
    events = [
        IngestEventsRequest.FromString(body).events[0]
        for body in bodies(f"{batch}-{linger}-{time.monotonic_ns()}", PER_SECOND * seconds, 1)
    ]
    freshness: list[float] = []
    acks: list[float] = []
    async with grpc.aio.insecure_channel(installation.door.ingestion.address) as channel, asyncio.TaskGroup() as group:
        call = channel.unary_unary(METHOD)
        await channel.channel_ready()
        metadata = (("authorization", f"Bearer {installation.door.keys[WORKSPACE]}"),)

        async def send(waiting: list[tuple[float, Event]]) -> None:
            body = IngestEventsRequest(events=[event for _, event in waiting]).SerializeToString()
            sent = time.perf_counter()
            while True:
                try:
                    await call(body, metadata=metadata, timeout=60)
                    break
                except grpc.aio.AioRpcError as error:  # more than the machine takes: come back, as a client would
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                        raise
                    await asyncio.sleep(1)
            now = time.perf_counter()
            acks.append(now - sent)
            freshness.extend(now - came for came, _ in waiting)

        before, started = sum(map(cpu_seconds, installation.pids.values())), time.perf_counter()
        waiting: list[tuple[float, Event]] = []
        number = 0
        while number < len(events) or waiting:
            now = time.perf_counter()
            while number < len(events) and started + number / PER_SECOND <= now:
                waiting.append((started + number / PER_SECOND, events[number]))
                number += 1
                if len(waiting) >= batch:
                    group.create_task(send(waiting))
                    waiting = []
            if waiting and now - waiting[0][0] >= linger:
                group.create_task(send(waiting))
                waiting = []
            await asyncio.sleep(0.0005)
    cpu = sum(map(cpu_seconds, installation.pids.values())) - before
    return Point(1e6 * cpu / len(events), len(events) / len(acks), sorted(acks), sorted(freshness))


def _at(ordered: list[float], share: float) -> float:
    """Returns what `share` of the values do not exceed."""
    return ordered[int(len(ordered) * share)]
