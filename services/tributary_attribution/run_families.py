"""Leads, subscriptions, orders told twice of a run: found before conversions are read, settled when they are."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from tributary_attribution.credit_settings import declared_for
from tributary_domain.reconciled_families import are_all_named, families, heirs
from tributary_domain.reconciled_orders import NO_ORDERS, orders_of
from tributary_domain.reconciled_records import Heir, Related, Staged, StandIn
from tributary_domain.reconciled_shares import Shared, shared
from tributary_domain.renewals import RenewalCredit
from tributary_domain.severed_orders import severed_digest, severed_key
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_families import ReconciliationFamilies
from tributary_storage.clickhouse.reconciliation_staging import Scope


class RunFamilies:
    """The families of one run.

    Args:
        storage: Keeps what the run makes of them.
        scope: The run.
        workspace: Whose.
    """

    def __init__(self, storage: ReconciliationFamilies, scope: Scope, workspace: Workspace) -> None:
        self._storage = storage
        self._scope = scope
        self._workspace = workspace
        self._observations: dict[str, list[Related]] = {}
        self._stand_ins: dict[str, list[StandIn]] = defaultdict(list)
        self._found: list[set[str]] = []
        self._tokens: dict[str, Sequence[str]] = {}
        self._heirs: dict[str, Heir] = {}
        self._orders = NO_ORDERS
        self._declared = {one.name for one in workspace.conversions}

    async def name(self) -> None:
        """Finds the families of the run's conversions, so that all of their conversions are read.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        begin, end = self._scope.begin_micros, self._scope.end_micros
        await self._storage.relate(self._scope)
        related = await self._storage.related(self._scope, everything=False)
        stand_ins = await self._storage.stand_ins(self._scope)
        if not await asyncio.to_thread(are_all_named, related, stand_ins, begin, end):
            related = await self._storage.related(self._scope, everything=True)
        declared = self._declared
        is_severed = await self._severed()
        self._orders = await asyncio.to_thread(orders_of, self._workspace.id, related, stand_ins, is_severed)
        found = await asyncio.to_thread(families, related, declared, stand_ins, self._orders)
        days = [(one.conversion_id, one.time_micros) for one in related]
        days += [(one.conversion_id, one.time_micros) for one in stand_ins]
        today = {conversion_id for conversion_id, time_micros in days if begin <= time_micros < end}
        if found and self._scope.with_changes:
            today |= await self._storage.targets(self._scope)
        self._found = [family for family in found if family & today]
        grouped: dict[str, list[Related]] = defaultdict(list)
        for one in related:
            grouped[one.conversion_id].append(one)
        self._observations = grouped
        for left in stand_ins:
            self._stand_ins[left.conversion_id].append(left)
        named = [one for family in self._found for one in sorted(family)]
        changes = await self._shared(set(named))
        await self._storage.name(self._scope, named, self._orders.lent(grouped, self._stand_ins) | changes.lent)
        await self._storage.share(self._scope, changes.shares)

    async def _severed(self) -> Callable[[str], bool]:
        """Returns what tells whether a conversion id, or the name of an order, is that of one which was severed."""
        digests = await self._storage.severed(self._scope)
        key = severed_key(self._workspace.id, self._workspace.pepper.reveal().encode()) if digests else b""
        return lambda name: bool(digests) and severed_digest(key, name) in digests

    async def _shared(self, named: set[str]) -> Shared:
        """Returns what changes the orders of some conversions that were told as several first cycles."""
        told = self._orders.several(self._observations, self._stand_ins)
        several = [one for one in told if not named.isdisjoint(one.cycles)]
        ids = sorted({name for one in several for name in (*one.plains, *one.cycles)})
        parts = await self._storage.order_parts(self._scope, ids)
        return await asyncio.to_thread(shared, several, parts)

    async def settle(self) -> int:
        """Says of their conversions what they count for and at whose place they are credited.

        Returns:
            When the earliest was whose credit another has; the beginning of the run if that is later.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        if not self._found:
            return self._scope.begin_micros
        staged: dict[str, Staged] = {one.conversion_id: one for one in await self._storage.staged(self._scope)}
        known = self._observations, staged, self._inherits, self._stand_ins, self._orders, self._declared
        found = [heir for family in self._found for heir in heirs(family, *known)]
        await self._storage.settle(self._scope, found, staged)
        self._heirs = {heir.conversion_id: heir for heir in found}
        self._tokens = {one.conversion_id: one.tokens for one in staged.values()}
        times = [heir.origin.time_micros for heir in found if heir.origin is not None]
        return min([self._scope.begin_micros, *times])

    def tokens_of(self, conversion_id: str) -> set[str]:
        """Returns the identity tokens of all of a conversion's family; none if it has none."""
        heir = self._heirs.get(conversion_id)
        return {token for one in heir.family for token in self._tokens.get(one, ())} if heir is not None else set()

    def _inherits(self, time_micros: int) -> bool:
        return declared_for(self._workspace, time_micros).renewal_credit is RenewalCredit.FIRST_PAYMENT
