from typing import Any

import pytest

from tributary_domain.data_driven import data_driven_touches
from tributary_domain.explanation import DividedPart, Explanation, NoShare, explain
from tributary_domain.journey import DIRECT, NO_CONSENT, NO_TOUCH, QUARANTINED, Exclusion, JourneyTouch, TouchKind
from tributary_domain.settings import DAY, HOUR, MODELS, SECOND, AttributionModel, AttributionSettings, ImpressionPolicy
from tributary_domain.windows import CreditableConversion

NOW = 1_000 * DAY
OTHER = JourneyTouch(NOW - DAY, 77, descriptor=9)
"""A touch that always counts."""


def touch(before: int, **given: Any) -> JourneyTouch:
    return JourneyTouch(NOW - before, given.pop("event_hash", 100 + abs(before)), **{"descriptor": 1, **given})


def explained(*entries: JourneyTouch, conversion: dict[str, Any] | None = None, **settings: Any) -> Explanation:
    converted = CreditableConversion(event_time_micros=NOW, amount_micros=100, **(conversion or {}))
    return explain(entries, converted, AttributionSettings(**settings))


@pytest.mark.parametrize(
    ("entry", "conversion", "settings", "reason"),
    [
        pytest.param(touch(30 * DAY + 1), {}, {}, Exclusion.OUTSIDE_WINDOW, id="outside window"),
        pytest.param(touch(-HOUR), {}, {}, Exclusion.AFTER_CONVERSION, id="after conversion"),
        pytest.param(touch(HOUR, flags=QUARANTINED), {}, {}, Exclusion.QUARANTINED, id="quarantined"),
        pytest.param(touch(HOUR, flags=NO_CONSENT), {}, {}, Exclusion.NO_CONSENT, id="no consent"),
        pytest.param(touch(HOUR, flags=NO_TOUCH), {}, {}, Exclusion.NOT_A_TOUCH, id="return from a payment page"),
        pytest.param(touch(HOUR, kind=TouchKind.CONVERSION), {}, {}, Exclusion.NOT_A_TOUCH, id="a conversion"),
        pytest.param(touch(HOUR, kind=TouchKind.OPEN), {}, {}, Exclusion.IMPRESSION_IGNORED, id="only seen"),
        pytest.param(
            touch(2 * DAY, kind=TouchKind.IMPRESSION),
            {},
            {"impression_policy": ImpressionPolicy.FULL},
            Exclusion.OUTSIDE_VIEW_WINDOW,
            id="seen too long ago",
        ),
        pytest.param(
            touch(2 * DAY), {"path_start": (NOW - 2 * DAY, 2**63)}, {}, Exclusion.BEFORE_PATH_RESET, id="path reset"
        ),
        pytest.param(touch(HOUR, descriptor=9), {}, {"collapse_repeats": True}, Exclusion.COLLAPSED, id="collapsed"),
        pytest.param(touch(HOUR), {}, {}, None, id="counts"),
    ],
)
def test_every_entry_has_exactly_one_reason(
    entry: JourneyTouch, conversion: dict[str, Any], settings: dict[str, Any], reason: Exclusion | None
) -> None:
    found = {one.entry: one.reason for one in explained(entry, OTHER, conversion=conversion, **settings).entries}
    assert found == {entry: reason, OTHER: None}


def test_touches_over_the_cap_say_so() -> None:
    touches = [touch(day * DAY, descriptor=day) for day in range(1, 7)]
    reasons = [one.reason for one in explained(*touches, touch_cap=4, touch_cap_first=1).entries]
    assert reasons == [None, Exclusion.OVER_CAP, Exclusion.OVER_CAP, None, None, None]


def test_a_visit_that_its_click_caused_names_the_click() -> None:
    click, visit = touch(HOUR, kind=TouchKind.CLICK, click=5), touch(HOUR - SECOND, click=5)
    entries = explained(click, visit).entries
    assert [(one.reason, one.folded_into) for one in entries] == [(None, None), (Exclusion.FOLDED, click[:2])]


def test_a_thirds_division_can_be_followed_by_hand() -> None:
    linear = explained(*[touch(day * DAY, descriptor=day) for day in (3, 2, 1)]).models[3]
    assert linear.model is AttributionModel.LINEAR
    assert linear.amounts is not None
    assert (linear.amounts.total, linear.amounts.weights_sum, linear.amounts.left_over) == (100, 3, 1)
    assert linear.amounts.parts == (
        DividedPart(1, 33, 1, 1, 34),
        DividedPart(1, 33, 1, 0, 33),
        DividedPart(1, 33, 1, 0, 33),
    )


@pytest.mark.parametrize(
    ("model", "settings", "reasons"),
    [
        pytest.param("first_touch", {}, [None, NoShare.NOT_FIRST, NoShare.NOT_FIRST], id="first"),
        pytest.param("last_touch", {}, [NoShare.NOT_LAST, NoShare.NOT_LAST, None], id="last"),
        pytest.param("last_non_direct", {}, [NoShare.NOT_LAST, None, NoShare.DIRECT_IGNORED], id="direct ignored"),
        pytest.param("linear", {}, [None, None, None], id="linear"),
        pytest.param(
            "position_based", {"position_weights": (1, 0, 1)}, [None, NoShare.WEIGHT_ZERO, None], id="no middle weight"
        ),
        pytest.param(
            "time_decay",
            {"half_life_hours": 1},
            [NoShare.ROUNDED_TO_ZERO, None, None],
            id="too old for a unit",
        ),
    ],
)
def test_a_touch_without_a_share_says_why(model: str, settings: dict[str, Any], reasons: list[NoShare | None]) -> None:
    touches = [touch(2 * DAY), touch(2 * HOUR, descriptor=2), touch(HOUR, descriptor=0, flags=DIRECT)]
    found = explained(*touches, session_timeout_seconds=60, **settings).models[MODELS.index(AttributionModel(model))]
    assert [dict(found.reasons).get(one) for one in touches] == reasons


def test_a_touch_of_another_models_window_is_outside_the_window_of_this_one() -> None:
    old = touch(200 * DAY)
    models = explained(old, OTHER, model_lookback_days=((AttributionModel.FIRST_TOUCH, 365),)).models
    assert dict(models[0].reasons) == {OTHER: NoShare.NOT_FIRST}
    assert [dict(model.reasons)[old] for model in models[1:]] == [Exclusion.OUTSIDE_WINDOW] * 5


def test_an_unattributed_conversion_has_nothing_to_divide() -> None:
    for model in explained(touch(40 * DAY)).models:
        assert (model.touches, model.credits, model.amounts) == ((), None, None)


@pytest.mark.parametrize(
    ("lookbacks", "expected"),
    [
        pytest.param((), [20], id="that of all models"),
        pytest.param(((AttributionModel.DATA_DRIVEN, 60),), [50, 20], id="its own, longer than all"),
        pytest.param(((AttributionModel.DATA_DRIVEN, 10),), [], id="its own, shorter"),
        pytest.param(((AttributionModel.FIRST_TOUCH, 365),), [20], id="not that of another model"),
    ],
)
def test_data_driven_looks_back_as_far_as_it_is_told(
    lookbacks: tuple[tuple[AttributionModel, int], ...], expected: list[int]
) -> None:
    entries = [touch(50 * DAY), touch(20 * DAY)]
    converted = CreditableConversion(event_time_micros=NOW, amount_micros=100)
    found = data_driven_touches(entries, converted, AttributionSettings(model_lookback_days=lookbacks))
    assert [(NOW - one.event_time_micros) // DAY for one in found] == expected
