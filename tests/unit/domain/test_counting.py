from itertools import permutations

import pytest

from tributary_domain.counting import (
    CountableConversion,
    CountDecision,
    Counting,
    UncountedReason,
    count,
    leading_click,
)
from tributary_domain.journey import NO_CONSENT, QUARANTINED, JourneyTouch, TouchKind


def sign_up(time: int, session: int = 0, click: int = 0, *, is_good: bool = True) -> CountableConversion:
    return CountableConversion(
        conversion_id=f"c{time}", event_time_micros=time, event_hash=time, session=session, click=click, is_good=is_good
    )


@pytest.mark.parametrize(
    ("rule", "conversions", "counted"),
    [
        pytest.param(Counting.EVERY, [sign_up(1, 7, 9), sign_up(2, 7, 9)], ["c1", "c2"], id="every"),
        pytest.param(Counting.ONCE_PER_PERSON, [sign_up(1, 7), sign_up(2, 8)], ["c1"], id="once per person"),
        pytest.param(
            Counting.ONCE_PER_SESSION,
            [sign_up(1, 7), sign_up(2, 7), sign_up(3, 7), sign_up(4, 7), sign_up(5, 7), sign_up(6, 8)],
            ["c1", "c6"],
            id="a page reloaded five times, and the next day",
        ),
        pytest.param(Counting.ONCE_PER_SESSION, [sign_up(1), sign_up(2)], ["c1", "c2"], id="no session is known"),
        pytest.param(
            Counting.ONCE_PER_CLICK,
            [sign_up(1, 7, 9), sign_up(2, 8, 9), sign_up(3, 8, 10)],
            ["c1", "c3"],
            id="once per click, across sessions",
        ),
        pytest.param(
            Counting.ONCE_PER_CLICK, [sign_up(1, 7), sign_up(2, 7), sign_up(3, 8)], ["c1", "c3"], id="no click: session"
        ),
        pytest.param(
            Counting.ONCE_PER_PERSON,
            [sign_up(1, is_good=False), sign_up(2), sign_up(3)],
            ["c2"],
            id="the first was retracted, so the next takes over",
        ),
        pytest.param(Counting.ONCE_PER_PERSON, [], [], id="nothing"),
    ],
)
def test_which_conversions_count_is_decided_in_event_order(
    rule: Counting, conversions: list[CountableConversion], counted: list[str]
) -> None:
    for arrival in list(permutations(conversions))[:120]:
        decisions = count(arrival, rule)
        assert [decision.conversion_id for decision in decisions if decision.is_counted] == counted
        assert len(decisions) == sum(conversion.is_good for conversion in conversions)


def test_what_does_not_count_says_why_and_what_counts_instead() -> None:
    decisions = count([sign_up(1, 7, 9), sign_up(2, 7, 9)], Counting.ONCE_PER_CLICK)
    assert decisions[1] == CountDecision("c2", UncountedReason.REPEATED_FOR_CLICK, "c1")


def test_a_late_conversion_that_came_first_counts_in_place_of_the_other() -> None:
    before = count([sign_up(5)], Counting.ONCE_PER_PERSON)
    after = count([sign_up(5), sign_up(3)], Counting.ONCE_PER_PERSON)
    assert before[0].is_counted
    assert after == [CountDecision("c3"), CountDecision("c5", UncountedReason.REPEATED_BY_PERSON, "c3")]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([JourneyTouch(1, 1, click=9), JourneyTouch(2, 2, click=8), JourneyTouch(3, 3)], 8, id="newest"),
        pytest.param([JourneyTouch(1, 5, TouchKind.CLICK)], 5, id="a click without an id"),
        pytest.param([JourneyTouch(10, 10, click=9)], 9, id="at the conversion"),
        pytest.param([JourneyTouch(11, 1, click=9)], 0, id="after the conversion"),
        pytest.param([JourneyTouch(1, 1, click=9, flags=QUARANTINED)], 0, id="quarantined"),
        pytest.param([JourneyTouch(1, 1, click=9, flags=NO_CONSENT)], 0, id="without consent"),
        pytest.param([JourneyTouch(1, 1, TouchKind.IMPRESSION, click=9)], 0, id="only seen"),
    ],
)
def test_the_newest_click_before_a_conversion_led_to_it(entries: list[JourneyTouch], expected: int) -> None:
    assert leading_click(entries, (10, 10)) == expected
