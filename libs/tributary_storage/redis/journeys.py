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
from tributary_storage.redis.state_scripts import by_shard, run, unavailable

_RESOLVE: Final = Script("resolve_people")
_FREEZE: Final = Script("freeze_journeys")
_APPLY: Final = Script("apply_journeys")
_DRAIN: Final = Script("drain_journeys")

_FIELDS_PER_CALL: Final = 1000
"""Lua passes at most some 8 000 values to one command."""


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
        self, changes: Sequence[JourneyChange], life_seconds: int, slack_micros: int
    ) -> list[AppliedJourney | MovedJourney]:
        """Adds events to journeys, each event once.

        Args:
            changes: One per journey.
            life_seconds: How long the journeys live after this.
            slack_micros: How long after a conversion a touch may still count for it.

        Returns:
            One answer per change, in order.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        answers: list[Any] = [None] * len(changes)
        shards = by_shard((shard_of_key(change.person_key, self._shards), at) for at, change in enumerate(changes))
        plan: list[int] = []
        calls: list[tuple[Sequence[Argument], Sequence[Argument]]] = []
        for shard, positions in shards.items():
            names: list[Argument] = []
            arguments: list[Argument] = [life_seconds, slack_micros]
            size = 0
            for at in positions:
                for part in _parts(changes[at]):
                    names.append(keys.journey(shard, changes[at].person_key))
                    arguments += part
                    plan.append(at)
                    size += 1
            calls.append((names, arguments))
        for at, answer in zip(plan, chain.from_iterable(await run(self._client, _APPLY, calls)), strict=True):
            answers[at] = answer
        return [_applied(answer) for answer in answers]

    async def read(self, person_key: str) -> dict[bytes, bytes]:
        """Returns the fields of one journey; empty if there is none.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        name = keys.journey(shard_of_key(person_key, self._shards), person_key)
        try:
            fields: dict[bytes, bytes] = await self._client.hgetall(name)  # type: ignore[assignment]  # bytes, not text
        except redis.RedisError as error:
            raise unavailable() from error
        return fields

    async def _each(
        self,
        script: Script,
        person_keys: Sequence[str],
        life_seconds: int,
        arguments_of: Any = None,
    ) -> dict[str, Any]:
        """Runs a script that takes one key per journey; returns its answer per journey."""
        shards = by_shard((shard_of_key(key, self._shards), at) for at, key in enumerate(person_keys))
        calls = []
        for shard, positions in shards.items():
            names = [keys.journey(shard, person_keys[at]) for at in positions]
            arguments: list[Argument] = [life_seconds]
            if arguments_of is not None:
                for at in positions:
                    arguments += arguments_of(person_keys[at])
            calls.append((names, arguments))
        found: dict[str, Any] = {}
        for positions, answer in zip(shards.values(), await run(self._client, script, calls), strict=True):
            if isinstance(answer, list):
                found.update((person_keys[at], each) for at, each in zip(positions, answer, strict=True))
        return found


def _parts(change: JourneyChange) -> Iterator[list[Argument]]:
    """Yields the arguments of a change, in parts where it is large; tokens, which say that all is there, last."""
    entries = list(change.entries.items())
    while len(entries) > _FIELDS_PER_CALL:
        part, entries = entries[:_FIELDS_PER_CALL], entries[_FIELDS_PER_CALL:]
        yield [0, 0, len(part), 0, *chain.from_iterable(part)]
    yield [
        change.floor,
        change.create_time_micros,
        len(entries),
        len(change.sightings),
        *chain.from_iterable(entries),
        *chain.from_iterable(change.sightings.items()),
    ]


def _applied(answer: Sequence[Any]) -> AppliedJourney | MovedJourney:
    if answer[0] is not None:
        return MovedJourney(answer[0].decode(), answer[1] <= 1)
    return AppliedJourney(answer[1], answer[2], None if answer[3] is None else _fields(answer[3]))


def _fields(flat: Iterable[bytes]) -> dict[bytes, bytes]:
    """Pairs up what HGETALL answers in a script."""
    pairs = iter(flat)
    return dict(zip(pairs, pairs, strict=True))
