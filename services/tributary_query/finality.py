"""Whether the numbers of a report can still change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from tributary.query.v1 import report_pb2
from tributary_runtime.workspaces import Reporting
from tributary_storage.clickhouse.report_query import Basis, ReportQuery

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def finality(
    query: ReportQuery, reporting: Reporting, complete_through_micros: int | None
) -> report_pb2.Finality.ValueType:
    """Says how final a report is.

    Closed books are final by posting day only: by another clock, a late change still shows on its own day. And only
    once all that was accepted on those days is credited and stored: a revision that was published before the books
    were closed posts to its day whenever it arrives.

    Args:
        query: What was asked.
        reporting: How the books are kept.
        complete_through_micros: Before when everything accepted is in the numbers; None: not known.
    """
    if query.basis is Basis.POSTING and reporting.books_closed_through is not None:
        end = date.fromisoformat(query.end_date)
        midnight = datetime.combine(end, time(), reporting.zone)
        is_complete = complete_through_micros is not None and complete_through_micros >= (
            (midnight - _EPOCH) // timedelta(microseconds=1)
        )
        if end - timedelta(days=1) <= reporting.books_closed_through and is_complete:
            return report_pb2.FINALITY_CLOSED
    return report_pb2.FINALITY_PROVISIONAL
