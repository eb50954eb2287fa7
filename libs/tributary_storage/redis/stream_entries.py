"""Entries of a stream as a consumer reads them, and how many it reads at once.

The one rule: an entry is whole; what it means is its reader's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

PUT_BACK: Final = "put_back"
"""Field of an entry that was a dead letter; whoever does not know it handles the entry as any other."""


def is_put_back(fields: Mapping[bytes, bytes]) -> bool:
    """Returns whether an entry was a dead letter."""
    return PUT_BACK.encode() in fields


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry as it was read."""

    stream: str
    entry_id: str
    """Of the stream: milliseconds-sequence."""
    fields: Mapping[bytes, bytes]
    deliveries: int
    """How often it was handed to a worker, this time included."""

    @property
    def append_micros(self) -> int:
        """When it was appended, by Redis' clock, microseconds since 1970."""
        return int(self.entry_id.partition("-")[0]) * 1_000


def _one(_: StreamEntry) -> int:
    return 1


@dataclass(frozen=True, slots=True)
class Portion:
    """How much a consumer reads at once."""

    size: int
    """About how much a batch should hold over all streams, as `weigh` counts."""
    per_stream: int
    """For how many entries each stream is asked at first; later, what entries turned out to weigh decides."""
    taken_over: int
    """How many entries of each stream are read again, or taken over, at once; fewer where entries are heavy."""
    linger_seconds: float
    """How long after the last read a batch that is smaller waits for more: there is about one such batch in so many
    seconds, and what comes after a quiet time does not wait.
    """
    idle_seconds: float
    """After how long what another consumer read and never acknowledged is taken over."""
    weigh: Callable[[StreamEntry], int] = _one
    """How much of `size` an entry is."""
    wait_seconds: float = 1.0
    """How long a read waits for anything at all, before it returns none."""
