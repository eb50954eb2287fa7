"""Calls under way, and which of them others have overtaken: those went to a replica that hangs.

The one rule: slowness of all is nobody's fault. A call is late only beside calls that left after it and were answered,
and only when it has had several times what they took.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Hashable
from itertools import count
from typing import Final

_OVERTAKEN_BY: Final = 3
"""So many calls that left later have been answered."""
_PATIENCE_SECONDS: Final = 1.0
"""At least this long a call may take, whatever others do."""
_PATIENCE_TIMES: Final = 4
"""And so many times as long as the last that was answered."""


class Latecomers:
    """Watches calls. From any thread.

    Args:
        monotonic: The time, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._order = count(1)
        self._begun: dict[Hashable, tuple[int, float]] = {}  # oldest first: (number, since when)
        self._newest = [0] * _OVERTAKEN_BY  # of those that were answered: the highest numbers
        self._answer_seconds = 0.0

    def begin(self, call: Hashable) -> None:
        """Notes that a call has left."""
        with self._lock:
            self._begun[call] = next(self._order), self._monotonic()

    def end(self, call: Hashable, *, is_answered: bool) -> bool:
        """Notes that a call has ended, once; tells whether it was overtaken."""
        with self._lock:
            number, since = self._begun.pop(call)
            if is_answered:
                heapq.heappushpop(self._newest, number)
                self._answer_seconds = self._monotonic() - since
            return number < self._newest[0]

    def late(self) -> list[Hashable]:
        """Returns the calls that are to be given up."""
        with self._lock:
            patience = max(_PATIENCE_SECONDS, _PATIENCE_TIMES * self._answer_seconds)
            until, newest = self._monotonic() - patience, self._newest[0]
            return [call for call, (number, since) in self._begun.items() if number < newest and since < until]
