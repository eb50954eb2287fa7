"""A door under load whose parts are killed again and again, and what its callers can prove afterwards.

Callers are concurrent, send every event each, and retry with the same ids until all have an answer. The check compares
what they were told with what the log holds (`load.findings`). It can fail: `lose_tail` takes from the log what a lazy
`appendfsync` would not have had on disk yet, and `Careless` callers take silence for consent.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from tests.faults.load import ACCEPTED, Load, findings
from tests.support.admissions import Sent
from tests.support.door import METHOD, Door, running_door
from tests.support.eventually import eventually_async
from tests.support.stores import create_test_epoch, run_apart, vouch_for
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary_cli.stack.redis_server import RedisServer
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.client import connect

PARTS = ("ingestion", "dedup", "redis")
EVENTS_PER_ROUND = 1_000
LOST_SHARE = 0.2
"""Of the append-only file that `lose_tail` cuts off."""

_CHANNEL = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200))


class Careless(Load):
    """Callers who take silence for consent."""

    async def _attempt(self, events: Sequence[Sent]) -> list[Sent]:
        left = await super()._attempt(events)
        for event in left:
            self.answers.setdefault(event.event_id, Counter())[ACCEPTED] += 1
        return []


@dataclass(frozen=True)
class Survival:
    """What came of it."""

    findings: list[str]
    """What breaks promises 1 and 2; none: they hold."""
    kills: Counter[str]
    unanswered: int
    """Answers that never came: without any, nothing was in flight when something died."""


async def survive(
    directory: Path,
    redis: RedisServer,
    clickhouse_url: str,
    *,
    rounds: int,
    events_per_round: int = EVENTS_PER_ROUND,
    kind: type[Load] = Load,
    callers: int = 4,
    lose_tail: bool = False,
    settings: dict[str, str] | None = None,
) -> Survival:
    """Runs the load, kills one part per round in turn, and checks.

    Args:
        directory: For logs.
        redis: Of this run's own.
        clickhouse_url: Migrated.
        rounds: How many kills.
        events_per_round: How many events come with each.
        kind: Of callers.
        callers: How many.
        lose_tail: Whether a Redis that dies loses the end of its append-only file.
        settings: Of dedup and ingestion beside.
    """
    await create_test_epoch(redis.url, claim_bucket_bits=8)
    kills: Counter[str] = Counter()
    own = {"TRIBUTARY_INGESTION_DEDUP_DEADLINE_SECONDS": "2", **(settings or {})}
    with running_door(
        directory, redis.url, clickhouse_url, {"shop": {}}, settings={"ingestion": own, "dedup": settings or {}}
    ) as door:
        async with grpc.aio.insecure_channel(door.ingestion.address, options=_CHANNEL) as channel:
            call = channel.unary_unary(METHOD, None, IngestEventsResponse.FromString)
            metadata = [("authorization", f"Bearer {door.keys['shop']}")]

            async def send(batch: Sequence[Sent]) -> list[int]:
                request = IngestEventsRequest(events=[_event(sent) for sent in batch])
                answer = await call(request.SerializeToString(), metadata=metadata, timeout=4)
                return [verdict.verdict for verdict in answer.verdicts]

            load = kind(send, _events(rounds * events_per_round), callers=callers)
            running = asyncio.create_task(load.run())
            try:
                for number, part in zip(range(rounds), itertools.cycle(PARTS)):
                    share = (number + 0.5) / (rounds + 0.5)
                    await eventually_async(
                        lambda share=share: load.progress >= share or running.done(), timeout_seconds=100
                    )
                    await asyncio.to_thread(_kill, door, redis, part, lose_tail=lose_tail)
                    kills[part] += 1
                await running
            finally:
                running.cancel()
        async with connect(redis.url, name="tests") as log:
            return Survival(await findings(load, log), kills, load.unanswered)


def _kill(door: Door, redis: RedisServer, part: str, *, lose_tail: bool) -> None:
    """Kills a part with -9 and starts it again."""
    if part == "redis":
        redis.kill()
        if lose_tail:
            _lose_tail(redis.log_file.parent)
        redis.start()
        redis.wait_until_ready()
        run_apart(_vouch(redis))
        return
    process = door.ingestion if part == "ingestion" else door.dedup
    process.kill()
    process.start()


async def _vouch(redis: RedisServer) -> None:
    """Lets dedup go on without a look at ClickHouse, which is shared, or at what was lost: that is looked for here."""
    async with connect(redis.url, name="tests") as client:
        await vouch_for(client)


def _lose_tail(data: Path) -> None:
    """Cuts off what was not on disk yet."""
    newest = max(data.rglob("*.aof"), key=lambda path: (".incr." in path.name, path.stat().st_size))
    with newest.open("r+b") as file:
        file.truncate(int(newest.stat().st_size * (1 - LOST_SHARE)))


def _events(count: int) -> list[Sent]:
    """Returns enough events that every kill meets some: a tenth with an order."""
    return [Sent(f"e-{number}", order=f"o-{number}" if number % 10 == 0 else "") for number in range(count)]


def _event(sent: Sent) -> Event:
    event = Event(event_id=sent.event_id)
    event.event_time.FromMicroseconds(SystemClock().unix_micros())
    if sent.order:
        event.identifiers.customer_id = "anna"
        event.context.observed_by = OBSERVER_BACKEND
        event.conversion.name, event.conversion.order_id = "purchase", sent.order
        return event
    event.identifiers.visitor_id = "anna"
    event.context.observed_by = OBSERVER_BROWSER
    event.context.user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
    return event
