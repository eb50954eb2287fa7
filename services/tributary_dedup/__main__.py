"""Dedup as a process: `python -m tributary_dedup`."""

from __future__ import annotations

import random
import socket
from contextlib import AsyncExitStack

from tributary_dedup.admission import Admission
from tributary_dedup.backfill import Backfill
from tributary_dedup.continuity import Continuity
from tributary_dedup.lookup import Lookup
from tributary_dedup.quarantine import Quarantine
from tributary_dedup.recorder import Recorder
from tributary_dedup.retention import Retention
from tributary_dedup.servicer import DedupServicer
from tributary_dedup.settings import DedupSettings
from tributary_runtime import metrics
from tributary_runtime.clock import SystemClock
from tributary_runtime.gate import Gate
from tributary_runtime.heap import settle_heap
from tributary_runtime.readiness import Guard
from tributary_runtime.server import run, serve
from tributary_runtime.settings import DurabilityMode, load
from tributary_runtime.worker import Worker
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.quarantine import QuarantinedEvents
from tributary_storage.clickhouse.recorded_events import RecordedEvents
from tributary_storage.clickhouse.recorded_positions import RecordedPositions
from tributary_storage.clickhouse.writer import EventWriter
from tributary_storage.redis import keys
from tributary_storage.redis.backlog_shares import BacklogShares
from tributary_storage.redis.claim_layout import Placement
from tributary_storage.redis.claim_lookup import ClaimLookup
from tributary_storage.redis.claims import Claims
from tributary_storage.redis.client import connect
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import wait_for_epoch
from tributary_storage.redis.event_log import EventLogSource, Pace
from tributary_storage.redis.fill import LogFill
from tributary_storage.redis.log_keeping import LogKeeping
from tributary_storage.redis.reconnection import Reconnection
from tributary_storage.redis.stream_consumers import StreamConsumers
from tributary_storage.redis.sweeper import Sweeper


async def main(settings: DedupSettings) -> None:
    """Builds the service from its parts and serves until SIGTERM."""
    clock, gate, log_url = SystemClock(), Gate(opens_in_part=True), settings.log_url.get_secret_value()
    replicas = settings.dedup_replicas if settings.durability is DurabilityMode.REPLICATED else 0
    async with AsyncExitStack() as closing:  # closes in reverse order
        checks = await closing.enter_async_context(connect(log_url, name="dedup-checks"))
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(settings.clickhouse_url, name="dedup", connections=4)
        )
        epoch = await wait_for_epoch(checks, "log")
        continuity = Continuity(
            LogKeeping(checks, epoch.shards),
            RecordedPositions(clickhouse),
            is_vouched_for=settings.dedup_accept_older_log,
        )
        guards: list[Guard] = [
            Durability(checks, "log", settings.durability, epoch=epoch, replicas=replicas),
            continuity,
        ]
        confirm = Reconnection(checks, guards).confirm
        reads = await closing.enter_async_context(connect(log_url, name="dedup-reads", confirm=confirm, gate=gate))
        commits = await closing.enter_async_context(
            connect(log_url, name="dedup-commits", connections=2, confirm=confirm, gate=gate)
        )
        fill, keeping = LogFill(reads), LogKeeping(reads, epoch.shards)
        placement, recorded = Placement(epoch), RecordedEvents(clickhouse)
        claimed = ClaimLookup(reads, placement)
        claims, quarantined = Claims(commits, replicas=replicas), QuarantinedEvents(clickhouse)
        admission = Admission(claims, placement, fill, clock)
        quarantine = Quarantine(claims, placement, claimed, quarantined, recorded, fill, clock)
        pace = Pace(events=settings.dedup_batch_events, linger_seconds=settings.dedup_linger_ms / 1000)
        consumer = settings.dedup_consumer or socket.gethostname()
        source = EventLogSource(reads, keys.RECORD_GROUP, consumer, epoch.shards, pace)
        recorder = Worker(
            metrics.Group.RECORD,
            source,
            Recorder(EventWriter(clickhouse), clock, continuity, quarantined, recorded),
            clock,
            gate=gate,
        )
        shares = BacklogShares(reads, epoch.shards, fill)
        settle_heap()
        await serve(
            settings,
            DedupServicer(
                admission,
                Backfill(admission, claimed, recorded, continuity, clock),
                Lookup(claimed, recorded, quarantined),
                quarantine,
                shares,
            ),
            loops=[
                admission,
                recorder,
                fill,
                shares,
                Retention(keeping, fill, settings.dedup_replay_horizon_seconds),
                StreamConsumers.of_event_log(reads, epoch.shards),
                Sweeper(reads, epoch, random.Random()),  # noqa: S311 - where to begin
            ],
            guards=guards,
            clock=clock,
            gate=gate,
        )


if __name__ == "__main__":
    run(load(DedupSettings), main)
