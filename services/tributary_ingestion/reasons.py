"""Reasons of the domain -> reasons of the contract."""

from collections.abc import Iterable

from tributary.event.v1 import verdict_pb2
from tributary_domain.reasons import Reason, ReasonCode

_CODES = {code: verdict_pb2.ReasonCode.Value(f"REASON_CODE_{code}") for code in ReasonCode}

_DEDUP_MESSAGES = {
    verdict_pb2.REASON_CODE_MERGED_OBSERVATION: "A further observation of a known order; it was merged.",
    verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS: "This event id is known with another payload; use an id per event.",
    verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS: (
        "An equally ranked source stated another value for this order; send the change as an adjustment."
    ),
    verdict_pb2.REASON_CODE_LOG_FULL: "The event log is full; send this event again.",
    verdict_pb2.REASON_CODE_STORE_UNREACHABLE: "The store of this event id does not answer; send this event again.",
}
_DEDUP_FIELDS = {
    verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS: "event_id",
    verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS: "conversion.value",
}


def to_messages(reasons: Iterable[Reason]) -> list[verdict_pb2.Reason]:
    """Returns the reasons as the contract has them, in order."""
    return [verdict_pb2.Reason(code=_CODES[code], field=field, message=message) for code, field, message in reasons]


def dedup_reason(code: verdict_pb2.ReasonCode.ValueType) -> verdict_pb2.Reason:
    """Returns what a code that dedup gave says to people."""
    return verdict_pb2.Reason(code=code, field=_DEDUP_FIELDS.get(code, ""), message=_DEDUP_MESSAGES.get(code, ""))
