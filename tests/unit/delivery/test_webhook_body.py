"""The text of a webhook: below 20 kB whatever the conversion, integers throughout."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.support.revisions import Revision, Touch
from tributary.attribution.v1.conversion_pb2 import NOT_COUNTED_REASON_TRAFFIC, REVISION_CAUSE_REFUND
from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1 import delivery_pb2 as pb
from tributary_delivery.destinations.webhook_body import MOST_BYTES, webhook_body


def told(revision: Revision, operation: int = pb.DELIVERY_OPERATION_CREATE) -> dict[str, Any]:
    body = webhook_body(revision.message(), operation, "order")  # type: ignore[arg-type]
    assert len(body) < MOST_BYTES
    message: dict[str, Any] = json.loads(body)
    return message


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (pb.DELIVERY_OPERATION_CREATE, "conversion.created"),
        (pb.DELIVERY_OPERATION_RESTATE, "conversion.updated"),
        (pb.DELIVERY_OPERATION_RETRACT, "conversion.reversed"),
        (pb.DELIVERY_OPERATION_CREDIT, "attribution.updated"),
    ],
)
def test_each_operation_has_its_type(operation: int, kind: str) -> None:
    assert told(Revision(workspace="shop"), operation)["type"] == kind


def test_a_test_is_created_and_updated_as_any_other_and_says_that_it_is_one() -> None:
    first = Revision(workspace="shop", counted=False)
    for revision, kind in ((first, "conversion.created"), (first.then(value_micros=1), "conversion.updated")):
        message = told(revision, pb.DELIVERY_OPERATION_TEST)
        assert (message["type"], message["data"]["test"]) == (kind, True)
    assert "test" not in told(first)["data"]


def test_it_is_the_conversion_as_the_destination_calls_it() -> None:
    revision = Revision(workspace="shop", order_id="o-1", value_micros=12_340_000, cause=REVISION_CAUSE_REFUND)
    data = told(revision)["data"]
    assert (data["conversion_id"], data["name"], data["revision"]) == ("c1:one", "order", revision.number)
    assert data["value"] == {"currency_code": "EUR", "amount_micros": 12_340_000}
    assert (data["order"]["order_id"], data["counted"], data["causes"]) == ("o-1", True, ["refund"])
    assert "summary" not in data


def test_the_value_is_told_as_sent_and_what_of_it_is_credited_beside_it() -> None:
    message = Revision(workspace="shop", value_micros=100_000_000).message()
    message.state.full_value.CopyFrom(Money(currency_code="EUR", amount_micros=119_000_000))
    data = json.loads(webhook_body(message, pb.DELIVERY_OPERATION_CREATE, "order"))["data"]
    assert (data["value"]["amount_micros"], data["credited_value"]["amount_micros"]) == (119_000_000, 100_000_000)
    assert "credited_value" not in told(Revision(workspace="shop"))["data"]


def test_a_value_that_nobody_knows_is_not_zero() -> None:
    assert told(Revision(workspace="shop", value_micros=None))["data"]["value"] is None
    assert told(Revision(workspace="shop", value_micros=0))["data"]["value"]["amount_micros"] == 0


def test_equal_sources_are_one_line_and_every_model_adds_up() -> None:
    touches = (
        Touch("Paid Search", source="google"),
        Touch("Email", source="news"),
        Touch("Paid Search", source="google"),
    )
    data = told(Revision(workspace="shop", touches=touches))["data"]
    assert len(data["attribution"]) >= 6
    for rows in data["attribution"].values():
        assert [row["channel"] for row in rows] == ["Paid Search", "Email"]
        assert sum(row["credit_micros"] for row in rows) == 1_000_000
        assert sum(row["value_micros"] for row in rows) == data["value"]["amount_micros"]


def test_what_nobody_earned_is_said_with_its_reason() -> None:
    for rows in told(Revision(workspace="shop", touches=()))["data"]["attribution"].values():
        [row] = rows
        assert (row["channel"], row["credit_micros"]) == ("unattributed", 1_000_000)
        assert row["reason"].upper() == "NO_TOUCHPOINT"


def test_many_sources_are_summed_by_channel() -> None:
    touches = [Touch("Paid Search", source=f"source-{number}", before=timedelta(hours=number)) for number in range(300)]
    data = told(Revision(workspace="shop", touches=touches))["data"]
    assert data["summary"] == "channel"
    for rows in data["attribution"].values():
        assert rows == [{"channel": "Paid Search", "credit_micros": 1_000_000, "value_micros": 90_000_000}]


def test_many_channels_are_left_out() -> None:
    touches = [Touch(f"Channel {number} " + "x" * 80, before=timedelta(hours=number)) for number in range(100)]
    data = told(Revision(workspace="shop", touches=touches))["data"]
    assert (data["summary"], data["attribution"]) == ("none", {})
    assert data["value"]["amount_micros"] == 90_000_000


def test_what_is_not_counted_says_why() -> None:
    message = Revision(workspace="shop", counted=False).message()
    message.state.not_counted_reason = NOT_COUNTED_REASON_TRAFFIC
    data = json.loads(webhook_body(message, pb.DELIVERY_OPERATION_CREATE, "order"))["data"]
    assert (data["counted"], data["not_counted_reason"].upper()) == (False, "TRAFFIC")
