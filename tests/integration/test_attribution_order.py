"""Whatever the order, grouping or repetition in which events arrive, and wherever a run stops: one published state."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.support.attribution import (
    DAY,
    NOON,
    SHARDS,
    Admitted,
    Attribution,
    Events,
    entry,
    leaving,
    running_attribution,
)
from tests.support.stores import Stores, run_apart
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import Affected
from tributary_domain.revision import Cause
from tributary_storage.clickhouse.names import micros
from tributary_storage.redis import keys

MINUTE = 60_000_000
_WORKSPACE = "w-order"


class Stopped(Exception):
    """The process died here."""


@pytest.fixture(scope="module")
def clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database of this module's own: between the lives of a world all is forgotten, and nothing of others."""
    with stores.a_database(
        "order", merges=False, without=("conversions_feed",)
    ) as url:  # here all read what that is made of
        yield url


@pytest.fixture
def workspace() -> str:
    """One for all, in a database of their own: what is expected of a world is worked out once."""
    return _WORKSPACE


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        await _forget_all(running)
        yield running


def a_world(workspace: str) -> list[Admitted]:
    """Two devices and a customer who turn out to be one, an order seen twice, refunds, late and quarantined touches."""
    make = Events(workspace)
    return [
        leaving(make.touch("visitor:a", at=NOON - 9 * DAY, clicks={"gbraid": "a"}), b"a-9", fbp="a-9", ttp="a-9"),
        leaving(make.touch("visitor:a", channel="Direct", at=NOON - 8 * DAY), b"a-8", fbp="a-8"),
        make.touch("visitor:b", channel="Email", at=NOON - 5 * DAY),
        make.touch("visitor:b", channel="Display", at=NOON - 31 * DAY),
        leaving(make.touch("visitor:c", "customer:1", channel="Organic Search", at=NOON - 3 * DAY), b"c-3", fbp="c-3"),
        leaving(make.touch("visitor:c", "visitor:z", channel="Referral", at=NOON - 2 * DAY, letter="Q"), b"q", fbp="q"),
        make.order("visitor:a", order_id="o-1", rank=1, micros=95_000_000, event_id="browser"),
        make.order("customer:1", order_id="o-1", at=NOON + 2_000_000, event_id="backend", letter="M"),
        make.order("visitor:b", order_id="o-2", at=NOON + DAY, micros=10_000_001, event_id="second"),
        make.order("visitor:z", order_id="o-3", at=NOON + DAY, micros=None, event_id="third"),
        leaving(make.touch("visitor:b", channel="Affiliates", at=NOON + DAY - 60 * MINUTE), b"b-60", ttp="b-60"),
        make.order("visitor:b", order_id="o-4", at=NOON + DAY - 35 * MINUTE, event_id="keeps the session alive"),
        leaving(make.touch("visitor:b", channel="Direct", at=NOON + DAY - 10 * MINUTE), b"b-10", fbp="b-10"),
        make.refund(20_000_000, order_id="o-1", event_id="refund"),
        make.refund(1, order_id="o-2", at=NOON + 2 * DAY, event_id="tiny-refund"),
        leaving(make.identify("visitor:b", "customer:1", event_id="login"), b"login"),
        leaving(make.identify("customer:1", "email:e", at=NOON - 4 * DAY, event_id="sign-up"), b"address"),
    ]


ORDERS = ("o-1", "o-2", "o-3", "o-4")


async def published_states(attribution: Attribution, workspace: str) -> list[bytes]:
    """Returns what is published, without what tells when it was learned."""
    states = []
    for order_id in ORDERS:
        revised = await attribution.published(Events(workspace).conversion_id(order_id))
        assert revised is not None
        revised.state.ClearField("first_accept_time")
        states.append(revised.state.SerializeToString(deterministic=True))
        states.append(revised.match.SerializeToString(deterministic=True))
    return states


@pytest.fixture(scope="module")
def expected(stores: Stores, clickhouse_url: str) -> list[bytes]:
    """What a world that comes at once publishes."""

    async def work_out() -> list[bytes]:
        async with running_attribution(stores.empty_redis_url(), clickhouse_url, _WORKSPACE) as other:
            await _forget_all(other)  # a test that expects something else may have come first
            await other.handle(*a_world(_WORKSPACE))
            return await published_states(other, _WORKSPACE)

    return run_apart(work_out())


