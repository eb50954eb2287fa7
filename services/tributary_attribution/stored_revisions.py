"""What was published of conversions, held against its rows: what ClickHouse has lost is written again.

The one rule: a revision keeps its number, its causes and its posting day, so a report of a closed month is what it was.
The state store has the newest of each conversion. One of before is nowhere any more: the one after it then names the
newest that is there, so that what is posted adds up all the same. What nobody can read is left as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.last_revisions import LastRow
from tributary_attribution.publishing import Writer
from tributary_attribution.writing_in_parts import stored_of
from tributary_domain.stand_ins import is_stand_in
from tributary_storage.clickhouse.newest_rows import NewestRows
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.revision_rows import BrokenChain, RevisionPlaces, RevisionRows
from tributary_storage.codec.conversion_revisions import PublishedConversion, as_published, displacing
from tributary_storage.redis.conversions import Conversions, StoredConversion, conversion_key

_AT_ONCE: Final = 1000

Lacking = tuple[ConversionRevised, bytes]
"""A revision that has no row, or another one than it should, and the same serialised."""
About = Callable[[Mapping[str, int]], Awaitable[object]]
"""Is told which conversions rows are about to be written of, and the newest revision of each."""


async def _tells_nobody(_: Mapping[str, int]) -> None:
    pass


class StoredRevisions:
    """Holds what was published against its rows. Every method may run twice, and beside the attribution that runs.

    Args:
        conversions: Knows what is published.
        rows: The rows of revisions.
        newest: The rows of conversions.
        writer: Writes revisions.
    """

    def __init__(self, conversions: Conversions, rows: RevisionRows, newest: NewestRows, writer: Writer) -> None:
        self._conversions = conversions
        self._rows = rows
        self._newest = newest
        self._writer = writer

    async def broken_chains(self, scope: Scope, published_until_micros: int) -> tuple[list[BrokenChain], bool]:
        """Returns the conversions of a run's days of which a revision has no row, and whether there may be more."""
        found = await self._rows.broken_chains(scope, published_until_micros)
        return found, len(found) >= self._rows.MOST_CHAINS

    async def restore(
        self, workspace: str, conversion_ids: Collection[str], about: About = _tells_nobody
    ) -> dict[str, int]:
        """Writes the rows again that conversions lack, and mends what other rows say of those that nobody has any more.

        Args:
            workspace: Whose.
            conversion_ids: Which. Of one with a revision that is on its way nothing is written.
            about: Is told before anything is written.

        Returns:
            Conversion id -> the newest revision of it that was written.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        ids = [one for one in dict.fromkeys(conversion_ids) if not is_stand_in(one)]
        written: dict[str, int] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            places = await self._rows.places(workspace, some)
            broken = [
                _Broken(conversion_id, stored, found)
                for conversion_id, stored in (await self._stored(workspace, some)).items()
                if not stored.pending
                and not _is_whole(found := places.get(conversion_id, RevisionPlaces((), 0)), stored.revision)
            ]
            for few in _few_at_once(broken):
                written |= await self._write(workspace, few, about)
        return written

    async def reveal(self, workspace: str, conversion_ids: Collection[str]) -> None:
        """Takes away what hides conversions by a number that nobody published: what is restored would not be seen.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        versions = await self._newest.versions(workspace, conversion_ids)
        names = {one.conversion_id for one in versions if one.is_tombstone}
        places = await self._rows.places(workspace, names)
        # Asked last: what is published is in the state store before it is in a row.
        stored = await self._stored(workspace, names)
        known = {name: one.revision for name, one in stored.items() if one.revision and not one.pending}
        for name, numbers in places.items():  # of an older copy of the state store others know more
            if name in known:
                known[name] = max(known[name], *(revision for revision, _ in numbers.revisions))
        for one in versions:
            if one.conversion_id in known and not one.is_tombstone:
                known[one.conversion_id] = max(known[one.conversion_id], one.revision)
        hiding = [
            one for one in versions if one.is_tombstone and one.revision > known.get(one.conversion_id, one.revision)
        ]
        await self._newest.delete(workspace, hiding)

    async def forgotten(self, workspace: str, conversion_ids: Collection[str]) -> set[str]:
        """Returns those of some conversions of which the state store has nothing that was published.

        Raises:
            StorageUnavailableError: It does not answer.
        """
        found: set[str] = set()
        ids = list(conversion_ids)
        for start in range(0, len(ids), _AT_ONCE):
            stored = await self._stored(workspace, ids[start : start + _AT_ONCE])
            found.update(name for name, one in stored.items() if not (one.revision or one.published or one.pending))
        return found

    async def last_rows(self, workspace: str, revisions: Mapping[str, int]) -> dict[str, LastRow]:
        """Returns the rows of some conversions that are of these revisions, by conversion.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
        """
        found = await self._rows.newest(workspace, revisions)
        return {name: row for name, row in found.items() if row["revision"] == revisions[name]}

    async def altered(self, workspace: str, conversion_ids: Collection[str]) -> set[str]:
        """Returns the conversions whose newest row says otherwise than was published.

        Raises:
            StorageUnavailableError: A store does not answer.
        """
        found: set[str] = set()
        ids = list(conversion_ids)
        for start in range(0, len(ids), _AT_ONCE):
            stored = await self._stored(workspace, ids[start : start + _AT_ONCE])
            published = {
                name: ConversionRevised.FromString(one.published) for name, one in stored.items() if one.published
            }
            found |= await self._rows.altered(workspace, published)
        return found

    async def _stored(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, StoredConversion]:
        keys = {conversion_key(workspace, one): one for one in conversion_ids}
        found = await self._conversions.observe({key: {} for key in keys}, 0)
        return {keys[key]: stored for key, stored in found.items()}

    async def _write(self, workspace: str, broken: Sequence[_Broken], about: About) -> dict[str, int]:
        """Writes what some conversions lack; returns the last of each."""
        numbered = [(one.conversion_id, number) for one in broken for number, _ in one.places.revisions]
        known = await self._rows.messages(workspace, numbered)
        lacking = [revision for one in broken for revision in _lacking(one, known)]
        written = {revised.state.conversion_id: revised.revision for revised, _ in lacking}
        if written:
            await about(written)
            stored = await stored_of(self._writer.write, lacking)
            written = {revised.state.conversion_id: revised.revision for revised, _ in stored}
        return written


