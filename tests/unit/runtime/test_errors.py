"""An error carries the decision, and `status` tells it."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2

from tributary_runtime.errors import (
    MAX_VIOLATIONS,
    FieldViolation,
    InvalidRequestError,
    OverloadedError,
    StorageUnavailableError,
    TributaryError,
)


def test_the_reason_and_what_varies_travel_in_error_info() -> None:
    status = StorageUnavailableError("Send it again.", metadata={"store": "log"}).status()
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("STORAGE_UNAVAILABLE", "tributary", {"store": "log"})


def test_a_retry_delay_is_told_to_the_nanosecond() -> None:
    info = error_details_pb2.RetryInfo()
    OverloadedError("Slower.", retry_delay_seconds=2.5).status().details[1].Unpack(info)
    assert (info.retry_delay.seconds, info.retry_delay.nanos) == (2, 500_000_000)


def test_a_status_fits_into_trailers_however_much_is_wrong() -> None:
    violations = [FieldViolation(f"events[{number}].name", "x" * 5000, "TOO_LONG") for number in range(1000)]
    status = InvalidRequestError("Look at the fields.", violations).status()
    told = error_details_pb2.BadRequest()
    status.details[1].Unpack(told)
    assert len(told.field_violations) == MAX_VIOLATIONS
    assert status.ByteSize() < 6000  # 8 KiB once in base64


@pytest.mark.parametrize("reason", ["", "SOMETHING_ELSE"])
def test_a_reason_is_the_classes_own_unless_given(reason: str) -> None:
    assert TributaryError("x", reason=reason).reason == (reason or "INTERNAL")
