"""Revisions: what changed between the state a publish displaced and the new one, and why.

Only the displaced state counts, never what the worker believed before: so that two workers that publish one conversion
at once still record each change exactly once. No change, no revision.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from tributary_domain.attribution import WHOLE, Attribution, UnattributedReason
from tributary_domain.conversion import ConversionFacts, ConversionStatus
from tributary_domain.conversion_parts import AdjustmentKind
from tributary_domain.settings import EVERY_MODEL, AttributionModel


class Cause(StrEnum):
    """What made a revision. Open: readers must accept causes they do not know."""

    INITIAL = "initial"
    LATE_TOUCHPOINT = "late_touchpoint"
    OBSERVATION_MERGED = "observation_merged"
    REFUND = "refund"
    RESTATEMENT = "restatement"
    RETRACTION = "retraction"
    CHARGEBACK = "chargeback"
    REVERSAL = "reversal"
    """What was subtracted is given back, such as a dispute that was won."""
    STAGE_CHANGE = "stage_change"
    IDENTITY_MERGE = "identity_merge"
    IDENTITY_UNMERGE = "identity_unmerge"
    QUARANTINE_RELEASE = "quarantine_release"
    VALIDATION_REJECT = "validation_reject"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    ERASURE = "erasure"
    SETTINGS_CHANGE = "settings_change"
    RECLASSIFICATION = "reclassification"
    MODEL_CHANGE = "model_change"
    EXCHANGE_RATE = "exchange_rate"
    RECONCILIATION = "reconciliation"
    OPERATOR = "operator"
    COUNTING = "counting"
    """Which of a person's conversions of one name counts became another."""
    INHERITANCE = "inheritance"
    """Whose credit a renewal inherits became another."""


ADJUSTED_BY: Final = {
    AdjustmentKind.REFUND: Cause.REFUND,
    AdjustmentKind.CHARGEBACK: Cause.CHARGEBACK,
    AdjustmentKind.REVERSAL: Cause.REVERSAL,
    AdjustmentKind.RESTATEMENT: Cause.RESTATEMENT,
    AdjustmentKind.RETRACTION: Cause.RETRACTION,
}
"""What an adjustment of each kind is as a cause."""


_CLOCKS_APART_MICROS: Final = 300_000_000
"""How far the clocks of two Redis may be apart: one that is further ahead is wrong, and not followed."""

_ORDER: Final = {cause: place for place, cause in enumerate(Cause)}

