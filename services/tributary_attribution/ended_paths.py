"""What data_driven learned of people whose events are about to be deleted: kept, so that a loss takes it from nobody.

The counts of paths live in the state store, and are made anew of events after a loss (`old_evidence`). What a month's
deletion takes from that is what the people of the month count with its events, less what they count without: that is
kept, added up, before anything is changed. Conversions teach by what is published of them, which stays.

The one rule: what is kept names nobody, and no person alone: channels, conversion names and how often.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tributary_attribution.old_people import OldPeople, lost_time
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.ended_paths import EndedPathRecords
from tributary_storage.clickhouse.lost_state import OldEvent
from tributary_storage.clickhouse.retention import MonthOfRows
from tributary_storage.codec.counted_paths import Changes

_IDENTIFIERS_OF_A_PAGE: Final = 500
_REST: Final = 3.0
"""How much longer it rests after a page than the page took: so that it takes a quarter of the process."""


class EndedPaths:
    """Keeps them. Every method raises `StorageUnavailableError`.

    Args:
        records: Where.
        people: Reads what people count.
        clock: Measures.
        page: How many identifiers are looked at together.
    """

    def __init__(
        self, records: EndedPathRecords, people: OldPeople, clock: Clock, *, page: int = _IDENTIFIERS_OF_A_PAGE
    ) -> None:
        self._records = records
        self._people = people
        self._clock = clock
        self._page = page

    async def resumed(self, months: list[MonthOfRows]) -> list[MonthOfRows]:
        """Returns months that are to be deleted; of which a run that stopped has kept the paths, as it had them."""
        begun = {name: await self._records.begun(name) for name in dict.fromkeys(month.workspace for month in months)}
        return [month.until(begun[month.workspace].get(month.month)) for month in months]

    async def keep(self, workspace: Workspace, month: MonthOfRows) -> None:
        """Keeps what goes with the events of a month; at most once, because what follows changes these."""
        if month.month in await self._records.begun(workspace.id):
            return
        begin, end = month.span

        def is_left(event: OldEvent) -> bool:
            is_of_month = begin <= event.event_micros < end and event.accept_micros < month.accepted_until_micros
            return event.is_conversion or not is_of_month

        changes: Changes = {}
        time, after = lost_time(workspace, self._clock.unix_micros()), ""
        while tokens := await self._records.identifiers(month, after, self._page):
            since, after = self._clock.monotonic_seconds(), tokens[-1]
            worlds = [(_all, 1), (is_left, -1)]
            page = await self._people.counted(workspace, time, set(tokens), worlds, month.span)
            for field, by in page.items():
                changes[field] = changes.get(field, 0) + by
            await asyncio.sleep(_REST * (self._clock.monotonic_seconds() - since))
        left = {field: by for field, by in changes.items() if by}
        await self._records.keep(month, left, self._clock.unix_micros())


def _all(_: OldEvent) -> bool:
    return True
