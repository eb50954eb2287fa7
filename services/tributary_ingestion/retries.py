"""Events that are refused for nothing but their time, of which it is asked first whether they are known.

The one rule: a retry of an event that was accepted is never told REJECTED for its time. It may come once the event has
left the accept window, or tell another time of its sender's clock; what was accepted keeps the time it was accepted
with. Hardly any event is refused for its time alone, and only these are asked about, all of a call at once. Where
nobody can tell, they are UNDECIDED, and the neighbours' verdicts stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from tributary_domain.event_times import CLAIMS_LAST_MICROS
from tributary_ingestion.admission import RETRY_DELAY_SECONDS, UNANSWERED, Admission
from tributary_ingestion.packed import Packed
from tributary_runtime.errors import UnavailableError

log = structlog.get_logger(__name__)


class Recognised(NamedTuple):
    """One call's events, once it is known which of them are."""

    packed: Sequence[Packed]
    """Those that are known as if they had come in time: they are decided on as others are."""
    unanswered: Sequence[int] = ()
    """Places of events of which nobody can tell now."""
    retry_delay_seconds: float = 0.0
    """When to send these again."""


async def recognise(
    admission: Admission, packed: Sequence[Packed], receive_micros: int, remaining_seconds: float | None
) -> Recognised:
    """Returns one call's events, as what they are decided on.

    An event that was accepted longer ago than claims surely live is not known any more: its claim may be gone by the
    time when it is decided on, and it would be counted again.

    Args:
        admission: The way to dedup.
        packed: The events.
        receive_micros: When the call came.
        remaining_seconds: How long the caller still waits; `None`: for ever.

    Raises:
        UnavailableError: Nobody can tell, and all events had to be asked about; send the same again.
    """
    asked = [at for at, one in enumerate(packed) if one.if_known is not None]
    if not asked:
        return Recognised(packed)
    delay = RETRY_DELAY_SECONDS
    try:
        times = await admission.first_accepted([packed[at].event_digest for at in asked], remaining_seconds)
    except UnavailableError as error:
        if len(asked) == len(packed):
            raise
        times, delay = [UNANSWERED] * len(asked), error.retry_delay_seconds
    found, unanswered = list(packed), []
    for at, micros in zip(asked, times, strict=True):
        if micros == UNANSWERED:
            unanswered.append(at)
        if micros == UNANSWERED or receive_micros - micros <= CLAIMS_LAST_MICROS:
            found[at] = packed[at].if_known or packed[at]
    if not unanswered:
        return Recognised(found)
    log.warning("claims_unanswered", events=len(unanswered))
    return Recognised(found, unanswered, delay)
