"""Raw events credited again in SQL and compared with what the streaming stored, one slice of people at a time.

The one rule: only differences leave ClickHouse. What is so new that the streaming may still be at it is left to the
next run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tributary_domain.settings import MODELS, SECOND, AttributionSettings, ImpressionPolicy, TouchGrain
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.reconciliation_staging import MARGIN_MICROS, PLAIN_DIRECT, Scope
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement

LIMIT: Final = 10_000
"""The most differences of one slice that are named at once; after a repair the next run names the rest."""
_IDS_AT_ONCE: Final = 1000


class Share(NamedTuple):
    """What one touch has from a conversion under one model."""

    touch: str
    """Reference of its event; empty: nobody earned it."""
    source: int
    """Digest of what is shown of its source."""
    credit_micros: int
    value_micros: int


class Facts(NamedTuple):
    """What is compared of a conversion beside its credit."""

    name: str
    store: str
    order_id: str
    conversion_micros: int
    currency: str
    value_micros: int
    original_micros: int
    counted: bool
    retracted: bool
    observations: list[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A conversion that is stored otherwise than the raw events say."""

    conversion_id: str
    conversion_micros: int
    tokens: tuple[str, ...]
    """Identity tokens of the observation that says whose it is."""
    stored_revision: int
    """0: it is not stored."""
    facts: Facts
    stored_facts: Facts | None
    """None: it is not stored."""
    credits: dict[str, tuple[tuple[Share, ...], tuple[Share, ...]]]
    """Model -> shares as they should be, and as they are; of those that differ."""
    missing_touches: frozenset[str]
    """References of touches that should share it and do not, under any model."""
    odd_touches: frozenset[str]
    """References of touches that share it and should not."""


class StagedConversion(NamedTuple):
    """A conversion as a run read it."""

    conversion_id: str
    tokens: tuple[str, ...]
    """Identity tokens of the observation that says whose it is."""


class StalePerson(NamedTuple):
    """A conversion under another person id than its person has, or than the others of its person are stored under."""

    conversion_id: str
    stored_person: str
    usual_person: str
    is_theirs: bool
    """Whether an identifier of its person has that id: the person was called so once."""


class MiscountedConversion(NamedTuple):
    """A conversion that counts, or does not, otherwise than the rule of its name says."""

    conversion_id: str
    is_repeat: bool
    """Whether another one counts in its place."""
    stored_reason: str
    """Why it does not count, as it is stored; empty: it does."""


class ExtraConversion(NamedTuple):
    """A conversion that no recorded event observed."""

    conversion_id: str
    name: str
    order_id: str
    conversion_micros: int
    currency: str
    value_micros: int
    revision: int


class Standing(NamedTuple):
    """What a run can say of a conversion that an earlier run found something about."""

    is_compared: bool
    """It was compared: had it differed, the run would have said so."""
    is_looked_for: bool
    """It is stored, in the run's days: had nobody observed it, the run would have said so."""
    is_stored: bool
    is_observed: bool
    """Events that count observe it."""
    amount: str
    """What it is worth, as the finding of an outlier says it; empty where it was not compared, or does not count."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What is old enough to be compared."""

    accepted_until_micros: int
    """Conversions of people with events that were accepted later are left out."""
    staged_micros: int
    """When the events were read: what was published since may know more."""


class ComparedSettings(NamedTuple):
    """What some conversions are compared under."""

    settings: AttributionSettings
    own_versions: tuple[str, ...]
    """Those that are stored as credited under one of these are among these conversions: names of these settings, of
    today and of before the meaning of one changed. Never empty: a name of nothing where there are none."""
    begin_micros: int
    """And those of this time and later, but for those that are stored as credited under one of `versions`."""
    end_micros: int
    """As long as they are of before this time."""
    versions: tuple[str, ...]
    """What others are compared under, or these."""

    @property
    def values(self) -> dict[str, Any]:
        """Returns what a statement is told."""
        return {
            **_of_settings(self.settings),
            "own_versions": self.own_versions,
            "begin": self.begin_micros,
            "end": self.end_micros,
            "versions": self.versions,
        }


