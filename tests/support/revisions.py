"""Revisions of conversions as attribution publishes them; say only what matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tributary.attribution.v1.conversion_pb2 import REVISION_CAUSE_INITIAL, RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import UNATTRIBUTED_REASON_NO_MODEL, UNATTRIBUTED_REASON_NO_TOUCHPOINT
from tributary.event.v1.conversion_pb2 import RecurrenceKind
from tributary_domain.settings import MODELS
from tributary_domain.shares import split_exactly

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""When things happen, unless a test says otherwise."""

MICRO = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Touch:
    """A touch with equal credit under every model, or with the weight given."""

    channel: str
    event_id: str = ""
    source: str = ""
    before: timedelta = timedelta(hours=1)
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision of one conversion; its credit follows from its touches."""

    workspace: str
    conversion_id: str = "c1:one"
    order_id: str = ""
    name: str = "purchase"
    time: datetime = NOON
    replaced_time: datetime | None = None
    value_micros: int | None = 90_000_000
    currency: str = "EUR"
    touches: Sequence[Touch] = (Touch("Paid Search", "t-1"),)
    counted: bool = True
    value_pending: bool = False
    published: datetime = NOON + timedelta(seconds=1)
    previous: datetime | None = None
    posted: date | None = None
    cause: RevisionCause.ValueType = REVISION_CAUSE_INITIAL
    models: Sequence[str] = field(default=MODELS)
    kind: RecurrenceKind.ValueType = RecurrenceKind.RECURRENCE_KIND_UNSPECIFIED
    """Of a subscription's cycle; unspecified: it is none."""
    data_driven: str = ""
    """The version of the model that data_driven was credited under; empty: there was none."""

    @property
    def number(self) -> int:
        return micros(self.published)

    def then(self, **changes: Any) -> Revision:
        """Returns the revision that replaces this one, a minute later."""
        later = {"published": self.published + timedelta(minutes=1), "previous": self.published, **changes}
        return replace(self, **later)

    def message(self) -> ConversionRevised:
        revised = ConversionRevised(
            workspace=self.workspace,
            revision=self.number,
            previous_revision=micros(self.previous) if self.previous else 0,
            causes=[self.cause],
            causing_event_ids=["e-1"],
        )
        revised.publish_time.FromDatetime(self.published)
        revised.cause_accept_time.FromDatetime(self.published - timedelta(milliseconds=200))
        posted = self.posted or self.published.date()
        revised.posting_date.year, revised.posting_date.month = posted.year, posted.month
        revised.posting_date.day = posted.day
        if self.replaced_time:
            revised.replaced_conversion_time.FromDatetime(self.replaced_time)
        state = revised.state
        state.conversion_id, state.name, state.counted = self.conversion_id, self.name, self.counted
        state.order_key.order_id, state.value_pending = self.order_id, self.value_pending
        state.conversion_time.FromDatetime(self.time)
        state.first_accept_time.FromDatetime(self.time)
        if self.value_micros is not None:
            state.value.currency_code = state.original_value.currency_code = self.currency
            state.value.amount_micros = state.original_value.amount_micros = self.value_micros
        if self.kind:
            state.recurrence.subscription_id, state.recurrence.kind = "s-1", self.kind
        if self.counted:
            self._share(revised)
        return revised

    def shown(self) -> ConversionRevised:
        """Returns the message as readers get it: without a model of data_driven, nobody earned its credit."""
        revised = self.message()
        state = revised.state
        if self.counted and not self.data_driven:
            nobody = state.models.add(name="data_driven").unattributed
            nobody.credit_micros, nobody.value_micros = 1_000_000, self.value_micros or 0
            nobody.reason = UNATTRIBUTED_REASON_NO_MODEL
            for touch in state.touches:
                touch.credits.add()
        return revised

    def packed(self) -> tuple[ConversionRevised, bytes]:
        """Returns what `ConversionWriter.write` takes."""
        message = self.message()
        return message, message.SerializeToString()

    def _share(self, revised: ConversionRevised) -> None:
        state = revised.state
        models = [*self.models, *(["data_driven"] if self.data_driven else [])]
        for model in models:
            applied = state.models.add(name=model)
            if not self.touches:
                applied.unattributed.credit_micros = 1_000_000
                applied.unattributed.value_micros = self.value_micros or 0
                applied.unattributed.reason = UNATTRIBUTED_REASON_NO_TOUCHPOINT
        if self.data_driven:
            state.models[-1].model_version = self.data_driven
        if not self.touches:
            return
        weights = [touch.weight for touch in self.touches]
        shares = zip(split_exactly(1_000_000, weights), split_exactly(self.value_micros or 0, weights), strict=True)
        for number, (touch, (credit, value)) in enumerate(zip(self.touches, shares, strict=True)):
            credited = state.touches.add(event_id=touch.event_id or f"{self.conversion_id}-t{number}")
            credited.touch_time.FromDatetime(self.time - touch.before)
            credited.source.channel, credited.source.source = touch.channel, touch.source
            for _ in models:
                credited.credits.add(credit_micros=credit, value_micros=value)


def micros(moment: datetime) -> int:
    """Returns a moment in microseconds since 1970."""
    return (moment - _EPOCH) // MICRO
