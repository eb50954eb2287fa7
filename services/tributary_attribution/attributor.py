"""Events -> people, journeys, credit: the handler of group `attribute`.

The order of the steps is the promise. Parts before journeys, so that whoever finds a conversion in a journey finds its
parts; descriptors before the journeys that refer to them; ties and what people consent to before journeys, so that
people are who they are from then on, and a link forgotten only once it is credited; ClickHouse before the conversion
log; acknowledgement last. A crash between any two leaves something that the next run of the same events finishes:
entries that are known, a link that is not finished, a revision that is marked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final

from structlog.contextvars import bind_contextvars

from tributary.dedup.v1.admitted_events_pb2 import Admission
from tributary_attribution.affected import Affected, affected_at, find_affected
from tributary_attribution.arrival_texts import keep_texts
from tributary_attribution.arrivals import ADMITTED, Arrival, ArrivalReader, Replayed
from tributary_attribution.consents import ConsentLedger
from tributary_attribution.credit_settings import (
    conversion_life_seconds,
    counts_seen,
    journey_events,
    journey_life_seconds,
    slack_micros,
    ties_seconds,
)
from tributary_attribution.deferral import Deferral
from tributary_attribution.last_revisions import NO_ROWS, LastRow
from tributary_attribution.linking import Linked, Linking, Seen
from tributary_attribution.living_events import LivingEvents
from tributary_attribution.observing import Observing
from tributary_attribution.publishing import Publisher
from tributary_attribution.recalling import Recalling
from tributary_attribution.sightings import joined_by, seen_together, sighted_in, walked
from tributary_attribution.steps import together
from tributary_attribution.stopwatch import Stopwatch
from tributary_domain.consent import Assumed
from tributary_domain.revision import Cause
from tributary_domain.ties import most_telling
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.traces import linked_span
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.click_ids import ClickIds
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.journey_homes import Lives, Regrouped, SettledPerson
from tributary_storage.redis.log_entry import LogEntry, LoggedEvent
from tributary_storage.redis.people import People

_REMEMBERED: Final = 10_000
"""Entries that wait for workspaces and whose other events are known to be credited; of more, all is done again."""


class Attributor:
    """Credits conversions.

    Args:
        people: Leads events to journeys.
        linking: Links identifiers.
        observing: Writes what events say about conversions.
        descriptors: Keeps the texts of sources.
        click_ids: Keeps the texts of click ids.
        publisher: Credits conversions.
        deferral: Notes those of a busy person that have to wait.
        consents: Keeps what people decided.
        living: Tells what is not of somebody erased.
        recalling: Recalls what journeys have forgotten.
        lookup: Knows the workspaces.
        clock: Measures.
        assumed_of: Workspace -> what its people are assumed to consent to.
        knows_everybody: Tells whether all is back that the state store ever lost.
    """

    def __init__(
        self,
        people: People,
        linking: Linking,
        observing: Observing,
        descriptors: Descriptors,
        click_ids: ClickIds,
        publisher: Publisher,
        deferral: Deferral,
        consents: ConsentLedger,
        living: LivingEvents,
        recalling: Recalling,
        lookup: WorkspaceLookup,
        clock: Clock,
        assumed_of: Callable[[str], Assumed] = lambda _: Assumed(),
        knows_everybody: Callable[[], bool] = lambda: True,
    ) -> None:
        self._consents = consents
        self._living = living
        self._recalling = recalling
        self._knows_everybody = knows_everybody
        self._people = people
        self._linking = linking
        self._observing = observing
        self._descriptors = descriptors
        self._click_ids = click_ids
        self._publisher = publisher
        self._deferral = deferral
        self._lookup = lookup
        self._clock = clock
        self._waiting: dict[tuple[int, str, str], frozenset[str]] = {}
        self._reader = ArrivalReader(assumed_of)

    async def handle(self, entries: Sequence[LogEntry], published: Callable[[], None] = lambda: None) -> int:
        """Credits what a batch of events changes; returns how many events it held.

        Args:
            entries: The batch.
            published: Called once only storing and telling is left: what comes next may begin.

        Raises:
            Backpressure: Conversions moved again and again while they were computed.
            Unfinished: All is credited but the events of unknown workspaces.
            StorageUnavailableError: A store does not answer.
            PoisonEvent: An event can never be read; the worker finds out which.
        """
        await self._living.heed_refused(entries)
        held = [(entry, self._left_of(entry)) for entry in entries]
        admissions = {id(one.admission): one.admission for _, events in held for one in events}
        workspace_of = {name: admission.workspace for name, admission in admissions.items()}
        workspaces = await self._lookup.find(set(workspace_of.values()))
        arrivals: list[Arrival] = []
        later: dict[tuple[int, str, str], frozenset[str]] = {}
        aside: list[tuple[LogEntry, LoggedEvent]] = []
        for entry, events in held:
            unknown: list[LoggedEvent] = []
            for name, own in groupby(events, key=lambda one: id(one.admission)):
                if workspace_of[name] in workspaces:
                    arrivals += self._read(entry, admissions[name], own)
                else:
                    unknown += own
            missing = frozenset(event.admission.workspace for event in unknown)
            if unknown and self._lookup.waits(entry.accept_micros, missing):
                later[entry.place] = missing
            else:
                aside += [(entry, event) for event in unknown]
            await asyncio.sleep(0)  # callers wait on the same loop
        await self._attribute(arrivals, workspaces, published=published)
        for entry in entries:
            self._waiting.pop(entry.place, None)
        if later or aside:
            if len(self._waiting) < _REMEMBERED:
                self._waiting |= later
            left = [entry for entry in entries if entry.place in later]
            raise self._lookup.unfinished(len(arrivals), later=left, aside=aside)
        return sum(len(entry.mask) for entry in entries)

    def _left_of(self, entry: LogEntry) -> list[LoggedEvent]:
        """Returns the events of an entry; of one that waits for workspaces, only theirs: the others are credited."""
        waiting = self._waiting.get(entry.place)
        events = self.singles(entry)
        return events if waiting is None else [event for event in events if event.admission.workspace in waiting]

    def singles(self, entry: LogEntry) -> list[LoggedEvent]:
        """Takes an entry apart into the events that concern attribution."""
        return [event for event in entry.events() if event.letter in ADMITTED]

    async def handle_single(self, entry: LogEntry, single: LoggedEvent) -> None:
        """Credits what one event changes; raises as `handle` does."""
        if workspaces := await self._lookup.find([single.admission.workspace]):
            await self._attribute(self._read(entry, single.admission, [single]), workspaces)
        elif self._lookup.waits(entry.accept_micros, [single.admission.workspace]):
            raise self._lookup.unfinished(later=[entry])
        else:
            raise self._lookup.unfinished(aside=[(entry, single)])

    def _read(self, entry: LogEntry, admission: Admission, events: Iterable[LoggedEvent]) -> list[Arrival]:
        """Reads events of one admission: what they share is looked up once."""
        read, workspace, traceparent = self._reader.read, admission.workspace, admission.traceparent
        is_new = entry.is_first_sight and not admission.accept_context.backfill
        seen = {"is_first_sight": is_new, "is_redelivered": not entry.is_first_sight}
        return [read(workspace, letter, one, entry.accept_micros, traceparent, **seen) for _, letter, _, one in events]

    async def relink(self, workspace: Workspace, seen: Sequence[Seen]) -> Linked:
        """Links, or takes apart, identifiers of a workspace, and credits what that changes; raises as `handle` does.

        Returns:
            What it changed about people: stored.
        """
        return await self._attribute((), {workspace.id: workspace}, seen)

    async def _attribute(
        self,
        arrivals: Sequence[Arrival],
        workspaces: Mapping[str, Workspace],
        said: Sequence[Seen] = (),
        published: Callable[[], None] = lambda: None,
    ) -> Linked:
        arrivals = await self._living.of_log(arrivals, self._reader)
        traceparents = dict.fromkeys(arrival.traceparent for arrival in arrivals)
        took = Stopwatch(self._clock)
        with linked_span("attribute batch", traceparents, events=len(arrivals)):
            affected, linked = await self._bring(arrivals, workspaces, said, took)
            now, later = self._deferral.divide(affected.values())
            await self._deferral.defer(later, min((arrival.accept_time_micros for arrival in arrivals), default=0))
            revisions = await self._publisher.publish(now)
            took.note("publish_ms")
            with self._linking.credited(linked), self._consents.credited(arrivals):
                published()
                await together(self._publisher.tell(revisions, walked(arrivals, linked)), self._linking.store(linked))
                await self._linking.finish(linked)
            took.note("emit_ms")
        metrics.ATTRIBUTED_EVENTS.add(len(arrivals))
        bind_contextvars(conversions=len(now), deferred=len(later), revisions=len(revisions), **took.noted)
        return linked

    async def _bring(
        self,
        arrivals: Sequence[Arrival],
        workspaces: Mapping[str, Workspace],
        said: Sequence[Seen],
        took: Stopwatch,
        *,
        anew: bool = False,
    ) -> tuple[dict[str, Affected], Linked]:
        """Brings events to conversions, people and journeys; returns the conversions that this may have changed."""
        affected, _ = await together(self._observing.observe(arrivals, workspaces), self._keep_texts(workspaces))
        took.note("observe_ms")
        seen = [*seen_together(arrivals, affected.values()), *said]
        own = {(one.workspace, one.event_id) for one in arrivals} | {(one.workspace, one.said.event_id) for one in said}
        linked = await self._linking.link(seen, ties_seconds(workspaces.values()), own, anew=anew)
        decided = await self._consents.record(arrivals)
        for place in decided:  # computed again, with a version above all that was computed without the decision
            linked.regrouped.setdefault(place, Regrouped(is_merged=False, is_split=False))
        took.note("link_ms")
        people = await self._settle(arrivals, linked, workspaces)
        if not anew:  # else all comes back that was recorded
            await self._recalling.recall_people(people, workspaces, decided, linked, is_undone=bool(said))
        others = [person for person, _ in people if person.is_merged or person.is_split]
        for person, events in people:
            why = [joined_by(one) for token in person.tokens for one in linked.said.get((person.workspace, token), ())]
            elsewhere = [
                other.journey
                for other in (others if person.is_split else ())
                if other is not person and other.workspace == person.workspace
            ]
            words = [one for token in person.tokens for one in decided.get((person.workspace, token), ())]
            find_affected(affected, workspaces[person.workspace], person, events, why, elsewhere, words)
        took.note("settle_ms")
        return affected, linked

    async def replay(
        self,
        workspace: Workspace,
        events: Sequence[Replayed],
        conversions: Collection[str],
        said: Sequence[Seen] = (),
        must_publish: Collection[str] = (),
        rows: Mapping[str, LastRow] = NO_ROWS,
    ) -> dict[str, int]:
        """Brings recorded events to journeys and conversions once more, and credits what that changes: a repair.

        All of a person's events come back, so what the state store has lost of them is there again; what it has not
        lost is ignored. The cause of the revisions is reconciliation, whatever the events are.

        Args:
            workspace: Whose.
            events: Of whole people, oldest first.
            conversions: Ids of conversions that are computed again, whether events lead to them or not.
            said: What operators said of their identifiers.
            must_publish: Those that are published again even if nothing changes.
            rows: What is left of those whose last revision nobody has, by conversion id: as `Publisher.give_back`.

        Returns:
            Conversion id -> its new revision.

        Raises:
            Backpressure: Conversions moved again and again while they were computed.
            StorageUnavailableError: A store does not answer; run the same again.
            PoisonEvent: An event can never be read.
        """
        workspace = self._lookup.with_books_of_now(workspace)
        living = await self._recorded(workspace, events)
        affected, linked = await self._bring(living, {workspace.id: workspace}, said, Stopwatch(self._clock), anew=True)
        for conversion_id in conversions:
            affected_at(affected, workspace, conversion_id).must_publish = conversion_id in must_publish
        for one in affected.values():
            one.is_replayed = one.has_journey or one.conversion_id in conversions
            one.causing, one.arrived, one.released, one.known_causes = {}, set(), set(), {Cause.RECONCILIATION}
            one.has_journey = False  # several chunks of one person's events may have followed
        asked = [one for one in affected.values() if one.conversion_id not in rows]
        last = [one for one in affected.values() if one.conversion_id in rows and one.conversion_id in conversions]
        if last:  # else all of them are asked for with others, or once all of their person's events are there
            asked += await self._publisher.give_back(last, rows)
        revisions = await self._publisher.publish(asked)
        await together(self._publisher.tell(revisions, walked(living, linked)), self._linking.store(linked))
        await self._linking.finish(linked)
        return {one.revised.state.conversion_id: one.revised.revision for one in revisions}

    async def bring_back(
        self, workspace: Workspace, events: Sequence[Replayed], said: Sequence[Seen], since_micros: int, old_micros: int
    ) -> None:
        """Gives the state store back what recorded events say of people and conversions; credits nothing.

        Args:
            workspace: Whose.
            events: In any order.
            said: What operators said of identifiers.
            since_micros: Events accepted before are no part of journeys; they say who is who.
            old_micros: What events accepted before changed about people is stored.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
            PoisonEvent: An event can never be read.
        """
        workspaces = {workspace.id: workspace}
        living = await self._recorded(workspace, events)
        affected, _ = await together(self._observing.observe(living, workspaces), self._keep_texts(workspaces))
        seen = [*seen_together(living, affected.values()), *said]
        linked = await self._linking.link(seen, ties_seconds([workspace]), anew=True)
        await self._consents.restore()
        linked.facts = [fact for fact in linked.facts if fact.link.said.accept_time_micros >= old_micros]
        young = [one for one in living if one.accept_time_micros >= since_micros]
        await self._settle(young, linked, workspaces)
        await together(self._publisher.tell((), walked(young, linked)), self._linking.store(linked))
        await self._linking.finish(linked)

    async def remember_firsts(self, workspace: Workspace, events: Sequence[Replayed]) -> None:
        """Notes how people began, of recorded events that are no part of journeys; raises as `bring_back` does."""
        living = await self._recorded(workspace, events)
        await self._keep_texts({workspace.id: workspace})
        homes = [((one.workspace, most_telling(one.tokens)), one.entry) for one in living if one.tokens]
        found = [(home, entry) for home, entry in homes if entry is not None]
        await self._people.firsts.remember(found, ties_seconds([workspace]), keeps_seen=counts_seen(workspace))

    async def _recorded(self, workspace: Workspace, events: Sequence[Replayed]) -> Sequence[Arrival]:
        """Reads recorded events."""
        read = [self._reader.read(workspace.id, *event) for event in events]
        return await self._living.of(read, self._reader)

    async def _keep_texts(self, workspaces: Mapping[str, Workspace]) -> None:
        await keep_texts(self._reader, self._descriptors, self._click_ids, conversion_life_seconds(workspaces.values()))

    async def _settle(
        self, arrivals: Sequence[Arrival], linked: Linked, workspaces: Mapping[str, Workspace]
    ) -> list[tuple[SettledPerson, list[Arrival]]]:
        """Brings the events into journeys; returns who may have other conversions now, each with their events."""
        sighted, origins = sighted_in(arrivals)
        if not sighted and not linked.regrouped:
            return []
        known, all_back = workspaces.values(), self._knows_everybody()
        sees = any(map(counts_seen, known))
        lives = Lives(journey_life_seconds(known), ties_seconds(known), journey_events(known), all_back, sees)
        slack, regrouped, ties = max(map(slack_micros, known)), linked.regrouped, linked.ties
        settled = await self._people.settle(sighted, lives, slack, regrouped, ties)
        return [(person, [origins[at] for at in person.events]) for person in settled]
