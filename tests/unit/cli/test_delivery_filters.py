"""Which deliveries the options of `tributary deliveries list` and `replay` mean."""

from __future__ import annotations

from typing import Any, Literal

import click
import pytest

from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_DEAD, OUTCOME_CLASS_PERMANENT, DeliveryFilter
from tributary_cli.delivery_filters import delivery_filter

_NOTHING = {"destination": "", "states": (), "outcomes": (), "reasons": (), "since": None, "until": None}


def filtered(**asked: Any) -> DeliveryFilter:
    return delivery_filter(asked.pop("ids", ()), {**_NOTHING, **asked})


def end_of(chosen: DeliveryFilter, end: Literal["start_time", "end_time"]) -> str:
    """Returns an end of a filter's span; empty if there is none."""
    span = chosen.time_range
    return getattr(span, end).ToJsonString() if span.HasField(end) else ""


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        pytest.param({"until": "2026-10-01"}, "", "2026-10-02T00:00:00Z", id="all up to a day"),
        pytest.param({"until": "2026-10-01T12:00Z"}, "", "2026-10-01T12:00:00Z", id="all up to a moment"),
        pytest.param(
            {"since": "2026-08-01", "until": "2026-10-01"}, "2026-08-01T00:00:00Z", "2026-10-02T00:00:00Z", id="between"
        ),
    ],
)
def test_up_to_a_day_are_all_that_are_older_unless_a_first_one_is_named(
    asked: dict[str, str], start: str, end: str
) -> None:
    chosen = filtered(**asked)
    assert (end_of(chosen, "start_time"), end_of(chosen, "end_time")) == (start, end)


def test_since_a_day_are_all_up_to_now() -> None:
    chosen = filtered(since="2020-02-01")
    assert "" < end_of(chosen, "start_time") == "2020-02-01T00:00:00Z" < end_of(chosen, "end_time")


def test_what_is_not_asked_for_limits_nothing() -> None:
    assert filtered() == DeliveryFilter()
    chosen = filtered(ids=["c1:1"], destination="crm", states=("dead",), outcomes=("OUTCOME_CLASS_PERMANENT",))
    states, outcomes = [DELIVERY_STATE_DEAD], [OUTCOME_CLASS_PERMANENT]
    assert chosen == DeliveryFilter(conversion_ids=["c1:1"], destination_id="crm", states=states, outcomes=outcomes)


@pytest.mark.parametrize(
    "asked", [{"until": "August"}, {"since": "2026-10-02", "until": "2026-10-01"}, {"states": ("lost",)}]
)
def test_what_is_no_time_or_no_value_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(click.BadParameter):
        filtered(**asked)
