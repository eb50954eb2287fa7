"""What operators said of who is who, as it is stored.

The one rule: a word is stored before it is applied. So whoever recomputes people, or brings back what the state store
has lost of them, knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tributary_domain.ties import OperatorWord
from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_COLUMNS: Final = ("workspace", "word_time", "event_id", "first", "second", "word", "undone_change_id")


class StoredWord(NamedTuple):
    """A word on two identifiers."""

    event_id: str
    """Of what was said at once."""
    time_micros: int
    undone_change_id: str
    first: str
    second: str
    word: OperatorWord


class IdentityWords:
    """Writes and reads `identity_words`. Every method raises `StorageUnavailableError` if ClickHouse does not answer.

    Args:
        clickhouse: Through which.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def write(self, workspace: str, words: Sequence[StoredWord]) -> None:
        """Returns when all are stored; may run twice."""
        rows: list[tuple[Any, ...]] = [
            (workspace, one.time_micros, one.event_id, one.first, one.second, one.word.value, one.undone_change_id)
            for one in words
        ]
        table = metrics.Table.IDENTITY_WORDS
        written = await self._clickhouse.insert(table.value, _COLUMNS, list(zip(*rows, strict=True)))
        metrics.WRITTEN_ROWS.add(written, table=table)

    async def read(self, workspace: str) -> list[StoredWord]:
        """Returns all words of a workspace, oldest first."""
        rows = await self._clickhouse.execute(statement("identity_words"), {"workspace": workspace})
        return [
            StoredWord(name, time, undone, first, second, OperatorWord(word))
            for name, time, undone, first, second, word in rows
        ]
