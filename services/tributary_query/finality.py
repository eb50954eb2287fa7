"""Whether the numbers of a report, or the credit of a conversion, can still change.

The one rule: each step says all that those before it say, and none is said of what is not over, not complete, or of a
past moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.query.v1 import report_pb2
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Reporting
from tributary_storage.clickhouse.reconciled_days import GRACE_MICROS, CompleteRun, Look, ReconciledDays, Span
from tributary_storage.clickhouse.report_query import Basis, ReportQuery

KNOWN_SECONDS: Final = 10.0
"""So long it is not asked again whether some days are reconciled: dashboards ask for the same days again and again."""
TAKEN_OVER_MICROS: Final = 180_000_000
"""So long after the file closed books every process posts by it: a cluster brings a file to all of its nodes within two
minutes, and whoever runs looks at it every few seconds."""
_MOST_KNOWN: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Closings(Protocol):
    """Knows since when books are closed."""

    def closed_since_micros(self, workspace_id: str) -> int:
        """Returns since when, at the latest, books are closed through the day they are closed through now.

        Does not block, does not raise.
        """
        ...


class Finalities:
    """Says how final something is.

    Args:
        days: Knows what runs of reconciliation looked at.
        closings: Knows since when books are closed.
        clock: Measures.
    """

    def __init__(self, days: ReconciledDays, closings: Closings, clock: Clock) -> None:
        self._days = days
        self._closings = closings
        self._clock = clock
        self._known: dict[tuple[str, int, int], tuple[float, bool]] = {}

    async def of_report(
        self, query: ReportQuery, reporting: Reporting, complete_through_micros: int | None, *, has_pending: bool
    ) -> report_pb2.Finality.ValueType:
        """Says how final a report is.

        Args:
            query: What was asked.
            reporting: How the books are kept.
            complete_through_micros: Before when everything accepted is in the numbers; None: not known.
            has_pending: Whether an order of these days waits in quarantine for its amount.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        closed_since = self._closings.closed_since_micros(query.workspace)
        found = finality(query, reporting, complete_through_micros, closed_since, has_pending=has_pending)
        if found != report_pb2.FINALITY_TIER2_PASSED:
            return found
        is_reconciled = await self._are_reconciled(query.workspace, query.start_micros, query.end_micros)
        return report_pb2.FINALITY_RECONCILED if is_reconciled else found

    async def of_conversion(self, workspace: str, newest: ConversionRevised) -> report_pb2.Finality.ValueType:
        """Says how final the newest revision of a conversion is; it waits in quarantine no more.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        state, published = newest.state, newest.publish_time.ToMicroseconds()
        moment = state.conversion_time.ToMicroseconds()
        spans = spans_of(await self._days.runs(workspace, moment, moment + 1), moment, moment + 1)
        look = await self._days.look_at(workspace, state.conversion_id)
        verified = verified_micros(spans, look)
        if verified is None:
            return report_pb2.FINALITY_TIER2_PASSED
        said = await self._days.findings_of(workspace, state.conversion_id, newest.revision)
        if said.is_doubted or not (said.is_repaired or published <= verified):
            return report_pb2.FINALITY_TIER2_PASSED
        credit = max([0, *(span.credit_micros for span in spans), *(() if look is None else (look.credit_micros,))])
        if published <= credit or (said.is_repaired and 0 <= said.repaired_micros <= credit):
            return report_pb2.FINALITY_RECONCILED
        stands = await self._days.credit_stands(workspace, state.conversion_id, newest.revision, credit)
        return report_pb2.FINALITY_RECONCILED if stands else report_pb2.FINALITY_TIER2_PASSED

    async def _are_reconciled(self, workspace: str, start_micros: int, end_micros: int) -> bool:
        """Tells whether days are as runs of reconciliation saw them, as it was at most some seconds ago."""
        now, place = self._clock.monotonic_seconds(), (workspace, start_micros, end_micros)
        until, known = self._known.get(place, (0.0, False))
        if now < until:
            return known
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        spans = spans_of(await self._days.runs(*place), start_micros, end_micros)
        found = bool(spans) and not await self._days.is_doubted(*place, spans)
        self._known[place] = now + KNOWN_SECONDS, found
        return found


def finality(
    query: ReportQuery,
    reporting: Reporting,
    complete_through_micros: int | None,
    closed_since_micros: int,
    *,
    has_pending: bool = False,
) -> report_pb2.Finality.ValueType:
    """Says how final a report is, whatever was reconciled.

    Closed books are final by posting day only: by another clock, a late change still shows on its own day. And only
    once all that was accepted on those days is credited and stored: a revision that was published before the books
    were closed posts to its day whenever it arrives. Where they are closed before their last day is over, nothing posts
    to it any more once every process goes by the file that says so.

    Args:
        query: What was asked.
        reporting: How the books are kept.
        complete_through_micros: Before when everything accepted is in the numbers; None: not known.
        closed_since_micros: Since when, at the latest, the books are closed as they are.
        has_pending: Whether an order of these days waits in quarantine for its amount.
    """
    complete = -1 if complete_through_micros is None else complete_through_micros
    if is_of_closed_days(query, reporting):
        last_posted = min(end_of_days(query, reporting), closed_since_micros + TAKEN_OVER_MICROS)
        if complete >= last_posted:
            return report_pb2.FINALITY_CLOSED
    is_over = query.basis is Basis.CONVERSION and query.as_of_micros is None and complete >= query.end_micros
    return report_pb2.FINALITY_TIER2_PASSED if is_over and not has_pending else report_pb2.FINALITY_PROVISIONAL


def complete_through(
    query: ReportQuery, reporting: Reporting, complete_through_micros: int | None, final: report_pb2.Finality.ValueType
) -> int | None:
    """Returns before when everything accepted is in the numbers of a report; None where that is not told.

    Of closed books it is the end of their last day, whenever they are asked for and however early they were closed:
    nothing that comes later is theirs. Until they are final it is not told: what was accepted since they were closed is
    in none of the numbers, so that no moment of now is true.

    Args:
        query: What was asked.
        reporting: How the books are kept.
        complete_through_micros: Before when everything accepted is credited and stored; None: not known.
        final: How final the report is.
    """
    known = complete_through_micros
    if known is not None and is_of_closed_days(query, reporting):
        known = end_of_days(query, reporting) if final == report_pb2.FINALITY_CLOSED else None
    return known if known is None or query.as_of_micros is None else min(known, query.as_of_micros)


def is_of_closed_days(query: ReportQuery, reporting: Reporting) -> bool:
    """Tells whether a report is of posting days alone that the books are closed through."""
    if query.basis is not Basis.POSTING or reporting.books_closed_through is None:
        return False
    return date.fromisoformat(query.end_date) - timedelta(days=1) <= reporting.books_closed_through


def end_of_days(query: ReportQuery, reporting: Reporting) -> int:
    """Returns when the last posting day of a report ended, in the zone of the books."""
    midnight = datetime.combine(date.fromisoformat(query.end_date), time(), reporting.zone)
    return (midnight - _EPOCH) // timedelta(microseconds=1)


def verified_micros(spans: Sequence[Span], look: Look | None) -> int | None:
    """Returns until when what was published of a conversion is as it should be; None: no run vouches for it.

    Args:
        spans: Of its moment; none where no run looked at that.
        look: What a run said of it beside its days; the newer one counts.
    """
    of_days = spans[0].verified_micros if spans else None
    if look is None or (of_days is not None and look.verified_micros < of_days):
        return of_days
    return look.verified_micros if look.is_compared else None


def spans_of(runs: Sequence[CompleteRun], begin_micros: int, end_micros: int) -> list[Span]:
    """Returns which run vouches for which part of some days: the newest that looked at it.

    A run vouches for no time after it began. One that could not compare all credit vouches only where one before it
    did, and for credit only as that one saw it: what was credited anew since, while the touches were there, no run saw.

    Args:
        runs: The oldest first.
        begin_micros: The first moment of the days.
        end_micros: The first moment after them.

    Returns:
        From the first moment on; none where no run looked at some part of the days.
    """
    looked_at = [(one.begin_micros, min(one.end_micros, one.create_micros), one) for one in runs]
    cuts = {begin_micros, *(cut for begin, end, _ in looked_at for cut in (begin, end))}
    spans = []
    for cut in sorted(cut for cut in cuts if begin_micros <= cut < end_micros):
        own = [one for begin, end, one in looked_at if begin <= cut < end]
        whole = [one.create_micros for one in own if one.is_whole]
        if not whole:
            return []
        created = max(one.create_micros for one in own if one.create_micros >= min(whole))
        spans.append(Span(cut, created - GRACE_MICROS, max(whole) - GRACE_MICROS))
    return spans
