"""Journeys: asked of attribution, which owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.query.v1.query_service_pb2 import GetJourneyRequest, GetJourneyResponse
from tributary_query.violations import refuse

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub


class Journeys:
    """Forwards to attribution; its errors are passed on as they are.

    Args:
        attribution_stub: Over a channel that carries the internal token.
    """

    def __init__(self, attribution_stub: AttributionServiceAsyncStub) -> None:
        self._attribution = attribution_stub

    async def get(self, request: GetJourneyRequest, workspace: str) -> GetJourneyResponse:
        """Returns a person's journey, live.

        Raises:
            InvalidRequestError: It does not say whose.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        asked = attribution.GetJourneyRequest(workspace=workspace)
        match request.WhichOneof("person"):
            case "person_id":
                asked.person_id = request.person_id
            case "identifiers":
                asked.identifiers.CopyFrom(request.identifiers)
            case "conversion_id":
                asked.conversion_id = request.conversion_id
            case _:
                raise refuse("person", "Name a person by id, by identifiers, or by a conversion of theirs.")
        answer = await self._attribution.GetJourney(asked)
        return GetJourneyResponse(journey=answer.journey)
