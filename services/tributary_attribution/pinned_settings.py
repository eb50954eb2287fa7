"""The settings that a conversion was credited under: it keeps them, whatever the file says by now.

The one rule: another text in the file changes what is published from then on, never what was published before; that is
done on purpose only (`reattribution`). A version whose text nobody has any more gives way to what the file says.
"""

from __future__ import annotations

from typing import Final, Protocol

from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Workspace

_REMEMBERED: Final = 1_000
"""Versions that the file does not have; of more, all are read again."""
_LOOK_SECONDS: Final = 60.0
"""How long it is believed that nobody has the text of a version: another process may be about to store it."""


class History(Protocol):
    """What versions stand for."""

    async def find(self, workspace: Workspace, version: str) -> AttributionSettings | None:
        """Returns the settings that a version names; None if nobody knows them any more.

        Raises:
            StorageUnavailableError: It cannot be told now.
        """
        ...


class UnknownSettingsError(Exception):
    """A conversion was credited under settings that were not read yet.

    Args:
        version: Of them.
    """

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


class PinnedSettings:
    """Knows them.

    Args:
        history: Where they are looked up.
        clock: Measures.
    """

    def __init__(self, history: History, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[AttributionSettings | None, float]] = {}

    def of(self, workspace: Workspace, version: str) -> AttributionSettings | None:
        """Returns settings by their version; None: nobody knows them any more.

        Raises:
            UnknownSettingsError: They have to be loaded first.
        """
        for settings in workspace.attribution:
            if version in settings.names:
                return settings
        found, until = self._known.get((workspace.id, version), (None, 0.0))
        if found is None and until <= self._clock.monotonic_seconds():
            raise UnknownSettingsError(version)
        return found

    async def load(self, workspace: Workspace, version: str) -> AttributionSettings | None:
        """Looks settings up, and returns them.

        Raises:
            StorageUnavailableError: It cannot be told now.
        """
        found = await self._history.find(workspace, version)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[workspace.id, version] = found, self._clock.monotonic_seconds() + _LOOK_SECONDS
        return found
