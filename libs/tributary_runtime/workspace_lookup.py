"""Finds the workspaces of what consumers read, also of those that somebody else knew a moment earlier.

Every process reads `workspaces.yaml` at its own moment: ingestion accepts the first events of a new workspace before
attribution has heard of it, and what was accepted must not be lost. So the file is read again where a workspace is
unknown; if it is still unknown its events wait, they alone, for a grace; and what is unknown after it is put aside: the
workspace was taken out of the file, and its events are nobody's fault. What was put aside comes back by itself when the
workspace is known again (`readmission`).

The grace is counted from when an entry was accepted *and* from when this process met the workspace first: after an
outage, what waited in the log is old already, and a file that is wrong for a moment must not cost all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from tributary_runtime.clock import Clock
from tributary_runtime.errors import Unfinished
from tributary_runtime.workspaces import Workspace

UNKNOWN_REASON = "WORKSPACE_UNKNOWN"
"""The reason of the dead letters."""


class Directory(Protocol):
    """The workspaces as this process knows them."""

    def find(self, workspace_id: str) -> Workspace | None:
        """Returns a workspace, if there is one of this id. Never blocks."""
        ...

    async def refresh(self) -> None:
        """Looks now whether there are others."""
        ...


class WorkspaceLookup:
    """Knows workspaces, and for how long unknown ones are waited for.

    Args:
        directory: The workspaces.
        clock: Tells how old an entry is, and since when a workspace is missed.
        grace_seconds: How long after an entry was accepted, and after they were missed first, its workspaces may be
            unknown.
    """

    def __init__(self, directory: Directory, clock: Clock, grace_seconds: float) -> None:
        self._directory = directory
        self._clock = clock
        self._grace_micros = int(grace_seconds * 1_000_000)
        self._missed_micros: dict[str, int] = {}

    def with_books_of_now(self, workspace: Workspace) -> Workspace:
        """Returns a workspace as somebody read it, with its books closed as they are now.

        A long run posts to no day that was closed while it went on.
        """
        now = self._directory.find(workspace.id)
        if now is None or now.reporting.books_closed_through == workspace.reporting.books_closed_through:
            return workspace
        closed = {"books_closed_through": now.reporting.books_closed_through}
        return workspace.model_copy(update={"reporting": workspace.reporting.model_copy(update=closed)})

    async def find(self, workspace_ids: Iterable[str]) -> dict[str, Workspace]:
        """Returns those of the workspaces that are known; looks once more if any is not."""
        wanted = set(workspace_ids)
        known = self._find(wanted)
        if len(known) < len(wanted):
            await self._directory.refresh()
            known = self._find(wanted)
        now = self._clock.unix_micros()
        for workspace_id in wanted:
            if workspace_id in known:
                self._missed_micros.pop(workspace_id, None)
            else:
                self._missed_micros.setdefault(workspace_id, now)
        return known

    def waits(self, accept_micros: int, unknown: Iterable[str]) -> bool:
        """Tells whether an entry may still wait for its workspaces, of which these were not found."""
        now = self._clock.unix_micros()
        begins = [accept_micros, *(self._missed_micros.get(workspace_id, now) for workspace_id in unknown)]
        return now - max(begins) < self._grace_micros

    @staticmethod
    def unfinished(events: int = 0, *, later: Sequence[Any] = (), aside: Sequence[tuple[Any, Any]] = ()) -> Unfinished:
        """Returns what a handler raises when all is done but the events of unknown workspaces."""
        message = "The event's workspace is not in workspaces.yaml."
        return Unfinished(UNKNOWN_REASON, message, events=events, later=later, aside=aside)

    def _find(self, wanted: Iterable[str]) -> dict[str, Workspace]:
        found = {workspace_id: self._directory.find(workspace_id) for workspace_id in wanted}
        return {workspace_id: workspace for workspace_id, workspace in found.items() if workspace is not None}
