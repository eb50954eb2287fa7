"""What one run of reconciliation reads from `events`: edges between identifiers, journeys, conversions, as numbers.

The one rule: nothing of the streaming is asked. What a run read is scratch under its own id, and dropped when it ends.
Memory is bounded by settings of each statement, not by hope. Every method raises `StorageUnavailableError` if
ClickHouse does not answer; all may run twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tributary_domain.consent import Assumed, Purpose
from tributary_domain.event_order import OrderKey, event_hash
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement

MAX_MEMORY: Final = 600_000_000
"""Bytes that one statement may use."""

SPILL: Final = 200_000_000
"""Bytes from which on a statement that groups continues on disk."""

INSERTED_ROWS: Final = 65_536
INSERTED_BYTES: Final = 16_000_000
"""How much of what a statement reads is written at once: by itself the server would gather a million rows first."""

PLAIN_DIRECT: Final = "cityHash64('Direct', '', '(direct)', '(none)'" + ", ''" * 15 + ")"

MARGIN_MICROS: Final = 400 * 86_400 * 1_000_000
"""How far from its true time a stored conversion is looked for: an observation may have been corrected so far."""

_TABLES: Final = (
    "reconciliation_people",
    "reconciliation_families",
    "reconciliation_entries",
    "reconciliation_conversions",
)
_NOT_ONE_CLICK: Final = (
    *("gbraid", "wbraid", "gad_source", "gad_campaignid", "gclsrc"),
    *("srsltid", "mc_cid", "hsenc", "igshid", "kx"),
)
"""Click ids that many clicks share, or that follow a person around: they name no single click."""

_TOKENS_AT_ONCE: Final = 100_000


class Edge(NamedTuple):
    """Two identifiers that one event carried; the first such event in event order."""

    first: str
    second: str
    place: OrderKey


class DefaultValues(NamedTuple):
    """What conversions are worth that state no value, by name; three lists of one length."""

    names: tuple[str, ...]
    micros: tuple[int, ...]
    currencies: tuple[str, ...]


class DeclaredBases(NamedTuple):
    """Which part of a value is credited, by name; two lists of one length, without those that are credited as sent."""

    names: tuple[str, ...]
    bases: tuple[str, ...]
    """In the words of the column `value_basis`."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run is about."""

    reconciliation_id: str
    workspace: str
    begin_micros: int
    """Of the conversions; the first moment inside."""
    end_micros: int
    """The first moment after them."""
    slices: int
    """In how many parts the people are compared."""
    attempt: str = ""
    """Names this process' attempt at the run: what it reads is its own."""

    @property
    def scratch(self) -> str:
        """Returns under what the attempt keeps what it reads."""
        return f"{self.reconciliation_id}/{self.attempt}" if self.attempt else self.reconciliation_id

    @property
    def values(self) -> dict[str, Any]:
        """Returns what every statement is told."""
        return {
            "run": self.scratch,
            "workspace": self.workspace,
            "begin": self.begin_micros,
            "end": self.end_micros,
            "slices": self.slices,
            "max_memory": MAX_MEMORY,
            "spill": SPILL,
            "insert_rows": INSERTED_ROWS,
            "insert_bytes": INSERTED_BYTES,
        }


