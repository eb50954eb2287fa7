"""A workspace's declared identity settings -> what keeps its people apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from tributary_domain.identity import IdentityLimits
from tributary_runtime.privacy_settings import IdentitySettings
from tributary_runtime.workspaces import Workspace


def identity_limits(workspace: Workspace) -> IdentityLimits:
    """Returns what keeps strangers from becoming one person; blocked values have no tokens, the door sees to that."""
    return _identity_limits(workspace.identity)


@lru_cache(maxsize=1024)
def _identity_limits(declared_limits: IdentitySettings) -> IdentityLimits:
    return IdentityLimits(
        customer_ids=declared_limits.customer_ids_per_person,
        identifiers_per_type=declared_limits.identifiers_per_type,
        flagged_cluster_size=declared_limits.flagged_cluster_size,
        refused_cluster_size=declared_limits.refused_cluster_size,
        shared_device_customers=declared_limits.shared_device_customers,
        shared_device_days=declared_limits.shared_device_days,
    )


def limits_by_id(find: Callable[[str], Workspace | None]) -> Callable[[str], IdentityLimits]:
    """Returns the same by workspace id; of one that is not known (any more), the defaults."""

    def of(workspace_id: str) -> IdentityLimits:
        workspace = find(workspace_id)
        return IdentityLimits() if workspace is None else identity_limits(workspace)

    return of
