import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tributary_domain.journey import NO_TOUCH, JourneyTouch, TouchKind
from tributary_domain.sessions import session_ids
from tributary_domain.settings import DAY, SECOND

TIMEOUT = 1800 * SECOND
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sessions_and_identity.json").read_text())


def at(seconds: float, **given: Any) -> JourneyTouch:
    time = int(seconds * SECOND)
    return JourneyTouch(time, time + 1, **given)


def is_new(*entries: JourneyTouch) -> list[bool]:
    return [earlier != later for earlier, later in pairwise(session_ids(entries, TIMEOUT))]


@pytest.mark.parametrize(("gap_seconds", "expected"), [(1799, False), (1800, True), (1801, True), (1799.999999, False)])
def test_a_gap_of_exactly_the_timeout_starts_a_new_session(gap_seconds: float, expected: bool) -> None:
    assert is_new(at(0), at(gap_seconds)) == [expected]


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["session_boundary"] if "Flink" not in case["rule"]], ids=lambda case: case["rule"]
)
def test_the_boundary_is_that_of_the_analytics_tools(case: dict[str, Any]) -> None:
    assert is_new(at(0), at(case["gap_s"])) == [case["new_session"]]


SPLITS = [case for case in VECTORS["session_split"] if "new_session" in case]


@pytest.mark.parametrize("case", SPLITS, ids=lambda case: f"{case['rule']} {case['event']}")
def test_splits_are_those_of_ga4_and_not_of_its_predecessor(case: dict[str, Any]) -> None:
    """Neither midnight nor a new campaign ends a session, as in GA4; Universal Analytics split at both."""
    last_minute = DAY // SECOND - 30
    first, second = (last_minute, last_minute + 60) if "midnight" in case["event"] else (0, 60)
    ours = is_new(at(first, descriptor=1), at(second, descriptor=1 if "midnight" in case["event"] else 2))
    assert ours == [False]
    assert case["new_session"] is (case["rule"] == "UA")


@pytest.mark.parametrize(
    "timeout_seconds",
    [
        pytest.param(60, id="Universal Analytics' shortest"),
        pytest.param(14_400, id="Universal Analytics' longest"),
        pytest.param(
            next(case["value_s"] for case in VECTORS["session_split"] if case["event"] == "timeout maximum"),
            id="GA4's longest",
        ),
    ],
)
def test_the_boundary_is_the_same_at_every_timeout_a_workspace_may_set(timeout_seconds: int) -> None:
    for gap, expected in ((timeout_seconds - 1, 1), (timeout_seconds, 2), (timeout_seconds + 1, 2)):
        assert len(set(session_ids([at(0), at(gap)], timeout_seconds * SECOND))) == expected


def test_midnight_ends_no_session() -> None:
    assert is_new(at(DAY / SECOND - 30), at(DAY / SECOND + 30)) == [False]


def test_a_new_source_ends_no_session() -> None:
    assert is_new(at(0, descriptor=1), at(60, descriptor=2)) == [False]


def test_a_return_from_a_payment_page_keeps_the_session_alive() -> None:
    assert is_new(at(0), at(1500, flags=NO_TOUCH), at(3000)) == [False, False]


def test_a_conversion_keeps_the_session_alive() -> None:
    assert is_new(at(0), at(1500, kind=TouchKind.CONVERSION), at(3000)) == [False, False]


def test_what_happens_off_site_belongs_to_no_session_and_extends_none() -> None:
    first, impression, later = session_ids([at(0), at(1500, kind=TouchKind.IMPRESSION), at(3000)], TIMEOUT)
    assert impression == 0
    assert first != later


def test_a_late_event_joins_two_sessions_under_the_first_id() -> None:
    before = session_ids([at(0), at(3000)], TIMEOUT)
    after = session_ids([at(0), at(1500), at(3000)], TIMEOUT)
    assert before[0] != before[1]
    assert after == [before[0]] * 3


def test_named_sessions_of_two_devices_stay_apart() -> None:
    phone, laptop = 11, 22
    entries = [at(0, session=phone), at(10, session=laptop), at(20, session=phone), at(30, session=laptop)]
    assert session_ids(entries, TIMEOUT) == [phone, laptop, phone, laptop]


def test_an_event_without_a_name_joins_the_session_active_last() -> None:
    assert session_ids([at(0, session=11), at(10, session=22), at(20)], TIMEOUT) == [11, 22, 22]


def test_an_open_session_without_a_name_takes_the_first_name() -> None:
    entries = [at(0), at(10, session=22), at(20)]
    assert len(set(session_ids(entries, TIMEOUT))) == 1


def test_a_name_used_again_after_the_timeout_is_a_new_session() -> None:
    assert is_new(at(0, session=11), at(1800, session=11)) == [True]


@pytest.mark.parametrize(("gap_seconds", "expected"), [(1799, False), (1800, True)])
def test_the_timeout_is_the_same_where_sessions_have_names(gap_seconds: float, expected: bool) -> None:
    assert is_new(at(0, session=11), at(gap_seconds)) == [expected]
    assert is_new(at(0, session=11), at(gap_seconds, session=11)) == [expected]
