"""The spans of time that requests name, read once and alike.

The one rule: what is no time is the caller's mistake, never ours. A `Timestamp` can hold seconds far outside the years
1 to 9999, which nobody who reads it can turn into a moment.
"""

from __future__ import annotations

from typing import Any, Protocol

from tributary_domain.event_shape import MomentLike
from tributary_domain.event_times import read_micros
from tributary_runtime.errors import FieldViolation, InvalidRequestError


class TimeRangeLike(Protocol):
    """A `tributary.common.v1.TimeRange`."""

    @property
    def start_time(self) -> MomentLike:
        """The first moment inside."""
        ...

    @property
    def end_time(self) -> MomentLike:
        """The first moment after it."""
        ...

    def HasField(self, field_name: Any, /) -> bool:
        """Tells whether an end is set."""
        ...


def read_time_range(span: TimeRangeLike, field: str) -> tuple[int | None, int | None]:
    """Returns start and end of a span in microseconds since 1970 UTC, None where it has no such end.

    Args:
        span: As sent.
        field: Its path in the request.

    Raises:
        InvalidRequestError: An end is no time, or it does not end after it starts.
    """
    start = _read(span.start_time, f"{field}.start_time") if span.HasField("start_time") else None
    end = _read(span.end_time, f"{field}.end_time") if span.HasField("end_time") else None
    if start is not None and end is not None and start >= end:
        raise _refuse(field, "Must end after it starts.")
    return start, end


def _read(moment: MomentLike, field: str) -> int:
    micros = read_micros(moment)
    if micros is None:
        raise _refuse(field, "Is no time between the years 1 and 9999.")
    return micros


def _refuse(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError(description, [FieldViolation(field, description)])
