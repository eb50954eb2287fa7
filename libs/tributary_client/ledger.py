"""Which of the events handed over are still open, so that somebody can wait for those up to now.

The one rule: numbers are given in the order in which events are handed over, and settled in any order.
"""

from __future__ import annotations

from concurrent.futures import Future


class Ledger:
    """Gives numbers, and tells when all up to one are settled. Used under its owner's lock."""

    def __init__(self) -> None:
        self._last = 0
        self._settled: set[int] = set()
        self._watermark = 0
        self._waiting: list[tuple[int, Future[None]]] = []

    @property
    def open(self) -> int:
        """How many numbers are not settled."""
        return self._last - self._watermark - len(self._settled)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def issue(self) -> int:
        """Returns the next number."""
        self._last += 1
        return self._last

    def settle(self, number: int) -> None:
        """Notes that a number is settled."""
        self._settled.add(number)

    def wait(self) -> Future[None]:
        """Returns what is done when every number given until now is settled."""
        future: Future[None] = Future()
        self._waiting.append((self._last, future))
        return future

    def advance(self) -> list[Future[None]]:
        """Returns the waits that are over, to be told so without the lock."""
        while self._watermark + 1 in self._settled:
            self._watermark += 1
            self._settled.remove(self._watermark)
        over = [future for number, future in self._waiting if number <= self._watermark]
        if over:
            self._waiting = [one for one in self._waiting if one[0] > self._watermark]
        return over
