"""What a client knows of itself: numbers to put into one's own metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tributary.event.v1 import verdict_pb2

_NAMES = {number: name.removeprefix("VERDICT_").lower() for name, number in verdict_pb2.Verdict.items()}


@dataclass(frozen=True, slots=True)
class Counters:
    """A moment's numbers. Those that only grow begin at zero with the client, and in a forked child."""

    tracked: int
    """Events taken to be sent in the background."""
    accepted: int
    """Of these: new."""
    duplicate: int
    """Of these: known already, for example because an answer was lost."""
    conflict: int
    """Of these: the id, or the order, is known with another content."""
    rejected: int
    """Of these: wrong as they are."""
    quarantined: int
    """Of these: kept apart."""
    valid: int
    """Of these: would be accepted (`validate_only`)."""
    dropped: int
    """Events given up: no room, closed, or refused by the server."""
    open: int
    """Events taken and neither decided nor dropped, those in the spool included."""
    in_memory: int
    """Of these: held in memory."""
    bytes_in_memory: int
    """Their size."""
    waiting: int
    """Of these: answered UNDECIDED, to be sent again."""
    undecided: int
    """Answers UNDECIDED so far."""
    sent: int
    """Batches sent in the background, repetitions included."""
    failed: int
    """Of these: failed as a whole."""
    resent: int
    """Events sent again, by `ingest` too. After a lost answer one that was accepted is answered DUPLICATE: a tally of
    verdicts may be off by at most this."""
    spool_bytes: int
    """Size of the spool on disk."""
    unspooled: int
    """Events that the spool could not take, because of its disk, and that were held in memory alone."""
    unreadable: int
    """Records of the spool that were damaged, and lost; not among those dropped. `on_drop` is told of each file."""
    callback_errors: int
    """Callbacks that raised."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is taken and not decided, in numbers; as in `Counters`."""

    taken: int
    open: int
    events: int
    bytes: int
    spool_bytes: int
    unspooled: int
    unreadable: int


@dataclass(slots=True)
class Tally:
    """The numbers that only grow, while they do."""

    verdicts: Counter[int] = field(default_factory=Counter)
    dropped: int = 0
    undecided: int = 0
    sent: int = 0
    failed: int = 0
    resent: int = 0
    callback_errors: int = 0

    def named(self) -> dict[str, int]:
        """Returns the verdicts by name."""
        return {name: self.verdicts[number] for number, name in _NAMES.items()}
