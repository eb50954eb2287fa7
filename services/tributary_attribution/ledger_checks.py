"""The ledger, row by row, held against what was published: a row that was altered is written again.

The one rule: a row is what its own message says, for the writer made it from that. It is written again as it was, with
its number, its causes, its posting day and the time that it was recorded at, and so replaces itself in both tables; an
older one stays behind the newer. Only where the message itself is damaged does the state store say what was published:
it has the newest of each conversion. Of one of before nobody knows what it said: that is told, and left; but for the
number of the one before it, which the rows tell.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_domain.findings import AS_PUBLISHED, Finding, FindingCause, FindingKind, finding, is_about_ledger
from tributary_storage.clickhouse.client import StatementRefusedError
from tributary_storage.clickhouse.credit_columns import MODELS
from tributary_storage.clickhouse.ledger_rows import Change, LedgerRow, LedgerRows, Place
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.codec.conversion_revisions import as_published, displacing
from tributary_storage.redis.conversions import Conversions, StoredConversion, conversion_key

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 1000
_MENDED_BYTES: Final = 4_000_000
_MOST_KEPT: Final = 10_000
"""Findings that are kept; of more it is known that they are there, and all are mended."""

Message = tuple[ConversionRevised, bytes, int, bytes]
"""A revision, the same serialised, when its row was written first, in microseconds, and what that carries now."""
Note = Callable[[Sequence[Finding]], Awaitable[object]]
"""Stores findings; raises `StorageUnavailableError`."""


class Writer(Protocol):
    """Where rows are written."""

    async def write_again(self, revisions: Iterable[Message]) -> None:
        """Returns when all are stored that have a row still which carries what was read; may run twice.

        Raises:
            StorageUnavailableError: Some may be stored.
            StatementRefusedError: None is stored: the credit of one does not add up.
        """
        ...


_UNREADABLE: Final = "revised"
_UNCHAINED: Final = "revised: its deltas"
_DAMAGES: Final = frozenset({_UNREADABLE, _UNCHAINED})
_PREVIOUS: Final = "previous_revision"
_VALUES: Final = frozenset(
    {
        *("currency", "value_micros", "original_value_micros", "value_source", "value_basis", "value_pending"),
        *("reporting_currency", "reporting_value_micros", "rate_picos", "rate_date", "amounts_micros"),
        *("counted", "not_counted_reason", "retracted", "value_delta_micros", "counted_delta", _UNCHAINED),
    }
)
_CREDIT: Final = frozenset(
    {
        *(f"{model}_{part}" for model in MODELS for part in ("credit_micros", "value_micros", "unattributed_reason")),
        *("data_driven_model_version", "reporting_credit_micros"),
    }
)
_MESSAGES: Final = {
    FindingCause.WRONG_VALUE: "What a revision was worth, or by how much it changed that, is not what was published.",
    FindingCause.WRONG_CREDIT: "The credit of a revision is not what was published.",
    FindingCause.WRONG_FACTS: "What a revision says, or when it is posted, is not what was published.",
}
_DAMAGED: Final = "What a revision was published as is damaged itself; only of the newest one somebody else knows it."
_NAMED: Final = re.compile(r"(?:^|; )revision (\d+): ")


class AlteredRevisions(NamedTuple):
    """What was found."""

    found: list[Finding]
    """One per conversion, at most 10 000; resolved, where it was mended."""
    is_cut: bool
    """Whether there were more."""
    rows: int
    """Rows that were altered."""
    misnumbered: frozenset[Place] = frozenset()
    """Those that name another one before them than is there, and than was published: none is lost there."""


class _Names(NamedTuple):
    """What of a row says otherwise: what is kept of it once it is mended."""

    revision: int
    names: tuple[str, ...]
    """The columns."""
    is_misnumbered: bool
    """Whether it names another one before it than is there, and than was published."""


@dataclass(frozen=True, slots=True)
class _Altered:
    """A row that says otherwise than was published."""

    row: LedgerRow
    names: tuple[str, ...]
    """The columns."""
    before: LedgerRow | None
    """The row of the revision before it; None: there is none, or nobody can read it."""

    @property
    def is_itself_damaged(self) -> bool:
        """Tells whether it is its message that is damaged."""
        return not _DAMAGES.isdisjoint(self.names)

    @property
    def is_misnumbered(self) -> bool:
        """Tells whether a column has another number of the one before it, and the message that of the one there is."""
        change = self.row.change
        return _PREVIOUS in self.names and change is not None and change.previous_revision == self.number_before

    @property
    def number_before(self) -> int:
        """Returns the number of the one before it that has a row; 0: none has."""
        return self.before.revision if self.before is not None else 0

    def renumbered(self) -> ConversionRevised | None:
        """Returns its message with that number, where it has another; None: it has not, or is wrong beside it."""
        change, said = self.row.change, self.row.said
        if self.is_itself_damaged or _PREVIOUS not in self.names or change is None or said is None:
            return None
        if change.previous_revision == self.number_before:
            return None
        if not _adds_up(self.before, change._replace(previous_revision=self.number_before)):
            return None
        said.previous_revision = self.number_before
        return said


class _Published(NamedTuple):
    """A revision that the state store has."""

    own: Message
    """As it was published, without how it changed credit."""
    displaced: Message
    """As what displaced the one before it that has a row."""
    is_same_chain: bool
    """Whether that is the one that it was published as displacing."""


class LedgerChecks:
    """Holds rows against messages. May run twice, and beside the attribution that runs.

    Args:
        rows: The ledger.
        conversions: Knows what was published last.
        writer: Writes rows.
    """

    def __init__(self, rows: LedgerRows, conversions: Conversions, writer: Writer) -> None:
        self._rows = rows
        self._conversions = conversions
        self._writer = writer

    async def check(
        self,
        scope: Scope,
        now_micros: int,
        published_until_micros: int,
        said: Mapping[str, Finding],
        note: Note,
        *,
        repairs: bool,
    ) -> AlteredRevisions:
        """Returns a finding per conversion of a run's days of which a row was altered; resolved, where it was mended.

        Args:
            scope: The run.
            now_micros: When it looks.
            published_until_micros: The rows of what was published later may be on their way.
            said: What an attempt of the run before this one noted, by finding id: what of that is altered no more, that
                one has mended.
            note: Stores what is about to be mended, and what of that was.
            repairs: Whether they are mended.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        found: list[Finding] = []
        misnumbered: set[Place] = set()
        number, after, is_cut = 0, "", False
        while ids := await self._rows.conversions(scope, published_until_micros, after):
            for start in range(0, len(ids), _AT_ONCE):
                altered = await self._names(scope.workspace, ids[start : start + _AT_ONCE])
                number += sum(map(len, altered.values()))
                misnumbered |= {(name, one.revision) for name in altered for one in altered[name] if one.is_misnumbered}
                some = [_finding(scope, name, rows, now_micros) for name, rows in altered.items()]
                is_cut = is_cut or len(found) + len(some) > _MOST_KEPT
                kept = some[: _MOST_KEPT - len(found)]
                if altered and repairs:
                    await note(kept)
                    kept = await self._mended(scope.workspace, altered, kept)
                    await note(kept)
                found += kept
            after = ids[-1]
        again = {one.finding_id for one in found}
        before = [one if is_cut else _resolved(one) for name, one in said.items() if name not in again]
        await note(before)
        number += sum(len(_revisions(one)) for one in before)
        return AlteredRevisions([*found, *before], is_cut, number, frozenset(misnumbered))

    async def _mended(
        self, workspace: str, altered: Mapping[str, Sequence[_Names]], found: Sequence[Finding]
    ) -> list[Finding]:
        """Writes rows of some conversions again; returns what was found of them, as it is then."""
        written: dict[str, int] = {}
        async for page in self._altered(workspace, altered):
            for some in _at_once(page):
                written |= await self._mend(workspace, some)
            del page  # before the next one is read
        left = await self._names(workspace, altered)
        log.warning(
            "ledger_mended", workspace=workspace, rows=sum(map(len, altered.values())), conversions_left=len(left)
        )
        return [one if one.conversion_id in left else one.repaired(written.get(one.conversion_id, 0)) for one in found]

    async def _names(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, list[_Names]]:
        """Returns what rows of some conversions say otherwise, by conversion; without those that do not."""
        found: dict[str, list[_Names]] = defaultdict(list)
        async for page in self._altered(workspace, conversion_ids):
            for one in page:
                found[one.row.conversion_id].append(_Names(one.row.revision, one.names, one.is_misnumbered))
            del page, one  # before the next one is read
        return dict(found)

    async def _altered(self, workspace: str, conversion_ids: Collection[str]) -> AsyncIterator[list[_Altered]]:
        """Yields the rows of some conversions that were altered, by id and number, of one page at once."""
        before: LedgerRow | None = None
        async for page in self._rows.pages(workspace, conversion_ids):
            altered: list[_Altered] = []
            for row in page:
                if before is not None and before.conversion_id != row.conversion_id:
                    before = None
                names = row.differing
                if row.change is None:
                    names = (_UNREADABLE,)
                elif not _adds_up(before, row.change):
                    names = (*names, _UNCHAINED)
                if names:
                    altered.append(_Altered(row, names, before))
                before = row
            del page  # before the next one is read
            if altered:
                yield altered
            del altered

    async def _mend(self, workspace: str, altered: Sequence[_Altered]) -> dict[str, int]:
        """Writes rows again; returns the newest revision that was written, by conversion."""
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
                is_lost_before = not published.is_same_chain and _PREVIOUS in proven.get(place, ())
                wanted.append(published.own if is_lost_before else published.displaced)
            elif (said := renumbered.get(place)) is not None and _PREVIOUS not in unproven.get(place, ()):
                content = said.SerializeToString(deterministic=True)
                wanted.append((said, content, one.row.record_micros, one.row.content))
            elif (said := one.row.said) is not None and not one.is_itself_damaged:
                wanted.append((said, one.row.content, one.row.record_micros, one.row.content))
        return {said.state.conversion_id: said.revision for said, *_ in await self._written(wanted)}

    async def _newest(self, workspace: str, altered: Sequence[_Altered]) -> dict[Place, _Published]:
        """Returns what the state store has of some rows."""
        keys = {conversion_key(workspace, one.row.conversion_id) for one in altered}
        stored = await self._conversions.observe({key: {} for key in keys}, 0)
        found: dict[Place, _Published] = {}
        for one in altered:
            message = _published(one, stored[conversion_key(workspace, one.row.conversion_id)])
            if message is not None:
                found[one.row.place] = message
        return found

    async def _written(self, wanted: Sequence[Message]) -> list[Message]:
        """Writes messages; returns those that were stored: one whose credit does not add up is not."""
        try:
            await self._writer.write_again(wanted)
        except StatementRefusedError:
            if len(wanted) <= 1:
                return []
            middle = len(wanted) // 2
            return [*await self._written(wanted[:middle]), *await self._written(wanted[middle:])]
        return list(wanted)


