"""What was known of a conversion at a moment: of its parts, its person's journey, consent and rivals.

The one rule: only what had been accepted by then is known. What somebody decided later about consent held nothing back
then, and what was taken back later counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from tributary.attribution.v1.conversion_pb2 import ConversionState, InheritanceReason, NotCountedReason
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import Affected
from tributary_attribution.counting import is_retracted, rivals
from tributary_attribution.known import Known
from tributary_attribution.path_ends import path_ends
from tributary_attribution.people_then import entries_then, is_of_person, person_then
from tributary_attribution.repair import Words
from tributary_domain.consent import Decision
from tributary_domain.conversion_parts import AdjustmentKind
from tributary_domain.event_order import event_hash
from tributary_domain.lead_stages import StageStanding
from tributary_runtime.identity_limits import identity_limits
from tributary_storage.clickhouse.past_events import PastEvent
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.journey_layout import Journey, decided_otherwise

_LEAD_ROOT: Final = InheritanceReason.INHERITANCE_REASON_LEAD_ROOT
_SAME_ORDER: Final = InheritanceReason.INHERITANCE_REASON_SAME_ORDER


class Past(Protocol):
    """What ClickHouse knows of before. Every method raises `StorageUnavailableError` if it does not answer."""

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
        """Returns the newest revision by conversion id; those that were never published are left out."""
        ...

    async def as_of(self, workspace: str, conversion_id: str, moment_micros: int) -> ConversionRevised | None:
        """Returns the revision that was the newest at a moment; None if there was none."""
        ...


class PastEvents(Protocol):
    """What ClickHouse knows of events. Every method raises `StorageUnavailableError` if it does not answer."""

    async def of_tokens(self, workspace: str, tokens: Collection[str], moment_micros: int) -> Mapping[int, PastEvent]:
        """Returns the events that carry any of the identity tokens and were accepted by a moment, by their hash."""
        ...

    async def decisions(self, workspace: str, tokens: Collection[str]) -> Sequence[tuple[int, Decision]]:
        """Returns what events decided under any of the identity tokens, whenever, each with the event's hash."""
        ...


class KnowledgeThen:
    """Reads what was known.

    Args:
        history: Knows the revisions of conversions.
        events: Knows when what was accepted.
        words: Knows what operators said.
        conversions: Keeps the parts of conversions.
    """

    def __init__(self, history: Past, events: PastEvents, words: Words, conversions: Conversions) -> None:
        self._history = history
        self._events = events
        self._words = words
        self._conversions = conversions

    async def origins(self, workspace: str, conversion_id: str, moment_micros: int) -> list[str]:
        """Returns whose credit a conversion had at a moment, and whose that had; none: that of its own path.

        Args:
            workspace: Whose it is.
            conversion_id: Its id.
            moment_micros: The moment.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        found: list[str] = []
        revised = await self._history.as_of(workspace, conversion_id, moment_micros)
        while revised is not None and revised.state.HasField("inherited_from"):
            origin = revised.state.inherited_from.conversion_id
            if origin in (conversion_id, *found):
                break
            found.append(origin)
            revised = await self._history.as_of(workspace, origin, moment_micros)
        return found

    async def at(
        self, known: Known, moment_micros: int, origins: Mapping[str, Known]
    ) -> tuple[Known, frozenset[int]] | None:
        """Returns what was known at a moment, and which events of the journey that its credit is from were not.

        Args:
            known: What is known now.
            moment_micros: The moment.
            origins: What is known now of those of `origins`, by id; whoever of them is known no more is left out.

        Returns:
            None: there was no such conversion.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        workspace = known.workspace
        revised = await self._history.as_of(workspace.id, known.conversion_id, moment_micros)
        if revised is None:
            return None
        parts = _parts(known, revised.state, moment_micros)
        if not any(part.is_observation for part in parts):
            return None
        stored = replace(known.stored, revision=revised.revision, published=_published(revised))
        standing, superseded_by = _standing(revised.state, parts), revised.state.superseded_by
        then = replace(known, stored=stored, parts=parts, standing=standing, superseded_by=superseded_by)
        plainly = [part for part in known.told_plainly if part.accept_time_micros <= moment_micros]
        valued = [part for part in known.valued_plainly if part.accept_time_micros <= moment_micros]
        then = _in_order(replace(then, told_plainly=plainly, valued_plainly=valued), revised.state)
        unknown = frozenset[int]()
        if known.journey is not None:
            events = await self._events.of_tokens(workspace.id, list(known.journey.tokens), moment_micros)
            words = [one for one in await self._words.read(workspace.id) if one.time_micros <= moment_micros]
            person = person_then(parts, events, words, identity_limits(workspace))
            journey = await self._journey(known, known.journey, events, person)
            unknown = frozenset(entry.event_hash for entry in known.journey.entries).difference(
                entry.event_hash for entry in journey.entries
            )
            first = known.first
            if first is not None and not is_of_person(events.get(first.event_hash), person):
                first = None
            then = replace(then, journey=replace(journey, person_id=revised.state.person_id), first=first)
        then = await self._as_taken_back(then, moment_micros)
        inherited = revised.state.inherited_from
        origin = origins.get(inherited.conversion_id)
        if origin is None:
            return replace(then, origin=None), unknown
        found = await self.at(origin, moment_micros, origins)
        is_lead, is_one_order = inherited.reason == _LEAD_ROOT, inherited.reason == _SAME_ORDER
        then = replace(then, is_lead=is_lead, is_one_order=is_one_order)
        return None if found is None else (replace(then, origin=found[0]), found[1])

    async def _journey(
        self, known: Known, journey: Journey, events: Mapping[int, PastEvent], person: frozenset[str]
    ) -> Journey:
        """Returns what was known of a journey, under what its person had decided by then."""
        if journey.withheld or journey.decisions:
            said = await self._events.decisions(known.workspace.id, sorted(person))
            heard = (decision for hashed, decision in said if (by := events.get(hashed)) and not by.is_quarantined)
            journey = decided_otherwise(journey, heard)
        return replace(journey, entries=tuple(entries_then(journey.entries, events, person)))

    async def _as_taken_back(self, then: Known, moment_micros: int) -> Known:
        """Returns what was known, with which of the other conversions that matter to it had been taken back.

        Of a lead, or an order that was told twice, the others may have taken it back: what was published of it says so.
        """
        others = rivals(then.workspace, then.journey, then.parts, then.conversion_id)
        others += [then.first.conversion_id] if then.first is not None else []
        ends = path_ends(then.journey, then.conversion_id, then.parts, then.ending_names)
        if not others and not ends:
            return then
        keys = {conversion_key(then.workspace.id, other): other for other in (*others, *ends)}
        now, before = set[str](), set[str]()
        for key, stored in (await self._conversions.observe({key: {} for key in keys}, 0)).items():
            rival = Affected(then.workspace, keys[key])
            rival.take(stored)
            revised = None
            if rival.is_related:
                revised = await self._history.as_of(then.workspace.id, keys[key], moment_micros)
            if revised is not None or is_retracted(rival.parts):
                now.add(keys[key])
            parts = [part for part in rival.parts if part.accept_time_micros <= moment_micros]
            if is_retracted(parts) or (revised is not None and await self._was_taken_back(revised, moment_micros)):
                before.add(keys[key])
        told_as = {name: counted for name, counted in then.told_as.items() if counted or name not in now}
        told_as |= dict.fromkeys(before.intersection(ends), "")
        return replace(then, retracted=then.retracted - now | before.intersection(others), told_as=told_as)

    async def _was_taken_back(self, revised: ConversionRevised, moment_micros: int) -> bool:
        """Tells whether a conversion was taken back by what was published of it, or of what counts in its place."""
        state = revised.state
        if not state.retracted and state.HasField("merged_into"):
            counted_id = state.merged_into.conversion_id
            counted = await self._history.as_of(revised.workspace, counted_id, moment_micros)
            return counted is not None and counted.state.retracted
        return state.retracted


