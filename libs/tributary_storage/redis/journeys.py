"""Journeys: one hash per identity token, to which events are added once each, and from which none ever moves.

`apply` adds the events of many people in one round trip and answers a whole journey only where a conversion may have
changed, and always for an event that was here before: its first run may have stopped between adding and publishing.
A person's journey is the union of those of their identifiers: `visit` tells each when the person converted last, so
that an event at any of them is known to matter, and reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import redis.asyncio

from tributary_domain.shards import shard_of_key
from tributary_storage.redis import keys
from tributary_storage.redis.firsts import MOST_WITH_ID
from tributary_storage.redis.journey_layout import EVENT_BYTES
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run
from tributary_storage.redis.trace_layout import BESIDE, LIFE_SECONDS

_APPLY: Final = Script("apply_journeys")
_VISIT: Final = Script("visit_journeys")
_VERSIONS: Final = Script("read_versions")

_BESIDE: Final = bytes([BESIDE])
_FIELDS_PER_PART: Final = 1000
"""Lua passes at most some 8 000 values to one command."""


class JourneyChange(NamedTuple):
    """What is added to one journey."""

    person_key: str
    entries: Mapping[bytes, bytes]
    """Fields and values (`journey_layout`)."""
    sightings: Mapping[bytes, bytes]
    """Identity tokens and sightings."""
    traces: Sequence[bytes] = ()
    """Slots and traces by turns (`trace_layout.pack_traces`)."""


class AppliedJourney(NamedTuple):
    """A journey that took a change."""

    version: int
    why: int
    """0: no conversion changed; 1: those near the new events in time; 2: any of the person."""
    newest_micros: int
    """When the person converted last, as far as the journey was told; 0: never."""
    fields: Mapping[bytes, bytes] | None
    """The whole journey, with what was decided under its identifier, its traces, and what carries the id of a click or
    an interaction and it may have forgotten; None where `why` is 0."""
    ties: Sequence[bytes] = ()
    """Fields and values of what its identifier was seen with (`tie_layout`), where `why` is not 0."""


class Versions(NamedTuple):
    """How new a journey is; 0: there is none."""

    journey: int
    ties: int


class Visit(NamedTuple):
    """What a journey is told."""

    person_key: str
    newest_micros: int = 0
    """When its person converted last."""
    floor: int = 0
    """The version it shall be above; 0: none."""


class VisitedJourney(NamedTuple):
    """What a journey answers."""

    version: int
    """0: there is none."""
    version_before: int
    """What it was until this visit."""
    newest_micros: int
    """When its person converted last."""
    fields: Mapping[bytes, bytes] | None
    """The whole journey, with what was decided under its identifier and its traces; None where there is none of it, or
    its person never converted."""
    has_expired: bool = False
    """Whether there is none any more: somebody came under its identifier."""
    has_converted: bool = False
    """Whether there is none any more, and somebody converted under its identifier."""


class Journeys:
    """The journeys in the state store."""

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        """Takes the Redis of role state and the shard count of its epoch."""
        self._client = client
        self._shards = shards

    async def apply(
        self,
        changes: Sequence[JourneyChange],
        life_seconds: int,
        slack_micros: int,
        events_kept: int = 4_000,
        ties_seconds: int = 0,
        *,
        knows_everybody: bool = True,
        keeps_seen: bool = False,
    ) -> list[AppliedJourney]:
        """Adds events to journeys, each event once.

        Args:
            changes: One per journey.
            life_seconds: How long the journeys live after this.
            slack_micros: How long after a conversion a touch may still count for it.
            events_kept: How many events of a journey stay at least where there are too many.
            ties_seconds: How long what their identifiers were seen with lives; 0: as long.
            knows_everybody: Whether whoever is not known was never here: nothing was lost, or all is back.
            keeps_seen: Whether it is known of whoever only saw something that they were here.

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
        lives = max(ties_seconds, life_seconds), LIFE_SECONDS
        head = (life_seconds, slack_micros, events_kept, *lives, int(knows_everybody), int(keeps_seen), MOST_WITH_ID)
        calls, positions = in_calls(pieces, head)
        answers: list[Any] = [None] * len(changes)
        for own, answer in zip(positions, await run(self._client, _APPLY, calls), strict=True):
            for position, each in zip(own, answer, strict=True):
                answers[owners[position]] = each  # of several parts the last answers
        return [_applied(answer) for answer in answers]

    async def read_each(self, person_keys: Sequence[str]) -> list[dict[bytes, bytes]]:
        """Returns the fields of journeys, with what was decided and is kept beside them, in order; empty: nothing.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        if not person_keys:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for key in person_keys:
            shard = shard_of_key(key, self._shards)
            pipeline.hgetall(keys.journey(shard, key))
            pipeline.hgetall(keys.consent(shard, key))
            pipeline.hgetall(keys.traces(shard, key))
            pipeline.hgetall(keys.firsts(shard, key))
        try:
            answers: list[dict[bytes, bytes]] = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        return [
            {name: one for name, one in firsts.items() if len(name) == EVENT_BYTES}
            | journey
            | said
            | {_BESIDE + field: value for field, value in left.items()}
            for journey, said, left, firsts in zip(*(answers[part::4] for part in range(4)), strict=True)
        ]

    async def visit(self, visits: Sequence[Visit], ties_seconds: int) -> list[VisitedJourney]:
        """Tells journeys when their people converted last, and reads them.

        Args:
            visits: One per journey.
            ties_seconds: How long what their identifiers were seen with lives after this.

        Returns:
            One answer per visit, in order.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        pieces = []
        for key, newest_micros, floor in visits:
            shard = shard_of_key(key, self._shards)
            pieces.append(Piece(shard, keys.journey(shard, key), (newest_micros, floor)))
        calls, positions = in_calls(pieces, (ties_seconds,))
        found: list[Any] = [None] * len(visits)
        for own, answer in zip(positions, await run(self._client, _VISIT, calls), strict=True):
            for at, (version, before, newest, flat) in zip(own, answer, strict=True):
                fields = None if flat is None else _fields(flat)
                found[at] = VisitedJourney(max(0, version), before, newest, fields, version < 0, version == -1)
        return found

    async def versions(self, person_keys: Sequence[str]) -> list[Versions]:
        """Returns how new journeys are, and what their identifiers were seen with, in order.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pieces = []
        for key in person_keys:
            shard = shard_of_key(key, self._shards)
            pieces.append(Piece(shard, keys.journey(shard, key)))
        calls, positions = in_calls(pieces)
        found: list[Any] = [None] * len(pieces)
        for own, answer in zip(positions, await run(self._client, _VERSIONS, calls), strict=True):
            for at, each in zip(own, answer, strict=True):
                found[at] = Versions(*each)
        return found


def _parts(change: JourneyChange) -> Iterator[list[Argument]]:
    """Yields the arguments of a change, in parts where it is large, entries first.

    Every part may be the last that happens before a crash: the next run finds what is there, adds the rest, and is
    answered the whole journey. Only the last part answers: after all that was added.
    """
    _, entries, sightings, traces = change
    asks = 0
    if len(entries) + len(sightings) > _FIELDS_PER_PART:
        fields, tokens = list(entries.items()), list(sightings.items())
        while len(fields) + len(tokens) > _FIELDS_PER_PART:
            some, fields = fields[:_FIELDS_PER_PART], fields[_FIELDS_PER_PART:]
            room = _FIELDS_PER_PART - len(some)
            others, tokens = tokens[:room], tokens[room:]
            asks = 1
            yield [0, len(some), len(others), 0, *chain.from_iterable(some), *chain.from_iterable(others)]
        entries, sightings = dict(fields), dict(tokens)
    part: list[Argument] = [asks, len(entries), len(sightings), len(traces) // 2]
    for field in entries.items():
        part += field
    for field in sightings.items():
        part += field
    part += traces
    yield part


def _applied(answer: Sequence[Any]) -> AppliedJourney:
    if not answer[1]:
        return AppliedJourney(answer[0], 0, answer[2], None)
    version, why, newest, fields, ties = answer
    return AppliedJourney(version, why, newest, _fields(fields), ties)


def _fields(flat: Iterable[bytes]) -> dict[bytes, bytes]:
    """Pairs up what HGETALL answers in a script."""
    pairs = iter(flat)
    return dict(zip(pairs, pairs, strict=True))
