"""What became of event ids: through claims first, then through ClickHouse for what claims do not say.

The one rule: an id is called unknown only when every place it could be in has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Final, Protocol

from tributary.dedup.v1.event_fate_pb2 import EventFate, RefusalFate
from tributary.event.v1 import verdict_pb2
from tributary_domain.ids import event_digest
from tributary_storage.clickhouse.quarantine import StoredDecision
from tributary_storage.clickhouse.recorded_events import RecordedEvent, RecordedRefusal
from tributary_storage.redis.claim_layout import Kind
from tributary_storage.redis.claim_lookup import KnownClaim, Silent

MAX_IDS: Final = 1000
_UNANSWERED: Final = -1

_VERDICTS: Final = {
    Kind.ACCEPTED: verdict_pb2.VERDICT_ACCEPTED,
    Kind.QUARANTINED: verdict_pb2.VERDICT_QUARANTINED,
    Kind.MERGED: verdict_pb2.VERDICT_DUPLICATE,
    Kind.REGISTERED: verdict_pb2.VERDICT_UNDECIDED,
}
_BY_NAME: Final = {name.removeprefix("VERDICT_"): number for name, number in verdict_pb2.Verdict.items()}
_CODES: Final = {name.removeprefix("REASON_CODE_"): number for name, number in verdict_pb2.ReasonCode.items()}


class Claimed(Protocol):
    """The claims, as `ClaimLookup`."""

    async def events(self, digests: Sequence[bytes]) -> list[KnownClaim | None]:
        """Returns what is claimed of each event; may raise `StorageUnavailableError`."""
        ...

    async def events_that_answer(self, digests: Sequence[bytes]) -> list[KnownClaim | Silent | None]:
        """Returns the same, or that nobody says; may raise `StorageUnavailableError`, if nobody says anything."""
        ...


class Recorded(Protocol):
    """What ClickHouse has, as `RecordedEvents`; may raise `StorageUnavailableError`."""

    async def events(self, workspace: str, event_ids: Collection[str]) -> dict[str, RecordedEvent]:
        """Returns what was recorded, by event id."""
        ...

    async def refusals(self, workspace: str, event_ids: Collection[str]) -> dict[str, list[RecordedRefusal]]:
        """Returns the newest refusals of each id, newest first."""
        ...


class Decisions(Protocol):
    """What was decided in quarantine, as `QuarantinedEvents`; may raise `StorageUnavailableError`."""

    async def decisions(self, workspace: str, event_ids: Collection[str]) -> dict[str, list[StoredDecision]]:
        """Returns what was decided about events, oldest first."""
        ...


class Lookup:
    """Looks event ids up.

    Args:
        claimed: The claims.
        recorded: What ClickHouse has.
        decisions: What was decided in quarantine.
    """

    def __init__(self, claimed: Claimed, recorded: Recorded, decisions: Decisions) -> None:
        self._claimed = claimed
        self._recorded = recorded
        self._decisions = decisions

    async def first_accepted(self, digests: Sequence[bytes]) -> list[int]:
        """Returns when each event was accepted first, by its claim, in microseconds.

        0: nothing says that it was; -1: its claims did not answer, those of others did.

        Args:
            digests: 16 bytes of each event.

        Raises:
            StorageUnavailableError: No claims answered.
        """
        return [_first_accepted(one) for one in await self._claimed.events_that_answer(digests)]

    async def find(self, workspace: str, event_ids: Sequence[str]) -> list[EventFate]:
        """Returns what became of each id, in order.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        distinct = list(dict.fromkeys(event_ids))
        claims, recorded, refusals, decisions = await asyncio.gather(
            self._claimed.events([event_digest(workspace, event_id) for event_id in distinct]),
            self._recorded.events(workspace, distinct),
            self._recorded.refusals(workspace, distinct),
            self._decisions.decisions(workspace, distinct),
        )
        fates = {
            event_id: _fate(event_id, claim, recorded.get(event_id), refusals.get(event_id, ()))
            for event_id, claim in zip(distinct, claims, strict=True)
        }
        for event_id, decided in decisions.items():
            fate = fates[event_id]
            fate.quarantine_decisions.extend(decision.message() for decision in decided)
            fate.first_accept_time.FromMicroseconds(decided[0].first_accept_micros)
            fate.is_time_rounded = False
        return [fates[event_id] for event_id in event_ids]


def _first_accepted(claim: KnownClaim | Silent | None) -> int:
    if isinstance(claim, Silent):
        return _UNANSWERED
    return 0 if claim is None or claim.kind is Kind.REGISTERED else claim.accept_micros


def _fate(
    event_id: str, claim: KnownClaim | None, event: RecordedEvent | None, refusals: Sequence[RecordedRefusal]
) -> EventFate:
    fate = EventFate(event_id=event_id, refusals=[_refusal(refusal) for refusal in refusals])
    if event is not None:
        fate.verdict = _BY_NAME[event.verdict]
        fate.first_accept_time.FromMicroseconds(event.accept_micros)
        fate.event_time.FromMicroseconds(event.event_micros)
        fate.conversion_id, fate.kind = event.conversion_id, event.kind
        fate.reason_codes.extend(_CODES.get(code, verdict_pb2.REASON_CODE_UNSPECIFIED) for code in event.reason_codes)
    elif claim is not None and claim.kind is not Kind.REGISTERED:
        fate.verdict = _VERDICTS[claim.kind]
        fate.first_accept_time.FromMicroseconds(claim.accept_micros)
        fate.is_time_rounded = True
    elif refusals:  # a registration whose order had another value is refused, not undecided
        fate.verdict = _BY_NAME[refusals[0].verdict]
    elif claim is not None:
        fate.verdict = _VERDICTS[claim.kind]
    return fate


def _refusal(refusal: RecordedRefusal) -> RefusalFate:
    message = RefusalFate(verdict=_BY_NAME[refusal.verdict])
    message.refuse_time.FromMicroseconds(refusal.refuse_micros)
    for code, field, text in refusal.reasons:
        message.reasons.add(code=_CODES.get(code, verdict_pb2.REASON_CODE_UNSPECIFIED), field=field, message=text)
    return message
