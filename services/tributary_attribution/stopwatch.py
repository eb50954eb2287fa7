"""How long each step of a batch took, for the line that says how it went."""

from __future__ import annotations

from tributary_runtime.clock import Clock


class Stopwatch:
    """Begins when it is made.

    Args:
        clock: Measures.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.monotonic_seconds()
        self.noted: dict[str, float] = {}
        """Step -> milliseconds."""

    def note(self, name: str) -> None:
        """Notes the time since the step before."""
        now = self._clock.monotonic_seconds()
        self.noted[name] = round((now - self._last) * 1000, 1)
        self._last = now
