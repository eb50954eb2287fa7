"""What the ledger remembers of a conversion at one destination."""

from __future__ import annotations

from tests.support.revisions import Revision
from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1 import delivery_pb2 as pb
from tributary_delivery.ledger import remembered, residual_micros
from tributary_delivery.sent_values import FULL
from tributary_storage.redis.delivery_job import Taken


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
        a_line(11, pb.DELIVERY_STATE_DEAD, pb.DELIVERY_OPERATION_RESTATE),
    ]
    assert remembered(lines, "crm") == (Taken(9, 90, counted=False), 0)


def test_what_was_taken_back_stays_so_whatever_credit_is_told_since() -> None:
    lines = [
        a_line(7, pb.DELIVERY_STATE_ACCEPTED),
        a_line(9, pb.DELIVERY_STATE_ACCEPTED, pb.DELIVERY_OPERATION_RETRACT),
        a_line(11, pb.DELIVERY_STATE_ACCEPTED, pb.DELIVERY_OPERATION_CREDIT),
    ]
    assert remembered(lines, "crm") == (Taken(11, 110, counted=False), 0)
    assert remembered(lines[::2], "crm") == (Taken(11, 110, counted=True), 0)


def test_a_destination_without_what_was_taken_back_has_nothing_too_much() -> None:
    uncounted = Revision(workspace="shop", counted=False, value_micros=70).message()
    for taken, residual in ((Taken(7, 90, counted=False), 0), (Taken(7, 90, counted=True), 20)):
        assert residual_micros(uncounted, pb.DELIVERY_OPERATION_CREDIT, taken, FULL) == residual


def test_a_creation_that_was_tried_and_never_confirmed_may_have_been_taken() -> None:
    lines = [a_line(7, pb.DELIVERY_STATE_DEAD), a_line(9, pb.DELIVERY_STATE_PENDING)]
    assert remembered(lines, "crm") == (None, 7)


def test_what_was_never_attempted_was_not_taken() -> None:
    assert remembered([a_line(7, pb.DELIVERY_STATE_INELIGIBLE, attempts=0)], "crm") == (None, 0)


def test_another_destination_is_another_matter() -> None:
    assert remembered([a_line(7, pb.DELIVERY_STATE_ACCEPTED)], "erp") == (None, 0)
