"""What reaches further back than journeys live is credited as if they lived for ever: ClickHouse remembers for them.

Journeys really are gone here: expired, or aged while their person lives on.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, Admitted, Attribution, Events, leaving
from tests.support.families import Families
from tests.support.stores import Stores
from tests.support.worlds import a_world, people_who_share
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary.attribution.v1.explanation_pb2 import CreditSettings
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary.event.v1.event_pb2 import Traffic
from tributary.event.v1.touchpoint_pb2 import TouchpointKind
from tributary_domain.event_order import event_hash
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.clickhouse.names import micros
from tributary_storage.clickhouse.published_conversions import Wanted
from tributary_storage.codec.event_references import event_reference

HOUR: Final = DAY // 24
TODAY: Final = SystemClock().unix_micros()
SOLD: Final = TODAY - 40 * DAY
LONG_AGO: Final = TODAY - 100 * DAY

Forget = Callable[[Attribution], Awaitable[None]]


@pytest.fixture
async def world(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    async with reconciled(stores.empty_redis_url(), clickhouse_url, workspace) as opened:
        yield opened


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


async def expired(attribution: Attribution) -> None:
    """Nothing came within a life of a journey."""
    await attribution.let_journeys_expire()


async def aged(attribution: Attribution) -> None:
    """They live on, and something comes today."""
    await attribution.let_journeys_age()
    visit = Events(attribution.workspace.id).touch("visitor:a", at=TODAY, event_id="today")
    await attribution.handle(visit)


FORGETTING: Final = pytest.mark.parametrize("forget", [expired, aged])


async def chain(attribution: Attribution, order_id: str = "o-1") -> list[ConversionRevised]:
    """Returns the revisions of an order, oldest first."""
    conversion_id = Events(attribution.workspace.id).conversion_id(order_id)
    found = [one for one in await attribution.logged() if one.state.conversion_id == conversion_id]
    return sorted(found, key=lambda one: one.revision)


def causes(chain: list[ConversionRevised]) -> list[list[str]]:
    return [[RevisionCause.Name(one).removeprefix("REVISION_CAUSE_") for one in revised.causes] for revised in chain]


def credited(revised: ConversionRevised) -> list[str]:
    return [touch.event_id for touch in revised.state.touches]


def named(*event_ids: str) -> list[str]:
    return [event_reference(event_hash(event_id)) for event_id in event_ids]


def reasons(revised: ConversionRevised) -> set[str]:
    found = {model.unattributed.reason for model in revised.state.models if model.name != "data_driven"}
    return {UnattributedReason.Name(one).removeprefix("UNATTRIBUTED_REASON_") for one in found}


async def agrees(world: Reconciled) -> None:
    """Asserts that stream and batch say the same of all that ever happened."""
    run = await world.run(world.a_run(begin=TODAY - 400 * DAY, end=TODAY + DAY, repairs=False))
    assert run.is_complete
    assert await world.differences() == []


async def agrees_once(world: Reconciled, forget: Forget) -> None:
    """Does so where journeys expired: the batch knows nothing of them, so it says the same where they aged."""
    if forget is expired:
        await agrees(world)


@FORGETTING
async def test_an_order_that_comes_40_days_late_is_credited_by_what_led_to_it(
    world: Reconciled, events: Events, forget: Forget
) -> None:
    who = "visitor:a"
    before = [events.touch(who, at=SOLD - days * DAY, event_id=f"t-{days}") for days in (28, 20)]
    await world.happen(*before, events.touch(who, at=SOLD - 40 * DAY, event_id="outside"))
    await forget(world.attribution)
    await world.happen(events.order(who, at=SOLD))
    found = await chain(world.attribution)
    assert causes(found) == [["INITIAL"]]
    assert credited(found[0]) == named("t-28", "t-20")


@FORGETTING
async def test_a_touch_that_is_backfilled_revises_once_what_it_led_to(
    world: Reconciled, events: Events, forget: Forget
) -> None:
    who = "visitor:a"
    first = events.touch(who, at=LONG_AGO - DAY, event_id="first")
    await world.happen(first, events.order(who, at=LONG_AGO), events.order(who, at=LONG_AGO - 8 * DAY, order_id="o-0"))
    await forget(world.attribution)
    await world.happen(events.touch(who, at=LONG_AGO - 5 * DAY, event_id="late"))
    found = await chain(world.attribution)
    assert causes(found) == [["INITIAL"], ["LATE_TOUCHPOINT"]]
    assert credited(found[-1]) == named("late", "first")
    assert list(found[-1].causing_event_ids) == ["late"]
    assert len(await chain(world.attribution, "o-0")) == 1


async def test_it_reaches_over_devices_whose_journeys_expired(world: Reconciled, events: Events) -> None:
    phone, laptop, customer = "visitor:p", "visitor:l", "customer:c"
    await world.happen(
        events.touch(phone, at=LONG_AGO - 3 * DAY, event_id="phone"),
        events.touch(laptop, at=LONG_AGO - 2 * DAY, event_id="laptop"),
        events.identify(customer, phone, at=LONG_AGO),
        events.identify(customer, laptop, at=LONG_AGO),
    )
    await expired(world.attribution)
    await world.happen(events.order(customer, at=LONG_AGO + HOUR))
    await expired(world.attribution)
    await world.happen(events.touch(phone, at=LONG_AGO - DAY, event_id="late"))
    found = await chain(world.attribution)
    assert credited(found[0]) == named("phone", "laptop")
    assert credited(found[-1]) == named("phone", "laptop", "late")
    assert len(found) == 2


async def test_what_may_not_earn_earns_nothing_when_it_is_recalled(world: Reconciled, events: Events) -> None:
    who = "visitor:a"
    internal, denied = (events.touch(who, at=LONG_AGO - days * DAY) for days in (5, 4))
    internal[1].event.traffic = Traffic.TRAFFIC_INTERNAL
    denied[1].event.consent.analytics_storage = CONSENT_STATE_DENIED
    waiting = events.touch(who, at=LONG_AGO - 3 * DAY, letter="Q", event_id="waiting")
    await world.happen(events.touch(who, at=LONG_AGO - 50 * DAY), internal, denied, waiting)
    await expired(world.attribution)
    await world.happen(events.order(who, at=LONG_AGO))
    assert reasons((await chain(world.attribution))[0]) == {"NO_CONSENT"}
    await expired(world.attribution)
    released = events.release(waiting)
    await world.happen(released)
    found = await chain(world.attribution)
    assert causes(found)[-1] == ["QUARANTINE_RELEASE"]
    assert credited(found[-1]) == named("waiting")
    await agrees(world)


async def test_a_consent_taken_back_for_then_takes_the_credit(world: Reconciled, events: Events) -> None:
    who = "visitor:a"
    await world.happen(events.touch(who, at=LONG_AGO - DAY), events.order(who, at=LONG_AGO))
    await expired(world.attribution)
    letter, denial = events.identify(who, at=TODAY, event_id="denial")
    denial.event.ClearField("identify")
    denial.event.consent_change.SetInParent()
    denial.event.consent.analytics_storage = CONSENT_STATE_DENIED
    denial.event.consent.consent_time.FromMicroseconds(LONG_AGO - 2 * DAY)
    await world.happen((letter, denial))
    found = await chain(world.attribution)
    assert causes(found) == [["INITIAL"], ["CONSENT_WITHDRAWN"]]
    assert reasons(found[-1]) == {"NO_CONSENT"}
    await agrees(world)


async def test_people_who_are_taken_apart_take_the_credit_of_then_apart(world: Reconciled, events: Events) -> None:
    attribution = world.attribution
    await world.happen(
        events.touch("visitor:a", at=LONG_AGO - 3 * DAY, event_id="theirs"),
        events.touch("visitor:b", at=LONG_AGO - 2 * DAY, event_id="own"),
        events.order("visitor:b", at=LONG_AGO),
        events.identify("visitor:a", "visitor:b", at=LONG_AGO + DAY),
    )
    assert credited((await chain(attribution))[-1]) == named("theirs", "own")
    await expired(attribution)
    [merge] = await IdentityChanges(attribution.clickhouse).of_tokens(events.workspace, ["visitor:a"])
    [undone] = await attribution.identities.undo(events.workspace, merge.change_id)
    found = await chain(attribution)
    assert causes(found)[-1] == ["IDENTITY_UNMERGE"]
    assert credited(found[-1]) == named("own")
    await expired(attribution)
    await attribution.identities.undo(events.workspace, undone.change_id)
    assert credited((await chain(attribution))[-1]) == named("theirs", "own")
    await agrees(world)


@FORGETTING
async def test_people_who_become_one_late_share_the_credit_of_then(
    world: Reconciled, events: Events, forget: Forget
) -> None:
    await world.happen(
        events.touch("visitor:a", at=LONG_AGO - 3 * DAY, event_id="theirs"),
        events.touch("visitor:b", at=LONG_AGO - 2 * DAY, event_id="own"),
        events.order("visitor:b", at=LONG_AGO),
    )
    await forget(world.attribution)
    await world.happen(events.identify("visitor:a", "visitor:b", at=TODAY))
    found = await chain(world.attribution)
    assert causes(found) == [["INITIAL"], ["IDENTITY_MERGE"]]
    assert credited(found[-1]) == named("theirs", "own")


async def test_nobody_asks_for_who_comes_back_on_a_new_device_or_was_never_here(
    world: Reconciled, events: Events
) -> None:
    customer = "customer:c"
    await world.happen(events.touch(customer, at=LONG_AGO - DAY), events.order(customer, at=LONG_AGO))
    await world.attribution.let_journeys_age()
    asked = world.attribution.forgotten.asked
    await world.happen(
        events.touch("visitor:new", at=TODAY - HOUR),
        events.identify(customer, "visitor:new", at=TODAY),
        events.order(customer, at=TODAY, order_id="o-2"),
        events.touch("visitor:other", at=LONG_AGO),
        events.order("customer:other", "email:other", "visitor:other", at=LONG_AGO, order_id="o-3"),
    )
    assert world.attribution.forgotten.asked == asked


async def clicked_again(world: Reconciled, forget: Forget) -> None:
    """Lets people click, be forgotten, and come back by the click id or interaction of then: each a direct return."""
    events, attribution = Events(world.attribution.workspace.id), world.attribution
    gclid = {"gclid": "1"}
    then = [
        events.touch("visitor:a", at=LONG_AGO, clicks=gclid),
        events.touch("visitor:p", at=LONG_AGO, clicks=gclid),
        events.touch("visitor:i", at=LONG_AGO, channel="Email"),
        events.touch("visitor:d", at=LONG_AGO, clicks=gclid, continues_session=True),
        leaving(events.touch("visitor:n", at=LONG_AGO, clicks=gclid), denies="analytics_storage"),
    ]
    then[2][1].event.touchpoint.interaction_id = "mail-1"
    await world.happen(*then)
    await forget(attribution)
    again = [
        events.touch("visitor:a", at=TODAY - HOUR, clicks=gclid, event_id="a"),
        events.touch("visitor:l", at=TODAY - HOUR, clicks=gclid, event_id="l"),
        events.identify("customer:p", "visitor:p", at=TODAY),
        events.identify("customer:p", "visitor:l", at=TODAY),
        events.touch("visitor:i", at=TODAY - HOUR, channel="Email", event_id="i"),
        events.touch("visitor:d", at=TODAY - HOUR, clicks=gclid, event_id="d"),
        events.touch("visitor:n", at=TODAY - HOUR, clicks=gclid, event_id="n"),
    ]
    again[4][1].event.touchpoint.interaction_id = "mail-1"
    await world.happen(*again)
    await world.happen(*(events.order(f"visitor:{who}", at=TODAY - HOUR // 2, order_id=f"o-{who}") for who in "alidn"))


@FORGETTING
async def test_a_refund_credits_nothing_that_was_folded_into_what_is_forgotten(
    world: Reconciled, events: Events, forget: Forget
) -> None:
    who = "visitor:a"
    first = events.touch(who, at=LONG_AGO - DAY, channel="Email", event_id="first")
    folded = events.touch(who, at=LONG_AGO - DAY + 1, channel="Email", event_id="folded")
    folded[1].event.touchpoint.interaction_id = "mail-1"
    await world.happen(first, folded, events.order(who, at=LONG_AGO))
    await forget(world.attribution)
    for number in range(2):
        await world.happen(events.touch(who, at=TODAY + number), events.refund(5_000_000, at=TODAY + number))
    assert [credited(one) for one in await chain(world.attribution)] == [named("first")] * 3


async def channels_of(attribution: Attribution) -> dict[str, list[str]]:
    """Returns the channels that share each order."""
    return dict(await attribution.stored("order_id, touch_channels"))


@FORGETTING
async def test_an_id_that_was_seen_before_its_journey_was_forgotten_is_an_old_one(
    world: Reconciled, forget: Forget
) -> None:
    await clicked_again(world, forget)
    returns = {f"o-{who}": ["Direct"] for who in "alid"}
    assert await channels_of(world.attribution) == returns | {"o-n": ["Paid Search"]}
    await agrees_once(world, forget)


@FORGETTING
async def test_credit_of_the_past_under_other_settings_is_whole(
    stores: Stores, clickhouse_url: str, workspace: str, forget: Forget
) -> None:
    events, who = Events(workspace), "visitor:a"
    redis_url = stores.empty_redis_url()
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        early = events.touch(who, at=LONG_AGO - 40 * DAY, event_id="early")
        await world.happen(early, events.touch(who, at=LONG_AGO - DAY, event_id="own"), events.order(who, at=LONG_AGO))
        await forget(world.attribution)
        wanted = Wanted(workspace=workspace, start_micros=LONG_AGO - DAY, end_micros=LONG_AGO + DAY)
        page, _ = await world.attribution.reattribution.preview(wanted, CreditSettings(lookback_days=45))
        assert (page.conversions, page.changed, page.incomplete) == (1, 1, 0)
        assert len(await chain(world.attribution)) == 1
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[{"lookback_days": 45}]) as world:
        page, _ = await world.attribution.reattribution.apply(wanted)
        assert (page.changed, page.incomplete) == (1, 0)
        found = await chain(world.attribution)
        assert causes(found) == [["INITIAL"], ["SETTINGS_CHANGE"]]
        assert credited(found[-1]) == named("early", "own")


@pytest.mark.parametrize(
    ("seed", "counting", "settings", "life_days"),
    [
        pytest.param(
            22, "once_per_person", {"impression_policy": "full", "impression_window_days": 9}, 60, id="persons"
        ),
        pytest.param(27, "once_per_session", {"collapse_repeats": True, "lookback_days": 7}, 60, id="sessions"),
        pytest.param(28, "once_per_click", {}, 2, id="journeys-that-live-shorter-on-purpose"),
    ],
)
async def test_credit_is_the_same_whenever_journeys_are_forgotten(
    stores: Stores,
    clickhouse_url: str,
    workspace: str,
    seed: int,
    counting: str,
    settings: dict[str, Any],
    life_days: int,
) -> None:
    rng = random.Random(seed)
    everything = [*a_world(workspace, rng, 10), *people_who_share(workspace, seed)]
    happening = [one for one in everything if micros(one[1].event.event_time) < TODAY - life_days * DAY]
    rng.shuffle(happening)
    own: dict[str, Any] = {"attribution": [settings], "conversions": [{"name": "purchase", "counting": counting}]}
    own["retention"] = {"journey_days": life_days}
    async with reconciled(stores.empty_redis_url(), clickhouse_url, workspace, **own) as world:
        while happening:
            some, happening = happening[:25], happening[25:]
            await world.happen(*some)
            await rng.choice([expired, Attribution.let_journeys_age])(world.attribution)
        await agrees(world)


@FORGETTING
async def test_where_a_forgotten_conversion_is_taken_back_the_next_counts(
    stores: Stores, clickhouse_url: str, workspace: str, forget: Forget
) -> None:
    events, who = Events(workspace), "visitor:a"
    rules = ("once_per_session", "once_per_click", "once_per_person")
    names = [{"name": rule, "counting": rule} for rule in rules]
    names.append({"name": "deal", "counting": "once_per_person"})
    families = Families(events)

    def of(rule: str, made: Admitted) -> Admitted:
        said = made[1].event
        if said.HasField("conversion"):
            said.conversion.name = rule
        else:
            said.adjustment.conversion_name = rule
        return made

    async with reconciled(stores.empty_redis_url(), clickhouse_url, workspace, conversions=names) as world:
        await world.happen(
            events.touch(who, at=LONG_AGO - 2, clicks={"gclid": "1"}),
            *(
                of(rule, events.order(who, at=LONG_AGO + days * DAY + number, order_id=f"{rule}-{number}"))
                for rule in rules
                for number, days in enumerate((0, 0, 0 if rule == "once_per_session" else 40))
            ),
            families.stage(who, stage="won", lead_id="l-1", name="deal", at=LONG_AGO, event_id="won"),
            families.root(who, order_id="deal-1", name="deal", at=LONG_AGO + 40 * DAY),
        )
        await forget(world.attribution)
        first_of_each = [events.refund(0, at=TODAY, order_id=f"{rule}-0", event_id=f"x-{rule}") for rule in rules]
        for rule, (_, taken) in zip(rules, first_of_each, strict=True):
            taken.event.adjustment.reason = AdjustmentReason.ADJUSTMENT_REASON_RETRACTION
            of(rule, ("A", taken))
        await world.happen(*first_of_each)
        await world.happen(families.stage("customer:crm", stage="lost", lead_id="l-1", at=TODAY, event_id="lost"))
        counted = dict(await world.attribution.stored("order_id, counted"))
        assert sorted(one for one in counted if counted[one]) == ["deal-1", *sorted(f"{rule}-1" for rule in rules)]
        await agrees_once(world, forget)


@FORGETTING
async def test_a_forgotten_order_that_is_taken_back_ended_no_path(
    stores: Stores, clickhouse_url: str, workspace: str, forget: Forget
) -> None:
    events, who = Events(workspace), "visitor:a"
    resets = [{"path_after_conversion": {"reset": ["purchase"]}}]
    async with reconciled(stores.empty_redis_url(), clickhouse_url, workspace, attribution=resets) as world:
        await world.happen(
            events.touch(who, at=LONG_AGO - HOUR, channel="Email"),
            events.order(who, at=LONG_AGO, order_id="o-1"),
            events.touch(who, at=LONG_AGO + DAY, channel="Display"),
            events.order(who, at=LONG_AGO + 2 * DAY, order_id="o-2"),
        )
        await forget(world.attribution)
        await world.happen(events.retraction(order_id="o-1", at=TODAY))
        touched = dict(await world.attribution.stored("order_id, touch_channels"))
        assert touched["o-2"] == ["Email", "Display"]
        await agrees_once(world, forget)
        _, restated = events.refund(90_000_000, order_id="o-1", at=TODAY + 1)
        restated.event.adjustment.reason = AdjustmentReason.ADJUSTMENT_REASON_RESTATEMENT
        await world.happen(("A", restated))
        touched = dict(await world.attribution.stored("order_id, touch_channels"))
        assert touched["o-2"] == ["Display"]
        await agrees_once(world, forget)


async def test_what_is_recalled_of_somebody_does_not_hang_on_who_else_is(
    world: Reconciled, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary_attribution.forgotten_touches._MOST", 20)
    busy = [
        events.touch("visitor:b", at=SOLD - 19 * DAY - number * HOUR // 2, event_id=f"b-{number}")
        for number in range(1, 31)
    ]
    await world.happen(*busy, events.touch("visitor:a", at=SOLD - 20 * DAY, event_id="t-20"))
    await expired(world.attribution)
    orders = [events.order(f"visitor:{who}", at=SOLD, order_id=f"o-{who}") for who in "ab"]
    await world.happen(*orders)
    assert credited((await chain(world.attribution, "o-a"))[0]) == named("t-20")
    newest = [f"b-{number}" for number in range(20, 0, -1)]
    assert set(credited((await chain(world.attribution, "o-b"))[0])) <= set(named(*newest))
    found = dict(await world.attribution.stored("order_id, findings"))
    assert found == {"o-a": [], "o-b": ["incomplete_journey"]}, "who has too much says so"


@FORGETTING
async def test_an_order_that_turns_out_to_be_anothers_leaves_nothing_behind(
    stores: Stores, clickhouse_url: str, workspace: str, forget: Forget
) -> None:
    events, once = Events(workspace), [{"name": "purchase", "counting": "once_per_person"}]
    async with reconciled(stores.empty_redis_url(), clickhouse_url, workspace, conversions=once) as world:
        await world.happen(
            events.touch("visitor:a", at=LONG_AGO - DAY),
            events.order("visitor:a", at=LONG_AGO, order_id="o-1", rank=1),
            events.order("customer:1", at=LONG_AGO + DAY, order_id="theirs"),
            events.identify("customer:1", "visitor:a", at=LONG_AGO),
        )
        counted = await world.attribution.stored("order_id, counted, touch_channels")
        assert counted == [("o-1", True, ["Paid Search"]), ("theirs", False, ["Paid Search"])]
        await forget(world.attribution)
        await world.happen(events.order("customer:2", at=LONG_AGO + 1, order_id="o-1", letter="M"))
        counted = await world.attribution.stored("order_id, counted, touch_channels")
        assert counted == [("o-1", True, ["unattributed"]), ("theirs", True, ["Paid Search"])]
        await agrees_once(world, forget)


async def test_whoever_only_saw_something_is_recalled(stores: Stores, clickhouse_url: str, workspace: str) -> None:
    events, settings = Events(workspace), {"impression_policy": "full", "impression_window_days": 30}

    def seen(who: str, at: int, event_id: str) -> Admitted:
        made = events.touch(who, at=at, event_id=event_id)
        made[1].event.touchpoint.kind = TouchpointKind.TOUCHPOINT_KIND_IMPRESSION
        return made

    async with reconciled(stores.empty_redis_url(), clickhouse_url, workspace, attribution=[settings]) as world:
        late, then, again = events.order("visitor:a", at=SOLD), LONG_AGO - DAY, LONG_AGO - 2 * DAY
        ordered = events.order("customer:c", at=LONG_AGO, order_id="o-2")
        await world.happen(seen("visitor:a", SOLD - 25 * DAY, "late"), seen("visitor:c", then, "merged"), ordered)
        await world.happen(seen("visitor:c", again, "earlier"))
        await expired(world.attribution)
        await world.happen(late, events.identify("customer:c", "visitor:c", at=TODAY))
        assert credited((await chain(world.attribution))[0]) == named("late")
        assert credited((await chain(world.attribution, "o-2"))[-1]) == named("earlier", "merged")
        await agrees(world)


async def test_what_was_trimmed_for_number_is_recalled(
    world: Reconciled, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary_attribution.attributor.journey_events", lambda _: 8)
    who = "visitor:a"
    busy = [events.touch(who, at=SOLD - number * HOUR, event_id=f"t-{number}") for number in range(30, 0, -1)]
    later = [events.touch(who, at=SOLD + number * HOUR) for number in range(1, 20)]
    await world.happen(*busy, *later)
    await world.happen(events.order(who, at=SOLD))
    await world.happen(events.touch(who, at=SOLD - 20 * HOUR - HOUR // 2, event_id="late"))
    found = await chain(world.attribution)
    assert causes(found) == [["INITIAL"], ["LATE_TOUCHPOINT"]]
    assert credited(found[0]) == named(*(f"t-{number}" for number in range(30, 0, -1)))
    assert len(credited(found[1])) == 31
    assert await world.attribution.stored("findings") == [([],)]
    await agrees(world)
