"""Events -> people, journeys, credit: the handler of group `attribute`.

The order of the steps is the promise. Parts before journeys, so that whoever finds a conversion in a journey finds its
parts; descriptors before the journeys that refer to them; ClickHouse before the conversion log; acknowledgement last. A
crash between any two leaves something that the next run of the same events finishes: entries that are known, a journey
that is frozen, a revision that is marked.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from structlog.contextvars import bind_contextvars

from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary_attribution.affected import Affected, affected_at, causing_event, find_affected
from tributary_attribution.arrivals import ADMITTED, Arrival, ArrivalReader
from tributary_attribution.credit_settings import conversion_life_seconds, journey_life_seconds, slack_micros
from tributary_attribution.crediting import Known, revise
from tributary_attribution.restoration import Restoration
from tributary_attribution.stopwatch import Stopwatch
from tributary_domain.journey import TouchKind
from tributary_domain.revision import Cause
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import Backpressure, PoisonEvent
from tributary_runtime.traces import linked_span
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis.click_ids import Click, ClickIds
from tributary_storage.redis.conversions import Conversions, Publication
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.journey_layout import Journey, event_field
from tributary_storage.redis.log_entry import LogEntry, LoggedEvent
from tributary_storage.redis.people import Lives, People, SettledPerson, Sighted

_ATTEMPTS: Final = 10
"""How often a conversion that moved is computed again before the batch waits."""

_SourceOf = Callable[[str, int], TouchSource | None]
_ClickOf = Callable[[str, int], Click | None]
_REMEMBERED: Final = 10_000
"""Entries that wait for workspaces and whose other events are known to be credited; of more, all is done again."""

_CAUSES: Final = {RevisionCause.Value(f"REVISION_CAUSE_{cause.name}"): cause for cause in Cause}


class Writer(Protocol):
    """Where revisions are stored before anybody is told."""

    async def write(self, revisions: Iterable[tuple[ConversionRevised, bytes]]) -> None:
        """Returns when all are stored; may run twice.

        Raises:
            StorageUnavailableError: Some may be stored; the same are written again.
        """
        ...


class Attributor:
    """Credits conversions.

    Args:
        people: Leads events to journeys.
        conversions: Keeps parts and published states.
        descriptors: Keeps the texts of sources.
        click_ids: Keeps the texts of click ids.
        writer: Stores revisions.
        restoration: Restores what Redis has lost of conversions.
        lookup: Knows the workspaces.
        clock: Measures.
    """

    def __init__(
        self,
        people: People,
        conversions: Conversions,
        descriptors: Descriptors,
        click_ids: ClickIds,
        writer: Writer,
        restoration: Restoration,
        lookup: WorkspaceLookup,
        clock: Clock,
    ) -> None:
        self._people = people
        self._conversions = conversions
        self._descriptors = descriptors
        self._click_ids = click_ids
        self._writer = writer
        self._restoration = restoration
        self._lookup = lookup
        self._clock = clock
        self._waiting: dict[tuple[int, str, str], frozenset[str]] = {}
        self._reader = ArrivalReader()
        self._sources = SourceCache()

    async def handle(self, entries: Sequence[LogEntry]) -> int:
        """Credits what a batch of events changes; returns how many events it held.

        Raises:
            Backpressure: Conversions moved again and again while they were computed.
            Unfinished: All is credited but the events of unknown workspaces.
            StorageUnavailableError: A store does not answer.
            PoisonEvent: An event can never be read; the worker finds out which.
        """
        held = [(entry, self._left_of(entry)) for entry in entries]
        workspaces = await self._lookup.find({one.admission.workspace for _, events in held for one in events})
        arrivals: list[Arrival] = []
        later: dict[tuple[int, str, str], frozenset[str]] = {}
        aside: list[tuple[LogEntry, LoggedEvent]] = []
        for entry, events in held:
            arrivals += [self._read(entry, event) for event in events if event.admission.workspace in workspaces]
            unknown = [event for event in events if event.admission.workspace not in workspaces]
            if unknown and self._lookup.waits(entry.accept_micros):
                later[_place(entry)] = frozenset(event.admission.workspace for event in unknown)
            else:
                aside += [(entry, event) for event in unknown]
            await asyncio.sleep(0)  # callers wait on the same loop
        await self._attribute(arrivals, workspaces)
        for entry in entries:
            self._waiting.pop(_place(entry), None)
        if later or aside:
            if len(self._waiting) < _REMEMBERED:
                self._waiting |= later
            left = [entry for entry in entries if _place(entry) in later]
            raise self._lookup.unfinished(len(arrivals), later=left, aside=aside)
        return sum(len(entry.mask) for entry in entries)

    def _left_of(self, entry: LogEntry) -> list[LoggedEvent]:
        """Returns the events of an entry; of one that waits for workspaces, only theirs: the others are credited."""
        waiting = self._waiting.get(_place(entry))
        events = self.singles(entry)
        return [event for event in events if waiting is None or event.admission.workspace in waiting]

    def singles(self, entry: LogEntry) -> list[LoggedEvent]:
        """Takes an entry apart into the events that concern attribution."""
        return [event for event in entry.events() if event.letter in ADMITTED]

    async def handle_single(self, entry: LogEntry, single: LoggedEvent) -> None:
        """Credits what one event changes; raises as `handle` does."""
        workspaces = await self._lookup.find([single.admission.workspace])
        if workspaces:
            await self._attribute([self._read(entry, single)], workspaces)
        elif self._lookup.waits(entry.accept_micros):
            raise self._lookup.unfinished(later=[entry])
        else:
            raise self._lookup.unfinished(aside=[(entry, single)])

    def _read(self, entry: LogEntry, event: LoggedEvent) -> Arrival:
        admission = event.admission
        return self._reader.read(
            admission.workspace,
            event.letter,
            event.admitted,
            entry.accept_micros,
            admission.traceparent,
            is_first_sight=entry.is_first_sight and not admission.accept_context.backfill,
        )

    async def _attribute(self, arrivals: Sequence[Arrival], workspaces: Mapping[str, Workspace]) -> None:
        traceparents = dict.fromkeys(arrival.traceparent for arrival in arrivals)
        took = Stopwatch(self._clock)
        with linked_span("attribute batch", traceparents, events=len(arrivals)):
            affected, _, _ = await _together(self._observe(arrivals, workspaces), *self._keep_texts(workspaces))
            took.note("observe_ms")
            people = await self._settle(arrivals, affected, workspaces)
            took.note("settle_ms")
            for person, events in people:
                find_affected(affected, workspaces[person.workspace], person, events)
            revisions = await self._publish(list(affected.values()))
            took.note("publish_ms")
            await self._emit(revisions)
            took.note("emit_ms")
        metrics.ATTRIBUTED_EVENTS.add(len(arrivals))
        bind_contextvars(conversions=len(affected), revisions=len(revisions), **took.noted)

    async def _observe(self, arrivals: Sequence[Arrival], workspaces: Mapping[str, Workspace]) -> dict[str, Affected]:
        """Writes the parts of conversions and reads all parts of those."""
        affected: dict[str, Affected] = {}
        parts: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        for arrival in arrivals:
            if arrival.part:
                one = affected_at(affected, workspaces[arrival.workspace], arrival.conversion_id)
                one.causing[arrival.event_id] = causing_event(arrival)
                if arrival.claims_conversion:
                    one.claim_micros = arrival.accept_time_micros
                parts[one.key][event_field(arrival.event_hash)] = arrival.part
        if parts:
            records = await self._conversions.observe(parts, conversion_life_seconds(workspaces.values()))
            for key, record in records.items():
                affected[key].take(record)
        return affected

    def _keep_texts(
        self, workspaces: Mapping[str, Workspace]
    ) -> tuple[Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
        """Returns the writing of the texts that journeys are about to refer to."""
        texts, self._reader.new_texts = self._reader.new_texts, {}
        clicks, self._reader.new_clicks = self._reader.new_clicks, {}
        life_seconds = conversion_life_seconds(workspaces.values())
        return self._descriptors.write(texts, life_seconds), self._click_ids.write(clicks)

    async def _settle(
        self, arrivals: Sequence[Arrival], affected: Mapping[str, Affected], workspaces: Mapping[str, Workspace]
    ) -> list[tuple[SettledPerson, list[Arrival]]]:
        """Brings the events into journeys; returns each person with their events."""
        sighted: list[Sighted] = []
        origins: list[Arrival | None] = []
        for arrival in arrivals:
            if not arrival.tokens:
                continue
            together = [[token] for token in arrival.tokens] if arrival.is_quarantined else [arrival.tokens]
            for tokens in together:
                sighted.append(Sighted(arrival.workspace, tokens, arrival.entry, arrival.sightings))
                origins.append(arrival)
        for one in affected.values():
            observed = [part for part in one.parts if part.is_observation]
            if len(observed) > 1:
                together_tokens = {token: None for part in observed for token in part.admitted.identity_tokens}
                if len(together_tokens) > 1:
                    sighted.append(Sighted(one.workspace.id, list(together_tokens), None, ()))
                    origins.append(None)
        if not sighted:
            return []
        known = workspaces.values()
        lives = Lives(journey_life_seconds(known), conversion_life_seconds(known))
        settled = await self._people.settle(sighted, lives, max(map(slack_micros, known)))
        return [(person, [origin for at in person.events if (origin := origins[at]) is not None]) for person in settled]

    async def _publish(self, affected: Sequence[Affected]) -> list[tuple[str, ConversionRevised, bytes]]:
        """Computes and publishes until nothing moves any more; returns all that is not published everywhere yet."""
        revisions: list[tuple[str, ConversionRevised, bytes]] = []
        pending = list(affected)
        for _ in range(_ATTEMPTS):
            source_of, click_of = await self._read_missing(pending)
            pending = [one for one in pending if one.parts]
            if not pending:
                return revisions
            computed = []
            for one in pending:
                computed.append(_compute(one, source_of, click_of))
                await asyncio.sleep(0)
            answers = await self._conversions.publish([publication for publication, _ in computed])
            moved = []
            for one, (publication, revised), holds in zip(pending, computed, answers, strict=True):
                if not holds:
                    one.record, one.has_journey = None, False
                    moved.append(one)
                    continue
                for content in publication.record.pending.values():
                    revisions.append((one.key, ConversionRevised.FromString(content), content))
                if revised is not None:
                    revisions.append((one.key, revised, publication.revised))
            if moved:
                metrics.PUBLISH_CONFLICTS.add(len(moved))
            pending = moved
        raise Backpressure("Conversions moved while they were computed.", pause_seconds=0.2)

    async def _read_missing(self, affected: Sequence[Affected]) -> tuple[_SourceOf, _ClickOf]:
        """Reads what is not known yet of conversions: parts first, then journeys, then the texts of sources and clicks.

        Returns:
            The texts, held for the batch.

        Raises:
            StorageUnavailableError: A store does not answer.
            PoisonEvent: A source that may earn credit has lost its text: nothing may be published without it.
        """
        unread = {one.key: one for one in affected if one.record is None}
        if unread:
            records = await self._conversions.observe({key: {} for key in unread}, 0)
            for key, record in records.items():
                unread[key].take(record)
        await self._restoration.restore(affected)
        lost = [one for one in affected if not one.has_journey]
        for one, journey in zip(lost, await _together(*map(self._find_journey, lost)), strict=True):
            one.journey, one.has_journey = journey, True
        sources: set[tuple[str, int]] = set()
        needed: set[tuple[str, int]] = set()
        clicks: set[tuple[str, int]] = set()
        for one in affected:
            if one.journey is not None:
                begin_micros = one.window_begin_micros()
                for entry in one.journey.entries:
                    if entry.kind != TouchKind.CONVERSION:
                        sources.add((one.workspace.id, entry.descriptor))
                        if entry.event_time_micros >= begin_micros:
                            needed.add((one.workspace.id, entry.descriptor))
                        if entry.click:
                            clicks.add((one.workspace.id, entry.click))
        life_seconds = conversion_life_seconds(one.workspace for one in affected)
        texts = await self._descriptors.read(sources, life_seconds)
        if any(place[1] and place not in texts for place in needed):
            # No outage: it would hold up every other workspace for ever. The worker finds the events it concerns.
            raise PoisonEvent("SOURCE_TEXT_LOST", "The state store has lost the text of a source that a journey has.")
        found = await self._click_ids.read(clicks)
        return self._sources.reading(texts), lambda workspace, number: found.get((workspace, number))

    async def _find_journey(self, one: Affected) -> Journey | None:
        return await self._people.find(one.workspace.id, one.person_keys())

    async def _emit(self, revisions: Sequence[tuple[str, ConversionRevised, bytes]]) -> None:
        """Stores revisions, tells the conversion log, takes their marks away: in this order."""
        if not revisions:
            return
        await self._writer.write([(revised, content) for _, revised, content in revisions])
        await self._conversions.emit([(key, revised.revision) for key, revised, _ in revisions])
        now = self._clock.unix_micros()
        for _, revised, _ in revisions:
            accepted = revised.cause_accept_time
            age = (now - accepted.seconds * 1_000_000 - accepted.nanos // 1_000) / 1e6
            metrics.EVENT_TO_CREDIT.record(max(0.0, age))
            if not revised.previous_revision:
                metrics.CONVERSIONS.add(1)
            for cause in revised.causes:
                metrics.REVISIONS.add(1, cause=_CAUSES[cause])


def _place(entry: LogEntry) -> tuple[int, str, str]:
    return entry.shard, entry.lane, entry.entry_id


def _compute(one: Affected, source_of: _SourceOf, click_of: _ClickOf) -> tuple[Publication, ConversionRevised | None]:
    record, journey = one.record, one.journey
    if record is None:
        raise RuntimeError("a conversion is computed before it is read")
    causing = list(one.causing.values())
    known = Known(one.workspace, one.conversion_id, record, one.parts, journey, causing, one.known_causes)
    revision = revise(known, source_of, click_of, journey_life_seconds([one.workspace]))
    version = record.journey_version if journey is None else journey.version
    if revision is None:
        return Publication(record, version), None
    message = revision.message
    return Publication(record, version, message.revision, revision.content, revision.state), message


async def _together(*steps: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs steps side by side; when all have ended, returns their answers, or raises what the first to fail raised."""
    answers = await asyncio.gather(*steps, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
