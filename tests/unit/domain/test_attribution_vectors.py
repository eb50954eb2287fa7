"""Journeys whose credit independent packages computed (`tests/vectors/README.md`), against the pure core."""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tributary_domain.attribution import WHOLE, Attribution, attribute, position_weights
from tributary_domain.journey import DIRECT, JourneyTouch
from tributary_domain.settings import DAY, HOUR, MODELS, AttributionModel, AttributionSettings, TouchGrain
from tributary_domain.time_decay import decay_weights
from tributary_domain.windows import CreditableConversion

VECTORS = Path(__file__).parents[2] / "vectors" / "attribution.json.gz"
MICROS_PER_CENT = 10_000
EVENT_GRAIN = AttributionSettings(touch_grain=TouchGrain.EVENT)
WITHOUT_WINDOW = AttributionSettings(touch_grain=TouchGrain.EVENT, lookback_days=3650)
"""The values per journey were computed over all of its touches."""


@cache
def vectors() -> dict[str, Any]:
    with gzip.open(VECTORS) as file:
        loaded: dict[str, Any] = json.load(file)
    return loaded


def micros(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp()) * 1_000_000


def journey(given: dict[str, Any]) -> list[JourneyTouch]:
    """The touches as given; where two have the same second, the list's order decides."""
    channels = vectors()["channels"]
    return [
        JourneyTouch(
            micros(touch["t"]),
            place,
            descriptor=channels.index(touch["ch"]) + 1,
            flags=DIRECT if touch["ch"] == "Direct" else 0,
        )
        for place, touch in enumerate(given["touches"])
    ]


def conversion(given: dict[str, Any]) -> CreditableConversion:
    value = given["value_cents"] * MICROS_PER_CENT
    return CreditableConversion(event_time_micros=micros(given["end_t"]), amount_micros=value)


@cache
def credited(settings: AttributionSettings) -> dict[str, Attribution]:
    """The credit of each converting journey, by its id."""
    return {
        given["id"]: attribute(journey(given), conversion(given), settings)
        for given in vectors()["journeys"]
        if given["converted"]
    }


def by_channel(settings: AttributionSettings, model: AttributionModel, column: str) -> tuple[dict[str, int], int]:
    """Totals per channel in micros, and how many touches took part in the rounding of the busiest channel."""
    totals: dict[str, int] = defaultdict(int)
    roundings: dict[str, int] = defaultdict(int)
    for attribution in credited(settings).values():
        for touch, part in zip(attribution.touches, getattr(attribution, column)[MODELS.index(model)], strict=True):
            name = vectors()["channels"][touch.descriptor - 1]
            totals[name] += part
            roundings[name] += 1
    return totals, max(roundings.values())


def given_totals(column: str, name: str) -> dict[str, float]:
    if name.startswith("time_decay"):
        found = vectors()["time_decay_continuous_half_life_168h_lookback_30_days"][column][name]
    else:
        found = vectors()["expected_totals_lookback_30_days"][column][name]
    return dict(found)


THIRTY_FORTY_THIRTY = AttributionSettings(touch_grain=TouchGrain.EVENT, position_weights=(30, 40, 30))


def half_life(hours: int) -> AttributionSettings:
    return AttributionSettings(touch_grain=TouchGrain.EVENT, half_life_hours=hours)


TOTALS = [
    pytest.param("first", AttributionModel.FIRST_TOUCH, EVENT_GRAIN, id="first"),
    pytest.param("last", AttributionModel.LAST_TOUCH, EVENT_GRAIN, id="last"),
    pytest.param("last_non_direct", AttributionModel.LAST_NON_DIRECT, EVENT_GRAIN, id="last_non_direct"),
    pytest.param("linear", AttributionModel.LINEAR, EVENT_GRAIN, id="linear"),
    pytest.param("position_40_20_40", AttributionModel.POSITION_BASED, EVENT_GRAIN, id="40-20-40"),
    pytest.param("position_30_40_30", AttributionModel.POSITION_BASED, THIRTY_FORTY_THIRTY, id="30-40-30"),
]
DECAYS = [
    pytest.param(
        f"time_decay_halflife_{hours}h_continuous", AttributionModel.TIME_DECAY, half_life(hours), id=f"decay {hours} h"
    )
    for hours in (168, 72, 24)
]


