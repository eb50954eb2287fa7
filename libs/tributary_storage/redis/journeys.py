"""Journeys: one hash per person, to which events are added once each.

`apply` adds the events of many people in one round trip and answers a whole journey only where a conversion may have
changed, and always for an event that was here before: its first run may have stopped between adding and publishing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple

import redis.asyncio

from tributary_domain.shards import shard_of_key
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run

_RESOLVE: Final = Script("resolve_people")
_FREEZE: Final = Script("freeze_journeys")
_APPLY: Final = Script("apply_journeys")
_DRAIN: Final = Script("drain_journeys")

_FIELDS_PER_PART: Final = 1000
"""Lua passes at most some 8 000 values to one command."""

_ANSWER_ALL: Final = -1
"""A floor that moves nothing: answers the whole journey if it has a conversion; any of these may have changed."""
_ANSWER_BY_TIME: Final = -2
"""Likewise; but only those near the new events in time may have changed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a journey has moved."""

    alias: str
    """The person key it points to."""
    is_empty: bool
    """Whether what it held is there."""


class JourneyChange(NamedTuple):
    """What is added to one journey."""

    person_key: str
    entries: Mapping[bytes, bytes]
    """Fields and values (`journey_layout`)."""
    sightings: Mapping[bytes, bytes]
    """Identity tokens and sightings."""
    floor: int = 0
    """The newest version of journeys that are moved into this one; 0: none; -1: none, but answer the whole journey."""
    create_time_micros: int = 0
    """The newest create time of those journeys."""
    trimmed_seconds: int = 0
    """The latest second up to which one of them was trimmed."""
    has_lost_touches: bool = False
    """Whether a touch of one of them was trimmed."""


class AppliedJourney(NamedTuple):
    """A journey that took a change."""

    version: int
    why: int
    """0: no conversion changed; 1: those near the new events in time; 2: any of this journey."""
    fields: Mapping[bytes, bytes] | None
    """The whole journey; None where `why` is 0."""


class MovedJourney(NamedTuple):
    """A journey that has moved and took nothing."""

    alias: str
    is_empty: bool


class Journeys:
    """The journeys in the state store."""

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        """Takes the Redis of role state and the shard count of its epoch."""
        self._client = client
        self._shards = shards

    async def resolve(self, person_keys: Collection[str], life_seconds: int) -> dict[str, Place | None]:
        """Says where journeys have moved: one step along the aliases; None where one has not, or never was.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        answers = await self._each(_RESOLVE, list(person_keys), life_seconds)
        return {
            key: None if answer is None else Place(answer[0].decode(), not answer[1]) for key, answer in answers.items()
        }

    async def freeze(self, losers: Mapping[str, str], life_seconds: int) -> dict[str, tuple[str, dict[bytes, bytes]]]:
        """Makes journeys point elsewhere, unless they do already; they take no more events.

        Args:
            losers: Person key -> the person key it moves to.
            life_seconds: How long the pointer lives.

        Returns:
            Person key -> the alias that holds, and the fields still in the journey.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        answers = await self._each(_FREEZE, list(losers), life_seconds, lambda key: (losers[key],))
        return {key: (answer[0].decode(), _fields(answer[1])) for key, answer in answers.items()}

    async def drain(self, targets: Sequence[tuple[str, str, bool]], life_seconds: int) -> None:
        """Empties journeys whose fields were copied, and shortens aliases.

        Args:
            targets: (person key, person key to point at, whether it may be emptied).
            life_seconds: How long the pointers live.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        plan: dict[str, tuple[str, int]] = {}
        for key, target, empties in targets:
            if key not in plan or empties:
                plan[key] = (target, int(empties))
        await self._each(_DRAIN, list(plan), life_seconds, plan.__getitem__)

    async def apply(
        self, changes: Sequence[JourneyChange], life_seconds: int, slack_micros: int, events_kept: int = 4_000
    ) -> list[AppliedJourney | MovedJourney]:
        """Adds events to journeys, each event once.

        Args:
            changes: One per journey.
            life_seconds: How long the journeys live after this.
            slack_micros: How long after a conversion a touch may still count for it.
            events_kept: How many events of a journey stay at least where there are too many.

        Returns:
            One answer per change, in order.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        owners: list[int] = []
        pieces: list[Piece] = []
        for at, change in enumerate(changes):
            shard = shard_of_key(change.person_key, self._shards)
            for part in _parts(change):
                pieces.append(Piece(shard, keys.journey(shard, change.person_key), part))
                owners.append(at)
        calls, positions = in_calls(pieces, (life_seconds, slack_micros, events_kept))
        answers: list[Any] = [None] * len(changes)
        for own, answer in zip(positions, await run(self._client, _APPLY, calls), strict=True):
            for position, each in zip(own, answer, strict=True):
                answers[owners[position]] = each  # of several parts the last answers
        return [_applied(answer) for answer in answers]

    async def read_each(self, person_keys: Sequence[str]) -> list[dict[bytes, bytes]]:
        """Returns the fields of journeys, in order; empty where there is none.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        if not person_keys:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for key in person_keys:
            pipeline.hgetall(keys.journey(shard_of_key(key, self._shards), key))
        try:
            answers: list[dict[bytes, bytes]] = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        return answers

    async def _each(
        self,
        script: Script,
        person_keys: Sequence[str],
        life_seconds: int,
        arguments_of: Any = None,
    ) -> dict[str, Any]:
        """Runs a script that takes one key per journey; returns its answer per journey."""
        pieces: list[Piece] = []
        for key in person_keys:
            shard = shard_of_key(key, self._shards)
            pieces.append(Piece(shard, keys.journey(shard, key), () if arguments_of is None else arguments_of(key)))
        calls, positions = in_calls(pieces, (life_seconds,))
        found: dict[str, Any] = {}
        for own, answer in zip(positions, await run(self._client, script, calls), strict=True):
            if isinstance(answer, list):
                found.update((person_keys[at], each) for at, each in zip(own, answer, strict=True))
        return found


