"""After a loss of the state store all is brought back that events tell: the same questions have the same answers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, leaving, running_attribution
from tests.support.worlds import a_world, people_who_share
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.explanation_pb2 import Explanation
from tributary.attribution.v1.journey_pb2 import Journey
from tributary_attribution.old_people import lost_time
from tributary_domain.event_order import event_hash
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.codec.event_references import event_reference
from tributary_storage.redis import keys
from tributary_storage.redis.rebuild_progress import RebuildPlace, RebuildProgress

LOSS = NOON + 5 * DAY
LEARNING = {
    "attribution": [{"touch_grain": "event"}],
    "data_driven": {"minimum_conversions": 2, "minimum_paths": 4},
}


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace, **LEARNING) as running:
        yield running


async def happen(attribution: Attribution, *events: Admitted, batch: int = 60) -> None:
    for start in range(0, len(events), batch):
        await attribution.record(*events[start : start + batch])
        await attribution.handle(*events[start : start + batch])
    await attribution.count_people()


async def lose_all(attribution: Attribution) -> None:
    await attribution.state.flushdb()
    attribution.losses.append(LOSS)


async def bring_back(attribution: Attribution) -> RebuildPlace:
    """Brings all back, while people are counted as what is known of them by then."""
    while not attribution.rebuild.is_whole():
        await attribution.rebuild.some()
        await attribution.count_people()
    return await RebuildProgress(attribution.state).read()


async def journeys(attribution: Attribution, tokens: list[str]) -> dict[str, Journey]:
    """Returns what is known of people, without since when it is whole: that is another after a loss."""
    found = await attribution.people.find_each([(attribution.workspace.id, token) for token in tokens])
    shown = {}
    for token, journey in zip(tokens, found, strict=True):
        if journey is not None:
            shown[token] = await attribution.journeys.by_person_id(attribution.workspace.id, journey.person_id)
            shown[token].ClearField("complete_since_time")
    return shown


async def explanations(attribution: Attribution) -> dict[str, Explanation]:
    shown = {}
    for (conversion_id,) in await attribution.stored("conversion_id"):
        shown[conversion_id] = (await attribution.explainer.explain(attribution.workspace.id, conversion_id)).message
        shown[conversion_id].ClearField("complete_since_time")
    return shown


async def newest(attribution: Attribution) -> dict[str, ConversionRevised]:
    ids = [row[0] for row in await attribution.stored("conversion_id")]
    return await ConversionHistory(attribution.clickhouse).newest(attribution.workspace.id, ids)


def _reference(event_id: str) -> str:
    return event_reference(event_hash(event_id))


def tokens_of(events: list[Admitted]) -> list[str]:
    return sorted({token for _, admitted in events for token in admitted.identity_tokens})


@pytest.mark.parametrize("seed", range(2))
async def test_the_same_questions_have_the_same_answers_after_all_was_lost(attribution: Attribution, seed: int) -> None:
    rng = random.Random(seed)
    events = [
        *a_world(attribution.workspace.id, rng, 24),
        *people_who_share(attribution.workspace.id, seed),
    ]
    rng.shuffle(events)
    await happen(attribution, *events)
    changes = await IdentityChanges(attribution.clickhouse).of_tokens(attribution.workspace.id, tokens_of(events))
    for change in changes[:1]:
        await attribution.identities.undo(attribution.workspace.id, change.change_id)
    asked = tokens_of(events)
    before = [await ask(attribution) for ask in (lambda one: journeys(one, asked), explanations, newest)]
    counts = await attribution.count_people()
    stored = await attribution.stored("conversion_id, revision")
    await lose_all(attribution)
    assert (await bring_back(attribution)).is_finished
    assert await attribution.count_people() == counts
    after = [await ask(attribution) for ask in (lambda one: journeys(one, asked), explanations, newest)]
    assert len(before[0]) > 15
    for one, other in zip(before, after, strict=True):
        assert other == one
    assert await attribution.stored("conversion_id, revision") == stored, "what nobody changed has no new revision"
    assert await attribution.logged() == []


async def test_a_late_touch_reaches_over_a_tie_of_before_the_loss(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    login = make.identify("customer:a", "visitor:a", at=NOON - 300 * DAY)
    await attribution.record(login, accept_micros=NOON - 300 * DAY)  # before journeys that live, and after ties
    await attribution.handle(login, accept_micros=NOON - 300 * DAY)
    await happen(attribution, make.touch("visitor:b", at=NOON - 2 * DAY, channel="Email"), make.order("customer:a"))
    await lose_all(attribution)
    assert (await bring_back(attribution)).events == 3
    await attribution.handle(make.touch("visitor:a", at=NOON - 3 * DAY, channel="Display", event_id="late"))
    revised = await attribution.published(make.conversion_id())
    assert revised is not None
    assert [touch.event_id for touch in revised.state.touches] == [_reference("late")]
    assert revised.previous_revision > 0
    assert [row[0] for row in await attribution.stored("touch_channels")] == [["Display"]]


async def test_what_came_before_all_was_back_is_corrected_then(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await happen(
        attribution,
        make.touch("visitor:a", at=NOON - 2 * DAY, channel="Email", event_id="old"),
        make.identify("customer:a", "visitor:a", at=NOON - DAY),
    )
    await lose_all(attribution)
    order = make.order("customer:a", at=NOON)
    await attribution.record(order, accept_micros=LOSS + DAY // 86_400)
    await attribution.handle(order)
    partial = await attribution.published(make.conversion_id())
    assert partial is not None
    assert not partial.state.touches
    await bring_back(attribution)
    whole = await attribution.published(make.conversion_id())
    assert whole is not None
    assert [touch.event_id for touch in whole.state.touches] == [_reference("old")]
    assert (await attribution.count_people())["purchase"].conversions == 1


async def test_an_order_that_was_told_before_what_comes_back_takes_no_credit(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make, settings = Events(workspace), {"touch_grain": "event", "path_after_conversion": {"reset": ["purchase"]}}
    async with running_attribution(redis_url, clickhouse_url, workspace, attribution=[settings]) as attribution:
        begin = lost_time(attribution.workspace, LOSS).journeys_since_micros
        for at, event in (
            (begin - 2 * DAY, make.order("visitor:a", at=begin - 2 * DAY, order_id="o-1")),
            (begin + DAY, make.touch("visitor:a", at=begin + DAY, channel="Display")),
            (begin + 2 * DAY, make.order("visitor:a", at=begin + 2 * DAY, order_id="o-1", letter="M")),
            (begin + 3 * DAY, make.order("visitor:a", at=begin + 3 * DAY, order_id="o-2")),
        ):
            await attribution.record(event, accept_micros=at)
            await attribution.handle(event, accept_micros=at)
        stored = await attribution.stored("order_id, touch_channels, revision")
        assert [row[:2] for row in stored] == [("o-1", ["unattributed"]), ("o-2", ["Display"])]
        await lose_all(attribution)
        assert (await bring_back(attribution)).is_finished
        assert await attribution.stored("order_id, touch_channels, revision") == stored


async def test_the_model_after_a_loss_is_the_one_of_before(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    for number, channels in enumerate((["Email", "Display"], ["Email"], ["Email"], ["Display"])):
        person = f"visitor:{number}"
        steps = [make.touch(person, at=NOON - DAY + step, channel=one) for step, one in enumerate(channels)]
        await happen(attribution, *steps, *([make.order(person, order_id=person)] if number < 2 else []))
    [model] = await attribution.learn()
    await lose_all(attribution)
    await attribution.models.refresh()
    assert attribution.models.in_use(make.workspace, "purchase") is None
    await attribution.rebuild.some()  # what operators said, and the models in use
    await attribution.models.refresh()
    in_use = attribution.models.in_use(make.workspace, "purchase")
    assert in_use is not None
    assert in_use.version == model.version
    assert not attribution.rebuild.is_whole(), "nothing is learned from what is not whole"
    await bring_back(attribution)
    assert attribution.rebuild.is_whole()
    assert await attribution.learn() == [], "the same evidence"


def a_time(make: Events, at: int, own: str) -> list[Admitted]:
    """Returns what some people do within a few days: two of them buy; one is always the same."""
    buyer, window_shopper, same = f"customer:{own}", f"visitor:{own}", "visitor:same"
    return [
        make.touch(f"visitor:b-{own}", at=at - 2 * DAY, channel="Email"),
        make.identify(buyer, f"visitor:b-{own}", at=at - DAY),
        make.touch(buyer, at=at - DAY, channel="Display"),
        make.order(buyer, at=at, order_id=f"o-{own}"),
        make.order(buyer, at=at + DAY // 2, order_id=f"p-{own}"),
        make.touch(window_shopper, at=at - DAY, channel="Display"),
        make.touch(window_shopper, at=at, channel=f"Only {own}"),
        make.touch(same, at=at, channel="Email" if own == "ancient" else "Referral"),
        make.touch(f"visitor:q-{own}", at=at, channel="Display", letter="Q"),
        leaving(make.touch(f"visitor:d-{own}", at=at, channel="Display"), denies="analytics_storage"),
    ]


async def forget(attribution: Attribution, *kinds: str) -> None:
    """Lets state end, as it does by itself in time."""
    for kind in kinds:
        async for key in attribution.state.scan_iter(match=f"trb:*:{kind}:*"):
            await attribution.state.delete(key)


async def test_what_was_learned_from_all_that_had_ended_before_the_loss_is_learned_again(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    """Conversions and people of long ago, whose state had ended: what data_driven counted of them is counted still.

    In the window that it had then, which was shorter than that of others, and than it is now.
    """
    make, stores = Events(workspace), (redis_url, clickhouse_url, workspace)
    short = {"touch_grain": "event", "models": {"data_driven": {"lookback_days": 2}}}
    async with running_attribution(*stores, attribution=[short], data_driven=LEARNING["data_driven"]) as attribution:
        await attribution.settings_history.store()
        for own, days in (("ancient", 500), ("old", 200), ("older", 130), ("young", 20)):
            at = LOSS - days * DAY
            some = a_time(make, at, own)
            await attribution.record(*some, accept_micros=at)
            await attribution.handle(*some, accept_micros=at, backfill=True)
            await attribution.count_people()
            if own != "young":
                await forget(attribution, "journey", "path", *(["conversion"] if own == "ancient" else []))
        counts = await attribution.count_people()
    assert (counts["purchase"].conversions, counts["purchase"].paths) == (8, 8 + 4 + 4)
    async with running_attribution(*stores, **LEARNING) as attribution:
        stored = await attribution.stored("conversion_id, revision")
        await lose_all(attribution)
        assert (await bring_back(attribution)).is_finished
        assert await attribution.count_people() == counts
        assert await attribution.stored("conversion_id, revision") == stored
        kept = attribution.state.scan_iter(match="trb:*:conversion:*")
        held = {key.decode().rpartition("|")[2] async for key in kept}
    assert make.conversion_id("o-old") in held
    assert make.conversion_id("o-ancient") not in held, "nothing of it is back but what it taught"


@pytest.mark.parametrize("stops", [1, 2])
async def test_a_process_that_stops_leaves_the_rest_to_another(
    redis_url: str, clickhouse_url: str, workspace: str, stops: int
) -> None:
    async with running_attribution(redis_url, clickhouse_url, workspace, **LEARNING) as attribution:
        events = a_world(workspace, random.Random(7), 12)
        await happen(attribution, *events)
        counts = await attribution.count_people()
        shown = await journeys(attribution, tokens_of(events))
        await lose_all(attribution)
        for _ in range(stops):
            await attribution.rebuild.some()
        at = await RebuildProgress(attribution.state).read()
        assert not at.is_finished
        async with running_attribution(redis_url, clickhouse_url, workspace, loss_micros=LOSS, **LEARNING) as other:
            assert not await other.rebuild.some(), "somebody does it"
            await attribution.state.delete(keys.rebuild("lease"))  # as time does
            assert (await bring_back(other)).is_finished
            assert await other.count_people() == counts
            assert await journeys(other, tokens_of(events)) == shown
        assert not await attribution.rebuild.some()
        assert attribution.rebuild.is_whole()
