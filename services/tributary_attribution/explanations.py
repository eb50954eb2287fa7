"""An explanation as the core makes it -> the message that answers who asks why.

The one rule: every touchpoint is in it with exactly one outcome, and every number of a division is there, so that the
credit can be computed again by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.duration_pb2 import Duration

from tributary.attribution.v1.credit_pb2 import TouchSource, UnattributedReason
from tributary.attribution.v1.explanation_pb2 import (
    CreditSettings,
    DataDrivenExplanation,
    ExplainedModel,
    ExplainedTouchpoint,
    Explanation,
    NoModelReason,
    NoShareReason,
    TouchpointExclusion,
)
from tributary.attribution.v1.model_pb2 import Model, ModelStatus
from tributary_domain import explanation as domain
from tributary_domain.attribution import Attribution
from tributary_domain.data_driven import DataDrivenModel, without_data_driven
from tributary_domain.event_order import OrderKey
from tributary_domain.journey import Exclusion, JourneyTouch, TouchKind, in_event_order
from tributary_domain.sessions import session_ids
from tributary_domain.settings import DAY, SECOND, AttributionSettings
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.event_references import event_reference

MAX_BEFORE: Final = 4_500
"""Touchpoints up to the conversion that are listed, the newest of them."""
MAX_AFTER: Final = 500
"""Touchpoints after it that are listed, the oldest of them."""

_DAY_SECONDS: Final = DAY // SECOND
_Outcome = tuple["TouchpointExclusion.ValueType", OrderKey | None]
_CREDITED: Final[_Outcome] = (TouchpointExclusion.TOUCHPOINT_EXCLUSION_UNSPECIFIED, None)
_INTERNAL: Final[_Outcome] = (TouchpointExclusion.TOUCHPOINT_EXCLUSION_INTERNAL_TRAFFIC, None)
_NO_MODEL: Final = {
    ModelStatus.MODEL_STATUS_UNSPECIFIED: NoModelReason.NO_MODEL_REASON_NEVER_EVALUATED,
    ModelStatus.MODEL_STATUS_PUBLISHED: NoModelReason.NO_MODEL_REASON_CREDITED_BEFORE,
    ModelStatus.MODEL_STATUS_NOT_ENOUGH_EVIDENCE: NoModelReason.NO_MODEL_REASON_NOT_ENOUGH_EVIDENCE,
    ModelStatus.MODEL_STATUS_TOO_MANY_CHANNELS: NoModelReason.NO_MODEL_REASON_TOO_MANY_CHANNELS,
}
"""Why there is none, by what the newest evaluation said."""
_CREDIT_KEPT: Final[_Outcome] = (TouchpointExclusion.TOUCHPOINT_EXCLUSION_CREDIT_KEPT, None)
_NOT_KNOWN_YET: Final[_Outcome] = (TouchpointExclusion.TOUCHPOINT_EXCLUSION_NOT_KNOWN_YET, None)


@dataclass(frozen=True, slots=True)
class Around:
    """What is around what the core was given to explain."""

    entries: Sequence[JourneyTouch]
    """The whole journey, as it is known now."""
    internal: Collection[int]
    """Event hashes of internal and test traffic."""
    unknown: Collection[int]
    """Event hashes of what was not known at the moment that was asked for."""
    source_of: Callable[[int], TouchSource | None]
    """Descriptor -> source."""
    passed_over: Mapping[OrderKey, Exclusion | None] = field(default_factory=dict)
    """What is left of a journey that has lost too much: why it would earn nothing; None: it would."""


def fill(message: Explanation, explained: domain.Explanation, settings: AttributionSettings, around: Around) -> None:
    """Writes down what became of every touchpoint, and each model's division.

    Args:
        message: Receives it.
        explained: By the core.
        settings: That it was computed under.
        around: What the core did not look at.
    """
    message.settings.CopyFrom(settings_message(settings))
    _add_touchpoints(message, explained, settings, around)
    lookbacks = {model.model: model.lookback_micros for model in explained.models}
    for index, model in enumerate(explained.models):
        shown = message.models.add(name=model.model.value, lookback_days=lookbacks[model.model] // DAY)
        reason = explained.attribution.unattributed[index]
        if reason is not None:
            shown.unattributed_reason = UnattributedReason.Value(f"UNATTRIBUTED_REASON_{reason.name}")
        _add_shares(shown, model, explained, around.source_of)


def settings_message(settings: AttributionSettings) -> CreditSettings:
    """Returns settings as they are shown."""
    return CreditSettings(
        version=settings.version,
        lookback_days=settings.lookback_days,
        model_lookback_days={model.value: days for model, days in settings.model_lookback_days},
        half_life_hours=settings.half_life_hours,
        position_weights=settings.position_weights,
        touch_grain=settings.touch_grain.value,
        session_timeout_minutes=settings.session_timeout_seconds // 60,
        impression_policy=settings.impression_policy.value,
        impression_window_days=settings.view_window_seconds // _DAY_SECONDS,
        impression_cap=settings.impression_cap,
        touch_cap=settings.touch_cap,
        touch_cap_first=settings.touch_cap_first,
        late_touch_seconds=settings.late_touch_seconds,
        direct_channels=sorted(settings.direct_channels),
        collapse_repeats=settings.collapse_repeats,
        path_reset_names=sorted(settings.path_reset_names),
        path_continues=not settings.path_reset_names,
        no_direct_channels=not settings.direct_channels,
    )


def is_same_credit(one: Attribution, other: Attribution) -> bool:
    """Tells whether two ways of computing it gave a conversion the same credit; its pinned model is not compared."""
    one, other = without_data_driven(one), without_data_driven(other)
    touches = [touch[:2] for touch in one.touches] == [touch[:2] for touch in other.touches]
    return touches and (one.credits, one.amounts, one.unattributed) == (
        other.credits,
        other.amounts,
        other.unattributed,
    )


def is_same_data_driven(one: Attribution, other: Attribution) -> bool:
    """Tells whether two ways of computing it gave a conversion the same credit under data_driven, by the same model."""
    return _data_driven(one) == _data_driven(other)


def _data_driven(attribution: Attribution) -> tuple[object, ...]:
    if not attribution.model_version:
        return ()
    shares = zip(attribution.touches, attribution.credits[-1], attribution.amounts[-1], strict=True)
    given = [(touch[:2], credit, amount) for touch, credit, amount in shares if credit or amount]
    return attribution.model_version, given, attribution.unattributed[-1]


def data_driven_message(
    message: Model | None, model: DataDrivenModel | None, channels: Sequence[str]
) -> DataDrivenExplanation:
    """Says what data_driven is credited by, or why it is not.

    Args:
        message: The model, or the newest evaluation where there is none.
        model: The model; None: there is none.
        channels: Of the touches of its window.
    """
    shown = DataDrivenExplanation()
    if message is not None:
        shown.model.CopyFrom(message)
        shown.model.ClearField("channels")
    if model is None:
        shown.no_model_reason = _NO_MODEL[ModelStatus.MODEL_STATUS_UNSPECIFIED if message is None else message.status]
        return shown
    places = {channel: place for place, channel in enumerate(model.channels)}
    effects = {} if message is None else {one.channel: one.removal_effect_picos for one in message.channels}
    for channel in sorted(set(channels)):
        shown.channels.add(
            channel=channel,
            touches=channels.count(channel),
            weight_picos=model.weights[places[channel]] if channel in places else 0,
            removal_effect_picos=effects.get(channel, 0),
            known=channel in places,
        )
    return shown


def _add_touchpoints(
    message: Explanation, explained: domain.Explanation, settings: AttributionSettings, around: Around
) -> None:
    outcomes = _outcomes(explained)
    known = {entry[:2] for entry in around.entries}
    settled = [touch for touch in explained.attribution.touches if touch[:2] not in known]
    ordered = in_event_order([*around.entries, *settled])
    sessions = session_ids(ordered, settings.session_timeout_seconds * SECOND)
    listed = [
        (entry, session) for entry, session in zip(ordered, sessions, strict=True) if entry.kind != TouchKind.CONVERSION
    ]
    time = explained.conversion.event_time_micros
    before = sum(entry.event_time_micros <= time for entry, _ in listed)
    first, last = max(0, before - MAX_BEFORE), before + MAX_AFTER
    message.touchpoints_omitted = first + max(0, len(listed) - last)
    for entry, session in listed[first:last]:
        outcome = outcomes.get(entry[:2])
        if outcome is None:
            outcome = _outcome_beside(entry, around)
        message.touchpoints.append(_touchpoint(entry, session, outcome, around.source_of(entry.descriptor)))


def _outcome_beside(entry: JourneyTouch, around: Around) -> _Outcome:
    """Returns what became of an event that the core did not look at."""
    if entry.event_hash in around.unknown:
        return _NOT_KNOWN_YET
    if entry[:2] not in around.passed_over:
        return _INTERNAL
    reason = around.passed_over[entry[:2]]
    if reason is None or reason is Exclusion.FOLDED:  # into what would have earned something
        return _CREDIT_KEPT
    return TouchpointExclusion.Value(f"TOUCHPOINT_EXCLUSION_{reason.name}"), None


def _outcomes(explained: domain.Explanation) -> Mapping[OrderKey, _Outcome]:
    """Returns what became of each event that the core looked at."""
    outcomes: dict[OrderKey, _Outcome] = {
        one.entry[:2]: _CREDITED
        if one.reason is None
        else (TouchpointExclusion.Value(f"TOUCHPOINT_EXCLUSION_{one.reason.name}"), one.folded_into)
        for one in explained.entries
    }
    for touch in explained.attribution.touches:
        outcomes[touch[:2]] = _CREDITED
    return outcomes


def _touchpoint(
    entry: JourneyTouch, session: int, outcome: _Outcome, source: TouchSource | None
) -> ExplainedTouchpoint:
    exclusion, home = outcome
    return ExplainedTouchpoint(
        event_time=timestamp(entry.event_time_micros),
        event_id=event_reference(entry.event_hash),
        kind=entry.kind,  # type: ignore[arg-type]  # the numbers are the contract's
        source=source,
        session=session,
        credited=not exclusion,
        exclusion=exclusion,
        folded_into_event_id="" if home is None else event_reference(home[1]),
    )


def _add_shares(
    shown: ExplainedModel,
    model: domain.ModelExplanation,
    explained: domain.Explanation,
    source_of: Callable[[int], TouchSource | None],
) -> None:
    time = explained.conversion.event_time_micros
    reasons = {touch[:2]: reason for touch, reason in model.reasons}
    credits, amounts = model.credits, model.amounts
    parts = {}
    if credits is not None and amounts is not None:
        shown.weights_sum = str(credits.weights_sum)
        shown.credit_left_over, shown.value_left_over = credits.left_over, amounts.left_over
        parts = {touch[:2]: both for touch, *both in zip(model.touches, credits.parts, amounts.parts, strict=True)}
    for touch in explained.attribution.touches:
        share = shown.shares.add(
            event_id=event_reference(touch.event_hash),
            touch_time=timestamp(touch.event_time_micros),
            age=_duration(time - touch.event_time_micros),
            source=source_of(touch.descriptor),
        )
        reason = reasons.get(touch[:2])
        if reason is not None:
            share.no_share_reason = NoShareReason.Value(f"NO_SHARE_REASON_{reason.name}")
        if touch[:2] in parts:
            credit, value = parts[touch[:2]]
            share.weight, share.credit_micros, share.value_micros = credit.weight, credit.part, value.part
            share.credit_remainder, share.credit_extra = str(credit.remainder), bool(credit.extra)
            share.value_remainder, share.value_extra = str(value.remainder), bool(value.extra)


def _duration(micros: int) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(micros)
    return duration
