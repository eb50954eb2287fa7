"""Journeys that are not whole for what is asked of them -> what they were: united with what ClickHouse has recorded.

Redis forgets what of a journey is older than its life, or is too much. What was accepted late, or is undone, or is
computed anew on purpose, may reach further back: a new conversion whose window begins before its journey is whole; an
event that comes so late that conversions after it are forgotten; a conversion that is taken back, in whose place
another counts now; people who become one or are taken apart. Then the events of these
people are asked for, all of a batch and workspace at once, and seen beside what Redis holds; nothing of it is stored,
so nothing has to be kept in step, and whoever looks again asks again. Nobody else asks: what is as new as the door lets
through, and whoever was never seen before, is whole. Of somebody of whom only came what may not be measured, waits in
quarantine or is internal, nothing is kept to tell that they were here: where that is forgotten, nobody is known to have
come (`NO_TOUCHPOINT`), which is another reason, and the same credit.

What is asked for has been recorded: it was forgotten because it was accepted a whole life of a journey ago, and the
event log is cut only behind group `record`. What arrives meanwhile is in Redis first, whose version it moves. Of what
was too much the newest may be recorded later, where group `record` is behind: what was published of it stays, and what
is new is found by a reconciliation. What is older than the workspace keeps of people (`expiry`) is gone: a journey that
would reach further back is one that was trimmed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tributary_attribution.affected import Affected, Word
from tributary_attribution.arrivals import Arrival
from tributary_attribution.assessment import AHEAD_MICROS, complete_since_micros
from tributary_attribution.counting import counts_every
from tributary_attribution.credit_settings import (
    core_settings,
    history_micros,
    journey_life_seconds,
    slack_micros,
)
from tributary_attribution.forgotten_touches import Asked, ForgottenTouches
from tributary_attribution.linking import Linked
from tributary_attribution.path_ends import frees_forgotten_paths
from tributary_attribution.taken_back import frees_forgotten
from tributary_domain.event_order import NEVER
from tributary_domain.identity import Person
from tributary_domain.settings import SECOND
from tributary_domain.windows import is_whole
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_revisions import PublishedConversion
from tributary_storage.redis.firsts import FirstTouch, PersonFirsts
from tributary_storage.redis.journey_homes import SettledPerson
from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.people import People
from tributary_storage.redis.ties import Place, person_key


class _Wanted(NamedTuple):
    """A journey, and from when on it has to be whole."""

    workspace: Workspace
    place: Place
    """An identifier of its person."""
    journey: Journey | None
    """None: Redis holds nothing of it."""
    since_micros: int


class Recalling:
    """Recalls what journeys have forgotten. Every method may run twice, and at once in several processes.

    Args:
        people: Reads journeys.
        forgotten: Asks for what journeys have forgotten.
        clock: Says how far back Redis reaches.
    """

    def __init__(self, people: People, forgotten: ForgottenTouches, clock: Clock) -> None:
        self._people = people
        self._forgotten = forgotten
        self._clock = clock

    async def recall_people(
        self,
        people: Sequence[tuple[SettledPerson, Sequence[Arrival]]],
        workspaces: Mapping[str, Workspace],
        decided: Mapping[Place, Sequence[Word]],
        linked: Linked,
        *,
        is_undone: bool,
    ) -> None:
        """Makes journeys whole as far back as events reach that were brought to them.

        Args:
            people: Whose conversions events may have changed; take their journeys.
            workspaces: Theirs.
            decided: What people decided anew, by identifier.
            linked: What changed who they are.
            is_undone: Whether an operator said who is who: then all they ever did may be somebody else's.

        Raises:
            Backpressure: People changed again and again while they were read.
            StorageUnavailableError: A store did not answer.
        """
        reaching = {} if is_undone else await self._reaching_back([person for person, _ in people], workspaces, linked)
        wanted: list[_Wanted] = []
        owners: list[SettledPerson] = []
        for at, (person, events) in enumerate(people):
            workspace = workspaces[person.workspace]
            words = [one for token in person.tokens for one in decided.get((person.workspace, token), ())]
            times = [one.event_time_micros for one in events if one.entry is not None or one.traces]
            times += [word.arrival.decision.time_micros for word in words if word.arrival.decision is not None]
            reach = history_micros(workspace) + slack_micros(workspace)
            since = min(times) - reach if times else NEVER
            if (person.is_merged or person.is_split) and (is_undone or reaching[at]):
                since = 0
            # Of a conversion that is after the event only what is before it may have been trimmed.
            is_trimmed = min(since + reach - slack_micros(workspace), NEVER) < person.journey.trimmed_until_micros
            if is_trimmed or self._is_needed(workspace, person.journey, since):
                wanted.append(_Wanted(workspace, (person.workspace, person.tokens[0]), person.journey, since))
                owners.append(person)
        for person, found in zip(owners, await self._recall(wanted), strict=True):
            if found is not None:
                person.journey = found

    async def recall_windows(self, affected: Sequence[Affected], begins: Sequence[int]) -> None:
        """Makes the journeys of conversions whole from where their windows begin.

        Where they have forgotten for their age, only of those that were never published, of those whose credit is to be
        exact whatever was published, of those that may have been another's until now, of those in whose place another
        counts, and of those that ended paths and do not any more: else what was published stands for what is forgotten.
        Where they had too many events, of each that needs more than is left.

        Args:
            affected: With their parts and journeys; take the latter.
            begins: When their windows begin.

        Raises:
            Backpressure: People changed again and again while they were read.
            StorageUnavailableError: A store did not answer.
        """
        wanted: dict[Place, _Wanted] = {}
        owners: list[tuple[Affected, Place]] = []
        for one, begin in zip(affected, begins, strict=True):
            if one.stored is None:
                continue
            is_forgotten = (
                not one.stored.published or one.is_exact or frees_forgotten(one) or frees_forgotten_paths(one)
            )
            is_forgotten = is_forgotten or (one.was_observed_again and bool(one.strays()))
            is_forgotten = is_forgotten and self._is_needed(one.workspace, one.journey, begin)
            place = one.place() if is_forgotten or _lacks_trimmed(one) else None
            if place is None:
                continue
            known = wanted.get(place)
            since = begin if known is None else min(begin, known.since_micros)
            wanted[place] = _Wanted(one.workspace, place, one.journey, since)
            owners.append((one, place))
        found = dict(zip(wanted, await self._recall(list(wanted.values())), strict=True))
        for one, place in owners:
            one.journey, one.has_journey = found[place], True
        for one in affected:
            if one.journey is not None and one.journey.was_trimmed_micros and _lacks_published(one, one.journey):
                was = one.journey.was_trimmed_micros
                one.journey = replace(one.journey, is_recalled=False, trimmed_until_micros=was, was_trimmed_micros=0)

    async def find_others(self, affected: Sequence[Affected]) -> None:
        """Finds the journeys of others who may have had conversions until now.

        Whole from where their windows begin, where that may change which conversions of these others count.

        Args:
            affected: With their parts and journeys; take those of the others.

        Raises:
            Backpressure: People changed again and again while they were read.
            StorageUnavailableError: A store did not answer.
        """
        strays = [(one, place) for one in affected if one.stored and one.stored.published for place in one.strays()]
        if not strays:
            return
        found = await self._people.find_each([place for _, place in strays])
        wanted: dict[int, _Wanted] = {}
        for at, ((one, place), journey) in enumerate(zip(strays, found, strict=True)):
            since = one.window_begin_micros()
            is_asked = one.was_observed_again and not counts_every(one.workspace, one.parts)
            if is_asked and self._is_needed(one.workspace, journey, since):
                wanted[at] = _Wanted(one.workspace, place, journey, since)
        for at, recalled in zip(wanted, await self._recall(list(wanted.values())), strict=True):
            found[at] = recalled
        for (one, _), other in zip(strays, found, strict=True):
            if other is not None:
                one.elsewhere.append(other)

    async def _reaching_back(
        self, people: Sequence[SettledPerson], workspaces: Mapping[str, Workspace], linked: Linked
    ) -> dict[int, bool]:
        """Tells of people who became one, or were one, whether they have conversions that are forgotten and concerned.

        Those are concerned that somebody else's touches came before, or whose person is called otherwise now. Whoever
        comes back on a new device has nothing of before, and keeps the name: nobody asks.

        Returns:
            By place among the people.
        """
        sides: dict[int, list[Person]] = {}
        for at, person in enumerate(people):
            may_be = person.journey.since_micros or person.has_forgotten
            if (person.is_merged or person.is_split) and may_be:
                own = set(person.tokens)
                changes = [fact.change for fact in linked.facts if fact.workspace == person.workspace]
                concerned = [
                    one for one in changes if any(own.intersection(side.tokens) for side in (*one.before, *one.after))
                ]
                sides[at] = [side for change in concerned for side in (*change.before, *change.after)]
        asked = [(people[at].workspace, side.tokens) for at, own_sides in sides.items() for side in own_sides]
        firsts = iter(await self._people.firsts.of_people(asked))
        reaching = dict.fromkeys(range(len(people)), False)
        for at, own_sides in sides.items():
            begun = [(side, next(firsts)) for side in own_sides]
            since = max(people[at].journey.since_micros, self._since_of_expired(workspaces[people[at].workspace]))
            reaching[at] = not begun or _is_concerned(people[at], begun, since)
        return reaching

    def _is_needed(self, workspace: Workspace, journey: Journey | None, since_micros: int) -> bool:
        """Tells whether a journey may have forgotten, for its age, something that happened since a moment."""
        if journey is not None and since_micros >= journey.since_micros and not journey.is_bare:
            return False  # nearly always
        now, life = self._clock.unix_micros(), journey_life_seconds([workspace])
        if journey is None:
            return since_micros < self._since_of_expired(workspace)
        return since_micros < complete_since_micros(replace(journey, trimmed_until_micros=0), life, now)

    def _since_of_expired(self, workspace: Workspace) -> int:
        """Returns from when on a journey that has expired would hold everything, had it not."""
        return self._clock.unix_micros() - journey_life_seconds([workspace]) * SECOND + AHEAD_MICROS

    async def _recall(self, wanted: Sequence[_Wanted]) -> list[Journey | None]:
        """Returns journeys, whole from the moments that are asked for, in order; None where nothing is known at all.

        Of a person with too many events only what fits is recalled: as of one that is trimmed, the journey says so.
        """
        if not wanted:
            return []
        tokens = await self._tokens(wanted)
        now = self._clock.unix_micros()
        asked = [
            Asked(
                one.workspace,
                one.place,
                tokens[one.place],
                one.since_micros,
                max(
                    self._since_of_expired(one.workspace),
                    0 if one.journey is None else min(one.journey.since_micros, now),
                    0 if one.journey is None else one.journey.trimmed_until_micros,
                ),
            )
            for one in wanted
        ]
        recalled, cut = await self._forgotten.of(asked)
        journeys = await self._people.find_each([one.place for one in wanted], recalled)
        firsts = await self._people.firsts.of_people([(one.workspace.id, tokens[one.place]) for one in wanted])
        metrics.RECALLED_JOURNEYS.add(len(wanted))
        return [
            None if journey is None else _whole(journey, one.since_micros, cut.get(one.place, 0), first.touch)
            for one, journey, first in zip(wanted, journeys, firsts, strict=True)
        ]

    async def _tokens(self, wanted: Sequence[_Wanted]) -> Mapping[Place, Collection[str]]:
        """Returns the identity tokens of each person."""
        tokens: dict[Place, Collection[str]] = {
            one.place: one.journey.tokens for one in wanted if one.journey is not None
        }
        unknown = [one.place for one in wanted if one.place not in tokens]
        found = await self._people.people_of(unknown) if unknown else {}
        return {place: tokens[place] if place in tokens else found[place].tokens for place in (o.place for o in wanted)}


def _is_concerned(person: SettledPerson, begun: Sequence[tuple[Person, PersonFirsts]], since: int) -> bool:
    """Tells whether a conversion that is forgotten may have another person's touches now, or another person.

    Args:
        person: As they are now.
        begun: Who they were, and are, with how each began.
        since: From when on nothing is forgotten.
    """
    for side, firsts in begun:
        if all(one.event_time_micros >= since for one in firsts.conversions.values()):
            continue
        if person_key(person.workspace, side.first) != person.journey.person_id:
            return True
        others = [
            touch
            for one, other in begun
            if not set(one.tokens).intersection(side.tokens)
            for touch in (other.touch, other.seen)
        ]
        if any(touch is not None and touch.event_time_micros < since for touch in others):
            return True
    return False


def _lacks_trimmed(one: Affected) -> bool:
    """Tells whether a conversion looks at more than is left of a journey that had too many events."""
    if one.journey is None or not one.journey.trimmed_until_micros:
        return False  # nearly always
    time = min((part.event_time_micros for part in one.parts if part.is_observation), default=NEVER)
    entries, until = one.journey.entries, one.journey.trimmed_until_micros
    return not all(is_whole(entries, time, core_settings(own), until) for own in one.workspace.attribution)


def _lacks_published(one: Affected, journey: Journey) -> bool:
    """Tells whether a journey that was trimmed lacks, also after it was read again, what a conversion was credited to.

    Then group `record` is behind with what was trimmed: what is published stays.
    """
    if one.stored is None or not one.stored.published:
        return False
    held = {entry[:2] for entry in journey.entries}
    touches = PublishedConversion(one.stored.published).touches
    return any(touch[0] < journey.was_trimmed_micros and touch[:2] not in held for touch in touches)


def _whole(journey: Journey, since_micros: int, cut_micros: int, first: FirstTouch | None) -> Journey:
    """Returns a journey that lacks nothing since a moment; what is older is told by how its person began.

    Args:
        journey: With what was recalled.
        since_micros: The moment.
        cut_micros: Up to when there was more than is recalled; 0: there was not.
        first: The first touch of its person.
    """
    return replace(
        journey,
        since_micros=since_micros,
        is_bare=False,
        is_recalled=True,
        was_trimmed_micros=journey.trimmed_until_micros,
        trimmed_until_micros=cut_micros,
        has_lost_touches=first is not None and first.event_time_micros < since_micros,
    )
