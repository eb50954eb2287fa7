"""The spool of one process: segments in order, the oldest first.

The one rule: it never grows beyond its bound, and what it holds is never taken out to make room.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tributary_client.clock import SystemClock
from tributary_client.entry import Entry
from tributary_client.errors import SpoolDamagedError
from tributary_client.spool.lane import take_lane
from tributary_client.spool.segment import HEADER_BYTES, KEPT_ASIDE, RECORD_OVERHEAD, Segment

log = logging.getLogger("tributary_client")

_KEPT_ASIDE: Final = 8
"""Files of what cannot be read, of one process: the newest. A disk that spoils each of them must not be filled."""
_KEPT_NANOS: Final = 30 * 86_400 * 10**9
"""How long such a file is kept: there may be people's plain data in it."""


@dataclass(frozen=True, slots=True)
class Spooling:
    """Where events are kept on disk until they are decided."""

    directory: str | Path
    """Of this machine, not of a network; of one workspace. Processes may share it: each has a lane of its own in it."""
    max_bytes: int = 256 * 1024 * 1024
    """Per process; then `Buffering.when_full` says what happens. What is kept because it cannot be read, 8 files
    at most and for 30 days, is beside it."""
    segment_bytes: int = 4 * 1024 * 1024
    """Size of a file; one is deleted when all its events are decided."""
    fsync: bool = False
    """Whether tracking waits until the event would survive a power cut, too: some milliseconds each. Without, it
    survives any end of the process."""

    def __post_init__(self) -> None:
        """Refuses a spool that cannot hold two files."""
        if self.segment_bytes < 1 or self.max_bytes < 2 * self.segment_bytes:
            raise ValueError("max_bytes must be at least twice segment_bytes")