@pytest.mark.parametrize(("name", "model", "settings"), TOTALS + DECAYS)
def test_channel_totals_of_conversions_are_what_others_computed(
    name: str, model: AttributionModel, settings: AttributionSettings
) -> None:
    totals, roundings = by_channel(settings, model, "credits")
    for channel, expected in given_totals("conversions", name).items():
        assert abs(totals[channel] / WHOLE - expected) < 1e-6 * roundings, channel


@pytest.mark.parametrize(("name", "model", "settings"), TOTALS)
def test_channel_totals_of_value_are_what_others_computed(
    name: str, model: AttributionModel, settings: AttributionSettings
) -> None:
    totals, _ = by_channel(settings, model, "amounts")
    for channel, expected in given_totals("value_cents", name).items():
        assert abs(totals[channel] / MICROS_PER_CENT - expected) < 0.05, channel


def shares(weights: list[int]) -> list[Fraction]:
    return [Fraction(weight, sum(weights)) for weight in weights]


def unrounded(model: AttributionModel, settings: AttributionSettings) -> Callable[[Attribution], list[Fraction]]:
    def of(attribution: Attribution) -> list[Fraction]:
        times = [touch.event_time_micros for touch in attribution.touches]
        if model is AttributionModel.TIME_DECAY:
            return shares(decay_weights(times, settings.half_life_hours * HOUR))
        if model is AttributionModel.POSITION_BASED:
            return shares(position_weights(len(times), settings.position_weights))
        if model is AttributionModel.LINEAR:
            return shares([1] * len(times))
        return [Fraction(part, WHOLE) for part in attribution.credits[MODELS.index(model)]]

    return of


@pytest.mark.parametrize(("name", "model", "settings"), TOTALS + DECAYS)
def test_weights_agree_to_a_millionth_of_a_conversion_per_channel(
    name: str, model: AttributionModel, settings: AttributionSettings
) -> None:
    totals: dict[str, Fraction] = defaultdict(Fraction)
    shares_of = unrounded(model, settings)
    for attribution in credited(settings).values():
        for touch, share in zip(attribution.touches, shares_of(attribution), strict=True):
            totals[vectors()["channels"][touch.descriptor - 1]] += share
    for channel, expected in given_totals("conversions", name).items():
        assert abs(float(totals[channel]) - expected) < 1e-6, channel


@pytest.mark.parametrize(
    ("name", "model"),
    [
        pytest.param("linear", AttributionModel.LINEAR, id="linear"),
        pytest.param("position_40_20_40", AttributionModel.POSITION_BASED, id="40-20-40"),
        pytest.param("time_decay_168h", AttributionModel.TIME_DECAY, id="decay 168 h"),
    ],
)
def test_every_touch_gets_the_value_others_computed_to_the_cent(name: str, model: AttributionModel) -> None:
    expected = vectors()["expected_per_journey_value_cents_in_touch_order"]["models"][name]
    for journey_id, cents in expected.items():
        amounts = credited(WITHOUT_WINDOW)[journey_id].amounts[MODELS.index(model)]
        assert len(amounts) == len(cents), journey_id
        for amount, cent in zip(amounts, cents, strict=True):
            assert abs(amount / MICROS_PER_CENT - cent) < 1, journey_id


def adobe(settings: AttributionSettings, model: AttributionModel) -> dict[str, float]:
    example = vectors()["adobe_worked_example"]
    now = 100 * DAY
    touches = [
        JourneyTouch(now - days * DAY, place, descriptor=place + 1)
        for place, (_, days) in enumerate(example["touches"])
    ]
    amount = round(example["revenue"] * 1_000_000)
    attribution = attribute(touches, CreditableConversion(event_time_micros=now, amount_micros=amount), settings)
    amounts = attribution.amounts[MODELS.index(model)]
    return {
        example["touches"][touch.descriptor - 1][0]: part / 1_000_000
        for touch, part in zip(attribution.touches, amounts, strict=True)
        if part
    }


