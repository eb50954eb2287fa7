"""Events -> people, journeys, credit: the handler of group `attribute`.

The order of the steps is the promise. Parts before journeys, so that whoever finds a conversion in a journey finds its
parts; descriptors before the journeys that refer to them; ClickHouse before the conversion log; acknowledgement last. A
crash between any two leaves something that the next run of the same events finishes: entries that are known, a journey
that is frozen, a revision that is marked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple

from structlog.contextvars import bind_contextvars

from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary_attribution.affected import Affected, affected_at, find_affected
from tributary_attribution.arrivals import ADMITTED, Arrival, ArrivalReader
from tributary_attribution.credit_settings import (
    conversion_life_seconds,
    journey_events,
    journey_life_seconds,
    slack_micros,
)
from tributary_attribution.deferral import Deferral
from tributary_attribution.observing import Observing
from tributary_attribution.publishing import Publisher, together
from tributary_attribution.stopwatch import Stopwatch
from tributary_domain.revision import Cause
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.traces import linked_span
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.click_ids import Click, ClickIds
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.log_entry import LogEntry, LoggedEvent
from tributary_storage.redis.people import Lives, People, SettledPerson, Sighted
from tributary_storage.redis.person_paths import PersonPaths

_ATTEMPTS: Final = 10
"""How often a conversion that moved is computed again before the batch waits."""

_SourceOf = Callable[[str, int], TouchSource | None]
_ClickOf = Callable[[str, int], Click | None]
_REMEMBERED: Final = 10_000
"""Entries that wait for workspaces and whose other events are known to be credited; of more, all is done again."""

_CAUSES: Final = {RevisionCause.Value(f"REVISION_CAUSE_{cause.name}"): cause for cause in Cause}


class Replayed(NamedTuple):
    """A recorded event that is brought to attribution once more."""

    letter: str
    """Of the mask."""
    admitted: bytes
    accept_micros: int
    traceparent: str


class Attributor:
    """Credits conversions.

    Args:
        people: Leads events to journeys.
        observing: Writes what events say about conversions.
        descriptors: Keeps the texts of sources.
        click_ids: Keeps the texts of click ids.
        publisher: Credits conversions.
        deferral: Notes those of a busy person that have to wait.
        lookup: Knows the workspaces.
        paths: Is told whose path may have changed.
        clock: Measures.
    """

    def __init__(
        self,
        people: People,
        observing: Observing,
        descriptors: Descriptors,
        click_ids: ClickIds,
        publisher: Publisher,
        deferral: Deferral,
        lookup: WorkspaceLookup,
        paths: PersonPaths,
        clock: Clock,
    ) -> None:
        self._people = people
        self._observing = observing
        self._descriptors = descriptors
        self._click_ids = click_ids
        self._publisher = publisher
        self._deferral = deferral
        self._lookup = lookup
        self._paths = paths
        self._clock = clock
        self._waiting: dict[tuple[int, str, str], frozenset[str]] = {}
        self._reader = ArrivalReader()

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
            missing = {event.admission.workspace for event in unknown}
            if unknown and self._lookup.waits(entry.accept_micros, missing):
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
        elif self._lookup.waits(entry.accept_micros, [single.admission.workspace]):
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
            affected, _, _ = await together(
                self._observing.observe(arrivals, workspaces), *self._keep_texts(workspaces)
            )
            took.note("observe_ms")
            people = await self._settle(arrivals, affected, workspaces)
            await self._paths.mark((person.workspace, person.person_key) for person, _ in people)
            took.note("settle_ms")
            for person, events in people:
                find_affected(affected, workspaces[person.workspace], person, events)
            now, later = self._deferral.divide(affected.values())
            await self._deferral.defer(later, min((arrival.accept_time_micros for arrival in arrivals), default=0))
            revisions = await self._publisher.publish(now)
            took.note("publish_ms")
            await self._publisher.tell(revisions)
            took.note("emit_ms")
        metrics.ATTRIBUTED_EVENTS.add(len(arrivals))
        bind_contextvars(conversions=len(now), deferred=len(later), revisions=len(revisions), **took.noted)

    async def replay(
        self, workspace: Workspace, events: Sequence[Replayed], must_publish: Collection[str]
    ) -> dict[str, int]:
        """Brings recorded events to journeys and conversions once more, and credits what that changes: a repair.

        All of a person's events come back, so what the state store has lost of them is there again; what it has not
        lost is ignored. The cause of the revisions is reconciliation, whatever the events are.

        Args:
            workspace: Whose.
            events: Of whole people, oldest first.
            must_publish: Ids of conversions that are published again even if nothing changes.

        Returns:
            Conversion id -> its new revision.

        Raises:
            Backpressure: Conversions moved again and again while they were computed.
            StorageUnavailableError: A store does not answer; run the same again.
            PoisonEvent: An event can never be read.
        """
        workspaces = {workspace.id: workspace}
        arrivals = [
            self._reader.read(workspace.id, event.letter, event.admitted, event.accept_micros, event.traceparent)
            for event in events
        ]
        affected, _, _ = await together(self._observing.observe(arrivals, workspaces), *self._keep_texts(workspaces))
        people = await self._settle(arrivals, affected, workspaces)
        await self._paths.mark((person.workspace, person.person_key) for person, _ in people)
        for person, own in people:
            find_affected(affected, workspace, person, own)
        for conversion_id in must_publish:
            affected_at(affected, workspace, conversion_id).must_publish = True
        for one in affected.values():
            one.causing, one.arrived, one.known_causes = {}, set(), {Cause.RECONCILIATION}
            one.has_journey = False  # several chunks of one person's events may have followed
        revisions = await self._publisher.publish(list(affected.values()))
        await self._publisher.tell(revisions)
        return {revised.state.conversion_id: revised.revision for _, revised, _ in revisions}

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
        lives = Lives(journey_life_seconds(known), conversion_life_seconds(known), journey_events(known))
        settled = await self._people.settle(sighted, lives, max(map(slack_micros, known)))
        return [(person, [origin for at in person.events if (origin := origins[at]) is not None]) for person in settled]


def _place(entry: LogEntry) -> tuple[int, str, str]:
    return entry.shard, entry.lane, entry.entry_id
