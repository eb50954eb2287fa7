"""The rows of the ledger, each held against the message that it carries.

The one rule: the columns of a row were made from its message by `revision_row`, so they are what that makes of it
today. Rows that agree cost a number each: ClickHouse makes it of the columns, we of the message. Only where the numbers
differ are columns read. Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, NamedTuple

import xxhash

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_domain.stand_ins import is_stand_in
from tributary_storage.clickhouse.client import ClickHouse, StatementTooLargeError
from tributary_storage.clickhouse.conversion_rows import REVISION_COLUMNS, read_message, revision_row
from tributary_storage.clickhouse.late_columns import LateColumns
from tributary_storage.clickhouse.reconciliation_staging import MAX_MEMORY, Scope
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement
from tributary_storage.clickhouse.revision_rows import plain
from tributary_storage.codec.conversion_revisions import counted_value

Place = tuple[str, int]
"""Of a revision: conversion id and number."""

_TIMES: Final = frozenset(
    {"conversion_time", "replaced_conversion_time", "first_accept_time", "publish_time", "cause_accept_time"}
)
_COMPARED: Final = [name for name in REVISION_COLUMNS if name != "revised"]
_CONTENT: Final = REVISION_COLUMNS.index("revised")
_CAUSE: Final = ("causing_event_ids", "cause_accept_time", "traceparent")
"""What an erasure takes out of the messages of others' revisions, with `match`; one of before left it in columns."""


def _as_written(name: str) -> str:
    """Returns the expression that gives a column as `revision_row` writes it."""
    if name in _TIMES:
        return f"toUnixTimestamp64Micro({name})"
    if name == "touch_times":
        return "arrayMap(time -> toUnixTimestamp64Micro(time), touch_times)"
    return name


_SAID: Final = ", ".join(map(_as_written, _COMPARED))
_PLACES: Final = """SELECT conversion_id, revision, max(length(revised))
FROM conversion_revisions
PREWHERE conversion_id IN %(conversions)s
WHERE workspace = %(workspace)s
    AND (conversion_id, revision) > (%(conversion)s, %(revision)s)
GROUP BY conversion_id, revision
ORDER BY conversion_id, revision
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_block_size = 256"""
"""Without FINAL, which would hold a block of each part at once: a row comes once, as large as its largest version."""
_PRINTS: Final = f"""SELECT conversion_id, revision, xxHash64(toJSONString(tuple({_SAID}))) AS print, revised,
    toUnixTimestamp64Micro(record_time)
FROM conversion_revisions FINAL
PREWHERE revision IN %(revisions)s
    AND (conversion_id, revision) IN %(places)s
WHERE workspace = %(workspace)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_block_size = 256,
    output_format_json_quote_64bit_integers = 0, output_format_json_escape_forward_slashes = 0,
    output_format_json_named_tuples_as_objects = 0"""  # noqa: S608 - ours
_ROWS: Final = f"""SELECT {", ".join(_COMPARED)}, toUnixTimestamp64Micro(record_time)
FROM conversion_revisions FINAL
PREWHERE revision IN %(revisions)s
    AND (conversion_id, revision) IN %(places)s
WHERE workspace = %(workspace)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_block_size = 256"""  # noqa: S608 - names of ours
_IDS_AT_ONCE: Final = 100_000
_PLACES_AT_ONCE: Final = 10_000
_ROWS_AT_ONCE: Final = 1000
_BYTES_AT_ONCE: Final = 16_000_000
"""Of messages of a page: with their touches, rows are of very different sizes."""
_COLUMNS_AT_ONCE: Final = 4_000_000
"""Of messages of rows whose columns are read: as objects these take many times as much."""
_TURN: Final = 20
"""Messages that are read before others have their turn on the loop."""


class Change(NamedTuple):
    """By what a revision says that it changed what it replaced, and what its conversion is worth since."""

    previous_revision: int
    value_delta_micros: int
    counted_delta: int
    value_micros: int
    counted: int


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A row of the ledger."""

    conversion_id: str
    revision: int
    content: bytes
    """Its message, serialised."""
    change: Change | None
    """Of its message; None: that cannot be read, or is another revision's."""
    record_micros: int
    """When it was written first."""
    differing: tuple[str, ...] = ()
    """The columns that are not what the message says."""

    @property
    def place(self) -> Place:
        """Returns which revision it is of."""
        return self.conversion_id, self.revision

    @property
    def said(self) -> ConversionRevised | None:
        """Returns its message, made anew each time: parsed, it takes many times as much; None: as for `change`."""
        return ConversionRevised.FromString(self.content) if self.change is not None else None


