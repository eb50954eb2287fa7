"""What the client may raise, or hand to a callback. Verdicts on single events are answers, never errors.

* TributaryClientError
  x CallError             a call failed, and nothing is known of its events unless the class says more
    + InvalidBatchError   it is wrong as it is: no event, too many, too large; nothing was stored
    + NotAllowedError     no API key, an unknown one, or one without the scope; nothing was stored
    + OverdueError        no answer within the time allowed: unknown what became of the events, send them again
  x EventTooLargeError    one event is larger than a batch may be
  x BufferFullError       there was no room for the event within the time allowed
  x ClosedError           the client is closed, or was before the event was decided
  x SpoolError            the spool's directory cannot be used
  x SpoolDamagedError     a file of the spool cannot be read, in whole or in part; what cannot be is kept for 30 days
"""

from __future__ import annotations

from pathlib import Path

import grpc


class TributaryClientError(Exception):
    """Anything the client may raise of its own."""


class CallError(TributaryClientError):
    """A call failed; nothing is known of its events unless a subclass says more."""

    def __init__(self, message: str, *, code: grpc.StatusCode) -> None:
        """Keeps the gRPC status beside the sentence."""
        super().__init__(message)
        self.code = code


class InvalidBatchError(CallError):
    """The call can never succeed as it is; nothing was stored."""


class NotAllowedError(CallError):
    """The API key is missing, unknown, expired, or lacks the scope; nothing was stored."""


class OverdueError(CallError):
    """No answer came, and may never have been made; send the same events again, with the same ids."""


class EventTooLargeError(TributaryClientError):
    """The event is larger than a batch may be (`Batching.bytes`)."""


class BufferFullError(TributaryClientError):
    """What waits to be sent has reached its bound; the event was not taken."""


class ClosedError(TributaryClientError):
    """The client is closed: the event was not taken, or not decided in time. With a spool the latter is kept there."""


class SpoolError(TributaryClientError):
    """The directory of the spool cannot be made, locked or read."""


class SpoolDamagedError(TributaryClientError):
    """Events in the spool cannot be read, and are not sent; their bytes are kept for 30 days, to be looked at."""

    def __init__(self, path: Path, records: int, size: int) -> None:
        """Says how much was lost, and where.

        Args:
            path: The file that their bytes are kept in: delete it when it is not needed any more. Where nothing of a
                file can be read, that file, which is left as it is.
            records: Events that cannot be read, at least: one may hide others behind it; 0: nobody can tell how many.
            size: Their bytes.
        """
        if records:
            many = f"{records} record(s) or more"
            message = f"{many} of the spool cannot be read; {size} bytes are kept for 30 days: {path}"
        else:
            message = f"A file of the spool cannot be read, {size} bytes; it is left as it is: {path}"
        super().__init__(message)
        self.path = path
        self.records = records
        self.size = size


TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,  # by a server that was stopping: nothing was done
    }
)
"""What may pass by itself. Safe to repeat, because every event keeps its id."""


def from_status(code: grpc.StatusCode, details: str) -> CallError:
    """Returns the error that a gRPC status means."""
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return NotAllowedError(details, code=code)
    is_too_large = code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details  # gRPC's own words
    if is_too_large or code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE):
        return InvalidBatchError(details, code=code)
    if code in TRANSIENT:
        return OverdueError(f"{details} (send the same events again, with the same ids)", code=code)
    return CallError(details, code=code)
