"""Reasons of the domain -> reasons of the contract."""

from collections.abc import Iterable

from tributary.event.v1 import verdict_pb2
from tributary_domain.reasons import Reason, ReasonCode, order_value_differs, payload_differs

_CODES = {code: verdict_pb2.ReasonCode.Value(f"REASON_CODE_{code}") for code in ReasonCode}

_DEDUP_MESSAGES = {
    verdict_pb2.REASON_CODE_MERGED_OBSERVATION: "A further observation of a known order; it was merged.",
    verdict_pb2.REASON_CODE_LOG_FULL: "The event log is full; send this event again.",
    verdict_pb2.REASON_CODE_STORE_UNREACHABLE: "The store of this event id does not answer; send this event again.",
    verdict_pb2.REASON_CODE_ORDER_CONTENDED: (
        "This event was sent with another order at the same moment, and neither is decided yet; send it again."
    ),
    verdict_pb2.REASON_CODE_KEY_STORE_UNREACHABLE: (
        "The state store does not answer, and without it nobody new can be recognised later; send this event again."
    ),
}


def to_messages(reasons: Iterable[Reason]) -> list[verdict_pb2.Reason]:
    """Returns the reasons as the contract has them, in order."""
    return [verdict_pb2.Reason(code=_CODES[code], field=field, message=message) for code, field, message in reasons]


def dedup_reason(code: verdict_pb2.ReasonCode.ValueType, kind: str | None = None) -> verdict_pb2.Reason:
    """Returns what a code that dedup gave says to people.

    Args:
        code: Of dedup.
        kind: Of the event; where its order's value differs.
    """
    if code == verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS:
        return to_messages([payload_differs()])[0]
    if code == verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS:
        return to_messages([order_value_differs(kind)])[0]
    return verdict_pb2.Reason(code=code, message=_DEDUP_MESSAGES.get(code, ""))
