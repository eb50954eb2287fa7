"""What ingestion would send to dedup, without ingestion: requests with real digests, and dedup as a process."""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import redis.asyncio

from tests.support.ports import free_port
from tests.support.stores import vouch_for
from tributary.dedup.v1 import admitted_events_pb2, dedup_service_pb2
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.adjustment_pb2 import ADJUSTMENT_REASON_REFUND
from tributary_cli.stack.services import ServiceProcess
from tributary_dedup.admission import Admission
from tributary_domain import claim_records, ids
from tributary_domain.event_order import event_hash
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.codec.framing import varint
from tributary_storage.redis.claim_layout import Placement
from tributary_storage.redis.claims import Claims
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch, create_epoch
from tributary_storage.redis.fill import LogFill
from tributary_storage.redis.sweeper import Sweeper

AN_EPOCH = Epoch("an-epoch", shards=4, claim_bucket_bits=6, create_time_micros=1)
INTERNAL_TOKEN = "internal-token-of-tests"
EVENT_TIME_SECONDS = 1_700_000_000
_DECISIONS = {
    verdict_pb2.VERDICT_ACCEPTED: claim_records.ACCEPTED,
    verdict_pb2.VERDICT_QUARANTINED: claim_records.QUARANTINED,
    verdict_pb2.VERDICT_REJECTED: claim_records.REJECTED,
}


@dataclass(frozen=True)
class Sent:
    """One event as the door passes it on; say only what matters."""

    event_id: str
    payload: str = "payload"
    """Stands for all of its content: another text, another digest."""
    readable: bool = True
    """Whether it parses."""
    order: str = ""
    refund: str = ""
    """Number of the credit note, of an event that takes money of the order back."""
    of_event: str = ""
    """Id by which a refund names an event in place of the order; a token stands for it now."""
    value: int | None = 100
    rank: int = 1
    door: verdict_pb2.Verdict.ValueType = verdict_pb2.VERDICT_ACCEPTED
    version: int = 1
    stored_id: str = ""
    """What the door put in place of an event id that is personal."""

    @property
    def payload_digest(self) -> bytes:
        return hashlib.blake2b(self.payload.encode(), digest_size=8).digest()

    def order_digest(self, workspace: str) -> bytes:
        return ids.order_digest(workspace, "purchase", "", self.order) if self.order else b""

    def claimed_digest(self, workspace: str) -> bytes:
        """Returns what it is claimed by beside its id: its order, or the credit note."""
        order = self.order_digest(workspace)
        if not self.refund:
            return order
        return ids.adjustment_digest(workspace, self.conversion_id(workspace), ADJUSTMENT_REASON_REFUND, self.refund)

    def conversion_id(self, workspace: str) -> str:
        """Returns its conversion, or the one that it adjusts."""
        of_event = ids.event_digest(workspace, self.of_event) if self.of_event else b""
        return ids.conversion_id(of_event or self.order_digest(workspace))

    def claim(self, workspace: str, length: int) -> bytes:
        order = claim_records.NO_ORDER
        if self.order:
            value_digest = b"" if self.value is None else ids.value_digest("EUR", self.value)
            order = claim_records.order_part(self.claimed_digest(workspace), self.rank, value_digest)
        return claim_records.CLAIM_RECORD.pack(
            ids.event_digest(workspace, self.event_id),
            claim_records.payload_mark(self.version, self.payload_digest),
            _DECISIONS[self.door],
            length,
            order,
        )

    def admitted(self, workspace: str) -> bytes:
        if not self.readable:
            return b"\xff\xff"
        message = admitted_events_pb2.AdmittedEvent(
            verdict=self.door,
            payload_digest=bytes([self.version]) + self.payload_digest,
            conversion_id=self.conversion_id(workspace) if self.order else "",
            source_rank=self.rank,
        )
        message.event.event_id = self.stored_id or self.event_id
        if self.stored_id:
            message.event_digest = ids.event_digest(workspace, self.event_id)
            message.sent_event_hash = event_hash(self.event_id)
        message.event.event_time.seconds = EVENT_TIME_SECONDS
        if self.refund:
            message.adjustment_key = self.claimed_digest(workspace)
            adjustment = message.event.adjustment
            if self.of_event:
                adjustment.event_id, message.sent_target_hash = "x1:token", event_hash(self.of_event)
            else:
                adjustment.conversion_name, adjustment.order_id = "purchase", self.order
            adjustment.adjustment_id, adjustment.reason = self.refund, ADJUSTMENT_REASON_REFUND
            adjustment.amount.currency_code, adjustment.amount.amount_micros = "EUR", self.value or 0
        elif self.order:
            message.event.conversion.name = "purchase"
            message.event.conversion.order_id = self.order
            if self.value is not None:
                message.event.conversion.value.currency_code = "EUR"
                message.event.conversion.value.amount_micros = self.value
        else:
            message.event.touchpoint.SetInParent()
        return message.SerializeToString()


