"""Revisions of conversions as rows of `conversion_revisions`, which feeds `conversions`.

The one rule: every model's arrays add up by themselves. Where a model leaves something to nobody, the touches get one
more element, `unattributed`, so that a report is one ARRAY JOIN and its rows sum to the conversions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from tributary.attribution.v1.conversion_pb2 import (
    ConversionRole,
    ConversionState,
    NotCountedReason,
    RevisionCause,
    ValueBasis,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import CreditedTouch, TouchSource, UnattributedReason
from tributary.attribution.v1.finding_pb2 import FindingKind
from tributary.event.v1.conversion_pb2 import CustomerType, RecurrenceKind, ValueSource
from tributary.event.v1.event_pb2 import Origin, Traffic
from tributary.event.v1.touchpoint_pb2 import TouchpointKind
from tributary_storage.clickhouse.event_details import AD_DETAILS, SOURCE_DETAILS, ad_details, amounts_map
from tributary_storage.clickhouse.names import micros, names_of

Row = tuple[Any, ...]

MODELS: Final = (
    "first_touch",
    "last_touch",
    "last_non_direct",
    "linear",
    "position_based",
    "time_decay",
    "data_driven",
)
"""The models that have columns. Closed: a new one is a migration."""

UNATTRIBUTED: Final = "unattributed"
"""The channel of what nobody earned; its element has no event id."""

REVISION_COLUMNS: Final = (
    *("workspace", "conversion_id", "revision", "previous_revision", "conversion_time", "replaced_conversion_time"),
    *("name", "store", "order_id", "cycle", "person_id", "first_accept_time"),
    *("currency", "value_micros", "original_value_micros", "value_source"),
    *("reporting_currency", "reporting_value_micros"),
    *("counted", "not_counted_reason", "retracted", "value_pending"),
    *("observation_event_ids", "origin", "customer_type", "subscription_id", "recurrence_kind"),
    *("lead_id", "lead_stage", "coupon_codes", "experiment_id", "experiment_arm", "findings", "settings_version"),
    *("causes", "publish_time", "posting_date"),
    *("value_delta_micros", "counted_delta", "causing_event_ids", "cause_accept_time", "traceparent", "revised"),
    *("touch_event_ids", "touch_times", "touch_kinds", "touch_channels", "touch_sub_channels", "touch_sources"),
    *("touch_mediums", "touch_campaigns", "touch_campaign_ids"),
    *("touch_ad_destinations", "touch_ad_account_ids", "touch_ad_campaign_ids"),
    *(f"{model}_{part}" for model in MODELS for part in ("credit_micros", "value_micros", "unattributed_reason")),
    "data_driven_model_version",
    *("role", "is_primary", "traffic", "amounts_micros", "rate_picos", "rate_date"),
    *("reporting_credit_micros", "touch_details", "value_basis", "root_order_id", "merged_into"),
)

TOUCH_DETAILS: Final = (*AD_DETAILS, *SOURCE_DETAILS, "spend_join_step", "just_after_conversion")
"""Every key of `touch_details`; what is not known of a touch has none."""

CAUSES: Final = names_of(RevisionCause.DESCRIPTOR, lower=True)
VALUE_BASES: Final = names_of(ValueBasis.DESCRIPTOR)
_VALUE_SOURCES: Final = names_of(ValueSource.DESCRIPTOR)
_NOT_COUNTED: Final = names_of(NotCountedReason.DESCRIPTOR)
_ORIGINS: Final = names_of(Origin.DESCRIPTOR)
_CUSTOMERS: Final = names_of(CustomerType.DESCRIPTOR)
_RECURRENCES: Final = names_of(RecurrenceKind.DESCRIPTOR)
_ROLES: Final = names_of(ConversionRole.DESCRIPTOR)
_TRAFFIC: Final = names_of(Traffic.DESCRIPTOR)
_KINDS: Final = names_of(TouchpointKind.DESCRIPTOR)
_UNATTRIBUTED_REASONS: Final = names_of(UnattributedReason.DESCRIPTOR)

_NO_MODEL: Final[Row] = ((), (), "")
_NO_AD: Final[Row] = ("", "", "")
_NO_DETAILS: Final[dict[str, str]] = {}
_EPOCH: Final = date(1970, 1, 1)
_SOURCES: Final = 1 << 12
"""Sources that are remembered as columns."""


def revision_row(revised: ConversionRevised, content: bytes) -> Row:
    """Returns the row of one revision, in the order of `REVISION_COLUMNS`.

    Args:
        revised: The message.
        content: The same, serialised.

    Raises:
        ValueError: A touch has more or fewer credits than the state has models, or a model has no columns.
    """
    state = revised.state
    time = micros(state.conversion_time)
    sources = [_source_columns(touch.source.SerializeToString()) for touch in state.touches]
    return (
        *(revised.workspace, state.conversion_id, revised.revision, revised.previous_revision, time),
        micros(revised.replaced_conversion_time) if revised.HasField("replaced_conversion_time") else None,
        *_facts(state),
        [CAUSES[cause] for cause in revised.causes],
        micros(revised.publish_time),
        _posting_date(revised),
        *(revised.value_delta_micros, revised.counted_delta, list(revised.causing_event_ids)),
        *(micros(revised.cause_accept_time), revised.traceparent, content),
        *_credits(state, time, [columns for columns, _ in sources]),
        *_rest(state, [details for _, details in sources]),
    )


def _facts(state: ConversionState) -> Row:
    order, recurrence, lead = state.order_key, state.recurrence, state.lead
    return (
        *(state.name, order.store, order.order_id, order.cycle, state.person_id, micros(state.first_accept_time)),
        *(state.value.currency_code or state.original_value.currency_code, state.value.amount_micros),
        *(state.original_value.amount_micros, _VALUE_SOURCES[state.value_source]),
        *(state.reporting_value.currency_code, state.reporting_value.amount_micros),
        *(state.counted, _NOT_COUNTED[state.not_counted_reason], state.retracted, state.value_pending),
        *(list(state.observation_event_ids), _ORIGINS[state.origin], _CUSTOMERS[state.customer_type]),
        *(recurrence.subscription_id, _RECURRENCES[recurrence.kind], lead.lead_id, lead.stage),
        *(list(state.coupon_codes), state.experiment.id, state.experiment.arm),
        *([_finding(kind) for kind in state.findings], state.settings_version),
    )


def _rest(state: ConversionState, sources: Iterable[dict[str, str]]) -> Row:
    """Returns the columns that were added later."""
    day = state.rate_date
    details = list(map(_details, state.touches, sources))
    if any(model.unattributed.credit_micros or model.unattributed.value_micros for model in state.models):
        details.append(_NO_DETAILS)
    return (
        *(_ROLES[state.role], not state.secondary, _TRAFFIC[state.traffic]),
        amounts_map(state.amounts) if state.HasField("amounts") else {},
        *(state.rate_picos, date(day.year, day.month, day.day) if state.HasField("rate_date") else _EPOCH),
        _reporting_credits(state) if state.HasField("reporting_value") else {},
        details,
        VALUE_BASES[state.value_basis],
        state.lead.root_order_id,
        state.merged_into.conversion_id,
    )


def _details(touch: CreditedTouch, source: dict[str, str]) -> dict[str, str]:
    if not touch.spend_join_step and not touch.just_after_conversion:
        return source
    found = dict(source)
    if touch.spend_join_step:
        found["spend_join_step"] = touch.spend_join_step
    if touch.just_after_conversion:
        found["just_after_conversion"] = "1"
    return found


def _reporting_credits(state: ConversionState) -> dict[str, list[int]]:
    """Returns each model's shares in the reporting currency, as long as its others."""
    has_rest = any(model.unattributed.credit_micros or model.unattributed.value_micros for model in state.models)
    return {
        model.name: [
            *(touch.credits[index].reporting_value_micros for touch in state.touches),
            *([model.unattributed.reporting_value_micros] if has_rest else []),
        ]
        for index, model in enumerate(state.models)
    }


