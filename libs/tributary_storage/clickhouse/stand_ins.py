"""Stand-ins in ClickHouse: what leads and subscriptions go on knowing of conversions whose people were erased.

The one rule: rows name nobody. Every method may run twice, and raises `StorageUnavailableError` if ClickHouse does not
answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_domain.erasures import Erasure
from tributary_domain.families import Member, Membership
from tributary_domain.ids import person_id
from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_NONE: Final = ("-",)
"""What no id is: an empty list is no list to SQL."""
_MOST_TEXT: Final = 150_000
"""Bytes of a statement that say what is left of revisions: ClickHouse reads no statement above 262 144."""
_WAITING: Final = 0
"""What a stand-in is, stored, in place of a `Membership`, that has not taken the place of its conversion yet."""
_PLACE_TEXTS: Final = 6
"""How often it names each of them."""


class StandIn(NamedTuple):
    """What a conversion was to some families, and what it is worth to them from now on."""

    conversion_id: str
    role: Membership | None = None
    """None: it has not taken the place of its conversion yet."""
    families: tuple[str, ...] = ()
    """Ids."""
    name: str = ""
    store: str = ""
    currency: str = ""
    amount_micros: int = 0
    original_micros: int = 0
    stage: str = ""
    kind: int = 0
    """A `CycleKind`; 0: it is no cycle."""
    time_micros: int = 0
    event_hash: int = 0
    accept_micros: int = 0
    admitted: tuple[bytes, ...] = ()
    """Serialised `AdmittedEvent`s; none: it decides nothing."""
    revised: bytes = b""
    """A serialised `ConversionRevised`, without differences of credit."""
    source_rank: int = 2
    """Of who said what it is worth."""
    is_retracted: bool = False
    """Whether it was taken back."""


_COLUMNS: Final = (
    *("workspace", "version", "conversion_id", "role", "families", "name", "store", "currency", "amount_micros"),
    *("original_micros", "stage", "kind", "time", "hash", "accept_time", "admitted", "revised"),
    *("source_rank", "is_retracted"),
)


class StandInRecords:
    """Reads and writes `stand_ins`."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Uses this client."""
        self._clickhouse = clickhouse

    async def random_ids(
        self, erasure: Erasure, conversion_ids: Sequence[str], touches: Sequence[str]
    ) -> tuple[dict[str, str], dict[str, int]]:
        """Returns by what ids conversions, and touches of them, are known from now on.

        Args:
            erasure: Whose secret they are made of.
            conversion_ids: Of conversions.
            touches: References of their events.

        Returns:
            Random id by conversion id, and random hash by reference.
        """
        first, second = erasure.secret
        asked = {
            "first": first,
            "second": second,
            "conversions": list(conversion_ids or _NONE),
            "touches": list(touches or _NONE),
        }
        [(ids, hashes)] = await self._clickhouse.execute(statement("erasure/random_ids"), asked)
        return dict(zip(conversion_ids, ids, strict=False)), dict(zip(touches, hashes, strict=False))

    async def prepare(self, workspace: str, stand_ins: Iterable[StandIn], now_micros: int) -> None:
        """Stores what stand-ins are made of; no family has them before they are put there."""
        await self._write(workspace, (one._replace(role=None, families=()) for one in stand_ins), now_micros)

    async def put(self, workspace: str, members: Iterable[Member], now_micros: int) -> None:
        """Puts stand-ins, as they were stored last, into families; and what goes on being of these without content."""
        every = sorted(members)
        contents = await self.contents(workspace, {one.conversion_id for one in every})
        rows = (
            contents.get(one.conversion_id, StandIn(one.conversion_id))._replace(role=one.role, families=one.names)
            for one in every
        )
        await self._write(workspace, rows, now_micros)

    async def _write(self, workspace: str, stand_ins: Iterable[StandIn], now_micros: int) -> None:
        rows = [(workspace, now_micros, one.conversion_id, one.role or _WAITING, *one[2:]) for one in stand_ins]
        if rows:
            table = metrics.Table.STAND_INS
            columns = [list(column) for column in zip(*rows, strict=True)]
            metrics.WRITTEN_ROWS.add(await self._clickhouse.insert(table.value, _COLUMNS, columns), table=table)

    async def of_families(self, workspace: str, families: Collection[str]) -> list[Member]:
        """Returns the stand-ins of families, by the ids of these."""
        asked = {"workspace": workspace, "families": list(families)}
        rows = await self._clickhouse.execute(statement("erasure/stand_ins_of_families"), asked)
        return [Member(row[0], Membership(row[1]), tuple(row[2])) for row in rows]

    async def contents(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, StandIn]:
        """Returns what stand-ins are made of, by conversion id; those that decide nothing are left out."""
        if not conversion_ids:
            return {}
        asked = {"workspace": workspace, "conversion_ids": list(conversion_ids)}
        rows = await self._clickhouse.execute(statement("erasure/stand_in_contents"), asked, raw_strings=True)
        found = (_content(row) for row in rows)
        return {one.conversion_id: one for one in found}

    async def revisions(self, workspace: str, conversion_ids: Collection[str]) -> dict[tuple[str, int], bytes]:
        """Returns all revisions of conversions, each a serialised `ConversionRevised`, by conversion id and number."""
        if not conversion_ids:
            return {}
        asked = {"workspace": workspace, "conversion_ids": list(conversion_ids)}
        rows = await self._clickhouse.execute(statement("erasure/revisions_of_heirs"), asked, raw_strings=True)
        return {(row[0].decode(), int(row[1])): row[2] for row in rows}

    async def strip_heirs(
        self,
        erasure: Erasure,
        stripped: Mapping[tuple[str, int], bytes],
        touches: Sequence[str],
        ids: Mapping[str, str],
    ) -> None:
        """Takes out of revisions what names the person whom an erasure is about, or their touches and conversions.

        Args:
            erasure: Whose secret their random names are made of.
            stripped: What is left of each, by conversion id and number.
            touches: References of these touches.
            ids: Random ids of the person's conversions.
        """
        for some in _in_parts(stripped):
            await self._strip_heirs(erasure, some, touches, ids)

    async def _strip_heirs(
        self,
        erasure: Erasure,
        stripped: Mapping[tuple[str, int], bytes],
        touches: Sequence[str],
        ids: Mapping[str, str],
    ) -> None:
        first, second = erasure.secret
        values = {
            "workspace": erasure.workspace,
            "person_keys": [person_id(erasure.workspace, token) for token in erasure.tokens],
            "first": first,
            "second": second,
            "conversion_ids": sorted({conversion_id for conversion_id, _ in stripped}),
            "places": [_in_a_word(place) for place in stripped],
            "uncaused": [_in_a_word(place) for place, content in stripped.items() if not _has_cause(content)] or _NONE,
            "touches": list(touches or _NONE),
            "conversions": list(ids or _NONE),
            "random_ids": list(ids.values() or _NONE),
            "revised": [content.hex() for content in stripped.values()],
        }
        for name in ("strip_heirs", "strip_newest_heirs"):
            await self._clickhouse.execute(statement(f"erasure/{name}"), values)


