"""Busy people slow nobody but themselves: what is beyond a batch's share is credited later, to the same end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from tests.support.attribution import NOON, SHARDS, Admitted, Attribution, Events, running_attribution
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_storage.redis import keys
from tributary_storage.redis.epoch import Epoch
from tributary_storage.redis.progress import Progress, is_settled

MINUTE = 60_000_000
ORDERS = 20
SHARE = 600
"""Of a batch: a few conversions of one person."""


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace, share=SHARE) as running:
        yield running


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


def a_kiosk(events: Events) -> list[Admitted]:
    """Somebody who visits every minute and buys after every tenth visit: more than one batch may credit."""
    made = []
    for number in range(ORDERS * 10):
        at = NOON - (ORDERS * 10 - number) * 40 * MINUTE
        channel = f"Channel {number % 7}"
        made.append(events.touch("visitor:kiosk", at=at, channel=channel, event_id=f"touch-{number}"))
        if number % 10 == 9:
            order_id = f"o-{number // 10}"
            made.append(events.order("visitor:kiosk", at=at + MINUTE, order_id=order_id, event_id=f"order-{order_id}"))
    return made


async def published(attribution: Attribution, events: Events) -> dict[str, ConversionRevised]:
    newest = {revised.state.conversion_id: revised for revised in await attribution.logged()}
    orders = {f"o-{number}": events.conversion_id(f"o-{number}") for number in range(ORDERS)}
    return {order_id: newest[one] for order_id, one in orders.items() if one in newest}


async def waiting(attribution: Attribution) -> int:
    return sum([await attribution.state.zcard(keys.deferred(shard)) for shard in range(SHARDS)])


async def test_others_are_credited_before_what_a_busy_person_left(attribution: Attribution, events: Events) -> None:
    neighbour = [events.touch("visitor:n", at=NOON), events.order("visitor:n", at=NOON + 1, order_id="neighbour")]
    await attribution.handle(*a_kiosk(events), *neighbour)
    assert await attribution.published(events.conversion_id("neighbour")) is not None
    at_once = await published(attribution, events)
    assert 0 < len(at_once) < ORDERS
    assert await waiting(attribution) == ORDERS - len(at_once)


async def test_a_neighbour_with_few_events_never_waits(attribution: Attribution, events: Events) -> None:
    orders = [events.order("visitor:n", at=NOON + number, order_id=f"o-{number}") for number in range(5)]
    await attribution.handle(*orders)
    assert await waiting(attribution) == 0
    assert len(await published(attribution, events)) == 5


async def test_many_busy_people_share_what_a_batch_may_do(attribution: Attribution, events: Events) -> None:
    many = range(60)
    orders = [
        events.order(f"visitor:{person}", at=NOON + number, order_id=f"o-{person}-{number}")
        for person in many
        for number in range(2)
    ]
    await attribution.handle(*orders)
    assert 0 < await waiting(attribution) < len(many)
    credited = {revised.state.conversion_id for revised in await attribution.logged()}
    for person in many:
        assert credited & {events.conversion_id(f"o-{person}-{number}") for number in range(2)}, person
    await attribution.work_off()
    assert len({revised.state.conversion_id for revised in await attribution.logged()}) == len(orders)


@pytest.mark.parametrize("seed", range(3))
async def test_credit_is_the_same_however_it_was_put_off(
    attribution: Attribution, events: Events, redis_url: str, clickhouse_url: str, workspace: str, seed: int
) -> None:
    world = a_kiosk(events)
    rng = random.Random(seed)
    shuffled = rng.sample(world, len(world))
    while shuffled:
        size = rng.choice([40, 100, 200])
        await attribution.handle(*shuffled[:size])
        shuffled = shuffled[size:]
        if rng.randrange(2):
            await attribution.work_off()
    await attribution.work_off()
    assert await waiting(attribution) == 0
    found = await published(attribution, events)
    other_workspace = f"{workspace}-x"
    async with running_attribution(redis_url, clickhouse_url, other_workspace) as other:
        one_by_one = Events(other_workspace)
        await other.handle(*a_kiosk(one_by_one))
        theirs = {revised.state.conversion_id: revised for revised in await other.logged()}
        wanted = {f"o-{number}": theirs[one_by_one.conversion_id(f"o-{number}")] for number in range(ORDERS)}
    assert found.keys() == wanted.keys()
    for order_id, revised in found.items():
        assert revised.state.touches == wanted[order_id].state.touches
        assert revised.state.models == wanted[order_id].state.models


async def test_why_it_was_put_off_is_told(attribution: Attribution, events: Events) -> None:
    await attribution.handle(*a_kiosk(events))
    await attribution.work_off()
    late = events.touch("visitor:kiosk", at=NOON - ORDERS * 10 * 40 * MINUTE - 1, event_id="late")
    await attribution.handle(late)
    assert await waiting(attribution)
    await attribution.work_off()
    for revised in (await published(attribution, events)).values():
        assert list(revised.causes) == [RevisionCause.REVISION_CAUSE_LATE_TOUCHPOINT]
        assert list(revised.causing_event_ids) == ["late"]
        assert revised.cause_accept_time.seconds > 0


async def test_a_retraction_among_many_events_lets_the_next_count(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    events, rule = Events(workspace), [{"name": "purchase", "counting": "once_per_person"}]
    async with running_attribution(redis_url, clickhouse_url, workspace, share=SHARE, conversions=rule) as attribution:
        await attribution.handle(*a_kiosk(events))
        await attribution.work_off()
        others = [events.order("visitor:kiosk", at=NOON, order_id=f"n-{number}") for number in range(3)]
        again = [events.order(at=NOON, order_id="o-0", letter="M", event_id=f"m-{number:02}") for number in range(17)]
        touch = events.touch("visitor:kiosk", at=NOON - 40 * 175 * MINUTE)  # after the second order
        await attribution.handle(*others, *again, events.retraction(at=NOON, order_id="o-0"), touch)
        assert await waiting(attribution)
        await attribution.work_off()
        counted = {order_id for order_id, one in (await published(attribution, events)).items() if one.state.counted}
        assert counted == {"o-1"}


async def test_answers_are_not_complete_while_something_is_put_off(attribution: Attribution, events: Events) -> None:
    deferred = attribution.deferral._deferred
    assert await deferred.waiting() == (0, None)
    kiosk = a_kiosk(events)
    await attribution.handle(*kiosk)
    left, since = await deferred.waiting()
    assert left == await waiting(attribution) > 0
    assert since is not None
    progress = Progress(attribution.state, attribution.state, Epoch("e", SHARDS, 10, 0))  # nothing waits in its log
    complete = await progress.complete_through_micros()
    assert complete is not None
    assert complete <= since
    assert not is_settled(await progress.backlogs())
    await attribution.work_off()
    assert await deferred.waiting() == (0, None)


async def test_what_a_dead_worker_had_taken_comes_back(attribution: Attribution, events: Events) -> None:
    await attribution.handle(*a_kiosk(events))
    left = await waiting(attribution)
    taken = await attribution.deferral._deferred.take(1_000, 0)  # and died
    assert len(taken) == left
    assert await attribution.work_off() == left
    assert len(await published(attribution, events)) == ORDERS


async def test_what_is_asked_for_while_it_is_credited_is_credited_again(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(*a_kiosk(events))
    deferred = attribution.deferral._deferred
    [key, *_] = await deferred.take(1_000, 0)
    assert await deferred.finish({key: 0}) == 0  # it was asked for once, not never
    before = await waiting(attribution)
    assert await deferred.finish({key: 1}) == 1
    assert await waiting(attribution) == before - 1


async def test_the_loop_works_it_off(attribution: Attribution, events: Events) -> None:
    await attribution.handle(*a_kiosk(events))
    stop = asyncio.Event()
    loop = asyncio.create_task(attribution.deferral.run(stop))
    try:

        async def nothing_waits() -> None:
            assert await waiting(attribution) == 0

        await eventually_async(nothing_waits)
    finally:
        stop.set()
        await loop
    assert len(await published(attribution, events)) == ORDERS
