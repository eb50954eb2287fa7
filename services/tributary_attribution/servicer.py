"""`AttributionService`: from the contract to the use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc
from structlog.contextvars import bind_contextvars

from tributary.attribution.v1 import attribution_service_pb2, attribution_service_pb2_grpc, journey_pb2
from tributary_attribution.erasing import Erasing
from tributary_attribution.erasure_messages import erase, stored_message
from tributary_attribution.explaining import Explainer
from tributary_attribution.identities import Identities, change_message, identity_message
from tributary_attribution.journeys import JourneyReader
from tributary_attribution.reattribution import Reattribution
from tributary_attribution.reconciling import Reconciling
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_runtime.interceptors import INTERNAL, Access
from tributary_storage.clickhouse.conversion_history import LATEST_MICROS
from tributary_storage.clickhouse.names import micros, timestamp
from tributary_storage.clickhouse.published_conversions import START, Place, Wanted

MAX_ID_CHARACTERS: Final = 128
MAX_TOKENS: Final = 1000
DEFAULT_PAGE_SIZE: Final = 1000
MAX_PAGE_SIZE: Final = 5000
DEFAULT_CONVERSIONS: Final = 200
MAX_CONVERSIONS: Final = 500


class AttributionServicer(attribution_service_pb2_grpc.AttributionServiceServicer):
    """The gRPC face of attribution; for Tributary's own services only.

    Args:
        journeys: Reads journeys.
        explainer: Explains conversions.
        reattribution: Credits the past anew.
        reconciling: Answers for reconciliation.
        identities: Shows people and takes merges back.
        erasing: Erases people.
    """

    service_name = "tributary.attribution.v1.AttributionService"
    rules: Mapping[str, Access] = {
        "GetJourney": INTERNAL,
        "ExplainConversion": INTERNAL,
        "SimulateAttribution": INTERNAL,
        "Reattribute": INTERNAL,
        "Reconcile": INTERNAL,
        "GetReconciliation": INTERNAL,
        "ListFindings": INTERNAL,
        "UpdateFindings": INTERNAL,
        "GetIdentity": INTERNAL,
        "UndoIdentityChange": INTERNAL,
        "ErasePerson": INTERNAL,
        "GetErasure": INTERNAL,
    }

    def __init__(
        self,
        journeys: JourneyReader,
        explainer: Explainer,
        reattribution: Reattribution,
        reconciling: Reconciling,
        identities: Identities,
        erasing: Erasing,
    ) -> None:
        self._erasing = erasing
        self._journeys = journeys
        self._identities = identities
        self._explainer = explainer
        self._reattribution = reattribution
        self._reconciling = reconciling

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

    async def Reconcile(
        self, request: attribution_service_pb2.ReconcileRequest, context: object
    ) -> attribution_service_pb2.ReconcileResponse:
        """Begins a run of reconciliation, or goes on with one."""
        bind_contextvars(workspace=request.workspace)
        return await self._reconciling.reconcile(request)

    async def GetReconciliation(
        self, request: attribution_service_pb2.GetReconciliationRequest, context: object
    ) -> attribution_service_pb2.GetReconciliationResponse:
        """Returns how far a run is."""
        bind_contextvars(workspace=request.workspace)
        return await self._reconciling.get(request)

    async def ListFindings(
        self, request: attribution_service_pb2.ListFindingsRequest, context: object
    ) -> attribution_service_pb2.ListFindingsResponse:
        """Lists what was found."""
        bind_contextvars(workspace=request.workspace)
        return await self._reconciling.findings(request)

    async def UpdateFindings(
        self, request: attribution_service_pb2.UpdateFindingsRequest, context: object
    ) -> attribution_service_pb2.UpdateFindingsResponse:
        """Says how far findings are dealt with."""
        bind_contextvars(workspace=request.workspace)
        return await self._reconciling.update(request)

    async def ExplainConversion(
        self, request: attribution_service_pb2.ExplainConversionRequest, context: object
    ) -> attribution_service_pb2.ExplainConversionResponse:
        """Says why a conversion has the credit it has."""
        bind_contextvars(workspace=request.workspace)
        _check("conversion_id", request.conversion_id)
        as_of = request.as_of_time.ToMicroseconds() if request.HasField("as_of_time") else None
        explained = await self._explainer.explain(request.workspace, request.conversion_id, as_of)
        return attribution_service_pb2.ExplainConversionResponse(
            explanation=explained.message, pending_revisions=explained.pending
        )

    async def SimulateAttribution(
        self, request: attribution_service_pb2.SimulateAttributionRequest, context: object
    ) -> attribution_service_pb2.SimulateAttributionResponse:
        """Says what credit a conversion would have under other settings."""
        bind_contextvars(workspace=request.workspace)
        _check("conversion_id", request.conversion_id)
        explanation = await self._explainer.simulate(request.workspace, request.conversion_id, request.settings)
        return attribution_service_pb2.SimulateAttributionResponse(explanation=explanation)

    async def Reattribute(
        self, request: attribution_service_pb2.ReattributeRequest, context: object
    ) -> attribution_service_pb2.ReattributeResponse:
        """Credits a page of past conversions anew, or says what that would change."""
        bind_contextvars(workspace=request.workspace, is_preview=request.preview)
        wanted = wanted_of(request)
        choice = request.model if request.HasField("model") else None
        if request.preview:
            asked = request.settings if request.HasField("settings") else None
            page, last = await self._reattribution.preview(wanted, asked, choice)
        else:
            page, last = await self._reattribution.apply(wanted, choice)
        bind_contextvars(conversions=page.conversions, changed=page.changed)
        answer = attribution_service_pb2.ReattributeResponse(page=page, has_more=last is not None)
        if last is not None:
            answer.last_time.CopyFrom(timestamp(last.time_micros))
            answer.last_conversion_id = last.conversion_id
        return answer

    async def GetIdentity(
        self, request: attribution_service_pb2.GetIdentityRequest, context: object
    ) -> attribution_service_pb2.GetIdentityResponse:
        """Says who an identifier is."""
        bind_contextvars(workspace=request.workspace)
        named_by = request.WhichOneof("person")
        if named_by == "person_id":
            _check("person_id", request.person_id)
            found = await self._identities.by_person_id(request.workspace, request.person_id)
        elif named_by == "identifiers":
            found = await self._identities.by_identifiers(request.workspace, request.identifiers)
        else:
            raise _invalid("person", "Must be set: a person id, or identifiers.")
        return attribution_service_pb2.GetIdentityResponse(identity=identity_message(request.workspace, found))

    async def UndoIdentityChange(
        self, request: attribution_service_pb2.UndoIdentityChangeRequest, context: object
    ) -> attribution_service_pb2.UndoIdentityChangeResponse:
        """Takes a change of people back."""
        bind_contextvars(workspace=request.workspace)
        _check("change_id", request.change_id)
        made = await self._identities.undo(request.workspace, request.change_id)
        return attribution_service_pb2.UndoIdentityChangeResponse(changes=map(change_message, made))

    async def ErasePerson(
        self, request: attribution_service_pb2.ErasePersonRequest, context: Any
    ) -> attribution_service_pb2.ErasePersonResponse:
        """Erases a person, or says what that would destroy."""
        bind_contextvars(workspace=request.workspace, is_dry_run=request.dry_run)
        return await erase(self._erasing, request, context.time_remaining())

    async def GetErasure(
        self, request: attribution_service_pb2.GetErasureRequest, context: object
    ) -> attribution_service_pb2.GetErasureResponse:
        """Returns how far an erasure is."""
        bind_contextvars(workspace=request.workspace)
        _check("erasure_id", request.erasure_id)
        stored = await self._erasing.get(request.workspace, request.erasure_id)
        return attribution_service_pb2.GetErasureResponse(erasure=stored_message(stored))


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


def wanted_of(request: attribution_service_pb2.ReattributeRequest) -> Wanted:
    """Returns which conversions a request means."""
    size = min(request.page_size or DEFAULT_CONVERSIONS, MAX_CONVERSIONS)
    after = START
    if request.HasField("after_time"):
        after = Place(micros(request.after_time), request.after_conversion_id)
    return Wanted(
        workspace=request.workspace,
        start_micros=max(0, micros(request.time_range.start_time)),
        end_micros=min(micros(request.time_range.end_time), LATEST_MICROS),
        names=tuple(request.conversion_names),
        after=after,
        limit=size + 1,  # one more tells whether there are more
    )


def _check(field: str, value: str) -> None:
    if not 1 <= len(value) <= MAX_ID_CHARACTERS:
        raise _invalid(field, f"Must have 1 to {MAX_ID_CHARACTERS} characters.")


def _invalid(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError("The request names nobody and nothing.", [FieldViolation(field, description)])
