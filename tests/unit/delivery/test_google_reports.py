"""What Google says of a request hours later, read as its documentation has it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.outgoing import an_answer
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_REPORT_REJECTED,
    DELIVERY_REPORT_TAKEN,
    DELIVERY_REPORT_UNCLEAR,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    Delivery,
)
from tributary_delivery.destinations.destination import PERMANENT, RETRY, UNKNOWN
from tributary_delivery.destinations.google_reports import read
from tributary_delivery.destinations.reporting import RequestReport
from tributary_delivery.report_judgement import judge


def said(*statuses: dict[str, Any]) -> Any:
    return read(an_answer(200, {"requestStatusPerDestination": list(statuses)}))


def a_status(name: str, records: int | None, **counts: int) -> dict[str, Any]:
    """Returns a status; `records` None: it does not say how many there were."""
    errors = [
        {"reason": f"PROCESSING_ERROR_{reason}" if reason else "", "recordCount": str(count)}
        for reason, count in counts.items()
    ]
    return {
        "requestStatus": name,
        **({} if records is None else {"eventsIngestionStatus": {"recordCount": str(records)}}),
        **({"errorInfo": {"errorCounts": errors}} if errors else {}),
    }


def accepted(count: int) -> list[Delivery]:
    """Returns what the ledger has of a request."""
    return [Delivery(conversion_id=f"c-{number}", state=DELIVERY_STATE_ACCEPTED) for number in range(count)]


def test_reasons_are_counted_over_destinations_and_what_is_known_already_counts() -> None:
    first = a_status("PARTIAL_SUCCESS", 10, REASON_EVENT_TOO_OLD=2, REASON_DUPLICATE_TRANSACTION_ID=3)
    second = a_status("PARTIAL_SUCCESS", 5, OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER=1, REASON_TOO_RECENT_CLICK=1)
    assert said(first, second) == RequestReport(
        "PARTIAL_SUCCESS",
        15,
        {
            "EVENT_TOO_OLD": (PERMANENT, 2),
            "OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER": (PERMANENT, 1),
            "TOO_RECENT_CLICK": (RETRY, 1),
        },
        frozenset({"TOO_RECENT_CLICK"}),
        all_refused=False,
        known=3,
    )


HELD = 10
TAKEN, REJECTED, UNCLEAR = DELIVERY_REPORT_TAKEN, DELIVERY_REPORT_REJECTED, DELIVERY_REPORT_UNCLEAR
OLD, DUPLICATE, CLICK = "REASON_EVENT_TOO_OLD", "REASON_DUPLICATE_TRANSACTION_ID", "REASON_INVALID_CLICK"
NOT_SAID = {"NO_REASON_GIVEN": 10}
ALL_OLD = {"EVENT_TOO_OLD": 10}
SOME_OLD = {"EVENT_TOO_OLD": 4}


@pytest.mark.parametrize("records", [None, 0, HELD])
@pytest.mark.parametrize(
    ("status", "named", "report", "causes"),
    [
        pytest.param("SUCCESS", {}, TAKEN, {}, id="success"),
        pytest.param("SUCCESS", {DUPLICATE: 10}, TAKEN, {}, id="success: all are known"),
        pytest.param("SUCCESS", {OLD: 4}, UNCLEAR, SOME_OLD, id="success, and less"),
        pytest.param("SUCCESS", {OLD: 10}, REJECTED, ALL_OLD, id="success, and as many"),
        pytest.param("SUCCESS", {OLD: 25}, REJECTED, ALL_OLD, id="success, and more"),
        pytest.param("PARTIAL_SUCCESS", {}, UNCLEAR, NOT_SAID, id="partly: not how many"),
        pytest.param("PARTIAL_SUCCESS", {DUPLICATE: 4}, TAKEN, {}, id="partly: the others are known"),
        pytest.param("PARTIAL_SUCCESS", {OLD: 4}, UNCLEAR, SOME_OLD, id="partly: less"),
        pytest.param("PARTIAL_SUCCESS", {OLD: 4, DUPLICATE: 6}, UNCLEAR, SOME_OLD, id="partly: less, some are known"),
        pytest.param("PARTIAL_SUCCESS", {OLD: 10}, UNCLEAR, ALL_OLD, id="partly: as many"),
        pytest.param("PARTIAL_SUCCESS", {OLD: 25}, UNCLEAR, ALL_OLD, id="partly: more"),
        pytest.param("FAILED", {}, REJECTED, NOT_SAID, id="failed: no reason"),
        pytest.param("FAILED", {OLD: 4}, REJECTED, {**SOME_OLD, "NO_REASON_GIVEN": 6}, id="failed: less"),
        pytest.param("FAILED", {"": 4}, REJECTED, NOT_SAID, id="failed: an empty reason, and less"),
        pytest.param("FAILED", {OLD: 10}, REJECTED, ALL_OLD, id="failed: as many"),
        pytest.param("FAILED", {OLD: 25}, REJECTED, ALL_OLD, id="failed: more"),
        pytest.param(
            "FAILED", {OLD: 8, CLICK: 8}, REJECTED, {"EVENT_TOO_OLD": 5, "INVALID_CLICK": 5}, id="failed: some for two"
        ),
        pytest.param("FAILED", {DUPLICATE: 10}, TAKEN, {}, id="failed: all are known"),
        pytest.param("FAILED", {DUPLICATE: 4}, UNCLEAR, {"NO_REASON_GIVEN": 6}, id="failed: some are known"),
        pytest.param("FAILED", {DUPLICATE: 6, OLD: 4}, UNCLEAR, SOME_OLD, id="failed: the others are known"),
    ],
)
def test_a_status_is_taken_at_its_word_whatever_it_counts_and_causes_are_of_what_was_sent(
    records: int | None, status: str, named: dict[str, int], report: int, causes: dict[str, int]
) -> None:
    found = judge(said(a_status(status, records, **named)), accepted(HELD), 0)
    assert ({one.report for one in found.lines}, found.conversions) == ({report}, HELD)
    assert found.causes == causes
    assert len(found.dead) == HELD * (report == REJECTED)


def test_what_is_refused_without_a_reason_may_be_looked_at_and_is_not_sent_again_by_itself() -> None:
    failed = judge(said(a_status("FAILED", None)), accepted(2), 0)
    partly = judge(said(a_status("PARTIAL_SUCCESS", None)), accepted(2), 0)
    assert {(one.state, one.outcome, one.report_reason) for one in failed.lines} == {
        (DELIVERY_STATE_DEAD, UNKNOWN, "NO_REASON_GIVEN")
    }
    assert {(one.state, one.report_reason) for one in partly.lines} == {(DELIVERY_STATE_ACCEPTED, "NO_REASON_GIVEN")}
    assert (failed.again, partly.again, partly.dead) == ([], [], [])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"requestStatusPerDestination": [a_status("SUCCESS", 1), a_status("PROCESSING", 1)]}, id="partly"),
        pytest.param({"requestStatusPerDestination": []}, id="empty"),
        pytest.param({"requestStatusPerDestination": [{"requestStatus": "A_NEW_ONE"}]}, id="unknown"),
        pytest.param(None, id="no JSON"),
    ],
)
def test_what_is_not_done_is_no_report(body: Any) -> None:
    assert read(an_answer(200, body)) is None
    assert read(an_answer(500, body)) is None
