"""Events in, published conversions out, on real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest

from tests.support.attribution import DAY, NOON, Attribution, Events, running_attribution
from tributary.attribution.v1.conversion_pb2 import NotCountedReason, RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary.event.v1.event_pb2 import Traffic
from tributary_runtime.errors import PoisonEvent
from tributary_storage.redis.descriptors import Descriptors


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


def causes(revised: ConversionRevised) -> list[str]:
    return [RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_").lower() for cause in revised.causes]


def linear(revised: ConversionRevised) -> dict[str, int]:
    """Returns channel -> value under linear, with what nobody earned."""
    shares: dict[str, int] = {}
    for touch in revised.state.touches:
        share = touch.credits[3]
        shares[touch.source.channel] = shares.get(touch.source.channel, 0) + share.value_micros
    nobody = revised.state.models[3].unattributed
    if nobody.credit_micros:
        shares["unattributed"] = nobody.value_micros
    return shares


async def test_touches_before_a_conversion_earn_it(attribution: Attribution, events: Events) -> None:
    await attribution.handle(
        events.touch("visitor:a", at=NOON - 2 * DAY, channel="Paid Search"),
        events.touch("visitor:a", at=NOON - DAY, channel="Email"),
        events.order("visitor:a"),
    )
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert linear(revised) == {"Paid Search": 45_000_000, "Email": 45_000_000}
    assert causes(revised) == ["initial"]
    assert (revised.counted_delta, revised.value_delta_micros) == (1, 90_000_000)
    assert [one.revision for one in await attribution.logged()] == [revised.revision]
    assert await attribution.stored("conversion_id, revision, touch_channels, linear_value_micros") == [
        (events.conversion_id(), revised.revision, ["Paid Search", "Email"], [45_000_000, 45_000_000])
    ]


async def test_a_late_touchpoint_revises(attribution: Attribution, events: Events) -> None:
    await attribution.handle(events.order("visitor:a"))
    await attribution.handle(events.touch("visitor:a", at=NOON - DAY, channel="Email"))
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert causes(revised) == ["late_touchpoint"]
    assert linear(revised) == {"Email": 90_000_000}
    first, second = await attribution.logged()
    assert (first.previous_revision, second.previous_revision) == (0, first.revision)
    assert list(second.causing_event_ids) == ["e-1"]


async def test_a_touch_outside_the_window_changes_nothing(attribution: Attribution, events: Events) -> None:
    await attribution.handle(events.touch("visitor:a"), events.order("visitor:a"))
    await attribution.handle(
        events.touch("visitor:a", at=NOON - 30 * DAY - 1), events.touch("visitor:a", at=NOON + DAY)
    )
    assert len(await attribution.logged()) == 1


async def test_both_ends_of_the_window_are_inside(attribution: Attribution, events: Events) -> None:
    await attribution.handle(
        events.touch("visitor:a", at=NOON - 30 * DAY, channel="Email"),
        events.touch("visitor:a", at=NOON, channel="Display"),
        events.order("visitor:a"),
    )
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert linear(revised) == {"Email": 45_000_000, "Display": 45_000_000}


async def test_how_late_a_touch_may_be_is_a_setting(
    redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    allowed = [{"late_touch_seconds": 30}]
    async with running_attribution(redis_url, clickhouse_url, workspace, attribution=allowed) as attribution:
        await attribution.handle(events.order("visitor:a"))
        await attribution.handle(events.touch("visitor:a", at=NOON + 30_000_001, channel="Display"))
        await attribution.handle(events.touch("visitor:a", at=NOON + 30_000_000, channel="Email"))
        revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert linear(revised) == {"Email": 90_000_000}


@pytest.mark.parametrize("is_refund_first", [False, True])
async def test_a_refund_counts_whether_it_comes_before_or_after(
    attribution: Attribution, events: Events, is_refund_first: bool
) -> None:
    order, refund = events.order("visitor:a"), events.refund(30_000_000)
    await attribution.handle(events.touch("visitor:a"))
    for event in (refund, order) if is_refund_first else (order, refund):
        await attribution.handle(event)
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert revised.state.value.amount_micros == 60_000_000
    assert linear(revised) == {"Paid Search": 60_000_000}
    assert [one.change_micros for one in revised.state.adjustments] == [-30_000_000]
    assert causes(revised) == (["initial"] if is_refund_first else ["refund"])


@pytest.mark.parametrize("is_backend_first", [False, True])
async def test_browser_and_backend_observe_one_conversion(
    attribution: Attribution, events: Events, is_backend_first: bool
) -> None:
    browser = events.order("visitor:a", rank=1, micros=95_000_000, at=NOON, event_id="browser")
    backend = events.order("customer:1", rank=2, micros=90_000_000, at=NOON + 5_000_000, event_id="backend", letter="M")
    await attribution.handle(events.touch("visitor:a", channel="Email", at=NOON - DAY))
    await attribution.handle(events.touch("customer:1", channel="Display", at=NOON - 2 * DAY))
    for event in (backend, browser) if is_backend_first else (browser, backend):
        await attribution.handle(event)
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert revised.state.value.amount_micros == 90_000_000
    assert list(revised.state.observation_event_ids) == ["browser", "backend"]
    assert linear(revised) == {"Email": 45_000_000, "Display": 45_000_000}
    rows = await attribution.stored("conversion_id, counted, value_micros")
    assert rows == [(events.conversion_id(), True, 90_000_000)]


async def test_people_who_turn_out_to_be_one_share_their_touches(attribution: Attribution, events: Events) -> None:
    await attribution.handle(
        events.touch("visitor:a", channel="Email", at=NOON - 3 * DAY),
        events.order("visitor:a", order_id="o-a"),
        events.touch("visitor:b", channel="Display", at=NOON - 2 * DAY),
        events.order("visitor:b", order_id="o-b", at=NOON + 1_000_000),
    )
    await attribution.handle(events.identify("visitor:a", "visitor:b"))
    for order_id in ("o-a", "o-b"):
        revised = await attribution.published(events.conversion_id(order_id))
        assert revised is not None
        assert linear(revised) == {"Email": 45_000_000, "Display": 45_000_000}
        assert "identity_merge" in causes(revised)
    both = [await attribution.published(events.conversion_id(order_id)) for order_id in ("o-a", "o-b")]
    assert len({one.state.person_id for one in both if one}) == 1
    assert len(await attribution.logged()) == 4


async def test_a_quarantined_touch_earns_nothing_and_links_nobody(attribution: Attribution, events: Events) -> None:
    await attribution.handle(
        events.touch("visitor:a", "visitor:b", letter="Q"),
        events.touch("visitor:b", channel="Email"),
        events.order("visitor:a"),
    )
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert linear(revised) == {"unattributed": 90_000_000}
    journey = await attribution.journeys.by_conversion_id(attribution.workspace.id, events.conversion_id())
    assert [step.touchpoint.quarantined for step in journey.steps if step.HasField("touchpoint")] == [True]


async def test_test_traffic_is_stored_and_not_counted(attribution: Attribution, events: Events) -> None:
    await attribution.handle(events.touch("visitor:a"), events.order("visitor:a", traffic=Traffic.TRAFFIC_TEST))
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert not revised.state.counted
    assert revised.state.not_counted_reason == NotCountedReason.NOT_COUNTED_REASON_TRAFFIC
    assert (revised.counted_delta, revised.value_delta_micros, len(revised.deltas)) == (0, 0, 0)
    assert await attribution.stored("counted, value_micros") == [(False, 90_000_000)]


async def test_a_conversion_whose_time_was_corrected_leaves_no_ghost(attribution: Attribution, events: Events) -> None:
    await attribution.handle(events.order("visitor:a", at=NOON, event_id="later"))
    await attribution.handle(events.order("visitor:a", at=NOON - 40 * DAY, event_id="earlier", letter="M"))
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert revised.HasField("replaced_conversion_time")
    assert await attribution.stored("observation_event_ids") == [(["earlier", "later"],)]


async def test_duplicates_conflicts_and_rejections_are_not_read(attribution: Attribution, events: Events) -> None:
    for letter in "DCR":
        await attribution.handle(events.order("visitor:a", letter=letter))
    assert await attribution.published(events.conversion_id()) is None


async def test_deltas_add_up_to_the_state(attribution: Attribution, events: Events) -> None:
    await attribution.handle(events.order("visitor:a"))
    await attribution.handle(events.touch("visitor:a", channel="Email"))
    await attribution.handle(events.refund(90_000_000))
    await attribution.handle(events.touch("visitor:a", channel="Display", at=NOON - 2 * DAY))
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    value = count = 0
    for revised in await attribution.logged():
        value, count = value + revised.value_delta_micros, count + revised.counted_delta
        for delta in revised.deltas:
            key = (delta.model, delta.source.channel)
            credit, amount = totals.get(key, (0, 0))
            totals[key] = (credit + delta.credit_micros, amount + delta.value_micros)
    assert (value, count) == (0, 1)
    assert {key: sums for key, sums in totals.items() if key[0] == "linear" and any(sums)} == {
        ("linear", "Email"): (500_000, 0),
        ("linear", "Display"): (500_000, 0),
    }


async def test_click_ids_are_the_conversion_s_own_else_the_newest_of_the_journey(
    attribution: Attribution, events: Events
) -> None:
    order = events.order("visitor:a")
    order[1].event.click_ids.fbclid = "own"
    await attribution.handle(
        events.touch("visitor:a", at=NOON - 3 * DAY, clicks={"gclid": "older"}),
        events.touch("visitor:a", at=NOON - 2 * DAY, clicks={"gclid": "newer"}),
        events.touch("visitor:a", at=NOON - 2 * DAY, clicks={"gclid": "a bot's"}, letter="Q"),
        events.touch("visitor:a", at=NOON - DAY, clicks={"fbclid": "not the own"}),
        events.touch("visitor:a", at=NOON + DAY, clicks={"gclid": "after"}),
        events.touch("visitor:a", at=NOON - 31 * DAY, clicks={"li_fat_id": "too old to be sent"}),
        events.touch("visitor:a", at=NOON - 80 * DAY, clicks={"msclkid": "old"}),
        order,
    )
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert [(click.family, click.value, click.own) for click in revised.match.click_ids] == [
        ("fbclid", "own", True),
        ("gclid", "newer", False),
        ("msclkid", "old", False),
    ]


async def test_a_refund_long_after_the_journey_has_expired_keeps_the_credit(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(
        events.touch("visitor:a", channel="Email", clicks={"gclid": "g"}),
        events.touch("visitor:a", channel="Direct", at=NOON - DAY // 2),
        events.order("visitor:a"),
    )
    before = await attribution.published(events.conversion_id())
    async for key in attribution.state.scan_iter(match="*journey*"):
        await attribution.state.delete(key)
    await attribution.handle(events.refund(30_000_000, at=NOON + 100 * DAY))
    revised = await attribution.published(events.conversion_id())
    assert before is not None
    assert revised is not None
    assert causes(revised) == ["refund"]
    assert linear(revised) == {"Email": 30_000_000, "Direct": 30_000_000}
    assert (revised.match, revised.state.person_id) == (before.match, before.state.person_id)


class Crowded(Descriptors):
    """Whose cache another reader empties as soon as something was read."""

    async def read(self, wanted: Iterable[tuple[str, int]], life_seconds: int) -> dict[tuple[str, int], bytes]:
        texts = await super().read(wanted, life_seconds)
        await super().read((), life_seconds)
        return texts


async def test_a_reader_that_empties_the_cache_takes_no_source_from_a_batch(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    monkeypatch.setattr("tributary_storage.redis.descriptors._CACHED", 0)
    monkeypatch.setattr("tributary_storage.redis.click_ids._CACHED", 0)
    async with running_attribution(redis_url, clickhouse_url, workspace, descriptors_as=Crowded) as attribution:
        await attribution.handle(events.touch("visitor:a", channel="Email", clicks={"gclid": "g"}))
        await attribution.handle(events.order("visitor:a"))
        revised = await attribution.published(events.conversion_id())
        assert revised is not None
        assert linear(revised) == {"Email": 90_000_000}
        assert [click.value for click in revised.match.click_ids] == ["g"]
        journey = await attribution.journeys.by_conversion_id(workspace, events.conversion_id())
        assert journey.steps[0].touchpoint.source.channel == "Email"


async def test_a_source_whose_text_is_lost_is_not_published_empty(
    attribution: Attribution, redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    await attribution.handle(events.touch("visitor:a", channel="Email"))
    await attribution.lose_sources()
    async with running_attribution(redis_url, clickhouse_url, workspace) as another:
        with pytest.raises(PoisonEvent):
            await another.handle(events.order("visitor:a"))
        assert await another.published(events.conversion_id()) is None


async def test_a_lost_text_of_a_touch_too_old_to_earn_holds_nothing_up(
    attribution: Attribution, redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    await attribution.handle(events.touch("visitor:a", channel="Email", at=NOON - 40 * DAY))
    await attribution.lose_sources()
    async with running_attribution(redis_url, clickhouse_url, workspace) as another:
        await another.handle(events.touch("visitor:a", channel="Organic Search"), events.order("visitor:a"))
        revised = await another.published(events.conversion_id())
        assert revised is not None
        assert linear(revised) == {"Organic Search": 90_000_000}


@pytest.mark.parametrize("traffic", [Traffic.TRAFFIC_INTERNAL, Traffic.TRAFFIC_TEST])
async def test_what_is_not_counted_anyway_can_be_taken_back_and_has_no_deltas(
    attribution: Attribution, events: Events, traffic: Traffic.ValueType
) -> None:
    await attribution.handle(events.touch("visitor:a"), events.order("visitor:a", traffic=traffic))
    await attribution.handle(events.retraction())
    first, second = await attribution.logged()
    assert (first.state.counted, first.state.retracted, first.state.value.amount_micros) == (False, False, 90_000_000)
    assert (second.state.counted, second.state.retracted, second.state.value.amount_micros) == (False, True, 0)
    assert second.state.not_counted_reason == NotCountedReason.NOT_COUNTED_REASON_TRAFFIC
    assert causes(second) == ["retraction"]
    for revised in (first, second):
        assert (revised.value_delta_micros, revised.counted_delta, list(revised.deltas)) == (0, 0, [])


@pytest.mark.parametrize("is_touch_first", [True, False], ids=["touch first", "conversion first"])
@pytest.mark.parametrize(
    ("at", "letter", "reason"),
    [
        pytest.param(NOON - 45 * DAY, "A", "OUTSIDE_WINDOW", id="before the window"),
        pytest.param(NOON - 45 * DAY, "Q", "OUTSIDE_WINDOW", id="quarantined, before the window"),
        pytest.param(NOON - DAY, "Q", "ONLY_QUARANTINED", id="quarantined, in the window"),
        pytest.param(NOON + DAY, "A", "NO_TOUCHPOINT", id="after the conversion"),
    ],
)
async def test_the_reason_of_an_empty_answer_hangs_on_no_order_of_arrival(
    attribution: Attribution, events: Events, is_touch_first: bool, at: int, letter: str, reason: str
) -> None:
    arrivals = [events.touch("visitor:a", at=at, letter=letter), events.order("visitor:a")]
    for event in arrivals if is_touch_first else reversed(arrivals):
        await attribution.handle(event)
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    reasons = {UnattributedReason.Name(model.unattributed.reason) for model in revised.state.models}
    assert reasons == {f"UNATTRIBUTED_REASON_{reason}"}


async def test_a_click_id_older_than_the_lookback_is_matched_though_it_comes_late(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(events.order("visitor:a"))
    await attribution.handle(events.touch("visitor:a", at=NOON - 45 * DAY, clicks={"gclid": "old"}))
    await attribution.handle(events.touch("visitor:a", at=NOON - 40 * DAY, clicks={"gclid": "less old"}))
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert [(one.family, one.value) for one in revised.match.click_ids] == [("gclid", "less old")]
    assert causes(revised) == ["late_touchpoint"]


async def test_a_default_value_is_credited_and_stored_as_one(
    redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    worth = [{"name": "purchase", "role": "LEAD", "default_value": {"currency": "EUR", "amount": 20}}]
    async with running_attribution(redis_url, clickhouse_url, workspace, conversions=worth) as attribution:
        await attribution.handle(events.touch("visitor:a", channel="Email"), events.order("visitor:a", micros=None))
        columns = "currency, value_micros, original_value_micros, value_source, role, linear_value_micros"
        expected = ("EUR", 20_000_000, 20_000_000, "DEFAULT", "LEAD", [20_000_000])
        assert await attribution.stored(columns) == [expected]


async def test_of_an_empty_answer_there_is_exactly_one_reason(attribution: Attribution, events: Events) -> None:
    await attribution.handle(events.order("visitor:a"), events.touch("visitor:a", at=NOON - 31 * DAY))
    revised = await attribution.published(events.conversion_id())
    assert revised is not None
    reasons = {UnattributedReason.Name(model.unattributed.reason) for model in revised.state.models}
    assert reasons == {"UNATTRIBUTED_REASON_OUTSIDE_WINDOW"}