def a_request(
    workspace: str,
    events: Sequence[Sent],
    lane: dedup_service_pb2.Lane.ValueType = dedup_service_pb2.LANE_LIVE,
    *,
    backfill: bool = False,
    padding: int = 0,
    traceparent: str = "",
) -> dedup_service_pb2.AdmitEventsRequest:
    """Returns the request that ingestion would make; `padding` makes each event so much longer."""
    framed = [
        admitted_events_pb2.Admission(events=[event.admitted(workspace) + _unknown_field(padding)]).SerializeToString()
        for event in events
    ]
    admission = admitted_events_pb2.Admission(
        workspace=workspace,
        traceparent=traceparent,
        accept_context=admitted_events_pb2.AcceptContext(api_key_id="k1", backfill=backfill),
    )
    caller = dedup_service_pb2.CallerEvents(
        workspace=workspace,
        lane=lane,
        admission=admission.SerializeToString(),
        claims=b"".join([event.claim(workspace, len(one)) for event, one in zip(events, framed, strict=True)]),
        events=b"".join(framed),
    )
    return dedup_service_pb2.AdmitEventsRequest(callers=[caller])


class Told(NamedTuple):
    """An outcome, as dedup answers it."""

    verdict: int
    reason: int
    first_verdict: int
    first_accept_micros: int


def outcomes_of(response: dedup_service_pb2.AdmitEventsResponse) -> list[Told]:
    """Returns the outcome per event."""
    return [Told(*record) for record in claim_records.OUTCOME_RECORD.iter_unpack(response.outcomes)]


def verdicts_of(response: dedup_service_pb2.AdmitEventsResponse) -> list[int]:
    """Returns the verdict per event."""
    return [told.verdict for told in outcomes_of(response)]


def _unknown_field(size: int) -> bytes:
    """Returns a field that nobody knows: parsed and passed over."""
    return b"\x82\x7d" + varint(size) + bytes(size) if size else b""


async def prepare(redis_url: str, epoch: Epoch = AN_EPOCH) -> None:
    """Gives a Redis its epoch, as `tributary migrate` would."""
    async with connect(redis_url, name="tests") as client:
        await create_epoch({"log": client}, epoch)


async def prepare_and_vouch(redis_url: str, epoch: Epoch = AN_EPOCH) -> None:
    """As `prepare`, and lets a dedup serve on it: tests share one ClickHouse among many logs."""
    await prepare(redis_url, epoch)
    async with connect(redis_url, name="tests") as client:
        await vouch_for(client)


