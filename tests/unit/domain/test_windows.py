from typing import Any

import pytest

from tributary_domain.journey import NO_CONSENT, NO_TOUCH, QUARANTINED, JourneyTouch, TouchKind
from tributary_domain.settings import DAY, HOUR, SECOND, AttributionModel, AttributionSettings, ImpressionPolicy
from tributary_domain.windows import CreditableConversion, exclusions

NOW = 1_000 * DAY
USED = JourneyTouch(NOW - DAY, 1, descriptor=1)


def why(entry: JourneyTouch, *others: JourneyTouch, conversion: dict[str, Any] | None = None, **settings: Any) -> str:
    converted = CreditableConversion(event_time_micros=NOW, event_hash=77, **(conversion or {}))
    found = exclusions([entry, *others, USED], converted, AttributionSettings(**settings))
    return found[entry].value if entry in found else "used"


def entry(before: int, **given: Any) -> JourneyTouch:
    return JourneyTouch(NOW - before, 500 + abs(before), **{"descriptor": 2, **given})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param(entry(HOUR), "used", id="used"),
        pytest.param(entry(HOUR, flags=NO_TOUCH), "not_a_touch", id="payment return"),
        pytest.param(entry(HOUR, kind=TouchKind.CONVERSION), "not_a_touch", id="conversion"),
        pytest.param(entry(-HOUR), "after_conversion", id="after"),
        pytest.param(entry(-HOUR, flags=QUARANTINED), "after_conversion", id="after and quarantined"),
        pytest.param(entry(-SECOND, session=9), "after_conversion", id="just after, other session"),
        pytest.param(entry(HOUR, flags=QUARANTINED | NO_CONSENT), "quarantined", id="quarantined"),
        pytest.param(entry(HOUR, flags=NO_CONSENT), "no_consent", id="no consent"),
        pytest.param(entry(30 * DAY + 1), "outside_window", id="a little too old"),
        pytest.param(entry(99 * DAY), "outside_window", id="much too old"),
        pytest.param(entry(HOUR, kind=TouchKind.IMPRESSION), "impression_ignored", id="impression"),
        pytest.param(entry(HOUR, kind=TouchKind.ENGAGED_VIEW), "impression_ignored", id="engaged view"),
        pytest.param(entry(HOUR, kind=TouchKind.OPEN), "impression_ignored", id="opened message"),
    ],
)
def test_an_entry_that_earned_nothing_has_its_reason(given: JourneyTouch, reason: str) -> None:
    assert why(given, conversion={"session": 8}) == reason


def test_an_event_of_an_interaction_names_the_fold() -> None:
    assert why(entry(DAY - SECOND, descriptor=1)) == "folded"


def test_an_old_impression_is_outside_the_view_window() -> None:
    seen = entry(DAY + 1, kind=TouchKind.IMPRESSION)
    assert why(seen, impression_policy=ImpressionPolicy.FULL) == "outside_view_window"


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        pytest.param(0, "after_conversion", id="no slack"),
        pytest.param(4, "after_conversion", id="too little slack"),
        pytest.param(5, "used", id="both ends are inside"),
    ],
)
def test_how_late_a_touch_may_be_is_a_setting(seconds: int, reason: str) -> None:
    assert why(entry(-5 * SECOND), conversion={"session": 8}, late_touch_seconds=seconds) == reason


def test_a_repeat_that_collapsed_says_so() -> None:
    assert why(entry(HOUR, descriptor=1), collapse_repeats=True) == "collapsed"


def test_a_touch_over_the_cap_says_so() -> None:
    others = [entry(days * DAY, descriptor=days) for days in (9, 8, 5)]
    assert why(entry(7 * DAY), *others, touch_cap=3, touch_cap_first=1) == "over_cap"


def test_a_touch_before_a_path_reset_says_so() -> None:
    assert why(entry(2 * DAY), conversion={"path_start": (NOW - DAY - 1, 0)}) == "before_path_reset"


def test_a_touch_older_than_every_window_says_that_first_also_before_a_path_reset() -> None:
    longest = AttributionSettings().lookback_days * DAY
    reset = {"path_start": (NOW - DAY - 1, 0)}
    assert why(entry(longest), conversion=reset) == "before_path_reset"
    assert why(entry(longest + HOUR), conversion=reset) == "outside_window"


def test_a_touch_at_the_reset_itself_is_before_it() -> None:
    given = entry(2 * DAY)
    assert why(given, conversion={"path_start": given[:2]}) == "before_path_reset"


def test_a_touch_that_only_the_longest_window_holds_is_used() -> None:
    assert why(entry(99 * DAY), model_lookback_days=((AttributionModel.LINEAR, 100),)) == "used"
