"""Attempts to deliver as rows of `deliveries`, and back."""

from __future__ import annotations

from typing import Any, Final

from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1.delivery_pb2 import (
    Delivery,
    DeliveryOperation,
    DeliveryReport,
    DeliveryState,
    IneligibleReason,
    OutcomeClass,
)
from tributary_storage.clickhouse.names import micros, names_of, numbers_of, timestamp

Row = tuple[Any, ...]

DELIVERY_COLUMNS: Final = (
    *("workspace", "destination_id", "conversion_id", "revision", "attempt", "unsent"),
    *("operation", "state", "outcome", "status_code", "ineligible_reason", "message"),
    *(
        "visible_id",
        "sent_name",
        "sent_account",
        "sent_value",
        "destination_request_id",
        "click_id_family",
        "click_id",
        "identifier_digests",
    ),
    *("sent_conversion_time", "consent_basis", "currency", "value_micros"),
    *("residual_micros", "residual_currency", "residual_conversions"),
    *("plan_time", "attempt_time", "due_time", "report", "report_reason", "report_time"),
)

_OPERATIONS: Final = names_of(DeliveryOperation.DESCRIPTOR)
_STATES: Final = names_of(DeliveryState.DESCRIPTOR)
_OUTCOMES: Final = names_of(OutcomeClass.DESCRIPTOR)
_REASONS: Final = names_of(IneligibleReason.DESCRIPTOR)
_REPORTS: Final = names_of(DeliveryReport.DESCRIPTOR)

_OPERATION: Final = numbers_of(DeliveryOperation.DESCRIPTOR)
_STATE: Final = numbers_of(DeliveryState.DESCRIPTOR)
_OUTCOME: Final = numbers_of(OutcomeClass.DESCRIPTOR)
_REASON: Final = numbers_of(IneligibleReason.DESCRIPTOR)
_REPORT: Final = numbers_of(DeliveryReport.DESCRIPTOR)


def delivery_row(workspace: str, delivery: Delivery) -> Row:
    """Returns the row of the newest attempt of a delivery, in the order of `DELIVERY_COLUMNS`."""
    plan = micros(delivery.plan_time)
    return (
        *(workspace, delivery.destination_id, delivery.conversion_id, delivery.revision),
        *(delivery.attempts, int(delivery.unsent)),
        *(_OPERATIONS[delivery.operation], _STATES[delivery.state], _OUTCOMES[delivery.outcome]),
        *(delivery.status_code, _REASONS[delivery.ineligible_reason], delivery.message),
        *(delivery.visible_id, delivery.sent_name, delivery.sent_account, delivery.sent_value),
        *(delivery.destination_request_id, delivery.click_id_family, delivery.click_id),
        dict(delivery.identifier_digests),
        micros(delivery.sent_conversion_time) if delivery.HasField("sent_conversion_time") else None,
        delivery.consent_basis,
        *(delivery.value.currency_code, delivery.value.amount_micros),
        delivery.residual.amount_micros if delivery.HasField("residual") else None,
        *(delivery.residual.currency_code, delivery.residual_conversions),
        plan,
        micros(delivery.attempt_time) if delivery.HasField("attempt_time") else plan,
        micros(delivery.due_time) if delivery.HasField("due_time") else None,
        *(_REPORTS[delivery.report], delivery.report_reason),
        micros(delivery.report_time) if delivery.HasField("report_time") else None,
    )


def delivery_of(row: Row) -> Delivery:
    """Returns the message of a row.

    Args:
        row: The columns of `DELIVERY_COLUMNS` without the workspace, as in the view `delivery_lines`; times in
            microseconds.
    """
    destination_id, conversion_id, revision, attempt, unsent, operation, state, outcome, status_code, *rest = row
    reason, message, visible_id, sent_name, sent_account, sent_value, request_id, *rest = rest
    click_id_family, click_id, digests, *rest = rest
    sent_time, consent_basis, currency, value_micros, residual_micros, residual_currency, *rest = rest
    residual_conversions, plan, attempted, due, report, report_reason, reported = rest
    left_in = residual_currency or currency  # rows from before name the value's alone
    return Delivery(
        destination_id=destination_id,
        conversion_id=conversion_id,
        revision=revision,
        operation=_OPERATION(operation),
        state=_STATE(state),
        visible_id=visible_id,
        sent_name=sent_name,
        sent_account=sent_account,
        sent_value=sent_value,
        outcome=_OUTCOME(outcome),
        attempts=attempt,
        unsent=bool(unsent),
        plan_time=timestamp(plan),
        attempt_time=timestamp(attempted) if attempt or unsent else None,
        due_time=None if due is None else timestamp(due),
        value=Money(currency_code=currency, amount_micros=value_micros) if currency else None,
        residual=None if residual_micros is None else Money(currency_code=left_in, amount_micros=residual_micros),
        residual_conversions=residual_conversions,
        ineligible_reason=_REASON(reason),
        message=message,
        destination_request_id=request_id,
        click_id_family=click_id_family,
        click_id=click_id,
        identifier_digests=digests,
        sent_conversion_time=None if sent_time is None else timestamp(sent_time),
        consent_basis=consent_basis,
        status_code=status_code,
        report=_REPORT(report),
        report_reason=report_reason,
        report_time=None if reported is None else timestamp(reported),
    )
