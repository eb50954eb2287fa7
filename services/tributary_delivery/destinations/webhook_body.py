"""The body of a webhook: a conversion with its credit under every model, as JSON below 20 kB.

Grows by fields, never changes the meaning of one. Money and credit are integers in millionths; revisions grow.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from tributary.attribution.v1.conversion_pb2 import ConversionState, NotCountedReason, RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_CREDIT,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_OPERATION_TEST,
    DeliveryOperation,
)
from tributary_delivery.sent_values import sent_value

MOST_BYTES: Final = 20_000
"""What Standard Webhooks recommends at most."""

TEST_TYPE: Final = "destination.test"
"""Of a message that tries a receiver out."""

UNATTRIBUTED: Final = "unattributed"

_SUMMARIES: Final = ("", "channel", "none")
"""How coarse credit may become, finest first."""

_TYPES: Final = {
    DELIVERY_OPERATION_CREATE: "conversion.created",
    DELIVERY_OPERATION_RESTATE: "conversion.updated",
    DELIVERY_OPERATION_RETRACT: "conversion.reversed",
    DELIVERY_OPERATION_CREDIT: "attribution.updated",
}


def webhook_body(revised: ConversionRevised, operation: DeliveryOperation.ValueType, name: str) -> bytes:
    """Returns the bytes to be signed and sent.

    Credit is summed per model and source; where that is too long, per model and channel, and `summary` says so; where
    even that is, it is left out.

    Args:
        revised: The revision to tell.
        operation: Chooses the type: conversion.created, .updated, .reversed, or attribution.updated; a test is
            created, then updated, and marked.
        name: What the destination calls the conversion.
    """
    for summary in _SUMMARIES:
        body = _body(revised, operation, name, summary)
        if len(body) < MOST_BYTES:
            break
    return body


def test_body(destination_id: str, now_micros: int) -> bytes:
    """Returns the bytes of a message that is about no conversion: whether it arrives is all that it tells."""
    now = Timestamp()
    now.FromMicroseconds(now_micros)
    message = {"type": TEST_TYPE, "timestamp": _iso(now), "data": {"destination_id": destination_id}}
    return json.dumps(message, separators=(",", ":")).encode()


def _body(revised: ConversionRevised, operation: DeliveryOperation.ValueType, name: str, summary: str) -> bytes:
    state = revised.state
    data: dict[str, Any] = {
        "conversion_id": state.conversion_id,
        "revision": revised.revision,
        "name": name,
        "conversion_time": _iso(state.conversion_time),
        "value": _value(state),
        "counted": state.counted,
        "causes": [RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_").lower() for cause in revised.causes],
        "settings_version": state.settings_version,
        "attribution": {} if summary == "none" else _credit(state, by_source=not summary),
    }
    if state.order_key.order_id:
        data["order"] = {"order_id": state.order_key.order_id, "store": state.order_key.store}
        if state.order_key.cycle:
            data["order"]["cycle"] = state.order_key.cycle
    if state.HasField("full_value"):  # of another basis: what the credit of each model adds up to
        data["credited_value"] = _money(state.value)
    if not state.counted:
        data["not_counted_reason"] = NotCountedReason.Name(state.not_counted_reason).removeprefix("NOT_COUNTED_REASON_")
    if summary:
        data["summary"] = summary
    if operation == DELIVERY_OPERATION_TEST:
        data["test"] = True
        operation = DELIVERY_OPERATION_RESTATE if revised.previous_revision else DELIVERY_OPERATION_CREATE
    message = {"type": _TYPES[operation], "timestamp": _iso(revised.publish_time), "data": data}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def _value(state: ConversionState) -> dict[str, Any] | None:
    """Returns the value now; None where none is known, which is not 0."""
    value = sent_value(state)
    return None if value is None else _money(value)


def _money(money: Money) -> dict[str, Any]:
    return {"currency_code": money.currency_code, "amount_micros": money.amount_micros}


def _credit(state: ConversionState, *, by_source: bool) -> dict[str, list[dict[str, Any]]]:
    """Returns model -> credit per source, in order of the first touch; what nobody earned last."""
    models: dict[str, list[dict[str, Any]]] = {}
    for place, model in enumerate(state.models):
        sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
        for touch in state.touches:
            credit = touch.credits[place]
            if credit.credit_micros or credit.value_micros:
                source = touch.source
                key = (source.channel, source.source, source.medium, source.campaign)[: 4 if by_source else 1]
                sums[key][0] += credit.credit_micros
                sums[key][1] += credit.value_micros
        names = ("channel", "source", "medium", "campaign")
        rows: list[dict[str, Any]] = [
            {**dict(zip(names, key, strict=False)), "credit_micros": credit, "value_micros": value}
            for key, (credit, value) in sums.items()
        ]
        rest = model.unattributed
        if rest.credit_micros:
            rows.append(
                {
                    "channel": UNATTRIBUTED,
                    "reason": UnattributedReason.Name(rest.reason).removeprefix("UNATTRIBUTED_REASON_"),
                    "credit_micros": rest.credit_micros,
                    "value_micros": rest.value_micros,
                }
            )
        models[model.name] = rows
    return models


def _iso(time: Timestamp) -> str:
    return time.ToJsonString()
