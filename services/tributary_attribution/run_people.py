"""Who is whom in a run of reconciliation: the people it is about, and no others, however many the workspace has.

The one rule: a person is known when all edges of all of their identifiers are. It is asked in rounds whom those who are
concerned were seen with, and only whom they link is asked for next.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from tributary_domain.event_order import OrderKey, event_hash
from tributary_domain.people_concerned import PeopleConcerned
from tributary_runtime.identity_limits import identity_limits
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.identity_words import StoredWord
from tributary_storage.clickhouse.reconciliation_staging import Edge, ReconciliationStaging, Scope

_CUSTOMER: Final = "customer:"

_MOST_PARTED: Final = 20
"""Whoever an identifier with a new link was seen with is not asked for where these are more: but for those whom it
links no more since it proves to be a shared device, whom it parts is found when the turn of their days comes."""


class RunPeople:
    """The people of one run.

    Args:
        staging: Reads raw events.
        scope: The run.
        workspace: Whose.
        words: What operators said of who is who.
    """

    def __init__(
        self, staging: ReconciliationStaging, scope: Scope, workspace: Workspace, words: Sequence[StoredWord]
    ) -> None:
        limits = workspace.identity
        self._staging = staging
        self._scope = scope
        self._limits = limits
        self._people = PeopleConcerned(
            {(one.first, one.second): (one.word.value, (one.time_micros, event_hash(one.event_id))) for one in words},
            customer_ids=limits.customer_ids_per_person,
            identifiers_per_type=limits.identifiers_per_type,
            refused_cluster_size=limits.refused_cluster_size,
            blocked=identity_limits(workspace).blocked,
        )
        days = range(scope.begin_micros, scope.end_micros)
        self._new = {token for one in words if one.time_micros in days for token in (one.first, one.second)}
        self._rounds = 0
        self._written: set[str] = set()
        self.person_of: dict[str, str] = {}
        """Identity token -> the token that stands for its person; of all that were found."""

    async def find_changed(self, late_micros: int) -> None:
        """Finds everybody of whom anything was accepted in the run's days, and notes which conversions that may change.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        await self._find([*await self._staging.accepted_tokens(self._scope), *self._new])
        await self._staging.stage_changes(self._scope, late_micros)

    async def find_named(self) -> None:
        """Finds whoever the conversions belong to that the run has noted.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        await self._find(await self._staging.named_tokens(self._scope))

    async def _find(self, tokens: Iterable[str]) -> None:
        wanted = await asyncio.to_thread(self._people.ask, tokens)
        while wanted:
            found = await self._staging.edges(self._scope, self._rounds, wanted)
            self._rounds += 1
            self._new |= found.new
            parted = _seen_with(found.new, found.edges)
            self._new |= parted
            shared = await self._shared_devices(wanted & self._busy(found.edges))
            if self._scope.with_changes and shared:
                before = await self._shared_devices(shared, self._scope.begin_micros)
                unlinked = _unlinked(found.edges, shared, before)
                self._new |= unlinked
                parted |= unlinked
            wanted = await asyncio.to_thread(self._people.learn, found.edges, shared)
            wanted |= await asyncio.to_thread(self._people.ask, parted)
        people = await asyncio.to_thread(self._people.found)
        self.person_of = people.person_of
        left = {token: person for token, person in self.person_of.items() if token not in self._written}
        changed = {self.person_of[token] for token in self._new if token in self.person_of}
        await self._staging.write_people(self._scope, left, people.first_of, changed)
        self._written.update(left)

    async def _shared_devices(self, tokens: Collection[str], accepted_before: int | None = None) -> dict[str, OrderKey]:
        """Returns since when identifiers are shared devices, of those that are; as far as it was known at a moment."""
        known = () if accepted_before is None else (accepted_before,)
        limits = self._limits.shared_device_customers, self._limits.shared_device_days
        return await self._staging.shared_devices(self._scope, tokens, *limits, *known)

    def _busy(self, edges: Iterable[Edge]) -> set[str]:
        """Returns identifiers that may be shared devices: they were seen with too many customers, whenever that was."""
        customers: dict[str, int] = defaultdict(int)
        for first, second, _ in edges:
            if first.startswith(_CUSTOMER) != second.startswith(_CUSTOMER):
                customers[second if first.startswith(_CUSTOMER) else first] += 1
        return {token for token, number in customers.items() if number > self._limits.shared_device_customers}


def _seen_with(tokens: Collection[str], edges: Iterable[Edge]) -> set[str]:
    """Returns whoever identifiers with a new link were seen with: a link that was there before may be none any more."""
    seen: dict[str, set[str]] = defaultdict(set)
    for first, second, _ in edges:
        for one, other in ((first, second), (second, first)):
            if one in tokens:
                seen[one].add(other)
    return {other for others in seen.values() if len(others) <= _MOST_PARTED for other in others}


def _unlinked(edges: Iterable[Edge], shared: Mapping[str, OrderKey], before: Mapping[str, OrderKey]) -> set[str]:
    """Returns both ends of the edges that link nobody since it is known that an end was a shared device by then.

    Args:
        edges: All of these devices.
        shared: Since when they are shared, as it is known now.
        before: As it was known before the run's days.
    """
    found: set[str] = set()
    for first, second, place in edges:
        for one in (first, second):
            if one in shared and shared[one] <= place[:2] and (one not in before or place[:2] < before[one]):
                found |= {first, second}
    return found
