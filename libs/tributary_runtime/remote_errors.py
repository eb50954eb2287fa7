"""What the error of another service means to our own caller.

The one rule: what one of ours refused is passed on as it was, with its details; what the network says becomes
`UnavailableError`, because nobody knows whether the call had an effect.
"""

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from tributary_runtime.errors import (
    DOMAIN,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PreconditionError,
    RevisionMovedError,
    TributaryError,
    UnauthenticatedError,
    UnavailableError,
)

_STATUS_DETAILS = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def error_of(failure: grpc.aio.AioRpcError) -> TributaryError:
    """Returns the error to raise, from `failure`, to our own caller."""
    status = _status_in(failure)
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN) if status is not None else failure.code()
    if status is None:
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
            return UnavailableError("A part of Tributary does not answer now; send the same again.")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return OverloadedError("A part of Tributary is full now; send the same again.")
        return TributaryError("A part of Tributary gave an answer we do not understand; the log has the details.")
    return _rebuild(code, status)


def _status_in(failure: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    trailers: Any = failure.trailing_metadata() or ()
    for key, value in trailers:
        if key == _STATUS_DETAILS:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _detail(status: status_pb2.Status, kind: Any) -> Any:
    found = kind()
    for detail in status.details:
        if detail.Unpack(found):
            break
    return found


def _rebuild(code: grpc.StatusCode, status: status_pb2.Status) -> TributaryError:
    info = _detail(status, error_details_pb2.ErrorInfo)
    said: dict[str, Any] = {}
    if info.domain == DOMAIN:
        said = {"reason": info.reason, "metadata": dict(info.metadata)}
    delay = _detail(status, error_details_pb2.RetryInfo).retry_delay.ToNanoseconds() / 1e9 or None
    match code:
        case grpc.StatusCode.INVALID_ARGUMENT:
            told = _detail(status, error_details_pb2.BadRequest).field_violations
            violations = [FieldViolation(one.field, one.description, one.reason) for one in told]
            return InvalidRequestError(status.message, violations, **said)
        case grpc.StatusCode.UNAUTHENTICATED:
            if said.get("reason") == "INTERNAL_TOKEN_INVALID":  # our own mistake, not the caller's
                return TributaryError(status.message, **said)
            return UnauthenticatedError(status.message, **said)
        case grpc.StatusCode.PERMISSION_DENIED:
            return PermissionDeniedError(status.message, **said)
        case grpc.StatusCode.NOT_FOUND:
            named = _detail(status, error_details_pb2.ResourceInfo)
            return NotFoundError(
                status.message, resource_type=named.resource_type, resource_name=named.resource_name, **said
            )
        case grpc.StatusCode.ABORTED:
            return RevisionMovedError(status.message, **said)
        case grpc.StatusCode.FAILED_PRECONDITION:
            broken = _detail(status, error_details_pb2.PreconditionFailure).violations
            return PreconditionError(status.message, subject=broken[0].subject if broken else "", **said)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            quotas = _detail(status, error_details_pb2.QuotaFailure).violations
            subject = quotas[0].subject if quotas else ""
            return OverloadedError(status.message, quota_subject=subject, retry_delay_seconds=delay, **said)
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return UnavailableError(status.message, retry_delay_seconds=delay, **said)
        case _:
            return TributaryError(status.message, **said)
