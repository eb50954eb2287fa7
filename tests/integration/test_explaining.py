"""Why a conversion has its credit, and what credit it would have: computed from what is published, stored nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.eventually import moment_passed
from tributary.attribution.v1.conversion_pb2 import NotCountedReason
from tributary.attribution.v1.explanation_pb2 import (
    CreditSettings,
    ExplainedModel,
    Explanation,
    NoShareReason,
    TouchpointExclusion,
)
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary.event.v1.event_pb2 import Traffic
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_CLICK, TOUCHPOINT_KIND_IMPRESSION
from tributary_domain.event_order import event_hash
from tributary_domain.settings import MODELS
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import InvalidRequestError, NotFoundError
from tributary_storage.codec.event_references import event_reference
from tributary_storage.redis.journey_layout import META, event_field, meta_of

HOUR = DAY // 24
WHOLE = 1_000_000


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


def outcomes(explanation: Explanation) -> dict[str, str]:
    """Returns event reference -> "credited" or why not."""
    found = {}
    for one in explanation.touchpoints:
        name = TouchpointExclusion.Name(one.exclusion).removeprefix("TOUCHPOINT_EXCLUSION_").lower()
        assert one.credited == (name == "unspecified")
        found[one.event_id] = "credited" if one.credited else name
    return found


def named(**by_id: str) -> dict[str, str]:
    return {event_reference(event_hash(event_id)): outcome for event_id, outcome in by_id.items()}


def model_of(explanation: Explanation, name: str) -> ExplainedModel:
    return next(model for model in explanation.models if model.name == name)


def shares(explanation: Explanation, name: str) -> dict[str, int]:
    return {share.source.channel: share.credit_micros for share in model_of(explanation, name).shares}


async def explained(attribution: Attribution, events: Events, as_of: int | None = None) -> Explanation:
    return (await attribution.explainer.explain(attribution.workspace.id, events.conversion_id(), as_of)).message


async def simulated(attribution: Attribution, events: Events, **settings: Any) -> Explanation:
    asked = CreditSettings(**settings)
    return await attribution.explainer.simulate(attribution.workspace.id, events.conversion_id(), asked)


def changed(admitted: Admitted, **own: Any) -> Admitted:
    letter, event = admitted
    for name, value in own.items():
        setattr(event.event, name, value)
    return letter, event


def denied(admitted: Admitted) -> Admitted:
    admitted[1].event.consent.analytics_storage = CONSENT_STATE_DENIED
    return admitted


def of_kind(admitted: Admitted, kind: int) -> Admitted:
    admitted[1].event.touchpoint.kind = kind  # type: ignore[assignment]
    return admitted


async def test_every_touchpoint_is_credited_or_has_one_reason(attribution: Attribution, events: Events) -> None:
    clicked = {"gclid": "one"}
    await attribution.handle(
        events.touch("visitor:a", at=NOON - 40 * DAY, channel="Display", event_id="old"),
        of_kind(events.touch("visitor:a", at=NOON - 3 * DAY, event_id="click", clicks=clicked), TOUCHPOINT_KIND_CLICK),
        events.touch("visitor:a", at=NOON - 3 * DAY + 1, event_id="visit", clicks=clicked),
        events.touch("visitor:a", at=NOON - 2 * DAY, channel="Email", event_id="mail"),
        events.touch("visitor:a", at=NOON - 2 * DAY + 1, channel="", event_id="paid", continues_session=True),
        events.touch("visitor:a", at=NOON - DAY, channel="Affiliate", event_id="bot", letter="Q"),
        denied(events.touch("visitor:a", at=NOON - DAY, channel="Affiliate", event_id="refused")),
        changed(
            events.touch("visitor:a", at=NOON - DAY, channel="Affiliate", event_id="staff"),
            traffic=Traffic.TRAFFIC_INTERNAL,
        ),
        of_kind(events.touch("visitor:a", at=NOON - HOUR, event_id="seen"), TOUCHPOINT_KIND_IMPRESSION),
        events.touch("visitor:a", at=NOON + HOUR, event_id="after"),
        events.order("visitor:a"),
    )
    explanation = await explained(attribution, events)
    assert outcomes(explanation) == named(
        old="outside_window",
        click="credited",
        visit="folded",
        mail="credited",
        paid="not_a_touch",
        bot="quarantined",
        refused="no_consent",
        staff="internal_traffic",
        seen="impression_ignored",
        after="after_conversion",
    )
    folded = next(one for one in explanation.touchpoints if one.folded_into_event_id)
    assert folded.folded_into_event_id == event_reference(event_hash("click"))
    assert explanation.reproduces_revision
    published = await attribution.published(events.conversion_id())
    assert published is not None
    assert explanation.revision == published.revision
    assert explanation.settings.version == published.state.settings_version


async def test_the_division_of_each_model_can_be_computed_again(attribution: Attribution, events: Events) -> None:
    channels = {"Paid Search": 14, "Email": 7, "Display": 3}
    touches = [events.touch("visitor:a", at=NOON - days * DAY, channel=name) for name, days in channels.items()]
    await attribution.handle(*touches, events.order("visitor:a", micros=100))
    explanation = await explained(attribution, events)
    published = await attribution.published(events.conversion_id())
    assert published is not None
    assert [model.name for model in explanation.models] == [model.value for model in MODELS]
    for place, model in enumerate(explanation.models):
        whole = int(model.weights_sum)
        assert whole == sum(share.weight for share in model.shares)
        assert sum(share.credit_extra for share in model.shares) == model.credit_left_over
        for share, touch in zip(model.shares, published.state.touches, strict=True):
            quotient, remainder = divmod(WHOLE * share.weight, whole)
            assert (quotient + share.credit_extra, str(remainder)) == (share.credit_micros, share.credit_remainder)
            quotient, remainder = divmod(100 * share.weight, whole)
            assert (quotient + share.value_extra, str(remainder)) == (share.value_micros, share.value_remainder)
            got = touch.credits[place]
            assert (share.credit_micros, share.value_micros) == (got.credit_micros, got.value_micros)
            assert bool(share.credit_micros) != bool(share.no_share_reason)
    ages = [share.age.seconds // 86_400 for share in model_of(explanation, "time_decay").shares]
    assert ages == [14, 7, 3]
    reasons = [share.no_share_reason for share in model_of(explanation, "first_touch").shares]
    assert reasons == [0, NoShareReason.NO_SHARE_REASON_NOT_FIRST, NoShareReason.NO_SHARE_REASON_NOT_FIRST]


async def test_an_earlier_moment_is_explained_by_what_had_been_accepted_then(
    attribution: Attribution, events: Events
) -> None:
    """A refund, a late touch and another device came later: then, none of them was there."""
    clock = SystemClock()
    first = [events.touch("visitor:a", channel="Email", event_id="mail"), events.order("customer:1", "visitor:a")]
    later = [
        events.touch("visitor:a", at=NOON - 2 * DAY, channel="Display", event_id="late"),
        events.touch("visitor:b", at=NOON - 3 * DAY, channel="Affiliate", event_id="device"),
        events.identify("customer:1", "visitor:b"),
        events.refund(40_000_000),
    ]
    await attribution.record(*first, accept_micros=clock.unix_micros())
    await attribution.handle(*first, accept_micros=clock.unix_micros())
    then = clock.unix_micros()
    await attribution.record(*later, accept_micros=then + 1_000)
    await attribution.handle(*later, accept_micros=then + 1_000)

    now = await explained(attribution, events)
    assert outcomes(now) == named(mail="credited", late="credited", device="credited")
    assert now.value.amount_micros == 50_000_000
    assert now.reproduces_revision

    past = await explained(attribution, events, then)
    assert outcomes(past) == named(mail="credited", late="not_known_yet", device="not_known_yet")
    assert past.value.amount_micros == 90_000_000
    assert shares(past, "linear") == {"Email": WHOLE}
    assert past.reproduces_revision
    assert past.revision < now.revision

    with pytest.raises(NotFoundError):
        await explained(attribution, events, then - DAY)


async def test_a_device_that_was_somebody_elses_then_is_not_explained_as_credited(
    attribution: Attribution, events: Events
) -> None:
    """Its touch had been accepted, and nobody knew whose it was: only the event that connected them came later."""
    clock = SystemClock()
    first = [
        events.touch("visitor:b", channel="Affiliate", event_id="device"),
        events.order("customer:1", "visitor:a"),
    ]
    connecting = events.identify("customer:1", "visitor:b")
    await attribution.record(*first, accept_micros=clock.unix_micros())
    await attribution.handle(*first, accept_micros=clock.unix_micros())
    then = clock.unix_micros()
    await attribution.record(connecting, accept_micros=then + 1_000)
    await attribution.handle(connecting, accept_micros=then + 1_000)
    assert outcomes(await explained(attribution, events)) == named(device="credited")
    past = await explained(attribution, events, then)
    assert outcomes(past) == named(device="not_known_yet")
    assert past.reproduces_revision


async def test_a_touch_of_somebody_elses_device_then_is_not_explained_as_the_person_s(
    attribution: Attribution, events: Events
) -> None:
    """Two customers of one tablet: it was the second's, as far as one knew, until it was heard who had it first."""
    clock = SystemClock()
    first = [
        events.touch("visitor:tablet", at=NOON - 3 * DAY, channel="Email", event_id="tablet"),
        events.identify("customer:2", "visitor:tablet", at=NOON - 2 * DAY),
        events.order("customer:1", "visitor:tablet"),
    ]
    late = events.identify("customer:1", "visitor:tablet", at=NOON - 4 * DAY)
    await attribution.record(*first, accept_micros=clock.unix_micros())
    await attribution.handle(*first, accept_micros=clock.unix_micros())
    then = clock.unix_micros()
    await attribution.record(late, accept_micros=then + 1_000)
    await attribution.handle(late, accept_micros=then + 1_000)
    assert outcomes(await explained(attribution, events)) == named(tablet="credited")
    past = await explained(attribution, events, then)
    assert outcomes(past) == named(tablet="not_known_yet")
    assert past.reproduces_revision