_REPEATED: Final = {
    ConversionStatus.REPEATED_BY_PERSON,
    ConversionStatus.REPEATED_IN_SESSION,
    ConversionStatus.REPEATED_FOR_CLICK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A conversion as published, as far as it is compared."""

    person_id: str
    """Empty for an anonymous conversion."""
    status: ConversionStatus
    conversion_time_micros: int
    event_hash: int
    """Of the earliest observation."""
    currency_code: str
    amount_micros: int | None
    observations: tuple[int, ...]
    """Event hashes, in event order."""
    adjustments: tuple[tuple[int, AdjustmentKind], ...]
    """Event hash and kind of each that counts, in event order."""
    attribution: Attribution | None
    """None where the conversion is not counted: it earns nobody anything."""
    facts_digest: str = ""
    """Of what else is published with it (identifiers, click ids, items): a change of these alone is a revision too."""
    settings_version: str = field(default="", compare=False)
    """Named on the revision, but no change by itself: the same credit under a new version is the same credit."""

    @property
    def is_counted(self) -> bool:
        """Whether totals contain it."""
        return self.status is ConversionStatus.COUNTED


class CreditDelta(NamedTuple):
    """What one touch, or `unattributed`, gained or lost under one model."""

    model_index: int
    """Into `EVERY_MODEL`."""
    currency_code: str
    touch_time_micros: int
    """0 for unattributed; likewise the next two."""
    touch_hash: int
    descriptor: int
    reason: str
    """The `UnattributedReason`; empty for a touch."""
    credit_micros: int
    amount_micros: int

    @property
    def model(self) -> AttributionModel:
        """Under which model."""
        return EVERY_MODEL[self.model_index]


_delta: Final[Callable[..., CreditDelta]] = tuple.__new__  # in place of the one that takes arguments: half the time


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two published states of one conversion."""

    causes: tuple[Cause, ...]
    """At least one, each once, in the order of `Cause`."""
    deltas: tuple[CreditDelta, ...]
    """Signed, none with both parts 0, sorted. Adding them to the old state gives the new one."""
    moves: bool
    """Whether the conversion's own sort key changed: its old row needs a tombstone."""


def snapshot(
    state: ConversionFacts,
    attribution: Attribution | None,
    *,
    person_id: str,
    settings_version: str,
    facts_digest: str = "",
) -> Snapshot:
    """Returns what is compared of a conversion: its credit only where it is counted."""
    return Snapshot(
        person_id=person_id,
        status=state.status,
        conversion_time_micros=state.conversion_time_micros,
        event_hash=state.anchor.event_hash if state.anchor else 0,
        currency_code=state.currency_code,
        amount_micros=state.amount_micros,
        observations=tuple(part.event_hash for part in state.observations),
        adjustments=tuple((part.event_hash, part.kind) for part in state.adjustments),
        attribution=attribution if state.is_counted else None,
        facts_digest=facts_digest,
        settings_version=settings_version,
    )


def compare(
    displaced: Snapshot | None,
    new: Snapshot,
    known_causes: Collection[Cause] = (),
    arrived: Collection[int] = (),
    otherwise: Cause = Cause.RECONCILIATION,
    released: Collection[int] = (),
) -> Change | None:
    """Says what changed and why.

    Args:
        displaced: What the publish replaced; None for the first.
        new: What it published.
        known_causes: What the caller did that a comparison cannot see, such as people that were merged or split, or a
            consent that was withdrawn. They take the place of the guesses from changed credit.
        arrived: Hashes of the events that made the caller look again. A touch among them that joined is a late
            touchpoint; one that came with another person's journey is not.
        otherwise: The cause where nothing that is compared tells it: an adjustment that was found wanting, say.
        released: Hashes of those of `arrived` that were in quarantine until now: what they changed was not late.

    Returns:
        The change; None where both are the same, whatever `known_causes` says.
    """
    if displaced == new:
        return None
    deltas = _deltas(displaced, new)
    causes = (
        _first_causes(new, known_causes, frozenset(released))
        if displaced is None
        else _causes(displaced, new, frozenset(known_causes), frozenset(arrived), otherwise, frozenset(released))
    )
    return Change(
        causes=tuple(sorted(causes, key=_ORDER.__getitem__)),
        deltas=deltas,
        moves=displaced is not None and displaced.conversion_time_micros != new.conversion_time_micros,
    )


def next_revision(last: int, redis_time_micros: int, accept_micros: int = 0) -> int:
    """Returns the number of a conversion's next revision: the time, but always above the last one.

    Never before the events that caused it were accepted, though another Redis' clock said when: so that what was
    published by a moment is complete once all is that was accepted by it.

    >>> next_revision(7, 5), next_revision(7, 9), next_revision(7, 9, 11)
    (8, 9, 11)

    Args:
        last: The highest published revision of this conversion; 0 if none.
        redis_time_micros: `TIME` of the Redis that publishes.
        accept_micros: When the newest of the events was accepted; 0: no event caused it.
    """
    return max(last + 1, redis_time_micros, min(accept_micros, redis_time_micros + _CLOCKS_APART_MICROS))


def _first_causes(new: Snapshot, known: Collection[Cause], released: frozenset[int]) -> set[Cause]:
    """Returns why a conversion is published that never was before."""
    causes = {Cause.INITIAL, *({Cause.RECONCILIATION} & set(known))}
    if released.intersection(new.observations):
        causes.add(Cause.QUARANTINE_RELEASE)
    return causes


def _causes(
    old: Snapshot,
    new: Snapshot,
    known: frozenset[Cause],
    arrived: frozenset[int],
    otherwise: Cause,
    released: frozenset[int],
) -> set[Cause]:
    """Returns why a conversion that was published before changed."""
    causes = set(known)
    moved = set(old.observations) ^ set(new.observations)
    moved |= {event_hash for event_hash, _ in set(old.adjustments) ^ set(new.adjustments)}
    if old.observations != new.observations:
        causes.add(Cause.OBSERVATION_MERGED)
    for _, kind in set(old.adjustments) ^ set(new.adjustments):
        causes.add(ADJUSTED_BY[kind])
    if old.status is ConversionStatus.QUARANTINED and new.is_counted:
        causes.add(Cause.QUARANTINE_RELEASE)
    if old.status is not new.status and _REPEATED & {old.status, new.status}:
        causes.add(Cause.COUNTING)
    before, after = _touches(old), _touches(new)
    same = before.keys() & after.keys()
    if any(before[key] != after[key] for key in same):
        causes.add(Cause.RECLASSIFICATION)
    if old.settings_version != new.settings_version and _deltas(old, new):
        causes.add(Cause.SETTINGS_CHANGE)
    both = old.attribution is not None and new.attribution is not None
    joined = {key[1] for key in after.keys() - before.keys()} if both else set()
    # A person's id changes with their first identifier, so a late event may change it; another journey's touches prove
    # that two became one, should a crash have come between the merge and this.
    if old.person_id != new.person_id and joined - arrived and not known & {Cause.IDENTITY_UNMERGE, Cause.ERASURE}:
        causes.add(Cause.IDENTITY_MERGE)
    explained = bool(causes - {Cause.OBSERVATION_MERGED, *ADJUSTED_BY.values()})
    unexplained = both and before.keys() != after.keys() and not explained
    if released & (joined | moved) or (released and unexplained):
        causes.add(Cause.QUARANTINE_RELEASE)
    if joined & (arrived - released) or (unexplained and not released):
        causes.add(Cause.LATE_TOUCHPOINT)
    if not causes:
        if _reasons(old) != _reasons(new) or old.person_id != new.person_id:
            otherwise = Cause.LATE_TOUCHPOINT
        causes.add(Cause.QUARANTINE_RELEASE if released else otherwise)
    return causes


def _touches(state: Snapshot) -> dict[tuple[int, int], int]:
    """Returns the descriptor of each touch that shares the conversion, by its event."""
    touches = state.attribution.touches if state.attribution else ()
    return {(touch.event_time_micros, touch.event_hash): touch.descriptor for touch in touches}


def _reasons(state: Snapshot) -> tuple[UnattributedReason | None, ...]:
    """Returns why it is unattributed, per model."""
    return state.attribution.unattributed if state.attribution else ()


_DeltaKey = tuple[int, str, int, int, int, str]


def _deltas(old: Snapshot | None, new: Snapshot) -> tuple[CreditDelta, ...]:
    """Subtracts the old credit from the new."""
    before = _contributions(old) if old else {}
    if not before:
        return tuple(_gained(new))  # nearly always: a conversion is published first
    after = _contributions(new)
    deltas = []
    for key in sorted(after.keys() | before.keys()):
        credit, amount = after.get(key, (0, 0))
        old_credit, old_amount = before.get(key, (0, 0))
        if credit != old_credit or amount != old_amount:
            deltas.append(CreditDelta(*key, credit - old_credit, amount - old_amount))
    return tuple(deltas)


def _gained(state: Snapshot) -> list[CreditDelta]:
    """Returns what each touch, and unattributed, has from the conversion: sorted, for touches are oldest first."""
    attribution, currency = state.attribution, state.currency_code
    gained: list[CreditDelta] = []
    if attribution is None:
        return gained
    touches = attribution.touches
    of_models = zip(attribution.unattributed, attribution.credits, attribution.amounts, strict=True)
    for model, (reason, credits, amounts) in enumerate(of_models):
        if reason:
            nobody = model, currency, 0, 0, 0, reason.value, WHOLE, attribution.amount_micros
            gained.append(_delta(CreditDelta, nobody))
        gained += [
            _delta(CreditDelta, (model, currency, touch[0], touch[1], touch[3], "", credit, amount))
            for touch, credit, amount in zip(touches, credits, amounts, strict=True)
            if credit or amount
        ]
    return gained


def _contributions(state: Snapshot) -> dict[_DeltaKey, tuple[int, int]]:
    """Returns what each touch, and unattributed, has from the conversion."""
    attribution, currency = state.attribution, state.currency_code
    parts: dict[_DeltaKey, tuple[int, int]] = {}
    if attribution is None:
        return parts
    for model, reason in enumerate(attribution.unattributed):
        if reason:
            parts[(model, currency, 0, 0, 0, reason.value)] = (
                attribution.unattributed_credits[model],
                attribution.amount_micros,
            )
        shares = zip(attribution.touches, attribution.credits[model], attribution.amounts[model], strict=True)
        for touch, credit, amount in shares:
            if credit or amount:
                parts[(model, currency, touch[0], touch[1], touch[3], "")] = (credit, amount)
    return parts
