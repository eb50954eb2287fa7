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

NOTHING: Final[Mapping[str, int]] = {}

Note = Callable[[Sequence[Finding]], Awaitable[object]]
"""Stores findings; raises `StorageUnavailableError`."""


class Chains(NamedTuple):
    """What was found."""

    found: list[Finding]
    """One per conversion; resolved, where it was mended, and open with the revision, where that was not enough."""
    is_cut: bool
    """Whether there may be more."""
    unknown: Mapping[str, int] = NOTHING
    """The newest revisions that only `conversions` has, for the state store has forgotten them, by conversion."""
    noted: Collection[str] = ()
    """What an attempt of the run before this one noted, by finding id."""

    def about_to_be_mended(self, conversion_ids: Collection[str]) -> list[Finding]:
        """Returns what is noted before some are mended that nobody knew: a run that is resumed finds them no more."""
        named = self.unknown.keys() & set(conversion_ids)
        some = [one for one in self.found if one.conversion_id in named]
        return [replace(one, repair_revision=self.unknown[one.conversion_id]) for one in some]

    def without(self, unpublished: Collection[str]) -> Chains:
        """Returns them without those of conversions whose newest row nobody published: no row of these is left lost."""
        told = {one.finding_id for one in self.found if one.repair_revision}.union(self.noted)
        found = [one for one in self.found if one.finding_id in told or one.conversion_id not in unpublished]
        mended = [one.repaired(one.repair_revision) if one.conversion_id in unpublished else one for one in found]
        return Chains(mended, self.is_cut, self.unknown, self.noted)


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
        unknown: Mapping[str, int] = NOTHING
        if found:
            found, unknown = await self._mended(scope, published_until_micros, found, note)
        before = repaired_before(said, found, is_cut=is_cut)
        await note(before)
        return Chains([*found, *before], is_cut, unknown, said.keys())

    async def again(self, scope: Scope, published_until_micros: int, chains: Chains) -> Chains:
        """Looks again at those of which nobody knew the newest revision: resolved is what is whole since.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        if not chains.unknown:
            return chains
        again, _ = await self._revisions.broken_chains(scope, published_until_micros)
        whole = chains.unknown.keys() - {one.conversion_id for one in again}
        found = [
            one.repaired(chains.unknown[one.conversion_id]) if one.conversion_id in whole else one
            for one in chains.found
        ]
        return Chains(found, chains.is_cut)

    async def _mended(
        self, scope: Scope, published_until_micros: int, found: Sequence[Finding], note: Note
    ) -> tuple[list[Finding], dict[str, int]]:
        """Mends what was found; returns that, as it is then, and what nobody knows (`Chains.unknown`)."""
        named = {one.conversion_id: one for one in found}

        async def about(writes: Mapping[str, int]) -> None:
            await note([replace(named[name], repair_revision=revision) for name, revision in writes.items()])

        written = await self._revisions.restore(scope.workspace, list(named), about)
        again, _ = await self._revisions.broken_chains(scope, published_until_micros)
        left = {one.conversion_id for one in again}
        tried = [replace(one, repair_revision=written.get(one.conversion_id, 0)) for one in found]
        mended = [one if one.conversion_id in left else one.repaired(one.repair_revision) for one in tried]
        lacking = {one.conversion_id: one.revision for one in again if one.revision == one.named}
        forgotten = await self._revisions.forgotten(scope.workspace, lacking.keys() & named)
        unknown = {name: lacking[name] for name in forgotten}
        await note([one for one in mended if one.conversion_id in written])
        return mended, unknown


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
