"""Merges and splits of people, as they are stored: who was one person before, who is after, and what takes it back.

The one rule: a change is named by what made it and by whom it concerned, so that one that is written again, by whatever
process, replaces itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from tributary_domain.ids import person_id
from tributary_domain.person_changes import PersonChange, PersonChangeKind, Undo
from tributary_domain.ties import OperatorWord
from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement
from tributary_storage.redis.tie_layout import Link

COLUMNS: Final = (
    *("workspace", "change_time", "change_id", "kind", "person_ids_before", "person_ids_after"),
    *("tokens_before", "tokens_after", "identity_tokens", "undo", "causing_event_id", "undone_change_id"),
)
CHANGE_PREFIX: Final = "i1:"
UNDO: Final = "UNDO"
"""The kind of a change that an operator made to take another back."""
_KINDS: Final = {
    PersonChangeKind.MERGED: "MERGE",
    PersonChangeKind.SPLIT: "SPLIT",
    PersonChangeKind.REGROUPED: "REGROUP",
}
"""A person of the same identifiers under another id is no change of who is who."""

MAX_CHANGES: Final = 1_000


class IdentityFact(NamedTuple):
    """A change of people, and the link that made it."""

    workspace: str
    link: Link
    change: PersonChange

    @property
    def change_id(self) -> str:
        """Returns what the change is called: the same whenever it is found again."""
        told = repr((self.workspace, self.link.digest, [person.tokens for person in self.change.before]))
        return CHANGE_PREFIX + blake2b(told.encode(), digest_size=16, person=b"trb change").hexdigest()


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change as it was read."""

    change_id: str
    change_time_micros: int
    kind: str
    """MERGE, SPLIT, REGROUP, UNDO."""
    person_ids_before: Sequence[str]
    person_ids_after: Sequence[str]
    tokens_before: Sequence[Sequence[str]]
    tokens_after: Sequence[Sequence[str]]
    undo: tuple[Undo, ...]
    causing_event_id: str
    undone_change_id: str


class IdentityChanges:
    """Writes and reads `identity_changes`. Every method raises `StorageUnavailableError` if ClickHouse does not answer.

    Args:
        clickhouse: Through which.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def write(self, facts: Iterable[IdentityFact]) -> None:
        """Returns when all are stored; may run twice."""
        rows = [_row(fact) for fact in facts if fact.change.kind in _KINDS]
        if rows:
            table = metrics.Table.IDENTITY_CHANGES
            written = await self._clickhouse.insert(table.value, COLUMNS, list(zip(*rows, strict=True)))
            metrics.WRITTEN_ROWS.add(written, table=table)

    async def of_tokens(self, workspace: str, tokens: Collection[str], limit: int = MAX_CHANGES) -> list[StoredChange]:
        """Returns the changes that concerned identifiers, newest first."""
        parameters = {"workspace": workspace, "tokens": sorted(tokens), "limit": limit}
        return [_change(row) for row in await self._clickhouse.execute(statement("identity_changes"), parameters)]

    async def get(self, workspace: str, change_id: str) -> StoredChange | None:
        """Returns a change; None if there is none of this id."""
        parameters = {"workspace": workspace, "change_id": change_id}
        rows = await self._clickhouse.execute(statement("identity_change"), parameters)
        return _change(rows[0]) if rows else None


def _row(fact: IdentityFact) -> tuple[Any, ...]:
    workspace, link, change = fact
    said = link.said
    return (
        workspace,
        said.event_time_micros,
        fact.change_id,
        UNDO if said.undone_change_id else _KINDS[change.kind],
        [person_id(workspace, person.first) for person in change.before],
        [person_id(workspace, person.first) for person in change.after],
        [list(person.tokens) for person in change.before],
        [list(person.tokens) for person in change.after],
        sorted({token for edge in link.edges for token in edge.pair}),
        [list(undo) for undo in change.undo],
        said.event_id,
        said.undone_change_id,
    )


def _change(row: Sequence[Any]) -> StoredChange:
    change_id, time, kind, before, after, tokens_before, tokens_after, undo, causing, undone = row
    words = tuple((first, second, OperatorWord(word)) for first, second, word in undo)
    return StoredChange(change_id, time, kind, before, after, tokens_before, tokens_after, words, causing, undone)
