"""The canonical line of a call, and what its caller is told when it fails.

The one rule: the caller is told what to do, the line says the cause as well. A failure that nobody foresaw tells the
caller nothing.
"""

from typing import Any

import grpc
import structlog

from tributary_runtime.errors import TributaryError
from tributary_runtime.remote_errors import error_of

log = structlog.get_logger("tributary_runtime.interceptors")

MAX_CAUSE = 500
"""Characters of a cause in the canonical line."""

NOTHING: dict[str, Any] = {}

_FAULTS = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS"})
_DEGRADED = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"})
_UNEXPECTED = TributaryError("Something went wrong on our side; the log has the details. Send the same again.")


def write_line(event: str, method: str, code: str, seconds: float, fields: dict[str, Any]) -> None:
    """Writes the line of a call, as loud as its code is bad."""
    write = log.error if code in _FAULTS else log.warning if code in _DEGRADED else log.info
    write(event, method=method, code=code, duration_ms=round(seconds * 1000, 3), **fields)


def told(failure: Exception) -> TributaryError:
    """Returns what the caller is told about a failure."""
    if isinstance(failure, TributaryError):
        return failure
    if isinstance(failure, grpc.aio.AioRpcError):
        return error_of(failure)
    return _UNEXPECTED


def fields_of(error: TributaryError, failure: Exception) -> dict[str, Any]:
    """Returns what the line says about a failure, the cause included, which the caller is not told."""
    fields: dict[str, Any] = {"reason": error.reason}
    if error is _UNEXPECTED:
        return {**fields, "exc_info": failure}
    cause = failure.__cause__ if failure is error else failure
    if isinstance(cause, grpc.aio.AioRpcError):
        fields["cause"] = f"{cause.code().name}: {cause.details()}"[:MAX_CAUSE]
    elif cause is not None:
        fields["cause"] = f"{type(cause).__name__}: {cause}"[:MAX_CAUSE]
    return {**fields, "message": error.message}
