"""Differences between stream and batch -> their cause, and the repair: recorded events brought to attribution again.

The one rule: a repair goes the way every event goes. Nothing is written that the publish path did not decide, so a
wrong recomputation can make no wrong revision, only a superfluous look. What was published and has lost its row is
written again as it was; published again, though nothing changes, is only what a row tells otherwise than was published.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import structlog

from tributary_attribution.arrivals import Replayed
from tributary_attribution.attributor import Attributor
from tributary_attribution.last_revisions import LastRow
from tributary_attribution.linking import Seen
from tributary_attribution.stored_revisions import StoredRevisions
from tributary_domain.event_order import event_hash
from tributary_domain.findings import COUNTED, NOT_COUNTED, Finding, FindingCause, FindingKind, cause_of, finding
from tributary_domain.ties import Tie, operator_edge
from tributary_runtime.errors import WorkerDecision
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.identity_words import StoredWord
from tributary_storage.clickhouse.reconciliation_comparison import Difference, MiscountedConversion, StalePerson
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.codec.event_references import event_reference, hash_of_reference
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.people import People
from tributary_storage.redis.tie_layout import Said

log = structlog.get_logger(__name__)

_EVENTS_AT_ONCE: Final = 1000
_PEOPLE_AT_ONCE: Final = 50
_KINDS: Final = {FindingCause.MISSING_CONVERSION: FindingKind.MISSING, FindingCause.LOST_ROW: FindingKind.MISSING}

NOTHING: Final[Mapping[str, int]] = {}

_SOMEBODY_ELSES: Final = "It is stored under a person id that no identifier of its person has."
_MISCOUNTED: Final = "Whether it counts is not what the rule of its name says, beside the others of its person."
_LATE: Final = FindingKind.LATE
_DIFFERENT: Final = FindingKind.DIFFERENT


class Recorded(Protocol):
    """Where recorded events are."""

    async def events_of(
        self, scope: Scope, tokens: Collection[str], conversions: Collection[str]
    ) -> Sequence[tuple[str, bytes, int, str]]:
        """Returns (letter, admitted event, accept time, traceparent) of people and conversions, oldest first.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...

    async def recorded_hashes(self, scope: Scope, hashes: Collection[int]) -> Mapping[int, int]:
        """Returns when those of some events were accepted that have a row, by the hashes of their ids.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class Words(Protocol):
    """What operators said of who is who."""

    async def read(self, workspace: str) -> Sequence[StoredWord]:
        """Returns all of a workspace, oldest first.

        Raises:
            StorageUnavailableError: They cannot be read.
        """
        ...


class Repair:
    """Names causes and repairs. May run twice, and beside the attribution that runs.

    Args:
        people: Finds journeys.
        conversions: Knows what is published.
        attributor: The way every event goes.
        recorded: The events.
        words: What operators said.
        revisions: Holds what is published against its rows.
    """

    def __init__(
        self,
        people: People,
        conversions: Conversions,
        attributor: Attributor,
        recorded: Recorded,
        words: Words,
        revisions: StoredRevisions,
    ) -> None:
        self._people = people
        self._conversions = conversions
        self._attributor = attributor
        self._recorded = recorded
        self._words = words
        self._revisions = revisions

    async def explain(
        self, scope: Scope, differences: Sequence[Difference], now_micros: int, published_until_micros: int
    ) -> list[Finding]:
        """Returns a finding per difference, with its likely cause.

        Args:
            scope: The run.
            differences: What differs.
            now_micros: When it was found.
            published_until_micros: The row of what was published later may be on its way.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        if not differences:
            return []
        odd = {hash_of_reference(touch) for one in differences for touch in one.odd_touches if touch}
        absent = {one.conversion_id: _absent(one) for one in differences}
        accepted = await self._recorded.recorded_hashes(scope, odd.union(*absent.values()))
        lost = odd - accepted.keys() - {0}  # that is a damaged reference, and no event's
        workspace = scope.workspace
        keys = [conversion_key(workspace, one.conversion_id) for one in differences]
        stored = await self._conversions.observe({key: {} for key in keys}, 0)
        places = [(workspace, one.tokens[0]) if one.tokens else None for one in differences]
        journeys = await self._people.find_each(places)
        found = []
        for one, key, journey in zip(differences, keys, journeys, strict=True):
            held = set() if journey is None else {event_reference(entry.event_hash) for entry in journey.entries}
            published = stored[key]
            is_lost = one.stored_revision < published.revision <= published_until_micros and not published.pending
            cause = cause_of(
                is_stored=one.stored_facts is not None and not is_lost,
                is_published=bool(published.published),
                has_other_value=_values_of(one, expected=True) != _values_of(one, expected=False),
                has_other_facts=one.facts != one.stored_facts,
                missing_touches=one.missing_touches,
                held_touches=held,
                has_lost_touches=not lost.isdisjoint(map(hash_of_reference, one.odd_touches)),
            )
            found.append(
                finding(
                    scope.reconciliation_id,
                    _LATE if _is_late(one, absent[one.conversion_id], accepted) else _KINDS.get(cause, _DIFFERENT),
                    _MESSAGES[cause],
                    cause=cause,
                    conversion_id=one.conversion_id,
                    expected=_text(one, expected=True),
                    actual=_text(one, expected=False),
                    find_micros=now_micros,
                )
            )
        return found

    def explain_stale(self, scope: Scope, stale: Sequence[StalePerson], now_micros: int) -> list[Finding]:
        """Returns a finding per conversion of a stale person."""
        return [
            finding(
                scope.reconciliation_id,
                FindingKind.MERGED,
                _MESSAGES[FindingCause.STALE_PERSON] if one.is_theirs else _SOMEBODY_ELSES,
                cause=FindingCause.STALE_PERSON,
                conversion_id=one.conversion_id,
                expected=one.usual_person,
                actual=one.stored_person,
                find_micros=now_micros,
            )
            for one in stale
        ]

    def explain_miscounted(
        self, scope: Scope, miscounted: Sequence[MiscountedConversion], now_micros: int
    ) -> list[Finding]:
        """Returns a finding per conversion that counts otherwise than the rule of its name says."""
        return [
            finding(
                scope.reconciliation_id,
                FindingKind.DIFFERENT,
                _MISCOUNTED,
                cause=FindingCause.WRONG_VALUE,
                conversion_id=one.conversion_id,
                expected=NOT_COUNTED if one.is_repeat else COUNTED,
                actual=f"not counted: {one.stored_reason}" if one.stored_reason else COUNTED,
                find_micros=now_micros,
            )
            for one in miscounted
        ]

    async def repair(
        self,
        scope: Scope,
        workspace: Workspace,
        people: Sequence[Collection[str]],
        conversions: Sequence[str],
        unknown: Mapping[str, int] = NOTHING,
    ) -> dict[str, int]:
        """Brings the recorded events of people to attribution again; returns conversion id -> its new revision.

        Args:
            scope: The run.
            workspace: Whose.
            people: Per conversion all identity tokens of its person; none if it names nobody.
            conversions: Their ids.
            unknown: Those whose newest revision neither the ledger nor the state store has, each with its number: it
                is written as their row has it. Where their events tell otherwise, by the settings of today, they are
                published anew above what the ledger has; where it has nothing, they are left.

        Returns:
            Those that are repaired. Left out are conversions that moved again and again while they were computed, or of
            whose people an event or a source can never be read: they differ still, and the others are repaired.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        # First of all: what has a higher number takes what is written under it when both are merged.
        await self._revisions.reveal(workspace.id, conversions)
        revisions = await self._revisions.restore(workspace.id, conversions)
        altered = await self._revisions.altered(workspace.id, conversions)
        rows = await self._revisions.last_rows(workspace.id, unknown)
        words = await self._words.read(workspace.id)
        for start in range(0, len(conversions), _PEOPLE_AT_ONCE):
            some = list(zip(conversions, people, strict=True))[start : start + _PEOPLE_AT_ONCE]
            try:
                revisions |= await self._replay(scope, workspace, some, words, altered, rows)
            except WorkerDecision:
                for one in some:
                    try:
                        revisions |= await self._replay(scope, workspace, [one], words, altered, rows)
                    except WorkerDecision as left:
                        log.warning("repair_left", workspace=workspace.id, conversion_id=one[0], why=str(left))
        return revisions | (await self._revisions.restore(workspace.id, rows) if rows else {})

    async def _replay(
        self,
        scope: Scope,
        workspace: Workspace,
        some: Sequence[tuple[str, Collection[str]]],
        words: Sequence[StoredWord],
        altered: Collection[str],
        rows: Mapping[str, LastRow],
    ) -> dict[str, int]:
        """Brings the recorded events of some conversions and their people to attribution again."""
        revisions: dict[str, int] = {}
        ids = [conversion_id for conversion_id, _ in some]
        tokens = {token for _, own in some for token in own}
        events = [Replayed(*event) for event in await self._recorded.events_of(scope, tokens, ids)]
        for at in range(0, len(events), _EVENTS_AT_ONCE):
            is_last = at + _EVENTS_AT_ONCE >= len(events)
            chunk = events[at : at + _EVENTS_AT_ONCE]
            said = said_of(workspace.id, words, tokens) if at == 0 else ()
            revisions |= await self._attributor.replay(workspace, chunk, ids if is_last else (), said, altered, rows)
        return revisions


def said_of(workspace: str, words: Sequence[StoredWord], tokens: Collection[str] | None = None) -> list[Seen]:
    """Returns what operators said, as they said it: what was said at once, at once.

    Args:
        workspace: Whose.
        words: All of them, oldest first.
        tokens: Only what was said of these identifiers; None: all.
    """
    at_once: dict[Said, list[Tie]] = {}
    for name, time, undone, first, second, word in words:
        if tokens is None or first in tokens or second in tokens:
            said = Said(name, time, event_hash(name), time, undone_change_id=undone)
            at_once.setdefault(said, []).append(operator_edge(first, second, word, time, said.event_hash))
    return [Seen(workspace, said, edges) for said, edges in at_once.items()]


def _absent(one: Difference) -> set[int]:
    """Returns the hashes of the touches and observations that a stored conversion should know of and does not."""
    if one.stored_facts is None:
        return set()
    unseen = set(one.facts.observations) - set(one.stored_facts.observations)
    return {hash_of_reference(touch) for touch in one.missing_touches} | set(map(event_hash, unseen))


def _is_late(one: Difference, absent: Collection[int], accepted: Mapping[int, int]) -> bool:
    """Tells whether all that a conversion does not know of came after it was published last.

    A revision's number is that time, or a little later where several were published at once.
    """
    return bool(absent) and all(accepted.get(event, 0) > one.stored_revision for event in absent)


def _values_of(one: Difference, *, expected: bool) -> tuple[str, int, int, bool, bool] | None:
    facts = one.facts if expected else one.stored_facts
    if facts is None:
        return None
    return facts.currency, facts.value_micros, facts.original_micros, facts.counted, facts.retracted


def _text(one: Difference, *, expected: bool) -> str:
    """Says what is expected, or what is there: value and facts where they differ, else the credit of each model."""
    facts = one.facts if expected else one.stored_facts
    if facts is None:
        return "nothing"
    if one.facts != one.stored_facts:
        counted = "counted" if facts.counted else "not counted"
        return f"{facts.value_micros} micros {facts.currency}, {counted}, {len(facts.observations)} observations"
    shares: Mapping[str, str] = {
        model: " ".join(f"{share.touch or 'nobody'}={share.credit_micros}" for share in sides[0 if expected else 1])
        for model, sides in sorted(one.credits.items())
    }
    return "; ".join(f"{model}: {text or 'nothing'}" for model, text in shares.items())[:4096]


_MESSAGES: Final = {
    FindingCause.LOST_ROW: "Its newest revision was published, and its row is not in ClickHouse.",
    FindingCause.MISSING_CONVERSION: "It was recorded and never credited.",
    FindingCause.WRONG_VALUE: "Its value, currency, or whether it counts is not what its events say.",
    FindingCause.WRONG_FACTS: "Its time, name, order or observations are not what its events say.",
    FindingCause.DELETED_JOURNEY: "Touches that should share it are not in the journey of its person.",
    FindingCause.STALE_PERSON: "Its person is stored under another id than their other conversions.",
    FindingCause.WRONG_CREDIT: "The journey is whole, and its credit is another all the same.",
    FindingCause.LOST_EVENT: "Touches share it whose events have no row in ClickHouse any more.",
}
