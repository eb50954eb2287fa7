"""What is published of a conversion, from what is known of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Events
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary_attribution.arrivals import ArrivalReader
from tributary_attribution.crediting import CausingEvent, Known, Revision, revise
from tributary_domain.ids import person_id
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_parts import unpack_parts
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis.conversions import ConversionRecord
from tributary_storage.redis.journey_layout import Journey, unpack_journey

EVENTS = Events("shop")
LIFE_SECONDS = 59 * 86_400
NOW = NOON + DAY


def workspace(**settings: Any) -> Workspace:
    return Workspace.model_validate({"id": "shop", "pepper": {"value": "pepper"}, **settings})


class World:
    """Everything that is known of one conversion."""

    def __init__(self, *admitted: Admitted, settings: Workspace | None = None) -> None:
        self.workspace = settings or workspace()
        reader = ArrivalReader()
        self.fields: dict[bytes, bytes] = {}
        self.parts: dict[bytes, bytes] = {}
        for letter, event in admitted:
            arrival = reader.read("shop", letter, event.SerializeToString(), NOW, "")
            if arrival.entry:
                self.fields[arrival.entry[0]] = arrival.entry[1]
            if arrival.part:
                self.parts[arrival.event_hash.to_bytes(8)] = arrival.part
            for token, sighting in zip(arrival.tokens, arrival.sightings, strict=bool(arrival.sightings)):
                self.fields[token.encode()] = min(sighting, self.fields.get(token.encode(), sighting))
        self.source_of = SourceCache(lambda workspace, descriptor: reader.new_texts.get((workspace, descriptor)))

    def journey(self) -> Journey:
        return unpack_journey("shop", "p1:x", self.fields)

    def revise(self, published: Revision | None = None, *, journey: bool = True) -> Revision | None:
        record = ConversionRecord(
            key="shop|c1:00",
            parts=self.parts,
            revision=published.message.revision if published else 0,
            journey_version=0,
            published=published.state if published else b"",
            pending={},
            redis_time_micros=NOW,
        )
        known = Known(
            self.workspace,
            EVENTS.conversion_id(),
            record,
            unpack_parts(self.parts.values()),
            self.journey() if journey else None,
            [CausingEvent("e", NOW, "")],
            (),
        )
        return revise(known, self.source_of, lambda _workspace, _number: None, LIFE_SECONDS)

    def published(self) -> ConversionRevised:
        revision = self.revise()
        assert revision is not None
        return revision.message


def test_the_person_is_named_by_the_first_identifier_in_event_order() -> None:
    world = World(
        EVENTS.order("customer:1", "visitor:a"),
        EVENTS.touch("visitor:b", at=NOON - 2 * DAY),
        EVENTS.touch("visitor:a", at=NOON - DAY),
    )
    assert world.journey().person_id == person_id("shop", "visitor:b")
    assert World(EVENTS.order("customer:1", "visitor:a")).journey().person_id == person_id("shop", "customer:1")


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
    first.message.revision = NOW + DAY
    later = World(EVENTS.touch("visitor:a"), EVENTS.order("visitor:a")).revise(first)
    assert later is not None
    assert later.message.revision == NOW + DAY + 1


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
