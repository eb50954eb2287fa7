"""What a workspace declares is what the core credits under."""

from __future__ import annotations

from typing import Any

import pytest

from tributary_attribution.credit_settings import (
    conversion_life_seconds,
    core_settings,
    history_micros,
    journey_life_seconds,
    settings_for,
    slack_micros,
)
from tributary_domain.settings import DAY, AttributionModel, ImpressionPolicy, TouchGrain
from tributary_runtime.workspaces import Workspace


def workspace(**settings: Any) -> Workspace:
    return Workspace.model_validate({"id": "shop", "pepper": {"value": "pepper"}, **settings})


def test_every_declared_word_reaches_the_core() -> None:
    declared = workspace(
        attribution=[
            {
                "lookback_days": 7,
                "models": {"first_touch": {"lookback_days": 365}, "data_driven": {"lookback_days": 3}},
                "half_life_hours": 24,
                "position_weights": [30, 40, 30],
                "touch_grain": "event",
                "session_timeout_minutes": 15,
                "impression_policy": "full",
                "impression_window_days": 2,
                "impression_cap": 3,
                "touch_cap": 20,
                "late_touch_seconds": 9,
                "direct_channels": ["Direct", "Email"],
                "collapse_repeats": True,
                "path_after_conversion": {"reset": ["purchase"]},
            }
        ]
    ).attribution[0]
    core = core_settings(declared)
    assert core.lookback_days == 7
    assert core.model_lookback_days == ((AttributionModel.FIRST_TOUCH, 365), (AttributionModel.DATA_DRIVEN, 3))
    assert (core.half_life_hours, core.position_weights) == (24, (30, 40, 30))
    assert core.touch_grain is TouchGrain.EVENT
    assert core.session_timeout_seconds == 900
    assert core.impression_policy is ImpressionPolicy.FULL
    assert (core.view_window_seconds, core.impression_cap) == (172_800, 3)
    assert (core.touch_cap, core.touch_cap_first) == (20, 19)
    assert core.direct_channels == {"Direct", "Email"}
    assert core.late_touch_seconds == 9
    assert core.collapse_repeats
    assert core.path_reset_names == {"purchase"}
    assert core.version == declared.version


def test_the_conversion_s_time_chooses_the_settings() -> None:
    history = [{"lookback_days": 30}, {"effective_from": "1970-01-02T00:00:00Z", "lookback_days": 7}]
    shop = workspace(attribution=history)
    assert settings_for(shop, DAY - 1).lookback_days == 30
    assert settings_for(shop, DAY).lookback_days == 7
    assert history_micros(shop) == 31 * DAY


def test_the_slack_of_a_workspace_is_the_largest_of_its_history() -> None:
    later = {"effective_from": "1970-01-02T00:00:00Z", "late_touch_seconds": 1}
    assert slack_micros(workspace(attribution=[{"late_touch_seconds": 30}, later])) == 30_000_000


@pytest.mark.parametrize(("journey_days", "days"), [(45, 45), (None, 111), (400, 111)])
def test_a_journey_lives_no_longer_than_it_is_needed_and_shorter_where_memory_is(
    journey_days: int | None, days: int
) -> None:
    shop = workspace(
        attribution=[{"lookback_days": 90}], accept={"event_days": 20}, retention={"journey_days": journey_days}
    )
    assert journey_life_seconds([shop]) == days * 86_400
    assert conversion_life_seconds([shop]) == (90 + 399 + 1) * 86_400


def test_state_outlives_what_may_still_come() -> None:
    shop = workspace(attribution=[{"lookback_days": 90}], accept={"event_days": 20, "order_days": 100})
    assert journey_life_seconds([shop, workspace()]) == (90 + 20 + 1) * 86_400
    assert conversion_life_seconds([shop]) == (90 + 100 + 1) * 86_400
