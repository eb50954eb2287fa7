"""What becomes of the conversions of a request by what the destination reports of it later."""

from __future__ import annotations

import pytest

from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_REPORT_REJECTED,
    DELIVERY_REPORT_UNCLEAR,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_SUPERSEDED,
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_PERMANENT,
    OUTCOME_CLASS_RETRY,
    OUTCOME_CLASS_UNKNOWN,
    Delivery,
    OutcomeClass,
)
from tributary_delivery.destinations.google_reasons import class_later
from tributary_delivery.destinations.reporting import RequestReport
from tributary_delivery.report_judgement import Judgement, judge

HOUR = 3_600_000_000
SENT = 1_000_000 * HOUR


def lines(count: int, age_hours: int = 0) -> list[Delivery]:
    """Returns what was sent at one moment, of conversions that were so old by then."""
    found = []
    for number in range(count):
        line = Delivery(conversion_id=f"c-{number}", revision=SENT - age_hours * HOUR, state=DELIVERY_STATE_ACCEPTED)
        line.operation = DELIVERY_OPERATION_CREATE
        line.attempt_time.FromMicroseconds(SENT)
        found.append(line)
    return found


def judged(sent: list[Delivery], records: int = 5, all_refused: bool | None = None, /, **refused: int) -> Judgement:
    early = frozenset({"TOO_RECENT_CLICK"} & refused.keys())
    classes = {reason: (class_later(reason), count) for reason, count in refused.items()}
    return judge(RequestReport("ITS_WORD", records, classes, early, all_refused), sent, SENT + HOUR)


@pytest.mark.parametrize(
    "reason", ["TOO_RECENT_CLICK", "INTERNAL_ERROR", "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"]
)
def test_what_may_have_been_refused_for_a_reason_that_passes_is_sent_again_whatever_else_was(reason: str) -> None:
    found = judged(lines(5), **{reason: 2}, CLICK_NOT_FOUND=1)
    assert [one.conversion_id for one in found.again] == [f"c-{number}" for number in range(5)]
    assert not any(one.is_certain for one in found.again), "some of them count"
    assert {(one.state, one.report) for one in found.lines} == {(DELIVERY_STATE_SUPERSEDED, DELIVERY_REPORT_UNCLEAR)}
    assert found.dead == []


def test_what_stays_is_not_sent_again() -> None:
    found = judged(lines(5), CLICK_NOT_FOUND=2, INVALID_GCLID=1)
    assert (found.again, found.dead) == ([], [])
    assert {(one.state, one.report) for one in found.lines} == {(DELIVERY_STATE_ACCEPTED, DELIVERY_REPORT_UNCLEAR)}


def test_what_was_old_enough_when_it_was_sent_was_not_refused_for_being_too_early() -> None:
    sent = lines(2) + lines(3, age_hours=13)
    found = judged(sent, TOO_RECENT_CLICK=2, CLICK_NOT_FOUND=1)
    assert [one.revision for one in found.again] == [SENT] * 2
    assert [one.state for one in found.lines] == [DELIVERY_STATE_SUPERSEDED] * 2 + [DELIVERY_STATE_ACCEPTED] * 3
    assert len(judged(sent, TOO_RECENT_CLICK=2, INTERNAL_ERROR=1).again) == 5, "an error of theirs can be of any"
    assert len(judged(sent, TOO_RECENT_CLICK=5).again) == 5, "it says it of all of them"


def test_all_are_refused_only_if_all_that_were_sent_are_not_all_that_the_ledger_still_has() -> None:
    for records, report in ((5, DELIVERY_REPORT_UNCLEAR), (3, DELIVERY_REPORT_REJECTED)):
        found = judged(lines(3), records, EVENT_TOO_OLD=3)
        assert {one.report for one in found.lines} == {report}
    one_left = judged(lines(1), EVENT_TOO_OLD=3)
    assert [(one.state, one.report) for one in one_left.lines] == [(DELIVERY_STATE_ACCEPTED, DELIVERY_REPORT_UNCLEAR)]
    alone = judged(lines(1), 1, EVENT_TOO_OLD=1)
    assert [one.state for one in alone.lines] == [DELIVERY_STATE_DEAD]