async def test_what_was_released_later_waited_in_quarantine_then(attribution: Attribution, events: Events) -> None:
    clock = SystemClock()
    bot = events.touch("visitor:a", letter="Q", channel="Display", event_id="bot")
    first = [bot, events.touch("visitor:a", channel="Email", event_id="mail"), events.order("visitor:a")]
    await attribution.record(*first, accept_micros=clock.unix_micros())
    await attribution.handle(*first, accept_micros=clock.unix_micros())
    then = clock.unix_micros()
    released = events.release(bot)
    released[1].decision.quarantine.first_accept_time.FromMicroseconds(then - 1_000)
    await attribution.record(released, accept_micros=then + 1_000)
    await attribution.handle(released, accept_micros=then + 1_000)
    await attribution.clickhouse.execute("OPTIMIZE TABLE events FINAL")
    assert outcomes(await explained(attribution, events)) == named(bot="credited", mail="credited")
    past = await explained(attribution, events, then)
    assert outcomes(past) == named(bot="quarantined", mail="credited")
    assert past.reproduces_revision


async def test_what_was_decided_or_taken_back_later_was_not_then(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    """Neither a no to being measured, nor that the first of two orders, of which one counts, was taken back."""
    make, clock = Events(workspace), SystemClock()
    _, refusing = make.identify("visitor:a", at=NOON - 3 * DAY, event_id="no")
    refusing.event.consent_change.SetInParent()
    refusing.event.consent.analytics_storage = CONSENT_STATE_DENIED
    refusing.event.consent.consent_time.FromMicroseconds(NOON - 3 * DAY)
    first = [
        make.touch("visitor:a", channel="Email", event_id="mail"),
        make.order("visitor:a", order_id="o-0", at=NOON - 1),
        make.order("visitor:a"),
    ]
    conversions = [{"name": "purchase", "counting": "once_per_person"}]
    async with running_attribution(redis_url, clickhouse_url, workspace, conversions=conversions) as attribution:
        moments = []
        for batch in (first, [("A", refusing), make.retraction(order_id="o-0")]):
            accepted = clock.unix_micros()
            await attribution.record(*batch, accept_micros=accepted)
            await attribution.handle(*batch, accept_micros=accepted)
            moments.append(moment_passed())
        now = await explained(attribution, make)
        assert (outcomes(now), now.not_counted_reason) == (named(mail="no_consent"), 0)
        assert await explained(attribution, make, moments[1]) == _without_beginning(now), "all of it is known"
        past = await explained(attribution, make, moments[0])
        once = NotCountedReason.NOT_COUNTED_REASON_ONCE_PER_PERSON
        assert (outcomes(past), past.not_counted_reason) == (named(mail="credited"), once)
        assert past.reproduces_revision


def _without_beginning(explanation: Explanation) -> Explanation:
    explanation.ClearField("beginning")
    explanation.ClearField("returning")
    return explanation


async def test_other_settings_are_tried_and_nothing_is_stored(attribution: Attribution, events: Events) -> None:
    await attribution.handle(
        events.touch("visitor:a", at=NOON - 40 * DAY, channel="Display"),
        events.touch("visitor:a", at=NOON - 7 * DAY, channel="Email"),
        events.touch("visitor:a", at=NOON - 6 * DAY, channel="Affiliate"),
        events.touch("visitor:a", at=NOON - 5 * DAY, channel="Affiliate"),
        events.order("visitor:a"),
    )
    before = await attribution.published(events.conversion_id())
    assert before is not None

    same = await simulated(attribution, events)
    assert same.reproduces_revision
    assert same.published_touches == before.state.touches

    longer = await simulated(attribution, events, lookback_days=60)
    assert shares(longer, "first_touch")["Display"] == WHOLE
    assert not longer.reproduces_revision
    assert longer.settings.version not in ("", before.state.settings_version)

    alone = await simulated(attribution, events, model_lookback_days={"first_touch": 60})
    assert shares(alone, "first_touch")["Display"] == WHOLE
    assert shares(alone, "linear")["Display"] == 0

    ends = await simulated(attribution, events, position_weights=[100, 0, 0])
    assert shares(ends, "position_based")["Email"] == WHOLE

    sooner = await simulated(attribution, events, half_life_hours=24)
    weights = [share.weight for share in model_of(sooner, "time_decay").shares]
    assert [weights[2] // weight for weight in weights] == [4, 2, 1]

    once = await simulated(attribution, events, collapse_repeats=True)
    assert [share.source.channel for share in model_of(once, "linear").shares] == ["Email", "Affiliate"]

    passed = await simulated(attribution, events, direct_channels=["Affiliate"])
    assert shares(passed, "last_non_direct")["Email"] == WHOLE
    passed = await simulated(attribution, events, no_direct_channels=True)
    assert shares(passed, "last_non_direct")["Affiliate"] == WHOLE

    after = await attribution.published(events.conversion_id())
    assert after == before
    assert len(await attribution.logged()) == 1


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        pytest.param({"lookback_days": 0}, "settings.lookback_days", id="no window"),
        pytest.param({"position_weights": [1, 2]}, "settings.position_weights", id="two weights"),
        pytest.param({"position_weights": [0, 0, 0]}, "settings", id="no weight"),
        pytest.param({"touch_grain": "day"}, "settings.touch_grain", id="no grain"),
        pytest.param({"model_lookback_days": {"best": 3}}, "settings.model_lookback_days.best.[key]", id="no model"),
    ],
)
async def test_settings_that_no_file_could_say_are_refused(
    attribution: Attribution, events: Events, settings: dict[str, Any], field: str
) -> None:
    await attribution.handle(events.order("visitor:a"))
    with pytest.raises(InvalidRequestError) as refused:
        await simulated(attribution, events, **settings)
    assert [violation.field for violation in refused.value.violations] == [field]


