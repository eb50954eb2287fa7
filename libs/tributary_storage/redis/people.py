"""People: which journeys the events of a batch belong to, and whose journeys are one person's.

An event is its most telling identifier's and never moves: it is added to the journey of that identity token. A person
is a set of tokens that follows from what they were seen with (`ties`, `tributary_domain.identity`), and their journey
is the union of those of the tokens, made whenever a conversion asks. So there is nothing to move when people become
one or are taken apart, and nothing that a crash could leave in between.

Whoever adds a conversion tells the person's other journeys when it was, and reads them after; whoever adds a touch is
answered in the same step when the person converted last. So of the two that come at once, one sees both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import redis.asyncio

from tributary_domain.identity import Cluster, IdentityLimits, Person, clusters_of, missing
from tributary_domain.plain_clusters import plain_cluster
from tributary_domain.ties import Tie
from tributary_storage.redis.journey_layout import META, Journey, is_token, unpack_journey
from tributary_storage.redis.journeys import JourneyChange, Journeys, Visit
from tributary_storage.redis.tie_layout import unpack_ties
from tributary_storage.redis.ties import IdentityTies, Place, person_key

LimitsOf = Callable[[str], IdentityLimits]
"""Workspace -> what keeps its people apart."""

_ROUNDS: Final = 10
"""Telling a person's journeys of their newest conversion settles in two; others may convert meanwhile."""


class Sighted(NamedTuple):
    """What one event adds to a journey."""

    workspace: str
    token: str
    """The most telling identifier of the event: its journey takes it."""
    entry: tuple[bytes, bytes] | None
    """Field and value for the journey."""
    sighting: bytes | None
    """Of the token; None if the event is quarantined and proves nothing."""


class Lives(NamedTuple):
    """How long state lives after the last event that used it."""

    journey_seconds: int
    ties_seconds: int
    """Of what identifiers were seen with: longer, because an order may name a customer who logged in long ago, and it
    is the journey of yesterday, on another device, that led to it."""
    journey_events: int = 4_000
    """How many events of one identifier are kept at least where there are more."""


class Regrouped(NamedTuple):
    """An identifier whose person has changed."""

    is_merged: bool
    """Whether others joined it."""
    is_split: bool
    """Whether it lost others."""


@dataclass(slots=True)
class SettledPerson:
    """A person whose conversions a batch may have changed."""

    workspace: str
    tokens: tuple[str, ...]
    why: int
    """1: conversions near the new events in time; 2: any of this person."""
    journey: Journey
    events: list[int]
    """Positions in the batch."""
    is_merged: bool = False
    """Whether people became one."""
    is_split: bool = False
    """Whether some of their identifiers are another's now."""


@dataclass(slots=True)
class _Home:
    """The journey of one identity token, as far as it was read."""

    place: Place
    newest_micros: int = 0
    version: int = 0
    fields: Mapping[bytes, bytes] | None = None
    why: int = 0
    events: list[int] = field(default_factory=list)
    is_told: bool = False
    """Whether it knows, since it was read last, of the conversion that `newest_micros` is of."""


