"""A workspace's declared identity settings -> what keeps its people apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from tributary_domain.identifiers import tokens_of_values
from tributary_domain.identity import IdentityLimits
from tributary_runtime.privacy_settings import IdentitySettings
from tributary_runtime.secret_references import SecretReference
from tributary_runtime.workspaces import Workspace


def identity_limits(workspace: Workspace) -> IdentityLimits:
    """Returns what keeps strangers from becoming one person.

    Blocked values get no tokens at the door; the tokens that they were given before they were blocked, or that somebody
    else hashed, link nobody.
    """
    declared_limits = workspace.identity
    if not declared_limits.blocked_identifiers:
        return _identity_limits(declared_limits)
    return _identity_limits(declared_limits, workspace.pepper, workspace.default_region)


@lru_cache(maxsize=1024)
def _identity_limits(
    declared_limits: IdentitySettings, pepper: SecretReference | None = None, default_region: str | None = None
) -> IdentityLimits:
    blocked = declared_limits.blocked_identifiers
    return IdentityLimits(
        customer_ids=declared_limits.customer_ids_per_person,
        identifiers_per_type=declared_limits.identifiers_per_type,
        flagged_cluster_size=declared_limits.flagged_cluster_size,
        refused_cluster_size=declared_limits.refused_cluster_size,
        shared_device_customers=declared_limits.shared_device_customers,
        shared_device_days=declared_limits.shared_device_days,
        blocked=frozenset() if pepper is None else tokens_of_values(pepper.reveal().encode(), default_region, blocked),
    )


def limits_by_id(find: Callable[[str], Workspace | None]) -> Callable[[str], IdentityLimits]:
    """Returns the same by workspace id; of one that is not known (any more), the defaults."""

    def of(workspace_id: str) -> IdentityLimits:
        workspace = find(workspace_id)
        return IdentityLimits() if workspace is None else identity_limits(workspace)

    return of
