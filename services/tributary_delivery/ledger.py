"""The sent ledger: what was attempted, with what outcome; and what a destination took long ago."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final, Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_CREDIT,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_OPERATION_TEST,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_INELIGIBLE,
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_SUPERSEDED,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    INELIGIBLE_REASON_UNSPECIFIED,
    OUTCOME_CLASS_PERMANENT,
    Delivery,
    DeliveryOperation,
    IneligibleReason,
)
from tributary_delivery.candidates import consent_basis, stands
from tributary_delivery.destinations.adapter import Pinned
from tributary_delivery.residuals import CORRECTIONS, put_residual, residual, residual_in
from tributary_delivery.sent_values import FULL, Told, read, sent_value
from tributary_storage.redis.delivery_job import (
    NO_RESIDUAL,
    UNKNOWN_VALUE,
    KnownAs,
    Settled,
    Settlement,
    Taken,
)

_UNTAKEN: Final = frozenset({DELIVERY_STATE_DEAD, DELIVERY_STATE_PENDING, DELIVERY_STATE_SUPERSEDED})
"""States of what was attempted and not known to be taken."""


class Ledger(Protocol):
    """Where attempts are written; fails closed: what it does not confirm is written again."""

    async def write(self, deliveries: list[tuple[str, Delivery]]) -> None:
        """Returns when all (workspace, delivery) are stored; may run twice.

        Raises:
            StorageUnavailableError: Write the same again.
        """
        ...


class Memory(Protocol):
    """What ClickHouse knows of conversions' deliveries and revisions: of many at once.

    Every method raises `StorageUnavailableError` if ClickHouse does not answer.
    """

    async def deliveries_of(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, list[Delivery]]:
        """Returns every revision's newest attempt per destination, oldest revision first; by conversion id."""
        ...

    async def revisions_of(
        self, workspace: str, numbered: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], ConversionRevised]:
        """Returns revisions by (conversion id, number of the revision)."""
        ...

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
        """Returns the newest revision by conversion id."""
        ...


def remembered(deliveries: list[Delivery], destination_id: str) -> tuple[Taken | None, int]:
    """Returns what a destination last took, by the ledger; and, where nothing, which creation was tried (0: none).

    Args:
        deliveries: Of one conversion, oldest revision first.
        destination_id: Which destination.
    """
    own = [one for one in deliveries if one.destination_id == destination_id and one.attempts and not _is_test(one)]
    accepted = [one for one in own if one.state == DELIVERY_STATE_ACCEPTED]
    if accepted:
        newest = accepted[-1]
        telling = [one for one in accepted if one.operation != DELIVERY_OPERATION_CREDIT] or accepted
        counted = telling[-1].operation != DELIVERY_OPERATION_RETRACT  # other credit leaves that as it was
        since = [one for one in deliveries if _is_left_wrong(one, newest)]
        is_certain = all(one.HasField("residual") for one in since if one.attempts)
        known = [residual_in(one) for one in since if one.HasField("residual")]
        taken = Taken(
            newest.revision,
            newest.value.amount_micros if is_certain else UNKNOWN_VALUE,
            counted,
            currency=newest.value.currency_code,
            residual=known[-1] if known else NO_RESIDUAL,
            told=next((one.sent_value for one in accepted if one.sent_value), ""),
        )
        return taken, 0
    return None, next((one.revision for one in own if one.operation == DELIVERY_OPERATION_CREATE), 0)


def _is_left_wrong(one: Delivery, taken: Delivery) -> bool:
    """Tells whether a line says what a destination has wrong since it took something."""
    if one.destination_id != taken.destination_id or one.revision <= taken.revision:
        return False
    # Of what is tried again, or was given up for something newer, nobody wrote whether an attempt was taken.
    is_tried = one.state in _UNTAKEN and one.operation in CORRECTIONS
    return is_tried or one.state == DELIVERY_STATE_UNDELIVERABLE_CORRECTION


