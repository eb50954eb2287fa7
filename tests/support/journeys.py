"""The 2 000 journeys of `tests/vectors/attribution.json.gz` as events, and the answers that other packages computed."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from tributary.event.v1.context_pb2 import OBSERVER_BROWSER
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary_cli.demo.channels import CHANNELS

_FILE = Path(__file__).parents[1] / "vectors" / "attribution.json.gz"
_BROWSER = "Mozilla/5.0 (X11; Linux x64; rv:140.0) Gecko/20100101 Firefox/140.0"

OUR_NAMES = {
    "first": "first_touch",
    "last": "last_touch",
    "last_non_direct": "last_non_direct",
    "linear": "linear",
    "position_40_20_40": "position_based",
    "time_decay_halflife_168h_continuous": "time_decay",
    "time_decay_168h": "time_decay",
}
"""What the file calls a model -> what we call it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What must come out, under our names of models."""

    conversions: dict[str, dict[str, float]]
    """Model -> channel -> credited conversions."""
    value_cents: dict[str, dict[str, float]]
    """Model -> channel -> credited value; not known for time decay."""
    per_journey_cents: dict[str, dict[str, list[float]]]
    """Model -> journey -> value per touch, oldest first."""


@cache
def vectors() -> dict[str, Any]:
    """Returns the file's content."""
    content: dict[str, Any] = json.loads(gzip.decompress(_FILE.read_bytes()))
    return content


def answers() -> Answers:
    """Returns the answers for a lookback of 30 days, of the models we have."""
    totals = vectors()["expected_totals_lookback_30_days"]
    decay = vectors()["time_decay_continuous_half_life_168h_lookback_30_days"]["conversions"]
    per_journey = vectors()["expected_per_journey_value_cents_in_touch_order"]["models"]
    return Answers(
        conversions=_ours({**totals["conversions"], **decay}),
        value_cents=_ours(totals["value_cents"]),
        per_journey_cents=_ours(per_journey),
    )


def events() -> list[Event]:
    """Returns every touch and conversion as an event, in the file's order; ids are "j0000-0", "j0000-order"."""
    return [event for journey in vectors()["journeys"] for event in _events_of(journey)]


def _ours(by_model: dict[str, Any]) -> dict[str, Any]:
    return {OUR_NAMES[name]: value for name, value in by_model.items() if name in OUR_NAMES}


def _events_of(journey: dict[str, Any]) -> list[Event]:
    made = []
    for index, touch in enumerate(journey["touches"]):
        event = _event(f"{journey['id']}-{index}", touch["t"], journey["id"])
        event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
        event.context.observed_by = OBSERVER_BROWSER
        event.context.user_agent = _BROWSER
        CHANNELS[touch["ch"]](event, event.event_id)
        made.append(event)
    if journey["converted"]:
        event = _event(f"{journey['id']}-order", journey["end_t"], journey["id"])
        event.conversion.name, event.conversion.order_id = "purchase", journey["id"]
        event.conversion.value.currency_code = "EUR"
        event.conversion.value.amount_micros = journey["value_cents"] * 10_000
        made.append(event)
    return made


def _event(event_id: str, time: str, visitor_id: str) -> Event:
    event = Event(event_id=event_id)
    event.event_time.FromDatetime(datetime.fromisoformat(time))
    event.identifiers.visitor_id = visitor_id
    return event
