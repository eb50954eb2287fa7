from typing import Any

import pytest

from tributary_domain.journey import DIRECT, NO_TOUCH, Exclusion, JourneyTouch, TouchKind
from tributary_domain.settings import HOUR, SECOND
from tributary_domain.touches import Trace, fold

TIMEOUT = 1800 * SECOND
AD, NEWSLETTER = 1, 2
MINUTE = 60 * SECOND


def at(time: int, descriptor: int = AD, **given: Any) -> JourneyTouch:
    return JourneyTouch(time, time + 1, descriptor=descriptor, **given)


def direct(time: int, **given: Any) -> JourneyTouch:
    return at(time, 0, flags=DIRECT, **given)


def starts(*entries: JourneyTouch) -> list[int]:
    return [touch.event_time_micros for touch in fold(entries, TIMEOUT)]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([at(0, click=7), at(5 * SECOND, click=7)], [0], id="one click id"),
        pytest.param(
            [at(0, NEWSLETTER, kind=TouchKind.CLICK, click=7), at(SECOND, AD, click=7)], [0], id="a click and its visit"
        ),
        pytest.param(
            [at(0, kind=TouchKind.CLICK, interaction=7), at(3 * HOUR, NEWSLETTER, interaction=7)],
            [0],
            id="a visit long after its click, by interaction id",
        ),
        pytest.param([at(0), at(MINUTE), at(2 * MINUTE)], [0], id="one source in one session"),
        pytest.param([at(0), at(TIMEOUT - 1)], [0], id="the last micro of a session"),
        pytest.param([at(0), at(TIMEOUT)], [0, TIMEOUT], id="the same source in the next session"),
        pytest.param([at(0), at(MINUTE, NEWSLETTER)], [0, MINUTE], id="two sources in one session"),
        pytest.param([at(0), direct(MINUTE)], [0], id="a direct event inherits its session's source"),
        pytest.param([direct(0), at(MINUTE)], [0, MINUTE], id="a source after a direct entrance"),
        pytest.param([at(0), direct(HOUR)], [0, HOUR], id="a direct visit in a later session"),
        pytest.param([at(0), at(MINUTE, click=8), at(2 * MINUTE, click=9)], [0], id="two clicks on one source"),
        pytest.param(
            [at(0), at(20 * MINUTE, 9, flags=NO_TOUCH), direct(45 * MINUTE)],
            [0],
            id="a payment page keeps the session alive",
        ),
        pytest.param([at(0, 9, flags=NO_TOUCH)], [], id="a return from a payment page alone"),
        pytest.param([at(0, kind=TouchKind.CONVERSION)], [], id="a conversion"),
        pytest.param(
            [at(0, kind=TouchKind.IMPRESSION, interaction=4), at(SECOND, kind=TouchKind.IMPRESSION, interaction=4)],
            [0],
            id="one impression, reported twice",
        ),
        pytest.param(
            [at(0, kind=TouchKind.IMPRESSION, interaction=4), at(SECOND, interaction=4)],
            [0, SECOND],
            id="an impression and the visit after it",
        ),
        pytest.param(
            [at(0, kind=TouchKind.IMPRESSION), at(SECOND, kind=TouchKind.IMPRESSION)],
            [0, SECOND],
            id="two impressions without an id",
        ),
    ],
)
def test_events_fold_into_touches(entries: list[JourneyTouch], expected: list[int]) -> None:
    assert starts(*entries) == expected


def test_an_old_click_id_in_a_later_session_is_a_direct_return() -> None:
    first, again = fold([at(0, click=7), at(24 * HOUR, click=7)], TIMEOUT)
    assert (first.is_direct, first.descriptor) == (False, AD)
    assert (again.is_direct, again.descriptor) == (True, 0)


def test_an_old_click_id_inside_a_session_with_a_source_is_no_touch() -> None:
    assert starts(at(0, click=7), at(24 * HOUR, NEWSLETTER), at(24 * HOUR + MINUTE, click=7)) == [0, 24 * HOUR]


def test_a_session_whose_visit_belongs_to_an_earlier_click_hands_its_source_down() -> None:
    entries = [at(0, kind=TouchKind.CLICK, click=7), at(3 * HOUR, click=7), direct(3 * HOUR + MINUTE)]
    assert starts(*entries) == [0]


def test_the_source_of_such_a_session_is_not_a_touch_again() -> None:
    entries = [at(0, kind=TouchKind.CLICK, click=7), at(3 * HOUR, click=7), at(3 * HOUR + MINUTE)]
    assert starts(*entries) == [0]


def test_a_touch_that_began_without_a_source_takes_it_from_its_interaction() -> None:
    (touch,) = fold([direct(0, interaction=3), at(SECOND, AD, interaction=3)], TIMEOUT)
    assert (touch.event_time_micros, touch.descriptor, touch.is_direct) == (0, AD, False)


def test_a_touch_that_has_a_source_keeps_it() -> None:
    (touch,) = fold([at(0, AD, kind=TouchKind.CLICK, click=7), at(SECOND, NEWSLETTER, click=7)], TIMEOUT)
    assert touch.descriptor == AD


def test_a_trace_says_what_was_folded_and_what_was_no_touch() -> None:
    trace: Trace = {}
    repeat, payment = at(MINUTE), at(2 * MINUTE, 9, flags=NO_TOUCH)
    fold([at(0), repeat, payment], TIMEOUT, trace)
    assert trace == {repeat: Exclusion.FOLDED, payment: Exclusion.NOT_A_TOUCH}


def test_a_source_found_later_holds_in_the_session_the_touch_began_in() -> None:
    phone, laptop = 5, 6
    entries = [
        direct(0, kind=TouchKind.CLICK, click=7, session=phone),
        at(MINUTE, AD, click=7, session=laptop),
        at(2 * MINUTE, AD, session=phone),
    ]
    assert starts(*entries) == [0]


def test_ten_thousand_events_of_one_interaction_fold_in_linear_time() -> None:
    entries = [at(second * SECOND, click=7) for second in range(10_000)]
    assert starts(*entries) == [0]
