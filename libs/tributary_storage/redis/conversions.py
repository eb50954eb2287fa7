"""Conversions: what events say about each, what was published last, and what is not published everywhere yet.

An adjustment and its conversion keep their parts in one hash, and each first writes its own part and then reads all:
one of the two always sees both, whichever comes first. `publish` is a compare-and-set on the last revision, the number
of parts and the version of the journey: what was computed from less than is known now is refused. A published revision
stays marked until ClickHouse and the conversion log have it, so a crash between any two steps loses none. The path
that a conversion is counted as for data_driven changes in the same step as what is published, and the change is noted
beside it (`converted_paths`): both lie in one shard, so that not even an older copy of it tears them apart.

Fields of a conversion, here and in `deferred`:

| field         | holds                                                                                          |
|---------------|------------------------------------------------------------------------------------------------|
| 8 bytes       | a part, by event hash: what one event says about it (`codec.conversion_parts`)                  |
| `n`           | number of parts                                                                                |
| `r`           | the last published revision                                                                    |
| `j`           | version of the newest journey that something was computed from                                 |
| `s`           | the last published `ConversionRevised`, without the differences of credit                      |
| `u<revision>` | a `ConversionRevised` that ClickHouse and the conversion log may lack                          |
| `l`           | the last loss of this store after which ClickHouse was asked what it knows                     |
| `f`           | of an id that an event has by itself: the order that the event observed; its parts go there    |
| `d`, `e`      | where it waits to be credited again: why, and how often that was asked for                     |
| `c`           | as what path it is counted in `paths` (`codec.counted_paths`)                                  |
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, NamedTuple

import redis.asyncio

from tributary_domain.shards import shard_of_key
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run

_OBSERVE: Final = Script("observe_conversions")
_PUBLISH: Final = Script("publish_conversions")
_EMIT: Final = Script("emit_revisions")
_RESTORE: Final = Script("restore_conversions")
_REPLACE: Final = Script("replace_fields")

_PARTS_AT_ONCE: Final = 1000
_PART_FIELD_BYTES: Final = 8
_PENDING: Final = b"u"
_ANY: Final = "any"
"""The place of what was published in a shard that nobody knows."""
FORWARD: Final = b"f"
"""The field, beside parts, that says which order the event observed that has this conversion id by itself."""
FAMILY: Final = b"k"
"""Begins the fields, beside parts, that name leads whose first conversion this would be."""
ASKED: Final = b"h"
"""Begins the fields, of a family, that say after which loss ClickHouse was asked for its members."""


def conversion_key(workspace: str, conversion_id: str) -> str:
    """Returns what a conversion is kept under: adjustments name ids, and no workspace reaches another's conversions."""
    return f"{workspace}|{conversion_id}"


@dataclass(frozen=True, slots=True)
class StoredConversion:
    """A conversion as it was read."""

    key: str
    """`conversion_key` of it."""
    parts: Mapping[bytes, bytes]
    """8-byte event hash -> what the event says; every event once."""
    revision: int
    """The last published one; 0: none."""
    journey_version: int
    """The newest journey that something was computed from."""
    published: bytes
    """The last published revision, without the differences of credit; empty: none."""
    pending: Mapping[int, bytes]
    """Revisions that ClickHouse and the conversion log may lack, oldest first."""
    redis_time_micros: int
    """When it was read."""
    asked_after_micros: int = 0
    """The last loss after which ClickHouse was asked what it knows; 0: none."""
    causes: bytes = b""
    """Where it waits to be credited again: why (`deferred`)."""
    askings: int = 0
    """Likewise: how often that was asked for."""
    forward: str = ""
    """The id of the order that the event of this conversion id observed; empty: of none. `parts` are adjustments then,
    and belong to that order."""
    counted: bytes = b""
    """As what path it is counted (`codec.counted_paths`); empty: it is not, nor will be if it was published before."""
    families: tuple[str, ...] = ()
    """Names of the leads whose first conversion it would be (`families`)."""
    asked_after: frozenset[int] = frozenset()
    """Of a family: the losses after which ClickHouse was asked for its members; 0: before any."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What shall replace the published state of a conversion, if nothing has moved since `stored` was read."""

    stored: StoredConversion
    journey_version: int
    """What it was computed from; 0: no journey."""
    revision: int = 0
    """Its number; 0: no change, only the journey's version is noted."""
    revised: bytes = field(default=b"", repr=False)
    """The whole revision."""
    state: bytes = field(default=b"", repr=False)
    """The same without the differences of credit: all that the next one, and a destination, must know."""
    counted: bytes = b""
    """As what path it is to be counted from now on, in the same step; empty: as before."""


