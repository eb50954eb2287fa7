"""Rows of `conversions` that are not what the ledger says of the newest revision: named, and written again.

The one rule: the ledger is the truth, and a row is a copy of it. What is repaired here is published by nobody: the
revision keeps its number and its posting day. A row of a number that the ledger has not is taken away only where the
state store says that none was published after the ledger's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from operator import not_
from typing import Final, NamedTuple, Protocol

from tributary_attribution.row_places import PLACE, has_later, place_text, places_text
from tributary_attribution.severed_row_checks import NO_REVISION, SeveredRowChecks
from tributary_domain.findings import AS_PUBLISHED, Finding, FindingCause, FindingKind, finding, repaired_before
from tributary_storage.clickhouse.newest_rows import AlteredRow, MisplacedRows, NewestRows, RowVersion
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.redis.conversions import StoredConversion, conversion_key

_AT_ONCE: Final = 1000

_NO_ROW: Final = "Its newest revision was published, and its row is not in ClickHouse."
_OTHER_PLACE: Final = "It has a row at another time, or of another number, than its newest revision."
_ALTERED: Final = "Its row says otherwise than its newest revision."

_VALUES: Final = frozenset(
    {
        *("currency", "value_micros", "original_value_micros", "value_source", "value_basis", "amounts_micros"),
        *("reporting_currency", "reporting_value_micros", "rate_picos", "rate_date"),
        *("counted", "not_counted_reason", "retracted", "value_pending"),
    }
)
_CREDITS: Final = frozenset({"reporting_credit_micros", "data_driven_model_version"})


Note = Callable[[Sequence[Finding]], Awaitable[object]]
"""Stores findings; raises `StorageUnavailableError`."""


class Conversions(Protocol):
    """What is published."""

    async def observe(
        self, parts: Mapping[str, Mapping[bytes, bytes]], life_seconds: int
    ) -> Mapping[str, StoredConversion]:
        """Returns what is known of conversions, by their keys; raises `StorageUnavailableError`."""
        ...


class OddRows(NamedTuple):
    """What a run found."""

    found: list[Finding]
    """One per conversion; resolved where its row is as it should be."""
    is_cut: bool
    """Whether there may be more."""
    unpublished: frozenset[str] = frozenset()
    """The conversions that have a row of a number that nobody published: no revision of theirs is lost."""
    passed_over: Collection[str] = ()
    """Those that may only seem odd, for somebody is being erased (`SeveredRowChecks.passed_over`)."""


class NewestRowChecks:
    """Names and repairs them. May run twice, and beside the attribution that runs.

    Args:
        rows: The rows.
        conversions: Knows what is published.
        severed: Knows what erasures may be copying.
    """

    def __init__(self, rows: NewestRows, conversions: Conversions, severed: SeveredRowChecks) -> None:
        self._rows = rows
        self._conversions = conversions
        self._severed = severed

    async def misplaced(
        self,
        scope: Scope,
        now_micros: int,
        published_until_micros: int,
        unsure: Collection[str],
        said: Mapping[str, Finding],
        note: Note,
        *,
        repairs: bool,
    ) -> OddRows:
        """Looks for conversions that have no row, one at another time or of another number, or several.

        Args:
            scope: The run.
            now_micros: When it looks.
            published_until_micros: The row of what was published later may be on its way.
            unsure: Conversions of which the ledger itself is damaged: they are left alone.
            said: What an attempt of the run before this one noted, by finding id.
            note: Stores what is about to be put right, and what of that was.
            repairs: Whether they are repaired.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        before = await self._severed.before(scope.workspace)
        every = await self._rows.misplaced(scope, published_until_micros)
        is_cut = len(every) >= self._rows.MOST
        stored = await self._stored(scope.workspace, [one.conversion_id for one in every])
        passed = await self._severed.passed_over(scope.workspace, before, (one.conversion_id for one in every))
        every = [one for one in every if one.conversion_id not in passed.conversion_ids]
        sure = [one for one in every if one.conversion_id not in unsure]
        known = [one for one in sure if _is_newest(one, stored[one.conversion_id])]
        unpublished = frozenset(one.conversion_id for one in known if has_later(one))
        found = [_found_misplaced(scope, one, now_micros) for one in known]
        others = [one for one in sure if one not in known and not stored[one.conversion_id].pending]
        kept = passed.kept(known)
        mended = [one for one in known if one.conversion_id not in kept]
        if mended and repairs:
            newest = {one.conversion_id: one.newest.revision for one in mended}
            await note(
                [
                    replace(one, repair_revision=newest[one.conversion_id])
                    for one in found
                    if one.conversion_id in newest
                ]
            )
            await self._put_right(scope.workspace, mended, published_until_micros)
            left = {one.conversion_id for one in await self._rows.misplaced(scope, published_until_micros)} | kept
            found = [one if one.conversion_id in left else one.repaired(newest[one.conversion_id]) for one in found]
            await note(found)
        found += self._severed.lacking(scope, others, now_micros)
        earlier = repaired_before(said, found, is_cut=is_cut)
        await note(earlier)
        return OddRows([*found, *earlier], is_cut, unpublished, passed.conversion_ids)

    async def altered(
        self,
        scope: Scope,
        now_micros: int,
        published_until_micros: int,
        unsure: Collection[str],
        named: Collection[str],
        said: Mapping[str, Finding],
        note: Note,
        *,
        repairs: bool,
    ) -> OddRows:
        """Looks for rows that are where they belong and say otherwise than the ledger.

        Args:
            scope: The run, the slices of which are compared.
            now_micros: When it looks.
            published_until_micros: The row of what was published later may be on its way.
            unsure: Conversions of which the ledger itself is damaged: they are left alone.
            named: Conversions of which the run has said that they differ, and that stands: it is not said twice.
            said: What an attempt of the run before this one noted of these rows, by finding id.
            note: Stores what is about to be written again, and what of that was.
            repairs: Whether they are repaired.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        before = await self._severed.before(scope.workspace)
        every, is_cut = await self._rows.altered(scope, published_until_micros)
        passed = await self._severed.passed_over(scope.workspace, before, (one.conversion_id for one in every))
        every = [one for one in every if one.conversion_id not in passed.conversion_ids]
        damaged = [one for one in every if not one.is_told_by_row and one.conversion_id not in unsure]
        every_one = [_found_altered(scope, one, now_micros) for one in damaged]
        found = [one for one in every_one if one.conversion_id not in named or one.finding_id in said]
        if damaged and repairs:
            revisions = {one.conversion_id: one.revision for one in damaged}
            await note([replace(one, repair_revision=revisions[one.conversion_id]) for one in found])
            await self._rows.rewrite(scope.workspace, revisions)
            again, _ = await self._rows.altered(scope, published_until_micros)
            left = {one.conversion_id for one in again}
            found = [one if one.conversion_id in left else one.repaired(revisions[one.conversion_id]) for one in found]
            await note(found)
        earlier = repaired_before(said, found, is_cut=is_cut)
        await note(earlier)
        return OddRows([*found, *earlier], is_cut, passed_over=passed.conversion_ids)

    async def _put_right(self, workspace: str, known: Sequence[MisplacedRows], published_until_micros: int) -> None:
        """Takes away what hides the row that belongs there, writes that, and takes away what lies elsewhere.

        In this order: what has a higher number takes what is written with it when both are merged, and no report is
        without the conversion for longer than it must.
        """
        newest = {one.conversion_id: one.newest for one in known}
        places = {one.conversion_id: one for one in known}
        versions = await self._rows.versions(workspace, places)
        wrong = [one for one in versions if _is_wrong(places[one.conversion_id], one, published_until_micros)]
        hides = [one.conversion_micros == newest[one.conversion_id].conversion_micros for one in wrong]
        await self._rows.delete(workspace, list(compress(wrong, hides)))
        await self._rows.rewrite(workspace, {name: place.revision for name, place in newest.items()})
        await self._rows.delete(workspace, list(compress(wrong, map(not_, hides))))

    async def _stored(self, workspace: str, conversion_ids: Sequence[str]) -> dict[str, StoredConversion]:
        stored: dict[str, StoredConversion] = {}
        for start in range(0, len(conversion_ids), _AT_ONCE):
            keys = {conversion_key(workspace, one): one for one in conversion_ids[start : start + _AT_ONCE]}
            found = await self._conversions.observe({key: {} for key in keys}, 0)
            stored |= {keys[key]: one for key, one in found.items()}
        return stored


def _is_newest(one: MisplacedRows, stored: StoredConversion) -> bool:
    """Tells whether the ledger has the newest revision; where the state store has lost it, a later row may have it."""
    if stored.pending or stored.revision > one.newest.revision or not one.newest.revision:
        return False
    return stored.revision == one.newest.revision or not has_later(one)


def _is_wrong(one: MisplacedRows, version: RowVersion, published_until_micros: int) -> bool:
    """Tells whether a version of a conversion's rows must go; not one that was published since they were looked at."""
    newest = one.newest
    if version.revision > newest.revision:
        return version.publish_micros <= published_until_micros
    if version.conversion_micros == newest.conversion_micros:
        return bool(version.is_tombstone) and version.revision == newest.revision
    return not version.is_tombstone and version.conversion_micros in {row.conversion_micros for row in one.rows}


