"""Creations that may have been taken, and that are not sent again: dead letters that say so, never "was not sent".

The one rule: nothing newer is dropped with them in silence. The destination has no way to be told of it, and the ledger
says that too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    INELIGIBLE_REASON_UNSPECIFIED,
    OUTCOME_CLASS_PERMANENT,
    OUTCOME_CLASS_UNKNOWN,
    Delivery,
    IneligibleReason,
)
from tributary_delivery.attempt import Attempt, ledger_line, taken_by
from tributary_delivery.candidates import stands
from tributary_delivery.destinations.destination import Outcome
from tributary_delivery.ledger import Ledger, undeliverable, untold_of
from tributary_delivery.recollection import Recollection
from tributary_delivery.residuals import CORRECTIONS, put_residual
from tributary_delivery.sender import Sender
from tributary_delivery.sent_values import sent_value
from tributary_storage.redis.delivery_job import NO_RESIDUAL, UNKNOWN_VALUE, KnownAs, Lane, Settled, Settlement

IN_DOUBT: Final = "Nobody knows whether an earlier attempt was taken"
PASSED_ON_TO_ANOTHER: Final = "Another conversion counts in its place, and has what was sent of it."

Done = tuple[Settled, Delivery | None]
"""Nothing is sent; with the ledger's line if there is something to say."""


def not_again(reason: IneligibleReason.ValueType, message: str = "") -> str:
    """Returns why what may have been taken is not sent again, for the ledger."""
    name = IneligibleReason.Name(reason).removeprefix("INELIGIBLE_REASON_")
    return f"{IN_DOUBT}, and it cannot be sent again: {name}, {message}".rstrip(" ,")


def untold(
    attempt: Attempt,
    newest: ConversionRevised,
    destination_id: str,
    reason: IneligibleReason.ValueType = INELIGIBLE_REASON_UNSPECIFIED,
) -> Delivery | None:
    """Returns the ledger's line for what is newer than a creation in doubt that is given up: nobody is told of it.

    None where a destination would be told nothing: what was tried is true, should it have been taken, and may be told.
    """
    operation = DELIVERY_OPERATION_RESTATE if stands(newest.state) else DELIVERY_OPERATION_RETRACT
    about = (newest, destination_id, operation, None, attempt.job.plan_micros, attempt.told)
    if attempt.is_passed_on:
        line = undeliverable(*about, PASSED_ON_TO_ANOTHER)
        put_residual(line, NO_RESIDUAL)
        return line
    return undeliverable(*about, reason=reason) if reason or _is_news(attempt, newest) else None


def kept_of(attempt: Attempt, outcome: Outcome, destination_id: str) -> Delivery | None:
    """Returns the ledger's line for what stays of the order in whose place a creation counts that is given up.

    None where nothing does. By how much it is wrong nobody knows where an attempt may have been taken.

    Args:
        attempt: The last one.
        outcome: Its own.
        destination_id: Which destination.
    """
    kept = attempt.kept
    if kept is None:
        return None
    is_untaken = outcome.outcome == OUTCOME_CLASS_PERMANENT or outcome.is_untaken
    if not is_untaken or attempt.is_doubtful:
        kept = replace(kept, value_micros=UNKNOWN_VALUE)
    about = (attempt.newest or attempt.revised, destination_id, attempt.operation)
    return untold_of(*about, INELIGIBLE_REASON_UNSPECIFIED, attempt.job.plan_micros, outcome.message, kept)


def _is_news(attempt: Attempt, newest: ConversionRevised) -> bool:
    """Tells whether what is true now is something else than was tried: in value, or whether it is a conversion."""
    tried = attempt.revised.state
    if not (stands(tried) and stands(newest.state)):
        return True
    return sent_value(tried, attempt.told) != sent_value(newest.state, attempt.told)


class Doubts:
    """Gives up creations of one lane that may have been taken.

    Args:
        lane: Which.
        sender: By what the destination knows conversions.
        ledger: Where it is written what became of the attempt, before what is said of anything newer.
    """

    def __init__(self, lane: Lane, sender: Sender, ledger: Ledger) -> None:
        self._lane = lane
        self._sender = sender
        self._ledger = ledger

    async def give_up(
        self,
        attempt: Attempt,
        newest: ConversionRevised,
        why: str,
        recalled: Recollection,
        *,
        reason: IneligibleReason.ValueType = INELIGIBLE_REASON_UNSPECIFIED,
    ) -> Done:
        """Returns what becomes of an attempt that is not made, though one before it may have been taken.

        The ledger may know that it was: its process died before it settled the job. Else nothing newer can be told
        either.

        Args:
            attempt: As it was tried.
            newest: What is true now.
            why: For people.
            recalled: What the ledger knows.
            reason: Why what is true now must not be told; unspecified where it could be.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        job, revision = attempt.job, attempt.revised.revision
        line = await self._last_line(attempt, recalled)
        if line.state == DELIVERY_STATE_ACCEPTED:
            taken = taken_by(replace(attempt, maybe_taken=0))
            return Settled(job.conversion_id, Settlement.TAKEN, revision, taken=taken), None
        line.state, line.outcome, line.message = DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN, why
        line.ClearField("due_time")
        if newest.revision != revision:
            newer = untold(attempt, newest, self._lane.destination, reason)
            if newer is not None:
                await self._ledger.write([(self._lane.workspace, line)])
                line = newer
        left = attempt.taken if attempt.operation in CORRECTIONS else None
        if left is not None:  # whatever comes next is told
            left = replace(left, value_micros=UNKNOWN_VALUE)
        return Settled(job.conversion_id, Settlement.GIVEN_UP, newest.revision, taken=left), line

    async def is_given_up(self, attempt: Attempt, recalled: Recollection) -> bool:
        """Tells whether the ledger has the attempt for a dead letter."""
        line = await self._written(attempt, recalled)
        return line is not None and line.state == DELIVERY_STATE_DEAD

    async def _written(self, attempt: Attempt, recalled: Recollection) -> Delivery | None:
        deliveries: Sequence[Delivery] = await recalled.deliveries(attempt.job.conversion_id)
        place = (self._lane.destination, attempt.revised.revision)
        return next((one for one in deliveries if (one.destination_id, one.revision) == place), None)

    async def _last_line(self, attempt: Attempt, recalled: Recollection) -> Delivery:
        """Returns the ledger's line of the attempt that was made last."""
        job, line = attempt.job, await self._written(attempt, recalled)
        if line is None or not line.attempts:  # its process died before it could write anything down
            is_this = job.tried_revision == attempt.revised.revision
            made = max(1, attempt.number, job.attempts if is_this else attempt.attempts_before)
            known_as = attempt.known_as or KnownAs(self._sender.visible_id(attempt.revised))
            unwritten = replace(attempt, number=made, known_as=known_as, now_micros=attempt.doubt_micros)
            line = ledger_line(unwritten, Outcome(OUTCOME_CLASS_UNKNOWN))
            line.destination_id = self._lane.destination
        return line