def is_said_wrong(deliveries: list[Delivery], destination_id: str) -> bool:
    """Tells whether it was said last that a destination has something wrong of a conversion, as views sum it up.

    Args:
        deliveries: Of one conversion, oldest revision first.
        destination_id: Which destination.
    """
    said = (DELIVERY_STATE_ACCEPTED, DELIVERY_STATE_UNDELIVERABLE_CORRECTION)
    own = [
        one
        for one in deliveries
        if one.destination_id == destination_id
        and (one.state in said or (one.state == DELIVERY_STATE_DEAD and one.operation in CORRECTIONS))
    ]
    if not own or own[-1].state == DELIVERY_STATE_ACCEPTED:
        return False
    return not own[-1].HasField("residual") or not residual_in(own[-1]).is_none


def is_refused(line: Delivery) -> bool:
    """Tells whether a line says by itself that nothing was taken: of more attempts than one it has the last answer."""
    return line.state == DELIVERY_STATE_DEAD and line.attempts == 1 and line.outcome == OUTCOME_CLASS_PERMANENT


def attempts_at(deliveries: list[Delivery], destination_id: str, revision: int) -> int:
    """Returns how many attempts at a revision were made, by the ledger."""
    own = (one for one in deliveries if one.destination_id == destination_id and one.revision == revision)
    return max((one.attempts for one in own), default=0)


def tried_micros(deliveries: list[Delivery], destination_id: str, revision: int) -> int:
    """Returns since when a revision may have been tried: when it was planned, by the ledger; 0: it was not."""
    own = (one for one in deliveries if one.destination_id == destination_id and one.revision == revision)
    return next((one.plan_time.ToMicroseconds() for one in own if one.attempts), 0)


def first_sent(deliveries: list[Delivery], destination_id: str) -> Pinned | None:
    """Returns how a destination was sent a conversion that it took; None: it took none.

    Args:
        deliveries: Of one conversion, oldest revision first.
        destination_id: Which destination.
    """
    own = (one for one in deliveries if one.destination_id == destination_id and not _is_test(one))
    first = next((one for one in own if one.state == DELIVERY_STATE_ACCEPTED), None)
    return None if first is None else _pinned(first)


def first_tried(deliveries: list[Delivery], destination_id: str) -> Pinned | None:
    """Returns how a destination was sent a creation of which nobody knows whether it took it; None: it was sent none.

    Arguments as of `first_sent`.
    """
    own = (one for one in deliveries if one.destination_id == destination_id and one.attempts)
    first = next((one for one in own if one.operation == DELIVERY_OPERATION_CREATE), None)
    return None if first is None else _pinned(first)


def tried_as(deliveries: list[Delivery], destination_id: str, revision: int) -> KnownAs | None:
    """Returns by what a destination would know a creation that was tried; None: the ledger has no attempt at it."""
    own = (one for one in deliveries if (one.destination_id, one.revision) == (destination_id, revision))
    tried = next((one for one in own if one.attempts), None)
    return None if tried is None else _pinned(tried).known_as


def _is_test(line: Delivery) -> bool:
    """Tells whether a line is about a test, of which a destination has nothing."""
    return line.operation == DELIVERY_OPERATION_TEST


def _pinned(line: Delivery) -> Pinned:
    sent_micros = line.sent_conversion_time.ToMicroseconds() if line.HasField("sent_conversion_time") else 0
    how = (line.visible_id, line.click_id_family, line.click_id, sent_micros)
    return Pinned(
        *how,
        dict(line.identifier_digests),
        line.conversion_id,
        line.revision,
        line.sent_name,
        line.sent_account,
        line.sent_value,
    )


def ineligible(
    revised: ConversionRevised,
    destination_id: str,
    operation: DeliveryOperation.ValueType,
    reason: IneligibleReason.ValueType,
    plan_micros: int,
    message: str = "",
) -> Delivery:
    """Returns the ledger's line for a revision that is not sent: attempt 0, with the reason."""
    delivery = Delivery(
        destination_id=destination_id,
        conversion_id=revised.state.conversion_id,
        revision=revised.revision,
        operation=operation,
        state=DELIVERY_STATE_INELIGIBLE,
        ineligible_reason=reason,
        message=message[:1024],
        value=sent_value(revised.state),
        consent_basis=consent_basis(revised),
    )
    delivery.plan_time.FromMicroseconds(plan_micros)
    return delivery


