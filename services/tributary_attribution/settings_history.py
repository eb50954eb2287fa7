"""Keeps the history of attribution settings: what a revision names can be looked up when the file says otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog
from pydantic import ValidationError

from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.errors import TributaryError
from tributary_runtime.workspaces import Workspace, Workspaces
from tributary_storage.clickhouse.settings_versions import SettingsEntry

log = structlog.get_logger(__name__)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)
_LOOK_SECONDS: Final = 5.0


class Versions(Protocol):
    """Where the history is. Every method raises `StorageUnavailableError` if it does not answer."""

    async def write(self, entries: Iterable[SettingsEntry]) -> None:
        """Stores entries; may run twice."""
        ...

    async def content(self, workspace: str, version: str) -> str:
        """Returns what a version stands for; empty if it was never stored."""
        ...


class File(Protocol):
    """The workspaces as they are now."""

    @property
    def current(self) -> Workspaces:
        """All of them."""
        ...


class SettingsHistory:
    """A loop that stores what the file says, whenever it says something new; and reads it back.

    Args:
        versions: Where the history is.
        file: The workspaces as they are now.
    """

    name = "settings"

    def __init__(self, versions: Versions, file: File) -> None:
        self._versions = versions
        self._file = file
        self._stored: set[SettingsEntry] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Stores until stopped; an outage is for the next time."""
        while not stop.is_set():
            try:
                await self.store()
            except TributaryError as failure:
                log.warning("settings_not_stored", reason=failure.message)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def store(self) -> None:
        """Stores what the file says and was not stored yet.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
        """
        entries = {entry for workspace in self._file.current.workspaces for entry in _entries(workspace)}
        await self._versions.write(sorted(entries - self._stored))
        self._stored = entries

    async def find(self, workspace: Workspace, version: str) -> AttributionSettings | None:
        """Returns the settings that a version names; None if nobody knows them any more.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
        """
        return await find_settings(self._versions, workspace, version)


async def find_settings(versions: Versions, workspace: Workspace, version: str) -> AttributionSettings | None:
    """Returns the settings that a version names; None if nobody knows them any more.

    What was named before the meaning of one of its settings changed is returned too, and has another version by now:
    all else that it says holds for what was credited under it, whatever the file says. It is stored under that version
    first, for what is credited from now on names it, and the file may never say it again.

    Raises:
        StorageUnavailableError: ClickHouse does not answer.
    """
    for settings in workspace.attribution:
        if version in settings.names:
            return settings
    try:
        found = AttributionSettings.model_validate_json(await versions.content(workspace.id, version))
    except ValidationError:  # nothing was stored, or a release whose words we do not know did it
        return None
    if version not in found.names:
        return None
    if version != found.version:
        await versions.write([SettingsEntry(workspace.id, found.version, 0, found.content)])
    return found


def _entries(workspace: Workspace) -> Iterable[SettingsEntry]:
    for settings in workspace.attribution:
        begin = 0 if settings.effective_from is None else (settings.effective_from - _EPOCH) // _MICRO
        yield SettingsEntry(workspace.id, settings.version, max(0, begin), settings.content)