class Spool:
    """A spool, opened. Used under its owner's lock.

    Args:
        spooling: Where, and how much.
        kind: Of the events. What one kind left is never taken for another: history is not sent as live.
        issue: Gives each event that is left from earlier its number in the client's order.

    Raises:
        SpoolError: The directory cannot be used.
    """

    def __init__(self, spooling: Spooling, kind: str, issue: Callable[[], int]) -> None:
        self._spooling = spooling
        self._lane = take_lane(Path(spooling.directory), kind)
        self._segments: dict[int, Segment] = {}
        self._current: Segment | None = None
        self._last_number = 0
        self._lost: list[int] = []
        self._damages: list[SpoolDamagedError] = []
        self._is_broken = False
        self.unreadable = 0
        """Records that were damaged."""
        for number in self._lane.segments():
            self._last_number = number
            self._recover(number, issue)
        self._tidy()

    @property
    def bytes(self) -> int:
        """Its size on disk, marks of decided events apart."""
        return sum(segment.size for segment in self._segments.values())

    @property
    def has_backlog(self) -> bool:
        """Whether it holds events that nobody has in memory."""
        return any(segment.has_unloaded for segment in self._segments.values())

    def fits(self, entry: Entry) -> bool:
        """Tells whether there is room for an event."""
        more = len(entry.body) + len(entry.traceparent) + RECORD_OVERHEAD
        if self._needs_segment():
            more += HEADER_BYTES
        return self.bytes + more <= self._spooling.max_bytes

    def append(self, entry: Entry, *, hold: bool) -> bool:
        """Keeps an event; tells whether the disk took it.

        Args:
            entry: The event, with its number.
            hold: Whether the caller keeps it in memory, too.
        """
        try:
            if self._needs_segment():
                self._begin_segment()
            if self._current is not None:
                self._current.append(entry, hold=hold, fsync=self._spooling.fsync)
        except OSError as error:
            if not self._is_broken:
                log.warning("The spool cannot be written, events are held in memory alone: %s", error)
            self._is_broken = True
            return False
        self._is_broken = False
        return True

    def load(self, most_events: int, most_bytes: int) -> list[Entry]:
        """Takes events into memory, the oldest first."""
        loaded = self._load(most_events, most_bytes)
        for segment in [one for one in self._segments.values() if one.is_done and one is not self._current]:
            self._remove(segment)  # all that was left of it cannot be read
        return loaded

    def take_lost(self) -> list[int]:
        """Returns the numbers of events that cannot be read any more, once."""
        lost, self._lost = self._lost, []
        return lost

    @property
    def has_damages(self) -> bool:
        """Whether `take_damages` returns any."""
        return bool(self._damages)

    def take_damages(self) -> list[SpoolDamagedError]:
        """Returns which files cannot be read, in whole or in part; each once."""
        damages, self._damages = self._damages, []
        return damages

    def settle(self, entries: Iterable[Entry]) -> None:
        """Lets go of events that are decided, or given up."""
        by_segment: defaultdict[int, list[int]] = defaultdict(list)
        for entry in entries:
            if entry.place is not None:
                by_segment[entry.place.segment].append(entry.place.index)
        for number, indices in by_segment.items():
            segment = self._segments[number]
            segment.settle(indices)
            if segment.is_done and (segment is not self._current or segment.size >= self._spooling.segment_bytes // 4):
                self._remove(segment)

    def close(self) -> None:
        """Leaves what is not decided to the next process."""
        for segment in list(self._segments.values()):
            if segment.is_done:
                self._remove(segment)
            segment.close()
        self._tidy()
        self._lane.close()

    def abandon(self) -> None:
        """Forgets everything, in a forked child: it belongs to the parent."""
        for segment in self._segments.values():
            segment.close()
        self._lane.close()

    def _load(self, most_events: int, most_bytes: int) -> list[Entry]:
        loaded: list[Entry] = []
        for segment in self._segments.values():
            while segment.has_unloaded and len(loaded) < most_events and most_bytes > 0:
                try:
                    entries, lost = segment.load(most_events - len(loaded), most_bytes)
                except OSError as error:
                    log.warning("The spool cannot be read, and is tried again: %s", error)
                    return loaded
                loaded += entries
                most_bytes -= sum(len(entry.body) for entry in entries)
                self._lost += lost
                self._look_after(segment)
        return loaded

    def _needs_segment(self) -> bool:
        return self._current is None or self._current.size >= self._spooling.segment_bytes

    def _begin_segment(self) -> None:
        if self._current is not None and self._current.is_done:
            self._remove(self._current)
        self._current = None
        self._tidy()
        number = self._last_number + 1
        segment = Segment.create(self._lane.directory, number, fsync=self._spooling.fsync)
        self._current = self._segments[number] = segment
        self._last_number = number

    def _remove(self, segment: Segment) -> None:
        del self._segments[segment.number]
        if segment is self._current:
            self._current = None
        try:
            segment.remove()
        except OSError as error:  # it will be sent again, and be known
            log.warning("The spool could not delete a file: %s", error)

    def _recover(self, number: int, issue: Callable[[], int]) -> None:
        path = self._lane.directory / f"{number:010d}.events"
        try:
            segment = Segment.recover(self._lane.directory, number)
            size = path.stat().st_size if segment is None and path.exists() else 0
        except OSError as error:
            log.warning("The spool cannot read a file of it: %s", error)
            self._lose(path, 0, 0)
            return
        if segment is None:
            if size:  # a file that is none of its own, as far as can be told: left alone
                self._lose(path, 0, size)
            return
        self._segments[number] = segment
        self._look_after(segment)
        if segment.is_done:
            self._remove(segment)
            return
        for index in segment.open_indices():
            segment.name(index, issue())

    def _look_after(self, segment: Segment) -> None:
        """Notes what of a segment cannot be read."""
        records, size = segment.take_damage()
        if records:
            self._lose(segment.kept_aside, records, size)
            if segment is self._current:  # whoever reads the file again may not come past the damage
                self._current = None
            self._tidy()

    def _tidy(self) -> None:
        """Deletes what cannot be read and was kept for long enough, also of processes that are no more."""
        oldest = SystemClock().unix_nanos() - _KEPT_NANOS  # of this machine, which also dates files
        own = sorted(self._lane.directory.glob(f"*{KEPT_ASIDE}"), key=_changed)
        old = [path for path in Path(self._spooling.directory).glob(f"*/*{KEPT_ASIDE}") if _changed(path) < oldest]
        for path in (*own[:-_KEPT_ASIDE], *old):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _lose(self, path: Path, records: int, size: int) -> None:
        self.unreadable += records or 1
        self._damages.append(SpoolDamagedError(path, records, size))


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
