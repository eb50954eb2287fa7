"""What is published of a conversion, from what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Events
from tributary.attribution.v1.conversion_pb2 import ConversionRole, RevisionCause, ValueBasis
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary.attribution.v1.finding_pb2 import FindingKind
from tributary.event.v1.conversion_pb2 import ValueSource
from tributary.event.v1.event_pb2 import Traffic
from tributary_attribution.arrivals import ArrivalReader
from tributary_attribution.crediting import Revision, revise
from tributary_attribution.known import CausingEvent, Known
from tributary_attribution.views import Views
from tributary_domain.event_order import event_hash
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.conversion_rows import revision_row
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_parts import unpack_parts
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis.conversions import StoredConversion
from tributary_storage.redis.journey_layout import META, Journey, Meta, unpack_journey

EVENTS = Events("shop")
LIFE_SECONDS = 59 * 86_400
NOW = NOON + DAY


def workspace(**settings: Any) -> Workspace:
    return Workspace.model_validate({"id": "shop", "pepper": {"value": "pepper"}, **settings})


class World:
    """Everything that is known of one conversion."""

    def __init__(self, *admitted: Admitted, settings: Workspace | None = None) -> None:
        self.workspace = settings or workspace()
        self.accepted = NOW
        reader = ArrivalReader()
        self.fields: dict[bytes, bytes] = {}
        self.parts: dict[bytes, bytes] = {}
        for letter, event in admitted:
            arrival = reader.read("shop", letter, event.SerializeToString(), NOW, "")
            if arrival.entry:
                self.fields[arrival.entry[0]] = arrival.entry[1]
            if arrival.part:
                self.parts[arrival.event_hash.to_bytes(8)] = arrival.part
            for token in arrival.tokens if arrival.sighting else ():
                self.fields[token.encode()] = min(arrival.sighting, self.fields.get(token.encode(), arrival.sighting))
        self.source_of = SourceCache().reading(reader.new_texts)

    def journey(self) -> Journey:
        return unpack_journey("p1:x", [self.fields])

    def revise(self, published: Revision | None = None, *, journey: bool = True) -> Revision | None:
        stored = StoredConversion(
            key="shop|c1:00",
            parts=self.parts,
            revision=published.said.revision if published else 0,
            journey_version=0,
            published=published.state if published else b"",
            pending={},
            redis_time_micros=NOW,
        )
        known = Known(
            self.workspace,
            EVENTS.conversion_id(),
            stored,
            unpack_parts(self.parts.values()),
            self.journey() if journey else None,
            [CausingEvent(self.accepted, "e", "")],
            (event_hash("e"),),
            (),
        )
        return revise(known, Views(self.source_of, lambda _workspace, _number: None), LIFE_SECONDS)

    def published(self) -> ConversionRevised:
        revision = self.revise()
        assert revision is not None
        return revision.message


def test_nothing_is_published_before_somebody_observed_the_conversion() -> None:
    assert World(EVENTS.refund(1)).revise() is None


def test_the_same_again_is_no_revision() -> None:
    world = World(EVENTS.touch("visitor:a", channel="Email"), EVENTS.order("visitor:a"))
    first = world.revise()
    assert first is not None
    assert world.revise(first) is None


def test_new_settings_that_change_no_credit_are_no_revision() -> None:
    events = (EVENTS.touch("visitor:a", channel="Email"), EVENTS.order("visitor:a"))
    first = World(*events).revise()
    assert World(*events, settings=workspace(attribution=[{"lookback_days": 31}])).revise(first) is None


def test_a_revision_is_published_no_sooner_than_its_newest_event_was_accepted_by_whatever_clock() -> None:
    world = World(EVENTS.touch("visitor:a", channel="Email"), EVENTS.order("visitor:a"))
    world.accepted = NOW + 2_000_000
    assert (world.published().revision, world.published().publish_time) == (world.accepted, timestamp(world.accepted))


def test_another_role_is_kept_with_the_next_revision_and_is_none_by_itself() -> None:
    order = EVENTS.order("visitor:a")
    first = World(order).revise()
    assert first is not None
    assert first.message.state.role == ConversionRole.CONVERSION_ROLE_REVENUE
    lead = workspace(conversions=[{"name": "purchase", "role": "LEAD", "primary": False}])
    assert World(order, settings=lead).revise(first) is None
    later = World(order, EVENTS.touch("visitor:a"), settings=lead).revise(first)
    assert later is not None
    assert (later.message.state.role, later.message.state.secondary) == (ConversionRole.CONVERSION_ROLE_LEAD, True)


def worth(amount: int) -> Workspace:
    return workspace(conversions=[{"name": "purchase", "default_value": {"currency": "EUR", "amount": amount}}])


def test_a_conversion_without_a_value_gets_its_name_s_default() -> None:
    touch, order = EVENTS.touch("visitor:a", channel="Email"), EVENTS.order("visitor:a", micros=None)
    state = World(touch, order, settings=worth(20)).published().state
    assert state.value_source == ValueSource.VALUE_SOURCE_DEFAULT
    assert (state.value.currency_code, state.value.amount_micros) == ("EUR", 20_000_000)
    assert state.original_value == state.value
    assert [share.value_micros for share in state.touches[0].credits] == [20_000_000] * len(state.models)


def test_without_a_default_it_has_no_value() -> None:
    state = World(EVENTS.order("visitor:a", micros=None)).published().state
    assert (state.HasField("value"), state.value_source) == (False, ValueSource.VALUE_SOURCE_UNSPECIFIED)


def test_a_default_is_pinned_when_it_is_first_published() -> None:
    order = EVENTS.order("visitor:a", micros=None)
    first = World(order, settings=worth(20)).revise()
    late = World(order, EVENTS.touch("visitor:a"), settings=worth(99)).revise(first)
    assert late is not None
    assert (late.message.state.value.amount_micros, late.message.value_delta_micros) == (20_000_000, 0)
    absent = World(order).revise()
    later = World(order, EVENTS.touch("visitor:a"), settings=worth(99)).revise(absent)
    assert later is not None
    assert not later.message.state.HasField("value")


def test_a_refund_takes_from_a_default_and_a_stated_value_takes_its_place() -> None:
    order, refund = EVENTS.order("visitor:a", micros=None), EVENTS.refund(5_000_000)
    first = World(order, settings=worth(20)).revise()
    refunded = World(order, refund, settings=worth(20)).revise(first)
    assert refunded is not None
    assert refunded.message.state.value.amount_micros == 15_000_000
    assert [one.change_micros for one in refunded.message.state.adjustments] == [-5_000_000]
    stated = World(order, refund, EVENTS.order("visitor:a", micros=30_000_000), settings=worth(20)).revise(refunded)
    assert stated is not None
    assert stated.message.state.value.amount_micros == 25_000_000
    assert stated.message.state.value_source == ValueSource.VALUE_SOURCE_STATED


def test_what_is_kept_lacks_only_the_differences_of_credit() -> None:
    revision = World(EVENTS.touch("visitor:a"), EVENTS.order("visitor:a")).revise()
    assert revision is not None
    whole, kept = ConversionRevised.FromString(revision.content), ConversionRevised.FromString(revision.state)
    assert whole == revision.message
    assert whole.deltas
    whole.ClearField("deltas")
    assert kept == whole


def test_a_revision_is_above_the_last_even_where_redis_went_back_in_time() -> None:
    world = World(EVENTS.order("visitor:a"))
    first = world.revise()
    assert first is not None
    first.said.revision = NOW + DAY
    later = World(EVENTS.touch("visitor:a"), EVENTS.order("visitor:a")).revise(first)
    assert later is not None
    assert later.message.revision == NOW + DAY + 1


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([EVENTS.order("visitor:a")], id="nobody earned it"),
        pytest.param([EVENTS.touch("visitor:a"), EVENTS.order("visitor:a")], id="credited"),
        pytest.param([EVENTS.touch("visitor:a", at=NOON + 1), EVENTS.order("visitor:a")], id="a touch just after it"),
        pytest.param([EVENTS.touch("visitor:a"), EVENTS.order("visitor:a", traffic=Traffic.TRAFFIC_TEST)], id="a test"),
        pytest.param([EVENTS.touch("visitor:a"), EVENTS.order("visitor:a"), EVENTS.refund(1)], id="refunded"),
    ],
)
def test_a_revision_is_stored_as_its_message_says(events: list[Admitted]) -> None:
    revision = World(*events).revise()
    assert revision is not None
    read = ConversionRevised.FromString(revision.content)
    row, wanted = revision_row(revision.said, revision.content, revision.credit), revision_row(read, revision.content)
    assert [list(one) if isinstance(one, tuple) else one for one in row] == [
        list(one) if isinstance(one, tuple) else one for one in wanted
    ]


def test_credit_and_money_add_up_for_every_model() -> None:
    world = World(
        *(EVENTS.touch("visitor:a", at=NOON - day * DAY, channel=f"Channel {day}") for day in range(1, 8)),
        EVENTS.order("visitor:a", micros=1),
    )
    state = world.published().state
    for model in range(len(state.models)):
        assert sum(touch.credits[model].credit_micros for touch in state.touches) == 1_000_000
        assert sum(touch.credits[model].value_micros for touch in state.touches) == 1


def test_a_conversion_without_any_identifier_is_anonymous() -> None:
    state = World(EVENTS.order()).published().state
    reasons = {model.unattributed.reason for model in state.models}
    assert reasons == {UnattributedReason.UNATTRIBUTED_REASON_ANONYMOUS}


def test_a_conversion_without_value_has_none() -> None:
    state = World(EVENTS.order("visitor:a", micros=None)).published().state
    assert not state.HasField("value")
    assert state.counted


@pytest.mark.parametrize(
    ("zone", "closed_through", "day"),
    [
        pytest.param("UTC", None, 22, id="the day of publication"),
        pytest.param("Pacific/Auckland", None, 23, id="in the zone of the books"),
        pytest.param("UTC", "2026-09-30", 1, id="or the first open day"),
    ],
)
def test_the_posting_date(zone: str, closed_through: str | None, day: int) -> None:
    reporting = {"time_zone": zone, "books_closed_through": closed_through}
    assert datetime.fromtimestamp(NOW / 1e6, UTC).isoformat() == "2026-09-22T14:13:20+00:00"
    revised = World(EVENTS.order("visitor:a"), settings=workspace(reporting=reporting)).published()
    assert revised.posting_date.day == day


def test_internal_touches_are_out_of_sight_of_what_is_counted() -> None:
    touch = EVENTS.touch("visitor:a")
    touch[1].event.traffic = 2
    assert not World(touch, EVENTS.order("visitor:a")).published().state.touches
    assert len(World(touch, EVENTS.order("visitor:a", traffic=3)).published().state.touches) == 1


@pytest.mark.parametrize(
    ("observed", "traffic"),
    [
        pytest.param([Traffic.TRAFFIC_TEST], Traffic.TRAFFIC_TEST, id="a test"),
        pytest.param([Traffic.TRAFFIC_INTERNAL], Traffic.TRAFFIC_INTERNAL, id="internal"),
        pytest.param([Traffic.TRAFFIC_TEST, Traffic.TRAFFIC_INTERNAL], Traffic.TRAFFIC_INTERNAL, id="both"),
        pytest.param([Traffic.TRAFFIC_TEST, Traffic.TRAFFIC_NORMAL], Traffic.TRAFFIC_UNSPECIFIED, id="a real one too"),
    ],
)
def test_what_is_not_counted_says_whose_traffic_it_is(
    observed: list[Traffic.ValueType], traffic: Traffic.ValueType
) -> None:
    orders = [EVENTS.order("visitor:a", event_id=f"o-{each}", traffic=each) for each in observed]
    assert World(*orders).published().state.traffic == traffic


def test_settings_are_those_of_the_conversion_s_time() -> None:
    history = [{"lookback_days": 30}, {"effective_from": "2026-09-21T00:00:00Z", "lookback_days": 1}]
    events = (EVENTS.touch("visitor:a", at=NOON - 2 * DAY), EVENTS.order("visitor:a", at=NOON))
    assert not World(*events, settings=workspace(attribution=history)).published().state.touches
    history[1]["effective_from"] = "2026-09-22T00:00:00Z"
    assert World(*events, settings=workspace(attribution=history)).published().state.touches


def test_a_journey_that_redis_has_forgotten_takes_no_credit_away() -> None:
    world = World(EVENTS.touch("visitor:a", channel="Email"), EVENTS.order("visitor:a"))
    first = world.revise()
    refund = World(EVENTS.order("visitor:a"), EVENTS.refund(1))
    refund.parts = {**world.parts, **refund.parts}
    later = refund.revise(first, journey=False)
    assert later is not None
    assert [touch.source.channel for touch in later.message.state.touches] == ["Email"]


def forgotten(world: World, *later: Admitted, settings: Workspace | None = None) -> World:
    """Returns what is known after the journey expired: all parts, but a new journey, of what came since."""
    after = World(*later, settings=settings)
    since = (NOON + 11 * DAY) // 1_000_000
    after.fields[META] = Meta(version=1, newest_conversion_micros=NOON, since_seconds=since).pack()
    after.parts = {**world.parts, **after.parts}
    return after


def in_session(session_id: str, touch: Admitted) -> Admitted:
    touch[1].event.session_id = session_id
    return touch


def three_tabs() -> list[Admitted]:
    """Three touches, of which two are apart only by the caller's session ids; then an order that 3 does not divide."""
    return [
        in_session("one", EVENTS.touch("visitor:a", at=NOON - 3_600_000_000, channel="Email")),
        in_session("two", EVENTS.touch("visitor:a", at=NOON - 3_500_000_000, channel="Email")),
        EVENTS.touch("visitor:a", at=NOON - DAY, channel="Direct"),
        EVENTS.order("visitor:a", micros=90_000_001),
    ]


