"""Bursts are counted in real Redis, each conversion once, and a Redis that does not answer lets pass."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import redis.asyncio

from tests.support.stores import create_test_epoch, running_redis
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary_domain.velocity import OF_IDENTIFIER, Count, Limit
from tributary_ingestion.fraud import Fraud
from tributary_ingestion.human_checks import HumanChecks
from tributary_ingestion.intake import take_all
from tributary_ingestion.packed import Packed
from tributary_ingestion.workspace_rules import WorkspaceRules, compile_rules
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.client import connect
from tributary_storage.redis.cluster import ClusterRedis
from tributary_storage.redis.velocity import Velocity

NOW = 1_795_000_000_000_000
HOUR = 3_600_000
ACCEPTED, QUARANTINED = verdict_pb2.VERDICT_ACCEPTED, verdict_pb2.VERDICT_QUARANTINED


@pytest.fixture
async def client(migrated_redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(migrated_redis_url, name="test") as opened:
        yield opened


def count(member: int, at: int = 0, sender: int = 1, limit: int = 2) -> Count:
    return Count(bytes([sender]) * 16, member.to_bytes(8), Limit(limit, HOUR), NOW // 1_000 + at, OF_IDENTIFIER)


async def test_one_too_many_is_told_and_not_counted(client: redis.asyncio.Redis) -> None:
    velocity = Velocity(client)
    assert await velocity.exceeded([count(1), count(2), count(3), count(4)]) == [False, False, True, True]
    assert await velocity.exceeded([count(3)]) == [True]
    assert await velocity.exceeded([count(3, sender=2)]) == [False]


async def test_what_is_counted_is_never_one_too_many_and_a_retry_counts_nothing(client: redis.asyncio.Redis) -> None:
    velocity = Velocity(client)
    for _ in range(3):
        assert await velocity.exceeded([count(1), count(1), count(2)]) == [False, False, False]
    assert await velocity.exceeded([count(3), count(1)]) == [True, False]


@pytest.mark.parametrize(
    ("at", "is_exceeded"), [(0, True), (HOUR - 1, True), (HOUR, False), (-HOUR, False), (1 - HOUR, True)]
)
async def test_the_window_slides_with_the_time_it_happened(
    client: redis.asyncio.Redis, at: int, is_exceeded: bool
) -> None:
    velocity = Velocity(client)
    assert await velocity.exceeded([count(1), count(2)]) == [False, False]
    assert await velocity.exceeded([count(3, at)]) == [is_exceeded]


async def test_a_window_is_one_window_not_one_before_and_one_after(client: redis.asyncio.Redis) -> None:
    velocity = Velocity(client)
    before, after = -HOUR * 9 // 10, HOUR * 9 // 10
    assert await velocity.exceeded([count(1, before), count(2, after), count(3, 0)]) == [False, False, False]
    # Each of the two hours is full now, whichever side the next one comes from.
    assert await velocity.exceeded([count(4, before + 1), count(5, after - 1), count(6, 0)]) == [True, True, True]


async def test_a_counter_is_bounded_and_ends_with_its_window(client: redis.asyncio.Redis) -> None:
    velocity = Velocity(client)
    many = [count(member, at=member * HOUR, limit=1) for member in range(200)]
    assert not any(await velocity.exceeded(many))
    (key,) = [key async for key in client.scan_iter("trb:*velocity*")]
    assert await client.zcard(key) == 64 + 16
    assert 0 < await client.pttl(key) <= HOUR


async def test_counters_name_nobody(client: redis.asyncio.Redis) -> None:
    own = rules()
    await fraud(client).judge(orders("ann@example.com", rules=own), own)
    keys = [key async for key in client.scan_iter("*")]
    assert any(b"velocity" in key for key in keys)
    assert not any(b"ann" in key for key in keys)


def rules(**declared: object) -> WorkspaceRules:
    return compile_rules(Workspace.model_validate({"id": "shop", "pepper": {"value": "p" * 16}, **declared}))


def orders(
    *people: str,
    rules: WorkspaceRules,
    address: str = "",
    click: str = "",
    start: int = 0,
    hours_apart: int = 0,
    **options: bool,
) -> list[Packed]:
    """Returns an order per person, each so much older than the one before."""
    events = []
    for number, person in enumerate(people, start):
        event = Event(event_id=f"e-{number}")
        event.event_time.FromMicroseconds(NOW - (number - start) * hours_apart * HOUR * 1_000)
        event.conversion.name = "purchase"
        event.conversion.order_id = f"o-{number}"
        event.identifiers.email = person
        event.click_ids.gclid = click
        if address:
            event.context.observed_by = 1
            event.context.client_ip = address
            event.context.user_agent = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
        events.append(event)
    return take_all(events, rules, NOW, **{"backfill": False, **options})


def fraud(client: redis.asyncio.Redis, timeout_seconds: float = 5.0) -> Fraud:
    clock = SystemClock()
    return Fraud(Velocity(client), HumanChecks(httpx.AsyncClient(), clock), clock, timeout_seconds)


def refused(packed: list[Packed]) -> int:
    assert all(
        AdmittedEvent.FromString(one.admitted).verdict == one.verdict
        and (one.verdict == ACCEPTED or one.reasons[0].code.value == "VELOCITY")
        for one in packed
    )
    return sum(one.verdict == QUARANTINED for one in packed)


@pytest.mark.parametrize(
    ("people", "address", "click", "refusals", "field"),
    [
        pytest.param(["a@x.de"] * 7, "", "", 2, "identifiers", id="five of one person"),
        pytest.param(
            [f"{n}@x.de" for n in range(22)], "203.0.113.7", "", 2, "context.client_ip", id="20 of an address"
        ),
        pytest.param([f"{n}@x.de" for n in range(5)], "", "click", 2, "click_ids", id="three of a click"),
        pytest.param([f"{n}@x.de" for n in range(40)], "", "", 0, "", id="of 40 people"),
    ],
)
async def test_the_defaults_let_so_many_pass(
    client: redis.asyncio.Redis, people: list[str], address: str, click: str, refusals: int, field: str
) -> None:
    own = rules()
    judged = list(await fraud(client).judge(orders(*people, rules=own, address=address, click=click), own))
    assert refused(judged) == refusals
    assert {one.reasons[0].field for one in judged if one.verdict == QUARANTINED} == ({field} if field else set())


async def test_a_workspace_and_a_conversion_name_may_have_limits_of_their_own(client: redis.asyncio.Redis) -> None:
    own = rules(velocity={"identifier": {"at_most": 1, "window_hours": 1}})
    assert refused(list(await fraud(client).judge(orders(*["b@x.de"] * 3, rules=own), own))) == 2
    named = rules(conversions=[{"name": "purchase", "velocity": {"identifier": {"at_most": 0, "window_hours": 1}}}])
    assert refused(list(await fraud(client).judge(orders(*["c@x.de"] * 9, rules=named), named))) == 0


async def test_the_same_order_from_browser_and_backend_counts_once(client: redis.asyncio.Redis) -> None:
    own = rules()
    judge = fraud(client)
    for _ in range(3):
        assert refused(list(await judge.judge(orders(*["d@x.de"] * 5, rules=own), own))) == 0
    assert refused(list(await judge.judge(orders("d@x.de", rules=own, start=9), own))) == 1


async def test_a_burst_whose_times_are_spread_is_one_all_the_same_and_an_offline_phone_is_none(
    client: redis.asyncio.Redis,
) -> None:
    own, judge = rules(), fraud(client)
    offline = orders(*["h@x.de"] * 12, rules=own, hours_apart=2)
    assert refused(list(await judge.judge(offline, own))) == 0
    assert refused(list(await judge.judge(offline, own))) == 0, "a retry is no further order"
    spread = orders(*["i@x.de"] * 60, rules=own, hours_apart=2, start=100)
    assert refused(list(await judge.judge(spread, own))) == 60 - 1 - 4 * 5  # one of them came within the window


async def test_history_is_not_counted(client: redis.asyncio.Redis) -> None:
    own = rules()
    assert refused(list(await fraud(client).judge(orders(*["e@x.de"] * 9, rules=own, backfill=True), own))) == 0


async def scripts_called(client: redis.asyncio.Redis) -> int:
    """Returns how often scripts were called, on all nodes together."""
    nodes = await client.primaries() if isinstance(client, ClusterRedis) else [client]
    told = [await node.info("commandstats") for node in nodes]
    return sum(one["cmdstat_evalsha"]["calls"] for one in told if "cmdstat_evalsha" in one)


async def test_a_call_costs_one_round_trip_and_touchpoints_none(client: redis.asyncio.Redis) -> None:
    own = rules()
    visit = Event(event_id="v")
    visit.event_time.FromMicroseconds(NOW)
    visit.touchpoint.kind = 1
    visit.identifiers.visitor_id = "v-1"
    visit.context.user_agent = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
    packed = take_all([visit], own, NOW, backfill=False)
    judge = fraud(client)
    assert await judge.judge(packed, own) is packed
    await judge.judge(orders("f@x.de", rules=own), own)
    before = await scripts_called(client)
    await judge.judge(orders(*[f"{n}@y.de" for n in range(100)], rules=own), own)
    calls = await scripts_called(client) - before
    assert calls <= 4, "one script call per shard, all in one round trip"


async def test_a_redis_that_hangs_or_is_gone_lets_conversions_pass_and_is_not_asked_at_every_call(
    tmp_path: Path,
) -> None:
    own = rules()
    with ExitStack() as closing:
        server = closing.enter_context(running_redis(tmp_path))
        await create_test_epoch(server.url)
        async with connect(server.url, name="test") as own_client:
            judge = fraud(own_client, timeout_seconds=2)
            people = ["g@x.de"] * 6
            assert refused(list(await judge.judge(orders(*people, rules=own), own))) == 1
            os.kill(server.pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(60):
                    for _ in range(50):  # 50 x 2 s if each were to wait
                        assert refused(list(await judge.judge(orders(*people, rules=own), own))) == 0
            finally:
                os.kill(server.pid, signal.SIGCONT)
