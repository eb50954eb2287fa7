"""`QueryService`: finds the caller's workspace and hands over to the use cases, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1 import query_service_pb2_grpc
from tributary_query.conversions import Conversions
from tributary_query.deliveries import Deliveries
from tributary_query.delivery_funnel import Funnels
from tributary_query.erasures import Erasures
from tributary_query.events import Events
from tributary_query.explanations import Explanations
from tributary_query.health import Health
from tributary_query.identities import Identities
from tributary_query.integrity import Integrity
from tributary_query.journeys import Journeys
from tributary_query.models import Models
from tributary_query.quarantine import Quarantine
from tributary_query.reattributions import Reattributions
from tributary_query.reconciliations import Reconciliations
from tributary_query.reports import Reports
from tributary_runtime.authentication import current_caller
from tributary_runtime.interceptors import Access
from tributary_runtime.workspaces import Scope, Workspace
from tributary_runtime.workspaces_file import WorkspacesFile


@dataclass(frozen=True, slots=True)
class UseCases:
    """What can be asked."""

    reports: Reports
    conversions: Conversions
    journeys: Journeys
    identities: Identities
    erasures: Erasures
    health: Health
    integrity: Integrity
    events: Events
    quarantine: Quarantine
    explanations: Explanations
    reattributions: Reattributions
    models: Models
    reconciliations: Reconciliations
    deliveries: Deliveries
    funnels: Funnels


class QueryServicer(query_service_pb2_grpc.QueryServiceServicer):
    """The gRPC face of query.

    Args:
        workspaces: Whose configuration a caller's is.
        use_cases: What can be asked.
    """

    service_name = "tributary.query.v1.QueryService"
    rules: Mapping[str, Access] = {
        "QueryReport": Scope.QUERY,
        "GetConversion": Scope.QUERY,
        "ExplainConversion": Scope.QUERY,
        "SimulateAttribution": Scope.QUERY,
        "PreviewReattribution": Scope.QUERY,
        "Reattribute": Scope.ADMIN,
        "GetJourney": Scope.QUERY,
        "GetIdentity": Scope.ADMIN,
        "UndoIdentityChange": Scope.ADMIN,
        "ErasePerson": Scope.ADMIN,
        "GetErasure": Scope.ADMIN,
        "GetPipelineHealth": Scope.QUERY,
        "GetIntegrity": Scope.QUERY,
        "LookupEvents": Scope.QUERY,
        "ListRefusals": Scope.QUERY,
        "ListQuarantinedEvents": Scope.QUERY,
        "DecideQuarantinedEvents": Scope.ADMIN,
        "ListModels": Scope.QUERY,
        "GetModel": Scope.QUERY,
        "Reconcile": Scope.ADMIN,
        "GetReconciliation": Scope.ADMIN,
        "ListFindings": Scope.ADMIN,
        "UpdateFindings": Scope.ADMIN,
        "ListDestinations": Scope.QUERY,
        "TestDestination": Scope.ADMIN,
        "PauseDestination": Scope.ADMIN,
        "ResumeDestination": Scope.ADMIN,
        "ListDeliveries": Scope.QUERY,
        "ReplayDeliveries": Scope.ADMIN,
        "GetDeliveryFunnel": Scope.QUERY,
    }

    def __init__(self, workspaces: WorkspacesFile, use_cases: UseCases) -> None:
        self._workspaces = workspaces
        self._ask = use_cases

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server."""
        query_service_pb2_grpc.add_QueryServiceServicer_to_server(self, server)

    async def QueryReport(self, request: contract.QueryReportRequest, context: object) -> contract.QueryReportResponse:
        """Computes a report."""
        return await self._ask.reports.query(request, self._workspace())

    async def GetConversion(
        self, request: contract.GetConversionRequest, context: object
    ) -> contract.GetConversionResponse:
        """Returns a conversion with all its revisions and deliveries."""
        return await self._ask.conversions.get(request, self._workspace().id)

    async def ExplainConversion(
        self, request: contract.ExplainConversionRequest, context: object
    ) -> contract.ExplainConversionResponse:
        """Says why a conversion has its credit."""
        return await self._ask.explanations.explain(request, self._workspace().id)

    async def SimulateAttribution(
        self, request: contract.SimulateAttributionRequest, context: object
    ) -> contract.SimulateAttributionResponse:
        """Says what credit a conversion would have under other settings."""
        return await self._ask.explanations.simulate(request, self._workspace().id)

    async def PreviewReattribution(
        self, request: contract.PreviewReattributionRequest, context: object
    ) -> contract.PreviewReattributionResponse:
        """Says what other settings would change of past conversions."""
        return await self._ask.reattributions.preview(request, self._workspace().id)

    async def Reattribute(self, request: contract.ReattributeRequest, context: object) -> contract.ReattributeResponse:
        """Credits past conversions under the settings as they are now."""
        return await self._ask.reattributions.apply(request, self._workspace().id)

    async def GetJourney(self, request: contract.GetJourneyRequest, context: object) -> contract.GetJourneyResponse:
        """Returns a person's journey, live."""
        return await self._ask.journeys.get(request, self._workspace().id)

    async def GetIdentity(self, request: contract.GetIdentityRequest, context: object) -> contract.GetIdentityResponse:
        """Says who an identifier is."""
        return await self._ask.identities.get(request, self._workspace().id)

    async def UndoIdentityChange(
        self, request: contract.UndoIdentityChangeRequest, context: object
    ) -> contract.UndoIdentityChangeResponse:
        """Takes a change of people back."""
        return await self._ask.identities.undo(request, self._workspace().id)

    async def ErasePerson(self, request: contract.ErasePersonRequest, context: Any) -> contract.ErasePersonResponse:
        """Erases a person, or says what that would destroy."""
        caller, remaining_seconds = current_caller(), context.time_remaining()
        return await self._ask.erasures.erase(request, self._workspace().id, caller.key_id, remaining_seconds)

    async def GetErasure(self, request: contract.GetErasureRequest, context: object) -> contract.GetErasureResponse:
        """Returns how far an erasure is."""
        return await self._ask.erasures.get(request, self._workspace().id)

    async def GetPipelineHealth(
        self, request: contract.GetPipelineHealthRequest, context: object
    ) -> contract.GetPipelineHealthResponse:
        """Returns latencies, backlogs and success rates."""
        return await self._ask.health.get(request, self._workspace().id)

    async def GetIntegrity(
        self, request: contract.GetIntegrityRequest, context: object
    ) -> contract.GetIntegrityResponse:
        """Returns the promises as live numbers."""
        return await self._ask.integrity.get(self._workspace())

    async def LookupEvents(
        self, request: contract.LookupEventsRequest, context: object
    ) -> contract.LookupEventsResponse:
        """Says what became of event ids."""
        return await self._ask.events.lookup(request, self._workspace().id)

    async def ListRefusals(
        self, request: contract.ListRefusalsRequest, context: object
    ) -> contract.ListRefusalsResponse:
        """Lists events that were refused."""
        return await self._ask.events.refusals(request, self._workspace().id)

    async def ListQuarantinedEvents(
        self, request: contract.ListQuarantinedEventsRequest, context: object
    ) -> contract.ListQuarantinedEventsResponse:
        """Lists events that are quarantined."""
        return await self._ask.quarantine.page(request, self._workspace().id)

    async def DecideQuarantinedEvents(
        self, request: contract.DecideQuarantinedEventsRequest, context: object
    ) -> contract.DecideQuarantinedEventsResponse:
        """Releases or rejects quarantined events."""
        return await self._ask.quarantine.decide(request, self._workspace().id, current_caller().key_id)

    async def ListModels(self, request: contract.ListModelsRequest, context: object) -> contract.ListModelsResponse:
        """Lists the models of data_driven."""
        return await self._ask.models.page(request, self._workspace().id)

    async def GetModel(self, request: contract.GetModelRequest, context: object) -> contract.GetModelResponse:
        """Returns a model of data_driven."""
        return await self._ask.models.get(request, self._workspace().id)

    async def Reconcile(self, request: contract.ReconcileRequest, context: object) -> contract.ReconcileResponse:
        """Begins a run of reconciliation, or goes on with one."""
        return await self._ask.reconciliations.reconcile(request, self._workspace().id)

    async def GetReconciliation(
        self, request: contract.GetReconciliationRequest, context: object
    ) -> contract.GetReconciliationResponse:
        """Returns how far a run of reconciliation is."""
        return await self._ask.reconciliations.get(request, self._workspace().id)

    async def ListFindings(
        self, request: contract.ListFindingsRequest, context: object
    ) -> contract.ListFindingsResponse:
        """Lists what reconciliation found."""
        return await self._ask.reconciliations.findings(request, self._workspace().id)

    async def UpdateFindings(
        self, request: contract.UpdateFindingsRequest, context: object
    ) -> contract.UpdateFindingsResponse:
        """Says how far findings are dealt with."""
        return await self._ask.reconciliations.update(request, self._workspace().id)

    async def ListDestinations(
        self, request: contract.ListDestinationsRequest, context: object
    ) -> contract.ListDestinationsResponse:
        """Lists the destinations with how they are doing."""
        return await self._ask.deliveries.destinations(request, self._workspace().id)

    async def TestDestination(
        self, request: contract.TestDestinationRequest, context: object
    ) -> contract.TestDestinationResponse:
        """Tries a destination out."""
        return await self._ask.deliveries.test(request, self._workspace().id)

    async def PauseDestination(
        self, request: contract.PauseDestinationRequest, context: object
    ) -> contract.PauseDestinationResponse:
        """Lets nobody call a destination until it is resumed."""
        return await self._ask.deliveries.pause(request, self._workspace().id)

    async def ResumeDestination(
        self, request: contract.ResumeDestinationRequest, context: object
    ) -> contract.ResumeDestinationResponse:
        """Ends every pause of a destination but that of the file."""
        return await self._ask.deliveries.resume(request, self._workspace().id)

    async def ListDeliveries(
        self, request: contract.ListDeliveriesRequest, context: object
    ) -> contract.ListDeliveriesResponse:
        """Lists deliveries, last attempted first."""
        return await self._ask.deliveries.page(request, self._workspace().id)

    async def ReplayDeliveries(
        self, request: contract.ReplayDeliveriesRequest, context: object
    ) -> contract.ReplayDeliveriesResponse:
        """Has deliveries sent again."""
        return await self._ask.deliveries.replay(request, self._workspace().id)

    async def GetDeliveryFunnel(
        self, request: contract.GetDeliveryFunnelRequest, context: object
    ) -> contract.GetDeliveryFunnelResponse:
        """Returns what became of conversions at each destination, day by day."""
        workspace = self._workspace()
        return await self._ask.funnels.page(request, workspace.id, workspace.destinations)

    def _workspace(self) -> Workspace:
        return self._workspaces.get(current_caller().workspace_id)
