"""What a run of reconciliation reads of raw events before it compares: conversions, whose they are, what led to them.

The one rule: what is read is what the run's conversions need, not what the workspace ever had.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tributary_attribution.credit_settings import core_settings, history_micros
from tributary_attribution.repair import Words
from tributary_attribution.run_families import RunFamilies
from tributary_attribution.run_people import RunPeople
from tributary_attribution.run_settings import pinned_settings
from tributary_attribution.settings_history import Versions
from tributary_domain.settings import SECOND, AttributionSettings
from tributary_domain.severed_orders import severed_key
from tributary_domain.value_bases import ValueBasis
from tributary_runtime.assumed_consent import assumed_consent
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_comparison import (
    Difference,
    ReconciliationComparison,
    StagedConversion,
)
from tributary_storage.clickhouse.reconciliation_families import ReconciliationFamilies
from tributary_storage.clickhouse.reconciliation_staging import (
    DeclaredBases,
    DefaultValues,
    ReconciliationStaging,
    Scope,
)


class RunReading:
    """Reads for runs.

    Args:
        staging: Reads raw events.
        families: Keeps what a run makes of leads and subscriptions.
        words: What operators said of who is who.
        comparison: Knows what is compared.
        versions: What versions of settings stand for.
    """

    def __init__(
        self,
        staging: ReconciliationStaging,
        families: ReconciliationFamilies,
        words: Words,
        comparison: ReconciliationComparison,
        versions: Versions,
    ) -> None:
        self._staging = staging
        self._families = families
        self._words = words
        self._comparison = comparison
        self._versions = versions

    async def read(self, scope: Scope, workspace: Workspace) -> Reading:
        """Reads the raw events of a run.

        Raises:
            StorageUnavailableError: A store does not answer.
        """
        held = [core_settings(settings) for settings in workspace.attribution]
        people = RunPeople(self._staging, scope, workspace, await self._words.read(workspace.id))
        await self._staging.stage_targets(scope)
        if scope.with_changes:
            await people.find_changed(_late_micros(held))
        families = RunFamilies(self._families, scope, workspace)
        await families.name()
        await people.find_named()
        del people  # who was seen with whom takes more memory than all that follows
        key = severed_key(workspace.id, workspace.pepper.reveal().encode())
        await self._staging.stage_conversions(scope, _defaults(workspace), _bases(workspace), key)
        oldest = min(await families.settle(), await self._comparison.oldest(scope))
        versions = await self._comparison.pinned_versions(scope)
        pinned = await pinned_settings(self._versions, workspace, versions)
        reach = max(history_micros(workspace), *(one.history_micros for one in pinned.values()), 0)
        late = _late_micros([*pinned.values(), *held])
        names = {name for one in (*pinned.values(), *held) for name in one.path_reset_names}
        await self._staging.stage_entries(scope, reach, late, oldest, assumed_consent(workspace), names)
        slices = await self._comparison.staged_slices(scope)
        return Reading(self._staging, scope, families, oldest, pinned, slices)

    async def drop(self, scope: Scope) -> None:
        """Drops what was read for a run."""
        await self._staging.drop(scope)


class Reading:
    """What a run has read of raw events.

    Args:
        staging: Has who is whom: in memory, that would be the largest part of a run.
        scope: The run.
        families: Leads and subscriptions.
        oldest_micros: When the earliest conversion was that matters.
        pinned: The settings that conversions are credited under, by the version that is stored.
        slices: Those in which there is anything to compare.
    """

    def __init__(
        self,
        staging: ReconciliationStaging,
        scope: Scope,
        families: RunFamilies,
        oldest_micros: int,
        pinned: Mapping[str, AttributionSettings],
        slices: Collection[int],
    ) -> None:
        self._staging = staging
        self._scope = scope
        self._families = families
        self.oldest_micros = oldest_micros
        self.pinned = pinned
        self.slices = slices

    async def tokens_of(self, differences: Collection[Difference | StagedConversion]) -> dict[str, list[str]]:
        """Returns all identity tokens of the persons of some conversions and of those of their families, and their own.

        By conversion.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        families = {one.conversion_id: self._families.tokens_of(one.conversion_id) for one in differences}
        asked = {one.conversion_id: families[one.conversion_id].union(one.tokens[:1]) for one in differences}
        members = await self._staging.members(self._scope, set().union(*asked.values()))
        return {
            one.conversion_id: sorted(
                families[one.conversion_id].union(
                    one.tokens, *(members.get(token, ()) for token in asked[one.conversion_id])
                )
            )
            for one in differences
        }


def _late_micros(held: Sequence[AttributionSettings]) -> int:
    """Returns how long after a conversion a touch may matter."""
    return max(one.late_touch_seconds for one in held) * SECOND


def _defaults(workspace: Workspace) -> DefaultValues:
    """Returns what conversions are worth that state no value."""
    own = [(one.name, one.default_value) for one in workspace.conversions if one.default_value is not None]
    return DefaultValues(
        tuple(name for name, _ in own),
        tuple(value.amount_micros for _, value in own),
        tuple(value.currency for _, value in own),
    )


def _bases(workspace: Workspace) -> DeclaredBases:
    """Returns what of their values is credited, where that is not all of it."""
    own = [(one.name, one.value_basis) for one in workspace.conversions if one.value_basis is not ValueBasis.AS_SENT]
    return DeclaredBases(tuple(name for name, _ in own), tuple(basis.name for _, basis in own))
