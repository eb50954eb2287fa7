"""The delivery funnel: what became of conversions at each destination, day by day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1.delivery_funnel_pb2 import DeliveryFunnelRow
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.violations import refuse
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.time_ranges import read_time_range
from tributary_storage.clickhouse.delivery_funnel import DeliveryFunnel, WantedFunnel

_USUAL_DAYS: Final = 31
_DAY_MICROS: Final = 86_400 * 1_000_000
_FAR_MICROS: Final = 130 * 365 * _DAY_MICROS
"""In 2099: days of the funnel are told apart up to 2149 only, and nothing is of later ones."""
_DEFAULT_PAGE, _MOST_PER_PAGE = 1_000, 10_000


class Funnels:
    """The use case.

    Args:
        stored: Where it is read.
        clock: Tells which days are meant where nobody says.
    """

    def __init__(self, stored: DeliveryFunnel, clock: Clock) -> None:
        self._stored = stored
        self._clock = clock

    async def page(
        self,
        request: contract.GetDeliveryFunnelRequest,
        workspace: str,
        destinations: Iterable[DestinationSettings],
    ) -> contract.GetDeliveryFunnelResponse:
        """Returns a page of it, with which of those that are declared report later.

        Raises:
            InvalidRequestError: The range is none, the page size is negative, or the token is of another request.
            StorageUnavailableError: ClickHouse did not answer.
        """
        if request.page_size < 0:
            raise refuse("page_size", "Must not be negative; 0 takes the default.")
        mark = fingerprint(workspace, request)
        size = min(request.page_size or _DEFAULT_PAGE, _MOST_PER_PAGE)
        start_micros, end_micros = self._span(request)
        wanted = WantedFunnel(workspace, request.destination_id, start_micros, end_micros)
        rows = await self._stored.page(wanted, _after(request.page_token, mark), size + 1)
        shown, reports_later = rows[:size], {one.id: one.reports_later for one in destinations}
        for row in shown:
            if row.destination_id in reports_later:
                row.reports_later = reports_later[row.destination_id]
        token = make_token(_key(shown[-1]), mark) if len(rows) > size else ""
        return contract.GetDeliveryFunnelResponse(rows=shown, next_page_token=token)

    def _span(self, request: contract.GetDeliveryFunnelRequest) -> tuple[int, int]:
        if not request.HasField("time_range"):
            now_micros = self._clock.unix_micros()
            return now_micros - (_USUAL_DAYS - 1) * _DAY_MICROS, now_micros + _DAY_MICROS
        start, end = (micros or 0 for micros in read_time_range(request.time_range, "time_range"))
        if not 0 <= start < end:
            raise refuse("time_range", "Must end after it starts, and not start before 1970.")
        return min(start, _FAR_MICROS - 1), min(end, _FAR_MICROS)


def _key(row: DeliveryFunnelRow) -> tuple[str, str]:
    return f"{row.day.year:04}-{row.day.month:02}-{row.day.day:02}", row.destination_id


def _after(token: str, mark: str) -> tuple[str, str]:
    if not token:
        return "", ""
    try:
        day, destination_id = read_token(token, mark)
    except ValueError as error:
        raise refuse("page_token", str(error)) from None
    return str(day), str(destination_id)
