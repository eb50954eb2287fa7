"""The only clock tells UTC."""

from __future__ import annotations

from datetime import UTC, timedelta

from tributary_runtime.clock import SystemClock


def test_wall_time_is_aware_and_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_micros_and_now_tell_the_same_time() -> None:
    clock = SystemClock()
    difference = clock.now().timestamp() - clock.unix_micros() / 1e6
    assert abs(timedelta(seconds=difference)) < timedelta(seconds=5)


def test_monotonic_time_never_goes_back() -> None:
    clock = SystemClock()
    times = [clock.monotonic_seconds() for _ in range(100)]
    assert times == sorted(times)
