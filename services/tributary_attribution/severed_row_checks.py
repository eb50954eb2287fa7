"""Rows of severed orders, which have no message, held against each other: what is wrong and nobody can tell right.

The one rule: the ledger decides what `conversions` has of them. Where it contradicts itself, or lacks what that has, it
is named, and left as it is. What an erasure that is under way may be copying is looked at by the next run: that alone,
for where many are erased, one of them always is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from tributary_attribution.open_erasures import OpenErasures
from tributary_attribution.row_places import has_later, place_text, places_text
from tributary_domain.erasures import SEVERED_PREFIX, Erasure
from tributary_domain.findings import AS_PUBLISHED, Finding, FindingCause, FindingKind, finding
from tributary_runtime.clock import Clock
from tributary_storage.clickhouse.newest_rows import MisplacedRows, NewestRows
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.severed_rows import SeveredRows

NO_REVISION: Final = "It has a row of a revision that the ledger lacks, and nobody else knows what that said."
_SUMS: Final = (
    "What revisions of a severed conversion changed is not what lies between them: nobody knows what they said."
)


def is_severed(conversion_id: str) -> bool:
    """Tells whether an erasure left a conversion under a random id."""
    return conversion_id.startswith(SEVERED_PREFIX)


class Before(NamedTuple):
    """Which erasures were under way before rows were read."""

    micros: int
    erasure_ids: frozenset[str]


class PassedOver(NamedTuple):
    """What of some conversions nobody can tell before the next run."""

    conversion_ids: Collection[str] = frozenset()
    """Those that an erasure may have been copying while their rows were read."""
    is_removing: bool = False
    """Whether any erasure of the workspace took conversions out of it; asked only where one of them is severed."""

    def kept(self, known: Iterable[MisplacedRows]) -> set[str]:
        """Returns those that may be what closed books keep of a removed conversion, which has no row.

        Where the last revision of such a one is lost, it looks as if its row were.
        """
        severed = {one.conversion_id for one in known if is_severed(one.conversion_id) and not one.rows}
        return severed if self.is_removing else set()


class OddSums(NamedTuple):
    """What does not add up."""

    found: list[Finding]
    is_cut: bool
    """Whether there may be more."""
    passed_over: Collection[str]
    """Conversions of which that cannot be told."""


class SeveredRowChecks:
    """Names them. May run twice, and beside erasures.

    Args:
        rows: The rows.
        copies: Knows under which ids erasures copy.
        erasures: Which are under way.
        clock: Tells when.
    """

    def __init__(self, rows: NewestRows, copies: SeveredRows, erasures: OpenErasures, clock: Clock) -> None:
        self._rows = rows
        self._copies = copies
        self._erasures = erasures
        self._clock = clock

    async def before(self, workspace: str) -> Before:
        """Returns what is to be known before rows are read, so that `passed_over` can tell.

        Raises:
            StorageUnavailableError: The state store does not answer.
        """
        return Before(self._clock.unix_micros(), frozenset(await self._opened(workspace)))

    async def passed_over(self, workspace: str, before: Before, conversion_ids: Iterable[str]) -> PassedOver:
        """Returns those of some conversions, the rows of which were read since `before`, that may have been half there.

        An erasure keeps what it is about before it copies anything. Of one that has ended since, or that only its
        tombstones tell of, nobody knows what it was about: then it is every severed one.

        Raises:
            StorageUnavailableError: A store does not answer.
        """
        severed = frozenset(filter(is_severed, conversion_ids))
        if not severed:
            return PassedOver()
        opened = await self._opened(workspace)
        stored = await self._rows.erasures(workspace, before.micros)
        is_removing = stored.removing > 0
        if (before.erasure_ids | stored.unfinished).difference(opened):
            return PassedOver(severed, is_removing)
        names = {name for one in opened.values() for name in await self._names(one)}
        return PassedOver(severed.intersection(names), is_removing)

    async def sums(self, scope: Scope, now_micros: int, published_until_micros: int) -> OddSums:
        """Returns a finding per severed conversion whose revisions do not add up, and whether there may be more.

        Raises:
            StorageUnavailableError: A store does not answer.
        """
        before = await self.before(scope.workspace)
        rows = await self._rows.severed_sums(scope, published_until_micros)
        passed = (await self.passed_over(scope.workspace, before, (name for name, _ in rows))).conversion_ids
        found = [_finding(scope, *row, now_micros) for row in rows if row[0] not in passed]
        return OddSums(found, len(rows) >= self._rows.MOST, passed)

    def lacking(self, scope: Scope, ones: Iterable[MisplacedRows], now_micros: int) -> list[Finding]:
        """Returns a finding per severed conversion, of some, that has a row of a revision that the ledger has lost."""
        severed = [one for one in ones if is_severed(one.conversion_id) and has_later(one)]
        return [_found_lacking(scope, one, now_micros) for one in severed]

    async def _opened(self, workspace: str) -> dict[str, Erasure]:
        return {one.erasure_id: one for one in await self._erasures.opened() if one.workspace == workspace}

    async def _names(self, erasure: Erasure) -> Collection[str]:
        """Returns the ids of what an erasure copies, and of others' conversions that it may strip."""
        copies = await self._copies.copies(erasure, erasure.ever_theirs) if erasure.ever_theirs else ()
        return {*copies, *erasure.relatives}


def _found_lacking(scope: Scope, one: MisplacedRows, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.MISSING,
        NO_REVISION,
        cause=FindingCause.LOST_ROW,
        conversion_id=one.conversion_id,
        expected=places_text(one.rows),
        actual=place_text(one.newest) if one.newest.revision else "nothing",
        find_micros=now_micros,
    )


def _finding(scope: Scope, conversion_id: str, revision: int, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.DIFFERENT,
        _SUMS,
        cause=FindingCause.WRONG_VALUE,
        conversion_id=conversion_id,
        expected=AS_PUBLISHED,
        actual=f"revision {revision}: its deltas",
        find_micros=now_micros,
    )
