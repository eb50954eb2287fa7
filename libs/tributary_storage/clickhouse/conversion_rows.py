"""Revisions of conversions as rows of `conversion_revisions`, which feeds `conversions`.

What of a row is credit: `credit_columns`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from google.protobuf.message import DecodeError

from tributary.attribution.v1.conversion_pb2 import (
    ConversionRole,
    ConversionState,
    NotCountedReason,
    RevisionCause,
    ValueBasis,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.finding_pb2 import FindingKind
from tributary.event.v1.conversion_pb2 import CustomerType, RecurrenceKind, ValueSource
from tributary.event.v1.event_pb2 import Origin, Traffic
from tributary_storage.clickhouse.credit_columns import MODELS, Details, Row, computed_credit, read_credit
from tributary_storage.clickhouse.event_details import amounts_map
from tributary_storage.clickhouse.names import micros, names_of
from tributary_storage.codec.credit_bytes import Credited

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

_OF_REVISIONS_ONLY: Final = frozenset(
    {
        *("previous_revision", "replaced_conversion_time", "value_delta_micros", "counted_delta"),
        *("causing_event_ids", "cause_accept_time", "traceparent", "revised"),
    }
)
NEWEST_COLUMNS: Final = tuple(name for name in REVISION_COLUMNS if name not in _OF_REVISIONS_ONLY)
"""The columns that `conversions` has too."""

CAUSES: Final = names_of(RevisionCause.DESCRIPTOR, lower=True)
VALUE_BASES: Final = names_of(ValueBasis.DESCRIPTOR)
_VALUE_SOURCES: Final = names_of(ValueSource.DESCRIPTOR)
_NOT_COUNTED: Final = names_of(NotCountedReason.DESCRIPTOR)
_ORIGINS: Final = names_of(Origin.DESCRIPTOR)
_CUSTOMERS: Final = names_of(CustomerType.DESCRIPTOR)
_RECURRENCES: Final = names_of(RecurrenceKind.DESCRIPTOR)
_ROLES: Final = names_of(ConversionRole.DESCRIPTOR)
_TRAFFIC: Final = names_of(Traffic.DESCRIPTOR)

_EPOCH: Final = date(1970, 1, 1)


def revision_row(revised: ConversionRevised, content: bytes, credit: Credited | None = None) -> Row:
    """Returns the row of one revision, in the order of `REVISION_COLUMNS`.

    Args:
        revised: The message; with `credit` it may lack what that says: models and touches.
        content: All of it, serialised.
        credit: Its credit as it was computed, without a reporting currency; None: the message has it.

    Raises:
        ValueError: A touch has more or fewer credits than the state has models, or a model has no columns.
    """
    state = revised.state
    time = micros(state.conversion_time)
    credits, details = read_credit(state, time) if credit is None else computed_credit(credit, time)
    return (
        *(revised.workspace, state.conversion_id, revised.revision, revised.previous_revision, time),
        micros(revised.replaced_conversion_time) if revised.HasField("replaced_conversion_time") else None,
        *_facts(state),
        [CAUSES[cause] for cause in revised.causes],
        micros(revised.publish_time),
        _posting_date(revised),
        *(revised.value_delta_micros, revised.counted_delta, list(revised.causing_event_ids)),
        *(micros(revised.cause_accept_time), revised.traceparent, content),
        *credits,
        *_rest(state, details),
    )


def read_message(
    content: bytes, workspace: str, conversion_id: str, revision: int
) -> tuple[ConversionRevised, Row] | None:
    """Returns the message that the row of a revision carries, with the row that it makes, without its bytes.

    None, where it cannot be read as a row, or says that it is of another one.
    """
    try:
        said = ConversionRevised.FromString(content)
        row = revision_row(said, b"")
    except (DecodeError, ValueError, OverflowError):  # the last: a number that no day has
        return None
    if (said.workspace, said.state.conversion_id, said.revision) != (workspace, conversion_id, revision):
        return None
    return said, row


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


def _rest(state: ConversionState, details: list[Details]) -> Row:
    """Returns the columns that were added later."""
    day = state.rate_date
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


def _posting_date(revised: ConversionRevised) -> date:
    if revised.HasField("posting_date"):
        day = revised.posting_date
        return date(day.year, day.month, day.day)
    return _EPOCH + timedelta(seconds=revised.publish_time.seconds)


def _finding(kind: FindingKind.ValueType) -> str:
    return FindingKind.Name(kind).removeprefix("FINDING_KIND_").lower()
