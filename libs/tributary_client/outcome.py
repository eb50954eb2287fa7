"""What came of one attempt to send a parcel.

The one rule: an outcome says what to do next, so that nobody else reads a gRPC status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import grpc

from tributary.common.v1.status_pb2 import Status
from tributary.event.v1.verdict_pb2 import VERDICT_UNDECIDED, EventVerdict
from tributary_client.errors import TRANSIENT, CallError, InvalidBatchError, NotAllowedError, OverdueError, from_status
from tributary_client.rpc_status import code_of, retry_after_seconds


class Remedy(Enum):
    """What may help where an attempt failed as a whole."""

    AGAIN = "again"
    """It passes by itself: send the same again."""
    ELSEWHERE = "elsewhere"
    """Whom it was sent to hangs, and others answer: send the same again, and hold nothing else up for it."""
    SPLIT = "split"
    """Something in it is refused, whatever is sent with it: send less at a time, until it is known what."""
    SPLIT_AND_AGAIN = "split_and_again"
    """The server failed over it, and may do so again: send less at a time, and go on trying."""
    KEY = "key"
    """The API key must change, here or there, or what the server is told of the workspace: go on trying, slowly."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing is known of the parcel's events."""

    error: CallError
    """What happened."""
    retry_after_seconds: float = 0.0
    """How long the server wants to be left alone."""
    is_overtaken: bool = False
    """Whether calls that left later were answered."""

    @property
    def remedy(self) -> Remedy:
        """What may help."""
        if self.is_overtaken:
            return Remedy.ELSEWHERE
        if isinstance(self.error, NotAllowedError) or self.error.code is grpc.StatusCode.FAILED_PRECONDITION:
            return Remedy.KEY
        if isinstance(self.error, InvalidBatchError):
            return Remedy.SPLIT
        return Remedy.AGAIN if self.error.code in TRANSIENT else Remedy.SPLIT_AND_AGAIN


@dataclass(frozen=True, slots=True)
class Answered:
    """Every event has an answer, be it UNDECIDED."""

    verdicts: Sequence[EventVerdict]
    """One per event, in order."""


Outcome = Answered | Failed


def failed(code: grpc.StatusCode, details: str, retry_after: float = 0.0) -> Failed:
    """Returns the outcome that a failed call means."""
    return Failed(from_status(code, details), retry_after)


def answered(verdicts: Sequence[EventVerdict], expected: int) -> Outcome:
    """Returns the outcome that an answer means; one with too few or too many verdicts decides nothing."""
    if len(verdicts) != expected:
        message = f"The server answered {len(verdicts)} verdicts for {expected} events."
        return Failed(CallError(message, code=grpc.StatusCode.INTERNAL))
    return Answered(verdicts)


def of_status(status: Status) -> Failed:
    """Returns the outcome that a batch's own status means."""
    return failed(code_of(status), status.message, retry_after_seconds(status.details))


def overdue(seconds: float) -> Failed:
    """Returns the outcome of an attempt that nobody answered."""
    message = f"No answer within {seconds:g} s; send the same events again, with the same ids."
    return Failed(OverdueError(message, code=grpc.StatusCode.DEADLINE_EXCEEDED))


def overtaken() -> Failed:
    """Returns the outcome of an attempt that nobody answered, while later ones were answered."""
    message = (
        "No answer, though later calls were answered: one replica hangs. The same is sent again, with the same ids."
    )
    return Failed(OverdueError(message, code=grpc.StatusCode.DEADLINE_EXCEEDED), is_overtaken=True)


def delay_of(verdict: EventVerdict) -> float | None:
    """Returns when to send an undecided event again, in seconds; None if it is decided."""
    if verdict.verdict != VERDICT_UNDECIDED:
        return None
    return float(verdict.retry_delay.seconds + verdict.retry_delay.nanos / 1e9)
