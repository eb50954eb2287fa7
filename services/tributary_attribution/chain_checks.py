"""Chains of revisions: each names the one before it, and where that has no row, what is posted when is not whole.

The one rule: what is mended is noted first, with the revision that mends it: a run that stops behind that tells of it
when it is resumed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from tributary_attribution.stored_revisions import StoredRevisions
from tributary_domain.findings import Finding, FindingCause, FindingKind, finding, repaired_before
from tributary_storage.clickhouse.ledger_rows import Place
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.revision_rows import BrokenChain

_LOST: Final = "A revision of it was published and has no row: what is posted when is not whole."

Note = Callable[[Sequence[Finding]], Awaitable[object]]
"""Stores findings; raises `StorageUnavailableError`."""


class Chains(NamedTuple):
    """What was found."""

    found: list[Finding]
    """One per conversion; resolved, where it was mended, and open with the revision, where that was not enough."""
    is_cut: bool
    """Whether there may be more."""

    def without(self, unpublished: Collection[str]) -> Chains:
        """Returns them without those of conversions whose newest row nobody published: no row of these is left lost."""
        found = [one for one in self.found if one.repair_revision or one.conversion_id not in unpublished]
        mended = [one.repaired(one.repair_revision) if one.conversion_id in unpublished else one for one in found]
        return Chains(mended, self.is_cut)


class ChainChecks:
    """Names broken chains and mends them. May run twice, and beside the attribution that runs.

    Args:
        revisions: Holds what is published against its rows.
    """

    def __init__(self, revisions: StoredRevisions) -> None:
        self._revisions = revisions

    async def check(
        self,
        scope: Scope,
        now_micros: int,
        published_until_micros: int,
        misnumbered: Collection[Place],
        said: Mapping[str, Finding],
        note: Note,
        *,
        repairs: bool,
    ) -> Chains:
        """Returns a finding per conversion of which a revision has no row.

        Args:
            scope: The run.
            now_micros: When it looks.
            published_until_micros: The row of what was published later may be on its way.
            misnumbered: Revisions of which it is known that what they name as the one before them was altered.
            said: What an attempt of the run before this one noted, by finding id.
            note: Stores what is about to be mended, and what of that was.
            repairs: Whether they are mended.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        every, is_cut = await self._revisions.broken_chains(scope, published_until_micros)
        broken = [one for one in every if (one.conversion_id, one.revision) not in misnumbered]
        found = [_finding(scope, one, now_micros) for one in broken]
        if not repairs:
            return Chains(found, is_cut)
        if found:
            found = await self._mended(scope, published_until_micros, found, note)
        before = repaired_before(said, found, is_cut=is_cut)
        await note(before)
        return Chains([*found, *before], is_cut)

    async def _mended(
        self, scope: Scope, published_until_micros: int, found: Sequence[Finding], note: Note
    ) -> list[Finding]:
        """Mends what was found; returns that, as it is then."""
        named = {one.conversion_id: one for one in found}

        async def about(writes: Mapping[str, int]) -> None:
            await note([replace(named[name], repair_revision=revision) for name, revision in writes.items()])

        written = await self._revisions.restore(scope.workspace, list(named), about)
        again, _ = await self._revisions.broken_chains(scope, published_until_micros)
        left = {one.conversion_id for one in again}
        tried = [replace(one, repair_revision=written.get(one.conversion_id, 0)) for one in found]
        mended = [one if one.conversion_id in left else one.repaired(one.repair_revision) for one in tried]
        await note([one for one in mended if one.conversion_id in written])
        return mended


def is_of_chains(one: Finding) -> bool:
    """Tells whether a finding is one of these."""
    return one.message == _LOST


def _finding(scope: Scope, one: BrokenChain, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.MISSING,
        _LOST,
        cause=FindingCause.LOST_ROW,
        conversion_id=one.conversion_id,
        expected=f"revision {one.named}",
        actual=f"revision {one.before}" if one.before else "nothing",
        find_micros=now_micros,
    )
