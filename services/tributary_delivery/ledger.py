"""The sent ledger: what was attempted, with what outcome; and what a destination took long ago."""

from __future__ import annotations

from typing import Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_INELIGIBLE,
    Delivery,
    DeliveryOperation,
    IneligibleReason,
)
from tributary_delivery.candidates import consent_basis
from tributary_storage.redis.delivery_jobs import Taken


class Ledger(Protocol):
    """Where attempts are written; fails closed: what it does not confirm is written again."""

    async def write(self, deliveries: list[tuple[str, Delivery]]) -> None:
        """Returns when all (workspace, delivery) are stored; may run twice.

        Raises:
            StorageUnavailableError: Write the same again.
        """
        ...


class Memory(Protocol):
    """What ClickHouse knows of a conversion's deliveries and revisions."""

    async def deliveries(self, workspace: str, conversion_id: str) -> list[Delivery]:
        """Returns every revision's newest attempt per destination, oldest revision first.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        ...

    async def revisions(self, workspace: str, conversion_id: str) -> list[ConversionRevised]:
        """Returns the revisions, oldest first.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        ...


def taken_long_ago(deliveries: list[Delivery], destination_id: str) -> Taken | None:
    """Returns what a destination last took, by the ledger; None: nothing."""
    newest = None
    for delivery in deliveries:
        if delivery.destination_id == destination_id and delivery.state == DELIVERY_STATE_ACCEPTED:
            newest = delivery
    if newest is None:
        return None
    counted = newest.operation != DELIVERY_OPERATION_RETRACT
    return Taken(newest.revision, newest.value.amount_micros, counted)


def ineligible(
    revised: ConversionRevised,
    destination_id: str,
    operation: DeliveryOperation.ValueType,
    reason: IneligibleReason.ValueType,
    plan_micros: int,
) -> Delivery:
    """Returns the ledger's line for a revision that is not sent: attempt 0, with the reason."""
    delivery = Delivery(
        destination_id=destination_id,
        conversion_id=revised.state.conversion_id,
        revision=revised.revision,
        operation=operation,
        state=DELIVERY_STATE_INELIGIBLE,
        ineligible_reason=reason,
        value=_value(revised),
        consent_basis=consent_basis(revised),
    )
    delivery.plan_time.FromMicroseconds(plan_micros)
    return delivery


def _value(revised: ConversionRevised) -> Money | None:
    return revised.state.value if revised.state.value.currency_code else None
