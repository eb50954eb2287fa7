"""What else a run of reconciliation asks ClickHouse for: events to replay, sums, amounts.

Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tributary_domain.erasures import SEVERED_PREFIX
from tributary_domain.outliers import AmountGroup, StatedAmount
from tributary_storage.clickhouse.admission_rows import RecordedAdmission, recorded_admission
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement
from tributary_storage.clickhouse.recorded_events import RecordedEvents

NEAR_MICROS = 6 * 3_600_000_000
"""What two observers of one purchase are apart at most; the cycles of a subscription are further apart."""

_HASHES_AT_ONCE = 5_000
_CONVERSIONS_AT_ONCE = 5_000


class SplitOrder(NamedTuple):
    """An order that is two counted conversions: told with the cycle of a subscription, and without one."""

    conversion_id: str
    """Of the one with the cycle."""
    plain_id: str
    """Of the other."""
    name: str
    store: str
    order_id: str
    cycle: str
    is_first: bool
    """Whether it is the first of its subscription: then both become one by themselves."""
    value_micros: int
    currency: str
    plain_micros: int
    plain_currency: str


class FirstCycle(NamedTuple):
    """One of several first cycles of an order."""

    time_micros: int
    conversion_id: str
    cycle: str
    subscription_id: str
    original_micros: int
    """What it was told to be worth; likewise in `SeveralFirstCycles`."""
    currency: str
    value_basis: str
    """In the words of the column; likewise."""


class SeveralFirstCycles(NamedTuple):
    """An order that is several counted first cycles, of one subscription or worth something else than the order."""

    name: str
    store: str
    order_id: str
    cycles: Sequence[FirstCycle]
    """In event order."""
    plain_id: str
    """Empty: nobody told the order without a cycle."""
    plain_micros: int
    plain_currency: str
    plain_basis: str
    differs: bool
    """Whether the order was told to be worth something else, as the cycles were: by sources of their rank."""

    @property
    def is_odd(self) -> bool:
        """Whether anything is odd about it."""
        return self.differs or len({one.subscription_id for one in self.cycles}) < len(self.cycles)


class MergedStages(NamedTuple):
    """A conversion that several stages of a lead were told with, because they had one order number."""

    conversion_id: str
    name: str
    store: str
    order_id: str
    stages: Sequence[str]


class OddConversion(NamedTuple):
    """A conversion about which something is odd."""

    conversion_id: str
    name: str
    store: str
    order_id: str
    original_micros: int
    value_micros: int
    currency: str
    """Empty: nobody said what it is worth."""


class OddConversions(NamedTuple):
    """The conversions that one thing is odd about."""

    what: str
    """In the words of the column."""
    number: int
    named: Sequence[OddConversion]
    """Some of them, in the order of their ids; none of what a run only counts."""


class WrongSum(NamedTuple):
    """A counted conversion whose credit or money does not add up."""

    conversion_id: str
    value_micros: int
    """What it is worth."""
    currency: str
    """Empty: nobody said what it is worth."""
    models: Sequence[tuple[str, int, int]]
    """Model, credit and money in micros, of each under which they do not add up."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What must be nothing, each named with how often it is there, and how much was looked at."""

    repeated_events: list[tuple[str, int]]
    """Event ids that were recorded more than once."""
    repeated_orders: list[tuple[str, int]]
    """Orders that are more than one counted conversion, by these, apart by commas."""
    repeated_conversions: list[tuple[str, int]]
    """Conversions that are counted more than once."""
    wrong_sums: list[WrongSum]
    conversions: int
    changed: int
    """Of these not of the days of the run: what was accepted in these days may have changed them."""
    too_old: int
    """Conversions of the run's days whose windows begin before events are kept."""


@dataclass(frozen=True, slots=True)
class VerdictRows:
    """The events of a workspace as rows."""

    accepted: int
    quarantined: int
    merged: int
    """Further observations of known orders, which were answered DUPLICATE."""
    conflicts: int
    rejected: int

    def by_verdict(self) -> dict[str, int]:
        """Returns the same by the names of verdicts."""
        return {
            "ACCEPTED": self.accepted,
            "QUARANTINED": self.quarantined,
            "DUPLICATE": self.merged,
            "CONFLICT": self.conflicts,
            "REJECTED": self.rejected,
        }


