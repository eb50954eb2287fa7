"""People: which journey the events of a batch belong to, and journeys that become one.

A person is known by identity tokens; each token's own person id is a person key, so one that was never linked needs no
entry at all. An event with several tokens says that they are one person: all but the smallest key become aliases.
The steps of a merge (freeze the others, copy their fields in this event's own `apply`, empty them) may be repeated by
anyone, and whoever meets a journey that was frozen but not emptied finishes it. So the causing event, which is
acknowledged last, is all that is needed to resume; and what arrives in any order ends in one place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import redis.asyncio

from tributary_domain.ids import person_id
from tributary_storage.redis.journey_layout import ALIAS, META, Journey, meta_of, unpack_journey
from tributary_storage.redis.journeys import AppliedJourney, JourneyChange, Journeys, MovedJourney

_ROUNDS: Final = 32
"""A merge settles in two or three; more are a circle, which smaller-key-wins excludes."""

person_key = lru_cache(maxsize=1 << 17)(person_id)
"""(workspace, identity token) -> the person key the token has by itself."""


class Sighted(NamedTuple):
    """What one event says about people."""

    workspace: str
    tokens: Sequence[str]
    """All of one person."""
    entry: tuple[bytes, bytes] | None
    """Field and value for the journey."""
    sightings: Sequence[bytes]
    """One per token; empty if the event is quarantined and proves nothing."""


class Lives(NamedTuple):
    """How long state lives after the last event that used it."""

    journey_seconds: int
    alias_seconds: int
    """Of identity tokens that are another person's: longer, because an order may name a customer who logged in long
    ago, and it is his journey of yesterday that led to it."""
    journey_events: int = 4_000
    """How many events of one person are kept at least where there are more."""


@dataclass(slots=True)
class SettledPerson:
    """A person as the batch left it."""

    workspace: str
    person_key: str
    version: int
    why: int
    """0: no conversion changed; 1: those near the new events in time; 2: any of this person."""
    is_merged: bool
    """Whether journeys became one."""
    journey: Journey | None
    """None where `why` is 0."""
    events: list[int]
    """Positions in the batch."""


class _Gathering:
    """People who are one, as far as is known."""

    __slots__ = ("events", "frozen", "keys", "tops", "workspace")

    def __init__(self, workspace: str, key: str) -> None:
        self.workspace = workspace
        self.tops = {key}
        """Journeys that may be live; the smallest stays."""
        self.keys = {key}
        self.frozen: dict[str, Mapping[bytes, bytes]] = {}
        """Journeys that moved, with what they held."""
        self.events: list[int] = []
        """Positions in the batch."""

    @property
    def winner(self) -> str:
        return next(iter(self.tops)) if len(self.tops) == 1 else min(self.tops)


class People:
    """Leads events to journeys. Every method may run twice, and at once in several processes."""

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        """Takes the Redis of role state and the shard count of its epoch."""
        self._journeys = Journeys(client, shards)

    async def settle(self, events: Sequence[Sighted], lives: Lives, slack_micros: int) -> list[SettledPerson]:
        """Brings events into the journeys of their people, uniting people whom an event shows to be one.

        Args:
            events: In any order; each with at least one token.
            lives: How long state lives after this.
            slack_micros: How long after a conversion a touch may still count for it.

        Returns:
            Each person once, in the order of their first event.

        Raises:
            StorageUnavailableError: The state store did not answer. Run the same again.
        """
        gatherings = _Gatherings(events)
        await self._look_up(gatherings, gatherings.keys, lives.alias_seconds)
        pending = gatherings.all()
        settled: dict[str, SettledPerson] = {}
        drains: list[tuple[str, str, bool]] = []
        for _ in range(_ROUNDS):
            if not pending:
                break
            await self._freeze(gatherings, lives.alias_seconds)
            pending = gatherings.still(pending)
            changes = [_change(gathering, events) for gathering in pending]
            answers = await self._journeys.apply(changes, lives.journey_seconds, slack_micros, lives.journey_events)
            moved: list[_Gathering] = []
            for gathering, answer in zip(pending, answers, strict=True):
                if isinstance(answer, MovedJourney):
                    gatherings.move(gathering.winner, answer.alias, is_empty=answer.is_empty)
                    moved.append(gathering)
                else:
                    settled[gathering.winner] = _settled(gathering, answer)
                    if gathering.frozen:
                        drains.extend(_drains(gathering))
            pending = gatherings.still(moved)
        else:
            raise RuntimeError("people do not settle: the aliases make a circle")
        await self._journeys.drain(drains, lives.alias_seconds)
        return [settled[gathering.winner] for gathering in gatherings.all()]

    async def find(self, workspace: str, person_keys: Iterable[str]) -> Journey | None:
        """Reads the journey that the first of these keys with one leads to; None if none does.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        [journey] = await self.find_each([(workspace, list(person_keys))])
        return journey

    async def find_each(self, wanted: Sequence[tuple[str, Sequence[str]]]) -> list[Journey | None]:
        """Does so for many at once; a journey that several lead to is read once and is one object.

        Args:
            wanted: Workspace and person keys of each.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        fields: dict[str, Mapping[bytes, bytes]] = {}
        journeys: dict[str, Journey] = {}
        found: list[Journey | None] = [None] * len(wanted)
        left = {index: list(person_keys) for index, (_, person_keys) in enumerate(wanted)}
        left = {index: person_keys for index, person_keys in left.items() if person_keys}
        while left:
            places = {person_keys[0]: None for person_keys in left.values() if person_keys[0] not in fields}
            fields.update(zip(places, await self._journeys.read_each(list(places)), strict=True))
            for index, person_keys in list(left.items()):
                at = person_keys[0]
                held = fields[at]
                if ALIAS in held:
                    person_keys[0] = held[ALIAS].decode()
                elif META in held:
                    if at not in journeys:
                        journeys[at] = unpack_journey(wanted[index][0], at, held)
                    found[index] = journeys[at]
                    del left[index]
                else:
                    del person_keys[0]
                    if not person_keys:
                        del left[index]
        return found

    async def _look_up(self, gatherings: _Gatherings, keys: Collection[str], life_seconds: int) -> None:
        for key, place in (await self._journeys.resolve(keys, life_seconds)).items():
            if place is not None:
                gatherings.move(key, place.alias, is_empty=place.is_empty)

    async def _freeze(self, gatherings: _Gatherings, life_seconds: int) -> None:
        """Freezes all but one journey of each gathering, until no alias leads to a new one."""
        for _ in range(_ROUNDS):
            losers = gatherings.losers()
            if not losers:
                return
            for loser, (alias, fields) in (await self._journeys.freeze(losers, life_seconds)).items():
                gatherings.freeze(loser, alias, fields)
        raise RuntimeError("people do not settle: the aliases make a circle")


class _Gatherings:
    """The gatherings of a batch: disjoint sets of person keys that grow together."""

    def __init__(self, events: Sequence[Sighted]) -> None:
        self._of: dict[str, _Gathering] = {}
        self._unfinished: set[str] = set()
        for position, event in enumerate(events):
            keys = [person_key(event.workspace, token) for token in event.tokens]
            gathering = self._at(event.workspace, keys[0])
            for key in keys[1:]:
                gathering = self._join(gathering, self._at(event.workspace, key))
            gathering.events.append(position)

    @property
    def keys(self) -> list[str]:
        """Every person key that is known."""
        return list(self._of)

    def all(self) -> list[_Gathering]:
        """Each gathering once."""
        return list({id(gathering): gathering for gathering in self._of.values()}.values())

    def still(self, gatherings: Iterable[_Gathering]) -> list[_Gathering]:
        """Returns what those gatherings have become, each once."""
        found = {}
        for gathering in gatherings:
            current = self._of[next(iter(gathering.keys))]
            found[id(current)] = current
        return list(found.values())

    def move(self, key: str, alias: str, *, is_empty: bool) -> None:
        """Notes that a journey has moved; one that is not empty is still to be copied."""
        gathering = self._of[key]
        gathering.tops.discard(key)
        if alias not in gathering.keys:
            gathering = self._join(gathering, self._at(gathering.workspace, alias))
        if not is_empty and key not in gathering.frozen:
            self._unfinished.add(key)

    def freeze(self, key: str, alias: str, fields: Mapping[bytes, bytes]) -> None:
        """Notes what a frozen journey held and where it points."""
        self._unfinished.discard(key)
        self.move(key, alias, is_empty=True)
        self._of[key].frozen[key] = fields

    def losers(self) -> dict[str, str]:
        """Returns the journeys to be frozen -> the person key they move to."""
        losers = {key: self._of[key].winner for key in self._unfinished}
        for gathering in self.all():
            if len(gathering.tops) > 1:
                winner = gathering.winner
                losers |= {key: winner for key in gathering.tops if key != winner}
        return losers

    def _at(self, workspace: str, key: str) -> _Gathering:
        gathering = self._of.get(key)
        if gathering is None:
            gathering = self._of[key] = _Gathering(workspace, key)
        return gathering

    def _join(self, one: _Gathering, other: _Gathering) -> _Gathering:
        if one is other:
            return one
        if len(one.keys) < len(other.keys):
            one, other = other, one
        one.tops |= other.tops
        one.frozen |= other.frozen
        one.keys |= other.keys
        one.events += other.events
        for key in other.keys:
            self._of[key] = one
        return one


def _change(gathering: _Gathering, events: Sequence[Sighted]) -> JourneyChange:
    """Returns what goes into the journey that stays: the batch's own events, and the fields of those that moved."""
    entries: dict[bytes, bytes] = {}
    sightings: dict[bytes, bytes] = {}
    asks_for_all = False
    held = [meta_of(fields) for fields in gathering.frozen.values()]
    version = max((meta.version for meta in held), default=0)
    for fields in gathering.frozen.values():
        for name, value in fields.items():
            if len(name) == 8:
                entries[name] = value
            elif len(name) > 1:
                _note(sightings, name, value)
    for position in gathering.events:
        event = events[position]
        if event.entry is not None:
            entries[event.entry[0]] = event.entry[1]
        elif len(event.tokens) > 1:
            asks_for_all = True  # without an entry the journey cannot tell whether this link was here before
        for token, sighting in zip(event.tokens, event.sightings, strict=bool(event.sightings)):
            _note(sightings, token.encode(), sighting)
    return JourneyChange(
        person_key=gathering.winner,
        entries=entries,
        sightings=sightings,
        floor=version or (-1 if asks_for_all else 0),
        create_time_micros=max((meta.create_time_micros for meta in held), default=0),
        trimmed_seconds=max((meta.trimmed_seconds for meta in held), default=0),
        has_lost_touches=any(meta.has_lost_touches for meta in held),
    )


def _note(sightings: dict[bytes, bytes], token: bytes, sighting: bytes) -> None:
    known = sightings.get(token)
    if known is None or sighting < known:
        sightings[token] = sighting


def _settled(gathering: _Gathering, answer: AppliedJourney) -> SettledPerson:
    journey = None
    if answer.fields is not None:
        journey = unpack_journey(gathering.workspace, gathering.winner, answer.fields)
    return SettledPerson(
        workspace=gathering.workspace,
        person_key=gathering.winner,
        version=answer.version,
        why=answer.why,
        is_merged=any(META in fields for fields in gathering.frozen.values()),
        journey=journey,
        events=gathering.events,
    )


def _drains(gathering: _Gathering) -> Iterable[tuple[str, str, bool]]:
    """Yields what is to be emptied, and what is to be pointed straight at the journey that stays."""
    winner = gathering.winner
    emptied = {key for key, fields in gathering.frozen.items() if META in fields}
    for key in emptied:
        yield key, winner, True
        for name in gathering.frozen[key]:
            if len(name) > 8:
                other = person_key(gathering.workspace, name.decode())
                if other != winner and other not in emptied:
                    yield other, winner, False
