"""Events of somebody who was erased as rows that are written only then: what an erasure leaves (`strip_events`).

The one rule: that there was an event, when, and what became of it; by what is the same known again. Nothing else, but
where it is an entry of somebody's journey, that.
"""

from __future__ import annotations

from secrets import token_hex
from typing import Final

from tributary.dedup.v1.admitted_events_pb2 import AcceptContext, AdmittedEvent
from tributary_domain.erasures import SEVERED_PREFIX
from tributary_storage.clickhouse.event_rows import EVENT_COLUMNS, EventBatch, LogPlace

_KIND: Final = EVENT_COLUMNS.index("kind")
_ADMITTED: Final = EVENT_COLUMNS.index("admitted")
_DETAILS: Final = EVENT_COLUMNS.index("details")
_CONVERSION_ID: Final = EVENT_COLUMNS.index("conversion_id")
_ID_BYTES: Final = 16
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
    left = AdmittedEvent()
    event = left.event
    event.event_id, event.traffic = said.event.event_id, said.event.traffic
    event.event_time.CopyFrom(said.event.event_time)
    batch.add(place, index, letter, workspace, _known_again(left, said), context)
    row = list(batch.events[-1])
    row[_KIND], row[_ADMITTED] = _ERASED, b""
    batch.events[-1] = tuple(row)


def add_entry(
    batch: EventBatch,
    place: LogPlace,
    index: int,
    letter: str,
    workspace: str,
    admitted: bytes,
    entry: bytes,
    context: AcceptContext,
) -> None:
    """Adds an event that stays in a journey without the order that it observed.

    Under a random id, as any that was stripped: by that whoever reads it knows that it is no order any more. Where it
    is not known which the row had, no event of the same order is known to have the same. It is no conversion, either.

    Args:
        batch: As of `add_erased`; so are all others but one.
        place: Likewise.
        index: Likewise.
        letter: Likewise.
        workspace: Likewise.
        admitted: Likewise.
        entry: What is left of it in the journey.
        context: Likewise.

    Raises:
        PoisonEvent: It can never be a row; nothing was added.
    """
    said, left = AdmittedEvent.FromString(admitted), AdmittedEvent.FromString(entry)
    batch.add(place, index, letter, workspace, _known_again(left, said), context)
    row = list(batch.events[-1])
    row[_KIND], row[_ADMITTED] = _ERASED, entry
    row[_CONVERSION_ID] = left.conversion_id or SEVERED_PREFIX + token_hex(_ID_BYTES)
    if left.conversion_id:
        row[_DETAILS] = {**row[_DETAILS], "erased_order": left.conversion_id}
    batch.events[-1] = tuple(row)


def _known_again(left: AdmittedEvent, said: AdmittedEvent) -> bytes:
    """Returns what is left of an event with what became of it, and by what the same is known again."""
    left.verdict, left.payload_digest, left.source_rank = said.verdict, said.payload_digest, said.source_rank
    left.reasons.extend(said.reasons)
    left.event.origin = said.event.origin
    return left.SerializeToString()
