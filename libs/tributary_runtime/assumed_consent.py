"""A workspace's declared `consent_defaults` -> what its people are assumed to consent to where nothing was said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tributary_domain.consent import Assumed
from tributary_runtime.workspaces import Workspace

_NOTHING: Final = Assumed()


def assumed_consent(workspace: Workspace) -> Assumed:
    """Returns what people of a workspace are assumed to consent to."""
    granted = {region: entry.granted for entry in workspace.consent_defaults for region in entry.regions}
    return Assumed(granted, workspace.default_region or "")


def assumed_by_id(find: Callable[[str], Workspace | None]) -> Callable[[str], Assumed]:
    """Returns the same by workspace id; of one that is not known (any more), nothing is assumed."""
    made: dict[str, tuple[Workspace, Assumed]] = {}

    def of(workspace_id: str) -> Assumed:
        workspace = find(workspace_id)
        if workspace is None:
            return _NOTHING
        known = made.get(workspace_id)
        if known is None or known[0] is not workspace:
            known = made[workspace_id] = workspace, assumed_consent(workspace)
        return known[1]

    return of
