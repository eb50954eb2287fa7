"""Orders that wait in quarantine for their amount alone: what totals leave out until somebody decides.

The one rule: nothing of it is in any total. It is told beside them, so that an order of 90 000 does not disappear.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tributary_domain.reasons import QUARANTINING, ReasonCode
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

MOST_GROUPS: Final = 1_000
"""Conversion names and currencies that one answer has."""
OTHER_REASONS: Final = sorted(QUARANTINING - {ReasonCode.AMOUNT_UNEXPECTED})
"""For which an order that has any of them waits, too: none of these is pending."""


class PendingOrder(NamedTuple):
    """One of them."""

    accept_micros: int
    """When the first observation of it was accepted into quarantine."""
    conversion_id: str
    """That it becomes when it is released."""
    event_id: str
    """That says what it is worth."""
    value_micros: int


class PendingValue(NamedTuple):
    """What waits of one conversion name in one currency."""

    conversion_name: str
    currency: str
    """Empty: no value was stated."""
    value_micros: int
    orders: int
    places: list[PendingOrder]
    """The earliest."""


class PendingValues:
    """Asks ClickHouse."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Asks through this client."""
        self._clickhouse = clickhouse

    async def read(
        self,
        workspace: str,
        start_micros: int,
        end_micros: int,
        accepted_before_micros: int,
        *,
        most: int = 1,
    ) -> list[PendingValue]:
        """Returns what waits, by conversion name and currency.

        Args:
            workspace: Whose.
            start_micros: Of the orders, by event time; the first moment inside.
            end_micros: The first moment after them.
            accepted_before_micros: Only what waits since before that.
            most: How many of each are named.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        values = {
            "workspace": workspace,
            "start": start_micros,
            "end": end_micros,
            "accepted_before": accepted_before_micros,
            "other_reasons": OTHER_REASONS,
            "most": most,
            "groups": MOST_GROUPS,
        }
        if not await self._clickhouse.execute(statement("any_quarantined_amount"), values):
            return []
        rows = await self._clickhouse.execute(statement("pending_values"), values)
        return [
            PendingValue(row[0], row[1], row[2], row[3], [PendingOrder(*place) for place in row[4]]) for row in rows
        ]
