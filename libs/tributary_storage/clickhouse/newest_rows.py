"""Rows of `conversions`, held against the newest revisions in `conversion_revisions`, which they are a copy of.

The one rule: only what differs leaves ClickHouse. Every method raises `StorageUnavailableError` if ClickHouse does not
answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_storage.clickhouse.client import ClickHouse, StatementTooLargeError
from tributary_storage.clickhouse.conversion_rows import NEWEST_COLUMNS, REVISION_COLUMNS, revision_row
from tributary_storage.clickhouse.reconciliation_staging import MAX_MEMORY, Scope
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement
from tributary_storage.clickhouse.revision_rows import plain

_AT_ONCE: Final = 500
_COMPARED_AT_ONCE: Final = 1000
_PLACES_AT_ONCE: Final = 100_000
Named = TypeVar("Named")


class RowPlace(NamedTuple):
    """Which revision a row is of, and when its conversion was, in microseconds."""

    revision: int
    conversion_micros: int


class NewestPlace(NamedTuple):
    """Where the row of a conversion belongs: of which revision, and when that was, in microseconds."""

    conversion_id: str
    revision: int
    conversion_micros: int


class RowVersion(NamedTuple):
    """One version of a row, as long as it is not merged away."""

    conversion_id: str
    conversion_micros: int
    revision: int
    is_tombstone: int
    """1: it says that nothing is there; 0: it does not."""
    publish_micros: int


class MisplacedRows(NamedTuple):
    """A conversion that has not exactly one row, of its newest revision at the time of that."""

    conversion_id: str
    newest: RowPlace
    rows: tuple[RowPlace, ...]


class ErasuresOfWorkspace(NamedTuple):
    """Which erasures of a workspace may be under way, or were since a moment."""

    unfinished: frozenset[str]
    """Ids."""
    removing: int
    """How many there ever were that took conversions out of it."""


class AlteredRow(NamedTuple):
    """A row that says otherwise than the newest revision of its conversion."""

    conversion_id: str
    revision: int
    columns: tuple[str, ...]
    """Those that differ."""
    is_told_by_row: bool
    """Whether in one of these it is the row that says what was published: the revision is damaged itself."""


class NewestRows:
    """Compares rows, and brings them back to what the ledger says."""

    MOST: Final = 10_000
    """Conversions that are named at once; a later run names the rest."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads and writes through this client."""
        self._clickhouse = clickhouse

    async def misplaced(self, scope: Scope, published_until_micros: int) -> list[MisplacedRows]:
        """Returns the conversions of the run's days that have no row, another or several, at most `MOST`.

        Args:
            scope: The run.
            published_until_micros: The rows of what was published later may be on their way.
        """
        rows = await self._in_parts("misplaced_rows", scope, published_until_micros)
        return [
            MisplacedRows(name, RowPlace(revision, micros), tuple(RowPlace(*place) for place in places))
            for name, revision, micros, places in rows
        ]

    async def severed_sums(self, scope: Scope, published_until_micros: int) -> list[tuple[str, int]]:
        """Returns severed conversions whose revisions do not add up, each with the first; at most `MOST`."""
        rows = await self._in_parts("severed_sums", scope, published_until_micros)
        return [(str(name), int(revision)) for name, revision in rows]

    async def erasures(self, workspace: str, since_micros: int) -> ErasuresOfWorkspace:
        """Returns which erasures there are, as they were stored."""
        asked = {"workspace": workspace, "since": since_micros}
        [(names, removing)] = await self._clickhouse.execute(reconciliation_statement("erasures_of_workspace"), asked)
        return ErasuresOfWorkspace(frozenset(names), removing)

    async def altered(self, scope: Scope, published_until_micros: int) -> tuple[list[AlteredRow], bool]:
        """Returns the rows that are where they belong and say otherwise than the ledger; as for `misplaced`.

        Also whether there may be more than those.
        """
        altered: list[AlteredRow] = []
        is_cut, after = False, ""
        while not is_cut and (places := await self._newest_places(scope, published_until_micros, after)):
            odd = await self._odd(scope.workspace, places)
            is_cut = len(altered) + len(odd) >= self.MOST
            altered += await self._altered(scope.workspace, odd[: self.MOST - len(altered)])
            after = places[-1].conversion_id
        return altered, is_cut

    async def _newest_places(self, scope: Scope, published_until_micros: int, after: str) -> list[NewestPlace]:
        """Returns the newest revisions of the run's days, of conversions above `after`, in order of their ids."""
        values = {**scope.values, "slices": 1, "part": 0, "settled": published_until_micros}
        asked = {**values, "after": after, "limit": _PLACES_AT_ONCE}
        rows = await self._clickhouse.execute(reconciliation_statement("newest_places"), asked)
        return [NewestPlace(*row) for row in rows]

    async def _odd(self, workspace: str, places: Sequence[NewestPlace]) -> list[NewestPlace]:
        """Returns those that have a row which may say otherwise.

        Each table is asked in its own order: then every statement reads a stretch of it, and together they read what
        there is of the days once.
        """
        ledger: dict[str, set[int]] = defaultdict(set)
        for some in _some_at_once(places, _COMPARED_AT_ONCE):
            for name, digest in await self._of_places("digests_of_ledger", workspace, some):
                ledger[name].add(digest)
        odd: set[str] = set()
        in_time = sorted(places, key=lambda one: (one.conversion_micros, one.conversion_id))
        for some in _some_at_once(in_time, _COMPARED_AT_ONCE):
            for name, digest in await self._of_places("digests_of_rows", workspace, some):
                if ledger[name] != {digest}:
                    odd.add(name)
        return [one for one in places if one.conversion_id in odd]

    async def _altered(self, workspace: str, places: Sequence[NewestPlace]) -> list[AlteredRow]:
        """Returns those whose row does say otherwise."""
        altered: list[AlteredRow] = []
        for some in _some_at_once(places):
            rows = await self._of_places("rows_at_times", workspace, some)
            stored = {_place(one): one for one in map(_by_name, rows)}
            for content, *told in await self._of_places("newest_of_ledger", workspace, some):
                revision = _by_name(told)
                row = stored.get(_place(revision))
                if row is not None and row != revision:
                    altered.append(_altered(revision, row, bytes.fromhex(content)))
        return altered

    async def _of_places(self, name: str, workspace: str, places: Sequence[NewestPlace]) -> list[Sequence[Any]]:
        """Asks what there is of some revisions; where these are more than a statement may hold, of each half."""
        asked = {
            "workspace": workspace,
            "conversions": tuple(one.conversion_id for one in places),
            "revisions": tuple(one.revision for one in places),
            "places": tuple((one.conversion_id, one.revision) for one in places),
            "times": [one.conversion_micros for one in places],
            "max_memory": MAX_MEMORY,
        }
        try:
            return list(await self._clickhouse.execute(reconciliation_statement(name), asked))
        except StatementTooLargeError:
            if len(places) == 1:
                raise
        middle = len(places) // 2
        halves = places[:middle], places[middle:]
        return [row for half in halves for row in await self._of_places(name, workspace, half)]

    async def _in_parts(self, name: str, scope: Scope, published_until_micros: int) -> list[Sequence[Any]]:
        """Asks for one part of the conversions after another, which bounds memory."""
        found: list[Sequence[Any]] = []
        for part in range(scope.slices):
            limit = self.MOST - len(found)
            values = {**scope.values, "settled": published_until_micros, "part": part, "limit": limit}
            found += await self._clickhouse.execute(reconciliation_statement(name), values) if limit else ()
        return found

    async def versions(self, workspace: str, conversion_ids: Collection[str]) -> list[RowVersion]:
        """Returns all versions of rows of conversions that there still are, tombstones too."""
        found: list[RowVersion] = []
        for some in _some_at_once(list(conversion_ids)):
            asked = {"workspace": workspace, "conversions": some}
            rows = await self._clickhouse.execute(reconciliation_statement("versions_of_rows"), asked)
            found += [RowVersion(*row) for row in rows]
        return found

    async def rewrite(self, workspace: str, revisions: Mapping[str, int]) -> None:
        """Writes rows again as the ledger has these revisions, by conversion."""
        for some in _some_at_once(list(revisions.items())):
            asked = {"workspace": workspace, "places": some}
            await self._clickhouse.execute(reconciliation_statement("rewrite_newest"), asked)

    async def delete(self, workspace: str, versions: Sequence[RowVersion]) -> None:
        """Deletes versions of rows; returns once they are gone."""
        for some in _some_at_once(list(versions)):
            named = tuple({one.conversion_id for one in some})
            asked = {
                "workspace": workspace,
                "conversions": named,
                "versions": tuple(one[:-1] for one in some),
            }
            await self._clickhouse.execute(reconciliation_statement("delete_versions"), asked)


def _by_name(row: Sequence[Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in zip(NEWEST_COLUMNS, row, strict=True)}


def _place(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["conversion_id"], row["conversion_time"], row["revision"]


def _altered(revision: Mapping[str, Any], row: Mapping[str, Any], content: bytes) -> AlteredRow:
    columns = tuple(name for name in NEWEST_COLUMNS if row[name] != revision[name])
    published = _published(content)
    is_told_by_row = any(row[name] == published[name] != revision[name] for name in columns if name in published)
    return AlteredRow(row["conversion_id"], row["revision"], columns, is_told_by_row)


def _published(content: bytes) -> dict[str, Any]:
    """Returns what was published; nothing where nobody can tell: of what names somebody erased no bytes are left."""
    try:
        own = revision_row(ConversionRevised.FromString(content), content) if content else ()
    except (DecodeError, ValueError, KeyError):
        return {}
    return {name: plain(value) for name, value in zip(REVISION_COLUMNS, own, strict=False)}


def _some_at_once(values: Sequence[Named], number: int = _AT_ONCE) -> Iterator[tuple[Named, ...]]:
    for start in range(0, len(values), number):
        yield tuple(values[start : start + number])