class _Broken(NamedTuple):
    """A conversion of which not all that was published has a row."""

    conversion_id: str
    stored: StoredConversion
    places: RevisionPlaces


def _few_at_once(broken: Sequence[_Broken]) -> Iterator[list[_Broken]]:
    """Yields conversions, with about so many revisions at once as one question takes."""
    few: list[_Broken] = []
    number = 0
    for one in broken:
        few.append(one)
        number += len(one.places.revisions) + 1
        if number >= _AT_ONCE:
            yield few
            few, number = [], 0
    if few:
        yield few


def _lacking(one: _Broken, known: Mapping[tuple[str, int], ConversionRevised]) -> list[Lacking]:
    """Returns what a conversion lacks, of which some rows are known, as it is written.

    What nobody can read is in its place all the same; of what comes after it nobody knows how it changed credit.
    """
    every = [(number, known.get((one.conversion_id, number))) for number, _ in one.places.revisions]
    newest = one.places.newest
    if one.stored.published and (not every or every[-1][0] < one.stored.revision):
        newest = min(newest, every[-1][0] if every else 0)
        every.append((one.stored.revision, ConversionRevised.FromString(one.stored.published)))
    lacking: list[Lacking] = []
    before: PublishedConversion | None = None
    previous = 0
    for number, revised in every:
        own = None if revised is None else as_published(revised.SerializeToString(deterministic=True))
        if revised is None or own is None or (before is None and previous):
            pass
        elif revised.previous_revision != previous or number > newest:
            with suppress(ValueError):  # a difference that no number holds: what one of them says is damaged
                lacking.append(displacing(before, previous, own, revised))
        before, previous = own, number
    return lacking


def _is_whole(places: RevisionPlaces, newest: int) -> bool:
    """Tells whether all that was published has a row."""
    numbers = [0, *(revision for revision, _ in places.revisions)]
    return (
        all(named == before for (_, named), before in zip(places.revisions, numbers, strict=False))
        and numbers[-1] >= newest
        and places.newest >= numbers[-1]
    )
