"""Reconciliation on request, beside the calls: one run at a time, and what is stored of runs and findings.

The one rule: a run that was noted is brought to its end by this process, or by whoever asks for its id again; never by
two at once.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from tributary.attribution.v1 import attribution_service_pb2 as contract
from tributary_attribution.reconciliation import Reconciliation
from tributary_attribution.reconciliation_messages import finding_message, run_message, state_of
from tributary_attribution.run_lease import RunLease
from tributary_attribution.runs import begun
from tributary_domain.findings import FindingState
from tributary_runtime.clock import Clock
from tributary_runtime.errors import (
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    TributaryError,
    WorkerDecision,
)
from tributary_runtime.time_ranges import read_time_range
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.reconciliation_runs import MAX_FINDINGS, ReconciliationRuns, Run
from tributary_storage.redis.run_leases import RunLeases

log = structlog.get_logger(__name__)

_WAITING: Final = 16
_SLICES: Final = 8
_PAGE: Final = 100


class Reconciling:
    """Answers for reconciliation, and is the loop that runs it.

    Args:
        reconciliation: Does it.
        runs: Keeps runs and findings.
        leases: Know who is at a run.
        workspaces: Knows the workspaces.
        clock: Says when.
    """

    name = "reconcile"

    def __init__(
        self,
        reconciliation: Reconciliation,
        runs: ReconciliationRuns,
        leases: RunLeases,
        workspaces: WorkspacesFile,
        clock: Clock,
    ) -> None:
        self._reconciliation = reconciliation
        self._runs = runs
        self._leases = leases
        self._workspaces = workspaces
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[Run, RunLease]] = asyncio.Queue(_WAITING)

    async def run(self, stop: asyncio.Event) -> None:
        """Runs what was asked for, one after the other, until told to stop; what is left is noted as running."""
        stopped = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            asked = asyncio.ensure_future(self._waiting.get())
            await asyncio.wait({asked, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                asked.cancel()
                break
            work = asyncio.ensure_future(self._run(*asked.result()))
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            [failure] = await asyncio.gather(work, return_exceptions=True)
            if isinstance(failure, Exception):  # a bug of ours ends this run, not the credit of everybody
                log.error("reconciliation_failed", reason="INTERNAL", exc_info=failure)
        stopped.cancel()
        while not self._waiting.empty():
            await self._waiting.get_nowait()[1].leave()

    async def _run(self, run: Run, lease: RunLease) -> None:
        try:
            async with lease:
                await self._reconciliation.run(run, self._workspaces.get(run.workspace))
        except TributaryError as error:  # it stays noted, and goes on when somebody asks for it again
            log.error(
                "reconciliation_failed",
                reconciliation_id=run.reconciliation_id,
                reason=error.reason,
                message=error.message,
            )
        except WorkerDecision as undecided:
            log.error(
                "reconciliation_failed",
                reconciliation_id=run.reconciliation_id,
                reason="UNFINISHED",
                message=str(undecided),
            )

    async def reconcile(self, request: contract.ReconcileRequest) -> contract.ReconcileResponse:
        """Notes a run and begins it, or goes on with one.

        Raises:
            InvalidRequestError: There is no time in it.
            NotFoundError: No such run, or workspace.
            OverloadedError: Too many wait.
        """
        workspace = self._workspaces.get(request.workspace).id
        if request.reconciliation_id:
            run = await self._find(workspace, request.reconciliation_id)
        else:
            start, end = read_time_range(request.time_range, "time_range")
            run = begun(
                workspace,
                start or 0,
                end or 0,
                self._clock.unix_micros(),
                repairs=request.repairs,
                slices=request.slices or _SLICES,
                with_changes=request.with_changes,
            )
        if not run.is_complete:
            if self._waiting.full():
                raise OverloadedError("Too many runs of reconciliation wait.", retry_delay_seconds=60)
            lease = RunLease(self._leases, run, self._clock)
            if await lease.take():  # else somebody is at it
                await self._runs.save(run, self._clock.unix_micros())
                self._waiting.put_nowait((run, lease))
        return contract.ReconcileResponse(reconciliation=run_message(run))

    async def get(self, request: contract.GetReconciliationRequest) -> contract.GetReconciliationResponse:
        """Returns how far a run is.

        Raises:
            NotFoundError: No such run.
        """
        run = await self._find(request.workspace, request.reconciliation_id)
        message = run_message(run)
        if not run.is_complete and not await self._leases.is_held(run.workspace, run.reconciliation_id):
            run = await self._find(request.workspace, run.reconciliation_id)  # it may have ended just now
            message = run_message(run)
            message.stopped = not run.is_complete
        return contract.GetReconciliationResponse(reconciliation=message)

    async def findings(self, request: contract.ListFindingsRequest) -> contract.ListFindingsResponse:
        """Returns a page of findings.

        Raises:
            InvalidRequestError: The size of the page is negative.
        """
        if request.page_size < 0:
            raise _refused("page_size", "Must not be negative.")
        size = min(request.page_size or _PAGE, MAX_FINDINGS)
        found = await self._runs.findings(
            request.workspace,
            reconciliation_id=request.reconciliation_id,
            states=[state_of(state) for state in request.states] or [FindingState.OPEN],
            after=request.page_token,
            limit=size,
        )
        token = found[-1].finding_id if len(found) == size else ""
        return contract.ListFindingsResponse(findings=map(finding_message, found), next_page_token=token)

    async def update(self, request: contract.UpdateFindingsRequest) -> contract.UpdateFindingsResponse:
        """Says how far findings are dealt with.

        Raises:
            InvalidRequestError: No state, or too many findings.
        """
        if not request.state:
            raise _refused("state", "Must be set.")
        if not 1 <= len(request.finding_ids) <= MAX_FINDINGS:
            raise _refused("finding_ids", f"1 to {MAX_FINDINGS}.")
        found = await self._runs.findings(request.workspace, finding_ids=request.finding_ids)
        changed = [one.in_state(state_of(request.state)) for one in found]
        if changed:
            await self._runs.write(request.workspace, changed, self._clock.unix_micros())
        return contract.UpdateFindingsResponse(findings=map(finding_message, changed))

    async def _find(self, workspace: str, reconciliation_id: str) -> Run:
        run = await self._runs.find(workspace, reconciliation_id)
        if run is None:
            raise NotFoundError(
                "There is no such run.", resource_type="reconciliation", resource_name=reconciliation_id or "newest"
            )
        return run


def _refused(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError("The request cannot be understood.", [FieldViolation(field, description)])
