"""What a run of reconciliation asks ClickHouse for to hold a CRM's deals against conversions.

The one rule: what is looked at is bounded by the run's days and by the deals there are, not by all that was sold.
Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from tributary_domain.compared_deals import CountedConversion, Deal
from tributary_domain.deal_creators import creator_pattern
from tributary_domain.findings import DEAL_KINDS
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement

_DAY_MICROS: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class DealScope:
    """Which deals and conversions a run is about."""

    scope: Scope
    days: int
    """How far the days of a deal and its conversion may be apart."""
    due_days: int
    """After how many days a conversion without a deal is missing one."""
    own_creators: Collection[str]
    """Who `created_by` names where we made the deal, as it is stored: never empty; `*` stands for any text."""

    def is_of_run(self, micros: int) -> bool:
        """Tells whether a moment is in the run's days."""
        return self.scope.begin_micros <= micros < self.scope.end_micros

    def comes_due(self, micros: int) -> bool:
        """Tells whether a conversion of this moment came due in the run's days."""
        return self.is_of_run(micros + self.due_days * _DAY_MICROS)

    @property
    def values(self) -> dict[str, Any]:
        """Returns what every statement is told."""
        due = self.due_days * _DAY_MICROS
        return {
            **self.scope.values,
            "days": self.days,
            "due_begin": self.scope.begin_micros - due,
            "due_end": self.scope.end_micros - due,
            "own_creators": f"^{creator_pattern(self.own_creators)}$",
            "deal_kinds": tuple(kind.value for kind in DEAL_KINDS),
        }


class ReconciliationDeals:
    """Asks ClickHouse."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Asks through this client."""
        self._clickhouse = clickhouse

    async def names(self, of: DealScope) -> set[str]:
        """Returns the conversion names that deals are outcomes of, "" for those that name none; none without a CRM."""
        rows = await self._clickhouse.execute(reconciliation_statement("deal_names"), of.values)
        return {row[0] for row in rows}

    async def conversions(self, of: DealScope) -> list[CountedConversion]:
        """Returns the counted conversions in question, and all that the deals in question may be."""
        rows = await self._clickhouse.execute(reconciliation_statement("conversions_to_match"), of.values)
        return [CountedConversion(*row) for row in rows]

    async def rival_conversions(
        self, of: DealScope, orders: Collection[str], leads: Collection[str]
    ) -> list[CountedConversion]:
        """Returns the counted conversions with one of some numbers, without their tokens."""
        values = {**of.values, "orders": _some(orders), "leads": _some(leads)}
        rows = await self._clickhouse.execute(reconciliation_statement("rival_conversions"), values)
        return [CountedConversion(*row) for row in rows]

    async def rival_deals(
        self, of: DealScope, orders: Collection[str], leads: Collection[str], contacts: Collection[str]
    ) -> list[Deal]:
        """Returns the newest state of the deals with one of some numbers or contacts."""
        values = {**of.values, "orders": _some(orders), "leads": _some(leads), "contacts": _some(contacts)}
        rows = await self._clickhouse.execute(reconciliation_statement("rival_deals"), values)
        return [Deal(*row) for row in rows]

    async def deals(self, of: DealScope) -> list[Deal]:
        """Returns the newest state of the deals in question, and of all that the conversions in question may be."""
        rows = await self._clickhouse.execute(reconciliation_statement("deals_to_match"), of.values)
        return [Deal(*row) for row in rows]


def _some(names: Collection[str]) -> tuple[str, ...]:
    """Returns names as a list that a statement can be told: none that is empty."""
    return tuple(names) or ("",)