class LedgerRows:
    """Reads them."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse
        self._late = LateColumns(clickhouse)

    async def conversions(self, scope: Scope, published_until_micros: int, after: str = "") -> list[str]:
        """Returns at most 100 000 conversions of a run's days above `after`, in order of their ids.

        Args:
            scope: The run.
            published_until_micros: The rows of what was published later may be on their way.
            after: The last that is known; empty: none.
        """
        values = {**scope.values, "settled": published_until_micros, "after": after, "limit": _IDS_AT_ONCE}
        return [
            row[0] for row in await self._clickhouse.execute(reconciliation_statement("conversions_of_days"), values)
        ]

    async def pages(self, workspace: str, conversion_ids: Collection[str]) -> AsyncIterator[list[LedgerRow]]:
        """Yields all rows of some conversions by id and number, at most 1 000 at once, and about 16 MB of messages."""
        values = {"workspace": workspace, "conversions": list(conversion_ids), "max_memory": MAX_MEMORY}
        last: Place = "", 0
        while True:
            place = {"conversion": last[0], "revision": last[1], "limit": _PLACES_AT_ONCE}
            found = await self._clickhouse.execute(_PLACES, {**values, **place})
            sizes = {(conversion_id, int(revision)): int(size) for conversion_id, revision, size in found}
            for some in _at_once(sizes, _BYTES_AT_ONCE):
                yield await self._page(workspace, some)
            if len(found) < _PLACES_AT_ONCE:
                return
            last = next(reversed(sizes))

    async def _page(self, workspace: str, places: Sequence[Place]) -> list[LedgerRow]:
        """Returns the rows of some places that there still are, in the order of these."""
        rows: dict[Place, LedgerRow] = {}
        odd: dict[Place, ConversionRevised] = {}
        read = await self._rows(_PRINTS, workspace, places, raw_strings=True)
        for at, (conversion_id, revision, number, content, micros) in enumerate(read):
            place = conversion_id.decode(), int(revision)
            said, own = _read(content, workspace, *place)
            rows[place] = LedgerRow(*place, content, _change(said), int(micros))
            if said is not None and own != number:
                odd[place] = said
            if at % _TURN == 0:
                await asyncio.sleep(0)
        for where, names in (await self.differing(workspace, odd)).items():
            rows[where] = replace(rows[where], differing=names)
        return [rows[place] for place in places if place in rows]

    async def differing(
        self, workspace: str, wanted: Mapping[Place, ConversionRevised]
    ) -> dict[Place, tuple[str, ...]]:
        """Returns which columns of some rows are not what messages say; those that agree are left out.

        Args:
            workspace: Whose.
            wanted: What each should say, at most 1 000.
        """
        late = await self._late.applied() if wanted else None
        found: dict[Place, tuple[str, ...]] = {}
        for some in _at_once({place: said.ByteSize() for place, said in wanted.items()}, _COLUMNS_AT_ONCE):
            for *columns, record_micros in await self._rows(_ROWS, workspace, some):
                stored = {name: plain(value) for name, value in zip(_COMPARED, columns, strict=True)}
                place = stored["conversion_id"], stored["revision"]
                said = _columns(wanted[place])
                names = tuple(
                    name
                    for name in _COMPARED
                    if stored[name] != said[name]
                    and not (late and late.was_absent(name, stored[name], record_micros))
                    and not _is_stripped(wanted[place], name, said[name])
                )
                if names:
                    found[place] = names
            await asyncio.sleep(0)
        return found

    async def _rows(
        self, statement: str, workspace: str, places: Sequence[Place], *, raw_strings: bool = False
    ) -> list[Sequence[Any]]:
        """Asks for some rows; where these are more than a statement may hold, for each half."""
        values = {
            "workspace": workspace,
            "places": tuple(places),
            "revisions": tuple(revision for _, revision in places),
            "max_memory": MAX_MEMORY,
        }
        try:
            return list(await self._clickhouse.execute(statement, values, raw_strings=raw_strings))
        except StatementTooLargeError:
            if len(places) == 1:
                raise
        middle = len(places) // 2
        first = await self._rows(statement, workspace, places[:middle], raw_strings=raw_strings)
        return first + await self._rows(statement, workspace, places[middle:], raw_strings=raw_strings)


def _at_once(sizes: Mapping[Place, int], most: int) -> Iterator[list[Place]]:
    """Yields some rows after the other, each time at most 1 000 and so many bytes, or one that is larger."""
    some: list[Place] = []
    taken = 0
    for place, size in sizes.items():
        if some and (len(some) == _ROWS_AT_ONCE or taken + size > most):
            yield some
            some, taken = [], 0
        some.append(place)
        taken += size
    if some:
        yield some


def _change(said: ConversionRevised | None) -> Change | None:
    if said is None:
        return None
    deltas = said.previous_revision, said.value_delta_micros, said.counted_delta
    return Change(*deltas, counted_value(said.state), int(said.state.counted))


def _read(content: bytes, workspace: str, conversion_id: str, revision: int) -> tuple[ConversionRevised | None, int]:
    """Returns the message of a row, and what ClickHouse makes of the columns of one that agrees (`_PRINTS`).

    None, where it cannot be read as a row, or says that it is of another one.
    """
    read = read_message(content, workspace, conversion_id, revision)
    if read is None:
        return None, 0
    said, row = read
    text = json.dumps((*row[:_CONTENT], *row[_CONTENT + 1 :]), ensure_ascii=False, separators=(",", ":"), default=_day)
    return said, xxhash.xxh64_intdigest(text.encode())


def _columns(said: ConversionRevised) -> dict[str, Any]:
    return {name: plain(value) for name, value in zip(REVISION_COLUMNS, revision_row(said, b""), strict=True)}


def _day(value: date) -> str:
    return value.isoformat()


def _is_stripped(said: ConversionRevised, name: str, value: Any) -> bool:
    """Tells whether an erasure took out of a message what a column still has.

    Of a revision of somebody else's, that named who was erased, earlier releases left what caused it in the columns;
    some the erased person's id, too, and of the conversion that counts in its place.
    """
    if name == "merged_into" and is_stand_in(value):
        return True
    if said.HasField("match"):
        return False
    return name in _CAUSE or (name == "person_id" and not value)
