"""Exchange rates in ClickHouse, and the conversions that are pinned to another than the newest.

Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Final

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.published_conversions import START, Place
from tributary_storage.clickhouse.statements import statement

PAGE: Final = 1_000
"""Conversions that are named at once."""

_DAYS_AT_ONCE: Final = 500
"""Days of one question: ClickHouse bounds the length of a statement."""

RatesDay = tuple[str, str, date]
"""Workspace, reporting currency, civil day of its books."""


class ExchangeRates:
    """Reads rates."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def of_days(self, days: Collection[RatesDay]) -> dict[RatesDay, dict[str, int]]:
        """Returns the newest rates of civil days of books, by base currency, times 10^12; of each day at least none."""
        found: dict[RatesDay, dict[str, int]] = {day: {} for day in days}
        wanted = sorted(found)
        for start in range(0, len(wanted), _DAYS_AT_ONCE):
            parameters = {"days": wanted[start : start + _DAYS_AT_ONCE]}
            rows = await self._clickhouse.execute(statement("exchange_rates_of_days"), parameters)
            for workspace, quote, day, base, picos in rows:
                found[workspace, quote, day][base] = picos
        return found

    async def days_since(self, workspace: str, quote_currency: str, import_micros: int) -> tuple[date, date] | None:
        """Returns the first and the last day that a rate was imported for since a moment; None: no rate was."""
        parameters = {"workspace": workspace, "quote": quote_currency, "since": import_micros}
        [[rates, first, last]] = await self._clickhouse.execute(statement("days_of_new_rates"), parameters)
        return (first, last) if rates else None

    async def outdated(
        self, workspace: str, quote_currency: str, time_zone: str, days: tuple[date, date], after: Place = START
    ) -> list[Place]:
        """Returns conversions of some days that are pinned to another rate than the newest, at most `PAGE`.

        Args:
            workspace: Whose.
            quote_currency: The reporting currency.
            time_zone: Of the books.
            days: First and last.
            after: Only after this one.
        """
        parameters = {
            "workspace": workspace,
            "quote": quote_currency,
            "time_zone": time_zone,
            "first": days[0],
            "last": days[1],
            "at": max(after.time_micros, 0),
            "after_id": after.conversion_id,
            "limit": PAGE,
        }
        rows = await self._clickhouse.execute(statement("outdated_rates"), parameters)
        return [Place(int(time), str(conversion_id)) for time, conversion_id in rows]