async def test_who_asks_for_what_never_was_leaves_no_trace(attribution: Attribution, events: Events) -> None:
    before = await attribution.state.dbsize()
    with pytest.raises(NotFoundError):
        await explained(attribution, events)
    assert await attribution.state.dbsize() == before


async def test_what_redis_has_lost_is_explained_from_clickhouse(attribution: Attribution, events: Events) -> None:
    admitted = [events.touch("visitor:a", channel="Email"), events.order("visitor:a")]
    await attribution.record(*admitted)
    await attribution.handle(*admitted)
    await attribution.lose_state()
    explanation = await explained(attribution, events)
    assert shares(explanation, "linear") == {"Email": WHOLE}
    assert explanation.reproduces_revision


async def test_of_a_busy_person_each_touch_says_why_though_its_journey_lost_what_an_answer_needs(
    attribution: Attribution, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And though that is too much to be read again."""
    monkeypatch.setattr("tributary_attribution.forgotten_touches._MOST", 1)
    who = "visitor:a"
    touches = [events.touch(who, at=NOON - days * DAY, event_id=f"t-{days}") for days in (3, 1)]
    own = events.touch(who, at=NOON - HOUR, event_id="own")
    own[1].event.traffic = Traffic.TRAFFIC_INTERNAL
    life = [*touches, own, events.order(who), events.touch(who, at=NOON + HOUR, event_id="after")]
    await attribution.record(*life)
    await attribution.handle(*life)
    async for key in attribution.state.scan_iter(match="trb:*:journey:*"):
        held = await attribution.state.hgetall(key)
        if META in held:
            until = (NOON - 2 * DAY) // 1_000_000
            lost = meta_of(held)._replace(trimmed_seconds=until, has_lost_touches=1)
            await attribution.state.hset(key, META, lost.pack())
            await attribution.state.hdel(key, event_field(event_hash("t-3")))
    waiting = events.touch(who, at=NOON - 2 * HOUR, event_id="waiting", letter="Q")
    await attribution.handle(events.touch(who, at=NOON - HOUR, event_id="late"), waiting)
    explanation = (await attribution.explainer.explain(events.workspace, events.conversion_id())).message
    assert outcomes(explanation) == named(
        **{"t-3": "credited", "t-1": "credited"},
        own="internal_traffic",
        after="after_conversion",
        late="credit_kept",
        waiting="quarantined",
    )
