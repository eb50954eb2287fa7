"""What waits in quarantine for its amount alone, told beside reports: asked for once a second at most.

Dashboards ask for the same report again and again, and this costs more than most reports do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tributary_runtime.clock import Clock
from tributary_storage.clickhouse.pending_values import PendingValue, PendingValues

KNOWN_SECONDS: Final = 1.0
"""So long an answer is not asked for again."""
_MOST_KNOWN: Final = 1_000


class PendingOrders:
    """Remembers answers for a second.

    Args:
        values: Asks ClickHouse.
        clock: Measures.
    """

    def __init__(self, values: PendingValues, clock: Clock) -> None:
        self._values = values
        self._clock = clock
        self._known: dict[tuple[str, int, int], tuple[float, Sequence[PendingValue]]] = {}

    async def within(self, workspace: str, start_micros: int, end_micros: int) -> Sequence[PendingValue]:
        """Returns what waits of some time, by name and currency, as it was at most a second ago.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        now, place = self._clock.monotonic_seconds(), (workspace, start_micros, end_micros)
        until, known = self._known.get(place, (0.0, ()))
        if now < until:
            return known
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        found = await self._values.read(workspace, start_micros, end_micros, self._clock.unix_micros() + 1)
        self._known[place] = now + KNOWN_SECONDS, found
        return found
