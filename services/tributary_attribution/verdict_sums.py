"""Promise 3 from two sides: what the claim scripts counted of a workspace, and the rows that ClickHouse has of it.

The one rule: neither side is asked about the other's. Events go on arriving meanwhile, so the rows must lie between
what was counted before, which is all recorded by now, and what was counted after. Where nothing arrives, that is equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from tributary_domain.findings import Finding, FindingKind, finding
from tributary_storage.clickhouse.reconciliation_sources import VerdictRows
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.redis.log_side import LogCounts

VERDICTS: Final = ("ACCEPTED", "DUPLICATE", "CONFLICT", "REJECTED", "QUARANTINED")
_MESSAGE: Final = "The claim scripts counted other events {} than there are rows."
_TRIES: Final = 3
"""Events that were released meanwhile move from one verdict to another: what is wrong stays so."""


class Log(Protocol):
    """The side of the claim scripts. Every method raises `StorageUnavailableError` if it does not answer."""

    async def counts(self, workspace: str) -> LogCounts:
        """Returns what was counted for a workspace by now."""
        ...


class Rows(Protocol):
    """The side of ClickHouse."""

    async def verdict_rows(self, scope: Scope) -> VerdictRows:
        """Returns how many rows there are, by verdict; raises `StorageUnavailableError`."""
        ...


class VerdictSums:
    """Compares both sides.

    Args:
        log: What was counted.
        rows: What is there.
    """

    def __init__(self, log: Log, rows: Rows) -> None:
        self._log = log
        self._rows = rows

    async def counts(self, scope: Scope) -> LogCounts:
        """Returns what was counted by now: for `check`, once it is recorded.

        Raises:
            StorageUnavailableError: The event log does not answer.
        """
        return await self._log.counts(scope.workspace)

    async def check(self, scope: Scope, before: LogCounts, now_micros: int) -> tuple[dict[str, int], list[Finding]]:
        """Compares.

        Args:
            scope: The run.
            before: Of `counts`.
            now_micros: When.

        Returns:
            Counts by name, and a finding per verdict of which there are too few rows, or too many.

        Raises:
            StorageUnavailableError: A side does not answer.
        """
        counts: dict[str, int] = {}
        wrong: dict[str, tuple[int, int]] = {}
        for _ in range(_TRIES):
            recorded = (await self._log.counts(scope.workspace)).recorded_through_micros
            rows = await self._rows.verdict_rows(scope)
            after = await self._log.counts(scope.workspace)
            counts = _counts(after.verdicts, rows)
            if after.lost_micros or recorded < before.moment_micros:
                return counts | {"verdicts_unsettled": 1}, []
            wrong = _wrong(before.verdicts, after.verdicts, rows)
            if not wrong:
                return counts, []
            if after.recorded_through_micros >= after.moment_micros:
                before = after
        return counts, [_finding(scope, verdict, *sides, now_micros) for verdict, sides in wrong.items()]


def is_verdict_sum(found: Finding) -> bool:
    """Tells whether a finding is of these sums."""
    return found.kind is FindingKind.SUM_WRONG and found.message in {_MESSAGE.format(verdict) for verdict in VERDICTS}


def _counts(verdicts: Mapping[str, int], rows: VerdictRows) -> dict[str, int]:
    counted = {f"counted_{verdict.lower()}": verdicts.get(verdict, 0) for verdict in VERDICTS}
    stored = {f"stored_{verdict.lower()}": number for verdict, number in rows.by_verdict().items()}
    return {"received": sum(verdicts.values()), **counted, **stored}


def _wrong(before: Mapping[str, int], after: Mapping[str, int], rows: VerdictRows) -> dict[str, tuple[int, int]]:
    """Returns the verdicts of which there are too few rows, or too many: as counted, and as rows."""
    found = {}
    for verdict, number in rows.by_verdict().items():
        sides = before.get(verdict, 0), after.get(verdict, 0)
        # Of duplicates only those are rows that are further observations of an order.
        least = 0 if verdict == "DUPLICATE" else min(sides)
        if not least <= number <= max(sides):
            found[verdict] = (max(sides) if number > max(sides) else least), number
    return found


def _finding(scope: Scope, verdict: str, counted: int, rows: int, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.SUM_WRONG,
        _MESSAGE.format(verdict),
        expected=str(counted),
        actual=str(rows) if rows >= counted else f"{rows}; of those that are not named, nothing is known any more",
        find_micros=now_micros,
    )
