"""Pages of the sent ledger: what was sent where, what came of it, and why not.

The one rule: a page begins after a key, never at an offset, so that what is attempted meanwhile moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tributary.delivery.v1.delivery_pb2 import (
    Delivery,
    DeliveryState,
    IneligibleReason,
    OutcomeClass,
)
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.delivery_rows import delivery_of
from tributary_storage.clickhouse.names import names_of
from tributary_storage.clickhouse.refused_events import EARLIEST_MICROS, LATEST_MICROS
from tributary_storage.clickhouse.statements import statement

_STATES: Final = names_of(DeliveryState.DESCRIPTOR)
_OUTCOMES: Final = names_of(OutcomeClass.DESCRIPTOR)
_REASONS: Final = names_of(IneligibleReason.DESCRIPTOR)
_NOTHING: Final = ("",)

Key = tuple[int, str, str, int]
"""Where a delivery stands: its last attempt in microseconds, destination, conversion, revision."""

LEDGER_START: Final[Key] = (LATEST_MICROS, "", "", 0)


@dataclass(frozen=True, slots=True)
class WantedDeliveries:
    """Which deliveries; of what is empty, any."""

    workspace: str
    destination_id: str = ""
    conversion_ids: Sequence[str] = ()
    states: Sequence[int] = ()
    """Of `DeliveryState`."""
    outcomes: Sequence[int] = ()
    """Of `OutcomeClass`."""
    reasons: Sequence[int] = ()
    """Of `IneligibleReason`."""
    start_micros: int = EARLIEST_MICROS
    """Of the last attempt, or of the plan where none was made."""
    end_micros: int = LATEST_MICROS
    """Not included."""


class SentLedger:
    """Reads pages. Raises `StorageUnavailableError` if ClickHouse does not answer."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def page(self, wanted: WantedDeliveries, after: Key = LEDGER_START, limit: int = 100) -> list[Delivery]:
        """Returns deliveries, last attempted first."""
        at, destination, conversion, revision = after
        parameters = {
            "workspace": wanted.workspace,
            "start": wanted.start_micros,
            "end": wanted.end_micros,
            "any_destination": int(not wanted.destination_id),
            "destination_id": wanted.destination_id,
            "any_conversion": int(not wanted.conversion_ids),
            "conversion_ids": tuple(wanted.conversion_ids) or _NOTHING,
            "any_state": int(not wanted.states),
            "states": tuple(_STATES[one] for one in wanted.states) or _NOTHING,
            "any_outcome": int(not wanted.outcomes),
            "outcomes": tuple(_OUTCOMES[one] for one in wanted.outcomes) or _NOTHING,
            "any_reason": int(not wanted.reasons),
            "reasons": tuple(_REASONS[one] for one in wanted.reasons) or _NOTHING,
            "at": at,
            "at_destination": destination,
            "at_conversion": conversion,
            "at_revision": revision,
            "limit": limit,
        }
        rows = await self._clickhouse.execute(statement("deliveries_page"), parameters)
        return [delivery_of(row) for row in rows]


def key_of(delivery: Delivery) -> Key:
    """Returns where a delivery stands."""
    moment = delivery.attempt_time if delivery.HasField("attempt_time") else delivery.plan_time
    return moment.ToMicroseconds(), delivery.destination_id, delivery.conversion_id, delivery.revision
