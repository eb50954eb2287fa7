"""`AttributionService`: from the contract to the use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import grpc
from structlog.contextvars import bind_contextvars

from tributary.attribution.v1 import attribution_service_pb2, attribution_service_pb2_grpc, journey_pb2
from tributary_attribution.explaining import Explainer
from tributary_attribution.journeys import JourneyReader
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_runtime.interceptors import INTERNAL, Access

MAX_ID_CHARACTERS: Final = 128
MAX_TOKENS: Final = 1000
DEFAULT_PAGE_SIZE: Final = 1000
MAX_PAGE_SIZE: Final = 5000


class AttributionServicer(attribution_service_pb2_grpc.AttributionServiceServicer):
    """The gRPC face of attribution; for Tributary's own services only.

    Args:
        journeys: Reads journeys.
        explainer: Explains conversions.
    """

    service_name = "tributary.attribution.v1.AttributionService"
    rules: Mapping[str, Access] = {
        "GetJourney": INTERNAL,
        "ExplainConversion": INTERNAL,
        "SimulateAttribution": INTERNAL,
    }

    def __init__(self, journeys: JourneyReader, explainer: Explainer) -> None:
        self._journeys = journeys
        self._explainer = explainer

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server."""
        attribution_service_pb2_grpc.add_AttributionServiceServicer_to_server(self, server)

    async def GetJourney(
        self, request: attribution_service_pb2.GetJourneyRequest, context: object
    ) -> attribution_service_pb2.GetJourneyResponse:
        """Returns a page of a person's journey."""
        bind_contextvars(workspace=request.workspace)
        if request.page_size < 0:
            raise _invalid("page_size", "Must not be negative.")
        named_by = request.WhichOneof("person")
        if named_by == "person_id":
            _check("person_id", request.person_id)
            journey = await self._journeys.by_person_id(request.workspace, request.person_id)
        elif named_by == "identifiers":
            journey = await self._journeys.by_identifiers(request.workspace, request.identifiers)
        elif named_by == "conversion_id":
            _check("conversion_id", request.conversion_id)
            journey = await self._journeys.by_conversion_id(request.workspace, request.conversion_id)
        else:
            raise _invalid("person", "Must be set: a person id, identifiers, or a conversion id.")
        return page_of(journey, request)

    async def ExplainConversion(
        self, request: attribution_service_pb2.ExplainConversionRequest, context: object
    ) -> attribution_service_pb2.ExplainConversionResponse:
        """Says why a conversion has the credit it has."""
        bind_contextvars(workspace=request.workspace)
        _check("conversion_id", request.conversion_id)
        as_of = request.as_of_time.ToMicroseconds() if request.HasField("as_of_time") else None
        explanation = await self._explainer.explain(request.workspace, request.conversion_id, as_of)
        return attribution_service_pb2.ExplainConversionResponse(explanation=explanation)

    async def SimulateAttribution(
        self, request: attribution_service_pb2.SimulateAttributionRequest, context: object
    ) -> attribution_service_pb2.SimulateAttributionResponse:
        """Says what credit a conversion would have under other settings."""
        bind_contextvars(workspace=request.workspace)
        _check("conversion_id", request.conversion_id)
        explanation = await self._explainer.simulate(request.workspace, request.conversion_id, request.settings)
        return attribution_service_pb2.SimulateAttributionResponse(explanation=explanation)


def page_of(
    journey: journey_pb2.Journey, request: attribution_service_pb2.GetJourneyRequest
) -> attribution_service_pb2.GetJourneyResponse:
    """Leaves the steps that were asked for."""
    if request.HasField("after_time"):
        after = request.after_time.ToMicroseconds(), request.after_hash
        before = sum((step.event_time.ToMicroseconds(), step.event_hash) <= after for step in journey.steps)
        del journey.steps[:before]
    size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    has_more = len(journey.steps) > size
    del journey.steps[size:]
    journey.identity_tokens_omitted = max(0, len(journey.identity_tokens) - MAX_TOKENS)
    del journey.identity_tokens[MAX_TOKENS:]
    return attribution_service_pb2.GetJourneyResponse(journey=journey, has_more=has_more)


def _check(field: str, value: str) -> None:
    if not 1 <= len(value) <= MAX_ID_CHARACTERS:
        raise _invalid(field, f"Must have 1 to {MAX_ID_CHARACTERS} characters.")


def _invalid(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError("The request names nobody and nothing.", [FieldViolation(field, description)])
