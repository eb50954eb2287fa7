"""A refund that names an order by the id of one of its events reaches the order, whichever comes first."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary_domain import ids
from tributary_domain.event_order import event_hash


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


async def value(attribution: Attribution, events: Events) -> int:
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    return revised.state.value.amount_micros


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one by one"])
async def test_it_counts_whichever_comes_first(
    attribution: Attribution, events: Events, order: tuple[int, ...], together: bool
) -> None:
    world = [
        events.order("visitor:a", event_id="browser", rank=1, micros=95_000_000),
        events.order("customer:a", event_id="backend", letter="M"),
        events.refund(30_000_000, of_event="browser", event_id="refund"),
    ]
    shuffled = [world[at] for at in order]
    if together:
        await attribution.handle(*shuffled)
    else:
        for one in shuffled:
            await attribution.handle(one)
    assert await value(attribution, events) == 60_000_000
    await attribution.handle(world[2])
    assert await value(attribution, events) == 60_000_000
    newest = await attribution.published(events.conversion_id())
    assert newest is not None
    assert [one.event_id for one in newest.state.adjustments] == ["refund"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
async def test_it_may_name_a_quarantined_event_of_the_order(
    attribution: Attribution, events: Events, order: tuple[int, ...]
) -> None:
    world = [
        events.order("visitor:a", event_id="bot", rank=1, micros=120_000_000, letter="Q"),
        events.order("customer:a", event_id="backend"),
        events.refund(30_000_000, of_event="bot", event_id="refund"),
    ]
    for at in order:
        await attribution.handle(world[at])
    assert await value(attribution, events) == 60_000_000


async def test_what_named_a_quarantined_event_of_the_order_is_found_after_the_state_was_lost(
    attribution: Attribution, events: Events
) -> None:
    world = [
        events.order("visitor:a", event_id="bot", rank=1, letter="Q"),
        events.order("customer:a", event_id="backend"),
        events.refund(30_000_000, of_event="bot", event_id="first"),
    ]
    await attribution.record(*world)
    await attribution.handle(*world)
    await attribution.lose_state()
    await attribution.handle(events.refund(10_000_000, event_id="second", at=NOON + 2 * DAY))
    assert await value(attribution, events) == 50_000_000


async def test_its_cause_is_told(attribution: Attribution, events: Events) -> None:
    await attribution.handle(events.order("visitor:a", event_id="order"))
    await attribution.handle(events.refund(30_000_000, of_event="order", event_id="refund"))
    newest = await attribution.published(events.conversion_id())
    assert newest is not None
    assert list(newest.causes) == [RevisionCause.REVISION_CAUSE_REFUND]
    assert list(newest.causing_event_ids) == ["refund"]


async def test_a_conversion_without_an_order_is_adjusted_as_ever(attribution: Attribution, events: Events) -> None:
    letter, signup = events.order("visitor:a", event_id="signup")
    _, refund = events.refund(30_000_000, of_event="signup")
    signup.event.conversion.ClearField("order_id")
    signup.conversion_id = refund.conversion_id
    await attribution.handle(("A", refund))
    await attribution.handle((letter, signup))
    revised = await attribution.published(refund.conversion_id)
    assert revised is not None
    assert revised.state.value.amount_micros == 60_000_000


@pytest.mark.parametrize("named", ["order", "ann@example.com", "x1:token"])
@pytest.mark.parametrize("order_id", ["o-1", ""], ids=["of an order", "of itself"])
async def test_it_finds_the_order_after_the_state_was_lost(
    attribution: Attribution, events: Events, named: str, order_id: str
) -> None:
    sent = "order" if named == "order" else "ann@example.com"
    order = as_stored(events.order("visitor:a", event_id=sent), events)
    first = as_stored(events.refund(30_000_000, of_event=named, event_id="first"), events)
    if not order_id:
        order[1].event.conversion.ClearField("order_id")
        order[1].conversion_id = ids.conversion_id(ids.event_digest(events.workspace, sent))
    await attribution.record(order, first)
    await attribution.handle(order, first)
    await attribution.lose_state()
    second = events.refund(10_000_000, of_event=named, event_id="second", at=NOON + 2 * DAY)
    await attribution.handle(as_stored(second, events))
    newest = await attribution.published(order[1].conversion_id)
    assert newest is not None
    assert newest.state.value.amount_micros == 50_000_000
    assert list(newest.causes) == [RevisionCause.REVISION_CAUSE_REFUND]


@pytest.mark.parametrize("order_id", ["o-1", ""], ids=["of an order", "of itself"])
async def test_it_finds_what_an_earlier_version_stored_under_the_id_as_it_was_sent(
    attribution: Attribution, events: Events, order_id: str
) -> None:
    order = events.order("visitor:a", event_id="203.0.113.7-1")
    first, second = (events.refund(10_000_000, of_event="203.0.113.7-1", at=NOON + days * DAY) for days in (1, 2))
    for _, refund in (first, second):
        refund.event.adjustment.event_id, refund.sent_target_hash = "x1:token", event_hash("203.0.113.7-1")
    if not order_id:
        order[1].event.conversion.ClearField("order_id")
        order[1].conversion_id = first[1].conversion_id
    await attribution.record(order)
    await attribution.record(first)
    await attribution.handle(order, first)
    await attribution.lose_state()
    await attribution.handle(second)
    newest = await attribution.published(order[1].conversion_id)
    assert newest is not None
    assert newest.state.value.amount_micros == 70_000_000


def as_stored(sent: Admitted, events: Events) -> Admitted:
    """Returns what the door makes of an event: a token stands for an id that is somebody's address."""
    letter, admitted = sent
    event = admitted.event
    if "@" in event.event_id:
        admitted.event_digest = ids.event_digest(events.workspace, event.event_id)
        event.event_id = "x1:token"
    if "@" in event.adjustment.event_id:
        event.adjustment.event_id = "x1:token"
    return letter, admitted
