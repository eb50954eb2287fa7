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
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from tributary_attribution.altered_rows import DAMAGES, UNCHAINED, UNREADABLE, Altered, adds_up
from tributary_attribution.ledger_repair import LedgerRepair
from tributary_domain.findings import AS_PUBLISHED, Finding, FindingCause, FindingKind, finding, is_about_ledger
from tributary_storage.clickhouse.credit_columns import MODELS
from tributary_storage.clickhouse.ledger_rows import LedgerRow, LedgerRows, Place
from tributary_storage.clickhouse.reconciliation_staging import Scope

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 1000
_MOST_KEPT: Final = 10_000
"""Findings that are kept; of more it is known that they are there, and all are mended."""

Note = Callable[[Sequence[Finding]], Awaitable[object]]
"""Stores findings; raises `StorageUnavailableError`."""


_VALUES: Final = frozenset(
    {
        *("currency", "value_micros", "original_value_micros", "value_source", "value_basis", "value_pending"),
        *("reporting_currency", "reporting_value_micros", "rate_picos", "rate_date", "amounts_micros"),
        *("counted", "not_counted_reason", "retracted", "value_delta_micros", "counted_delta", UNCHAINED),
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


class LedgerChecks:
    """Holds rows against messages. May run twice, and beside the attribution that runs.

    Args:
        rows: The ledger.
        repair: Writes rows again.
    """

    def __init__(self, rows: LedgerRows, repair: LedgerRepair) -> None:
        self._rows = rows
        self._repair = repair

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
            written |= await self._repair.mend(workspace, page)
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

    async def _altered(self, workspace: str, conversion_ids: Collection[str]) -> AsyncIterator[list[Altered]]:
        """Yields the rows of some conversions that were altered, by id and number, of one page at once."""
        before: LedgerRow | None = None
        async for page in self._rows.pages(workspace, conversion_ids):
            altered: list[Altered] = []
            for row in page:
                if before is not None and before.conversion_id != row.conversion_id:
                    before = None
                names = row.differing
                if row.change is None:
                    names = (UNREADABLE,)
                elif not adds_up(before, row.change):
                    names = (*names, UNCHAINED)
                if names:
                    altered.append(Altered(row, names, before))
                before = row
            del page  # before the next one is read
            if altered:
                yield altered
            del altered


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
        _MESSAGES[cause] if DAMAGES.isdisjoint(names) else _DAMAGED,
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