def _content(row: Sequence[Any]) -> StandIn:
    """Returns what a stand-in is made of, of a row with raw texts."""
    conversion_id, name, store, currency, amount, original, stage, *rest, admitted, revised, rank, is_retracted = row
    texts = [text.decode() for text in (name, store, currency)]
    values = (*texts, amount, original, stage.decode(), *rest, tuple(admitted), revised, rank, bool(is_retracted))
    return StandIn(conversion_id.decode(), None, (), *values)


def _in_a_word(place: tuple[str, int]) -> str:
    conversion_id, revision = place
    return f"{conversion_id} {revision}"


def _has_cause(content: bytes) -> bool:
    said = ConversionRevised.FromString(content)
    return bool(said.causing_event_ids or said.traceparent or said.HasField("cause_accept_time"))


def _in_parts(stripped: Mapping[tuple[str, int], bytes]) -> Iterator[dict[tuple[str, int], bytes]]:
    """Yields as many at once as a statement's text may tell of: their bytes are part of it."""
    part: dict[tuple[str, int], bytes] = {}
    size = 0
    for place, content in stripped.items():
        own = 2 * len(content) + _PLACE_TEXTS * (len(place[0]) + 24)
        if part and size + own > _MOST_TEXT:
            yield part
            part, size = {}, 0
        part[place] = content
        size += own
    if part:
        yield part
