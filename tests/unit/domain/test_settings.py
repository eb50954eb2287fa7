from typing import Any

import pytest

from tributary_domain.settings import DAY, MODELS, AttributionModel, AttributionSettings, settings_at


def since(time: int, **given: Any) -> AttributionSettings:
    return AttributionSettings(effective_from_micros=time, **given)


OLD, NEW = since(100, half_life_hours=24), since(200, half_life_hours=72)


@pytest.mark.parametrize(("time", "expected"), [(99, OLD), (100, OLD), (199, OLD), (200, NEW), (10**18, NEW)], ids=str)
def test_settings_are_chosen_by_conversion_time(time: int, expected: AttributionSettings) -> None:
    assert settings_at([NEW, OLD], time) is expected


def test_of_two_with_one_start_the_later_written_wins() -> None:
    corrected = since(100, half_life_hours=48)
    assert settings_at([OLD, corrected], 150) is corrected


def test_the_version_is_named_by_content_alone() -> None:
    assert since(1).version == since(2).version
    assert since(1).version != since(1, half_life_hours=24).version
    assert AttributionSettings(version="mine").version == "mine"


def test_a_lookback_that_is_spelt_out_is_no_other_version() -> None:
    spelt_out = AttributionSettings(model_lookback_days=((AttributionModel.LINEAR, 30),))
    assert spelt_out.version == AttributionSettings().version


def test_the_default_version_stays_what_stored_revisions_name() -> None:
    assert AttributionSettings().version == "s1:ca9b6ed0bcaba95d"


def test_other_seconds_for_late_touches_are_another_version() -> None:
    assert AttributionSettings(late_touch_seconds=3).version != AttributionSettings().version


def test_models_that_look_back_alike_share_a_window() -> None:
    settings = AttributionSettings(model_lookback_days=((AttributionModel.FIRST_TOUCH, 365),))
    first = MODELS.index(AttributionModel.FIRST_TOUCH)
    others = tuple(index for index in range(len(MODELS)) if index != first)
    assert settings.windows == ((365 * DAY, (first,)), (30 * DAY, others))
    assert settings.history_micros == 366 * DAY


@pytest.mark.parametrize(
    "given",
    [
        {"lookback_days": 0},
        {"half_life_hours": 0},
        {"session_timeout_seconds": 0},
        {"model_lookback_days": ((AttributionModel.LINEAR, 0),)},
        {"position_weights": (0, 0, 0)},
        {"position_weights": (-1, 1, 1)},
        {"touch_cap": 50, "touch_cap_first": 50},
        {"touch_cap_first": 0},
        {"impression_cap": -1},
        {"late_touch_seconds": -1},
        {"view_window_seconds": -1},
    ],
    ids=str,
)
def test_numbers_outside_their_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        AttributionSettings(**given)
