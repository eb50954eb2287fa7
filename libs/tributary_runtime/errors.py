"""The errors that cross a door, and what a caller is told about each.

* TributaryError              INTERNAL
  x InvalidRequestError       INVALID_ARGUMENT     + BadRequest
  x UnauthenticatedError      UNAUTHENTICATED      no API key, or an unknown one
  x PermissionDeniedError     PERMISSION_DENIED    the key lacks the scope
  x NotFoundError             NOT_FOUND            + ResourceInfo
  x RevisionMovedError        ABORTED              read again, then retry
  x PreconditionError         FAILED_PRECONDITION  + PreconditionFailure
  x OverloadedError           RESOURCE_EXHAUSTED   + RetryInfo (+ QuotaFailure where a quota decided)
  x UnavailableError          UNAVAILABLE          + RetryInfo
    + StorageUnavailableError, DestinationUnavailableError
      + PartOutageError     some nodes of a store
* WorkerDecision              never on the wire
  x Backpressure              not now: leave unacknowledged, pause
  x PoisonEvent               never: dead letter with payload, reason, version
  x Unfinished                done, but for some: left for later, or put aside without blame

The one rule: an error carries the decision. The message says what to do, what varies is metadata, and `status` turns
both into a `google.rpc.Status` with exactly one `ErrorInfo`. Nothing else builds a status.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "tributary"
"""`ErrorInfo.domain` of every error."""

MAX_VIOLATIONS = 20
"""Field violations told at most: they travel in trailers, which most peers limit to 8 KiB."""

MAX_TEXT = 200
"""Characters of one description or metadata value told at most."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request."""

    field: str
    """Path into the request: `events[3].conversion.value.currency_code`."""
    description: str
    """Why it is bad and what would be good, for people."""
    reason: str = ""
    """Stable code for programs, UPPER_SNAKE_CASE; empty where the field alone says it."""


class TributaryError(Exception):
    """Anything a caller may be told; on its own: a bug of ours.

    Args:
        message: For people: what to do. Shown to the caller, so neither secrets nor personal data.
        reason: For programs, UPPER_SNAKE_CASE; the class's own unless given.
        metadata: What varies, e.g. `{"store": "log"}`.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata = dict(metadata or {})

    def status(self) -> status_pb2.Status:
        """Returns what travels: code, message, one `ErrorInfo`, then the apt details."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        metadata = {key: value[:MAX_TEXT] for key, value in self.metadata.items()}
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=metadata))
        for detail in self._details():
            status.details.add().Pack(detail)
        return status

    def _details(self) -> Iterator[Message]:
        """Yields the details beside `ErrorInfo`."""
        return iter(())