@pytest.mark.parametrize(
    ("refused", "outcome"),
    [
        pytest.param({"EVENT_TOO_OLD": 1, "CLICK_NOT_FOUND": 1}, OUTCOME_CLASS_PERMANENT, id="for good"),
        pytest.param({"EVENT_TOO_OLD": 1, "OF_NEXT_YEAR": 1}, OUTCOME_CLASS_UNKNOWN, id="one that nobody knows"),
        pytest.param({"EVENT_TOO_OLD": 1, "INTERNAL_ERROR": 1}, OUTCOME_CLASS_RETRY, id="one that passes"),
        pytest.param(
            {"INTERNAL_ERROR": 1, "CUSTOM_VARIABLE_NOT_ENABLED": 1}, OUTCOME_CLASS_CONFIG, id="one that is to be mended"
        ),
    ],
)
def test_none_of_a_request_counts_that_is_refused_as_a_whole_for_several_reasons(
    refused: dict[str, int], outcome: OutcomeClass.ValueType
) -> None:
    found = judged(lines(2), 2, **refused)
    assert {(one.outcome, one.report) for one in found.lines} == {(outcome, DELIVERY_REPORT_REJECTED)}
    told = found.again if outcome in (OUTCOME_CLASS_RETRY, OUTCOME_CLASS_CONFIG) else found.dead
    assert [(one.conversion_id, one.is_certain) for one in told] == [("c-0", True), ("c-1", True)]
    assert all(reason in line.report_reason for line in found.lines for reason in refused)


def test_what_cannot_have_been_too_early_is_dead_where_all_are_refused() -> None:
    found = judged(lines(1) + lines(1, age_hours=13), 2, TOO_RECENT_CLICK=1, EVENT_TOO_OLD=1)
    assert [one.state for one in found.lines] == [DELIVERY_STATE_SUPERSEDED, DELIVERY_STATE_DEAD]


@pytest.mark.parametrize(
    ("records", "all_refused", "refused", "report", "causes"),
    [
        pytest.param(10, False, (6, 6), DELIVERY_REPORT_UNCLEAR, (5, 5), id="some count, more reasons than events"),
        pytest.param(10, False, (6, 4), DELIVERY_REPORT_UNCLEAR, (6, 4), id="some count, as many reasons as events"),
        pytest.param(10, False, (10, 0), DELIVERY_REPORT_UNCLEAR, (10, 0), id="some count, and all are named"),
        pytest.param(10, None, (6, 6), DELIVERY_REPORT_UNCLEAR, (5, 5), id="it does not say whether some count"),
        pytest.param(10, None, (6, 4), DELIVERY_REPORT_REJECTED, (6, 4), id="the counts say that none does"),
        pytest.param(10, None, (12, 0), DELIVERY_REPORT_REJECTED, (10, 0), id="one reason, of more than there were"),
        pytest.param(10, True, (6, 6), DELIVERY_REPORT_REJECTED, (5, 5), id="none counts"),
        pytest.param(0, False, (6, 6), DELIVERY_REPORT_UNCLEAR, (5, 5), id="it does not say how many there were"),
    ],
)
def test_one_event_that_is_counted_under_two_reasons_refuses_no_other(
    records: int, all_refused: bool | None, refused: tuple[int, int], report: int, causes: tuple[int, int]
) -> None:
    counts = zip(("EVENT_TOO_OLD", "INVALID_CLICK"), refused, strict=True)
    found = judged(lines(10), records, all_refused, **{reason: count for reason, count in counts if count})
    assert {one.report for one in found.lines} == {report}
    is_dead = report == DELIVERY_REPORT_REJECTED
    assert {one.state for one in found.lines} == {DELIVERY_STATE_DEAD if is_dead else DELIVERY_STATE_ACCEPTED}
    assert [one.is_certain for one in found.dead] == [True] * 10 * is_dead
    assert (found.conversions, tuple(found.causes.values())) == (10, tuple(count for count in causes if count))
    if refused == (6, 6):
        assert {one.report_reason for one in found.lines} == {"6 EVENT_TOO_OLD, 6 INVALID_CLICK of 10"}


@pytest.mark.parametrize("left", [0, 1, 3])
def test_a_report_that_is_read_again_says_the_same_though_the_ledger_has_some_of_it(left: int) -> None:
    whole = RequestReport("ITS_WORD", 0, all_refused=True)
    found = judge(whole, lines(left), SENT + HOUR, 3)
    assert (found.conversions, found.causes) == (3, {"NO_REASON_GIVEN": 3})
    assert [line.state for line in found.lines] == [DELIVERY_STATE_DEAD] * left
    counted = RequestReport("ITS_WORD", 0, {"EVENT_TOO_OLD": (OUTCOME_CLASS_PERMANENT, 1)})
    assert {one.report for one in judge(counted, lines(1), SENT + HOUR, 3).lines} == {DELIVERY_REPORT_UNCLEAR}
