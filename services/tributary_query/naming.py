"""Which conversion a request names: by id, by order, or by an event of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tributary.query.v1.query_service_pb2 import (
    ExplainConversionRequest,
    GetConversionRequest,
    OrderReference,
    SimulateAttributionRequest,
)
from tributary_domain.blanks import bare
from tributary_domain.ids import conversion_id, event_digest, order_digest
from tributary_domain.placeholders import named_cycle, named_store
from tributary_query.violations import Violations, refuse
from tributary_runtime.errors import NotFoundError

_MAX_MICROS = 2**62


class Orders(Protocol):
    """What knows which conversion an event observed."""

    async def conversion_of_event(self, workspace: str, event_id: str) -> str:
        """Returns the id of the conversion that an event observed; empty if there is none.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class ConversionNames:
    """Finds the conversions that requests name.

    Args:
        orders: What knows which conversion an event observed.
        stored_ids: Workspace, event ids as sent -> those under which the events are stored.
    """

    def __init__(self, orders: Orders, stored_ids: Callable[[str, Sequence[str]], Sequence[str]]) -> None:
        self._orders = orders
        self._stored_ids = stored_ids

    async def find(
        self, request: GetConversionRequest | ExplainConversionRequest | SimulateAttributionRequest, workspace: str
    ) -> str:
        """Returns the id of the conversion that a request names; whether there is one is not known.

        Raises:
            InvalidRequestError: It names none.
            StorageUnavailableError: ClickHouse did not answer.
        """
        wrong = Violations()
        match request.WhichOneof("conversion"):
            case "conversion_id" if request.conversion_id:
                return request.conversion_id
            case "order":
                _check(request.order, wrong)
                wrong.raise_if_any()
                order = request.order
                store, cycle = named_store(bare(order.store)), named_cycle(bare(order.cycle))  # as the door reads them
                digest = order_digest(workspace, bare(order.conversion_name), store, bare(order.order_id), cycle)
                return conversion_id(digest)
            case "event_id" if request.event_id:
                (stored,) = self._stored_ids(workspace, [request.event_id])  # a token, where it is somebody's address
                for known in dict.fromkeys((stored, request.event_id)):  # as sent: by an earlier version
                    if observed := await self._orders.conversion_of_event(workspace, known):
                        return observed
                return conversion_id(event_digest(workspace, request.event_id))
        raise refuse("conversion", "Name a conversion by its id, its order or the id of an event of it.")


def moment_of(request: GetConversionRequest | ExplainConversionRequest) -> int | None:
    """Returns the moment that is asked for, in microseconds since 1970; None: now."""
    if not request.HasField("as_of_time"):
        return None
    time = request.as_of_time
    return max(0, min(time.seconds * 1_000_000 + time.nanos // 1_000, _MAX_MICROS))


def not_found(name: str) -> NotFoundError:
    """Returns the error for a conversion that is not, or was not yet at the moment that was asked for."""
    message = "There is no such conversion; one accepted a moment ago is here within a second or so."
    return NotFoundError(message, resource_type="conversion", resource_name=name)


def _check(order: OrderReference, wrong: Violations) -> None:
    if not bare(order.conversion_name):
        wrong.add("order.conversion_name", "Is required: order numbers are told apart by it.")
    if not bare(order.order_id):
        wrong.add("order.order_id", "Is required.")
