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
    home_shard,
    order_time_micros,
    told_home_round,
    told_round,
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

_A, _Q, _R, _D, _M, _U, _B, _REGISTERED, _IN_ROUND, _HOME, _ELSEWHERE, _MOVED = b"AQRDMUBonhmu"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision on one event."""

    verdict: verdict_pb2.Verdict.ValueType
    first_accept_micros: int = 0
    """When the event id was accepted first; 0: never."""
    first_verdict: verdict_pb2.Verdict.ValueType = verdict_pb2.VERDICT_UNSPECIFIED
    """Of a duplicate."""
    reason: verdict_pb2.ReasonCode.ValueType = _NO_REASON


@dataclass(frozen=True, slots=True)
class Registered:
    """Not decided yet, of an event with an order that step (b) decides."""

    round: int
    """How often it was registered anew."""


@dataclass(frozen=True, slots=True)
class Astray:
    """Not decided yet, of an event that is not to be decided where it is registered."""

    shard: int
    """Where it would have been decided; -1: where it was asked just now."""
    is_barred: bool
    """Nothing is there, nor will be in this round: its own shard is to register it anew."""
    round: int
    """In which it is registered, or which is barred."""


FIRST_ROUND: Final = Registered(0)

FULL: Final = Outcome(_UNDECIDED, reason=verdict_pb2.REASON_CODE_LOG_FULL)
UNREACHABLE: Final = Outcome(_UNDECIDED, reason=verdict_pb2.REASON_CODE_STORE_UNREACHABLE)
CONTENDED: Final = Outcome(_UNDECIDED, reason=verdict_pb2.REASON_CODE_ORDER_CONTENDED)
_REFUSED: Final = Outcome(_REJECTED)


def undecided(answer: Undecided) -> Outcome:
    """Returns what all events of a script that did not run become."""
    return FULL if answer.is_full else UNREACHABLE


def of_step_a(answer: Decided) -> list[Outcome | Astray | Registered]:
    """Returns an outcome per event of `lua/admit.lua`, or what is to be done next; events alike share one."""
    now, letters = answer.accept_time_micros, answer.letters
    accepted = Outcome(_ACCEPTED, now)
    if letters.count(_A) == len(letters):
        return [accepted] * len(letters)
    shared: dict[int, Outcome | Registered] = {
        _A: accepted,
        _Q: Outcome(_QUARANTINED, now),
        _R: _REFUSED,
        _REGISTERED: FIRST_ROUND,
        _MOVED: CONTENDED,
    }
    found: list[Outcome | Astray | Registered] = []
    at = 0
    for letter in letters:
        if letter in shared:
            found.append(shared[letter])
            continue
        told = answer.known[at : at + CLAIM_BYTES]
        at += CLAIM_BYTES
        if letter == _IN_ROUND:
            found.append(Registered(told_round(told)))
        elif letter == _HOME:
            found.append(Astray(home_shard(told), False, told_home_round(told)))
        elif letter == _ELSEWHERE:
            found.append(Astray(-1, True, told_round(told)))
        else:
            found.append(_of_known(letter in b"Dd", told, now))
    return found


def of_step_b(answer: Decided, found_before: Sequence[Outcome | None]) -> list[Outcome | Astray]:
    """Returns an outcome per event of `lua/admit_orders.lua`; it is astray if the round is barred.

    Args:
        answer: Of the script.
        found_before: Per event what step (a) had found, None where it left the decision to step (b).
    """
    now, known = answer.accept_time_micros, answer.known
    shared = {_A: Outcome(_ACCEPTED, now), _Q: Outcome(_QUARANTINED, now), _U: CONTENDED}
    outcomes, at = list[Outcome | Astray](), 0
    for letter, before in zip(answer.letters, found_before, strict=True):
        outcome: Outcome | Astray | None = before or shared.get(letter)
        if outcome is None and letter in (_D, _B):
            told = known[at : at + CLAIM_BYTES]
            outcome = _of_known(True, told, now) if letter == _D else Astray(-1, True, told_round(told))
            at += CLAIM_BYTES
        elif outcome is None:
            first = order_time_micros(known[at : at + ORDER_BYTES])
            at += ORDER_BYTES
            if letter == _M:
                outcome = Outcome(_DUPLICATE, first, _ACCEPTED, _MERGED)
            else:  # V; what step (a) found to be a C has its outcome
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
