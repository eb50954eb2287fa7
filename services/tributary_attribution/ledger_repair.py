"""Rows of the ledger, written again as they were published.

The one rule: what a row's own message says is written; where that is damaged itself, what the state store has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.altered_rows import PREVIOUS, Altered
from tributary_attribution.writing_in_parts import stored_of
from tributary_storage.clickhouse.ledger_rows import LedgerRows, Place
from tributary_storage.codec.conversion_revisions import as_published, displacing
from tributary_storage.redis.conversions import Conversions, StoredConversion, conversion_key

_MENDED_BYTES: Final = 4_000_000

Message = tuple[ConversionRevised, bytes, int, bytes]
"""A revision, the same serialised, when its row was written first, in microseconds, and what that carries now."""


class Writer(Protocol):
    """Where rows are written."""

    async def write_again(self, revisions: Iterable[Message]) -> None:
        """Returns when all are stored that have a row still which carries what was read; may run twice.

        Raises:
            StorageUnavailableError: Some may be stored.
            StatementRefusedError: None is stored: the credit of one does not add up.
        """
        ...


class _Published(NamedTuple):
    """A revision that the state store has."""

    own: Message
    """As it was published, without how it changed credit."""
    displaced: Message
    """As what displaced the one before it that has a row."""
    is_same_chain: bool
    """Whether that is the one that it was published as displacing."""


class LedgerRepair:
    """Writes rows again. May run twice, and beside the attribution that runs.

    Args:
        rows: The ledger.
        conversions: Knows what was published last.
        writer: Writes rows.
    """

    def __init__(self, rows: LedgerRows, conversions: Conversions, writer: Writer) -> None:
        self._rows = rows
        self._conversions = conversions
        self._writer = writer

    async def mend(self, workspace: str, altered: Sequence[Altered]) -> dict[str, int]:
        """Writes rows again; returns the newest revision that was written, by conversion.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        written: dict[str, int] = {}
        for some in _at_once(altered):
            written |= await self._mend(workspace, some)
        return written

    async def _mend(self, workspace: str, altered: Sequence[Altered]) -> dict[str, int]:
        newest = await self._newest(workspace, altered)
        proven = await self._rows.differing(workspace, {place: one.displaced[0] for place, one in newest.items()})
        renumbered = {one.row.place: said for one in altered if (said := one.renumbered()) is not None}
        unproven = await self._rows.differing(workspace, renumbered)
        wanted: list[Message] = []
        for one in altered:
            place = one.row.place
            published = newest.get(place)
            # What the store and all columns say alike was published: then it is the message that was altered.
            if published is not None and (one.is_itself_damaged or place not in proven):
                is_lost_before = not published.is_same_chain and PREVIOUS in proven.get(place, ())
                wanted.append(published.own if is_lost_before else published.displaced)
            elif (said := renumbered.get(place)) is not None and PREVIOUS not in unproven.get(place, ()):
                content = said.SerializeToString(deterministic=True)
                wanted.append((said, content, one.row.record_micros, one.row.content))
            elif (said := one.row.said) is not None and not one.is_itself_damaged:
                wanted.append((said, one.row.content, one.row.record_micros, one.row.content))
        stored = await stored_of(self._writer.write_again, wanted)
        return {said.state.conversion_id: said.revision for said, *_ in stored}

    async def _newest(self, workspace: str, altered: Sequence[Altered]) -> dict[Place, _Published]:
        """Returns what the state store has of some rows."""
        keys = {conversion_key(workspace, one.row.conversion_id) for one in altered}
        stored = await self._conversions.observe({key: {} for key in keys}, 0)
        found: dict[Place, _Published] = {}
        for one in altered:
            message = _published(one, stored[conversion_key(workspace, one.row.conversion_id)])
            if message is not None:
                found[one.row.place] = message
        return found


def _at_once(altered: Iterable[Altered]) -> Iterator[list[Altered]]:
    """Yields rows that are mended together: of about 4 MB of messages, or one that is larger."""
    some: list[Altered] = []
    taken = 0
    for one in altered:
        if some and taken + len(one.row.content) > _MENDED_BYTES:
            yield some
            some, taken = [], 0
        some.append(one)
        taken += len(one.row.content)
    if some:
        yield some


def _published(one: Altered, stored: StoredConversion) -> _Published | None:
    """Returns a row as the state store has its revision; None: it has another, or contradicts the rows before."""
    if stored.pending or stored.revision != one.row.revision or not stored.published:
        return None
    revised = ConversionRevised.FromString(stored.published)
    published = as_published(stored.published)
    before = as_published(one.before.content) if one.before is not None and one.before.change is not None else None
    if published is None or (before is None and one.before is not None):
        return None
    try:
        said, content = displacing(before, one.number_before, published, revised)
    except ValueError:  # what the row before says is too much for a difference
        return None
    is_same_chain = one.number_before == revised.previous_revision
    if is_same_chain and said.value_delta_micros != revised.value_delta_micros:
        return None
    row = one.row.record_micros, one.row.content
    return _Published((revised, stored.published, *row), (said, content, *row), is_same_chain)
