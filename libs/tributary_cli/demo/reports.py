"""Reads the demo's numbers as an internal tool would: through the query service."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import grpc.aio

from tributary.query.v1.query_service_pb2 import (
    DimensionFilter,
    GetIntegrityRequest,
    GetPipelineHealthRequest,
    QueryReportRequest,
    QueryReportResponse,
)
from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub
from tributary.query.v1.report_pb2 import (
    DIMENSION_CHANNEL,
    DIMENSION_CONVERSION_NAME,
    DIMENSION_CURRENCY,
    DIMENSION_MODEL,
    METRIC_CONVERSIONS,
    METRIC_VALUE,
)
from tributary_cli.demo.probes import PROBE_NAME
from tributary_cli.demo.truth import MODELS

_MICROS: Final = 1_000_000
_SECONDS: Final = 10.0


class Reports:
    """The query service, with the demo's key and its span of time."""

    def __init__(self, target: str, api_key: str, *, start_time: datetime, end_time: datetime) -> None:
        """Connects lazily; every report spans `start_time` to `end_time`."""
        self._channel = grpc.aio.insecure_channel(target)
        self._stub = QueryServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {api_key}"),)
        self._start, self._end = start_time, end_time

    async def probes(self) -> int:
        """Returns how many probes a report counts."""
        request = self._request()
        request.metrics.append(METRIC_CONVERSIONS)
        request.filters.append(DimensionFilter(dimension=DIMENSION_CONVERSION_NAME, values=[PROBE_NAME]))
        request.model = "last_touch"
        answer = await self._ask(request)
        return sum(row.metric_values[0].count_micros for row in answer.rows) // _MICROS

    async def by_channel(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Returns model -> channel -> (credited conversions, credited value), both in micros, probes left out."""
        request = self._request()
        request.metrics.extend((METRIC_CONVERSIONS, METRIC_VALUE))
        request.dimensions.extend((DIMENSION_MODEL, DIMENSION_CHANNEL, DIMENSION_CONVERSION_NAME, DIMENSION_CURRENCY))
        request.filters.append(DimensionFilter(dimension=DIMENSION_CONVERSION_NAME, values=[PROBE_NAME], exclude=True))
        totals: dict[str, dict[str, tuple[int, int]]] = {model: {} for model in MODELS}
        while True:
            answer = await self._ask(request)
            for row in answer.rows:
                model, channel = row.dimension_values[:2]
                money = row.metric_values[1].money
                count, value = totals.setdefault(model, {}).get(channel, (0, 0))
                totals[model][channel] = (
                    count + row.metric_values[0].count_micros,
                    value + money.units * _MICROS + money.micros,
                )
            if not answer.next_page_token:
                return totals
            request.page_token = answer.next_page_token

    async def counters(self) -> dict[str, int]:
        """Returns the verdicts as the claim script counted them, by name."""
        answer = await self._stub.GetIntegrity(GetIntegrityRequest(), metadata=self._metadata, timeout=_SECONDS)
        counts = answer.verdicts
        names = ("received", "accepted", "duplicate", "conflict", "rejected", "quarantined")
        return {name: int(getattr(counts, name)) for name in names}

    async def waiting(self) -> int:
        """Returns how many stream entries wait for any consumer."""
        answer = await self._stub.GetPipelineHealth(
            GetPipelineHealthRequest(), metadata=self._metadata, timeout=_SECONDS
        )
        return sum(int(backlog.entries) for backlog in answer.health.backlogs)

    async def is_settled(self) -> bool:
        """Returns whether nothing is on its way any more, deliveries included."""
        answer = await self._stub.GetIntegrity(GetIntegrityRequest(), metadata=self._metadata, timeout=_SECONDS)
        return all(check.settled for check in answer.checks)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._channel.close(None)

    def _request(self) -> QueryReportRequest:
        request = QueryReportRequest()
        request.time_range.start_time.FromDatetime(self._start)
        request.time_range.end_time.FromDatetime(self._end)
        return request

    async def _ask(self, request: QueryReportRequest) -> QueryReportResponse:
        return await self._stub.QueryReport(request, metadata=self._metadata, timeout=_SECONDS)
