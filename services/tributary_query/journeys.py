"""Journeys: asked of attribution, which owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.query.v1.query_service_pb2 import GetJourneyRequest, GetJourneyResponse
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.touch_ids import EventIds, name_steps
from tributary_query.violations import Violations, refuse
from tributary_runtime.errors import UnavailableError

log = structlog.get_logger(__name__)

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub


class Journeys:
    """Forwards to attribution; its errors are passed on as they are.

    Args:
        attribution_stub: Over a channel that carries the internal token.
        ids: Knows the ids of events, which journeys do not keep. While it does not answer, steps have none.
    """

    def __init__(self, attribution_stub: AttributionServiceAsyncStub, ids: EventIds) -> None:
        self._attribution = attribution_stub
        self._ids = ids

    async def get(self, request: GetJourneyRequest, workspace: str) -> GetJourneyResponse:
        """Returns a person's journey, live.

        Raises:
            InvalidRequestError: It does not say whose, or which page.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        mark = fingerprint(workspace, request)
        asked = attribution.GetJourneyRequest(workspace=workspace, page_size=request.page_size)
        _turn_to(request, mark, asked)
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
        try:
            await name_steps(answer.journey, workspace, self._ids)
        except UnavailableError as outage:  # the journey is live all the same
            log.warning("steps_left_unnamed", reason=outage.message)
        token = ""
        if answer.has_more:
            last = answer.journey.steps[-1]
            token = make_token((last.event_time.ToMicroseconds(), last.event_hash), mark)
        return GetJourneyResponse(journey=answer.journey, next_page_token=token)


def _turn_to(request: GetJourneyRequest, mark: str, asked: attribution.GetJourneyRequest) -> None:
    """Says from where on the page is wanted."""
    wrong = Violations()
    if request.page_size < 0:
        wrong.add("page_size", "Must not be negative; 0 means 1000.")
    if request.page_token:
        try:
            time, event_hash = map(int, read_token(request.page_token, mark))
            asked.after_time.FromMicroseconds(time)
            asked.after_hash = event_hash
        except ValueError as error:
            wrong.add("page_token", str(error))
    wrong.raise_if_any()
