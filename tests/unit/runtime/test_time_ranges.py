"""A span of time that a request names: two moments in order, or the caller is told what is wrong with it."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tributary.common.v1.time_range_pb2 import TimeRange
from tributary_runtime.errors import InvalidRequestError
from tributary_runtime.time_ranges import read_time_range

LAST = 253_402_300_799
"""The last second of the year 9999."""


def at(seconds: int, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        pytest.param(TimeRange(), (None, None), id="without ends"),
        pytest.param(TimeRange(start_time=at(0)), (0, None), id="without an end"),
        pytest.param(TimeRange(end_time=at(1, 999)), (None, 1_000_000), id="without a start"),
        pytest.param(TimeRange(start_time=at(-1), end_time=at(LAST)), (-1_000_000, LAST * 1_000_000), id="with both"),
    ],
)
def test_each_end_is_a_moment_or_there_is_none(span: TimeRange, expected: tuple[int | None, int | None]) -> None:
    assert read_time_range(span, "time_range") == expected


@pytest.mark.parametrize("moment", [at(LAST + 1), at(-62_135_596_801), at(2**63 - 1), at(-(2**63)), at(0, 2 * 10**9)])
@pytest.mark.parametrize("end", ["start_time", "end_time"])
def test_what_is_no_time_is_told_by_its_field(moment: Timestamp, end: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_time_range(TimeRange(**{end: moment}), "filter.time_range")
    assert [one.field for one in refused.value.violations] == [f"filter.time_range.{end}"]


@pytest.mark.parametrize("end", [0, 1])
def test_a_span_ends_after_it_starts(end: int) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_time_range(TimeRange(start_time=at(1), end_time=at(end)), "time_range")
    assert [one.field for one in refused.value.violations] == ["time_range"]
