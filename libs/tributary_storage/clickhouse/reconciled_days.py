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
    """What was published by then is as it should be, but for the credit."""
    credit_micros: int
    """The credit that was published by then is, too: never later."""


class Look(NamedTuple):
    """What the newest run said of one conversion that said of it what its days do not tell."""

    verified_micros: int
    """What was published by then is as it should be, if it was compared, but for the credit."""
    is_compared: bool
    """Else it was left to the next run."""
    credit_micros: int
    """The credit that was published by then is, too: this run or one before it compared that; negative: none did."""


class Said(NamedTuple):
    """What findings say of one conversion."""

    is_doubted: bool
    """An error is open."""
    is_repaired: bool
    """A run repaired it by its newest revision, and looked at it again."""
    repaired_micros: int
    """What was published by then that run vouches for, too; negative: nobody knows the run."""


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
            "credits": [span.credit_micros for span in spans],
            "grace": GRACE_MICROS,
        }
        for name in ("open_errors", "revised_since", "credit_moved"):
            [[is_so]] = await self._clickhouse.execute(statement(f"finality/{name}"), values)
            if is_so:
                return True
        return False

    async def look_at(self, workspace: str, conversion_id: str) -> Look | None:
        """Returns what a run said of a conversion beside its days; None: nothing."""
        values = {"workspace": workspace, "conversion_id": conversion_id}
        rows = await self._clickhouse.execute(statement("finality/look_at_conversion"), values)
        looks = (Look(at - GRACE_MICROS, bool(is_compared), credit - GRACE_MICROS) for at, is_compared, credit in rows)
        return next(looks, None)

    async def findings_of(self, workspace: str, conversion_id: str, revision: int) -> Said:
        """Returns what findings say of a conversion, as it is by this revision."""
        values = {"workspace": workspace, "conversion_id": conversion_id, "revision": revision}
        [[is_doubted, is_repaired, created]] = await self._clickhouse.execute(
            statement("finality/findings_of_conversion"), values
        )
        return Said(bool(is_doubted), bool(is_repaired), created - GRACE_MICROS)

    async def credit_stands(self, workspace: str, conversion_id: str, revision: int, credit_micros: int) -> bool:
        """Tells whether a conversion has by this revision the credit that it had at a moment."""
        values = {"workspace": workspace, "conversion_id": conversion_id, "revision": revision}
        values["verified"] = max(0, credit_micros)
        [[stands]] = await self._clickhouse.execute(statement("finality/credit_stands"), values)
        return bool(stands)
