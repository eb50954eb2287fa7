"""Rates that were imported late or corrected -> the conversions of their days, credited again with that cause.

Every process of the service looks for itself: a conversion that is corrected already is corrected by nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from tributary_attribution.affected import Affected
from tributary_attribution.directory import EveryWorkspace
from tributary_attribution.rates import Rates
from tributary_domain.revision import Cause
from tributary_runtime.clock import Clock
from tributary_runtime.errors import TributaryError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.exchange_rates import PAGE, ExchangeRates
from tributary_storage.clickhouse.published_conversions import START

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 60.0
_AGAIN_MICROS: Final = 600 * 1_000_000
"""For how long after its import a rate is looked at: longer than any process remembers the one before it."""


class Later(Protocol):
    """What credits conversions in its own time."""

    async def defer(self, later: Sequence[Affected], since_micros: int) -> None:
        """Notes conversions.

        Raises:
            StorageUnavailableError: The state store does not answer.
        """
        ...


class RateCorrections:
    """Has conversions credited again when their rate changes: a loop.

    Args:
        exchange_rates: Where rates are.
        rates: Forgets what it remembers of them.
        later: Credits.
        directory: Knows the workspaces.
        clock: Says when.
    """

    name = "rate-corrections"

    def __init__(
        self, exchange_rates: ExchangeRates, rates: Rates, later: Later, directory: EveryWorkspace, clock: Clock
    ) -> None:
        self._exchange_rates = exchange_rates
        self._rates = rates
        self._later = later
        self._directory = directory
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until stopped, the first time at all rates; an outage is for the next time."""
        since = 0
        while not stop.is_set():
            now = self._clock.unix_micros()
            try:
                for workspace in self._directory.current.workspaces:
                    await self.correct(workspace, since)
                since = now - _AGAIN_MICROS
            except TributaryError as failure:
                log.warning("rates_not_compared", reason=failure.message)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def correct(self, workspace: Workspace, import_micros: int = 0) -> int:
        """Has the conversions credited again that a rate imported since a moment changes; returns how many.

        Raises:
            StorageUnavailableError: A store does not answer.
        """
        reporting = workspace.reporting
        days = await self._exchange_rates.days_since(workspace.id, reporting.currency, import_micros)
        if days is None:
            return 0
        count, after = 0, START
        while True:
            found = await self._exchange_rates.outdated(
                workspace.id, reporting.currency, reporting.time_zone, days, after
            )
            if found:
                self._rates.forget()
                affected = [Affected(workspace, one.conversion_id, known_causes={Cause.EXCHANGE_RATE}) for one in found]
                await self._later.defer(affected, self._clock.unix_micros())
                count, after = count + len(found), found[-1]
            if len(found) < PAGE:
                break
        if count:
            log.info("conversions_with_new_rates", workspace=workspace.id, conversions=count)
        return count
