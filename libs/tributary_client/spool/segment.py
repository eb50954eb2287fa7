"""One file of the spool, and beside it which of its events are decided.

`<number>.events`: a header (magic, version, random id), then per event a record (`records`). `<number>.done`: a header
with the same id, then ranges of decided events: first, last, CRC-32. Both are only appended to, by one process. What is
damaged is kept beside it, and nothing else of the file: `<id>.damaged`.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from tributary_client.entry import Entry, Place
from tributary_client.spool.records import RECORD_BYTES, is_half, packed, records

_HEADER: Final = struct.Struct("<4sI16s")
_MAGIC: Final = b"TRBS"
_VERSION: Final = 1
_RANGE: Final = struct.Struct("<III")
_STAMPED: Final = 1
RECORD_OVERHEAD: Final = RECORD_BYTES + 2
HEADER_BYTES: Final = _HEADER.size
KEPT_ASIDE: Final = ".damaged"
"""Ends the name of a file of bytes that are kept because they cannot be read."""


class Damage(NamedTuple):
    """What cannot be read."""

    records: int
    bytes: int

    def and_also(self, records: int, size: int) -> Damage:
        """Returns both together."""
        return Damage(self.records + records, self.bytes + size)


class Segment:
    """A segment. Used under its owner's lock.

    Args:
        directory: Of the lane.
        number: Of the segment; those that come later are higher.
        identity: 16 random bytes, that tie the two files together.
    """

    def __init__(self, directory: Path, number: int, identity: bytes) -> None:
        self.number = number
        self._events = directory / f"{number:010d}.events"
        self._done = directory / f"{number:010d}.done"
        self._identity = identity
        self._write_fd = -1
        self._done_fd = -1
        self._decided: set[int] = set()
        self._numbers: array[int] = array("Q")  # of each event, in its client's order
        self._next_index = 0
        self._next_offset = _HEADER.size
        self.size = 0
        """Bytes of the file of events."""
        self._damage = Damage(0, 0)
        self._unsaid: list[int] = []
        self._unkept: list[tuple[int, int]] = []  # where unreadable bytes begin and end

    @classmethod
    def create(cls, directory: Path, number: int, *, fsync: bool) -> Segment:
        """Makes an empty segment, to be appended to; with `fsync` one that a power cut would leave there.

        Raises:
            OSError: The disk does not want it; nothing is left of it.
        """
        segment = cls(directory, number, os.urandom(16))
        segment._done.unlink(missing_ok=True)  # of a segment that was taken away half
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        segment._write_fd = os.open(segment._events, flags, 0o600)
        try:
            segment.size = os.write(segment._write_fd, _HEADER.pack(_MAGIC, _VERSION, segment._identity))
            if segment.size != _HEADER.size:
                raise OSError("The disk took half a header.")
            if fsync:
                _sync(directory)
        except OSError:
            segment.remove()  # else a full disk costs a file and a descriptor per event
            raise
        return segment

    @classmethod
    def recover(cls, directory: Path, number: int) -> Segment | None:
        """Reads a segment that another process left, to be emptied; None if it is none.

        Raises:
            OSError: It cannot be read.
        """
        path = directory / f"{number:010d}.events"
        content = path.read_bytes()
        if len(content) < _HEADER.size:
            if _MAGIC.startswith(content[: len(_MAGIC)]):  # half a header: a power cut before the first event
                path.unlink()
            return None
        magic, version, identity = _HEADER.unpack_from(content)
        if magic != _MAGIC or version != _VERSION:
            return None
        segment = cls(directory, number, identity)
        good_end = _HEADER.size
        bad: dict[int, tuple[int, int]] = {}
        for payload, end in records(content, _HEADER.size):
            if payload is None:
                bad[len(segment._numbers)] = good_end, end
            segment._numbers.append(0)
            good_end = end
        segment._read_done()
        for index in sorted(bad.keys() - segment._decided):
            segment._lose(index, *bad[index])
        segment.size = good_end
        if is_half(content, good_end):
            return segment
        segment.size = len(content)
        if good_end < len(content) and not segment.kept_aside.exists():  # else this was said before
            segment._damage = segment._damage.and_also(1, len(content) - good_end)
            segment._unkept.append((good_end, len(content)))
        return segment

    @property
    def kept_aside(self) -> Path:
        """Where what is damaged of it is kept, whatever becomes of the file."""
        return self._events.with_name(f"{self._identity.hex()}{KEPT_ASIDE}")

    def take_damage(self) -> Damage:
        """Returns what cannot be read and was not said yet; keeps it, and leaves a note that it was said."""
        damage, self._damage = self._damage, Damage(0, 0)
        if damage.records:
            self.settle(self._unsaid)
            self._unsaid = []
            self._keep_aside()
        return damage

    @property
    def count(self) -> int:
        """How many events it holds."""
        return len(self._numbers)

    @property
    def is_done(self) -> bool:
        """Whether every event of it is decided."""
        return len(self._decided) >= len(self._numbers)

    @property
    def has_unloaded(self) -> bool:
        """Whether it holds events that nobody has in memory."""
        return self._next_index < len(self._numbers)

    def open_indices(self) -> Iterator[int]:
        """Yields the places of events that are not decided."""
        return (index for index in range(len(self._numbers)) if index not in self._decided)

    def name(self, index: int, number: int) -> None:
        """Gives a recovered event its place in the client's order."""
        self._numbers[index] = number

    def append(self, entry: Entry, *, hold: bool, fsync: bool) -> None:
        """Adds an event, and says in it where it is.

        Args:
            entry: The event.
            hold: Whether the caller keeps it in memory, so that it is not loaded.
            fsync: Whether to wait until it would survive a power cut.

        Raises:
            OSError: The disk does not take it; the segment is as it was.
        """
        traceparent = entry.traceparent.encode("ascii", "ignore")[:255]
        payload = bytes((_STAMPED if entry.is_stamped else 0, len(traceparent))) + traceparent + entry.body
        record = packed(payload)
        try:
            if os.write(self._write_fd, record) != len(record):
                raise OSError("The disk took half a record.")
            if fsync:
                os.fsync(self._write_fd)
        except OSError:
            os.ftruncate(self._write_fd, self.size)
            raise
        entry.place = Place(self.number, len(self._numbers))
        self._numbers.append(entry.number)
        self.size += len(record)
        if hold:
            self._next_index, self._next_offset = len(self._numbers), self.size

    def load(self, most_events: int, most_bytes: int) -> tuple[list[Entry], list[int]]:
        """Reads the next events that nobody has in memory.

        Returns:
            The events; and the numbers of those that cannot be read any more. One at least of either, if there are any.

        Raises:
            OSError: The file cannot be read.
        """
        entries: list[Entry] = []
        lost: list[int] = []
        size = 0
        with self._events.open("rb") as file:
            content = memoryview(os.pread(file.fileno(), self.size - self._next_offset, self._next_offset))
        begin = self._next_offset
        read_to = 0
        for payload, end in records(content, 0):
            if entries and (len(entries) >= most_events or size >= most_bytes):
                break
            index = self._next_index
            self._next_index, self._next_offset = index + 1, begin + end
            if index not in self._decided and payload is None:
                lost.append(self._numbers[index])
                self._lose(index, begin + read_to, begin + end)
            elif index not in self._decided and payload is not None:
                entries.append(self._entry(index, payload))
                size += len(entries[-1].body)
            read_to = end
            if self._next_index == len(self._numbers):
                return entries, lost
        else:  # damaged before its end
            gone = [index for index in self.open_indices() if index >= self._next_index]
            lost += [self._numbers[index] for index in gone]
            for index in gone:
                self._lose(index, self.size, self.size)
            if gone:
                self._damage = self._damage.and_also(0, self.size - self._next_offset)
                self._unkept.append((self._next_offset, self.size))
            self._next_index, self._next_offset = len(self._numbers), self.size
        return entries, lost

    def settle(self, indices: Sequence[int]) -> None:
        """Notes that events are decided. What the disk does not take of that costs a repetition."""
        ranges = bytearray()
        first = last = -1
        for index in [*sorted(indices), -1]:
            if index == last + 1 and first >= 0:
                last = index
                continue
            if first >= 0:
                ranges += _RANGE.pack(first, last, zlib.crc32(struct.pack("<II", first, last)))
            first = last = index
        self._decided.update(indices)
        try:
            if self._done_fd < 0:
                is_new = not self._done.exists()
                self._done_fd = os.open(self._done, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                if is_new:
                    ranges[:0] = _HEADER.pack(_MAGIC, _VERSION, self._identity)
            os.write(self._done_fd, ranges)
        except OSError:
            return

    def remove(self) -> None:
        """Deletes the files."""
        self.close()
        self._keep_aside()  # where there was no room when it was found
        self._events.unlink(missing_ok=True)  # first: a segment without marks repeats, marks without a segment lie
        self._done.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets the files go, in this process."""
        for fd in (self._write_fd, self._done_fd):
            if fd >= 0:
                os.close(fd)
        self._write_fd = self._done_fd = -1

    def _entry(self, index: int, payload: memoryview) -> Entry:
        length = payload[1]
        traceparent = bytes(payload[2 : 2 + length]).decode("ascii")
        entry = Entry(bytes(payload[2 + length :]), traceparent, is_stamped=bool(payload[0] & _STAMPED))
        entry.number = self._numbers[index]
        entry.place = Place(self.number, index)
        return entry

    def _lose(self, index: int, begin: int, end: int) -> None:
        """Notes that an event cannot be read, whose bytes are there."""
        self._decided.add(index)
        self._unsaid.append(index)
        self._damage = self._damage.and_also(1, end - begin)
        if begin < end:
            self._unkept.append((begin, end))

    def _keep_aside(self) -> None:
        """Adds what cannot be read to what is kept; without room for it, it is tried once more."""
        if not self._unkept:
            return
        with suppress(OSError):
            content = self._events.read_bytes()
            fd = os.open(self.kept_aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(fd, "ab") as file:
                file.write(b"".join(content[begin:end] for begin, end in self._unkept))
            self._unkept.clear()

    def _read_done(self) -> None:
        try:
            content = self._done.read_bytes()
        except FileNotFoundError:
            return
        if content[: _HEADER.size] != _HEADER.pack(_MAGIC, _VERSION, self._identity):
            return
        for at in range(_HEADER.size, len(content) - _RANGE.size + 1, _RANGE.size):
            first, last, checksum = _RANGE.unpack_from(content, at)
            if checksum != zlib.crc32(content[at : at + 8]) or last >= len(self._numbers):
                return
            self._decided.update(range(first, last + 1))


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
