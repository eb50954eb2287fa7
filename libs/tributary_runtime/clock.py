"""The only place that reads a clock.

The one rule: whoever needs the time is given a `Clock`. Wall time is UTC and only ever *stored*; durations are measured
with `monotonic_seconds`, which no time server can set back.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Never blocks, never raises."""

    def now(self) -> datetime:
        """Returns the wall time, aware, in UTC."""
        ...

    def unix_micros(self) -> int:
        """Returns the wall time in microseconds since 1970, as events and logs carry it."""
        ...

    def monotonic_seconds(self) -> float:
        """Returns a time that only differences mean something of, never going back."""
        ...


class SystemClock:
    """The clock of this machine."""

    __slots__ = ()

    def now(self) -> datetime:
        """Returns the wall time, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the clock

    def unix_micros(self) -> int:
        """Returns the wall time in microseconds since 1970."""
        return time.time_ns() // 1_000

    def monotonic_seconds(self) -> float:
        """Returns the monotonic time in seconds."""
        return time.monotonic()
