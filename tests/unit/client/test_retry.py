"""When the client tries again."""

from __future__ import annotations

import uuid

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tributary_client import RetryPolicy, new_event_id
from tributary_client.errors import (
    RETRYABLE,
    InvalidBatchError,
    NotAllowedError,
    OverdueError,
    TributaryClientError,
    from_status,
)
from tributary_client.retry import retry_after_seconds


def trailers(*details: object) -> list[tuple[str, str | bytes]]:
    status = Status(code=14, message="not now")
    for detail in details:
        status.details.add().Pack(detail)  # type: ignore[arg-type]
    return [("other", "text"), ("grpc-status-details-bin", status.SerializeToString())]


def test_the_server_s_retry_info_is_read_without_its_library() -> None:
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(1500)
    assert retry_after_seconds(trailers(ErrorInfo(reason="LOG_FULL"), info)) == 1.5


def test_without_retry_info_the_server_asks_for_nothing() -> None:
    assert retry_after_seconds(trailers(ErrorInfo(reason="LOG_FULL"))) == 0
    assert retry_after_seconds([]) == 0


def test_pauses_are_spread_below_a_bound_that_doubles_and_never_below_what_the_server_asked_for() -> None:
    policy = RetryPolicy(first_delay_seconds=0.1, max_delay_seconds=0.5)
    for attempt, bound in ((1, 0.1), (2, 0.2), (3, 0.4), (4, 0.5), (60, 0.5)):
        pauses = [policy.delay_seconds(attempt) for _ in range(200)]
        assert 0 <= min(pauses) < 0.2 * bound
        assert 0.8 * bound < max(pauses) <= bound
    assert 3 <= policy.delay_seconds(1, retry_after_seconds=3) <= 3.1


@pytest.mark.parametrize("name", ["total_seconds", "first_delay_seconds", "max_delay_seconds", "attempt_seconds"])
def test_a_policy_without_time_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: 0})


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, NotAllowedError),
        (grpc.StatusCode.PERMISSION_DENIED, NotAllowedError),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidBatchError),
        (grpc.StatusCode.UNAVAILABLE, OverdueError),
        (grpc.StatusCode.CANCELLED, OverdueError),
        (grpc.StatusCode.INTERNAL, TributaryClientError),
    ],
)
def test_a_status_becomes_the_error_that_says_what_to_do(
    code: grpc.StatusCode, error: type[TributaryClientError]
) -> None:
    made = from_status(code, "sentence")
    assert type(made) is error
    assert made.code is code
    assert "sentence" in str(made)
    assert (code in RETRYABLE) == (error is OverdueError)


def test_new_ids_are_uuids_of_version_7_and_grow_with_time() -> None:
    ids = [uuid.UUID(new_event_id()) for _ in range(1000)]
    assert all(one.version == 7 and one.variant == uuid.RFC_4122 for one in ids)
    assert len(set(ids)) == 1000
    milliseconds = [one.int >> 80 for one in ids]
    assert milliseconds == sorted(milliseconds)
