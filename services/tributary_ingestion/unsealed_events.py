"""Events whose match keys cannot be sealed now, kept out of what is admitted.

The one rule: they are UNDECIDED, and the neighbours' verdicts stand. Most of a batch are people who came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tributary.event.v1 import verdict_pb2
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_ingestion import late_events
from tributary_ingestion.admission import Admission, Outcomes, put_together
from tributary_ingestion.caller_events import Sender
from tributary_ingestion.match_keys import Sealed
from tributary_ingestion.packed import Packed

_UNSEALED: Final = OUTCOME_RECORD.pack(
    verdict_pb2.VERDICT_UNDECIDED, verdict_pb2.REASON_CODE_KEY_STORE_UNREACHABLE, 0, 0
)


async def admit(
    admission: Admission,
    sender: Sender,
    receive_micros: int,
    packed: Sequence[Packed],
    sealed: Sealed,
    remaining_seconds: float | None,
    *,
    is_crowded: bool,
) -> Outcomes:
    """Returns what became of one call's events, in order; arguments and errors as `late_events.admit`."""

    async def some(chosen: Sequence[Packed], fields: Sequence[bytes]) -> Outcomes:
        return await late_events.admit(
            admission, sender, receive_micros, chosen, fields, remaining_seconds, is_crowded=is_crowded
        )

    fields, unsealed, delay = sealed
    if not unsealed:
        return await some(packed, fields)
    others = sorted(set(range(len(packed))).difference(unsealed))
    outcomes = await some([packed[at] for at in others], [fields[at] for at in others])
    held = Outcomes(_UNSEALED * len(unsealed), delay)
    return put_together(len(packed), [(others, outcomes), (unsealed, held)])
