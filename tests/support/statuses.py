"""What a failed call says: its code, and the details of its `google.rpc.Status`."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass(frozen=True)
class Failure:
    """A failed call, read."""

    code: str
    message: str
    infos: list[error_details_pb2.ErrorInfo]
    retry_seconds: float | None
    """Of RetryInfo; None without one."""
    violations: list[tuple[str, str]]
    """(field, reason) of BadRequest."""
    quotas: list[str]
    """Subjects of QuotaFailure."""

    @property
    def reason(self) -> str:
        """The stable reason."""
        return self.infos[0].reason


def failure_of(error: grpc.RpcError) -> Failure:
    """Reads a failed call."""
    status = rpc_status.from_call(error)
    infos, retry_seconds, violations, quotas = [], None, [], []
    for detail in status.details if status is not None else ():
        info, retry, bad, quota = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.RetryInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.QuotaFailure(),
        )
        if detail.Unpack(info):
            infos.append(info)
        elif detail.Unpack(retry):
            retry_seconds = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        elif detail.Unpack(bad):
            violations = [(violation.field, violation.reason) for violation in bad.field_violations]
        elif detail.Unpack(quota):
            quotas = [violation.subject for violation in quota.violations]
    call: grpc.Call = error  # type: ignore[assignment]  # what the stubs do not say: the error is the call
    return Failure(call.code().name, call.details() or "", infos, retry_seconds, violations, quotas)