def untold_of(
    revised: ConversionRevised,
    destination_id: str,
    operation: DeliveryOperation.ValueType,
    reason: IneligibleReason.ValueType,
    plan_micros: int,
    message: str = "",
    kept: Taken | None = None,
) -> Delivery:
    """Returns the ledger's line for a revision that is not sent, as `ineligible`, or what is left wrong by that.

    Args:
        revised: What is true.
        destination_id: Which destination.
        operation: What it would have been told.
        reason: Why it is not.
        plan_micros: When it was planned.
        message: For people.
        kept: What it has of the conversion in whose place this one counts; None: nothing.
    """
    if kept is None:
        return ineligible(revised, destination_id, operation, reason, plan_micros, message)
    change = DELIVERY_OPERATION_RESTATE if stands(revised.state) else DELIVERY_OPERATION_RETRACT
    told = read(kept.told) or FULL
    return undeliverable(revised, destination_id, change, kept, plan_micros, told, message, reason)


def undeliverable(
    revised: ConversionRevised,
    destination_id: str,
    operation: DeliveryOperation.ValueType,
    taken: Taken | None,
    plan_micros: int,
    told: Told,
    message: str = "",
    reason: IneligibleReason.ValueType = INELIGIBLE_REASON_UNSPECIFIED,
) -> Delivery:
    """Returns the ledger's line for a correction that the destination has no way to take, or must not be told.

    Args:
        revised: What is true.
        destination_id: Which destination.
        operation: What it would have been told.
        taken: What it has; None: not known.
        plan_micros: When it was planned.
        told: Which value it is told.
        message: Why, where the destination takes corrections and not this one.
        reason: Why it must not be told, where it could be.
    """
    value = sent_value(revised.state, told)
    delivery = Delivery(
        destination_id=destination_id,
        conversion_id=revised.state.conversion_id,
        revision=revised.revision,
        operation=operation,
        state=DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
        ineligible_reason=reason,
        message=message[:1024],
        value=value,
        consent_basis=consent_basis(revised),
    )
    left = residual(revised, operation, taken, told)
    if left is not None:
        put_residual(delivery, left)
    delivery.plan_time.FromMicroseconds(plan_micros)
    return delivery


def left_wrong(
    revised: ConversionRevised,
    destination_id: str,
    operation: DeliveryOperation.ValueType,
    taken: Taken | None,
    plan_micros: int,
    told: Told,
    message: str = "",
    reason: IneligibleReason.ValueType = INELIGIBLE_REASON_UNSPECIFIED,
) -> tuple[Settled, Delivery | None]:
    """Returns what becomes of a job whose destination is not told what is true, or has it right again by itself.

    By how much is written when it changes, not for every revision: what is written last is true, and sums count it
    once. Arguments as of `undeliverable`.
    """
    conversion_id = revised.state.conversion_id
    dropped = Settled(conversion_id, Settlement.DROPPED, revised.revision)
    line = undeliverable(revised, destination_id, operation, taken, plan_micros, told, message, reason)
    left = residual(revised, operation, taken, told)
    if taken is not None and taken.is_value_unknown:  # that was known of a job which is done with
        return Settled(conversion_id, Settlement.TAKEN, revised.revision, taken=taken), line
    if taken is None or left is None:
        return dropped, line
    if left == taken.residual or (left.is_none and taken.residual.is_none):
        return dropped, None
    remembered = replace(taken, residual=left)
    return Settled(conversion_id, Settlement.TAKEN, revised.revision, taken=remembered), line


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


def says_the_same(one: Delivery, line: Delivery) -> bool:
    """Tells whether the ledger says already of a destination what is to be written."""
    is_same_place = (one.destination_id, one.state) == (line.destination_id, line.state)
    return is_same_place and one.value == line.value and one.operation == line.operation
