"""What became of one event, read from the answers of the claim scripts.

The one rule: an outcome says what is on stable storage, or UNDECIDED.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tributary.event.v1 import verdict_pb2
from tributary_storage.redis.claim_layout import (
    CLAIM_BYTES,
    ORDER_BYTES,
    Kind,
    claim_kind,
    claim_time_micros,
    order_time_micros,
)
from tributary_storage.redis.claims import Decided, Undecided

RETRY_DELAY_SECONDS: Final = 1
"""When it is worth sending an undecided event again."""

_ACCEPTED: Final = verdict_pb2.VERDICT_ACCEPTED
_DUPLICATE: Final = verdict_pb2.VERDICT_DUPLICATE
_CONFLICT: Final = verdict_pb2.VERDICT_CONFLICT
_REJECTED: Final = verdict_pb2.VERDICT_REJECTED
_QUARANTINED: Final = verdict_pb2.VERDICT_QUARANTINED
_UNDECIDED: Final = verdict_pb2.VERDICT_UNDECIDED
_NO_REASON: Final = verdict_pb2.REASON_CODE_UNSPECIFIED
_MERGED: Final = verdict_pb2.REASON_CODE_MERGED_OBSERVATION

_A, _Q, _R, _D, _C, _M = b"AQRDCM"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision on one event."""

    verdict: verdict_pb2.Verdict.ValueType
    first_accept_micros: int = 0
    """When the event id was accepted first; 0: never."""
    first_verdict: verdict_pb2.Verdict.ValueType = verdict_pb2.VERDICT_UNSPECIFIED
    """Of a duplicate."""
    reason: verdict_pb2.ReasonCode.ValueType = _NO_REASON


FULL: Final = Outcome(_UNDECIDED, reason=verdict_pb2.REASON_CODE_LOG_FULL)
UNREACHABLE: Final = Outcome(_UNDECIDED, reason=verdict_pb2.REASON_CODE_STORE_UNREACHABLE)
_REFUSED: Final = Outcome(_REJECTED)


def undecided(answer: Undecided) -> Outcome:
    """Returns what all events of a script that did not run become."""
    return FULL if answer.is_full else UNREACHABLE


def of_plain(answer: Decided) -> list[Outcome]:
    """Returns an outcome per plain event of `lua/admit.lua`; events alike share one."""
    now = answer.accept_time_micros
    accepted = Outcome(_ACCEPTED, now)
    mask, known = answer.mask, answer.known
    if mask.count(_A) == len(mask):
        return [accepted] * len(mask)
    shared = {_A: accepted, _Q: Outcome(_QUARANTINED, now), _R: _REFUSED}
    outcomes, at = [], 0
    for letter in mask:
        outcome = shared.get(letter)
        if outcome is None:
            outcome = _of_known(letter == _D, known[at : at + CLAIM_BYTES], now)
            at += CLAIM_BYTES
        outcomes.append(outcome)
    return outcomes


def of_registrations(answer: Decided) -> list[Outcome | None]:
    """Returns an outcome per registration, None where step (b) decides."""
    if answer.registered.count(b"O") == len(answer.registered):
        return [None] * len(answer.registered)
    known_before = answer.mask.count(_D) + answer.mask.count(_C)
    outcomes: list[Outcome | None] = []
    at = known_before * CLAIM_BYTES
    for letter in answer.registered:
        if letter in (_D, _C):
            claim = answer.known[at : at + CLAIM_BYTES]
            at += CLAIM_BYTES
            outcomes.append(_of_known(letter == _D, claim, answer.accept_time_micros))
        else:
            outcomes.append(None)
    return outcomes


def of_ordered(answer: Decided, found_before: Sequence[Outcome | None]) -> list[Outcome]:
    """Returns an outcome per event of `lua/admit_orders.lua`.

    Args:
        answer: Of the script.
        found_before: Per event what step (a) had found, None where it left the decision to step (b).
    """
    now, known = answer.accept_time_micros, answer.known
    shared = {_A: Outcome(_ACCEPTED, now), _Q: Outcome(_QUARANTINED, now)}
    outcomes, at = [], 0
    for letter, before in zip(answer.mask, found_before, strict=True):
        outcome = before or shared.get(letter)
        if outcome is None and letter == _D:
            outcome = _of_known(True, known[at : at + CLAIM_BYTES], now)
            at += CLAIM_BYTES
        elif outcome is None:
            first = order_time_micros(known[at : at + ORDER_BYTES])
            at += ORDER_BYTES
            if letter == _M:
                outcome = Outcome(_DUPLICATE, first, _ACCEPTED, _MERGED)
            else:
                outcome = Outcome(_CONFLICT, first, reason=verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS)
        outcomes.append(outcome)
    return outcomes


def _of_known(is_duplicate: bool, claim: bytes, now: int) -> Outcome:
    first = claim_time_micros(claim, now)
    if not is_duplicate:
        return Outcome(_CONFLICT, first, reason=verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS)
    kind = claim_kind(claim)
    if kind is Kind.QUARANTINED:
        return Outcome(_DUPLICATE, first, _QUARANTINED)
    return Outcome(_DUPLICATE, first, _ACCEPTED, _MERGED if kind is Kind.MERGED else _NO_REASON)