class ReconciliationComparison:
    """Compares slices of what `ReconciliationStaging` read. Raises `StorageUnavailableError` throughout."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def pinned_versions(self, scope: Scope) -> list[str]:
        """Returns the versions of the settings that the run's conversions are credited under, as they are stored."""
        rows = await self._clickhouse.execute(reconciliation_statement("pinned_versions"), self._days(scope))
        return [row[0] for row in rows if row[0]]

    async def oldest(self, scope: Scope) -> int:
        """Returns when the earliest conversion was that the run compares; its beginning if there is none."""
        [(oldest,)] = await self._clickhouse.execute(reconciliation_statement("oldest_compared"), scope.values)
        return scope.begin_micros if oldest is None else int(oldest)

    async def staged_slices(self, scope: Scope) -> set[int]:
        """Returns the slices in which the run has anything to compare."""
        rows = await self._clickhouse.execute(reconciliation_statement("staged_slices"), scope.values)
        return {row[0] for row in rows}

    async def staged(self, scope: Scope, part: int, conversion_ids: Collection[str]) -> list[StagedConversion]:
        """Returns those of some conversions that a run has read in one slice."""
        found: list[StagedConversion] = []
        ids = list(conversion_ids)
        for start in range(0, len(ids), _IDS_AT_ONCE):
            asked = {**scope.values, "slice": part, "conversions": tuple(ids[start : start + _IDS_AT_ONCE])}
            rows = await self._clickhouse.execute(reconciliation_statement("staged"), asked)
            found += [StagedConversion(name, tuple(tokens)) for name, tokens in rows]
        return found

    async def differences(
        self, scope: Scope, part: int, settled: Settled, compared: ComparedSettings
    ) -> list[Difference]:
        """Returns the conversions of one slice that differ, at most `LIMIT`.

        Args:
            scope: The run.
            part: The slice, from 0.
            settled: What may be compared.
            compared: Which, and what they are credited under; one that has the credit of another is where that is.
        """
        values = self._values(scope, part, settled) | compared.values
        plain = await self._clickhouse.execute(f"SELECT {PLAIN_DIRECT}")  # a constant of ours
        values["plain_direct"] = plain[0][0]
        return [_difference(row) for row in await self._clickhouse.execute(reconciliation_statement("compare"), values)]

    async def frozen_differences(self, scope: Scope, part: int, settled: Settled) -> list[Difference]:
        """Returns those of them whose credit stands whatever the settings are, for somebody was erased."""
        values = self._values(scope, part, settled) | {"models": [model.value for model in MODELS]}
        rows = await self._clickhouse.execute(reconciliation_statement("compare_frozen"), values)
        return [_difference(row) for row in rows]

    async def stale_people(self, scope: Scope, part: int, settled: Settled) -> list[StalePerson]:
        """Returns conversions of one slice that are stored under another person id than they should be."""
        rows = await self._clickhouse.execute(
            reconciliation_statement("stale_people"), self._values(scope, part, settled)
        )
        return [StalePerson(row[0], row[1], row[2], bool(row[3])) for row in rows]

    async def miscounted(
        self, scope: Scope, part: int, settled: Settled, compared: ComparedSettings, rules: Mapping[str, str]
    ) -> list[MiscountedConversion]:
        """Returns the conversions of one slice that count otherwise than they should, at most `LIMIT`.

        Args:
            scope: The run.
            part: The slice, from 0.
            settled: What may be compared.
            compared: Which, and what they are credited under: that says when a session ends.
            rules: By name, `Counting` of those that do not count every one; at least one.
        """
        values = self._values(scope, part, settled) | compared.values
        values |= {"names": list(rules), "rules": list(rules.values())}
        values["run_end"] = scope.end_micros
        rows = await self._clickhouse.execute(reconciliation_statement("miscounted"), values)
        return [MiscountedConversion(row[0], bool(row[1]), row[2]) for row in rows]

    async def unobserved(self, scope: Scope, settled: Settled) -> list[ExtraConversion]:
        """Returns the stored conversions of the run's days that no recorded event observed."""
        rows = await self._clickhouse.execute(reconciliation_statement("extra"), self._values(scope, 0, settled))
        return [ExtraConversion(*row) for row in rows]

    async def standing(self, scope: Scope, settled: Settled, conversion_ids: Collection[str]) -> dict[str, Standing]:
        """Returns what the run can say of each of some conversions, by their ids."""
        values = self._values(scope, 0, settled)
        values |= {"conversions": tuple(conversion_ids) or ("",), "conversion_list": list(conversion_ids)}
        rows = await self._clickhouse.execute(reconciliation_statement("standing"), values) if conversion_ids else ()
        return {row[0]: Standing(*row[1:]) for row in rows}

    async def looked_at(
        self, scope: Scope, create_micros: int, accepted_until_micros: int, *, notes: bool
    ) -> dict[str, int]:
        """Returns counts of what the run looked at; notes of which conversions its days do not tell that.

        Args:
            scope: The run, all slices of which are compared.
            create_micros: When it was asked for.
            accepted_until_micros: As of `Settled`.
            notes: Whether it vouches for what it compared.
        """
        values = {**scope.values, "create": create_micros, "settled": accepted_until_micros}
        [(left, noted)] = await self._clickhouse.execute(reconciliation_statement("count_looked_at"), values)
        if not notes:
            return {"too_recent": left}
        await self._clickhouse.execute(reconciliation_statement("note_looked_at"), values)
        return {"too_recent": left, "noted": noted}

    def _values(self, scope: Scope, part: int, settled: Settled) -> dict[str, Any]:
        return {
            **self._days(scope),
            "slice": part,
            "settled": settled.accepted_until_micros,
            "staged": settled.staged_micros,
            "limit": LIMIT,
        }

    def _days(self, scope: Scope) -> dict[str, Any]:
        return {
            **scope.values,
            "stored_begin": scope.stored_begin_micros,
            "stored_end": scope.end_micros + MARGIN_MICROS,
        }