class LostConversion(NamedTuple):
    """What another store knows of a conversion."""

    revision: int
    """The last published one."""
    state: bytes
    """It, without the differences of credit."""
    parts: Mapping[bytes, bytes]
    """8-byte event hash -> what the event says."""


class Conversions:
    """The conversions in the state store. Every method may run twice, and at once in several processes."""

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        """Takes the Redis of role state and the shard count of its epoch."""
        self._client = client
        self._shards = shards

    async def observe(
        self, parts: Mapping[str, Mapping[bytes, bytes]], life_seconds: int
    ) -> dict[str, StoredConversion]:
        """Keeps what events say about conversions, each event once, and reads all that is known of them.

        Args:
            parts: Conversion key -> 8-byte event hash -> what it says; without parts a conversion is only read.
            life_seconds: How long a conversion lives after a new part.

        Returns:
            What is known of each, by conversion key.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        names = list(parts)
        owners: list[str] = []
        pieces: list[Piece] = []
        for name in names:
            for some in _some_at_once(parts[name]):
                pieces.append(self._piece(name, (len(some), *chain.from_iterable(some))))
                owners.append(name)
        calls, positions = in_calls(pieces, (life_seconds,))
        found = {}
        for own, answer in zip(positions, await run(self._client, _OBSERVE, calls), strict=True):
            for position, flat in zip(own, answer[1:], strict=True):
                name = owners[position]
                found[name] = _stored(name, flat, answer[0])  # the last one read it after all was written
        return found

    async def publish(self, publications: Sequence[Publication]) -> list[bool]:
        """Replaces published states.

        Returns:
            One per publication, in order: whether it holds now. Where not, something moved: read and compute again.

        Raises:
            StorageUnavailableError: The state store did not answer: what was published is unknown; read again.
        """
        pieces = []
        for one in publications:
            stored = one.stored
            known = (stored.revision, len(stored.parts), one.journey_version)
            pieces.append(
                self._piece(stored.key, (*known, one.revision, one.state, one.revised, stored.counted, one.counted))
            )
        calls, positions = in_calls(pieces, first_key=keys.published)
        answers = [False] * len(publications)
        for own, answer in zip(positions, await run(self._client, _PUBLISH, calls), strict=True):
            for at, holds in zip(own, answer, strict=True):
                answers[at] = bool(holds)
        return answers

    async def emit(self, revisions: Sequence[tuple[str, int]]) -> int:
        """Appends marked revisions to the conversion log and takes the marks away; for what ClickHouse has.

        Args:
            revisions: (conversion key, revision); of one conversion oldest first. What is not marked is passed over.

        Returns:
            How many were appended.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        pieces = [self._piece(key, (revision,)) for key, revision in revisions]
        calls, _ = in_calls(pieces, first_key=keys.conversion_log)
        return sum(await run(self._client, _EMIT, calls))

    async def restore(self, lost: Mapping[str, LostConversion], life_seconds: int, loss_micros: int = 0) -> int:
        """Gives conversions back what was lost of them; what is here, or was published since, stays.

        Args:
            lost: Conversion key -> what another store knows.
            life_seconds: How long they live after this.
            loss_micros: The loss after which ClickHouse was asked for them, to be noted; 0: none.

        Returns:
            How many had lost what was published.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        pieces = [
            self._piece(key, (one.revision, one.state, len(one.parts), *chain.from_iterable(one.parts.items())))
            for key, one in lost.items()
        ]
        calls, _ = in_calls(pieces, (life_seconds, loss_micros))
        return sum(await run(self._client, _RESTORE, calls))

    async def replace(
        self, taken: Mapping[str, Collection[bytes]], put: Mapping[str, Mapping[bytes, bytes]], life_seconds: int = 0
    ) -> None:
        """Takes fields of families, or that name families, out and puts others in, under each key in one step.

        Likewise other parts of conversions in the place of those that are there.

        Args:
            taken: Key -> fields.
            put: Key -> field -> text.
            life_seconds: How long that lives then; 0: as long as it would.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        pieces = []
        for key in sorted({*taken, *put}):
            gone, new = taken.get(key, ()), put.get(key, {})
            pieces.append(self._piece(key, (len(gone), *gone, len(new), *chain.from_iterable(new.items()))))
        calls, _ = in_calls(pieces, (life_seconds,))
        await run(self._client, _REPLACE, calls)

    async def forget_journeys(self, names: Collection[str]) -> None:
        """Forgets by which journey conversions were published last, by key, where they are other people's now.

        Else what is computed from another one would be refused, as from an older state of the same, until something
        happens to that.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        await self.replace(dict.fromkeys(names, (b"j",)), {})

    async def marks(self, places: Collection[str]) -> dict[str, int]:
        """Returns per shard, by its number as text, the highest revision ever published; 0 where there is none.

        Of `any`, that of all shards.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        asked = range(self._shards) if _ANY in places else [int(place) for place in places]
        try:
            marks = {str(shard): int(await self._client.get(keys.published(shard)) or 0) for shard in asked}
        except redis.RedisError as error:
            raise failed(error) from error
        return {place: max(marks.values()) if place == _ANY else marks[place] for place in places}

    def _piece(self, key: str, arguments: Sequence[Argument]) -> Piece:
        shard = shard_of_key(key, self._shards)
        return Piece(shard, keys.conversion(shard, key), arguments)


