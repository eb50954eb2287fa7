"""What the parts of attribution want to know of `workspaces.yaml`: one workspace by its id, or all there are now."""

from __future__ import annotations

from typing import Protocol

from tributary_runtime.workspaces import Workspace, Workspaces


class Directory(Protocol):
    """The workspaces as they are now, one by one."""

    def get(self, workspace_id: str) -> Workspace:
        """Returns a workspace.

        Raises:
            NotFoundError: There is none of this id.
        """
        ...


class EveryWorkspace(Protocol):
    """The workspaces as they are now, all of them."""

    current: Workspaces