def _at_once(altered: Iterable[_Altered]) -> Iterator[list[_Altered]]:
    """Yields rows that are mended together: of about 4 MB of messages, or one that is larger."""
    some: list[_Altered] = []
    taken = 0
    for one in altered:
        if some and taken + len(one.row.content) > _MENDED_BYTES:
            yield some
            some, taken = [], 0
        some.append(one)
        taken += len(one.row.content)
    if some:
        yield some


def _adds_up(before: LedgerRow | None, change: Change) -> bool:
    """Tells whether a revision changed value and count by what lies between it and the one before.

    Where that is not there, or cannot be read, nobody can tell.
    """
    if change.previous_revision and (before is None or before.change is None):
        return True
    if (before.revision if before is not None else 0) != change.previous_revision:
        return True  # a broken chain, which others find
    value = counted = 0
    if before is not None and before.change is not None:
        value, counted = before.change.value_micros, before.change.counted
    deltas = change.value_micros - value, change.counted - counted
    return deltas == (change.value_delta_micros, change.counted_delta)


def _published(one: _Altered, stored: StoredConversion) -> _Published | None:
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


def _finding(scope: Scope, conversion_id: str, altered: Sequence[_Names], now_micros: int) -> Finding:
    names = {name for one in altered for name in one.names}
    cause = FindingCause.WRONG_FACTS
    if not _VALUES.isdisjoint(names):
        cause = FindingCause.WRONG_VALUE
    elif not _CREDIT.isdisjoint(names):
        cause = FindingCause.WRONG_CREDIT
    texts = [f"revision {one.revision}: {', '.join(one.names)}" for one in altered]
    return finding(
        scope.reconciliation_id,
        FindingKind.DIFFERENT,
        _MESSAGES[cause] if _DAMAGES.isdisjoint(names) else _DAMAGED,
        cause=cause,
        conversion_id=conversion_id,
        expected=AS_PUBLISHED,
        actual="; ".join(texts)[:4096],
        find_micros=now_micros,
    )


def _revisions(one: Finding) -> list[int]:
    """Returns which rows a finding names (`_finding`)."""
    return [int(found[1]) for found in _NAMED.finditer(one.actual)]


def _resolved(one: Finding) -> Finding:
    return one.repaired(max(_revisions(one), default=0))


def is_of_ledger(one: Finding) -> bool:
    """Tells whether a finding is one of these."""
    return is_about_ledger(one) and one.message in (*_MESSAGES.values(), _DAMAGED)
