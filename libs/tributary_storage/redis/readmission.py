"""Puts back what was put aside for want of its workspace, as soon as the workspace is known again.

The one rule: dead letters are looked at only when workspaces were added, and once more a little later, for what was put
aside in that moment; so a log of many costs nothing. `tributary dead-letters replay` does the same by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Final, Protocol

import structlog

from tributary_runtime.errors import UnavailableError
from tributary_runtime.workspace_lookup import UNKNOWN_REASON
from tributary_runtime.workspaces import Workspaces
from tributary_storage.redis.dead_letters import DeadLetter, DeadLetters

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 60.0


class CurrentWorkspaces(Protocol):
    """The workspaces file."""

    @property
    def current(self) -> Workspaces:
        """Everything as it was read last. Never blocks."""
        ...


class Readmission:
    """A loop.

    Args:
        dead_letters: Where they are.
        groups: Whose.
        workspaces: Which there are.
        look_seconds: How often to look whether there are others.
    """

    name = "readmission"

    def __init__(
        self,
        dead_letters: DeadLetters,
        groups: Sequence[str],
        workspaces: CurrentWorkspaces,
        *,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._dead_letters = dead_letters
        self._groups = groups
        self._workspaces = workspaces
        self._look_seconds = look_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until stopped; an outage is for the next time."""
        clock = asyncio.get_running_loop().time
        known: Collection[str] = frozenset()
        again_seconds: float | None = None
        while not stop.is_set():
            now = self._workspaces.current.by_id.keys()
            is_due = again_seconds is not None and clock() >= again_seconds
            if is_due or not now <= set(known):
                try:
                    await self.readmit()
                except UnavailableError as outage:
                    log.warning("readmission_failed", reason=outage.message)
                else:
                    again_seconds = None if is_due else clock() + _AGAIN_SECONDS
                    known = frozenset(now)
            elif len(known) > len(now):
                known = frozenset(now)  # who comes back is new
            try:
                async with asyncio.timeout(self._look_seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def readmit(self) -> int:
        """Puts back what belongs to workspaces that are known now; returns how many. May run twice.

        Raises:
            StorageUnavailableError: Some may be put back; the others are later.
        """
        found = await self._dead_letters.replay(self._is_due, self._groups)
        if found:
            log.info("dead_letters_readmitted", letters=found)
        return found

    def _is_due(self, letter: DeadLetter) -> bool:
        is_known = letter.text("workspace") in self._workspaces.current.by_id
        return is_known and letter.text("reason") == UNKNOWN_REASON
