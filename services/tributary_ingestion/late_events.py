"""Events that happened longer ago than claims live, admitted apart from their neighbours.

The one rule: the neighbours' verdicts stand. What must be looked up first takes longer, and is UNDECIDED where it
cannot be; nobody else waits for ClickHouse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from tributary.event.v1 import verdict_pb2
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_ingestion.admission import Admission, Outcomes, put_together
from tributary_ingestion.caller_events import Sender, pack
from tributary_ingestion.packed import Packed
from tributary_runtime.errors import OverloadedError, UnavailableError


async def admit(
    admission: Admission,
    sender: Sender,
    receive_micros: int,
    packed: Sequence[Packed],
    sealed: Sequence[bytes],
    remaining_seconds: float | None,
    *,
    is_crowded: bool,
) -> Outcomes:
    """Returns what became of one call's events, in order; the late ones are looked up.

    Args:
        admission: The way to dedup.
        sender: Whose they are.
        receive_micros: When the call came.
        packed: The events.
        sealed: Per event a further field of it, or nothing.
        remaining_seconds: How long the caller still waits; `None`: for ever.
        is_crowded: Whether more calls of the same workspace wait for their turn.

    Raises:
        UnavailableError: None of them could be decided, as for `Admission.admit`.
        OverloadedError: Likewise.
    """
    late = [] if sender.backfill else [at for at, one in enumerate(packed) if one.is_late]
    if not late:
        events = pack(sender, receive_micros, packed, sealed)
        return await admission.admit(events, remaining_seconds, is_crowded=is_crowded)

    async def some(positions: Sequence[int], sender: Sender) -> Outcomes:
        chosen = [packed[at] for at in positions], [sealed[at] for at in positions]
        events = pack(sender, receive_micros, *chosen)
        return await admission.admit(events, remaining_seconds, is_crowded=is_crowded)

    of_late, others = sender._replace(late=True), sorted(set(range(len(packed))).difference(late))
    if not others:
        return await some(late, of_late)
    waiting = asyncio.ensure_future(_undecided_if_refused(some(late, of_late), len(late)))
    try:
        outcomes = await some(others, sender)
    except BaseException:
        waiting.cancel()
        raise
    return put_together(len(packed), [(others, outcomes), (late, await waiting)])


async def _undecided_if_refused(outcomes: Awaitable[Outcomes], size: int) -> Outcomes:
    """Returns UNDECIDED for all events where what was raised concerns all of them."""
    try:
        return await outcomes
    except OverloadedError as error:
        code, delay_seconds = verdict_pb2.REASON_CODE_LOG_FULL, error.retry_delay_seconds
    except UnavailableError as error:
        code, delay_seconds = verdict_pb2.REASON_CODE_STORE_UNREACHABLE, error.retry_delay_seconds
    return Outcomes(OUTCOME_RECORD.pack(verdict_pb2.VERDICT_UNDECIDED, code, 0, 0) * size, delay_seconds)