def _parts(change: JourneyChange) -> Iterator[list[Argument]]:
    """Yields the arguments of a change, in parts where it is large, entries first.

    Every part may be the last that happens before a crash: the next run finds what is there, adds the rest, and is
    answered the whole journey. Only the last part says how new the journey is and answers: after all that was added.
    """
    entries, sightings = list(change.entries.items()), list(change.sightings.items())
    floor = change.floor
    while len(entries) + len(sightings) > _FIELDS_PER_PART:
        some, entries = entries[:_FIELDS_PER_PART], entries[_FIELDS_PER_PART:]
        room = _FIELDS_PER_PART - len(some)
        others, sightings = sightings[:room], sightings[room:]
        # A token that was known before may mean that a merge is unfinished: the last part has to see all of them.
        floor = change.floor or (_ANSWER_ALL if others else _ANSWER_BY_TIME if floor != _ANSWER_ALL else floor)
        yield [0, 0, 0, 0, len(some), len(others), *chain.from_iterable(some), *chain.from_iterable(others)]
    yield [
        floor,
        change.create_time_micros,
        change.trimmed_seconds,
        int(change.has_lost_touches),
        len(entries),
        len(sightings),
        *chain.from_iterable(entries),
        *chain.from_iterable(sightings),
    ]


def _applied(answer: Sequence[Any]) -> AppliedJourney | MovedJourney:
    if answer[0] is not None:
        return MovedJourney(answer[0].decode(), answer[1] <= 1)
    return AppliedJourney(answer[1], answer[2], None if answer[3] is None else _fields(answer[3]))


def _fields(flat: Iterable[bytes]) -> dict[bytes, bytes]:
    """Pairs up what HGETALL answers in a script."""
    pairs = iter(flat)
    return dict(zip(pairs, pairs, strict=True))
