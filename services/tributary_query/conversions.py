"""Everything there is to say of one conversion: its state, all revisions, what was sent."""

from __future__ import annotations

import asyncio

from tributary.query.v1.query_service_pb2 import GetConversionRequest, GetConversionResponse, OrderReference
from tributary_domain.ids import conversion_id, event_digest, order_digest
from tributary_query.touch_ids import name_touches
from tributary_query.violations import Violations
from tributary_runtime.errors import NotFoundError
from tributary_storage.clickhouse.conversion_history import ConversionHistory


class Conversions:
    """Finds conversions.

    Args:
        history: Where they are kept.
    """

    def __init__(self, history: ConversionHistory) -> None:
        self._history = history

    async def get(self, request: GetConversionRequest, workspace: str) -> GetConversionResponse:
        """Returns a conversion with all its revisions and deliveries.

        Raises:
            InvalidRequestError: It does not say which.
            NotFoundError: There is no such conversion in the workspace, or not yet.
            StorageUnavailableError: ClickHouse did not answer.
        """
        found = await self._find(request, workspace)
        revisions, deliveries = await asyncio.gather(
            self._history.revisions(workspace, found), self._history.deliveries(workspace, found)
        )
        if not revisions:
            raise _not_found(found)
        await name_touches(revisions, workspace, self._history)
        return GetConversionResponse(newest=revisions[-1], revisions=revisions, deliveries=deliveries)

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


def _check(order: OrderReference, wrong: Violations) -> None:
    if not order.conversion_name:
        wrong.add("order.conversion_name", "Is required: order numbers are told apart by it.")
    if not order.order_id:
        wrong.add("order.order_id", "Is required.")


def _not_found(name: str) -> NotFoundError:
    message = "There is no such conversion; one accepted a moment ago is here within a second or so."
    return NotFoundError(message, resource_type="conversion", resource_name=name)
