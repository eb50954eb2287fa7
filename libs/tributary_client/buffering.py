"""How much may wait to be sent, and what happens to what comes then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class WhenFull(Enum):
    """What to do with an event for which there is no room."""

    BLOCK = "block"
    """Its caller waits for room, and is told `BufferFullError` when that takes longer than `block_seconds`."""
    DROP = "drop"
    """It is dropped at once, and `on_drop` is told."""


@dataclass(frozen=True, slots=True)
class Buffering:
    """How much may be held in memory until it is decided. With a spool, what is more waits on disk."""

    max_events: int = 50_000
    """Events at most. Python adds some 300 bytes to each."""
    max_bytes: int = 64 * 1024 * 1024
    """Their size at most."""
    when_full: WhenFull = WhenFull.BLOCK
    """What happens then; with a spool, when that is full."""
    block_seconds: float = 5.0
    """How long a caller waits for room, with `WhenFull.BLOCK`."""

    def __post_init__(self) -> None:
        """Refuses bounds that let nothing through."""
        if self.max_events < 1 or self.max_bytes < 1 or self.block_seconds < 0:
            raise ValueError("max_events and max_bytes must be positive, block_seconds not negative")
