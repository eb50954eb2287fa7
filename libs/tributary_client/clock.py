"""The clock of a client: the only place of it that reads one."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Never blocks, never raises; from any thread."""

    def unix_nanos(self) -> int:
        """Returns the wall time in nanoseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Returns seconds that only differences mean something of, never going back."""
        ...


class SystemClock:
    """The clock of this machine."""

    __slots__ = ()

    def unix_nanos(self) -> int:
        """Returns the wall time in nanoseconds since 1970."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Returns the monotonic time in seconds."""
        return time.monotonic()
