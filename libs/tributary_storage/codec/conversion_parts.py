"""What one event says about a conversion: kept whole beside the conversion, read as an observation or an adjustment.

Kept: accept time and the admitted event, without what no conversion shows (page, referrer, properties, evidence); of
the page's URL its click ids, as if the caller had named them. So a rule that is refined later finds every field it may
want.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Final

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary.event.v1.conversion_pb2 import Amounts
from tributary.event.v1.event_pb2 import Event, Traffic
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, Standing
from tributary_domain.event_order import event_hash
from tributary_domain.value_bases import NO_PARTS, ValueParts
from tributary_storage.codec.own_clicks import own_click_ids

_HEAD: Final = Struct(">BQ")
_VERSION: Final = 1
_UNCOUNTED: Final = frozenset({Traffic.TRAFFIC_INTERNAL, Traffic.TRAFFIC_TEST})
_KINDS: Final = {
    AdjustmentReason.ADJUSTMENT_REASON_REFUND: AdjustmentKind.REFUND,
    AdjustmentReason.ADJUSTMENT_REASON_CHARGEBACK: AdjustmentKind.CHARGEBACK,
    AdjustmentReason.ADJUSTMENT_REASON_REVERSAL: AdjustmentKind.REVERSAL,
    AdjustmentReason.ADJUSTMENT_REASON_RETRACTION: AdjustmentKind.RETRACTION,
    AdjustmentReason.ADJUSTMENT_REASON_RESTATEMENT: AdjustmentKind.RESTATEMENT,
}


@dataclass(frozen=True)
class ConversionPart:
    """One event that observed a conversion or adjusted it."""

    accept_time_micros: int
    admitted: AdmittedEvent

    @property
    def event(self) -> Event:
        """The event."""
        return self.admitted.event

    @cached_property
    def event_time_micros(self) -> int:
        """When it happened."""
        time = self.admitted.event.event_time
        return time.seconds * 1_000_000 + time.nanos // 1_000

    @cached_property
    def event_hash(self) -> int:
        """What decides ties."""
        return event_hash(self.admitted.event.event_id)

    @cached_property
    def is_observation(self) -> bool:
        """Whether it reports the conversion; else it adjusts it."""
        return self.admitted.event.HasField("conversion")

    @property
    def standing(self) -> Standing:
        """Whether it counts."""
        return Standing.UNCOUNTED if self.admitted.event.traffic in _UNCOUNTED else Standing.GOOD

    def observation(self) -> Observation:
        """Returns what it reports."""
        event = self.admitted.event
        conversion = event.conversion
        has_value = conversion.HasField("value")
        return Observation(
            event_time_micros=self.event_time_micros,
            event_hash=self.event_hash,
            event_id=event.event_id,
            accept_time_micros=self.accept_time_micros,
            source_rank=self.admitted.source_rank or 1,
            amount_micros=conversion.value.amount_micros if has_value else None,
            parts=_parts(conversion.amounts) if conversion.HasField("amounts") else NO_PARTS,
            currency_code=conversion.value.currency_code if has_value else "",
            identifiers=tuple(self.admitted.identity_tokens),
            session=event_hash(event.session_id) if event.session_id else 0,
            standing=self.standing,
        )

    def adjustment(self) -> Adjustment:
        """Returns what it adjusts; an unknown reason is a restatement."""
        event = self.admitted.event
        adjustment = event.adjustment
        kind = _KINDS.get(adjustment.reason, AdjustmentKind.RESTATEMENT)
        has_amount = adjustment.HasField("amount")
        amount = adjustment.amount.amount_micros if has_amount else None
        if amount is None and kind is AdjustmentKind.RESTATEMENT:
            amount = 0
        return Adjustment(
            event_time_micros=self.event_time_micros,
            event_hash=self.event_hash,
            event_id=event.event_id,
            kind=kind,
            adjustment_id=adjustment.adjustment_id,
            amount_micros=amount,
            parts=_parts(adjustment.amounts) if adjustment.HasField("amounts") else NO_PARTS,
            currency_code=adjustment.amount.currency_code if has_amount else "",
            accept_time_micros=self.accept_time_micros,
            standing=self.standing,
        )

    def of_amount(self, amount_micros: int | None) -> ConversionPart:
        """Returns the same adjustment of another amount: what its parts said was of the whole."""
        adjustment = self.admitted.event.adjustment
        if amount_micros is None or amount_micros == adjustment.amount.amount_micros:
            return self
        admitted = AdmittedEvent()
        admitted.CopyFrom(self.admitted)
        admitted.event.adjustment.amount.amount_micros = amount_micros
        admitted.event.adjustment.ClearField("amounts")
        return ConversionPart(self.accept_time_micros, admitted)


def _parts(amounts: Amounts) -> ValueParts:
    return ValueParts(**{field.name: micros for field, micros in amounts.ListFields()})


def pack_part(admitted: AdmittedEvent, accept_time_micros: int) -> bytes:
    """Returns what is kept of an event; `admitted` loses what is not."""
    admitted.ClearField("channel_evidence")
    admitted.ClearField("reasons")
    admitted.ClearField("decision")
    admitted.event.ClearField("properties")
    if admitted.event.HasField("context"):
        if admitted.event.HasField("conversion"):
            _keep_click_ids(admitted.event)
        admitted.event.context.ClearField("page_url")
        admitted.event.context.ClearField("referrer_url")
    return _HEAD.pack(_VERSION, accept_time_micros) + admitted.SerializeToString()


def _keep_click_ids(event: Event) -> None:
    """Writes the click ids of the page's URL where the event has none of the family."""
    if not event.context.page_url:
        return
    for family, value in own_click_ids(event).items():
        setattr(event.click_ids, family, value)


def unpack_parts(contents: Iterable[bytes]) -> list[ConversionPart]:
    """Reads parts, in event order.

    Raises:
        ValueError: A part is of a version that is not known here.
    """
    parts = []
    for content in contents:
        version, accept_time_micros = _HEAD.unpack_from(content)
        if version != _VERSION:
            raise ValueError(f"a part of a conversion has version {version}; this version reads {_VERSION}")
        parts.append(ConversionPart(accept_time_micros, AdmittedEvent.FromString(content[_HEAD.size :])))
    parts.sort(key=lambda part: (part.event_time_micros, part.event_hash))
    return parts
