"""Exchange rates as crediting needs them: of the conversion's civil day in the books, remembered for a while.

The one rule: a conversion is pinned to the rate that its day had when it was first published, or to none; what was
imported later, or corrected, is applied with its own cause. No other day's rate stands in for a missing one.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary_domain.revision import Cause
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.exchange_rates import ExchangeRates, RatesDay
from tributary_storage.clickhouse.names import micros

_REMEMBERED_SECONDS: Final = 30
_MOST: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownRatesError(Exception):
    """The rates of a day were not read yet, or too long ago."""

    def __init__(self, day: RatesDay) -> None:
        super().__init__(day)
        self.day = day


class Rates:
    """Knows rates.

    Args:
        exchange_rates: Where they are.
        clock: Says how old an answer is.
    """

    def __init__(self, exchange_rates: ExchangeRates, clock: Clock) -> None:
        self._exchange_rates = exchange_rates
        self._clock = clock
        self._known: dict[RatesDay, tuple[float, dict[str, int]]] = {}

    def find(self, day: RatesDay, currency: str) -> int:
        """Returns the rate of a currency on a day, times 10^12; 0: there is none.

        Raises:
            UnknownRatesError: They have to be loaded first.
        """
        known = self._known.get(day)
        if known is None or known[0] < self._clock.monotonic_seconds():
            raise UnknownRatesError(day)
        return known[1].get(currency, 0)

    async def load(self, days: Collection[RatesDay]) -> None:
        """Reads the rates of days, all at once.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
        """
        if len(self._known) >= _MOST:
            self._known.clear()
        found = await self._exchange_rates.of_days(days)
        until = self._clock.monotonic_seconds() + _REMEMBERED_SECONDS
        self._known.update({day: (until, rates) for day, rates in found.items()})

    def forget(self) -> None:
        """Forgets what was read: something newer is known to be there."""
        self._known.clear()


def pin_rate(
    state: ConversionState,
    before: ConversionState | None,
    workspace: Workspace,
    rates: Rates | None,
    known_causes: frozenset[Cause],
) -> str:
    """Writes into a conversion the rate that it is pinned to, if there is one.

    Args:
        state: The conversion, with its value.
        before: As it is published.
        workspace: Whose.
        rates: Knows those of conversions that are not pinned yet; None: they are not converted.
        known_causes: What is done to it on purpose.

    Returns:
        The currency that the rate converts to; empty if there is none.

    Raises:
        UnknownRatesError: The rates of its day have to be loaded first.
    """
    reporting = workspace.reporting
    quote, (currency, day) = reporting.currency, _place(state, workspace)
    is_pinned = before is not None and Cause.EXCHANGE_RATE not in known_causes
    if before is not None and is_pinned and _place(before, workspace) == (currency, day):
        state.rate_picos = before.rate_picos
        if before.HasField("rate_date"):
            state.rate_date.CopyFrom(before.rate_date)
        return before.reporting_value.currency_code
    if rates is None or currency in ("", quote):
        return ""
    picos = rates.find((workspace.id, quote, day), currency)
    if not picos:
        return ""
    state.rate_picos = picos
    state.rate_date.year, state.rate_date.month, state.rate_date.day = day.year, day.month, day.day
    return quote


def _place(state: ConversionState, workspace: Workspace) -> tuple[str, date]:
    """Returns currency and civil day: a rate is of both."""
    moment = _EPOCH + timedelta(microseconds=micros(state.conversion_time))
    return state.value.currency_code, moment.astimezone(workspace.reporting.zone).date()
