"""For how long nothing may be answered while something waits, before the server is taken to hang.

The one rule: slowness of all gives up little. Each time something is given up doubles the patience until an answer
comes, which says how long answers take now.
"""

from __future__ import annotations

from typing import Final

_LEAST_SECONDS: Final = 1.0
"""At least this long, however quick the answers are."""
_FIRST_SECONDS: Final = 2.0
"""Before the first answer; that takes the time of connecting, too."""
_TIMES: Final = 8
"""So many times as long as answers take."""
_FADING: Final = 0.9
"""What a long answer counts for beside each later one."""


class Patience:
    """Learns from all streams, or calls, of a client. One gives up, others tell of answers; a number lost does no harm.

    Args:
        most_seconds: Never more than this.
    """

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._usual_seconds = 0.0
        self._seconds = _FIRST_SECONDS

    def seconds(self) -> float:
        """Returns the patience now."""
        return min(self._seconds, self._most_seconds)

    def is_answered(self, seconds: float) -> None:
        """Notes how long an answer took."""
        self._usual_seconds = max(seconds, _FADING * self._usual_seconds)
        self._seconds = max(_LEAST_SECONDS, _TIMES * self._usual_seconds)

    def is_given_up(self) -> None:
        """Notes that there was silence for that long."""
        self._seconds = min(2 * self._seconds, self._most_seconds)