async def _forget_all(attribution: Attribution) -> None:
    await attribution.state.flushdb()
    await attribution.clickhouse.execute("TRUNCATE TABLE conversion_revisions")  # else it would be restored


@pytest.mark.parametrize("seed", range(12))
async def test_any_order_grouping_and_repetition_publishes_the_same(
    attribution: Attribution, expected: list[bytes], workspace: str, seed: int
) -> None:
    rng = random.Random(seed)
    world = a_world(workspace) + rng.sample(a_world(workspace), 6)
    rng.shuffle(world)
    for batch in _in_batches(world, rng):
        await attribution.handle(*batch)
    assert await published_states(attribution, workspace) == expected
    await _ledger_adds_up(attribution)


def _in_batches(events: Sequence[Admitted], rng: random.Random) -> Iterator[Sequence[Admitted]]:
    while events:
        size = rng.choice([1, 1, 2, 3, 7])
        yield events[:size]
        events = events[size:]


def a_random_world(workspace: str, seed: int) -> list[Admitted]:
    """Two people over 200 days: touches in and far before every window, some after all; click ids, orders, a login."""
    rng = random.Random(seed)
    make = Events(workspace)
    world = []
    for number in range(24):
        at = NOON - rng.choice((2, 20, 45, 85, 120)) * DAY + rng.randrange(DAY)
        clicks = {rng.choice(("gclid", "fbclid")): f"click-{rng.randrange(6)}"} if rng.random() < 0.5 else {}
        letter = rng.choice("AAAAQ")
        visitor = rng.choice(("visitor:a", "visitor:b", "visitor:c"))
        also = ("customer:1",) if rng.random() < 0.1 else ()
        channel = rng.choice(("Direct", "Email", "Display"))
        event_id = f"touch-{number}"
        world.append(
            make.touch(visitor, *also, at=at, channel=channel, letter=letter, event_id=event_id, clicks=clicks)
        )
    for order_id in ORDERS:
        at = NOON - rng.choice((0, 3, 35, 70)) * DAY + rng.randrange(DAY)
        visitor = rng.choice(("visitor:a", "visitor:b", "visitor:c"))
        world.append(make.order(visitor, order_id=order_id, at=at, event_id=order_id))
    return world


@pytest.mark.parametrize("seed", range(12))
async def test_newest_first_and_at_random_publish_what_event_order_publishes(
    attribution: Attribution, redis_url: str, clickhouse_url: str, workspace: str, seed: int
) -> None:
    found = []
    rng = random.Random(seed)
    world = sorted(a_random_world(workspace, seed), key=lambda admitted: micros(admitted[1].event.event_time))
    for order in (world, world[::-1], rng.sample(world, len(world))):
        async with running_attribution(redis_url, clickhouse_url, workspace) as other:
            for batch in _in_batches(order, rng):
                await other.handle(*batch, backfill=True)
            found.append(await published_states(other, workspace))
        await _forget_all(attribution)
    assert found[1] == found[0]
    assert found[2] == found[0]


async def _ledger_adds_up(attribution: Attribution) -> None:
    """Checks that log and ClickHouse hold each revision once, that they form a chain, and that nothing is marked."""
    logged = await attribution.logged()
    chains: dict[str, list[ConversionRevised]] = {}
    for revised in logged:
        chains.setdefault(revised.state.conversion_id, []).append(revised)
    for conversion_id, chain in chains.items():
        numbers = [revised.revision for revised in chain]
        assert numbers == sorted(set(numbers))
        assert [revised.previous_revision for revised in chain] == [0, *numbers[:-1]]
        stored = await attribution.stored_revisions(conversion_id)
        assert stored[-len(numbers) :] == numbers
        assert sum(revised.counted_delta for revised in chain) == int(chain[-1].state.counted)
        value = chain[-1].state.value.amount_micros if chain[-1].state.counted else 0
        assert sum(revised.value_delta_micros for revised in chain) == value
        last = await attribution.published(conversion_id)
        assert last is not None
        assert last.revision == numbers[-1]
    for shard in range(SHARDS):
        async for key in attribution.state.scan_iter(match=keys.conversion(shard, "*")):
            assert not [name for name in await attribution.state.hkeys(key) if name.startswith(b"u")]


