"""The sent ledger: what was attempted, with what outcome; and what a destination took long ago."""

from __future__ import annotations

from typing import Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_INELIGIBLE,
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_SUPERSEDED,
    Delivery,
    DeliveryOperation,
    IneligibleReason,
)
from tributary_delivery.candidates import consent_basis
from tributary_delivery.sent_values import sent_value
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


def remembered(deliveries: list[Delivery], destination_id: str) -> tuple[Taken | None, int]:
    """Returns what a destination last took, by the ledger; and, where nothing, which creation was tried (0: none).

    Args:
        deliveries: Of one conversion, oldest revision first.
        destination_id: Which destination.
    """
    own = [one for one in deliveries if one.destination_id == destination_id and one.attempts]
    accepted = [one for one in own if one.state == DELIVERY_STATE_ACCEPTED]
    if accepted:
        newest = accepted[-1]
        counted = newest.operation != DELIVERY_OPERATION_RETRACT
        return Taken(newest.revision, newest.value.amount_micros, counted), 0
    return None, next((one.revision for one in own if one.operation == DELIVERY_OPERATION_CREATE), 0)


def attempts_at(deliveries: list[Delivery], destination_id: str, revision: int) -> int:
    """Returns how many attempts at a revision were made, by the ledger."""
    own = (one for one in deliveries if one.destination_id == destination_id and one.revision == revision)
    return max((one.attempts for one in own), default=0)


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


def superseded(deliveries: list[Delivery], destination_id: str, revision: int) -> list[Delivery]:
    """Returns the ledger's line for a revision that waits for another attempt and gets none; none if it waits for none.

    Args:
        deliveries: Of one conversion.
        destination_id: Which destination.
        revision: What was attempted last; a newer one takes its place.
    """
    lines = []
    for one in deliveries:
        if (one.destination_id, one.revision, one.state) == (destination_id, revision, DELIVERY_STATE_PENDING):
            line = Delivery()
            line.CopyFrom(one)
            line.state = DELIVERY_STATE_SUPERSEDED
            line.ClearField("due_time")
            lines.append(line)
    return lines


def _value(revised: ConversionRevised) -> Money | None:
    return sent_value(revised.state)
