"""Events that cannot be decided on now, kept out of what is admitted.

The one rule: they are UNDECIDED, and the neighbours' verdicts stand. Most of a batch are people who came before, and
what happened just now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tributary.event.v1 import verdict_pb2
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_ingestion import late_events
from tributary_ingestion.admission import Admission, Outcomes, put_together
from tributary_ingestion.caller_events import Sender
from tributary_ingestion.packed import Packed
from tributary_runtime.errors import StorageUnavailableError


class Held(NamedTuple):
    """Events of one call that are held for one reason."""

    places: Sequence[int]
    """Where they are in the call; no event is held for two reasons."""
    reason: verdict_pb2.ReasonCode.ValueType
    retry_delay_seconds: float
    """When to send them again."""


async def admit(
    admission: Admission,
    sender: Sender,
    receive_micros: int,
    packed: Sequence[Packed],
    fields: Sequence[bytes],
    held: Sequence[Held],
    remaining_seconds: float | None,
    *,
    is_crowded: bool,
) -> Outcomes:
    """Returns what became of one call's events, in order; those that are held are not admitted.

    All other arguments, and errors, are as of `late_events.admit`.
    """

    async def some(chosen: Sequence[Packed], fields: Sequence[bytes]) -> Outcomes:
        return await late_events.admit(
            admission, sender, receive_micros, chosen, fields, remaining_seconds, is_crowded=is_crowded
        )

    places = {at for one in held for at in one.places}
    if not places:
        return await some(packed, fields)
    others = [at for at in range(len(packed)) if at not in places]
    if not others:
        message = "Nothing of this can be decided on now; send the same events again, with the same ids."
        delay = max(one.retry_delay_seconds for one in held)
        raise StorageUnavailableError(message, retry_delay_seconds=delay)
    outcomes = await some([packed[at] for at in others], [fields[at] for at in others])
    return put_together(len(packed), [(others, outcomes), *((one.places, _undecided(one)) for one in held)])


def _undecided(held: Held) -> Outcomes:
    record = OUTCOME_RECORD.pack(verdict_pb2.VERDICT_UNDECIDED, held.reason, 0, 0)
    return Outcomes(record * len(held.places), held.retry_delay_seconds)
