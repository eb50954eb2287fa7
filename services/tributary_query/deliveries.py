"""Destinations and deliveries: asked of delivery, which owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary.delivery.v1 import delivery_service_pb2 as delivery
from tributary.query.v1 import query_service_pb2 as contract
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.violations import refuse

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.delivery.v1.delivery_service_pb2_grpc import DeliveryServiceAsyncStub


class Deliveries:
    """Forwards to delivery; its errors are passed on as they are.

    Args:
        delivery_stub: Over a channel that carries the internal token.
    """

    def __init__(self, delivery_stub: DeliveryServiceAsyncStub) -> None:
        self._delivery = delivery_stub

    async def destinations(
        self, request: contract.ListDestinationsRequest, workspace: str
    ) -> contract.ListDestinationsResponse:
        """Returns a page of destinations."""
        asked = delivery.ListDestinationsRequest(
            workspace=workspace, page_size=request.page_size, page_token=request.page_token
        )
        answer = await self._delivery.ListDestinations(asked)
        return contract.ListDestinationsResponse(
            destinations=answer.destinations, next_page_token=answer.next_page_token
        )

    async def test(self, request: contract.TestDestinationRequest, workspace: str) -> contract.TestDestinationResponse:
        """Tries a destination out."""
        asked = delivery.TestDestinationRequest(
            workspace=workspace, destination_id=request.destination_id, test_code=request.test_code
        )
        answer = await self._delivery.TestDestination(asked)
        return contract.TestDestinationResponse(steps=answer.steps, passed=answer.passed, next_step=answer.next_step)

    async def pause(
        self, request: contract.PauseDestinationRequest, workspace: str
    ) -> contract.PauseDestinationResponse:
        """Lets nobody call a destination."""
        asked = delivery.PauseDestinationRequest(
            workspace=workspace, destination_id=request.destination_id, reason=request.reason
        )
        answer = await self._delivery.PauseDestination(asked)
        return contract.PauseDestinationResponse(destination=answer.destination)

    async def resume(
        self, request: contract.ResumeDestinationRequest, workspace: str
    ) -> contract.ResumeDestinationResponse:
        """Lets a destination be called again."""
        asked = delivery.ResumeDestinationRequest(workspace=workspace, destination_id=request.destination_id)
        answer = await self._delivery.ResumeDestination(asked)
        return contract.ResumeDestinationResponse(destination=answer.destination)

    async def page(self, request: contract.ListDeliveriesRequest, workspace: str) -> contract.ListDeliveriesResponse:
        """Returns a page of deliveries.

        Raises:
            InvalidRequestError: The token is of another request.
        """
        mark = fingerprint(workspace, request)
        asked = delivery.ListDeliveriesRequest(
            workspace=workspace,
            filter=request.filter,
            page_size=request.page_size,
            page_token=_after(request.page_token, mark),
        )
        answer = await self._delivery.ListDeliveries(asked)
        token = make_token((answer.next_page_token,), mark) if answer.next_page_token else ""
        return contract.ListDeliveriesResponse(
            deliveries=answer.deliveries, next_page_token=token, waiting=answer.waiting
        )

    async def replay(
        self, request: contract.ReplayDeliveriesRequest, workspace: str
    ) -> contract.ReplayDeliveriesResponse:
        """Has deliveries sent again."""
        mark = fingerprint(workspace, request)
        asked = delivery.ReplayDeliveriesRequest(
            workspace=workspace,
            filter=request.filter,
            dry_run=request.dry_run,
            risk_duplicates=request.risk_duplicates,
            page_token=_after(request.page_token, mark),
        )
        answer = await self._delivery.ReplayDeliveries(asked)
        return contract.ReplayDeliveriesResponse(
            matched=answer.matched,
            planned=answer.planned,
            uncertain=answer.uncertain,
            waiting=answer.waiting,
            next_page_token=make_token((answer.next_page_token,), mark) if answer.next_page_token else "",
        )


def _after(token: str, mark: str) -> str:
    """Returns delivery's own token out of one that is bound to what was asked."""
    if not token:
        return ""
    try:
        [last] = read_token(token, mark)
    except ValueError as error:
        raise refuse("page_token", str(error)) from None
    return str(last)
