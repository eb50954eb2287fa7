"""People: which journeys the events of a batch belong to, and whose journeys are one person's.

An event is its most telling identifier's and never moves: it is added to the journey of that identity token. A person
is a set of tokens that follows from what they were seen with (`ties`, `tributary_domain.identity`), and their journey
is the union of those of the tokens, made whenever a conversion asks. So there is nothing to move when people become
one or are taken apart, and nothing that a crash could leave in between.

Whoever adds a conversion tells the person's other journeys when it was, and reads them after; whoever adds a touch is
answered in the same step when the person converted last. So of the two that come at once, one sees both.

Ties and journeys lie in several places and are read one after another, while others write. The version of what is
computed must be below that of whatever it does not know. So it is that of journeys before the last of them was read,
and it is asked afterwards whether the ties were still the same then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import redis.asyncio

from tributary_domain.identity import Cluster, IdentityLimits, Person, clusters_of, missing
from tributary_domain.plain_clusters import plain_cluster
from tributary_domain.ties import Tie
from tributary_runtime.errors import Backpressure
from tributary_storage.redis.firsts import Firsts
from tributary_storage.redis.journey_homes import (
    Home,
    Lives,
    Regrouped,
    SettledPerson,
    Sighted,
    change_of,
    is_bare,
    lagging,
)
from tributary_storage.redis.journey_layout import META, Journey, is_token, unpack_journey
from tributary_storage.redis.journeys import Journeys, Visit
from tributary_storage.redis.tie_layout import HeldTies, unpack_ties
from tributary_storage.redis.ties import IdentityTies, Place, person_key

LimitsOf = Callable[[str], IdentityLimits]
"""Workspace -> what keeps its people apart."""

_ROUNDS: Final = 10
"""Telling a person's journeys of their newest conversion settles in two; others may convert meanwhile."""


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
        self.firsts = Firsts(client, shards)
        self._limits_of = limits_of or (lambda _: IdentityLimits())

    async def settle(
        self,
        events: Sequence[Sighted],
        lives: Lives,
        slack_micros: int,
        regrouped: Mapping[Place, Regrouped] | None = None,
        known: Mapping[Place, HeldTies] | None = None,
    ) -> list[SettledPerson]:
        """Brings events into journeys.

        Args:
            events: In any order.
            lives: How long state lives after this.
            slack_micros: How long after a conversion a touch may still count for it.
            regrouped: Identifiers whose person has changed since their conversions were credited.
            known: Ties of these, as they were written just now; whether they still are is asked as of those read here.

        Returns:
            Each person whose conversions may have changed, once, in the order of their first event; of those who have
            changed also whoever's journeys have expired.

        Raises:
            Backpressure: The people changed again and again while they were read. Run the same again.
            StorageUnavailableError: The state store did not answer. Run the same again.
        """
        regrouped = regrouped or {}
        homes: dict[Place, Home] = {}
        ties: dict[Place, HeldTies] = dict(known or {})
        for position, event in enumerate(events):
            place = event.workspace, event.token
            home = homes.get(place)
            if home is None:
                home = homes[place] = Home(place)
            home.events.append(position)
        changes = [change_of(home, events) for home in homes.values()]
        answers = await self._journeys.apply(
            *(changes, lives.journey_seconds, slack_micros, lives.journey_events, lives.ties_seconds),
            knows_everybody=lives.knows_everybody,
            keeps_seen=lives.keeps_seen,
        )
        asking: list[Place] = []
        for home, answer in zip(homes.values(), answers, strict=True):
            if answer.why:
                home.why, home.version, home.newest_micros = answer.why, answer.version, answer.newest_micros
                home.fields = answer.fields
                ties[home.place] = unpack_ties(home.place[1], answer.ties) if answer.ties else HeldTies()
                asking.append(home.place)
        asking = list(dict.fromkeys([*asking, *regrouped]))
        if not asking:
            return []
        for _ in range(_ROUNDS):
            people = await self._people_of(asking, ties)
            persons = list({(workspace, person): None for (workspace, _), person in people.items()})
            parties = [
                [homes.setdefault((workspace, token), Home((workspace, token))) for token in person.tokens]
                for workspace, person in persons
            ]
            asked = _pending(parties, regrouped)
            await self._tell(asked, regrouped, lives.ties_seconds)
            unsure = [home for party in asked for home in party]
            sure = {party[0].place for party in parties if party not in asked}
            read = {place: held for place, held in ties.items() if place not in sure}
            now = await self._versions(read, [home.place for home in unsure]) if unsure else {}
            if now is not None:
                await self._refresh(unsure, now)
                break
            ties = {}
            for home in homes.values():
                home.fields, home.is_told = None, False
        else:
            raise _moving()
        settled: list[SettledPerson] = []
        for (workspace, person), party in zip(persons, parties, strict=True):
            held = [home.fields for home in party if home.fields]
            changed = [regrouped[home.place] for home in party if home.place in regrouped]
            has_forgotten, is_split = any(h.has_converted for h in party), any(change.is_split for change in changed)
            is_there = any(META in fields for fields in held) or (changed and has_forgotten)
            if (party[0].newest_micros and is_there) or is_split:
                one = SettledPerson(
                    workspace,
                    person.tokens,
                    max(home.why for home in party),
                    unpack_journey(
                        *(person_key(workspace, person.first), held, person.tokens),
                        *(max(home.version for home in party), lives.knows_everybody and not is_bare(party)),
                    ),
                    sorted(position for home in party for position in home.events),
                    any(change.is_merged for change in changed),
                    is_split,
                    any(change.is_again for change in changed),
                    has_forgotten=has_forgotten,
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

    async def find_each(
        self, wanted: Sequence[Place | None], beside: Mapping[Place, Mapping[bytes, bytes]] | None = None
    ) -> list[Journey | None]:
        """Reads the journeys of the people that identifiers belong to; that of one person once, and it is one object.

        Args:
            wanted: Workspace and token of each; None has no journey.
            beside: Events that journeys have forgotten, by identifier, as journeys have them.

        Raises:
            Backpressure: The people changed again and again while they were read.
            StorageUnavailableError: The state store did not answer.
        """
        places = {place for place in wanted if place is not None}
        for _ in range(_ROUNDS):
            ties: dict[Place, HeldTies] = {}
            people = await self._people_of(places, ties)
            homes = {(workspace, token): None for (workspace, _), person in people.items() for token in person.tokens}
            versions = await self._versions(ties, homes) if homes else {}
            if versions is not None:
                break
        else:
            raise _moving()
        read = await self._journeys.read_each([person_key(*place) for place in homes])
        fields = dict(zip(homes, read, strict=True))
        journeys: dict[tuple[str, str], Journey | None] = {}
        for (workspace, _), person in people.items():
            name = workspace, person.first
            if name not in journeys:
                held = [own for token in person.tokens if (own := fields[workspace, token])]
                is_there = any(META in own for own in held)
                for token in person.tokens if beside else ():
                    if forgotten := _without(fields[workspace, token], (beside or {}).get((workspace, token))):
                        held.append(forgotten)
                        is_there = True
                version = max(versions[workspace, token] for token in person.tokens)
                first = person_key(workspace, person.first)
                journeys[name] = unpack_journey(first, held, person.tokens, version) if is_there else None
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
        """Says who identifiers are: these alone, and nobody who is only connected with them.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        known = await self._people_of(places, {})
        return {place: known[place] for place in places if place in known}

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

    async def _people_of(self, places: Collection[Place], ties: dict[Place, HeldTies]) -> dict[Place, Person]:
        """Does so, from ties that were read and others that are read now and added to them."""
        views: dict[str, dict[str, tuple[Tie, ...]]] = defaultdict(dict)
        for (workspace, token), held in ties.items():
            views[workspace][token] = held.ties
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
            read = await self.ties.read(lacking) if lacking else {}
            ties |= read
            for (workspace, token), held in read.items():
                views[workspace][token] = held.ties
        return people

    async def _versions(self, ties: Mapping[Place, HeldTies], homes: Collection[Place]) -> dict[Place, int] | None:
        """Returns the versions of journeys now; None if ties are not any more what was read of them."""
        places = list({**ties, **dict.fromkeys(homes)})
        found = await self._journeys.versions([person_key(*place) for place in places])
        now = dict(zip(places, found, strict=True))
        if any(now[place].ties != held.version for place, held in ties.items()):
            return None
        return {place: now[place].journey for place in homes}

    async def _refresh(self, homes: Sequence[Home], now: Mapping[Place, int]) -> None:
        """Reads again what was written while others were read; the version stays that of before."""
        changed = [home for home in homes if now[home.place] != home.version]
        read = await self._journeys.read_each([person_key(*home.place) for home in changed])
        for home, fields in zip(changed, read, strict=True):
            home.fields = fields

    async def _tell(
        self, pending: Sequence[Sequence[Home]], regrouped: Mapping[Place, Regrouped], ties_seconds: int
    ) -> None:
        """Tells the journeys of each person when they converted last, and reads them, until all of them know."""
        for home in (home for party in pending for home in party if home.place in regrouped):
            home.fields = None  # to be read again, with a version above all that was computed before
        # The highest version, until the first visit, of the journeys of all whose people changed: what was computed
        # before may have seen any of them, and nothing newer, for from then on their ties were others.
        highest = 0
        for number in range(_ROUNDS):
            visits: list[tuple[Home, Visit]] = []
            for party in pending:
                newest, version = (max(own) for own in zip(*((h.newest_micros, h.version) for h in party), strict=True))
                moved = [home for home in party if home.place in regrouped]
                least = max(version, highest + 1) if moved else version
                behind = lagging(party, moved, least)
                for home in party:
                    floor = least if home is behind else 0
                    if home in moved and not home.is_told:
                        floor = max(1, version)
                    if floor or home.newest_micros < newest or not (home.is_told or home.fields):
                        visits.append((home, Visit(person_key(*home.place), newest, floor)))
            if not visits:
                return
            answers = await self._journeys.visit([visit for _, visit in visits], ties_seconds)
            for (home, _), answer in zip(visits, answers, strict=True):
                home.version, before, home.newest_micros, home.fields, *expired = answer
                home.has_expired, home.has_converted = expired
                home.is_told = True
                if number == 0 and home.place in regrouped:
                    highest = max(highest, before)
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


def _pending(parties: Sequence[Sequence[Home]], regrouped: Mapping[Place, Regrouped]) -> list[Sequence[Home]]:
    """Returns those of whom not all is read: of the others there is one journey, read with its ties in one step."""
    return [party for party in parties if len(party) > 1 or party[0].place in regrouped or party[0].fields is None]


def _without(held: Mapping[bytes, bytes], events: Mapping[bytes, bytes] | None) -> dict[bytes, bytes]:
    """Returns those of some events that a journey does not hold."""
    return {name: one for name, one in (events or {}).items() if name not in held}


def _moving() -> Backpressure:
    return Backpressure("People changed again and again while they were read.", pause_seconds=0.2)
