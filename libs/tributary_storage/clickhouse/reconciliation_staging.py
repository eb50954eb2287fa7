"""What one run of reconciliation reads from `events`: edges between identifiers, journeys, conversions, as numbers.

The one rule: nothing of the streaming is asked. What a run read is scratch under its own id, and dropped when it ends.
Memory is bounded by settings of each statement, not by hope. Every method raises `StorageUnavailableError` if
ClickHouse does not answer; all may run twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tributary_domain.consent import Assumed, Purpose
from tributary_domain.event_order import OrderKey, event_hash
from tributary_domain.ids import person_id
from tributary_domain.retention import PERSON_LEVEL_KINDS, SIGHTING
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
    "reconciliation_asked",
    "reconciliation_related",
    "reconciliation_targets",
    "reconciliation_people",
    "reconciliation_families",
    "reconciliation_shares",
    "reconciliation_entries",
    "reconciliation_conversions",
)
_NOT_ONE_CLICK: Final = (
    *("gbraid", "wbraid", "gad_source", "gad_campaignid", "gclsrc"),
    *("srsltid", "mc_cid", "hsenc", "igshid", "kx"),
)
"""Click ids that many clicks share, or that follow a person around: they name no single click."""

_TOKENS_AT_ONCE: Final = 100_000
_DEVICES_AT_ONCE: Final = 1_000
_MEMBERS_AT_ONCE: Final = 10_000
_WHENEVER: Final = 2**53


class Edge(NamedTuple):
    """Two identifiers that one event carried; the first such event in event order."""

    first: str
    second: str
    place: OrderKey


class Edges(NamedTuple):
    """Whom some identifiers were seen with."""

    edges: list[Edge]
    new: set[str]
    """Those of which an edge was accepted in the days of the run."""


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
    with_changes: bool = False
    """Whether it is also about conversions that what was accepted in the days may have changed, whenever they were."""
    attempt: str = ""
    """Names this process' attempt at the run: what it reads is its own."""
    retained_since_micros: int = 0
    """Since when there are events of people; 0: since ever. Whose window begins before cannot be computed again."""
    compared_since_micros: int = 0
    """Since when no window begins before that."""

    @property
    def scratch(self) -> str:
        """Returns under what the attempt keeps what it reads."""
        return f"{self.reconciliation_id}/{self.attempt}" if self.attempt else self.reconciliation_id

    @property
    def stored_begin_micros(self) -> int:
        """Returns since when stored conversions may be of the run."""
        return 0 if self.with_changes else self.begin_micros - MARGIN_MICROS

    @property
    def values(self) -> dict[str, Any]:
        """Returns what every statement is told."""
        return {
            "run": self.scratch,
            "workspace": self.workspace,
            "begin": self.begin_micros,
            "end": self.end_micros,
            "slices": self.slices,
            "with_changes": self.with_changes,
            "retained_since": self.retained_since_micros,
            "compared_since": self.compared_since_micros,
            "person_kinds": PERSON_LEVEL_KINDS,
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

    async def stage_targets(self, scope: Scope) -> None:
        """Notes the conversions of the run's days, and those that what was accepted in them names if that is wanted."""
        await self._clickhouse.execute(reconciliation_statement("stage_targets"), scope.values)

    async def stage_changes(self, scope: Scope, late_micros: int) -> None:
        """Notes the conversions that what was accepted in the run's days may have changed.

        Args:
            scope: The run; `write_people` comes first, with everybody whom that was accepted of.
            late_micros: How long after a conversion a touch may matter.
        """
        await self._clickhouse.execute(reconciliation_statement("stage_changes"), {**scope.values, "late": late_micros})

    async def accepted_tokens(self, scope: Scope) -> set[str]:
        """Returns the identifiers of whom anything was accepted in the run's days that conversions may depend on."""
        found: set[str] = set()
        for part in range(scope.slices):
            values = {**scope.values, "part": part}
            rows = await self._clickhouse.execute(reconciliation_statement("accepted_tokens"), values)
            found.update(row[0] for row in rows)
        return found

    async def named_tokens(self, scope: Scope) -> set[str]:
        """Returns the identifiers that observations of the run's conversions, and of their families, carry."""
        rows = await self._clickhouse.execute(reconciliation_statement("named_tokens"), scope.values)
        return {row[0] for row in rows}

    async def edges(self, scope: Scope, number: int, tokens: Collection[str]) -> Edges:
        """Returns every pair of identifiers, one of them asked for, that an event or an order showed together.

        Args:
            scope: The run.
            number: Of the round, another each time.
            tokens: The identifiers that it asks for.
        """
        asked = list(tokens)
        for start in range(0, len(asked), _TOKENS_AT_ONCE):
            some = asked[start : start + _TOKENS_AT_ONCE]
            rows: list[list[Any]] = [[scope.scratch] * len(some), [number] * len(some), some]
            await self._clickhouse.insert(
                "reconciliation_asked", ("reconciliation_id", "round", "identity_token"), rows
            )
        found = await self._clickhouse.execute(reconciliation_statement("edges"), {**scope.values, "round": number})
        known: dict[str, str] = {}  # each identifier once, however many it was seen with
        same = known.setdefault
        found.reverse()
        edges, new = [], set()
        while found:  # what is read goes as it is taken over
            first, second, place = found.pop()
            first, second = same(first, first), same(second, second)
            edges.append(Edge(first, second, (int(place[0]), int(place[1]))))
            if scope.begin_micros <= place[2] < scope.end_micros:
                new |= {first, second}
        return Edges(edges, new)

    async def shared_devices(
        self, scope: Scope, tokens: Collection[str], customers: int, days: int, accepted_before: int = _WHENEVER
    ) -> dict[str, OrderKey]:
        """Returns those of some identifiers that too many customers were seen with, and since when.

        Args:
            scope: The run.
            tokens: The identifiers.
            customers: More than so many are too many,
            days: In so many days.
            accepted_before: As far as that was known at this moment, in microseconds.
        """
        found: dict[str, OrderKey] = {}
        asked = list(tokens)
        for start in range(0, len(asked), _DEVICES_AT_ONCE):
            some = asked[start : start + _DEVICES_AT_ONCE]
            values = {"tokens": tuple(some), "token_list": some, "customers": customers, "reach": days * 86_400_000_000}
            values["accepted_before"] = accepted_before
            rows = await self._clickhouse.execute(
                reconciliation_statement("shared_devices"), {**scope.values, **values}
            )
            found |= {token: (int(place[0]), int(place[1])) for token, place in rows}
        return found

    async def write_people(
        self, scope: Scope, people: Mapping[str, str], first_of: Mapping[str, str], changed: Collection[str] = ()
    ) -> None:
        """Keeps who is whom.

        Args:
            scope: The run.
            people: Identity token -> the token that stands for its person.
            first_of: Such a token -> the one that the person is called after; of others it is that itself.
            changed: Such tokens of people who are others than they were before the run's days.
        """
        tokens = list(people)
        for start in range(0, len(tokens), _TOKENS_AT_ONCE):
            some = tokens[start : start + _TOKENS_AT_ONCE]
            persons = [event_hash(people[token]) for token in some]
            columns = ("reconciliation_id", "identity_token", "person", "is_changed", "person_id", "is_first")
            are_changed = [people[token] in changed for token in some]
            ids = [person_id(scope.workspace, token) for token in some]
            are_first = [first_of.get(people[token], people[token]) == token for token in some]
            rows: list[list[Any]] = [[scope.scratch] * len(some), some, persons, are_changed, ids, are_first]
            await self._clickhouse.insert("reconciliation_people", columns, rows)

    async def members(self, scope: Scope, tokens: Collection[str]) -> dict[str, set[str]]:
        """Returns all identifiers of the people whom some belong to, by these; of whom nothing was read is left out.

        Args:
            scope: The run; `write_people` comes first.
            tokens: Identity tokens.
        """
        found: dict[str, set[str]] = defaultdict(set)
        asked = list(tokens)
        for start in range(0, len(asked), _MEMBERS_AT_ONCE):
            values = {**scope.values, "tokens": tuple(asked[start : start + _MEMBERS_AT_ONCE])}
            for token, own in await self._clickhouse.execute(reconciliation_statement("members"), values):
                found[token].add(own)
        return dict(found)

    async def stage_conversions(
        self, scope: Scope, defaults: DefaultValues, bases: DeclaredBases, severed_key: bytes
    ) -> None:
        """Reads the conversions of the run, and all of their leads and subscriptions.

        Args:
            scope: The run; `write_people` and `ReconciliationFamilies.name` come first.
            defaults: What conversions without a value are worth, of those that are not published yet.
            bases: What of their values is credited, of those that are not published yet.
            severed_key: What the digests of severed orders are made under.
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
            "stored_begin": scope.stored_begin_micros,
            "stored_end": scope.end_micros + MARGIN_MICROS,
            "severed_key": severed_key.hex(),
        }
        await self._clickhouse.execute(reconciliation_statement("stage_conversions"), values)

    async def stage_entries(
        self,
        scope: Scope,
        history_micros: int,
        late_micros: int,
        oldest_micros: int,
        assumed: Assumed,
        ending_names: Collection[str],
    ) -> None:
        """Reads the journeys that the conversions of the run look at.

        Args:
            scope: The run; `stage_conversions` and `ReconciliationFamilies.settle` come first.
            history_micros: How far before a conversion a touch may matter.
            late_micros: How long after it.
            oldest_micros: The earliest conversion of the run, or whose credit one of these has.
            assumed: What people are assumed to consent to.
            ending_names: Names of conversions that end a path.
        """
        measured = Purpose.ANALYTICS_STORAGE
        plain = await self._clickhouse.execute(f"SELECT {PLAIN_DIRECT}")  # a constant of ours
        values = {
            **scope.values,
            "oldest": oldest_micros,
            "history": history_micros,
            "end": scope.end_micros + late_micros,
            "plain_direct": plain[0][0],
            "not_one_click": _NOT_ONE_CLICK,
            "sighting": SIGHTING,
            "assumes": bool(assumed.defaults),
            "granting": [region for region, own in assumed.defaults.items() if measured in own] or [""],
            "default_region": assumed.region,
            "ends_paths": bool(ending_names),
            "ending_names": sorted(ending_names) or [""],
            "margin": MARGIN_MICROS,
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
