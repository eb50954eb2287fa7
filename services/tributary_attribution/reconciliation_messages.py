"""Runs of reconciliation and findings as messages."""

from __future__ import annotations

from typing import Final

from tributary.attribution.v1 import finding_pb2 as contract
from tributary.attribution.v1.reconciliation_pb2 import Reconciliation, ReconciliationState
from tributary_domain.findings import Finding, FindingCause, FindingState
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.clickhouse.reconciliation_runs import Run

_STATES: Final = {contract.FindingState.Value(f"FINDING_STATE_{state.value}"): state for state in FindingState}


def run_message(run: Run) -> Reconciliation:
    """Returns a run as callers see it."""
    state = "COMPLETE" if run.is_complete else "RUNNING"
    message = Reconciliation(
        reconciliation_id=run.reconciliation_id,
        state=ReconciliationState.Value(f"RECONCILIATION_STATE_{state}"),
        repairs=run.repairs,
        slices=run.slices,
        with_changes=run.with_changes,
        finished_slices=len(run.finished_slices),
        counts=run.counts,
        create_time=timestamp(run.create_micros),
    )
    message.time_range.start_time.CopyFrom(timestamp(run.begin_micros))
    message.time_range.end_time.CopyFrom(timestamp(run.end_micros))
    return message


def finding_message(finding: Finding) -> contract.Finding:
    """Returns a finding as callers see it."""
    cause = "UNSPECIFIED" if finding.cause is FindingCause.NONE else finding.cause.value
    return contract.Finding(
        finding_id=finding.finding_id,
        reconciliation_id=finding.reconciliation_id,
        kind=contract.FindingKind.Value(f"FINDING_KIND_{finding.kind.value}"),
        cause=contract.FindingCause.Value(f"FINDING_CAUSE_{cause}"),
        severity=contract.FindingSeverity.Value(f"FINDING_SEVERITY_{finding.severity.value}"),
        state=contract.FindingState.Value(f"FINDING_STATE_{finding.state.value}"),
        conversion_id=finding.conversion_id,
        event_id=finding.event_id,
        deal_id=finding.deal_id,
        match_step=finding.match_step,
        message=finding.message,
        expected=finding.expected,
        actual=finding.actual,
        repair_revision=finding.repair_revision,
        find_time=timestamp(finding.find_micros),
    )


def state_of(state: contract.FindingState.ValueType) -> FindingState:
    """Returns the state that a request names; one that is not known is OPEN."""
    return _STATES.get(state, FindingState.OPEN)
