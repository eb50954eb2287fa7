"""Attempts that were to be made and are not: no place in the quota any more, people who allow something else by now.

The one rule: nothing left, so nothing is counted: what was noted is taken back, and the job is decided on anew when it
may go, without waiting longer for it.
"""

from __future__ import annotations

from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_PENDING, Delivery
from tributary_delivery.attempt import Attempt, ledger_line
from tributary_delivery.destinations.destination import Outcome
from tributary_storage.redis.delivery_job import Noted, Settled, Settlement


def unmade(attempt: Attempt, delay_seconds: float = 0.0, *, was_noted: bool) -> Settled:
    """Returns what becomes of an attempt that is not made.

    Args:
        attempt: Which.
        delay_seconds: When it is decided on once more.
        was_noted: Whether it was noted already that it is made.
    """
    is_sure = not attempt.doubt_micros
    never = is_sure and not attempt.maybe_taken and not attempt.is_correction
    return Settled(
        attempt.job.conversion_id,
        Settlement.AGAIN,
        attempt.revised.revision,
        delay_seconds=delay_seconds,
        is_untaken=never,
        is_refused=is_sure,
        noted=Noted.UNMADE if was_noted else Noted.MADE,
    )


def line_before(attempt: Attempt, outcome: Outcome, delay_seconds: float, *, was_noted: bool) -> Delivery:
    """Returns the ledger's line of the attempt before one that is not made: in the same call, and not written yet.

    Args:
        attempt: The one that is not made.
        outcome: What the one before came to.
        delay_seconds: When another follows.
        was_noted: As of `unmade`.
    """
    line = ledger_line(attempt, outcome)
    line.attempts -= was_noted
    line.state = DELIVERY_STATE_PENDING
    line.due_time.FromMicroseconds(attempt.now_micros + round(delay_seconds * 1e6))
    return line
