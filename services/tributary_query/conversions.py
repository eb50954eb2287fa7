"""Everything there is to say of one conversion: its state, all revisions, what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.query.v1 import report_pb2
from tributary.query.v1.query_service_pb2 import GetConversionRequest, GetConversionResponse
from tributary_query.bounds import PAGE_BYTES, bound
from tributary_query.finality import Finalities
from tributary_query.models import show_missing_model
from tributary_query.naming import ConversionNames, moment_of, not_found
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.touch_ids import name_touches
from tributary_query.violations import Violations
from tributary_storage.clickhouse.conversion_history import LATEST_MICROS, NO_LAST, ConversionHistory

DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 200


class Conversions:
    """Finds conversions.

    Args:
        history: Where they are kept.
        names: Tell which are meant.
        finalities: Say how final they are.
    """

    def __init__(self, history: ConversionHistory, names: ConversionNames, finalities: Finalities) -> None:
        self._history = history
        self._names = names
        self._finalities = finalities

    async def get(self, request: GetConversionRequest, workspace: str) -> GetConversionResponse:
        """Returns a conversion with a page of its revisions, and what was sent of these.

        Raises:
            InvalidRequestError: It does not say which, or which page.
            NotFoundError: There is no such conversion in the workspace, or was none at the moment that was asked for.
            StorageUnavailableError: ClickHouse did not answer.
        """
        mark = fingerprint(workspace, request)
        after = _after(request, mark)
        found = await self._names.find(request, workspace)
        as_of = moment_of(request)
        last, moment = (NO_LAST, LATEST_MICROS) if as_of is None else (as_of, min(as_of, LATEST_MICROS))
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        newest = await self._history.as_of(workspace, found, last)
        if newest is None:
            raise not_found(found)
        # After it and up to it, so that the newest of the list is the newest there is, whatever is published meanwhile.
        read = await self._history.revisions(workspace, found, after, size + 1, newest.revision)
        page = page_of([bound(revised) for revised in read], size)
        has_more = len(page) < len(read)
        last = page[-1].revision if has_more else last
        shown = [*page, bound(newest)]
        for revised in shown:
            show_missing_model(revised.state)
        deliveries, _, final = await asyncio.gather(
            self._history.deliveries(workspace, found, after, last, moment),
            name_touches(shown, workspace, self._history),
            self._finality(workspace, newest, as_of),
        )
        return GetConversionResponse(
            newest=newest,
            revisions=page,
            deliveries=deliveries,
            finality=final,
            next_page_token=make_token((last,), mark) if has_more else "",
        )

    async def _finality(
        self, workspace: str, newest: ConversionRevised, as_of_micros: int | None
    ) -> report_pb2.Finality.ValueType:
        """Says how final a conversion is; nothing of a past moment."""
        if as_of_micros is not None:
            return report_pb2.FINALITY_UNSPECIFIED
        return await self._finalities.of_conversion(workspace, newest)


def _after(request: GetConversionRequest, mark: str) -> int:
    """Returns the revision before the page."""
    wrong = Violations()
    after = 0
    if request.page_size < 0:
        wrong.add("page_size", f"Must not be negative; 0 means {DEFAULT_PAGE_SIZE}.")
    if request.page_token:
        try:
            (after,) = map(int, read_token(request.page_token, mark))
        except ValueError as error:
            wrong.add("page_token", str(error))
    wrong.raise_if_any()
    return after


def page_of(read: Sequence[ConversionRevised], size: int) -> list[ConversionRevised]:
    """Returns the first revisions, as many as a page and a message may hold; at least one, if there is one."""
    room, page = PAGE_BYTES, list[ConversionRevised]()
    for revised in read[:size]:
        room -= revised.ByteSize()
        if page and room < 0:
            break
        page.append(revised)
    return page
