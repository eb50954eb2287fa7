"""Leads, subscriptions, orders told twice of one run of reconciliation: what observations say, and it makes of that.

Every method raises `StorageUnavailableError` if ClickHouse does not answer; all may run twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tributary_domain.ids import family_id
from tributary_domain.reconciled_records import Heir, Related, Staged, StandIn
from tributary_domain.reconciled_shares import OrderPart, Share
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement

_COLUMNS: Final = (
    *("reconciliation_id", "conversion_id", "is_settled", "slice", "person", "time", "hash", "session"),
    *("is_superseded", "is_lost", "is_void", "takes_place", "accept_time", "frozen_at", "lends_to"),
)
_SHARE_COLUMNS: Final = ("reconciliation_id", "conversion_id", "event_id", "is_part", "amount_micros")
_AT_ONCE: Final = 100_000
_NAMED_AT_ONCE: Final = 1_000
_MOST_ROUNDS: Final = 60_000
"""Each finds somebody new, or is the last."""


class ReconciliationFamilies:
    """Reads and writes them."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Uses this client."""
        self._clickhouse = clickhouse

    async def relate(self, scope: Scope) -> None:
        """Notes which conversions share names with those of a run, perhaps through others."""
        for number in range(1, _MOST_ROUNDS):
            values = {**scope.values, "round": number}
            await self._clickhouse.execute(reconciliation_statement("stage_related"), values)
            [[added]] = await self._clickhouse.execute(reconciliation_statement("related_found"), values)
            if not added:
                break

    async def related(self, scope: Scope, *, everything: bool) -> list[Related]:
        """Returns what observations say of leads and subscriptions.

        Args:
            scope: The run, whose related conversions are noted.
            everything: Whether of all leads; else only of those that are related to the run's conversions.
        """
        values = {**scope.values, "everything": everything}
        rows = await self._clickhouse.execute(reconciliation_statement("related"), values)
        return [Related(*row) for row in rows]

    async def targets(self, scope: Scope) -> set[str]:
        """Returns the conversions that the run compares, but for others of their families."""
        rows = await self._clickhouse.execute(reconciliation_statement("targets"), scope.values)
        return {row[0] for row in rows}

    async def name(self, scope: Scope, conversion_ids: Iterable[str], lent: Mapping[str, str]) -> None:
        """Notes which conversions the run reads, whenever they were.

        Args:
            scope: The run.
            conversion_ids: Theirs.
            lent: By conversion, the one that its adjustments change, too.
        """
        nothing = (*((0,) * (len(_COLUMNS) - 4)), "")
        rows = [(scope.scratch, one, *nothing, lent.get(one, "")) for one in conversion_ids]
        await self._insert("reconciliation_families", _COLUMNS, rows)
        await self._clickhouse.execute(reconciliation_statement("stage_stand_ins"), scope.values)

    async def order_parts(self, scope: Scope, conversion_ids: Sequence[str]) -> list[OrderPart]:
        """Returns what events say of orders that were told as several first cycles.

        Args:
            scope: The run.
            conversion_ids: The cycles, and what the orders are without them.
        """
        found: list[OrderPart] = []
        for start in range(0, len(conversion_ids), _NAMED_AT_ONCE):
            values = {**scope.values, "conversions": tuple(conversion_ids[start : start + _NAMED_AT_ONCE])}
            rows = await self._clickhouse.execute(reconciliation_statement("order_parts"), values)
            found += [OrderPart(*row) for row in rows]
        return found

    async def share(self, scope: Scope, shares: Sequence[Share]) -> None:
        """Notes what changes which of several first cycles; `name` comes first.

        Args:
            scope: The run.
            shares: What changes them.
        """
        await self._insert("reconciliation_shares", _SHARE_COLUMNS, [(scope.scratch, *one) for one in shares])

    async def stand_ins(self, scope: Scope) -> list[StandIn]:
        """Returns what families go on knowing of conversions whose people were erased; an older release wrote names."""
        rows = await self._clickhouse.execute(reconciliation_statement("stand_ins"), scope.values)
        found = (StandIn(*row) for row in rows)
        return [one._replace(families=[family_id(name) for name in one.families]) for one in found]

    async def severed(self, scope: Scope) -> set[str]:
        """Returns by what orders are recognised whose conversions were severed (`severed_orders.severed_digest`)."""
        return {row[0] for row in await self._clickhouse.execute(reconciliation_statement("severed"), scope.values)}

    async def staged(self, scope: Scope) -> list[Staged]:
        """Returns what the run has read of the conversions that were named."""
        rows = await self._clickhouse.execute(reconciliation_statement("staged_families"), scope.values)
        return [Staged(*row) for row in rows]

    async def settle(self, scope: Scope, heirs: Iterable[Heir], staged: dict[str, Staged]) -> None:
        """Notes at which conversion's place each is credited.

        Args:
            scope: The run.
            heirs: What their families are to them.
            staged: What was read, by conversion.
        """
        rows = []
        for heir in heirs:
            at = heir.origin or staged[heir.conversion_id]
            place = at.slice, at.person, at.time_micros, at.event_hash, at.session
            standing = heir.is_superseded, heir.is_lost, heir.is_void, heir.takes_place
            of_family = heir.accept_time, heir.frozen_at, ""
            rows.append((scope.scratch, heir.conversion_id, 1, *place, *standing, *of_family))
        await self._insert("reconciliation_families", _COLUMNS, rows)

    async def _insert(self, table: str, names: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        for start in range(0, len(rows), _AT_ONCE):
            columns: list[list[Any]] = [list(column) for column in zip(*rows[start : start + _AT_ONCE], strict=True)]
            await self._clickhouse.insert(table, names, columns)
