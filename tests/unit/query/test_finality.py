"""Closed is what cannot change any more, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tributary.query.v1 import report_pb2
from tributary_query.finality import finality
from tributary_runtime.workspaces import Reporting
from tributary_storage.clickhouse.report_query import Basis, Metric, ReportQuery

BOOKS = Reporting.model_validate({"time_zone": "America/New_York", "books_closed_through": "2026-10-31"})


def micros(hour: int) -> int:
    return round(datetime(2026, 11, 1, hour, tzinfo=UTC).timestamp()) * 1_000_000


def asked(**said: Any) -> ReportQuery:
    own = {"basis": Basis.POSTING, "start_date": "2026-10-01", "end_date": "2026-11-01", **said}
    return ReportQuery(workspace="shop", metrics=(Metric.VALUE,), model="linear", **own)


def test_books_are_closed_once_all_of_their_days_is_in_them() -> None:
    assert finality(asked(), BOOKS, micros(4)) == report_pb2.FINALITY_CLOSED  # midnight in New York
    assert finality(asked(), BOOKS, micros(4) - 1) == report_pb2.FINALITY_PROVISIONAL
    assert finality(asked(), BOOKS, None) == report_pb2.FINALITY_PROVISIONAL


@pytest.mark.parametrize(
    ("said", "books"),
    [
        pytest.param({"end_date": "2026-11-02"}, BOOKS, id="an open day"),
        pytest.param({"basis": Basis.CONVERSION}, BOOKS, id="another clock"),
        pytest.param({}, Reporting(), id="books that were never closed"),
    ],
)
def test_everything_else_is_provisional(said: dict[str, Any], books: Reporting) -> None:
    assert finality(asked(**said), books, micros(23) + 86_400_000_000) == report_pb2.FINALITY_PROVISIONAL
