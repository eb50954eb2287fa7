"""Events in quarantine, and what was decided about them, as the recorder has written it.

The one rule: what is found here was in the event log before. A decision of a moment ago may not be here yet, so what is
done but once is decided by the claims, never by what is read here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tributary.dedup.v1.quarantine_pb2 import (
    QUARANTINE_ACTION_REJECT,
    QUARANTINE_ACTION_RELEASE,
    QuarantineRecord,
)
from tributary_domain.event_order import event_hash
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

QUARANTINED: Final = "QUARANTINED"
RELEASED: Final = "RELEASED"
REJECTED: Final = "REJECTED"

_IDS_AT_ONCE: Final = 1000
_ACTIONS: Final = {RELEASED: QUARANTINE_ACTION_RELEASE, REJECTED: QUARANTINE_ACTION_REJECT}


@dataclass(frozen=True, slots=True)
class RecordedAdmission:
    """An event with all that is needed to bring it to the event log once more."""

    event_id: str
    verdict: str
    """ACCEPTED, QUARANTINED, or DUPLICATE for a merged observation."""
    kind: str
    event_micros: int
    accept_micros: int
    conversion_id: str
    api_key_id: str
    is_backfill: bool
    traceparent: str
    admitted: bytes
    """Serialised `AdmittedEvent`."""


class StoredDecision(NamedTuple):
    """What was decided about an event."""

    event_id: str
    action: str
    """RELEASED or REJECTED."""
    decide_micros: int
    decided_by: str
    reason: str
    first_accept_micros: int

    def message(self) -> QuarantineRecord:
        """Returns it as the contract has it."""
        record = QuarantineRecord(
            event_id=self.event_id, action=_ACTIONS[self.action], decided_by=self.decided_by, reason=self.reason
        )
        record.decide_time.FromMicroseconds(self.decide_micros)
        record.first_accept_time.FromMicroseconds(self.first_accept_micros)
        return record


class QuarantinedEvents:
    """Asks ClickHouse. Every method raises `StorageUnavailableError` if it does not answer.

    Args:
        clickhouse: Where the events are.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def find(self, workspace: str, event_ids: Collection[str]) -> dict[str, RecordedAdmission]:
        """Returns events by their id, quarantined or not; ids that are not recorded are left out."""
        found: dict[str, RecordedAdmission] = {}
        for some in _some_at_once(event_ids):
            parameters = {"workspace": workspace, "event_ids": some, "hashes": tuple(map(event_hash, some))}
            rows = await self._clickhouse.execute(statement("recorded_admissions"), parameters, raw_strings=True)
            for event_id, verdict, kind, event_micros, accept_micros, conversion_id, *rest in rows:
                api_key_id, is_backfill, traceparent, admitted = rest
                event = RecordedAdmission(
                    event_id=event_id.decode(),
                    verdict=verdict.decode(),
                    kind=kind.decode(),
                    event_micros=event_micros,
                    accept_micros=accept_micros,
                    conversion_id=conversion_id.decode(),
                    api_key_id=api_key_id.decode(),
                    is_backfill=bool(is_backfill),
                    traceparent=traceparent.decode(),
                    admitted=admitted,
                )
                found.setdefault(event.event_id, event)
        return found

    async def decisions(self, workspace: str, event_ids: Collection[str]) -> dict[str, list[StoredDecision]]:
        """Returns what was decided about events, oldest first; those that nobody decided on are left out."""
        found: dict[str, list[StoredDecision]] = {}
        for some in _some_at_once(event_ids):
            parameters = {"workspace": workspace, "event_ids": some}
            for row in await self._clickhouse.execute(statement("quarantine_decisions"), parameters):
                found.setdefault(row[0], []).append(StoredDecision(*row))
        return found

    async def released(self, workspace: str, event_ids: Collection[str]) -> set[str]:
        """Returns which events were released."""
        decided = await self.decisions(workspace, event_ids)
        return {one for one, decisions in decided.items() if any(each.action == RELEASED for each in decisions)}


def _some_at_once(ids: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Yields ids, as many at once as a statement takes."""
    whole = tuple(dict.fromkeys(ids))
    for start in range(0, len(whole), _IDS_AT_ONCE):
        yield whole[start : start + _IDS_AT_ONCE]