@asynccontextmanager
async def running_admission(
    redis_url: str, epoch: Epoch = AN_EPOCH, *, timeout_seconds: float = 5.0, replicas: int = 0
) -> AsyncIterator[Admission]:
    """Runs the admission of dedup in this process, on a Redis that it prepares; `replicas` must have each commit."""
    await prepare(redis_url, epoch)
    async with connect(redis_url, name="tests", timeout_seconds=timeout_seconds) as client:
        fill = LogFill(client)
        await fill.measure()
        claims = Claims(client, timeout_seconds=timeout_seconds, replicas=replicas)
        admission = Admission(claims, Placement(epoch), fill, SystemClock())
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(admission.run(stop))
            try:
                yield admission
            finally:
                stop.set()


@contextmanager
def running_dedup(
    directory: Path,
    redis_url: str,
    clickhouse_url: str,
    *,
    settings: dict[str, str] | None = None,
    epoch: Epoch = AN_EPOCH,
) -> Iterator[ServiceProcess]:
    """Starts dedup on stores that it prepares, and waits until it is ready."""
    asyncio.run(prepare_and_vouch(redis_url, epoch))
    asyncio.run(migrate(clickhouse_url))
    process = dedup_process(directory, redis_url, clickhouse_url, settings=settings)
    try:
        process.start()
        process.wait_until_ready()
        yield process
    finally:
        process.kill()  # how it leaves is looked at elsewhere


def dedup_process(
    directory: Path, redis_url: str, clickhouse_url: str, *, settings: dict[str, str] | None = None
) -> ServiceProcess:
    """Describes a dedup; nothing runs yet."""
    environment = {
        "TRIBUTARY_LOG_URL": redis_url,
        "TRIBUTARY_CLICKHOUSE_URL": clickhouse_url,
        "TRIBUTARY_INTERNAL_TOKEN": INTERNAL_TOKEN,
        "TRIBUTARY_DRAIN_DELAY_SECONDS": "0",
        "TRIBUTARY_DEDUP_CONSUMER": secrets.token_hex(4),
        **(settings or {}),
    }
    return ServiceProcess("dedup", free_port(), directory / "dedup.log", environment)


@dataclass(frozen=True)
class Stored:
    """What a log holds, counted three independent ways."""

    letters: Counter[str]
    """Of the masks of all entries."""
    counted: Counter[str]
    """By verdict, of all workspaces."""
    claims: int
    orders: int


async def stored(client: redis.asyncio.Redis) -> Stored:
    """Counts what a log holds."""
    letters: Counter[str] = Counter()
    async for stream in client.scan_iter(match="trb:*:log:*", count=1000):
        for _, fields in await client.xrange(stream):
            letters.update(fields[b"mask"].decode())
    counted: Counter[str] = Counter()
    async for key in client.scan_iter(match="trb:*:verdicts", count=1000):
        for field, count in (await client.hgetall(key)).items():
            counted[field.decode().rpartition("|")[2]] += int(count)
    sizes = {}
    for kind in ("claims", "orders"):
        sizes[kind] = 0
        async for bucket in client.scan_iter(match=f"trb:*:{kind}:*", count=1000):
            sizes[kind] += await client.hlen(bucket)
    return Stored(letters, counted, sizes["claims"], sizes["orders"])


async def age_claims(client: redis.asyncio.Redis, days: int) -> None:
    """Lets orders have been made that many days earlier than they were, and claims by 40 at most."""
    for pattern, time_bytes, most in (("trb:*:claims:*", 2, 40), ("trb:*:orders:*", 3, days)):
        units = min(days, most) * 86_400 // 128
        async for bucket in client.scan_iter(match=pattern, count=1000):
            for field, value in (await client.hgetall(bucket)).items():
                made = (int.from_bytes(value[:time_bytes]) - units) % 256**time_bytes
                await client.hset(bucket, field, made.to_bytes(time_bytes) + value[time_bytes:])


async def sweep_all(client: redis.asyncio.Redis, epoch: Epoch = AN_EPOCH) -> int:
    """Lets the sweeper make one pass; returns how many claims and orders it removed."""
    sweeper = Sweeper(client, epoch, random.Random(1))
    return sum([await sweeper.sweep_next() for _ in range(sweeper.steps)])