def _parts(known: Known, state: ConversionState, moment_micros: int) -> list[ConversionPart]:
    """Returns what was known of it, with what changed its order by as much as was its part then."""
    parts = [part for part in known.parts if part.accept_time_micros <= moment_micros]
    if not known.changes:
        return parts
    whole = {part.event_hash: part for part in known.changes}
    today = {part.event_hash: part for part in parts if part.event_hash in whole}
    then = [part for part in parts if part.event_hash not in whole]
    is_told = state.HasField("original_value") and not state.value_basis
    micros = state.original_value.amount_micros
    for applied in state.adjustments:
        micros += applied.change_micros
        hashed = event_hash(applied.event_id)
        if hashed in whole:
            part = whole[hashed].of_amount(_amount(whole[hashed], applied.change_micros, micros))
            then.append(part if is_told else today.get(hashed, part))
    return sorted(then, key=lambda part: (part.event_time_micros, part.event_hash))


def _amount(part: ConversionPart, change_micros: int, left_micros: int) -> int | None:
    """Returns the amount of an adjustment that changed a value by so much, to so much; None: what it says itself."""
    adjustment = part.adjustment()
    if adjustment.kind is AdjustmentKind.RETRACTION or adjustment.amount_micros is None:
        return None
    if adjustment.kind is AdjustmentKind.RESTATEMENT:
        return left_micros
    return abs(change_micros)


def _standing(state: ConversionState, parts: Sequence[ConversionPart]) -> StageStanding | None:
    """Returns what a conversion counted for among the stages of its lead: lost where nothing took it back itself."""
    if state.not_counted_reason == NotCountedReason.NOT_COUNTED_REASON_SUPERSEDED_STAGE:
        return StageStanding.SUPERSEDED
    return StageStanding.RETRACTED if state.retracted and not is_retracted(parts) else None


def _in_order(known: Known, state: ConversionState) -> Known:
    """Returns what is known of it, with which conversions were the same order, told in another way."""
    into = state.merged_into if state.HasField("merged_into") else None
    instead = state.merged_from if state.HasField("merged_from") else None
    is_severed = state.not_counted_reason == NotCountedReason.NOT_COUNTED_REASON_SEVERED_ORDER
    return replace(known, merged_into=into, merged_from=instead, is_severed=is_severed)


def _published(revised: ConversionRevised) -> bytes:
    kept = ConversionRevised()
    kept.CopyFrom(revised)
    kept.ClearField("deltas")
    return kept.SerializeToString(deterministic=True)
