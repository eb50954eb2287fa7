"""What a call may raise. Verdicts on single events are answers, never errors.

* TributaryClientError
  x InvalidBatchError   the call as a whole is wrong: no event, too many, a message that is too large
  x NotAllowedError     no API key, an unknown one, or one without the scope
  x OverdueError        no answer within the time allowed: unknown what became of the events, send them again
"""

from __future__ import annotations

import grpc


class TributaryClientError(Exception):
    """A call failed; nothing is known of its events unless a subclass says more."""

    def __init__(self, message: str, *, code: grpc.StatusCode) -> None:
        """Keeps the gRPC status beside the sentence."""
        super().__init__(message)
        self.code = code


class InvalidBatchError(TributaryClientError):
    """The call can never succeed as it is; nothing was stored."""


class NotAllowedError(TributaryClientError):
    """The API key is missing, unknown, expired, or lacks the scope; nothing was stored."""


class OverdueError(TributaryClientError):
    """The retries are used up; send the same events again later, with the same ids."""


RETRYABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,  # by a server that was stopping: nothing was done
    }
)
"""What may pass by itself. Safe to repeat, because every event keeps its id."""


def from_status(code: grpc.StatusCode, details: str) -> TributaryClientError:
    """Returns the error that a gRPC status means."""
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return NotAllowedError(details, code=code)
    if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE):
        return InvalidBatchError(details, code=code)
    if code in RETRYABLE:
        return OverdueError(f"{details} (retries are used up; send the same events again)", code=code)
    return TributaryClientError(details, code=code)
