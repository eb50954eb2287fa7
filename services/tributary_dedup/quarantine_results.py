"""What comes of a release or a rejection of a quarantined event: before it is carried out, by it, and in a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tributary.dedup.v1 import quarantine_pb2 as contract
from tributary_domain.claim_records import OrderPart
from tributary_storage.clickhouse.quarantine import QUARANTINED, REJECTED, RELEASED, RecordedAdmission

_RELEASE: Final = contract.QUARANTINE_ACTION_RELEASE
RESULTS: Final = {
    b"A": contract.QUARANTINE_RESULT_RELEASED,
    b"M": contract.QUARANTINE_RESULT_MERGED,
    b"X": contract.QUARANTINE_RESULT_REJECTED,
    b"V": contract.QUARANTINE_RESULT_CONFLICT,
}
"""By what `lua/decide_quarantined.lua` answers."""


def result_before(
    event: RecordedAdmission | None, actions: set[str], action: contract.QuarantineAction.ValueType
) -> contract.QuarantineResult.ValueType:
    """Returns what is known of an event before it is decided on; UNSPECIFIED: it is to be decided."""
    if event is None:
        return contract.QUARANTINE_RESULT_NOT_FOUND
    if RELEASED in actions:
        return result_of_released(action)
    if event.verdict != QUARANTINED:
        return contract.QUARANTINE_RESULT_NOT_QUARANTINED
    if action != _RELEASE and REJECTED in actions:
        return contract.QUARANTINE_RESULT_ALREADY_DECIDED
    return contract.QUARANTINE_RESULT_UNSPECIFIED


def result_of_released(action: contract.QuarantineAction.ValueType) -> contract.QuarantineResult.ValueType:
    """Returns what is said of an event that was let in before."""
    if action == _RELEASE:
        return contract.QUARANTINE_RESULT_ALREADY_DECIDED
    return contract.QUARANTINE_RESULT_NOT_QUARANTINED


def result_expected(
    action: contract.QuarantineAction.ValueType, order: OrderPart | None, known: dict[bytes, Mapping[int, bytes]]
) -> contract.QuarantineResult.ValueType:
    """Returns what `lua/decide_quarantined.lua` would say of an event; notes what it would write, for those after it.

    Args:
        action: What is asked.
        order: What else the event is claimed by.
        known: What each rank stated of the orders that are claimed.
    """
    if action != _RELEASE:
        return contract.QUARANTINE_RESULT_REJECTED
    if order is None:
        return contract.QUARANTINE_RESULT_RELEASED
    is_known, values = order.digest in known, known.get(order.digest, {})
    if order.rank:
        if values.get(order.rank, order.value_digest) != order.value_digest:
            return contract.QUARANTINE_RESULT_CONFLICT
        values = {**values, order.rank: order.value_digest}
    known[order.digest] = values
    return contract.QUARANTINE_RESULT_MERGED if is_known else contract.QUARANTINE_RESULT_RELEASED


def outcome_without_result(event_id: str, event: RecordedAdmission | None) -> contract.QuarantineOutcome:
    """Returns what an event is, if it is known; the result is to be filled in."""
    outcome = contract.QuarantineOutcome(event_id=event_id)
    if event is not None:
        outcome.kind, outcome.conversion_id = event.kind, event.conversion_id
        outcome.event_time.FromMicroseconds(event.event_micros)
    return outcome
