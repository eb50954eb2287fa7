"""A conversion as the core sees it -> `ConversionState`, the message that is published, stored and delivered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from tributary.attribution.v1.conversion_pb2 import (
    AppliedAdjustment,
    ConversionState,
    NotCountedReason,
    OrderKey,
    RevisionCause,
    ValueBasis,
)
from tributary.attribution.v1.credit_pb2 import (
    AppliedModel,
    UnattributedCredit,
    UnattributedReason,
)
from tributary.attribution.v1.finding_pb2 import FindingKind
from tributary.common.v1.money_pb2 import Money
from tributary.event.v1.context_pb2 import Observer
from tributary.event.v1.conversion_pb2 import CustomerType, ValueSource
from tributary.event.v1.event_pb2 import Event, Origin, Traffic
from tributary_domain import conversion as domain
from tributary_domain.attribution import WHOLE, Attribution
from tributary_domain.attribution import UnattributedReason as WhyUnattributed
from tributary_domain.business_keys import order_of
from tributary_domain.conversion import ConversionStatus
from tributary_domain.conversion_parts import AdjustmentKind, Observation
from tributary_domain.settings import EVERY_MODEL, AttributionModel
from tributary_domain.value_bases import ValueBasis as Basis
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.codec.credit_bytes import Sources, touches_bytes

CAUSE_OF_ADJUSTMENT: Final = {
    AdjustmentKind.REFUND: RevisionCause.REVISION_CAUSE_REFUND,
    AdjustmentKind.CHARGEBACK: RevisionCause.REVISION_CAUSE_CHARGEBACK,
    AdjustmentKind.REVERSAL: RevisionCause.REVISION_CAUSE_REVERSAL,
    AdjustmentKind.RESTATEMENT: RevisionCause.REVISION_CAUSE_RESTATEMENT,
    AdjustmentKind.RETRACTION: RevisionCause.REVISION_CAUSE_RETRACTION,
}

REASON_OF_STATUS: Final = {
    ConversionStatus.RETRACTED: NotCountedReason.NOT_COUNTED_REASON_RETRACTED,
    ConversionStatus.UNCOUNTED: NotCountedReason.NOT_COUNTED_REASON_TRAFFIC,
    ConversionStatus.REPEATED_BY_PERSON: NotCountedReason.NOT_COUNTED_REASON_ONCE_PER_PERSON,
    ConversionStatus.REPEATED_IN_SESSION: NotCountedReason.NOT_COUNTED_REASON_ONCE_PER_SESSION,
    ConversionStatus.REPEATED_FOR_CLICK: NotCountedReason.NOT_COUNTED_REASON_ONCE_PER_CLICK,
    ConversionStatus.SUPERSEDED: NotCountedReason.NOT_COUNTED_REASON_SUPERSEDED_STAGE,
    ConversionStatus.MERGED: NotCountedReason.NOT_COUNTED_REASON_MERGED_ORDER,
    ConversionStatus.SEVERED: NotCountedReason.NOT_COUNTED_REASON_SEVERED_ORDER,
}
_BASES: Final = {
    Basis.AS_SENT: ValueBasis.VALUE_BASIS_UNSPECIFIED,
    Basis.NET_OF_TAX: ValueBasis.VALUE_BASIS_NET_OF_TAX,
    Basis.NET_OF_TAX_AND_SHIPPING: ValueBasis.VALUE_BASIS_NET_OF_TAX_AND_SHIPPING,
    Basis.MARGIN: ValueBasis.VALUE_BASIS_MARGIN,
}
BASIS_OF: Final = {number: basis for basis, number in _BASES.items()}
"""Which part of a value is credited, from the published state."""
STATUS_OF_REASON: Final = {reason: status for status, reason in REASON_OF_STATUS.items()}
"""Why it is not counted -> its status."""
_NO_REASON: Final = NotCountedReason.NOT_COUNTED_REASON_UNSPECIFIED
_NO_CUSTOMER_TYPE: Final = CustomerType.CUSTOMER_TYPE_UNSPECIFIED
_ORDINARY: Final = Traffic.TRAFFIC_UNSPECIFIED
_STATED: Final = ValueSource.VALUE_SOURCE_STATED
_NO_ORIGIN: Final = Origin.ORIGIN_UNSPECIFIED
_OTHER_ORIGIN: Final = Origin.ORIGIN_OTHER
_ORIGINS: Final = {
    Observer.OBSERVER_BROWSER: Origin.ORIGIN_WEB,
    Observer.OBSERVER_FORWARDED: Origin.ORIGIN_WEB,
    Observer.OBSERVER_APP: Origin.ORIGIN_APP,
}


def facts_message(
    conversion_id: str,
    parts: Sequence[ConversionPart],
    state: domain.ConversionFacts,
    *,
    person_id: str,
    settings_version: str,
) -> ConversionState:
    """Writes down what is known of a conversion, but for its credit.

    Args:
        conversion_id: Its id.
        parts: All of its parts, in event order, and whatever else may say what it is worth.
        state: What they say together; with at least one observation.
        person_id: Whose it is; empty if nobody's.
        settings_version: Under which it is credited.
    """
    events = {part.event.event_id: part.event for part in parts if part.is_observation}
    seen = [events[observation.event_id] for observation in state.observations]
    ranked = _by_rank(state.observations, events)
    anchor = seen[0]
    valued = events[state.valued_by.event_id] if state.valued_by else None
    conversion = anchor.conversion
    order_id, cycle = next(filter(None, (order_of(event.conversion) for event in seen)), ("", ""))
    message = ConversionState(
        conversion_id=conversion_id,
        name=conversion.name,
        order_key=OrderKey(store=conversion.store, order_id=order_id, cycle=cycle),
        conversion_time=timestamp(state.conversion_time_micros),
        first_accept_time=timestamp(min(observation.accept_time_micros for observation in state.observations)),
        person_id=person_id,
        value_source=_value_source(state, valued),
        counted=state.is_counted,
        not_counted_reason=REASON_OF_STATUS.get(state.status, _NO_REASON),
        traffic=_traffic(state, seen),
        retracted=state.is_retracted,
        observation_event_ids=[observation.event_id for observation in state.observations],
        adjustments=_applied(state),
        origin=next(filter(None, map(_origin, seen)), _OTHER_ORIGIN),
        customer_type=next(filter(None, (event.conversion.customer_type for event in ranked)), _NO_CUSTOMER_TYPE),
        coupon_codes=dict.fromkeys(code for event in seen for code in event.conversion.coupon_codes),
        settings_version=settings_version,
        findings=sorted([FindingKind.Value(f"FINDING_KIND_{finding.name}") for finding in state.findings]),
    )
    if state.amount_micros is not None:
        message.value.CopyFrom(Money(currency_code=state.currency_code, amount_micros=state.amount_micros))
    if state.original_amount_micros is not None:
        message.original_value.CopyFrom(
            Money(currency_code=state.currency_code, amount_micros=state.original_amount_micros)
        )
    if state.basis is not Basis.AS_SENT:
        message.value_basis = _BASES[state.basis]
        message.missing_amounts.extend(state.missing_parts)
        if state.full_amount_micros is not None:
            message.full_value.CopyFrom(
                Money(currency_code=state.currency_code, amount_micros=state.full_amount_micros)
            )
    if valued is not None and valued.conversion.HasField("amounts"):
        message.amounts.CopyFrom(valued.conversion.amounts)
    for event in ranked:
        if event.conversion.items and not message.items:
            message.items.extend(event.conversion.items)
        if event.conversion.HasField("recurrence") and not message.HasField("recurrence"):
            message.recurrence.CopyFrom(event.conversion.recurrence)
        if event.conversion.HasField("lead") and not message.HasField("lead"):
            message.lead.CopyFrom(event.conversion.lead)
    for event in seen:
        if event.HasField("experiment"):
            message.experiment.CopyFrom(event.experiment)
            break
    return message


def credit_bytes(attribution: Attribution, sources: Sources, conversion_time_micros: int) -> bytes:
    """Returns models and touches of a conversion, to be merged into, or written behind, what else is known of it.

    Args:
        attribution: Its credit.
        sources: Of its touches.
        conversion_time_micros: When it happened.
    """
    reasons = attribution.unattributed
    models = _models(reasons, attribution.amount_micros if any(reasons) else 0, attribution.model_version)
    return models + touches_bytes(attribution, sources, conversion_time_micros)


def _by_rank(observations: Iterable[Observation], events: dict[str, Event]) -> list[Event]:
    """Returns the events whose word counts most first; equals in event order."""
    ranked = sorted(observations, key=lambda observation: -observation.source_rank)
    return [events[observation.event_id] for observation in ranked]


def _origin(event: Event) -> Origin.ValueType:
    return event.origin or _ORIGINS.get(event.context.observed_by, _NO_ORIGIN)


def _traffic(state: domain.ConversionFacts, seen: Sequence[Event]) -> Traffic.ValueType:
    """Returns what keeps it from being counted; internal traffic wins, because nobody may be sent it."""
    if state.status is not ConversionStatus.UNCOUNTED:
        return _ORDINARY
    is_internal = any(event.traffic == Traffic.TRAFFIC_INTERNAL for event in seen)
    return Traffic.TRAFFIC_INTERNAL if is_internal else Traffic.TRAFFIC_TEST


def _value_source(state: domain.ConversionFacts, valued: Event | None) -> ValueSource.ValueType:
    if any(adjustment.kind is AdjustmentKind.RESTATEMENT for adjustment in state.adjustments):
        return ValueSource.VALUE_SOURCE_RESTATED
    if state.is_default_valued:
        return ValueSource.VALUE_SOURCE_DEFAULT
    if valued is None:
        return ValueSource.VALUE_SOURCE_UNSPECIFIED
    return valued.conversion.value_source or _STATED


def _applied(state: domain.ConversionFacts) -> list[AppliedAdjustment]:
    """Lists the adjustments, each with what it changed after those before it."""
    return [
        AppliedAdjustment(
            event_id=adjustment.event_id,
            adjustment_id=adjustment.adjustment_id,
            adjustment_time=timestamp(adjustment.event_time_micros),
            change_micros=change,
            cause=CAUSE_OF_ADJUSTMENT[adjustment.kind],
        )
        for adjustment, change in zip(state.adjustments, state.changes_micros, strict=True)
    ]


@lru_cache(maxsize=4096)
def _models(reasons: Sequence[WhyUnattributed | None], amount_micros: int, model_version: str) -> bytes:
    """Returns `ConversionState.models`: the same of nearly all conversions.

    Args:
        reasons: Per model, why nobody earned the conversion; None where somebody did.
        amount_micros: What nobody earned.
        model_version: Of data_driven.
    """
    models = []
    for model, reason in zip(EVERY_MODEL, reasons, strict=False):
        unattributed = UnattributedCredit()
        if reason is not None:
            unattributed = UnattributedCredit(
                credit_micros=WHOLE,
                value_micros=amount_micros,
                reason=UnattributedReason.Value(f"UNATTRIBUTED_REASON_{reason.name}"),
            )
        version = model_version if model is AttributionModel.DATA_DRIVEN else ""
        models.append(AppliedModel(name=model.value, model_version=version, unattributed=unattributed))
    return ConversionState(models=models).SerializeToString(deterministic=True)