class InvalidRequestError(TributaryError):
    """The request can never succeed as it is."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    default_reason = "INVALID_REQUEST"

    def __init__(
        self,
        message: str,
        violations: Sequence[FieldViolation] = (),
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.violations = tuple(violations)

    def _details(self) -> Iterator[Message]:
        told = [
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field[:MAX_TEXT],
                description=violation.description[:MAX_TEXT],
                reason=violation.reason,
            )
            for violation in self.violations[:MAX_VIOLATIONS]
        ]
        yield error_details_pb2.BadRequest(field_violations=told)


class UnauthenticatedError(TributaryError):
    """Nobody knows who is calling: no API key, or not one of ours."""

    code = grpc.StatusCode.UNAUTHENTICATED
    default_reason = "API_KEY_INVALID"


class PermissionDeniedError(TributaryError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED
    default_reason = "SCOPE_MISSING"


class NotFoundError(TributaryError):
    """What was named does not exist in the caller's workspace.

    Args:
        message: For people.
        resource_type: One of our words: `conversion`, `person`, `destination`.
        resource_name: As the caller named it.
        reason: As for `TributaryError`.
        metadata: As for `TributaryError`.
    """

    code = grpc.StatusCode.NOT_FOUND
    default_reason = "NOT_FOUND"

    def __init__(
        self,
        message: str,
        *,
        resource_type: str,
        resource_name: str,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.resource_type = resource_type
        self.resource_name = resource_name

    def _details(self) -> Iterator[Message]:
        yield error_details_pb2.ResourceInfo(
            resource_type=self.resource_type, resource_name=self.resource_name[:MAX_TEXT], description=self.message
        )


class RevisionMovedError(TributaryError):
    """Someone else published in between: read again, then retry."""

    code = grpc.StatusCode.ABORTED
    default_reason = "REVISION_MOVED"


class PreconditionError(TributaryError):
    """The system is not in the state this call needs; somebody must act before a retry can help.

    Args:
        message: For people.
        subject: What is not as it must be: `redis:log`, `destination:crm`.
        reason: As for `TributaryError`; also the type of the `PreconditionFailure`.
        metadata: As for `TributaryError`.
    """

    code = grpc.StatusCode.FAILED_PRECONDITION
    default_reason = "PRECONDITION_FAILED"

    def __init__(
        self, message: str, *, subject: str = "", reason: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.subject = subject

    def _details(self) -> Iterator[Message]:
        violation = error_details_pb2.PreconditionFailure.Violation(
            type=self.reason, subject=self.subject, description=self.message[:MAX_TEXT]
        )
        yield error_details_pb2.PreconditionFailure(violations=[violation])


class _RetryableError(TributaryError):
    """Ends with a `RetryInfo`; not raised itself."""

    default_retry_delay_seconds: ClassVar[float] = 1.0

    def __init__(
        self,
        message: str,
        *,
        retry_delay_seconds: float | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_delay_seconds = (
            self.default_retry_delay_seconds if retry_delay_seconds is None else retry_delay_seconds
        )

    def _details(self) -> Iterator[Message]:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(round(self.retry_delay_seconds * 1e9))
        yield info


class OverloadedError(_RetryableError):
    """Too much at once, of everybody or of this workspace: send the same again, later.

    Args:
        message: For people.
        quota_subject: Whose quota decided (`workspace:shop`); adds a `QuotaFailure`. Empty: no quota, just full.
        retry_delay_seconds: When it is worth trying again.
        reason: As for `TributaryError`.
        metadata: As for `TributaryError`.
    """

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    default_reason = "OVERLOADED"

    def __init__(
        self,
        message: str,
        *,
        quota_subject: str = "",
        retry_delay_seconds: float | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, retry_delay_seconds=retry_delay_seconds, reason=reason, metadata=metadata)
        self.quota_subject = quota_subject

    def _details(self) -> Iterator[Message]:
        yield from super()._details()
        if self.quota_subject:
            violation = error_details_pb2.QuotaFailure.Violation(
                subject=self.quota_subject, description=self.message[:MAX_TEXT]
            )
            yield error_details_pb2.QuotaFailure(violations=[violation])


class UnavailableError(_RetryableError):
    """Something this call needs does not answer; whether the call had an effect is unknown. Send the same again."""

    code = grpc.StatusCode.UNAVAILABLE
    default_reason = "UNAVAILABLE"


class StorageUnavailableError(UnavailableError):
    """Redis or ClickHouse does not answer, or refuses."""

    default_reason = "STORAGE_UNAVAILABLE"


class PartOutageError(StorageUnavailableError):
    """Some nodes of a Redis Cluster do not answer; of those that do, nothing speaks against going on."""


class DestinationUnavailableError(UnavailableError):
    """A destination does not answer a call that somebody is waiting for."""

    default_reason = "DESTINATION_UNAVAILABLE"


class WorkerDecision(Exception):
    """What a handler decided about its batch; only `worker.py` catches it."""


class Backpressure(WorkerDecision):
    """Not now: what was read stays unacknowledged, the worker pauses and reads it again.

    Args:
        message: What is full, for the log.
        pause_seconds: How long to pause about; the worker adds jitter.
    """

    def __init__(self, message: str, *, pause_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.message = message
        self.pause_seconds = pause_seconds


class PoisonEvent(WorkerDecision):
    """Never: this event can not be handled, however often it is tried. It goes to the dead-letter stream, alone.

    Args:
        reason: Stable, UPPER_SNAKE_CASE.
        message: For the person who looks at the dead letter.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.message = message or reason


class Unfinished(WorkerDecision):
    """Done and durable, but for some that cannot be handled now, or never, and that nobody is to blame for.

    Args:
        reason: Stable, UPPER_SNAKE_CASE.
        message: For the person who looks at the dead letters.
        events: How many events are done.
        later: Entries that hold something to be done later: left unacknowledged and handed out again soon.
        aside: (entry, event) each: become dead letters that do not count as poison.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        events: int = 0,
        later: Sequence[Any] = (),
        aside: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.events = events
        self.later = later
        self.aside = aside
