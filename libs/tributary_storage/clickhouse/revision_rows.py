"""The rows of revisions, held against each other and against what was published.

The one rule: a row says of a revision what was published, so a row can be compared with the message, column by column.
Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.conversion_rows import NEWEST_COLUMNS, REVISION_COLUMNS, read_message, revision_row
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement
from tributary_storage.clickhouse.statements import statement

_IDS_AT_ONCE: Final = 1000
_ID: Final = NEWEST_COLUMNS.index("conversion_id")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Wanted = TypeVar("Wanted")


class RevisionPlaces(NamedTuple):
    """Which revisions of a conversion have a row."""

    revisions: tuple[tuple[int, int], ...]
    """Each with the one that it names as the one before it, oldest first."""
    newest: int
    """That `conversions` has; 0: it has none."""


class BrokenChain(NamedTuple):
    """A conversion of which a revision that was published has no row."""

    conversion_id: str
    revision: int
    """The one that shows it."""
    named: int
    """That has no row: the one before it, or itself."""
    before: int
    """The newest before it that has a row; 0: none."""


class RevisionRows:
    """Reads them, and takes away those of what was never published."""

    MOST_CHAINS: Final = 10_000
    """Conversions with a broken chain that are named at once; a later run names the rest."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads and writes through this client."""
        self._clickhouse = clickhouse

    async def broken_chains(self, scope: Scope, published_until_micros: int) -> list[BrokenChain]:
        """Returns the conversions of the run's days of which a revision has no row, at most 10 000.

        Args:
            scope: The run.
            published_until_micros: The rows of what was published later may be on their way.
        """
        values = {**scope.values, "settled": published_until_micros, "limit": self.MOST_CHAINS}
        rows = await self._clickhouse.execute(reconciliation_statement("broken_chains"), values)
        return [BrokenChain(conversion_id, *place) for conversion_id, place in rows]

    async def places(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, RevisionPlaces]:
        """Returns which revisions of conversions have a row, by conversion; those that have none are left out."""
        found: dict[str, RevisionPlaces] = {}
        for some in _some_at_once(conversion_ids):
            values = {"workspace": workspace, "conversions": some}
            rows = await self._clickhouse.execute(reconciliation_statement("revision_places"), values)
            found |= {row[0]: RevisionPlaces(tuple(row[1]), row[2]) for row in rows}
        return found

    async def messages(
        self, workspace: str, numbered: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], ConversionRevised]:
        """Returns what rows carry, by conversion and number; those that nobody can read are left out."""
        found: dict[tuple[str, int], ConversionRevised] = {}
        for some in _some_at_once(numbered):
            values = {"workspace": workspace, "numbered": some}
            for row in await self._clickhouse.execute(statement("revisions_by_number"), values, raw_strings=True):
                place = row[0].decode(), int(row[1])
                read = read_message(row[2], workspace, *place)
                if read is not None:
                    found[place], _ = read
        return found

    async def altered(self, workspace: str, published: Mapping[str, ConversionRevised]) -> set[str]:
        """Returns the conversions whose row in `conversions` says otherwise than what was published of them.

        Args:
            workspace: Whose.
            published: The newest revision by conversion; one whose row is of another revision is no matter of this.
        """
        found: set[str] = set()
        for some in _some_at_once(published):
            for name, stored in (await self.newest(workspace, some)).items():
                wanted = published[name]
                if wanted.revision != stored["revision"]:
                    continue
                own = zip(REVISION_COLUMNS, revision_row(wanted, b""), strict=True)
                if any(stored[name] != plain(value) for name, value in own if name in stored):
                    found.add(wanted.state.conversion_id)
        return found

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Returns what `conversions` has of some conversions, by conversion and column, as a row is written."""
        found: dict[str, dict[str, Any]] = {}
        for some in _some_at_once(conversion_ids):
            asked = {"workspace": workspace, "conversions": some}
            for row in await self._clickhouse.execute(reconciliation_statement("newest_rows"), asked):
                found[str(row[_ID])] = {name: plain(value) for name, value in zip(NEWEST_COLUMNS, row, strict=True)}
        return found

    async def remove_unpublished(
        self, workspace: str, conversion_ids: Collection[str], published_until_micros: int
    ) -> None:
        """Deletes the rows that `conversions` has of conversions that nobody published; returns once they are gone.

        Args:
            workspace: Whose.
            conversion_ids: None of which has a revision.
            published_until_micros: What was published later stays: somebody has done so since.
        """
        for some in _some_at_once(sorted(conversion_ids)):
            values = {"workspace": workspace, "conversions": some, "settled": published_until_micros}
            await self._clickhouse.execute(reconciliation_statement("remove_unpublished"), values)


def plain(value: Any) -> Any:
    """Returns a value as a row is written: times as microseconds, lists as lists."""
    if isinstance(value, datetime):
        return (value.replace(tzinfo=value.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value


def _some_at_once(wanted: Collection[Wanted]) -> Iterator[tuple[Wanted, ...]]:
    ids = list(wanted)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield tuple(ids[start : start + _IDS_AT_ONCE])
