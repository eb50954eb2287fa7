"""A circuit breaker: a destination that fails is left alone for a while, then asked with a single call.

The one rule: an open circuit is closed by success alone, and only calls made while it was open keep it open longer;
those that were under way when it opened say nothing new.
"""

from __future__ import annotations

from typing import Final

from tributary_runtime.clock import Clock

FAILURES_UNTIL_OPEN: Final = 5
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0


class Circuit:
    """The breaker of one lane in one process.

    Args:
        clock: Measures pauses.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._pause_seconds = 0.0
        self._open_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether only single calls are made."""
        return self._pause_seconds > 0

    @property
    def wait_seconds(self) -> float:
        """How long no call is made at all."""
        return max(0.0, self._open_since + self._pause_seconds - self._clock.monotonic_seconds())

    def room(self, free: int, in_flight: int) -> int:
        """Returns how many calls may begin now.

        Args:
            free: How many could.
            in_flight: How many are under way.
        """
        if not self.is_open:
            return max(0, free)
        return 0 if self.wait_seconds > 0 or in_flight else min(1, free)

    def record(self, begin_seconds: float, *, is_ok: bool) -> None:
        """Takes note of a call that began at `begin_seconds` of the monotonic clock."""
        if is_ok:
            self._failures, self._pause_seconds = 0, 0.0
            return
        self._failures += 1
        if self.is_open and begin_seconds >= self._open_since + self._pause_seconds:
            self._open(min(LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds))
        elif not self.is_open and self._failures >= FAILURES_UNTIL_OPEN:
            self._open(FIRST_PAUSE_SECONDS)

    def _open(self, pause_seconds: float) -> None:
        self._open_since, self._pause_seconds = self._clock.monotonic_seconds(), pause_seconds