STEPS = (
    ("descriptors", "write"),
    ("conversions", "observe"),
    ("conversions", "publish"),
    ("conversions", "emit"),
    ("writer", "write"),
    ("ties", "read"),
    ("ties", "write"),
    ("ties", "write 2"),
    ("journeys", "apply"),
    ("journeys", "visit"),
    ("facts", "write"),
    ("ties", "finish"),
)


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: ".".join(step))
async def test_a_crash_at_any_step_loses_and_doubles_nothing(
    attribution: Attribution,
    expected: list[bytes],
    redis_url: str,
    clickhouse_url: str,
    workspace: str,
    step: tuple[str, str],
    is_done: bool,
) -> None:
    world = a_world(workspace)
    rng = random.Random(str(step))
    rng.shuffle(world)
    stops = 0
    for batch in [world[at : at + 3] for at in range(0, len(world), 3)]:
        with pytest.MonkeyPatch.context() as patching:
            _stop_at(patching, attribution, step, is_done)
            try:
                await attribution.handle(*batch)
            except Stopped:
                stops += 1
        async with running_attribution(redis_url, clickhouse_url, workspace) as next_life:
            await next_life.attributor.handle([entry(workspace, batch)])
    assert stops
    assert await published_states(attribution, workspace) == expected
    await _ledger_adds_up(attribution)


def _stop_at(patching: pytest.MonkeyPatch, attribution: Attribution, step: tuple[str, str], is_done: bool) -> None:
    name, method = step
    places: dict[str, Any] = {
        "descriptors": attribution.descriptors,
        "conversions": attribution.conversions,
        "writer": attribution.attributor._publisher._writer,
        "journeys": attribution.people._journeys,
        "ties": attribution.people.ties,
        "facts": attribution.attributor._linking._facts,
    }
    place = places[name]
    method, _, number = method.partition(" ")
    original: Callable[..., Awaitable[Any]] = getattr(place, method)
    left = [int(number or 1)]

    async def stop(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] > 0:
            return await original(*arguments, **named)
        if is_done:
            await original(*arguments, **named)
        raise Stopped

    patching.setattr(place, method, stop)


@pytest.mark.parametrize("seed", range(5))
async def test_two_workers_at_once_publish_the_same(
    attribution: Attribution, expected: list[bytes], redis_url: str, clickhouse_url: str, workspace: str, seed: int
) -> None:
    world = a_world(workspace)
    random.Random(seed).shuffle(world)

    async def work(worker: Attribution, events: Sequence[Admitted]) -> None:
        for event in events:
            await worker.handle(event)

    async with running_attribution(redis_url, clickhouse_url, workspace) as other:
        await asyncio.gather(work(attribution, world[::2]), work(other, world[1::2]))
    assert await published_states(attribution, workspace) == expected
    await _ledger_adds_up(attribution)


async def test_a_worker_that_computed_from_an_older_state_does_not_win(
    attribution: Attribution, workspace: str
) -> None:
    """It has read parts and journey; before it publishes, another has credited a late touch and a refund."""
    events = Events(workspace)
    await attribution.handle(events.touch("visitor:a", channel="Email"), events.order("visitor:a"))
    slow = Affected(attribution.workspace, events.conversion_id())
    slow.known_causes.add(Cause.OPERATOR)
    await attribution.publisher.read([slow])
    await attribution.handle(events.touch("visitor:a", at=NOON - 2 * DAY, channel="Display"), events.refund(40_000_000))
    newest = await attribution.published(events.conversion_id())
    assert newest is not None
    assert await attribution.publisher.publish([slow]) == []
    assert await attribution.published(events.conversion_id()) == newest
    assert [touch.source.channel for touch in newest.state.touches] == ["Display", "Email"]
    assert newest.state.value.amount_micros == 50_000_000
    assert await attribution.stored_revisions(events.conversion_id()) == [
        revised.revision for revised in await attribution.logged()
    ]
