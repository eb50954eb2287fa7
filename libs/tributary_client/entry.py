"""One event on its way: its bytes, and where it stands.

The one rule: an event is made bytes once, when the caller hands it over. What the caller does with it afterwards, and
how often it is sent, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the spool an event is kept until it is decided."""

    segment: int
    """Number of the segment."""
    index: int
    """Its place in the segment, from 0."""


class Entry:
    """An event that waits to be decided."""

    __slots__ = ("body", "is_stamped", "number", "place", "traceparent", "tries")

    def __init__(self, body: bytes, traceparent: str = "", *, is_stamped: bool = False) -> None:
        self.body = body
        """A serialised `Event` with an id."""
        self.traceparent = traceparent
        """W3C; empty if it belongs to no trace."""
        self.is_stamped = is_stamped
        """Whether its time is this machine's, so that each attempt says when it is made (`Event.sent_time`)."""
        self.number = 0
        """Its place in the order in which events were handed over."""
        self.tries = 0
        """How often it was sent."""
        self.place: Place | None = None
        """In the spool; None: in memory alone."""

    @property
    def event(self) -> Event:
        """The event, read anew."""
        return Event.FromString(self.body)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of an event, for `on_verdict`."""

    verdict: EventVerdict
    """The answer: event id, verdict, reasons, conversion id."""
    body: bytes = field(repr=False)
    """The event, serialised; not shown in a log, for it may hold what is personal."""

    @property
    def event(self) -> Event:
        """The event, read anew."""
        return Event.FromString(self.body)


@dataclass(frozen=True, slots=True)
class Loss:
    """An event that the client gives up, for `on_drop`."""

    body: bytes = field(repr=False)
    """The event, serialised; not shown in a log, for it may hold what is personal. Empty where nobody can read it."""
    error: Exception
    """Why: BufferFullError, ClosedError, InvalidBatchError where the server refuses to read it, or SpoolDamagedError,
    which stands for all events of a file that the disk did not keep."""

    @property
    def event(self) -> Event:
        """The event, read anew."""
        return Event.FromString(self.body)
