"""What the ledger remembers of a conversion at one destination."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.revisions import Revision
from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1 import delivery_pb2 as pb
from tributary_delivery.ledger import remembered
from tributary_delivery.residuals import put_residual, residual
from tributary_delivery.sent_values import FULL
from tributary_storage.redis.delivery_job import UNKNOWN_VALUE, Residual, Taken


def a_line(revision: int, state: int, operation: int = pb.DELIVERY_OPERATION_CREATE, attempts: int = 1) -> pb.Delivery:
    return pb.Delivery(
        destination_id="crm",
        revision=revision,
        state=state,  # type: ignore[arg-type]
        operation=operation,  # type: ignore[arg-type]
        attempts=attempts,
        value=Money(currency_code="EUR", amount_micros=revision * 10),
    )


def test_the_newest_revision_taken_counts() -> None:
    lines = [
        a_line(7, pb.DELIVERY_STATE_ACCEPTED),
        a_line(9, pb.DELIVERY_STATE_ACCEPTED, pb.DELIVERY_OPERATION_RETRACT),
        a_line(11, pb.DELIVERY_STATE_REJECTED, pb.DELIVERY_OPERATION_RESTATE),
    ]
    assert remembered(lines, "crm") == (Taken(9, 90, counted=False, currency="EUR"), 0)


@pytest.mark.parametrize("state", [pb.DELIVERY_STATE_DEAD, pb.DELIVERY_STATE_PENDING, pb.DELIVERY_STATE_SUPERSEDED])
def test_a_correction_that_was_not_confirmed_counts_by_what_it_left(state: int) -> None:
    lines = [a_line(7, pb.DELIVERY_STATE_ACCEPTED), a_line(9, state, pb.DELIVERY_OPERATION_RESTATE)]
    taken = Taken(7, 70, counted=True, currency="EUR")
    assert remembered(lines, "crm") == (replace(taken, value_micros=UNKNOWN_VALUE), 0), "it may have been taken"
    put_residual(lines[1], Residual(-20, "EUR"))
    assert remembered(lines, "crm") == (replace(taken, residual=Residual(-20, "EUR")), 0)


def test_what_was_taken_back_stays_so_whatever_credit_is_told_since() -> None:
    lines = [
        a_line(7, pb.DELIVERY_STATE_ACCEPTED),
        a_line(9, pb.DELIVERY_STATE_ACCEPTED, pb.DELIVERY_OPERATION_RETRACT),
        a_line(11, pb.DELIVERY_STATE_ACCEPTED, pb.DELIVERY_OPERATION_CREDIT),
    ]
    assert remembered(lines, "crm") == (Taken(11, 110, counted=False, currency="EUR"), 0)
    assert remembered(lines[::2], "crm") == (Taken(11, 110, counted=True, currency="EUR"), 0)


RESTATE, RETRACT, CREDIT = pb.DELIVERY_OPERATION_RESTATE, pb.DELIVERY_OPERATION_RETRACT, pb.DELIVERY_OPERATION_CREDIT


@pytest.mark.parametrize(
    ("has", "is_counted", "currency", "is_true", "operation", "left"),
    [
        pytest.param(90, True, "EUR", 70, RESTATE, Residual(20, "EUR"), id="too much"),
        pytest.param(90, True, "EUR", 95, RESTATE, Residual(-5, "EUR"), id="too little"),
        pytest.param(90, True, "EUR", 70, RETRACT, Residual(90, "EUR", 1), id="what never was"),
        pytest.param(90, False, "EUR", 70, RESTATE, Residual(-70, "EUR", -1), id="lacking"),
        pytest.param(90, False, "EUR", 70, CREDIT, Residual(0, "EUR"), id="taken back, and rightly"),
        pytest.param(90, True, "EUR", 70, CREDIT, Residual(20, "EUR"), id="of other credit too"),
        pytest.param(90, True, "USD", 90, RESTATE, Residual(90, "USD"), id="in another currency: all that it has"),
        pytest.param(90, True, "USD", 0, RESTATE, Residual(90, "USD"), id="of nothing that is true"),
        pytest.param(90, True, "USD", 90, RETRACT, Residual(90, "USD", 1), id="in another currency, and never was"),
        pytest.param(90, True, "", 70, RESTATE, Residual(20, "EUR"), id="remembered by an earlier version"),
        pytest.param(0, True, "", None, RETRACT, Residual(0, "", 1), id="of no value, and never was"),
        pytest.param(0, True, "", None, RESTATE, None, id="of no value now"),
        pytest.param(-1, True, "EUR", 70, RESTATE, None, id="nobody knows what it has"),
    ],
)
def test_what_a_destination_has_too_much_is_never_of_two_currencies(
    has: int, is_counted: bool, currency: str, is_true: int | None, operation: pb.DeliveryOperation.ValueType, left: Any
) -> None:
    true = Revision(workspace="shop", value_micros=is_true).message()
    assert residual(true, operation, Taken(7, has, counted=is_counted, currency=currency), FULL) == left


def test_a_creation_that_was_tried_and_never_confirmed_may_have_been_taken() -> None:
    lines = [a_line(7, pb.DELIVERY_STATE_DEAD), a_line(9, pb.DELIVERY_STATE_PENDING)]
    assert remembered(lines, "crm") == (None, 7)


def test_what_was_never_attempted_was_not_taken() -> None:
    assert remembered([a_line(7, pb.DELIVERY_STATE_INELIGIBLE, attempts=0)], "crm") == (None, 0)


def test_another_destination_is_another_matter() -> None:
    assert remembered([a_line(7, pb.DELIVERY_STATE_ACCEPTED)], "erp") == (None, 0)
