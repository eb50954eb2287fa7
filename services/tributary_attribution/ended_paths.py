"""What data_driven learned of people whose events are about to be deleted: kept, so that a loss takes it from nobody.

The counts of paths live in the state store, and are made anew of events after a loss (`old_evidence`). What a month's
deletion takes from that is what the people of the month count with its events, less what they count without: that is
kept, added up, before anything is changed. Conversions teach by what is published of them, which stays. It is read page
by page, which takes days where much happened; a process that stops is gone on after by the next one, at the last page.

The one rule: what is kept names nobody, and no person alone: channels, conversion names and how often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from tributary_attribution.old_people import OldPeople, lost_time
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.ended_paths import EndedPathRecords, Progress
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
        found = [(month, begun[month.workspace].get(month.month)) for month in months]
        return [month.until(one and one.accepted_until_micros) for month, one in found]

    async def keep(self, workspace: Workspace, month: MonthOfRows) -> None:
        """Keeps what goes with the events of a month; at most once, because what follows changes these."""
        begun = (await self._records.begun(workspace.id)).get(month.month)
        if begun is None or not begun.is_kept:
            left = await self._added_up(workspace, month)
            await self._records.keep(month, left, self._clock.unix_micros())

    async def forget_pages(self, months: Sequence[MonthOfRows]) -> None:
        """Forgets how far it was with what is kept: the same month of some workspaces; one at least."""
        await self._records.forget_pages(months)

    async def _added_up(self, workspace: Workspace, month: MonthOfRows) -> Changes:
        """Returns what all pages of a month add; those that a run before has done are not read again."""
        begin, end = month.span

        def is_left(event: OldEvent) -> bool:
            is_of_month = begin <= event.event_micros < end and event.accept_micros < month.accepted_until_micros
            return event.is_conversion or not is_of_month

        worlds = [(_all, 1), (is_left, -1)]
        progress = await self._records.progress(month, self._clock.unix_micros())
        changes = await self._records.of_pages(month, progress)
        time = lost_time(workspace, progress.seen_micros)
        while tokens := await self._records.identifiers(month, progress.after, self._page):
            since = self._clock.monotonic_seconds()
            progress = Progress(progress.seen_micros, progress.page + 1, tokens[-1])
            page = await self._people.counted(workspace, time, set(tokens), worlds, month.span)
            await self._records.keep_page(month, progress, page, self._clock.unix_micros())
            for field, by in page.items():
                changes[field] = changes.get(field, 0) + by
            await asyncio.sleep(_REST * (self._clock.monotonic_seconds() - since))
        return {field: by for field, by in changes.items() if by}


def _all(_: OldEvent) -> bool:
    return True