def _credits(state: ConversionState, conversion_micros: int, sources: Iterable[Row]) -> Row:
    """Returns the columns of the touches, then those of each model."""
    touches, models = list(state.touches), list(state.models)
    rows = list(map(_touch, touches, sources))
    shares = [[(share.credit_micros, share.value_micros) for share in touch.credits] for touch in touches]
    for own in shares:
        if len(own) != len(models):
            raise ValueError(f"a touch has {len(own)} credits for {len(models)} models")
    nobody = [(model.unattributed.credit_micros, model.unattributed.value_micros) for model in models]
    if any(map(any, nobody)):
        rows.append(("", conversion_micros, "", UNATTRIBUTED, *[""] * 8))
        shares.append(nobody)
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * 12
    parts = dict.fromkeys(MODELS, _NO_MODEL)
    version = ""
    of_models = zip(*shares, strict=True) if shares else [()] * len(models)
    for model, theirs in zip(models, of_models, strict=True):
        if model.name not in parts:
            raise ValueError(f"the model {model.name!r} has no columns in conversion_revisions")
        credit, value = [one for one, _ in theirs], [one for _, one in theirs]
        parts[model.name] = (credit, value, _UNATTRIBUTED_REASONS[model.unattributed.reason])
        version = model.model_version or version
    return (*columns, *(column for model in MODELS for column in parts[model]), version)


def _touch(touch: CreditedTouch, source: Row) -> Row:
    return (touch.event_id, micros(touch.touch_time), _KINDS[touch.kind], *source)


@lru_cache(maxsize=_SOURCES)
def _source_columns(written: bytes) -> tuple[Row, dict[str, str]]:
    """Returns what columns say of a source, and its details, which nobody changes: sources repeat.

    Args:
        written: The source, serialised.
    """
    source = TouchSource.FromString(written)
    ad = source.ad
    found = ad_details(ad) if source.HasField("ad") else {}
    if source.term:
        found["term"] = source.term
    if source.content:
        found["content"] = source.content
    columns = (
        *(source.channel, source.sub_channel, source.source, source.medium, source.campaign, source.campaign_id),
        *((ad.destination, ad.account_id, ad.campaign_id) if source.HasField("ad") else _NO_AD),
    )
    return columns, found


def _posting_date(revised: ConversionRevised) -> date:
    if revised.HasField("posting_date"):
        day = revised.posting_date
        return date(day.year, day.month, day.day)
    return _EPOCH + timedelta(seconds=revised.publish_time.seconds)


def _finding(kind: FindingKind.ValueType) -> str:
    return FindingKind.Name(kind).removeprefix("FINDING_KIND_").lower()
