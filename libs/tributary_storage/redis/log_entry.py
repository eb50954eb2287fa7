"""One entry of the event log: the events of one or many callers, committed together in one shard and lane.

The one rule: an event that cannot be read is found alone; what is wrong with the entry as a whole is `PoisonEvent`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvents
from tributary_runtime.errors import PoisonEvent
from tributary_storage.redis.claims import SCHEMA
from tributary_storage.redis.keys import Lane

_APPENDED_LATER_MILLIS: Final = 5_000
"""An entry whose events were accepted so long before it was appended was put back: it was a dead letter."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What one stream entry says, and where it is."""

    shard: int
    lane: Lane
    entry_id: str
    """Of the stream: milliseconds-sequence."""
    schema: int
    payload: bytes
    """Serialised `AdmittedEvents`."""
    mask: str
    """One letter per event over all admissions: A accepted, M merged observation, Q quarantined, D duplicate,
    C conflict of the payload, V conflict of the order's value, R rejected."""
    accept_micros: int
    """By the log's clock, microseconds since 1970."""
    deliveries: int
    """How often it was handed to a worker, this time included."""
    is_put_back: bool = False
    """Whether it was a dead letter."""

    @property
    def place(self) -> tuple[int, Lane, str]:
        """Shard, lane and id: no other entry is there."""
        return self.shard, self.lane, self.entry_id

    @property
    def is_first_sight(self) -> bool:
        """Whether it was never handed to a worker before, and was appended when it was accepted: not put back later."""
        appended_millis = int(self.entry_id.partition("-")[0])
        return self.deliveries == 1 and appended_millis - self.accept_micros // 1000 < _APPENDED_LATER_MILLIS

    def admissions(self) -> list[tuple[int, Admission]]:
        """Takes the entry apart into its callers' admissions.

        Returns:
            (index of its first event in `mask`, admission), in order.

        Raises:
            PoisonEvent: Another version's entry, or one that was damaged.
        """
        if self.schema != SCHEMA:
            raise PoisonEvent("SCHEMA_UNKNOWN", f"The entry has schema {self.schema}; this version reads {SCHEMA}.")
        try:
            admitted = AdmittedEvents.FromString(self.payload)
        except DecodeError as error:
            raise PoisonEvent("ENTRY_UNREADABLE", "The payload is no AdmittedEvents.") from error
        found, first = [], 0
        for admission in admitted.admissions:
            found.append((first, admission))
            first += len(admission.events)
        if first != len(self.mask):
            raise PoisonEvent("MASK_MISMATCH", f"The mask has {len(self.mask)} letters for {first} events.")
        return found

    def events(self) -> Iterator[LoggedEvent]:
        """Yields every event, duplicates included, in order.

        Raises:
            PoisonEvent: As for `admissions`, before the first event.
        """
        for first, admission in self.admissions():
            for position, event in enumerate(admission.events, first):
                yield LoggedEvent(position, self.mask[position], admission, event)


class LoggedEvent(NamedTuple):
    """One event of an entry."""

    position: int
    """Which event of the entry, over all admissions, from 0."""
    letter: str
    """Of the mask."""
    admission: Admission
    """Whose it is."""
    admitted: bytes
    """Serialised `AdmittedEvent`."""
