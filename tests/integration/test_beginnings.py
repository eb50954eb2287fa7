"""How somebody began is known whatever a journey forgets, follows the person, and says who is a returning customer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.attribution import DAY, NOON, SHARDS, Admitted, Attribution, Events, running_attribution
from tests.support.attribution import leaving as said
from tributary.attribution.v1.conversion_pb2 import NotCountedReason
from tributary.attribution.v1.journey_pb2 import Beginning
from tributary.event.v1.event_pb2 import TRAFFIC_TEST
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_OPEN
from tributary_attribution.erasure_plans import GRACE_SECONDS
from tributary_attribution.identities import identity_message
from tributary_domain.event_order import event_hash
from tributary_domain.shards import shard_of_key
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.redis import keys
from tributary_storage.redis.conversions import conversion_key
from tributary_storage.redis.ties import person_key

ONCE = {
    "conversions": [{"name": "purchase", "counting": "once_per_person"}],
    "attribution": [{"impression_policy": "full"}],
}
LONG_AGO = NOON - 200 * DAY
LOSS = NOON + 5 * DAY


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace, **ONCE) as running:
        yield running


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


async def happen(attribution: Attribution, *events: Admitted, at: int = NOON + 2 * DAY) -> None:
    """Lets events happen one after another, recorded and credited."""
    for event in events:
        await attribution.record(event, accept_micros=at)
        await attribution.handle(event, accept_micros=at)


async def forget_journeys(attribution: Attribution) -> None:
    """Lets journeys reach the end of their life; what is beside them goes on living."""
    async for key in attribution.state.scan_iter(match="trb:*:journey:*"):
        if key.count(b":") == 4:  # trb:{p3}:journey:p1:<digits>
            await attribution.state.delete(key)


async def beginning(attribution: Attribution, token: str) -> tuple[str, list[str]]:
    """Returns the channel that somebody was acquired by, and his first conversions."""
    found = (await attribution.identities.show(attribution.workspace.id, token)).beginning
    return found.touchpoint.source.channel, [one.conversion_id for one in found.conversions]


async def test_the_first_touch_and_the_first_order_outlive_the_journey(
    attribution: Attribution, events: Events
) -> None:
    first = events.touch("visitor:a", at=LONG_AGO, channel="Email", event_id="first")
    await happen(attribution, first, events.order("visitor:a", at=LONG_AGO + DAY, order_id="o-1"))
    await forget_journeys(attribution)
    await happen(attribution, events.touch("visitor:a", channel="Display"), events.order("visitor:a", order_id="o-2"))
    explained = (await attribution.explainer.explain(attribution.workspace.id, events.conversion_id("o-2"))).message
    assert explained.returning
    assert explained.beginning.touchpoint.event_hash == event_hash("first")
    assert explained.beginning.touchpoint.source.channel == "Email"
    [purchase] = explained.beginning.conversions
    assert (purchase.conversion_name, purchase.conversion_id) == ("purchase", events.conversion_id("o-1"))
    assert purchase.event_time.ToMicroseconds() == LONG_AGO + DAY
    journey = await attribution.journeys.by_conversion_id(attribution.workspace.id, events.conversion_id("o-2"))
    assert journey.beginning == explained.beginning
    found = await attribution.identities.show(attribution.workspace.id, "visitor:a")
    assert identity_message(attribution.workspace.id, found).beginning == explained.beginning


async def test_a_second_sign_up_counts_no_more_though_the_first_is_forgotten(
    attribution: Attribution, events: Events
) -> None:
    await happen(attribution, events.order("visitor:a", at=LONG_AGO, order_id="o-1"))
    await forget_journeys(attribution)
    await happen(attribution, events.order("visitor:a", order_id="o-2"))
    second = await attribution.published(events.conversion_id("o-2"))
    assert second is not None
    assert not second.state.counted
    assert second.state.not_counted_reason == NotCountedReason.NOT_COUNTED_REASON_ONCE_PER_PERSON


async def test_a_first_order_that_was_taken_back_is_in_nobody_s_way(attribution: Attribution, events: Events) -> None:
    await happen(attribution, events.order("visitor:a", at=LONG_AGO, order_id="o-1"), events.retraction(order_id="o-1"))
    await forget_journeys(attribution)
    await happen(attribution, events.order("visitor:a", order_id="o-2"))
    second = await attribution.published(events.conversion_id("o-2"))
    assert second is not None
    assert second.state.counted


@pytest.mark.parametrize("is_forgotten", [False, True])
async def test_an_order_that_was_taken_back_makes_nobody_a_returning_customer(
    attribution: Attribution, events: Events, is_forgotten: bool
) -> None:
    taken_back = events.order("visitor:a", at=NOON - 3 * DAY, order_id="o-1")
    own = events.order("visitor:a", order_id="o-2")
    await happen(attribution, taken_back, events.retraction(at=NOON - 2 * DAY), own)
    if is_forgotten:
        key = conversion_key(attribution.workspace.id, events.conversion_id("o-1"))
        await attribution.state.delete(keys.conversion(shard_of_key(key, SHARDS), key))
    assert await beginning(attribution, "visitor:a") == ("", [events.conversion_id("o-2")])
    explained = (await attribution.explainer.explain(attribution.workspace.id, events.conversion_id("o-2"))).message
    assert not explained.returning
    await happen(attribution, events.order("visitor:a", at=NOON + 1, order_id="o-3"))
    explained = (await attribution.explainer.explain(attribution.workspace.id, events.conversion_id("o-3"))).message
    assert explained.returning
    assert [one.conversion_id for one in explained.beginning.conversions] == [events.conversion_id("o-2")]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_whatever_comes_first_the_earliest_is_the_first(
    attribution: Attribution, events: Events, order: tuple[int, ...]
) -> None:
    made = [
        events.touch("visitor:a", at=NOON - 3 * DAY, channel="Email", event_id="x"),
        events.touch("visitor:a", at=NOON - 2 * DAY, channel="Display", event_id="y"),
        events.order("visitor:a", at=NOON - DAY, order_id="o-1"),
    ]
    for at in order:
        await happen(attribution, made[at], made[at])  # each twice
    await happen(attribution, events.order("visitor:a", order_id="o-2"))
    assert await beginning(attribution, "visitor:a") == ("Email", [events.conversion_id("o-1")])


async def test_what_is_no_good_touch_acquires_nobody(attribution: Attribution, events: Events) -> None:
    hidden = events.touch("visitor:a", at=NOON - 9 * DAY, channel="Email", letter="Q", event_id="q")
    test = events.touch("visitor:a", at=NOON - 8 * DAY, channel="Email")
    test[1].event.traffic = TRAFFIC_TEST
    denied = said(events.touch("visitor:a", at=NOON - 7 * DAY, channel="Email"), denies="analytics_storage")
    continued = events.touch("visitor:a", at=NOON - 6 * DAY, channel="Email", continues_session=True)
    good = events.touch("visitor:a", at=NOON - 5 * DAY, channel="Display")
    await happen(attribution, good, hidden, test, denied, continued)
    await forget_journeys(attribution)
    assert await beginning(attribution, "visitor:a") == ("Display", [])
    await happen(attribution, events.release(hidden))
    await forget_journeys(attribution)
    assert await beginning(attribution, "visitor:a") == ("Email", [])


async def test_it_follows_the_person_through_merges_and_unmerges(attribution: Attribution, events: Events) -> None:
    await happen(
        attribution,
        events.touch("visitor:a", at=NOON - 3 * DAY, channel="Email"),
        events.order("visitor:a", at=NOON - 2 * DAY, order_id="o-1"),
        events.touch("visitor:b", at=NOON - DAY, channel="Display"),
        events.order("visitor:b", order_id="o-2"),
        events.identify("customer:c", "visitor:a", at=NOON + 1, event_id="one"),
        events.identify("customer:c", "visitor:b", at=NOON + 2, event_id="two"),
    )
    await forget_journeys(attribution)
    first, second = events.conversion_id("o-1"), events.conversion_id("o-2")
    assert await beginning(attribution, "visitor:b") == ("Email", [first])
    shown = await attribution.identities.show(attribution.workspace.id, "visitor:b")
    undone = next(change for change in shown.changes if change.causing_event_id == "two")
    await attribution.identities.undo(attribution.workspace.id, undone.change_id)
    assert await beginning(attribution, "visitor:a") == ("Email", [first])
    assert await beginning(attribution, "visitor:b") == ("Display", [second])


async def test_who_was_erased_has_no_beginning_and_who_comes_after_has_an_own_one(
    attribution: Attribution, events: Events
) -> None:
    workspace = attribution.workspace.id
    await happen(
        attribution,
        events.touch("visitor:a", at=NOON - 3 * DAY, channel="Email", clicks={"gclid": "1"}),
        events.order("visitor:a", at=NOON - 2 * DAY, order_id="o-1"),
    )
    await forget_journeys(attribution)
    plan = attribution.erasing.plan(workspace, ["visitor:a"], ErasureMode.SEVER)
    assert (await attribution.erasing.survey(plan))["firsts"] == 3
    erasure = await attribution.erasing.go_on(await attribution.erasing.request(plan))
    assert (erasure.destroyed["firsts"], erasure.destroyed["click_ids"]) == (3, 1)
    assert erasure.remaining["firsts"] == 0
    assert (await attribution.identities.show(workspace, "visitor:a")).beginning == Beginning()
    later = erasure.until_micros + 1
    await attribution.erasing.go_on(replace(erasure, due_micros=GRACE_SECONDS))
    await happen(attribution, events.touch("visitor:a", at=later, channel="Display"), at=later)
    assert await beginning(attribution, "visitor:a") == ("Display", [])


async def test_it_is_there_again_after_a_loss(attribution: Attribution, events: Events) -> None:
    old = [
        events.touch("visitor:a", at=LONG_AGO - 300 * DAY, channel="Email"),
        events.order("visitor:a", at=LONG_AGO - 299 * DAY, order_id="o-1"),
        events.touch("visitor:a", at=LONG_AGO, channel="Display"),
        events.touch("visitor:a", at=LONG_AGO + DAY, channel="Paid Search", clicks={"gclid": "1"}),
        events.order("visitor:b", at=LONG_AGO, order_id="o-3"),
        events.touch("visitor:s", at=LONG_AGO + 1, channel="Display"),
        events.touch("visitor:s", at=LONG_AGO, channel="Display"),
    ]
    for _, seen in old[-2:]:
        seen.event.touchpoint.kind = TOUCHPOINT_KIND_OPEN
    for event in old:
        at = event[1].event.event_time.ToMicroseconds()
        await happen(attribution, event, at=at)
    await happen(attribution, events.order("visitor:a", order_id="o-2"))
    before = [await beginning(attribution, token) for token in ("visitor:a", "visitor:b")]
    assert before == [("Email", [events.conversion_id("o-1")]), ("", [events.conversion_id("o-3")])]
    seen_before = await attribution.people.firsts.of_people([(attribution.workspace.id, ["visitor:s"])])
    assert [one.seen.event_time_micros for one in seen_before if one.seen is not None] == [LONG_AGO]
    await attribution.state.flushdb()
    attribution.losses.append(LOSS)
    while not attribution.rebuild.is_whole():
        await attribution.rebuild.some()
        await attribution.count_people()
    assert [await beginning(attribution, token) for token in ("visitor:a", "visitor:b")] == before
    assert await attribution.logged() == [], "who counts is the same"
    assert await attribution.people.firsts.of_people([(attribution.workspace.id, ["visitor:s"])]) == seen_before
    again = events.touch("visitor:a", at=NOON - DAY, channel="Paid Search", clicks={"gclid": "1"})
    await happen(attribution, again, events.order("visitor:a", order_id="o-4"))
    fourth = await attribution.published(events.conversion_id("o-4"))
    assert fourth is not None
    channels = [touch.source.channel for touch in fourth.state.touches]
    assert channels == ["Direct"], "an id of before the loss is an old one"


async def test_it_is_kept_for_ever_of_customers_and_as_long_as_ties_of_visitors(
    attribution: Attribution, events: Events
) -> None:
    await happen(attribution, events.touch("visitor:a"), events.touch("visitor:b"), events.order("visitor:b"))
    await happen(attribution, events.touch("visitor:b", at=NOON - 9 * DAY))

    async def life(token: str) -> int:
        key = person_key(attribution.workspace.id, token)
        [found] = [one async for one in attribution.state.scan_iter(match=keys.firsts(0, key).replace("{p0}", "*"))]
        return int(await attribution.state.ttl(found))

    assert await life("visitor:a") > 400 * 86_400
    assert await life("visitor:b") == -1
