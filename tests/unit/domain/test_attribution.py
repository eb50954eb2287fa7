from typing import Any

import pytest

from tributary_domain.attribution import WHOLE, Attribution, UnattributedReason, attribute, position_weights
from tributary_domain.journey import DIRECT, NO_CONSENT, NO_TOUCH, QUARANTINED, JourneyTouch, TouchKind
from tributary_domain.settings import (
    DAY,
    HOUR,
    MODELS,
    SECOND,
    AttributionModel,
    AttributionSettings,
    ImpressionPolicy,
    TouchGrain,
)
from tributary_domain.windows import CreditableConversion

NOW = 1_000 * DAY
AD, NEWSLETTER, SHOP = 1, 2, 3


def touch(before: int, descriptor: int = AD, **given: Any) -> JourneyTouch:
    """A touch `before` microseconds before the conversion; its hash grows with its age unless given."""
    return JourneyTouch(NOW - before, given.pop("event_hash", 1_000 + abs(before)), descriptor=descriptor, **given)


def direct(before: int) -> JourneyTouch:
    return touch(before, 0, flags=DIRECT)


def credit(
    *touches: JourneyTouch, amount: int = 100, conversion: dict[str, Any] | None = None, **settings: Any
) -> Attribution:
    converted = CreditableConversion(event_time_micros=NOW, amount_micros=amount, **(conversion or {}))
    return attribute(touches, converted, AttributionSettings(**settings))


def of(attribution: Attribution, model: str) -> list[int]:
    return list(attribution.credits[MODELS.index(AttributionModel(model))])


def money(attribution: Attribution, model: str) -> list[int]:
    return list(attribution.amounts[MODELS.index(AttributionModel(model))])


def reasons(attribution: Attribution) -> set[UnattributedReason | None]:
    return set(attribution.unattributed)


@pytest.mark.parametrize("model", [model.value for model in MODELS])
def test_a_single_touch_earns_everything(model: str) -> None:
    attribution = credit(touch(DAY))
    assert of(attribution, model) == [WHOLE]
    assert money(attribution, model) == [100]


@pytest.mark.parametrize(
    ("model", "credits", "amounts"),
    [
        pytest.param("first_touch", [1_000_000, 0], [100, 0], id="first"),
        pytest.param("last_touch", [0, 1_000_000], [0, 100], id="last"),
        pytest.param("last_non_direct", [1_000_000, 0], [100, 0], id="the last is direct"),
        pytest.param("linear", [500_000, 500_000], [50, 50], id="halves"),
        pytest.param("position_based", [500_000, 500_000], [50, 50], id="40/(40+40)"),
        # One half life apart: weights 1/2 and 1, so 1/3 and 2/3.
        pytest.param("time_decay", [333_333, 666_667], [33, 67], id="one half life apart"),
    ],
)
def test_two_touches_share_as_computed_by_hand(model: str, credits: list[int], amounts: list[int]) -> None:
    attribution = credit(touch(8 * DAY), direct(DAY))
    assert of(attribution, model) == credits
    assert money(attribution, model) == amounts


@pytest.mark.parametrize(
    ("model", "credits"),
    [
        pytest.param("linear", [250_000] * 4, id="linear"),
        pytest.param("position_based", [400_000, 100_000, 100_000, 400_000], id="40-20-40"),
        # Ages 3, 2, 1, 0 half lives: weights 1, 2, 4, 8 of 15.
        pytest.param("time_decay", [66_667, 133_333, 266_667, 533_333], id="time decay"),
        pytest.param("last_non_direct", [0, 0, 1_000_000, 0], id="last non-direct"),
    ],
)
def test_four_touches_share_as_computed_by_hand(model: str, credits: list[int]) -> None:
    attribution = credit(touch(22 * DAY, AD), touch(15 * DAY, SHOP), touch(8 * DAY, NEWSLETTER), direct(DAY))
    assert of(attribution, model) == credits


def test_last_non_direct_falls_back_to_the_last_touch_when_all_are_direct() -> None:
    assert of(credit(direct(3 * DAY), direct(2 * DAY), direct(DAY)), "last_non_direct") == [0, 0, WHOLE]


