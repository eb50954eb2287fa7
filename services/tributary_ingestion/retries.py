"""Events that are refused for nothing but their time, of which it is asked first whether they are known.

The one rule: a retry of an event that was accepted is never told REJECTED for its time. It may come once the event has
left the accept window, or tell another time of its sender's clock; what was accepted keeps the time it was accepted
with. Hardly any event is refused for its time alone, and only these are asked about, all of a call at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from tributary_domain.event_times import CLAIMS_LAST_MICROS
from tributary_ingestion.admission import Admission
from tributary_ingestion.packed import Packed


async def recognise(
    admission: Admission, packed: Sequence[Packed], receive_micros: int, remaining_seconds: float | None
) -> Sequence[Packed]:
    """Returns one call's events, those that are known as if they had come in time: they are decided on as others are.

    An event that was accepted longer ago than claims surely live is not known any more: its claim may be gone by the
    time when it is decided on, and it would be counted again.

    Args:
        admission: The way to dedup.
        packed: The events.
        receive_micros: When the call came.
        remaining_seconds: How long the caller still waits; `None`: for ever.

    Raises:
        UnavailableError: Nobody can tell; send the same again.
    """
    asked = [one for one in packed if one.if_known is not None]
    if not asked:
        return packed
    times = await admission.first_accepted([one.event_digest for one in asked], remaining_seconds)
    known = {
        one.event_digest
        for one, micros in zip(asked, times, strict=True)
        if receive_micros - micros <= CLAIMS_LAST_MICROS
    }
    return [one.if_known if one.if_known is not None and one.event_digest in known else one for one in packed]