class ReconciliationStaging:
    """Reads raw events for runs of reconciliation."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def edges(self, scope: Scope) -> list[Edge]:
        """Returns every pair of identifiers that an event, or an order, showed to belong together."""
        rows = await self._clickhouse.execute(reconciliation_statement("edges"), scope.values)
        known: dict[str, str] = {}  # each identifier once, however many it was seen with
        same = known.setdefault
        rows.reverse()
        edges = []
        while rows:  # what is read goes as it is taken over
            first, second, place = rows.pop()
            edges.append(Edge(same(first, first), same(second, second), (int(place[0]), int(place[1]))))
        return edges

    async def shared_devices(self, scope: Scope, customers: int, days: int) -> dict[str, OrderKey]:
        """Returns identifiers that were seen with more than so many customers in so many days, and since when."""
        values = {**scope.values, "customers": customers, "reach": days * 86_400_000_000}
        rows = await self._clickhouse.execute(reconciliation_statement("shared_devices"), values)
        return {token: (int(place[0]), int(place[1])) for token, place in rows}

    async def write_people(self, scope: Scope, people: Mapping[str, str]) -> None:
        """Keeps who is whom.

        Args:
            scope: The run.
            people: Identity token -> the token that stands for its person; those of people with one token may be left
                out.
        """
        tokens = list(people)
        for start in range(0, len(tokens), _TOKENS_AT_ONCE):
            some = tokens[start : start + _TOKENS_AT_ONCE]
            persons = [event_hash(people[token]) for token in some]
            columns = ("reconciliation_id", "identity_token", "person")
            rows: list[list[Any]] = [[scope.scratch] * len(some), some, persons]
            await self._clickhouse.insert("reconciliation_people", columns, rows)

    async def stage_conversions(self, scope: Scope, defaults: DefaultValues, bases: DeclaredBases) -> None:
        """Reads the conversions of the run, and all of their leads and subscriptions.

        Args:
            scope: The run; `write_people` and `ReconciliationFamilies.name` come first.
            defaults: What conversions without a value are worth, of those that are not published yet.
            bases: What of their values is credited, of those that are not published yet.
        """
        values = {
            **scope.values,
            "default_names": list(defaults.names) or [""],
            "default_micros": list(defaults.micros) or [0],
            "default_currencies": list(defaults.currencies) or [""],
            "basis_names": list(bases.names) or [""],
            "bases": list(bases.bases) or [""],
            "has_bases": bool(bases.names),
            "has_defaults": bool(defaults.names),
            "not_one_click": _NOT_ONE_CLICK,
            "stored_begin": scope.begin_micros - MARGIN_MICROS,
            "stored_end": scope.end_micros + MARGIN_MICROS,
        }
        await self._clickhouse.execute(reconciliation_statement("stage_conversions"), values)

    async def stage_entries(
        self, scope: Scope, history_micros: int, late_micros: int, oldest_micros: int, assumed: Assumed
    ) -> None:
        """Reads the journeys that the conversions of the run look at.

        Args:
            scope: The run; `stage_conversions` and `ReconciliationFamilies.settle` come first.
            history_micros: How far before a conversion a touch may matter.
            late_micros: How long after it.
            oldest_micros: The earliest conversion whose credit one of the run has.
            assumed: What people are assumed to consent to.
        """
        measured = Purpose.ANALYTICS_STORAGE
        plain = await self._clickhouse.execute(f"SELECT {PLAIN_DIRECT}")  # a constant of ours
        values = {
            **scope.values,
            "has_old_origins": oldest_micros < scope.begin_micros,
            "begin": scope.begin_micros - history_micros,
            "end": scope.end_micros + late_micros,
            "plain_direct": plain[0][0],
            "not_one_click": _NOT_ONE_CLICK,
            "assumes": bool(assumed.defaults),
            "granting": [region for region, own in assumed.defaults.items() if measured in own] or [""],
            "default_region": assumed.region,
        }
        await self._clickhouse.execute(reconciliation_statement("stage_entries"), values)

    async def drop(self, scope: Scope) -> None:
        """Drops what this attempt at a run has read, and all that others have left of it, which have ended."""
        for table in _TABLES:
            statement = f"SELECT DISTINCT reconciliation_id FROM {table} WHERE startsWith(reconciliation_id, %(run)s)"  # noqa: S608 - ours
            for (partition,) in await self._clickhouse.execute(statement, {"run": scope.reconciliation_id}):
                await self._clickhouse.execute(
                    f"ALTER TABLE {table} DROP PARTITION %(partition)s", {"partition": partition}
                )