@pytest.mark.parametrize(
    ("weights", "count", "expected"),
    [
        pytest.param((40, 20, 40), 1, [1], id="one touch"),
        pytest.param((30, 40, 10), 2, [30, 10], id="two touches share a/(a+c)"),
        pytest.param((0, 100, 0), 2, [1, 1], id="two touches where the ends get nothing"),
        pytest.param((0, 100, 0), 3, [0, 100, 0], id="the middle alone"),
        pytest.param((40, 20, 40), 5, [120, 20, 20, 20, 120], id="five"),
    ],
)
def test_position_weights_are_integers_in_the_given_proportion(
    weights: tuple[int, int, int], count: int, expected: list[int]
) -> None:
    assert position_weights(count, weights) == expected


def test_one_micro_over_three_touches_goes_to_the_first_of_equals() -> None:
    attribution = credit(touch(3 * DAY, AD), touch(2 * DAY, SHOP), touch(DAY, NEWSLETTER), amount=1)
    assert money(attribution, "linear") == [1, 0, 0]
    assert money(attribution, "position_based") == [1, 0, 0]
    assert money(attribution, "time_decay") == [0, 0, 1]


def test_money_is_split_by_weights_and_not_by_rounded_credits() -> None:
    amount = 9_000_000_000_000
    attribution = credit(touch(3 * DAY, AD), touch(2 * DAY, SHOP), touch(DAY, NEWSLETTER), amount=amount)
    assert of(attribution, "linear") == [333_334, 333_333, 333_333]
    assert money(attribution, "linear") == [amount // 3] * 3


def test_a_negative_value_is_split_like_the_positive_one() -> None:
    touches = [touch(3 * DAY, AD), touch(2 * DAY, SHOP), touch(DAY, NEWSLETTER)]
    sale, refund = credit(*touches, amount=1_000_001), credit(*touches, amount=-1_000_001)
    for model in MODELS:
        assert money(refund, model) == [-part for part in money(sale, model)]


def test_a_conversion_without_value_shares_credit_and_no_money() -> None:
    attribution = credit(touch(2 * DAY, AD), touch(DAY, SHOP), amount=0)
    assert of(attribution, "linear") == [500_000, 500_000]
    assert money(attribution, "linear") == [0, 0]


@pytest.mark.parametrize(
    ("before", "is_inside"),
    [
        pytest.param(30 * DAY + 1, False, id="1 micro before the older edge"),
        pytest.param(30 * DAY, True, id="at the older edge"),
        pytest.param(30 * DAY - 1, True, id="1 micro inside the older edge"),
        pytest.param(1, True, id="1 micro before the conversion"),
        pytest.param(0, True, id="at the conversion"),
        pytest.param(-1, False, id="1 micro after the conversion, elsewhere"),
    ],
)
def test_the_window_is_closed_at_both_ends(before: int, is_inside: bool) -> None:
    everything = {"impression_policy": ImpressionPolicy.FULL, "view_window_seconds": 90 * 86_400}
    attribution = credit(touch(before, kind=TouchKind.OPEN), **everything)
    assert bool(attribution.touches) is is_inside


@pytest.mark.parametrize(
    ("touch_session", "after", "counts"),
    [
        pytest.param(7, 2 * SECOND, True, id="2 s after, same session"),
        pytest.param(7, 2 * SECOND + 1, False, id="1 micro too late"),
        pytest.param(8, 1 * SECOND, False, id="another session"),
        pytest.param(0, 1 * SECOND, True, id="unnamed, so the open session"),
    ],
)
def test_a_touch_just_after_its_conversion_counts_in_the_same_session_only(
    touch_session: int, after: int, counts: bool
) -> None:
    attribution = credit(touch(-after, session=touch_session), conversion={"session": 7, "event_hash": 5})
    assert bool(attribution.touches) is counts


def test_ties_in_time_are_ordered_by_hash() -> None:
    late, early = touch(DAY, AD, event_hash=9), touch(DAY, SHOP, event_hash=3)
    attribution = credit(late, early)
    assert [used.event_hash for used in attribution.touches] == [3, 9]
    assert of(attribution, "first_touch") == [WHOLE, 0]
    assert of(attribution, "time_decay") == [500_000, 500_000]


def test_models_may_look_back_differently() -> None:
    attribution = credit(
        touch(200 * DAY, AD), touch(DAY, SHOP), model_lookback_days=((AttributionModel.FIRST_TOUCH, 365),)
    )
    assert of(attribution, "first_touch") == [WHOLE, 0]
    assert of(attribution, "last_touch") == [0, WHOLE]
    assert of(attribution, "linear") == [0, WHOLE]
    assert money(attribution, "linear") == [0, 100]


def test_a_model_whose_own_window_is_empty_is_unattributed_alone() -> None:
    attribution = credit(touch(200 * DAY), model_lookback_days=((AttributionModel.FIRST_TOUCH, 365),))
    assert attribution.unattributed == (None, *[UnattributedReason.OUTSIDE_WINDOW] * 5)
    assert of(attribution, "linear") == [0]
    assert attribution.unattributed_credits == (0, *[WHOLE] * 5)
    assert attribution.unattributed_amounts == (0, *[100] * 5)


IMPRESSION = touch(HOUR, kind=TouchKind.IMPRESSION)
SEEN = [TouchKind.IMPRESSION, TouchKind.ENGAGED_VIEW, TouchKind.OPEN]


@pytest.mark.parametrize(
    ("touches", "conversion", "expected"),
    [
        pytest.param([], {}, "no_touchpoint", id="nothing"),
        pytest.param([], {"is_anonymous": True}, "anonymous", id="no identifier"),
        pytest.param([], {"has_earlier_touch": True}, "outside_window", id="acquired before what is kept"),
        pytest.param([touch(-HOUR)], {}, "no_touchpoint", id="only after the conversion"),
        pytest.param([touch(HOUR, flags=NO_TOUCH)], {}, "no_touchpoint", id="only a return from a payment page"),
        pytest.param([touch(HOUR, kind=TouchKind.CONVERSION)], {}, "no_touchpoint", id="only another conversion"),
        pytest.param([touch(31 * DAY)], {}, "outside_window", id="only too old"),
        pytest.param([touch(300 * DAY)], {}, "outside_window", id="only much too old"),
        pytest.param([touch(HOUR, flags=QUARANTINED)], {}, "only_quarantined", id="only quarantined"),
        pytest.param([touch(40 * DAY, flags=QUARANTINED)], {}, "outside_window", id="old and quarantined"),
        pytest.param([touch(HOUR, flags=NO_CONSENT)], {}, "no_consent", id="only without consent"),
        pytest.param(
            [touch(HOUR, flags=NO_CONSENT), touch(DAY, flags=QUARANTINED)], {}, "no_consent", id="consent is nearer"
        ),
        pytest.param([IMPRESSION], {}, "excluded_by_setting", id="only an impression"),
        pytest.param([touch(HOUR, kind=TouchKind.ENGAGED_VIEW)], {}, "excluded_by_setting", id="only an engaged view"),
        pytest.param([touch(HOUR, kind=TouchKind.OPEN)], {}, "excluded_by_setting", id="only an opened message"),
        pytest.param([touch(HOUR)], {"path_start": (NOW - 1, 0)}, "excluded_by_setting", id="before a path reset"),
        pytest.param(
            [IMPRESSION, touch(DAY, flags=NO_CONSENT), touch(40 * DAY)], {}, "excluded_by_setting", id="several"
        ),
    ],
)
def test_what_nobody_earned_has_exactly_one_reason(
    touches: list[JourneyTouch], conversion: dict[str, Any], expected: str
) -> None:
    attribution = credit(*touches, conversion=conversion)
    assert reasons(attribution) == {UnattributedReason(expected)}
    assert attribution.unattributed_credits == (WHOLE,) * len(MODELS)
    assert attribution.unattributed_amounts == (100,) * len(MODELS)


def test_a_quarantined_touch_earns_nothing_beside_a_good_one() -> None:
    attribution = credit(touch(2 * DAY, AD, flags=QUARANTINED), touch(DAY, SHOP))
    assert [used.descriptor for used in attribution.touches] == [SHOP]
    assert reasons(attribution) == {None}


def test_a_direct_visit_that_was_observed_is_not_unattributed() -> None:
    assert reasons(credit(direct(DAY))) == {None}


def test_ten_years_old_journeys_share_like_new_ones() -> None:
    old = CreditableConversion(event_time_micros=-3_650 * DAY, amount_micros=100)
    attribution = attribute([JourneyTouch(-3_660 * DAY, 1, descriptor=AD)], old, AttributionSettings())
    assert of(attribution, "linear") == [WHOLE]


def test_with_event_grain_every_event_is_a_touch() -> None:
    touches = [touch(DAY + SECOND, click=5), touch(DAY, click=5)]
    assert len(credit(*touches, touch_grain=TouchGrain.EVENT).touches) == 2
    assert len(credit(*touches).touches) == 1


def test_an_interaction_that_began_before_the_window_is_outside() -> None:
    attribution = credit(touch(30 * DAY + SECOND), touch(30 * DAY - SECOND))
    assert reasons(attribution) == {UnattributedReason.OUTSIDE_WINDOW}


def test_more_touches_than_the_cap_keep_the_first_and_the_last() -> None:
    touches = [touch(day * DAY, day) for day in range(1, 11)]
    attribution = credit(*touches, touch_cap=4, touch_cap_first=1)
    assert [used.descriptor for used in attribution.touches] == [10, 3, 2, 1]


@pytest.mark.parametrize("kind", SEEN, ids=lambda kind: kind.name)
def test_what_was_only_seen_never_pushes_out_a_click(kind: TouchKind) -> None:
    clicks = [touch(day * DAY, day) for day in (10, 9, 8, 7)]
    views = [touch(minute * 60 * SECOND, 90, kind=kind) for minute in range(1, 31)]
    attribution = credit(*clicks, *views, touch_cap=4, touch_cap_first=1, impression_policy=ImpressionPolicy.FULL)
    assert [used.descriptor for used in attribution.touches[:4]] == [10, 9, 8, 7]
    assert len(attribution.touches) == 4 + 20


@pytest.mark.parametrize("kind", SEEN, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    ("policy", "others", "counts"),
    [
        pytest.param(ImpressionPolicy.IGNORE, [], False, id="ignore"),
        pytest.param(ImpressionPolicy.ONLY_WITHOUT_CLICK, [direct(60 * SECOND)], True, id="beside a direct visit"),
        pytest.param(ImpressionPolicy.ONLY_WITHOUT_CLICK, [touch(DAY, SHOP)], False, id="beside a click"),
        pytest.param(ImpressionPolicy.FULL, [touch(DAY, SHOP)], True, id="full"),
    ],
)
def test_what_was_only_seen_earns_as_the_policy_says(
    policy: ImpressionPolicy, others: list[JourneyTouch], counts: bool, kind: TouchKind
) -> None:
    seen = touch(HOUR, kind=kind)
    attribution = credit(seen, *others, impression_policy=policy)
    assert (seen in attribution.touches) is counts


@pytest.mark.parametrize("kind", SEEN, ids=lambda kind: kind.name)
def test_what_was_only_seen_is_no_click_that_keeps_the_others_out(kind: TouchKind) -> None:
    both = [touch(HOUR, kind=kind), touch(2 * HOUR, SHOP, kind=TouchKind.IMPRESSION)]
    assert len(credit(*both, impression_policy=ImpressionPolicy.ONLY_WITHOUT_CLICK).touches) == 2


@pytest.mark.parametrize("kind", SEEN, ids=lambda kind: kind.name)
@pytest.mark.parametrize(("before", "counts"), [(DAY, True), (DAY + 1, False)])
def test_the_view_window_is_closed_at_its_older_end(before: int, counts: bool, kind: TouchKind) -> None:
    seen = touch(before, kind=kind)
    assert bool(credit(seen, impression_policy=ImpressionPolicy.FULL).touches) is counts


def test_collapsed_repeats_count_once_as_the_first() -> None:
    touches = [touch(5 * DAY, AD), touch(4 * DAY, AD), touch(3 * DAY, SHOP), touch(2 * DAY, AD)]
    attribution = credit(*touches, collapse_repeats=True)
    assert [used.event_time_micros for used in attribution.touches] == [NOW - days * DAY for days in (5, 3, 2)]


def test_a_path_that_was_reset_begins_after_the_conversion_that_reset_it() -> None:
    last_order = touch(3 * DAY, 50, kind=TouchKind.CONVERSION, event_hash=4)
    attribution = credit(
        touch(4 * DAY, AD), last_order, touch(2 * DAY, SHOP), conversion={"path_start": (NOW - 3 * DAY, 4)}
    )
    assert [used.descriptor for used in attribution.touches] == [SHOP]
