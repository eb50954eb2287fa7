"""What was recorded of event ids and orders: for looking them up, and for restoring claims that are past their life.

The one rule: at most a thousand ids per statement, found by the order of a table and not by a scan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary_domain.event_order import event_hash
from tributary_domain.ids import adjustment_digest, conversion_id, event_digest, value_digest
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.names import numbers_of
from tributary_storage.clickhouse.statements import statement

_IDS_AT_ONCE: Final = 1000
_NO_ORDER: Final = frozenset({"INTERNAL", "TEST"})
_REASON_NUMBER: Final = numbers_of(AdjustmentReason.DESCRIPTOR)
_CONVERSION_PREFIX: Final = conversion_id(b"")

_Wanted = TypeVar("_Wanted")


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event that exists, as it was accepted first."""

    event_id: str
    kind: str
    verdict: str
    """ACCEPTED, QUARANTINED, or DUPLICATE for a merged observation."""
    event_micros: int
    accept_micros: int
    reason_codes: tuple[str, ...]
    conversion_id: str
    payload_digest: bytes
    """One byte of version, eight of digest."""
    traffic: str
    adjustment_reason: str
    adjustment_id: str
    adjustment_key: bytes = b""
    """What an adjustment was claimed by as it was admitted; empty: nothing tells."""

    def order_digest(self, workspace: str, event_digest: bytes) -> bytes:
        """Returns what its order or adjustment was claimed under; empty if it was known by its event id alone."""
        if self.traffic in _NO_ORDER:
            return b""
        if self.kind == "adjustment":
            return self.adjustment_key or _adjustment_key(
                workspace, self.conversion_id, self.adjustment_reason, self.adjustment_id
            )
        if self.kind != "conversion" or self.conversion_id == conversion_id(event_digest):
            return b""
        return bytes.fromhex(self.conversion_id.removeprefix(_CONVERSION_PREFIX))


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    """An order or adjustment that is known, as it was claimed."""

    accept_micros: int
    """Of its first observation."""
    values: dict[int, bytes]
    """Rank of the observer to the digest of the value it stated first."""


@dataclass(frozen=True, slots=True)
class RecordedRefusal:
    """One refusal of an event id."""

    verdict: str
    refuse_micros: int
    reasons: tuple[tuple[str, str, str], ...]
    """Code, field, message."""


