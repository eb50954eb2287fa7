"""Takes the conversions of an erasure out of ClickHouse: to random ids, or away.

The one rule: a closed month never changes. Also of a conversion that goes, what reports of closed posting days have
stays, by amount, day and channel under a random id, and is taken back on the first open day: so books of all time are
without it, and nothing else has it. Both methods may run twice, and raise `StorageUnavailableError`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tributary_attribution.crediting import posting_day
from tributary_attribution.directory import Directory
from tributary_domain.erasures import Erasure
from tributary_storage.clickhouse.erasures import ErasureRecords


class Severing:
    """Severs, or removes.

    Args:
        records: ClickHouse's part of it.
        directory: Knows until when books are closed.
    """

    def __init__(self, records: ErasureRecords, directory: Directory) -> None:
        self._records = records
        self._directory = directory

    async def posted(self, erasure: Erasure) -> Sequence[str]:
        """Returns the conversions that go and that closed books have."""
        closed_through = self._directory.get(erasure.workspace).reporting.books_closed_through
        if closed_through is None or not erasure.removes or not erasure.conversion_ids:
            return ()
        return await self._records.severed.posted_in(erasure, closed_through)

    async def sever(self, erasure: Erasure) -> dict[str, int]:
        """Copies what stays of conversions, each once, and deletes these; returns how much it was, by table."""
        found, rows = await self._records.found(erasure), self._records.severed
        if not erasure.removes:
            await rows.sever(erasure)
        elif posted := await self.posted(erasure):
            reporting = self._directory.get(erasure.workspace).reporting
            day = posting_day(reporting.zone, reporting.books_closed_through, erasure.until_micros // 1_000_000)
            await rows.keep_postings(erasure, posted, day)
        await rows.delete(erasure)
        return {name: found[name] for name in ("conversions", "conversion_revisions", "deliveries")}