@pytest.mark.parametrize(
    ("name", "model", "settings"),
    [
        pytest.param("first_touch", AttributionModel.FIRST_TOUCH, EVENT_GRAIN, id="first touch"),
        pytest.param("linear", AttributionModel.LINEAR, EVENT_GRAIN, id="linear"),
        pytest.param(
            "j_shaped",
            AttributionModel.POSITION_BASED,
            AttributionSettings(touch_grain=TouchGrain.EVENT, position_weights=(20, 20, 60)),
            id="J-shaped is position_based with 20-20-60",
        ),
        pytest.param("time_decay_halflife_7d", AttributionModel.TIME_DECAY, EVENT_GRAIN, id="time decay of 7 days"),
    ],
)
def test_adobes_worked_example_gives_adobes_numbers(
    name: str, model: AttributionModel, settings: AttributionSettings
) -> None:
    expected = vectors()["adobe_worked_example"]["expected"][name]
    assert adobe(settings, model) == pytest.approx(expected, abs=0.0051)


@pytest.mark.parametrize(
    ("weights", "two_touches", "four_touches"),
    [
        pytest.param((20, 20, 60), [25, 75], [20, 10, 10, 60], id="J-shaped"),
        pytest.param((60, 20, 20), [75, 25], [60, 10, 10, 20], id="inverse J"),
        pytest.param((40, 20, 40), [50, 50], [40, 10, 10, 40], id="U-shaped"),
        pytest.param((6, 2, 2), [75, 25], [60, 10, 10, 20], id="custom weights that are not percent"),
        pytest.param((30, 500, 10), [75, 25], None, id="of two touches the middle weight is ignored"),
    ],
)
def test_custom_weights_share_as_adobe_says(
    weights: tuple[int, int, int], two_touches: list[int], four_touches: list[int] | None
) -> None:
    """The words of AdobeDocs/analytics.en, help/analyze/analysis-workspace/attribution/models.md, table of models.

    Weights are normalised to 100 %; a single touch has all; of two touches the first and the last share what is left
    when the middle is ignored.
    """
    for count, percents in ((1, [100]), (2, two_touches), (4, four_touches)):
        if percents is not None:
            shared = [
                Fraction(part, sum(position_weights(count, weights))) for part in position_weights(count, weights)
            ]
            assert shared == [Fraction(percent, 100) for percent in percents]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(AttributionModel.FIRST_TOUCH, {"Email": 50.0}, id="first touch: the visit's first"),
        pytest.param(AttributionModel.LINEAR, {"Email": 25.0, "Display": 25.0}, id="linear: between the visit's two"),
    ],
)
def test_adobes_example_in_the_window_of_one_visit(model: AttributionModel, expected: dict[str, float]) -> None:
    """The same page, "Example": a visit lookback sees the third visit only; ours is a lookback of one day."""
    one_day = AttributionSettings(touch_grain=TouchGrain.EVENT, lookback_days=1)
    assert adobe(one_day, model) == expected


def test_adobes_participation_is_no_model_of_ours_because_it_credits_a_conversion_several_times() -> None:
    expected = vectors()["adobe_worked_example"]["expected"]["participation"]
    assert sum(expected.values()) > vectors()["adobe_worked_example"]["revenue"]
    assert "participation" not in set(AttributionModel)


def test_no_credit_is_lost_over_all_journeys() -> None:
    for attribution in credited(EVENT_GRAIN).values():
        for model in range(len(MODELS)):
            assert sum(attribution.credits[model]) + attribution.unattributed_credits[model] == WHOLE
            value = sum(attribution.amounts[model]) + attribution.unattributed_amounts[model]
            assert value == attribution.amount_micros