def _found_misplaced(scope: Scope, one: MisplacedRows, now_micros: int) -> Finding:
    newest = one.newest
    is_lost = all(
        row.conversion_micros == newest.conversion_micros and row.revision < newest.revision for row in one.rows
    )
    return finding(
        scope.reconciliation_id,
        FindingKind.MISSING if is_lost else FindingKind.DIFFERENT,
        _NO_ROW if is_lost else _OTHER_PLACE,
        cause=FindingCause.LOST_ROW if is_lost else FindingCause.WRONG_FACTS,
        conversion_id=one.conversion_id,
        expected=place_text(newest),
        actual=places_text(one.rows) or "nothing",
        find_micros=now_micros,
    )


def is_of_misplaced(one: Finding) -> bool:
    """Tells whether a finding is one of `NewestRowChecks.misplaced`."""
    return one.message in (_NO_ROW, _OTHER_PLACE, NO_REVISION) and one.expected.startswith(PLACE)


def is_of_altered(one: Finding) -> bool:
    """Tells whether a finding is one of `NewestRowChecks.altered`."""
    return one.message == _ALTERED


def _found_altered(scope: Scope, one: AlteredRow, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.DIFFERENT,
        _ALTERED,
        cause=_cause(one.columns),
        conversion_id=one.conversion_id,
        expected=AS_PUBLISHED,
        actual=f"revision {one.revision}: {', '.join(one.columns)}",
        find_micros=now_micros,
    )


def _cause(columns: Sequence[str]) -> FindingCause:
    """Names the worst of what differs, as between stream and batch."""
    if not _VALUES.isdisjoint(columns):
        return FindingCause.WRONG_VALUE
    if all(_is_credit(name) for name in columns):
        return FindingCause.WRONG_CREDIT
    return FindingCause.WRONG_FACTS


def _is_credit(column: str) -> bool:
    endings = ("_credit_micros", "_value_micros", "_unattributed_reason")
    return column in _CREDITS or column.startswith("touch_") or column.endswith(endings)
