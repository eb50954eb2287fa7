"""What runs of reconciliation have looked at: whether what is stored of some days is what they saw.

The one rule: a run vouches for what was published before it began, and for what it repaired and looked at again. What
changed since, and what it left, is for the next run.

Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

GRACE_MICROS: Final = 60_000_000
"""What was published this shortly before a run may be younger than what it compared."""


class CompleteRun(NamedTuple):
    """A run that looked at all of its days."""

    begin_micros: int
    """The first moment of its days."""
    end_micros: int
    """The first moment after them."""
    create_micros: int
    """When it began."""
    is_whole: bool = True
    """Whether it compared the credit of all; else the touches of some were deleted by then, for their age."""


class Span(NamedTuple):
    """Days that a run vouches for."""

    begin_micros: int
    verified_micros: int
    """What was published by then is as it should be."""


class Look(NamedTuple):
    """What the newest run said of one conversion that said of it what its days do not tell."""

    verified_micros: int
    """What was published by then is as it should be, if it was compared."""
    is_compared: bool
    """Else it was left to the next run."""


class ReconciledDays:
    """Asks ClickHouse."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Asks through this client."""
        self._clickhouse = clickhouse

    async def runs(self, workspace: str, begin_micros: int, end_micros: int) -> list[CompleteRun]:
        """Returns the complete runs that looked at any of some days, the oldest first."""
        values = {"workspace": workspace, "begin": begin_micros, "end": end_micros}
        rows = await self._clickhouse.execute(statement("finality/complete_runs"), values)
        return [CompleteRun(begin, end, created, bool(is_whole)) for begin, end, created, is_whole in rows]

    async def is_doubted(self, workspace: str, begin_micros: int, end_micros: int, spans: Sequence[Span]) -> bool:
        """Tells whether something is found and open about these days, or no run looked at it since it changed."""
        values = {
            "workspace": workspace,
            "begin": begin_micros,
            "end": end_micros,
            "begins": [span.begin_micros for span in spans],
            "verified": [span.verified_micros for span in spans],
            "grace": GRACE_MICROS,
        }
        for name in ("open_errors", "revised_since"):
            [[is_so]] = await self._clickhouse.execute(statement(f"finality/{name}"), values)
            if is_so:
                return True
        return False

    async def look_at(self, workspace: str, conversion_id: str) -> Look | None:
        """Returns what a run said of a conversion beside its days; None: nothing."""
        values = {"workspace": workspace, "conversion_id": conversion_id}
        rows = await self._clickhouse.execute(statement("finality/look_at_conversion"), values)
        return next((Look(created - GRACE_MICROS, bool(is_compared)) for created, is_compared in rows), None)

    async def findings_of(self, workspace: str, conversion_id: str, revision: int) -> tuple[bool, bool]:
        """Tells whether an error is open about a conversion, and whether a run repaired it by this revision."""
        values = {"workspace": workspace, "conversion_id": conversion_id, "revision": revision}
        [[is_doubted, is_repaired]] = await self._clickhouse.execute(
            statement("finality/findings_of_conversion"), values
        )
        return bool(is_doubted), bool(is_repaired)
