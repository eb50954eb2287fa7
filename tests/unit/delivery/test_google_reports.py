"""What Google says of a request hours later, read as its documentation has it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.outgoing import an_answer
from tributary_delivery.destinations.destination import PERMANENT, RETRY, UNKNOWN
from tributary_delivery.destinations.google_reports import read
from tributary_delivery.destinations.reporting import RequestReport


def said(*statuses: dict[str, Any]) -> Any:
    return read(an_answer(200, {"requestStatusPerDestination": list(statuses)}))


def a_status(name: str, records: int, **counts: int) -> dict[str, Any]:
    errors = [{"reason": f"PROCESSING_ERROR_{reason}", "recordCount": str(count)} for reason, count in counts.items()]
    return {
        "requestStatus": name,
        "eventsIngestionStatus": {"recordCount": str(records)},
        **({"errorInfo": {"errorCounts": errors}} if errors else {}),
    }


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
    )


@pytest.mark.parametrize(
    ("status", "refused", "all_refused"),
    [
        pytest.param(a_status("SUCCESS", 4), {}, None, id="all count"),
        pytest.param(a_status("FAILED", 4), {"NO_REASON_GIVEN": 4}, True, id="no reason"),
        pytest.param(
            a_status("FAILED", 4, REASON_INVALID_CLICK=3), {"INVALID_CLICK": 3, "NO_REASON_GIVEN": 1}, True, id="a rest"
        ),
        pytest.param(
            a_status("FAILED", 4, REASON_EVENT_TOO_OLD=3, REASON_INVALID_CLICK=3),
            {"EVENT_TOO_OLD": 3, "INVALID_CLICK": 3},
            True,
            id="some for two reasons",
        ),
        pytest.param(a_status("FAILED", 4, REASON_DUPLICATE_TRANSACTION_ID=4), {}, False, id="all are known already"),
        pytest.param(
            a_status("FAILED", 4, REASON_DUPLICATE_GCLID=1, REASON_INVALID_CLICK=3),
            {"INVALID_CLICK": 3},
            False,
            id="one is known already",
        ),
    ],
)
def test_a_request_that_failed_is_refused_as_a_whole_but_for_what_is_known_already(
    status: dict[str, Any], refused: dict[str, int], all_refused: bool | None
) -> None:
    found = said(status)
    assert ({reason: count for reason, (_, count) in found.refused.items()}, found.all_refused) == (
        refused,
        all_refused,
    )
    assert found.refused.get("NO_REASON_GIVEN", (UNKNOWN,))[0] == UNKNOWN


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
