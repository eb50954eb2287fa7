"""Computes reports: reads the request, asks ClickHouse, says how far the numbers can be relied on."""

from __future__ import annotations

from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from tributary.attribution.v1.model_pb2 import Model
from tributary.query.v1 import report_pb2
from tributary.query.v1.query_service_pb2 import QueryReportRequest, QueryReportResponse
from tributary.query.v1.report_pb2 import PendingValue, ReportBasis
from tributary_domain.settings import AttributionModel
from tributary_query.finality import Finalities, complete_through
from tributary_query.page_tokens import make_token
from tributary_query.pending_orders import PendingOrders
from tributary_query.report_answers import check_addable, money_total, report_rows
from tributary_query.report_requests import read_report_request
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.pending_values import PendingValues
from tributary_storage.clickhouse.report_query import Basis, Dimension, ReportQuery
from tributary_storage.clickhouse.reports import ReportLine, read_report

_DAY_MICROS = 86_400_000_000
_BASES = {
    Basis.CONVERSION: report_pb2.TIME_BASIS_CONVERSION,
    Basis.TOUCHPOINT: report_pb2.TIME_BASIS_TOUCHPOINT,
    Basis.POSTING: report_pb2.TIME_BASIS_POSTING,
}


class Completeness(Protocol):
    """Knows how far the numbers are complete."""

    async def complete_through_micros(self) -> int | None:
        """Returns the moment, microseconds since 1970; None where it is not known. Does not raise."""
        ...


class Evaluations(Protocol):
    """Knows the models of data_driven."""

    async def newest(self, workspace: str) -> list[Model]:
        """Returns the newest evaluation of every conversion name.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        ...


class Reports:
    """Answers reports.

    Args:
        clickhouse: Where conversions are.
        models: Knows the models of data_driven.
        completeness: How far they are complete.
        finalities: Say how final they are.
        clock: Chooses the model where none is named, and what has matured.
    """

    def __init__(
        self,
        clickhouse: ClickHouse,
        models: Evaluations,
        completeness: Completeness,
        finalities: Finalities,
        clock: Clock,
    ) -> None:
        self._clickhouse = clickhouse
        self._models = models
        self._completeness = completeness
        self._finalities = finalities
        self._clock = clock
        self._pending = PendingOrders(PendingValues(clickhouse), clock)

    async def query(self, request: QueryReportRequest, workspace: Workspace) -> QueryReportResponse:
        """Returns one page of a report.

        Raises:
            InvalidRequestError: It cannot be computed; the violations say what to ask instead.
            StorageUnavailableError: ClickHouse did not answer.
        """
        asked = read_report_request(request, workspace, self._clock.now())
        query = asked.query
        complete = await self._completeness.complete_through_micros()  # before the rows: never too late
        lines = await read_report(self._clickhouse, query)
        page = lines[: query.limit - 1]
        check_addable(page, query, workspace)
        pending = await self._pending_of(request, query)
        final = await self._finalities.of_report(query, workspace.reporting, complete, has_pending=bool(pending))
        is_closed = final == report_pb2.FINALITY_CLOSED
        if is_closed:  # what waits, or was learned since, is no part of it: it is the same for ever
            pending = []
        return QueryReportResponse(
            rows=report_rows(page, query, workspace),
            next_page_token=make_token(page[-1].key, asked.fingerprint) if len(lines) > len(page) else "",
            basis=self._basis(query, final, page, complete, workspace),
            model=query.model,
            own_models=dict(query.own_models),
            pending=pending if query.after is None else (),
            data_driven_models=await self._models.newest(workspace.id)
            if _needs_evidence(query) and not is_closed
            else (),
        )

    async def _pending_of(self, request: QueryReportRequest, query: ReportQuery) -> list[PendingValue]:
        """Returns what waits in quarantine for its amount alone, and so is in no row."""
        if query.as_of_micros is not None:
            return []
        start, end = request.time_range.start_time.ToMicroseconds(), request.time_range.end_time.ToMicroseconds()
        waiting = await self._pending.within(query.workspace, start, end)
        return [
            PendingValue(
                conversion_name=one.conversion_name,
                value=money_total(one.currency, one.value_micros),
                orders=one.orders,
            )
            for one in waiting
            if _looks_at(query, one.conversion_name)
        ]

    def _basis(
        self,
        query: ReportQuery,
        final: report_pb2.Finality.ValueType,
        lines: list[ReportLine],
        complete: int | None,
        workspace: Workspace,
    ) -> ReportBasis:
        basis = ReportBasis(
            time_basis=_BASES[query.basis],
            finality=final,
            time_zone=query.time_zone,
            currency_codes=sorted({currency for line in lines for currency in line.currencies}),
        )
        known = complete_through(query, workspace.reporting, complete, final)
        if known is not None:
            basis.complete_through_time.CopyFrom(_timestamp(known))
        if query.basis is Basis.TOUCHPOINT:
            lookback = max(settings.longest_lookback_days for settings in workspace.attribution)
            now = self._clock.unix_micros() if query.as_of_micros is None else query.as_of_micros
            basis.mature_through_time.CopyFrom(_timestamp(now - lookback * _DAY_MICROS))
        return basis


def _looks_at(query: ReportQuery, conversion_name: str) -> bool:
    """Tells whether the rows of a report may be of this conversion name."""
    return conversion_name not in query.not_primary_names and all(
        (conversion_name in one.values) is not one.is_excluding
        for one in query.filters
        if one.dimension is Dimension.CONVERSION_NAME
    )


def _needs_evidence(query: ReportQuery) -> bool:
    """Tells whether a report says how much data_driven has learned from."""
    models = {query.model, *(model for _, model in query.own_models)}
    return AttributionModel.DATA_DRIVEN.value in models and query.after is None


def _timestamp(micros: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMicroseconds(micros)
    return timestamp