class UnmatchedAdjustment(NamedTuple):
    """An adjustment of a conversion that nobody observed."""

    event_id: str
    conversion_id: str
    name: str
    named: str
    """What it names: order, event or conversion."""
    reason: str
    amount: str
    """As text; empty where it says none."""


class ReconciliationSources:
    """Asks ClickHouse."""

    MOST = 100_000
    """Wrong sums of one kind, adjustments without a conversion, or orders told twice, that one answer has."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Asks through this client."""
        self._clickhouse = clickhouse

    async def events_of(
        self, scope: Scope, tokens: Collection[str], conversions: Collection[str]
    ) -> list[RecordedAdmission]:
        """Returns the recorded events of people, by their identity tokens, and of conversions, oldest first."""
        values = {**scope.values, "tokens": tuple(tokens) or ("",), "conversions": tuple(conversions) or ("-",)}
        statement = reconciliation_statement("events_to_replay")
        rows = await self._clickhouse.execute(statement, values, raw_strings=True)
        return [recorded_admission(*row) for row in rows]

    async def sums(self, scope: Scope) -> Sums:
        """Returns what must be nothing."""
        values = {**scope.values, "limit": self.MOST}
        [row] = await self._clickhouse.execute(reconciliation_statement("sums"), values)
        events, orders, repeated, wrong, *numbers = row
        return Sums(events, orders, repeated, [WrongSum(*one) for one in wrong], *numbers)

    async def verdict_rows(self, scope: Scope) -> VerdictRows:
        """Returns how many rows a workspace has, by verdict."""
        [row] = await self._clickhouse.execute(reconciliation_statement("verdict_rows"), scope.values)
        return VerdictRows(*row)

    async def lost_events(self, scope: Scope, limit: int) -> list[str]:
        """Returns the ids of at most so many events that were recorded once and have no row any more."""
        found: list[str] = []
        for part in range(scope.slices):
            values = {**scope.values, "part": part, "limit": limit - len(found)}
            rows = await self._clickhouse.execute(reconciliation_statement("lost_events"), values)
            found += [row[0] for row in rows]
        return found

    async def known_ids(self, scope: Scope, event_ids: Collection[str]) -> set[str]:
        """Returns which of some events were ever recorded."""
        return set(await RecordedEvents(self._clickhouse).events(scope.workspace, event_ids)) if event_ids else set()

    async def ids_without_conversion(self, scope: Scope, event_ids: Collection[str]) -> set[str]:
        """Returns which of some events were recorded, and are known to be of no conversion.

        Nor of any but one that is named at random: where an event told one, an erasure has stripped its row.
        """
        found = await RecordedEvents(self._clickhouse).events(scope.workspace, event_ids) if event_ids else {}
        return {
            event_id
            for event_id, one in found.items()
            if not one.conversion_id or one.conversion_id.startswith(SEVERED_PREFIX)
        }

    async def orders_of_entries(
        self, scope: Scope, tokens: Collection[str], event_ids: Collection[str]
    ) -> dict[str, str]:
        """Returns the random ids of what stripped events of some identifiers observed, as far as these are known."""
        if not tokens or not event_ids:
            return {}
        values = {**scope.values, "tokens": list(tokens), "event_ids": list(event_ids)}
        rows = await self._clickhouse.execute(reconciliation_statement("orders_of_entries"), values)
        return {str(event_id): str(order) for event_id, order in rows}

    async def refusal_places(
        self, scope: Scope, begin_micros: int, end_micros: int
    ) -> set[tuple[int, str, int, int, int]]:
        """Returns the places of the refusals of some time, its end included: shard, lane, entry and event of it."""
        values = {**scope.values, "first": begin_micros, "last": end_micros}
        rows = await self._clickhouse.execute(reconciliation_statement("refusal_places"), values)
        return {(row[0], row[1], row[2], row[3], row[4]) for row in rows}

    async def recorded_hashes(self, scope: Scope, hashes: Collection[int]) -> dict[int, int]:
        """Returns when those of some events were accepted that have a row, by the hashes of their ids."""
        found: dict[int, int] = {}
        asked = list(hashes)
        for start in range(0, len(asked), _HASHES_AT_ONCE):
            values = {**scope.values, "hashes": tuple(asked[start : start + _HASHES_AT_ONCE])}
            found.update(await self._clickhouse.execute(reconciliation_statement("recorded_hashes"), values))
        return found

    async def unmatched_adjustments(self, scope: Scope, wait_micros: int, now_micros: int) -> list[UnmatchedAdjustment]:
        """Returns the adjustments that a run speaks of whose conversion has not come within some time."""
        values = {
            **scope.values,
            "accepted_before": now_micros - wait_micros,
            "due_begin": scope.begin_micros - wait_micros,
            "due_end": scope.end_micros - wait_micros,
            "limit": self.MOST,
        }
        rows = await self._clickhouse.execute(reconciliation_statement("unmatched_adjustments"), values)
        return [UnmatchedAdjustment(*row) for row in rows]

    async def split_orders(self, scope: Scope) -> list[SplitOrder]:
        """Returns the orders that a run speaks of that are counted twice, with a cycle and without."""
        values = {
            **scope.values,
            "near": NEAR_MICROS,
            "near_begin": scope.begin_micros - NEAR_MICROS,
            "near_end": scope.end_micros + NEAR_MICROS,
            "limit": self.MOST,
        }
        rows = await self._clickhouse.execute(reconciliation_statement("split_orders"), values)
        return [SplitOrder(*row) for row in rows]

    async def several_first_cycles(self, scope: Scope) -> list[SeveralFirstCycles]:
        """Returns the orders that a run speaks of that are several first cycles, where something is odd about that.

        A browser tells what the customer pays, and a backend what is left of it without the tax: these may differ.
        """
        found: list[SeveralFirstCycles] = []
        after = ("", "", "")
        while len(found) < self.MOST:
            values = {**scope.values, "limit": self.MOST, "after": after}
            rows = await self._clickhouse.execute(reconciliation_statement("several_first_cycles"), values)
            several = [
                SeveralFirstCycles(
                    *(name, store, order_id, [FirstCycle(*one) for one in told], *whole, bool(differs)),
                )
                for name, store, order_id, told, whole, differs in rows
            ]
            ranks = await self._value_ranks(scope, several)
            compared = (one._replace(differs=one.differs and _is_of_one_rank(one, ranks)) for one in several)
            found += [one for one in compared if one.is_odd]
            if len(several) < self.MOST:
                break
            after = several[-1][:3]
        return found[: self.MOST]

    async def _value_ranks(self, scope: Scope, several: Sequence[SeveralFirstCycles]) -> dict[str, int]:
        """Returns what rank the sources have that say what conversions are worth, of orders where this differs."""
        asked = [name for one in several if one.differs for name in _told(one)]
        ranks: dict[str, int] = {}
        for start in range(0, len(asked), _CONVERSIONS_AT_ONCE):
            values = {**scope.values, "conversions": asked[start : start + _CONVERSIONS_AT_ONCE]}
            ranks |= dict(await self._clickhouse.execute(reconciliation_statement("value_ranks"), values))
        return ranks

    async def merged_stages(self, scope: Scope) -> list[MergedStages]:
        """Returns the conversions that a run speaks of that several stages of a lead were told with."""
        values = {**scope.values, "limit": self.MOST}
        rows = await self._clickhouse.execute(reconciliation_statement("merged_stages"), values)
        return [MergedStages(*row) for row in rows]

    async def odd_conversions(self, scope: Scope) -> list[OddConversions]:
        """Returns the conversions that a run speaks of about which something is odd, by what is."""
        values = {**scope.values, "limit": self.MOST}
        rows = await self._clickhouse.execute(reconciliation_statement("odd_conversions"), values)
        return [OddConversions(what, number, [OddConversion(*one) for one in named]) for what, number, named in rows]

    async def amounts(self, scope: Scope) -> list[StatedAmount]:
        """Returns what counted conversions are worth before any adjustment."""
        rows = await self._clickhouse.execute(reconciliation_statement("amounts"), scope.values)
        return [
            StatedAmount(AmountGroup(scope.workspace, name, currency), conversion_id, micros)
            for name, currency, conversion_id, micros in rows
        ]


def _told(one: SeveralFirstCycles) -> list[str]:
    """Returns the ids of the conversions that an order was told as."""
    return [one.plain_id, *(cycle.conversion_id for cycle in one.cycles)]


def _is_of_one_rank(one: SeveralFirstCycles, ranks: Mapping[str, int]) -> bool:
    """Tells whether sources of one rank said what the conversions of an order are worth, as far as anybody knows."""
    found = {ranks.get(name) for name in _told(one)}
    return len(found) == 1 and None not in found
