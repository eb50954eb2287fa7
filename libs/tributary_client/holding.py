"""What was taken and is not decided: in memory, and with a spool on disk.

The one rule: one lock, held for as long as it takes to put an event down or to take it away, and for a write to the
spool. Callers meet the worker's thread here and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from math import inf

from tributary_client.buffering import Buffering
from tributary_client.counters import Held
from tributary_client.entry import Entry
from tributary_client.errors import ClosedError, SpoolDamagedError
from tributary_client.ledger import Ledger
from tributary_client.spool import Spool, Spooling


class Holding:
    """Events from when they are taken until they are decided or given up. From any thread.

    Args:
        buffering: How much memory may hold.
        spooling: Where to keep them on disk, too; None: nowhere.
        kind: Of the events, as the spool tells kinds apart.
    """

    def __init__(self, buffering: Buffering, spooling: Spooling | None, kind: str) -> None:
        self._kind = kind
        self._buffering = buffering
        self._spooling = spooling
        self._lock = threading.Lock()
        self._ledger = Ledger()
        self._spool: Spool | None = None
        self._inbox: list[Entry] = []
        self._events = 0
        self._bytes = 0
        self._taken = 0
        self._unspooled = 0
        self._room: list[Future[None]] = []
        self._wakes_at: float = 1  # events in the inbox that make the worker worth waking
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._is_closed

    @property
    def is_hurried(self) -> bool:
        """Whether somebody waits for what is there."""
        return self._is_closed or self._ledger.is_awaited

    @property
    def has_backlog(self) -> bool:
        """Whether something waits on disk that is not in memory."""
        with self._lock:
            return self._spool is not None and self._spool.has_backlog

    def open(self) -> bool:
        """Opens the spool, if there shall be one and it is not open; tells whether the worker shall look at it.

        Earlier events are left in it, or what was left cannot be read.

        Raises:
            SpoolError: It cannot be used.
        """
        if self._spooling is None or self._spool is not None:
            return False
        with self._lock:
            if self._spool is not None or self._is_closed:
                return False
            self._spool = Spool(self._spooling, self._kind, self._ledger.issue)
            return self._spool.has_backlog or self._spool.has_damages

    def take(self, entry: Entry, *, waits: bool = True) -> Future[None] | bool:
        """Takes an event if there is room.

        Args:
            entry: The event.
            waits: Whether the caller waits for room if there is none. Whoever does not leaves nothing behind: an event
                that is dropped must cost no memory until the server answers.

        Returns:
            Whether the worker is worth waking; or, without room, what is done when it is worth trying again.

        Raises:
            ClosedError: Nothing is taken any more.
        """
        with self._lock:
            if self._is_closed:
                raise ClosedError("The client is closed; the event was not taken.")
            if not self._put(entry):
                room: Future[None] = Future()
                if waits:
                    self._room.append(room)
                return room
            self._taken += 1
            if len(self._inbox) < self._wakes_at:
                return False
            self._wakes_at = inf  # until the worker has looked
            return True

    def collect(self) -> list[Entry]:
        """Returns what was taken since the last time, and what is left in the spool as far as memory has room."""
        with self._lock:
            self._load()
            inbox, self._inbox = self._inbox, []
            return inbox

    def take_damages(self) -> list[SpoolDamagedError]:
        """Returns, once, which files of the spool cannot be read."""
        with self._lock:
            return self._spool.take_damages() if self._spool is not None else []

    def settle(self, entries: Sequence[Entry]) -> None:
        """Lets go of events that are decided or given up for good."""
        with self._lock:
            self._let_go(entries)
            if self._spool is not None:
                self._spool.settle(entries)
            room, self._room = self._room, []
        _resolve(room)

    def wait(self) -> Future[None]:
        """Returns what is done when all that was taken until now is settled, what is left in the spool included."""
        with self._lock:
            future = self._ledger.wait()
            over = self._ledger.advance()
        _resolve(over)
        return future

    def look_again(self, wakes_at: float) -> bool:
        """Tells those who wait, and whether more has come that the worker should not wait with.

        Args:
            wakes_at: How many more events make the worker worth waking.
        """
        with self._lock:
            over = self._ledger.advance()
            self._wakes_at = wakes_at
            has_more = bool(self._inbox) and (len(self._inbox) >= wakes_at or self.is_hurried)
        _resolve(over)
        return has_more

    def shut(self) -> bool:
        """Takes no more; tells whether that is new."""
        with self._lock:
            is_new, self._is_closed = not self._is_closed, True
            room, self._room = self._room, []
        _resolve(room)
        return is_new

    def close(self, left: Sequence[Entry]) -> None:
        """Forgets what is left in memory; with a spool, leaves it there."""
        with self._lock:
            self._let_go([*left, *self._inbox])
            self._inbox = []
            if self._spool is not None:
                self._spool.close()
            over = self._ledger.advance()
        _resolve(over)

    def abandon(self) -> None:
        """Forgets the spool, in a forked child: it is the parent's."""
        if self._spool is not None:
            self._spool.abandon()

    def held(self) -> Held:
        """Returns its numbers."""
        with self._lock:
            spool = self._spool
            return Held(
                taken=self._taken,
                open=self._ledger.open,
                events=self._events,
                bytes=self._bytes,
                spool_bytes=spool.bytes if spool is not None else 0,
                unspooled=self._unspooled,
                unreadable=spool.unreadable if spool is not None else 0,
            )

    def _put(self, entry: Entry) -> bool:
        size, limits = len(entry.body), self._buffering
        has_memory = not self._events or (self._events < limits.max_events and self._bytes + size <= limits.max_bytes)
        if self._spool is None:
            if has_memory:
                entry.number = self._ledger.issue()
                self._hold(entry)
            return has_memory
        if not self._spool.fits(entry):
            return False
        entry.number = self._ledger.issue()
        is_held = has_memory and not self._spool.has_backlog  # what is left on disk comes first
        if not self._spool.append(entry, hold=is_held):
            self._unspooled += has_memory
            is_held = has_memory
            if not has_memory:
                self._ledger.settle(entry.number)
                return False
        if is_held:
            self._hold(entry)
        return True

    def _hold(self, entry: Entry) -> None:
        self._inbox.append(entry)
        self._events += 1
        self._bytes += len(entry.body)

    def _load(self) -> None:
        limits = self._buffering
        # Not while memory is half full: a few at a time is slow.
        if self._spool is None or self._events > limits.max_events // 2 or not self._spool.has_backlog:
            return
        for entry in self._spool.load(limits.max_events - self._events, limits.max_bytes - self._bytes):
            self._hold(entry)
        for number in self._spool.take_lost():
            self._ledger.settle(number)

    def _let_go(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._events -= 1
            self._bytes -= len(entry.body)
            self._ledger.settle(entry.number)


def _resolve(futures: Sequence[Future[None]]) -> None:
    for future in futures:
        with suppress(InvalidStateError):  # who waited has left
            future.set_result(None)