def _of_settings(settings: AttributionSettings) -> dict[str, Any]:
    """Returns settings as the statement wants them."""
    lookbacks = {model: lookback for lookback, models in settings.windows for model in models}
    first, middle, last = settings.position_weights
    return {
        "models": [model.value for model in MODELS],
        "lookbacks": [lookbacks[index] for index in range(len(MODELS))],
        "history": settings.history_micros,
        "late": settings.late_touch_seconds * SECOND,
        "timeout": settings.session_timeout_seconds * SECOND,
        "folds": settings.touch_grain is TouchGrain.INTERACTION,
        "ignores_seen": settings.impression_policy is ImpressionPolicy.IGNORE,
        "only_without_click": settings.impression_policy is ImpressionPolicy.ONLY_WITHOUT_CLICK,
        "view_window": settings.view_window_seconds * SECOND,
        "impression_cap": settings.impression_cap,
        "collapse": settings.collapse_repeats,
        "touch_cap": settings.touch_cap,
        "touch_cap_first": settings.touch_cap_first,
        "event_cap": settings.event_cap,
        "half_life": settings.half_life_hours * 3600 * SECOND,
        "first_weight": first,
        "middle_weight": middle,
        "last_weight": last,
        "direct_channels": tuple(sorted(settings.direct_channels)) or ("",),
        "passed_over": settings.passed_over,
        "path_reset_names": tuple(sorted(settings.path_reset_names)) or ("",),
    }


def _difference(row: Sequence[Any]) -> Difference:
    conversion_id, time, tokens, stored_revision, facts, stored_facts, credits, touches, stored_touches = row
    stored = Facts(*stored_facts) if stored_revision else None
    return Difference(
        conversion_id=conversion_id,
        conversion_micros=time,
        tokens=tuple(tokens),
        stored_revision=stored_revision,
        facts=Facts(*facts),
        stored_facts=stored,
        credits={
            model: (tuple(Share(*share) for share in shares), tuple(Share(*share) for share in stored_shares))
            for model, shares, stored_shares in credits
        },
        missing_touches=frozenset(touches) - frozenset(stored_touches) - {""},
        odd_touches=frozenset(stored_touches) - frozenset(touches) - {""},
    )
