"""Two published states of a conversion -> what changed between them, in the words of `ConversionRevised`.

Both sides are read from messages by the same code, so a difference is never one of form. What is compared beyond credit
is a digest made when it is needed, of both sides alike: a later release that shows more of a conversion does not revise
what was published before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState, MatchResolution, RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import CreditedTouch, TouchSource, UnattributedReason
from tributary_domain import attribution as domain
from tributary_domain.attribution import Attribution
from tributary_domain.conversion import ConversionStatus
from tributary_domain.event_order import event_hash
from tributary_domain.journey import DIRECT, JourneyTouch
from tributary_domain.revision import Cause, Change, Snapshot, compare
from tributary_storage.clickhouse.names import micros, timestamp
from tributary_storage.codec.conversion_states import CAUSE_OF_ADJUSTMENT, event_reference, hash_of_reference
from tributary_storage.codec.touch_sources import descriptor_of

_KIND_OF_CAUSE: Final = {cause: kind for kind, cause in CAUSE_OF_ADJUSTMENT.items()}
_NOT_FACTS: Final = ("touches", "models", "value", "settings_version", "counted", "not_counted_reason", "retracted")


def touch_of(touch: CreditedTouch) -> JourneyTouch:
    """Returns a credited touch as the core knows it, without what only folding needs."""
    descriptor, _ = descriptor_of(touch.source)
    flags = DIRECT if touch.source.rule == "direct" else 0
    return JourneyTouch(micros(touch.touch_time), hash_of_reference(touch.event_id), touch.kind, descriptor, flags)


def snapshot_of(state: ConversionState, match: MatchResolution) -> Snapshot:
    """Returns what is compared of a published conversion."""
    if state.counted:
        status = ConversionStatus.COUNTED
    else:
        status = ConversionStatus.RETRACTED if state.retracted else ConversionStatus.UNCOUNTED
    observations = tuple(event_hash(event_id) for event_id in state.observation_event_ids)
    return Snapshot(
        person_id=state.person_id,
        status=status,
        conversion_time_micros=micros(state.conversion_time),
        event_hash=observations[0] if observations else 0,
        currency_code=state.value.currency_code,
        amount_micros=state.value.amount_micros if state.HasField("value") else None,
        observations=observations,
        adjustments=tuple((event_hash(one.event_id), _KIND_OF_CAUSE[one.cause]) for one in state.adjustments),
        attribution=_attribution(state) if state.counted else None,
        facts_digest=_facts_digest(state, match),
        settings_version=state.settings_version,
    )


def change_between(
    displaced: ConversionRevised | None, revised: ConversionRevised, known_causes: Collection[Cause]
) -> Change | None:
    """Says what changed; None where nothing did.

    Args:
        displaced: What is published now; None if nothing is.
        revised: What would be, with state and match.
        known_causes: What the comparison cannot see.
    """
    old = None if displaced is None else snapshot_of(displaced.state, displaced.match)
    return compare(old, snapshot_of(revised.state, revised.match), known_causes)


def describe_change(displaced: ConversionRevised | None, revised: ConversionRevised, change: Change) -> None:
    """Writes causes and signed differences into a revision."""
    state = revised.state
    old = ConversionState() if displaced is None else displaced.state
    revised.causes.extend(RevisionCause.Value(f"REVISION_CAUSE_{cause.name}") for cause in change.causes)
    revised.value_delta_micros = _counted_value(state) - _counted_value(old)
    revised.counted_delta = int(state.counted) - int(old.counted)
    if change.moves:
        revised.replaced_conversion_time.CopyFrom(old.conversion_time)
    sources = _sources((*old.touches, *state.touches))
    for delta in change.deltas:
        if delta.reason:
            revised.deltas.add(
                model=delta.model.value, credit_micros=delta.credit_micros, value_micros=delta.amount_micros
            )
        else:
            revised.deltas.add(
                model=delta.model.value,
                source=sources[delta.descriptor],
                touch_event_id=event_reference(delta.touch_hash),
                touch_time=timestamp(delta.touch_time_micros),
                credit_micros=delta.credit_micros,
                value_micros=delta.amount_micros,
            )


def _counted_value(state: ConversionState) -> int:
    return state.value.amount_micros if state.counted else 0


def _sources(touches: Iterable[CreditedTouch]) -> dict[int, TouchSource]:
    return {descriptor_of(touch.source)[0]: touch.source for touch in touches}


def _attribution(state: ConversionState) -> Attribution:
    credits = tuple(zip(*([share.credit_micros for share in touch.credits] for touch in state.touches), strict=True))
    amounts = tuple(zip(*([share.value_micros for share in touch.credits] for touch in state.touches), strict=True))
    return Attribution(
        touches=tuple(map(touch_of, state.touches)),
        credits=credits or ((),) * len(state.models),
        amounts=amounts or ((),) * len(state.models),
        unattributed=tuple(_reason(model.unattributed.reason) for model in state.models),
        amount_micros=state.value.amount_micros,
    )


def _reason(reason: UnattributedReason.ValueType) -> domain.UnattributedReason | None:
    if not reason:
        return None
    name = UnattributedReason.Name(reason).removeprefix("UNATTRIBUTED_REASON_")
    return domain.UnattributedReason[name]


def _facts_digest(state: ConversionState, match: MatchResolution) -> str:
    facts = ConversionState()
    facts.CopyFrom(state)
    for name in _NOT_FACTS:
        facts.ClearField(name)
    digest = blake2b(facts.SerializeToString(deterministic=True), digest_size=16)
    digest.update(match.SerializeToString(deterministic=True))
    return digest.hexdigest()