def credits_of(revised: ConversionRevised) -> list[tuple[str, list[int]]]:
    return [(touch.event_id, [share.credit_micros for share in touch.credits]) for touch in revised.state.touches]


def values_of(revised: ConversionRevised) -> list[tuple[str, list[int]]]:
    return [(touch.event_id, [share.value_micros for share in touch.credits]) for touch in revised.state.touches]


def revised_by(world: World, first: Revision | None, *, journey: bool = True) -> ConversionRevised:
    revision = world.revise(first, journey=journey)
    assert revision is not None
    return revision.message


def causes_of(revised: ConversionRevised) -> Sequence[str]:
    return [RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_").lower() for cause in revised.causes]


@pytest.mark.parametrize("journey", [pytest.param(False, id="expired"), pytest.param(True, id="begun anew")])
@pytest.mark.parametrize("lookback", [30, 7], ids="lookback of first_touch {}".format)
def test_a_refund_after_the_journey_has_expired_splits_as_one_before(journey: bool, lookback: int) -> None:
    shop = workspace(attribution=[{"models": {"first_touch": {"lookback_days": lookback}}}])
    events, refund = three_tabs(), EVENTS.refund(20_000_000)
    world = World(*events, settings=shop)
    first = world.revise()
    assert first is not None
    assert len(first.message.state.touches) == 3
    wanted = revised_by(World(*events, refund, settings=shop), first)
    later = revised_by(forgotten(world, *[events[-1]] * journey, refund, settings=shop), first, journey=journey)
    assert credits_of(later) == credits_of(wanted) == credits_of(first.message)
    assert values_of(later) == values_of(wanted)
    assert later.deltas == wanted.deltas
    assert causes_of(later) == ["refund"]


def test_after_settings_of_the_past_were_edited_the_published_credits_are_the_weights() -> None:
    events = three_tabs()
    world = World(*events)
    first = world.revise()
    edited = workspace(attribution=[{"position_weights": [1, 1, 1], "half_life_hours": 1}])
    later = revised_by(forgotten(world, EVENTS.refund(20_000_000), settings=edited), first, journey=False)
    assert first is not None
    assert credits_of(later) == credits_of(first.message)
    for model in range(len(later.state.models)):
        assert sum(values[model] for _, values in values_of(later)) == 70_000_001
    for (_, credits), (_, values) in zip(credits_of(later), values_of(later), strict=True):
        assert all(abs(value - 70.000001 * credit) <= 71 for credit, value in zip(credits, values, strict=True))


@pytest.mark.parametrize(
    ("touch", "reason"),
    [
        pytest.param(EVENTS.touch("visitor:a", at=NOON - 31 * DAY), "OUTSIDE_WINDOW", id="outside the window"),
        pytest.param(EVENTS.touch("visitor:a", letter="Q"), "ONLY_QUARANTINED", id="quarantined"),
    ],
)
@pytest.mark.parametrize("journey", [False, True])
def test_why_nobody_earned_a_conversion_outlives_the_journey(touch: Admitted, reason: str, journey: bool) -> None:
    order = EVENTS.order("visitor:a")
    world = World(touch, order)
    first = world.revise()
    later = revised_by(forgotten(world, *[order] * journey, EVENTS.refund(20_000_000)), first, journey=journey)
    reasons = {UnattributedReason.Name(model.unattributed.reason) for model in later.state.models}
    assert reasons == {f"UNATTRIBUTED_REASON_{reason}"}
    assert {delta.credit_micros for delta in later.deltas} == {0}
    assert {delta.value_micros for delta in later.deltas} == {-20_000_000}
    again = forgotten(world, order).revise(first, journey=journey)
    assert again is None


def test_why_nobody_earned_a_conversion_goes_where_the_touch_goes_that_said_so() -> None:
    """Nothing was forgotten: the touch is somebody else's, since their identifiers were taken apart."""
    order = EVENTS.order("visitor:a", "customer:c")
    first = World(EVENTS.touch("visitor:a", letter="Q"), order).revise()
    later = revised_by(World(order), first)
    reasons = {UnattributedReason.Name(model.unattributed.reason) for model in later.state.models}
    assert reasons == {"UNATTRIBUTED_REASON_NO_TOUCHPOINT"}


def test_a_conversion_that_is_linked_to_a_person_is_not_anonymous_any_more() -> None:
    anonymous = EVENTS.order()
    world = World(anonymous)
    first = world.revise()
    linked = EVENTS.order("visitor:a", at=NOON + 1, letter="M")
    later = revised_by(forgotten(world, linked), first)
    reasons = {UnattributedReason.Name(model.unattributed.reason) for model in later.state.models}
    assert reasons == {"UNATTRIBUTED_REASON_NO_TOUCHPOINT"}


def test_a_late_touch_joins_those_that_redis_has_forgotten() -> None:
    world = World(*three_tabs())
    first = world.revise()
    late = EVENTS.touch("visitor:a", at=NOON - 2 * DAY, channel="Display")
    later = revised_by(forgotten(world, late), first)
    channels = [touch.source.channel for touch in later.state.touches]
    assert channels == ["Display", "Direct", "Email", "Email"]
    assert {credits[3] for _, credits in credits_of(later)} == {250_000}


def test_what_is_shown_of_a_retracted_conversion_does_not_hang_on_the_order_of_arrivals() -> None:
    order, retraction = EVENTS.order("visitor:a"), EVENTS.retraction()
    late = EVENTS.touch("visitor:a", channel="Email")
    at_once = World(late, order, retraction).published().state
    first = World(order, retraction).revise()
    assert first is not None
    then = World(late, order, retraction).revise(first)
    assert then is not None
    assert not then.message.state.counted
    assert then.message.state.touches == at_once.touches
    assert then.message.state.models == at_once.models
    assert list(then.message.causes) == [RevisionCause.REVISION_CAUSE_LATE_TOUCHPOINT]
    assert not then.message.deltas
    assert World(late, order, retraction).revise(then) is None


def trimmed(world: World, *, left: Sequence[Admitted], until: int, settings: Workspace | None = None) -> World:
    """Returns what is known after the older events of a journey were trimmed: all parts, and what is left."""
    after = World(*left, settings=settings)
    after.fields[META] = Meta(1, NOON - 90 * DAY, NOON, trimmed_seconds=until // 1_000_000, has_lost_touches=1).pack()
    after.parts = {**world.parts, **after.parts}
    return after


def test_what_was_trimmed_takes_no_credit_away_and_nothing_left_earns_it_anew() -> None:
    capped = workspace(attribution=[{"touch_cap": 2, "touch_cap_first": 1}])
    touches = [EVENTS.touch("visitor:a", at=NOON - day * DAY, channel=f"Day {day}") for day in (5, 4, 3, 2)]
    order = EVENTS.order("visitor:a")
    world = World(*touches, order, settings=capped)
    first = world.revise()
    assert first is not None
    assert [touch.source.channel for touch in first.message.state.touches] == ["Day 5", "Day 2"]
    left = [*touches[1:], order, EVENTS.refund(20_000_000)]
    later = revised_by(trimmed(world, left=left, until=NOON - 5 * DAY + 1_000_000, settings=capped), first)
    assert causes_of(later) == ["refund"]
    assert credits_of(later) == credits_of(first.message)
    assert {sum(share) for share in zip(*(values for _, values in values_of(later)), strict=True)} == {70_000_000}


def test_what_is_credited_first_from_less_than_its_window_says_so_for_ever() -> None:
    events = [EVENTS.touch("visitor:a", at=NOON - 2 * DAY, channel="Email"), EVENTS.order("visitor:a")]
    after = trimmed(World(*events), left=events, until=NOON - 4 * DAY)
    first = after.revise()
    assert first is not None
    assert list(first.message.state.findings) == [FindingKind.FINDING_KIND_INCOMPLETE_JOURNEY]
    refund = World(events[1], EVENTS.refund(1_000_000))
    assert list(revised_by(refund, first, journey=False).state.findings) == list(first.message.state.findings)
    assert not list(World(*events).published().state.findings)


def test_a_late_touch_of_a_trimmed_window_earns_nothing_anew() -> None:
    events = [EVENTS.touch("visitor:a", at=NOON - 2 * DAY, channel="Email"), EVENTS.order("visitor:a")]
    world = World(EVENTS.touch("visitor:a", at=NOON - 5 * DAY, channel="Display"), *events)
    late = EVENTS.touch("visitor:a", at=NOON - DAY, channel="Affiliates")
    assert trimmed(world, left=[*events, late], until=NOON - 4 * DAY).revise(world.revise()) is None


def test_a_window_after_the_trim_is_credited_as_ever() -> None:
    events = [EVENTS.touch("visitor:a", at=NOON - 2 * DAY, channel="Email"), EVENTS.order("visitor:a")]
    world = World(EVENTS.touch("visitor:a", at=NOON - 50 * DAY, channel="Display"), *events)
    late = EVENTS.touch("visitor:a", at=NOON - DAY, channel="Affiliates")
    later = revised_by(trimmed(world, left=[*events, late], until=NOON - 40 * DAY), world.revise())
    assert [touch.source.channel for touch in later.state.touches] == ["Email", "Affiliates"]


def test_touches_that_were_trimmed_are_known_to_have_been() -> None:
    world = World(EVENTS.touch("visitor:a", at=NOON - 50 * DAY), EVENTS.order("visitor:a"))
    after = trimmed(world, left=[EVENTS.order("visitor:a")], until=NOON - 40 * DAY)
    for each in (world, after):
        reason = each.published().state.models[0].unattributed.reason
        assert UnattributedReason.Name(reason) == "UNATTRIBUTED_REASON_OUTSIDE_WINDOW"


def clicked(*, at: int, click_time: int | None = None, **own: Any) -> Admitted:
    """A visit with a click id."""
    letter, event = EVENTS.touch("visitor:a", at=at, clicks={"gclid": "one"}, **own)
    if click_time is not None:
        event.channel_evidence.click_ids[0].click_time.CopyFrom(timestamp(click_time))
    return letter, event


def channels_of(*events: Admitted) -> list[tuple[str, str]]:
    """Channel and rule of each touch that earned something from an order at noon."""
    touches = World(*events, EVENTS.order("visitor:a")).published().state.touches
    return [(touch.source.channel, touch.source.rule) for touch in touches]


@pytest.mark.parametrize("days", [5, 29, 30, 31, 40, 58])
def test_an_old_click_id_seen_again_is_a_direct_return_however_old_it_is(days: int) -> None:
    found = channels_of(clicked(at=NOON - days * DAY, channel="Paid Search"), clicked(at=NOON - 4 * DAY))
    paid = [("Paid Search", "utm")] if days <= 30 else []
    assert found == [*paid, ("Direct", "direct")]


@pytest.mark.parametrize(
    ("age", "channel"),
    [
        pytest.param(None, "Paid Search", id="not stated"),
        pytest.param(0, "Paid Search", id="now"),
        pytest.param(2 * 3_600_000_000, "Paid Search", id="an app that took two hours to install"),
        pytest.param(DAY, "Paid Search", id="a day"),
        pytest.param(DAY + 1, "Direct", id="more than a day"),
        pytest.param(40 * DAY, "Direct", id="forty days"),
    ],
)
def test_a_click_that_is_said_to_be_old_is_an_old_one(age: int | None, channel: str) -> None:
    at = NOON - 5 * DAY
    visit = clicked(at=at, click_time=None if age is None else at - age)
    assert [name for name, _ in channels_of(visit)] == [channel]


def test_the_basis_of_its_name_chooses_the_credited_value_and_is_pinned() -> None:
    net = workspace(conversions=[{"name": "purchase", "value_basis": "net_of_tax"}])
    letter, order = EVENTS.order("visitor:a", micros=119_000_000)
    order.event.conversion.amounts.tax_micros = 19_000_000
    touch = EVENTS.touch("visitor:a", at=NOON - DAY, channel="Email")
    first = World(touch, (letter, order), settings=net).revise()
    assert first is not None
    state = first.message.state
    assert [money.amount_micros for money in (state.value, state.original_value, state.full_value)] == [
        100_000_000,
        119_000_000,
        119_000_000,
    ]
    assert state.value_basis == ValueBasis.VALUE_BASIS_NET_OF_TAX
    assert {share.value_micros for share in state.touches[0].credits[:-1]} == {100_000_000}
    events = touch, (letter, order), EVENTS.refund(59_500_000)
    later = revised_by(World(*events, settings=workspace()), first).state
    assert (later.value.amount_micros, later.full_value.amount_micros) == (50_000_000, 59_500_000)
    assert later.value_basis == state.value_basis
    before = World(touch, (letter, order)).revise()
    assert World(touch, (letter, order), settings=net).revise(before) is None
