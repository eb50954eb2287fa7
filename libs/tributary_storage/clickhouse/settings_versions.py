"""The history of attribution settings: what each version that a revision names stands for.

The one rule: an entry is never edited. What a version says is in its name, so a row written again replaces itself, and
whoever looks a version up can check that it was given what the name stands for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_COLUMNS: Final = ("workspace", "settings_version", "effective_from", "content")


class SettingsEntry(NamedTuple):
    """One entry in the history of a workspace."""

    workspace: str
    version: str
    effective_from_micros: int
    """First conversion time; 0: since ever."""
    content: str
    """JSON with sorted keys."""


class SettingsVersions:
    """Reads and writes the history. Every method raises `StorageUnavailableError` if ClickHouse does not answer."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Uses this client."""
        self._clickhouse = clickhouse

    async def write(self, entries: Iterable[SettingsEntry]) -> None:
        """Stores entries; may run twice."""
        rows = list(entries)
        if rows:
            table = metrics.Table.SETTINGS_VERSIONS
            written = await self._clickhouse.insert(table.value, _COLUMNS, list(zip(*rows, strict=True)))
            metrics.WRITTEN_ROWS.add(written, table=table)

    async def content(self, workspace: str, version: str) -> str:
        """Returns what a version stands for; empty if it was never stored."""
        parameters = {"workspace": workspace, "version": version}
        rows = await self._clickhouse.execute(statement("settings_content"), parameters)
        return str(rows[0][0]) if rows else ""