class RecordedEvents:
    """Asks ClickHouse. Every method raises `StorageUnavailableError` if it does not answer.

    Args:
        clickhouse: Where the events are.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def events(
        self, workspace: str, event_ids: Iterable[str], sent_hashes: Iterable[int] = ()
    ) -> dict[str, RecordedEvent]:
        """Returns what was recorded, by event id; ids that were not are left out.

        Args:
            workspace: Whose.
            event_ids: As they are stored.
            sent_hashes: Of further ids, `event_hash` of each as it was sent.
        """
        found: dict[str, RecordedEvent] = {}
        named = [(event_hash(event_id), event_id) for event_id in event_ids]
        for some in _some_at_once([*named, *((hashed, "") for hashed in sent_hashes)]):
            parameters = {
                "workspace": workspace,
                "hashes": [hashed for hashed, _ in some],
                "event_ids": [event_id for _, event_id in some if event_id],
                "sent_hashes": [hashed for hashed, event_id in some if not event_id],
            }
            for row in await self._clickhouse.execute(statement("recorded_events"), parameters, raw_strings=True):
                event_id, kind, verdict, event_micros, accept_micros, codes, conversion, traffic, *rest = row
                reason, adjustment_id, payload_digest = rest
                event = RecordedEvent(
                    event_id=event_id.decode(),
                    kind=kind.decode(),
                    verdict=verdict.decode(),
                    event_micros=event_micros,
                    accept_micros=accept_micros,
                    reason_codes=tuple(code.decode() for code in codes),
                    conversion_id=conversion.decode(),
                    payload_digest=payload_digest,
                    traffic=traffic.decode(),
                    adjustment_reason=reason.decode(),
                    adjustment_id=adjustment_id.decode(),
                )
                found.setdefault(event.event_id, event)
        numbered = [event.event_id for event in found.values() if event.kind == "adjustment" and event.adjustment_id]
        for event_id, key in (await self._adjustment_keys(workspace, numbered)).items():
            found[event_id] = replace(found[event_id], adjustment_key=key)
        return found

    async def orders_as_sent(self, workspace: str, named: Mapping[str, int]) -> dict[str, str]:
        """Returns the conversions that events observed which are stored as they were sent, as an earlier version did.

        Args:
            workspace: Whose.
            named: What an event would be by itself, without an order -> `event_hash` of its id as it was sent.

        Returns:
            The same -> the conversion that it observed; those that are not stored so are left out.
        """
        found = await self.events(workspace, (), set(named.values()))
        observed = {
            conversion_id(event_digest(workspace, event.event_id)): event.conversion_id
            for event in found.values()
            if event.kind == "conversion"
        }
        return {own_id: observed[own_id] for own_id in named if own_id in observed}

    async def orders(self, workspace: str, conversion_ids: Collection[str]) -> dict[bytes, RecordedOrder]:
        """Returns the orders and adjustments of conversions by their digest; those nobody observed are left out."""
        found: dict[bytes, RecordedOrder] = {}
        for some in _some_at_once(conversion_ids):
            parameters = {"workspace": workspace, "conversion_ids": some}
            rows = await self._clickhouse.execute(statement("recorded_observations"), parameters)
            keys = await self._adjustment_keys(workspace, [row[1] for row in rows if row[2] == "adjustment" and row[8]])
            for row in rows:
                conversion, event_id, kind, accept_micros, rank, currency, value_micros, reason, adjustment_id = row
                if kind == "adjustment":
                    digest = keys.get(event_id) or _adjustment_key(workspace, conversion, reason, adjustment_id)
                else:
                    digest = _digest_of(conversion)
                if not digest:
                    continue
                order = found.setdefault(digest, RecordedOrder(accept_micros, {}))
                if value_micros is not None:
                    order.values.setdefault(rank, value_digest(currency, value_micros))
        return found

    async def _adjustment_keys(self, workspace: str, event_ids: Collection[str]) -> dict[str, bytes]:
        """Returns what adjustments were claimed by; it cannot be told from what they are of.

        One that names an event is claimed by what that would be by itself, and may be recorded as one of its order.
        """
        found: dict[str, bytes] = {}
        for some in _some_at_once(event_ids):
            hashes = [event_hash(event_id) for event_id in some]
            parameters = {"workspace": workspace, "hashes": hashes, "event_ids": some}
            rows = await self._clickhouse.execute(statement("recorded_adjustments"), parameters, raw_strings=True)
            for event_id, admitted in rows:
                if key := AdmittedEvent.FromString(admitted).adjustment_key:
                    found[event_id.decode()] = key
        return found

    async def refusals(self, workspace: str, event_ids: Collection[str]) -> dict[str, list[RecordedRefusal]]:
        """Returns the newest ten refusals of each id, newest first; ids that were not refused are left out."""
        found: dict[str, list[RecordedRefusal]] = {}
        for some in _some_at_once(event_ids):
            parameters = {"workspace": workspace, "event_ids": some}
            for row in await self._clickhouse.execute(statement("recorded_refusals"), parameters):
                event_id, verdict, refuse_micros, codes, fields, messages = row
                reasons = tuple(zip(codes, fields, messages, strict=True))
                found.setdefault(event_id, []).append(RecordedRefusal(verdict, refuse_micros, reasons))
        return found


def _adjustment_key(workspace: str, conversion: str, reason: str, adjustment_id: str) -> bytes:
    if not adjustment_id:
        return b""
    return adjustment_digest(workspace, conversion, _REASON_NUMBER(reason), adjustment_id)


def _digest_of(conversion: str) -> bytes:
    """Returns the digest that a conversion id was made of; empty if it is none of ours."""
    try:
        return bytes.fromhex(conversion.removeprefix(_CONVERSION_PREFIX))
    except ValueError:
        return b""


def _some_at_once(ids: Iterable[_Wanted]) -> Iterator[tuple[_Wanted, ...]]:
    """Yields ids, as many at once as a statement takes."""
    whole = tuple(ids)
    for start in range(0, len(whole), _IDS_AT_ONCE):
        yield whole[start : start + _IDS_AT_ONCE]
