"""Everything there is to say of one conversion: its state, all revisions, what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.query.v1.query_service_pb2 import GetConversionRequest, GetConversionResponse, OrderReference
from tributary_domain.ids import conversion_id, event_digest, order_digest
from tributary_query.bounds import PAGE_BYTES, bound
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.touch_ids import name_touches
from tributary_query.violations import Violations
from tributary_runtime.errors import NotFoundError
from tributary_storage.clickhouse.conversion_history import NO_LAST, ConversionHistory

DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 200


class Conversions:
    """Finds conversions.

    Args:
        history: Where they are kept.
    """

    def __init__(self, history: ConversionHistory) -> None:
        self._history = history

    async def get(self, request: GetConversionRequest, workspace: str) -> GetConversionResponse:
        """Returns a conversion with a page of its revisions, and what was sent of these.

        Raises:
            InvalidRequestError: It does not say which, or which page.
            NotFoundError: There is no such conversion in the workspace, or not yet.
            StorageUnavailableError: ClickHouse did not answer.
        """
        mark = fingerprint(workspace, request)
        after = _after(request, mark)
        found = await self._find(request, workspace)
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        newest, read = await asyncio.gather(
            self._history.newest(workspace, [found]), self._history.revisions(workspace, found, after, size + 1)
        )
        if found not in newest:
            raise _not_found(found)
        page = page_of([bound(revised) for revised in read], size)
        has_more = len(page) < len(read)
        last = page[-1].revision if has_more else NO_LAST
        shown = [*page, bound(newest[found])]
        deliveries, _ = await asyncio.gather(
            self._history.deliveries(workspace, found, after, last), name_touches(shown, workspace, self._history)
        )
        return GetConversionResponse(
            newest=newest[found],
            revisions=page,
            deliveries=deliveries,
            next_page_token=make_token((last,), mark) if has_more else "",
        )

    async def _find(self, request: GetConversionRequest, workspace: str) -> str:
        wrong = Violations()
        match request.WhichOneof("conversion"):
            case "conversion_id" if request.conversion_id:
                return request.conversion_id
            case "order":
                _check(request.order, wrong)
                wrong.raise_if_any()
                order = request.order
                digest = order_digest(workspace, order.conversion_name, order.store, order.order_id, order.cycle)
                return conversion_id(digest)
            case "event_id" if request.event_id:
                observed = await self._history.conversion_of_event(workspace, request.event_id)
                return observed or conversion_id(event_digest(workspace, request.event_id))
        wrong.add("conversion", "Name a conversion by its id, its order or the id of an event of it.")
        wrong.raise_if_any()
        raise AssertionError  # unreachable: something was wrong


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


def _check(order: OrderReference, wrong: Violations) -> None:
    if not order.conversion_name:
        wrong.add("order.conversion_name", "Is required: order numbers are told apart by it.")
    if not order.order_id:
        wrong.add("order.order_id", "Is required.")


def _not_found(name: str) -> NotFoundError:
    message = "There is no such conversion; one accepted a moment ago is here within a second or so."
    return NotFoundError(message, resource_type="conversion", resource_name=name)
