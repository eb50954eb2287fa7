"""The directory of one process within the spool's.

The one rule: a lane has one process. Several processes with one spool directory (the workers of a web server) each take
a lane of their own by a lock that the system lets go of when they die, however they die; whoever comes next takes over
what they left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tributary_client.errors import SpoolError

try:
    import fcntl
except ImportError:  # only POSIX has it
    fcntl = None  # type: ignore[assignment]

_MOST_LANES = 1024


class Lane:
    """A locked lane.

    Args:
        directory: Its own.
        fd: Of its lock.
    """

    def __init__(self, directory: Path, fd: int) -> None:
        self.directory = directory
        self._fd = fd

    def segments(self) -> list[int]:
        """Returns the numbers of the segments in it, in order."""
        return sorted(int(path.stem) for path in self.directory.glob("*.events") if path.stem.isdigit())

    def close(self) -> None:
        """Lets the lane go. In a forked child this only forgets it: the lock stays with the parent."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def take_lane(directory: Path, kind: str) -> Lane:
    """Locks the first lane that nobody has, and moves into it what processes left in others.

    Args:
        directory: Of the spool.
        kind: Of the lane; others are left alone.

    Raises:
        SpoolError: The directory cannot be used, or has no lane left.
    """
    if fcntl is None:
        raise SpoolError("A spool needs a POSIX system: it is locked with flock.")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths = (directory / f"{kind}-{number}" for number in range(_MOST_LANES))
        lane = next((lane for path in paths if (lane := _try_lane(path)) is not None), None)
        if lane is None:
            raise SpoolError(f"{directory}: {_MOST_LANES} processes have a lane of it already.")
        for left in _left_lanes(directory, kind, lane):
            _move(left, lane)
            left.close()
    except OSError as error:
        raise SpoolError(f"{directory}: {error.strerror or error}") from error
    return lane


def _try_lane(own: Path) -> Lane | None:
    own.mkdir(exist_ok=True, mode=0o700)
    fd = os.open(own / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return Lane(own, fd)


def _left_lanes(directory: Path, kind: str, ours: Lane) -> Iterator[Lane]:
    for path in sorted(directory.glob(f"{kind}-*")):
        if path == ours.directory or not any(path.glob("*.events")):
            continue
        lane = _try_lane(path)
        if lane is not None:
            yield lane


def _move(left: Lane, ours: Lane) -> None:
    number = max(ours.segments(), default=0)
    for segment in left.segments():
        number += 1
        # Events first: without their marks they are only sent again.
        for suffix in ("events", "done"):
            source = left.directory / f"{segment:010d}.{suffix}"
            target = ours.directory / f"{number:010d}.{suffix}"
            if suffix == "events":
                target.with_suffix(".done").unlink(missing_ok=True)
            if source.exists():
                source.rename(target)
