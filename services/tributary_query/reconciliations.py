"""Reconciliation: asked of attribution, which owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.query.v1 import query_service_pb2 as contract
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.violations import refuse

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub


class Reconciliations:
    """Forwards to attribution; its errors are passed on as they are.

    Args:
        attribution_stub: Over a channel that carries the internal token.
    """

    def __init__(self, attribution_stub: AttributionServiceAsyncStub) -> None:
        self._attribution = attribution_stub

    async def reconcile(self, request: contract.ReconcileRequest, workspace: str) -> contract.ReconcileResponse:
        """Begins a run, or goes on with one."""
        asked = attribution.ReconcileRequest(
            workspace=workspace,
            repairs=request.repairs,
            reconciliation_id=request.reconciliation_id,
            slices=request.slices,
            with_changes=request.with_changes,
        )
        if request.HasField("time_range"):
            asked.time_range.CopyFrom(request.time_range)
        answer = await self._attribution.Reconcile(asked)
        return contract.ReconcileResponse(reconciliation=answer.reconciliation)

    async def get(
        self, request: contract.GetReconciliationRequest, workspace: str
    ) -> contract.GetReconciliationResponse:
        """Returns how far a run is."""
        asked = attribution.GetReconciliationRequest(workspace=workspace, reconciliation_id=request.reconciliation_id)
        answer = await self._attribution.GetReconciliation(asked)
        return contract.GetReconciliationResponse(reconciliation=answer.reconciliation)

    async def findings(self, request: contract.ListFindingsRequest, workspace: str) -> contract.ListFindingsResponse:
        """Returns a page of findings.

        Raises:
            InvalidRequestError: The token is of another request.
        """
        mark = fingerprint(workspace, request)
        after = ""
        if request.page_token:
            try:
                [last] = read_token(request.page_token, mark)
            except ValueError as error:
                raise refuse("page_token", str(error)) from None
            after = str(last)
        asked = attribution.ListFindingsRequest(
            workspace=workspace,
            reconciliation_id=request.reconciliation_id,
            states=request.states,
            page_size=request.page_size,
            page_token=after,
        )
        answer = await self._attribution.ListFindings(asked)
        token = make_token((answer.next_page_token,), mark) if answer.next_page_token else ""
        return contract.ListFindingsResponse(findings=answer.findings, next_page_token=token)

    async def update(self, request: contract.UpdateFindingsRequest, workspace: str) -> contract.UpdateFindingsResponse:
        """Says how far findings are dealt with."""
        asked = attribution.UpdateFindingsRequest(
            workspace=workspace, finding_ids=request.finding_ids, state=request.state
        )
        answer = await self._attribution.UpdateFindings(asked)
        return contract.UpdateFindingsResponse(findings=answer.findings)
