"""Calls under way, and which of them others have overtaken: those went to a replica that hangs.

The one rule: slowness of all is nobody's fault. A call is late only beside calls that left after it and were answered,
and only when it has had several times what they took. Where nobody is answered, maybe all went to the one that hangs,
and none of those that wait can leave to find another: how long that may be is `patience`.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Hashable
from itertools import count
from math import inf
from typing import Final, NamedTuple

_OVERTAKEN_BY: Final = 3
"""So many calls that left later have been answered."""
_PATIENCE_SECONDS: Final = 1.0
"""At least this long a call may take, whatever others do."""
_PATIENCE_TIMES: Final = 4
"""And so many times as long as the last that was answered."""


class Ended(NamedTuple):
    """How a call went."""

    is_overtaken: bool
    seconds: float
    """How long it took."""
    patience_seconds: float | None
    """For how long nobody was answered when it was given up for that; None: it was not."""


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
        self._slow: set[Hashable] = set()
        self._given_up: dict[Hashable, float] = {}  # of those begun: for how long all were silent
        self._answer_time = -inf
        self._newest = [0] * _OVERTAKEN_BY  # of those that were answered: the highest numbers
        self._answer_seconds = 0.0

    def begin(self, call: Hashable, *, is_slow: bool = False) -> None:
        """Notes that a call has left; a slow one's answer takes longer than those of others."""
        with self._lock:
            if is_slow:
                self._slow.add(call)
            self._begun[call] = next(self._order), self._monotonic()

    def end(self, call: Hashable, *, is_answered: bool, is_hung: bool = False) -> Ended:
        """Notes that a call has ended, once.

        Args:
            call: Which.
            is_answered: Whether its events were decided.
            is_hung: Whether there was no answer at all.
        """
        with self._lock:
            now = self._monotonic()
            number, since = self._begun.pop(call)
            self._slow.discard(call)
            if is_answered:
                heapq.heappushpop(self._newest, number)
                self._answer_seconds = now - since
            if not is_hung:
                self._answer_time = now
            return Ended(number < self._newest[0], now - since, self._given_up.pop(call, None))

    def late(self) -> list[Hashable]:
        """Returns the calls that are to be given up."""
        with self._lock:
            patience = max(_PATIENCE_SECONDS, _PATIENCE_TIMES * self._answer_seconds)
            until, newest = self._monotonic() - patience, self._newest[0]
            return [call for call, (number, since) in self._begun.items() if number < newest and since < until]

    def silent(self, patience_seconds: float) -> list[Hashable]:
        """Gives up and returns all calls, where none was answered for so long; none while one may take longer.

        An answer may come before they are cancelled: so it is noted here, under the lock that their ends take, and
        nothing is kept of a call that has ended.
        """
        with self._lock:
            if not self._begun or self._slow:
                return []
            _, oldest = next(iter(self._begun.values()))
            is_silent = self._monotonic() - max(oldest, self._answer_time) >= patience_seconds
            silent = list(self._begun) if is_silent else []
            self._given_up |= dict.fromkeys(silent, patience_seconds)
            return silent
