"""RetryInfo is read without the package that carries it, and says what that package wrote."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tributary.common.v1.status_pb2 import Status
from tributary_client.outcome import Failed, Remedy, failed, of_status
from tributary_client.rpc_status import code_of, retry_after_seconds, retry_after_trailers


def a_status(seconds: float | None) -> status_pb2.Status:
    status = status_pb2.Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="Later.")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="LEAVING"))
    if seconds is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(round(seconds * 1e9))
        status.details.add().Pack(info)
    return status


@pytest.mark.parametrize("seconds", [2.5, 0.0, None])
def test_the_delay_is_read_from_trailers_and_from_a_batchs_status(seconds: float | None) -> None:
    body = a_status(seconds).SerializeToString()
    ours = Status.FromString(body)
    assert retry_after_seconds(ours.details) == (seconds or 0.0)
    assert retry_after_trailers([("x", "y"), ("grpc-status-details-bin", body)]) == (seconds or 0.0)
    assert (of_status(ours).error.code, of_status(ours).retry_after_seconds) == (
        grpc.StatusCode.UNAVAILABLE,
        seconds or 0.0,
    )


def test_without_details_there_is_no_delay() -> None:
    assert retry_after_trailers([("x", "y")]) == 0.0


def test_a_code_that_nobody_knows_is_unknown() -> None:
    assert code_of(Status(code=4711)) is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize(
    ("code", "details", "remedy"),
    [
        ("UNAVAILABLE", "", Remedy.AGAIN),
        ("RESOURCE_EXHAUSTED", "full", Remedy.AGAIN),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", Remedy.SPLIT),
        ("DEADLINE_EXCEEDED", "", Remedy.AGAIN),
        ("CANCELLED", "", Remedy.AGAIN),
        ("INVALID_ARGUMENT", "", Remedy.SPLIT),
        ("INTERNAL", "", Remedy.SPLIT_AND_AGAIN),
        ("UNIMPLEMENTED", "", Remedy.SPLIT_AND_AGAIN),
        ("UNAUTHENTICATED", "", Remedy.KEY),
        ("FAILED_PRECONDITION", "", Remedy.KEY),
        ("PERMISSION_DENIED", "", Remedy.KEY),
    ],
)
def test_each_status_has_its_remedy(code: str, details: str, remedy: Remedy) -> None:
    outcome = failed(grpc.StatusCode[code], details)
    assert isinstance(outcome, Failed)
    assert outcome.remedy is remedy
