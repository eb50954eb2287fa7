"""Closed is what cannot change any more; reconciled, what a run looked at once it was over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tributary.query.v1 import report_pb2
from tributary_query.finality import TAKEN_OVER_MICROS, complete_through, finality, spans_of, verified_micros
from tributary_runtime.workspaces import Reporting
from tributary_storage.clickhouse.reconciled_days import GRACE_MICROS, CompleteRun, Look, Span
from tributary_storage.clickhouse.report_query import Basis, Metric, ReportQuery

BOOKS = Reporting.model_validate({"time_zone": "America/New_York", "books_closed_through": "2026-10-31"})
SINCE = 0
"""Since when the books are closed, where that matters to nobody."""


def micros(hour: int) -> int:
    return round(datetime(2026, 11, 1, hour, tzinfo=UTC).timestamp()) * 1_000_000


def asked(**said: Any) -> ReportQuery:
    own = {"basis": Basis.POSTING, "start_date": "2026-10-01", "end_date": "2026-11-01", **said}
    return ReportQuery(workspace="shop", metrics=(Metric.VALUE,), model="linear", **own)


@pytest.mark.parametrize(
    ("complete", "closed_since", "is_closed"),
    [
        pytest.param(micros(4), micros(4), True, id="days that are over"),  # it is midnight in New York
        pytest.param(micros(4) - 1, micros(4), False, id="days that are not over"),
        pytest.param(micros(2), micros(2) - TAKEN_OVER_MICROS, True, id="closed before they are over"),
        pytest.param(micros(2) - 1, micros(2) - TAKEN_OVER_MICROS, False, id="closed so lately that not all know it"),
        pytest.param(None, SINCE, False, id="nobody knows what is in them"),
    ],
)
def test_books_are_closed_once_nothing_posts_to_their_days_any_more(
    complete: int | None, closed_since: int, is_closed: bool
) -> None:
    final = finality(asked(), BOOKS, complete, closed_since)
    assert final == (report_pb2.FINALITY_CLOSED if is_closed else report_pb2.FINALITY_PROVISIONAL)
    shown = complete_through(
        asked(), BOOKS, complete, final
    )  # nothing that moves on, and the same for ever once closed
    assert shown == (micros(4) if is_closed else None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({"end_date": "2026-11-02"}, 10, id="days that are open"),
        pytest.param({"basis": Basis.CONVERSION}, 10, id="another clock"),
        pytest.param({"basis": Basis.CONVERSION, "as_of_micros": 5}, 5, id="a past moment"),
    ],
)
def test_other_reports_say_how_far_they_are_complete(said: dict[str, Any], expected: int) -> None:
    assert complete_through(asked(**said), BOOKS, 10, report_pb2.FINALITY_PROVISIONAL) == expected
    assert complete_through(asked(**said), BOOKS, None, report_pb2.FINALITY_PROVISIONAL) is None


@pytest.mark.parametrize(
    ("said", "books"),
    [
        pytest.param({"end_date": "2026-11-02"}, BOOKS, id="an open day"),
        pytest.param({"basis": Basis.TOUCHPOINT}, BOOKS, id="another clock"),
        pytest.param({}, Reporting(), id="books that were never closed"),
    ],
)
def test_everything_else_is_provisional(said: dict[str, Any], books: Reporting) -> None:
    assert finality(asked(**said), books, micros(23) + 86_400_000_000, SINCE) == report_pb2.FINALITY_PROVISIONAL


@pytest.mark.parametrize(
    ("said", "complete", "has_pending", "is_passed"),
    [
        pytest.param({}, 10, False, True, id="days that are over"),
        pytest.param({}, 9, False, False, id="days that are not all in the numbers"),
        pytest.param({}, None, False, False, id="days of which nobody knows that"),
        pytest.param({}, 10, True, False, id="an order that waits"),
        pytest.param({"as_of_micros": 5}, 10, False, False, id="a past moment"),
    ],
)
def test_tier_2_has_passed_once_nobody_has_anything_to_decide(
    said: dict[str, Any], complete: int | None, has_pending: bool, is_passed: bool
) -> None:
    query = asked(basis=Basis.CONVERSION, start_micros=1, end_micros=10, **said)
    expected = report_pb2.FINALITY_TIER2_PASSED if is_passed else report_pb2.FINALITY_PROVISIONAL
    assert finality(query, BOOKS, complete, SINCE, has_pending=has_pending) == expected


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([(0, 100, 200)], [(10, 200)], id="of more days"),
        pytest.param([(10, 20, 21), (20, 30, 31)], [(10, 21), (20, 31)], id="each of its night"),
        pytest.param([(10, 30, 31), (15, 20, 41)], [(10, 31), (15, 41), (20, 31)], id="the newest"),
        pytest.param([(10, 20, 21), (21, 30, 31)], [], id="not of all"),
        pytest.param([(10, 30, 29)], [], id="not of what came after it"),
        pytest.param(
            [(10, 30, 31), (10, 30, 41, False)], [(10, 41, 31)], id="of all but credit, which another compared"
        ),
        pytest.param(
            [(10, 30, 31), (10, 30, 41), (10, 30, 51, False)], [(10, 51, 41)], id="of credit as the newest that could"
        ),
        pytest.param([(10, 20, 21), (10, 30, 41, False)], [], id="not of credit that nobody compared"),
        pytest.param([(10, 30, 31, False), (10, 30, 41)], [(10, 41)], id="of credit, too"),
    ],
)
def test_a_run_vouches_for_what_it_looked_at(runs: list[Any], expected: list[tuple[int, ...]]) -> None:
    """Since when, for what was published by then, and for what credit of that: the same, where only one is said."""
    found = spans_of([CompleteRun(*run) for run in runs], 10, 30)
    spans = [(begin, looked[0], looked[-1]) for begin, *looked in expected]
    assert found == [Span(begin, all_ - GRACE_MICROS, credit - GRACE_MICROS) for begin, all_, credit in spans]


@pytest.mark.parametrize(
    ("of_days", "look", "expected"),
    [
        pytest.param(None, None, None, id="by nobody"),
        pytest.param(20, None, 20, id="with its days"),
        pytest.param(None, (30, True), 30, id="with another day's changes alone"),
        pytest.param(20, (30, True), 30, id="with changes, since"),
        pytest.param(20, (10, True), 20, id="with its days, since"),
        pytest.param(20, (10, False), 20, id="with its days, after one that left it"),
        pytest.param(20, (20, False), None, id="by a run that left it"),
    ],
)
def test_a_conversion_is_as_the_newest_run_saw_it_that_looked_at_it(
    of_days: int | None, look: tuple[int, bool] | None, expected: int | None
) -> None:
    spans = [] if of_days is None else [Span(0, of_days, of_days)]
    assert verified_micros(spans, None if look is None else Look(*look, look[0])) == expected