class People:
    """Leads events to journeys. Every method may run twice, and at once in several processes.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
        limits_of: Knows what keeps people apart.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int, limits_of: LimitsOf | None = None) -> None:
        self._journeys = Journeys(client, shards)
        self.ties = IdentityTies(client, shards)
        self._limits_of = limits_of or (lambda _: IdentityLimits())

    async def settle(
        self,
        events: Sequence[Sighted],
        lives: Lives,
        slack_micros: int,
        regrouped: Mapping[Place, Regrouped] | None = None,
    ) -> list[SettledPerson]:
        """Brings events into journeys.

        Args:
            events: In any order.
            lives: How long state lives after this.
            slack_micros: How long after a conversion a touch may still count for it.
            regrouped: Identifiers whose person has changed since their conversions were credited.

        Returns:
            Each person whose conversions may have changed, once, in the order of their first event.

        Raises:
            StorageUnavailableError: The state store did not answer. Run the same again.
        """
        regrouped = regrouped or {}
        homes: dict[Place, _Home] = {}
        ties: dict[Place, tuple[Tie, ...]] = {}
        for position, event in enumerate(events):
            place = event.workspace, event.token
            home = homes.get(place)
            if home is None:
                home = homes[place] = _Home(place)
            home.events.append(position)
        changes = [_change(home, events) for home in homes.values()]
        answers = await self._journeys.apply(
            changes, lives.journey_seconds, slack_micros, lives.journey_events, lives.ties_seconds
        )
        asking: list[Place] = []
        for home, answer in zip(homes.values(), answers, strict=True):
            if answer.why:
                home.why, home.version, home.newest_micros = answer.why, answer.version, answer.newest_micros
                home.fields = answer.fields
                ties[home.place] = unpack_ties(home.place[1], answer.ties).ties if answer.ties else ()
                asking.append(home.place)
        asking += [place for place in regrouped if place not in ties]
        if not asking:
            return []
        people = await self._people_of(asking, ties)
        persons = list({(workspace, person): None for (workspace, _), person in people.items()})
        parties = [
            [homes.setdefault((workspace, token), _Home((workspace, token))) for token in person.tokens]
            for workspace, person in persons
        ]
        await self._tell(parties, regrouped, lives.ties_seconds)
        settled: list[SettledPerson] = []
        for (workspace, person), party in zip(persons, parties, strict=True):
            held = [home.fields for home in party if home.fields]
            changed = [regrouped[home.place] for home in party if home.place in regrouped]
            if party[0].newest_micros and any(META in fields for fields in held):
                one = SettledPerson(
                    workspace,
                    person.tokens,
                    max(home.why for home in party),
                    unpack_journey(person_key(workspace, person.first), held, person.tokens),
                    sorted(position for home in party for position in home.events),
                    any(change.is_merged for change in changed),
                    any(change.is_split for change in changed),
                )
                settled.append(one)
        return settled

    async def find(self, workspace: str, tokens: Iterable[str]) -> Journey | None:
        """Reads the journey of the person that the first of these tokens with one belongs to; None if none does.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        for token in tokens:
            [journey] = await self.find_each([(workspace, token)])
            if journey is not None:
                return journey
        return None

    async def find_each(self, wanted: Sequence[Place | None]) -> list[Journey | None]:
        """Reads the journeys of the people that identifiers belong to; that of one person once, and it is one object.

        Args:
            wanted: Workspace and token of each; None has no journey.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        people = await self.people_of({place for place in wanted if place is not None})
        homes = {(workspace, token): None for (workspace, _), person in people.items() for token in person.tokens}
        read = await self._journeys.read_each([person_key(*place) for place in homes])
        fields = dict(zip(homes, read, strict=True))
        journeys: dict[tuple[str, str], Journey | None] = {}
        for (workspace, _), person in people.items():
            name = workspace, person.first
            if name not in journeys:
                held = [own for token in person.tokens if (own := fields[workspace, token])]
                first = person_key(workspace, person.first)
                is_there = any(META in own for own in held)
                journeys[name] = unpack_journey(first, held, person.tokens) if is_there else None
        return [None if place is None else journeys[place[0], people[place].first] for place in wanted]

    async def token_of(self, workspace: str, person_id: str) -> str | None:
        """Returns an identity token of whom a person id once was made; None if nothing is known of it.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        [fields] = await self._journeys.read_each([person_id])
        named = [name.decode() for name in fields if is_token(name)]
        named += await self.ties.owner(person_id)
        return next((token for token in named if person_key(workspace, token) == person_id), None)

    async def people_of(self, places: Collection[Place]) -> dict[Place, Person]:
        """Says who identifiers are.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        return await self._people_of(places, {})

    async def cluster_of(self, workspace: str, token: str) -> Cluster:
        """Returns all that is connected with an identifier, and the people among it.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        views: dict[str, tuple[Tie, ...]] = {}
        while True:
            cluster, wanted = _cluster(views, token, self._limits_of(workspace))
            if cluster is not None:
                return cluster
            read = await self.ties.read({(workspace, one) for one in wanted})
            views.update((one, held.ties) for (_, one), held in read.items())

    async def _people_of(self, places: Collection[Place], ties: dict[Place, tuple[Tie, ...]]) -> dict[Place, Person]:
        """Does so, from ties that were read and others that are read now and added to them."""
        views: dict[str, dict[str, tuple[Tie, ...]]] = defaultdict(dict)
        for (workspace, token), own in ties.items():
            views[workspace][token] = own
        people: dict[Place, Person] = {}
        left = list(places)
        while left:
            lacking: set[Place] = set()
            for place in left:
                if place in people:
                    continue
                workspace, token = place
                cluster, wanted = _cluster(views[workspace], token, self._limits_of(workspace))
                lacking.update((workspace, one) for one in wanted)
                for person in () if cluster is None else cluster.persons:
                    people.update(((workspace, one), person) for one in person.tokens)
            left = [place for place in left if place not in people]
            for (workspace, token), held in (await self.ties.read(lacking)).items() if lacking else ():
                views[workspace][token] = held.ties
        return people

    async def _tell(
        self, parties: Sequence[Sequence[_Home]], regrouped: Mapping[Place, Regrouped], ties_seconds: int
    ) -> None:
        """Tells the journeys of each person when they converted last, and reads them, until all of them know."""
        pending = [party for party in parties if len(party) > 1 or party[0].place in regrouped]
        for home in (home for party in pending for home in party if home.place in regrouped):
            home.fields = None  # to be read again, with a version above all that was computed before
        highest = 0  # of the journeys of all whose people changed: what was computed before may have seen any of them
        for number in range(_ROUNDS):
            visits: list[tuple[_Home, Visit]] = []
            if number == 1:
                highest = max((h.version for party in pending for h in party if h.place in regrouped), default=0)
            for party in pending:
                newest, version = (max(own) for own in zip(*((h.newest_micros, h.version) for h in party), strict=True))
                moved = [home for home in party if home.place in regrouped]
                behind = _behind(party, moved, max(version, highest) if moved else version)
                for home in party:
                    floor = version if home is behind else 0
                    if home in moved and not home.is_told:
                        floor = max(1, version)
                    if floor or home.newest_micros < newest or not (home.is_told or home.fields):
                        visits.append((home, Visit(person_key(*home.place), newest, floor)))
            if not visits:
                return
            answers = await self._journeys.visit([visit for _, visit in visits], ties_seconds)
            for (home, _), answer in zip(visits, answers, strict=True):
                home.version, home.newest_micros, home.fields = answer
                home.is_told = True
        # Others convert, again and again: they see what is here, and compute it themselves.


