"""Events of somebody who was erased as rows that are written only then: what an erasure leaves (`strip_events`).

The one rule: that there was an event, when, and what became of it; by what is the same known again. Nothing else.
"""

from __future__ import annotations

from typing import Final

from tributary.dedup.v1.admitted_events_pb2 import AcceptContext, AdmittedEvent
from tributary_storage.clickhouse.event_rows import EVENT_COLUMNS, EventBatch, LogPlace

_KIND: Final = EVENT_COLUMNS.index("kind")
_ADMITTED: Final = EVENT_COLUMNS.index("admitted")
_ERASED: Final = "erased"
"""A kind that nobody counts, or is credited by."""


def add_erased(
    batch: EventBatch,
    place: LogPlace,
    index: int,
    letter: str,
    workspace: str,
    admitted: bytes,
    context: AcceptContext,
) -> None:
    """Adds what is left of one event of an entry to a batch.

    Args:
        batch: Where to.
        place: Of the entry.
        index: As of `EventBatch.add`.
        letter: Of one that has a row in `events`.
        workspace: Whose.
        admitted: The event as it was accepted.
        context: Of its admission.

    Raises:
        PoisonEvent: It can never be a row; nothing was added.
    """
    said = AdmittedEvent.FromString(admitted)
    left = AdmittedEvent(verdict=said.verdict, reasons=said.reasons, payload_digest=said.payload_digest)
    left.source_rank = said.source_rank
    event = left.event
    event.event_id, event.traffic, event.origin = said.event.event_id, said.event.traffic, said.event.origin
    event.event_time.CopyFrom(said.event.event_time)
    batch.add(place, index, letter, workspace, left.SerializeToString(), context)
    row = list(batch.events[-1])
    row[_KIND], row[_ADMITTED] = _ERASED, b""
    batch.events[-1] = tuple(row)