def _some_at_once(parts: Mapping[bytes, bytes]) -> Iterator[Sequence[tuple[bytes, bytes]]]:
    """Yields parts, some at once; none, once, if there are none."""
    own = list(parts.items())
    yield own[:_PARTS_AT_ONCE]
    for start in range(_PARTS_AT_ONCE, len(own), _PARTS_AT_ONCE):
        yield own[start : start + _PARTS_AT_ONCE]


def _stored(key: str, flat: Sequence[Any], redis_time_micros: int) -> StoredConversion:
    parts: dict[bytes, bytes] = {}
    pending: dict[int, bytes] = {}
    numbers = {b"r": 0, b"j": 0, b"l": 0, b"e": 0}
    published = causes = forward = counted = b""
    families: list[str] = []
    asked: set[int] = set()
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        if len(name) == _PART_FIELD_BYTES:
            parts[name] = value
        elif name == b"s":
            published = value
        elif name == b"d":
            causes = value
        elif name == b"c":
            counted = value
        elif name == FORWARD:
            forward = value
        elif name in numbers:
            numbers[name] = int(value)
        elif name.startswith(FAMILY):
            families.append(value.decode())
        elif name.startswith(ASKED):
            asked.add(int(value))
        elif name.startswith(_PENDING):
            pending[int(name[1:])] = value
    return StoredConversion(
        key=key,
        parts=parts,
        revision=numbers[b"r"],
        journey_version=numbers[b"j"],
        published=published,
        pending=dict(sorted(pending.items())),
        redis_time_micros=redis_time_micros,
        asked_after_micros=numbers[b"l"],
        causes=causes,
        askings=numbers[b"e"],
        forward=forward.decode(),
        counted=counted,
        families=tuple(sorted(families)),
        asked_after=frozenset(asked),
    )