def _cluster(
    view: Mapping[str, Sequence[Tie]], token: str, limits: IdentityLimits
) -> tuple[Cluster | None, Collection[str]]:
    """Returns an identifier's cluster, or the identifiers whose ties must be read before."""
    cluster, wanted = plain_cluster(view, token, limits)
    if cluster is not None:
        return cluster, ()
    wanted = wanted or missing(view, [token], limits)
    return (None, wanted) if wanted else (clusters_of(view, [token], limits)[0], ())


def _behind(party: Sequence[_Home], moved: Sequence[_Home], version: int) -> _Home | None:
    """Returns a journey that changed and has to get a higher version, for clocks of several Redis may disagree.

    Of the journeys of a person the newest tells how new what was computed from them is: it has to be one that changed.
    """
    changed = [home for home in party if home.version and (home.why or (home.is_told and home in moved))]
    if not changed or max(home.version for home in changed) >= version:
        return None
    return changed[0]


def _change(home: _Home, events: Sequence[Sighted]) -> JourneyChange:
    """Returns what goes into a journey."""
    entries: dict[bytes, bytes] = {}
    first: bytes | None = None
    for position in home.events:
        _, _, entry, sighting = events[position]
        if entry is not None:
            entries[entry[0]] = entry[1]
        if sighting is not None and (first is None or sighting < first):
            first = sighting
    workspace, token = home.place
    return JourneyChange(person_key(workspace, token), entries, {} if first is None else {token.encode(): first})
