"""How people began, whatever of the journey is forgotten: first touch, first conversions, ids of clicks that were seen.

Beside the journey of each identity token, and written in the same step (`apply_journeys`): so joining people and taking
them apart moves nothing, and a person's are the first of those of their tokens. Only what was good when it came is
noted: neither quarantined nor internal; a touch is no impression and no return to a session, and nothing that is said
or assumed forbids to measure it. Who forbids it later hides it. Kept for ever once somebody converted, else as long as
ties. About 150 bytes per identifier. The first impression, engaged view or open is noted where these may earn anything:
so of whom nothing else is known it is known that they were here. Fails closed.

Events that carry the id of a click or an interaction are kept as well, as their journey has them, about `MOST_WITH_ID`
of an identifier at most, of 40 bytes and more: seen again, the id is an old one, also where the journey has expired
since or has lost it. So they are read with the journey.

| field                         | value                                                               |
|-------------------------------|---------------------------------------------------------------------|
| 8 bytes                       | an event that carries such an id, as in `journey_layout`            |
| `a`                           | 8 bytes time, 8 bytes event hash, 1 byte kind, 8 bytes descriptor   |
| `s`                           | likewise of an impression, engaged view or open                     |
| `c` and 8 bytes name's digest | 8 bytes time, 8 bytes event hash, 16 bytes digest of the conversion |

Numbers are big-endian, so that bytes compare as events are ordered. A value may lack trailing zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from struct import Struct
from typing import Final, NamedTuple

import redis.asyncio

from tributary_domain.consent import DENIED, Purpose, Timeline
from tributary_domain.event_order import OrderKey
from tributary_domain.ids import CONVERSION_PREFIX
from tributary_domain.shards import shard_of_key
from tributary_storage.redis import keys
from tributary_storage.redis.consents import decisions_of
from tributary_storage.redis.journey_layout import (
    EVENT_BYTES,
    NO_CONVERSION,
    ages_id,
    is_observation,
    may_acquire,
    unpack_entry,
    was_seen,
)
from tributary_storage.redis.scripts import Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run
from tributary_storage.redis.ties import Place, person_key

MOST_WITH_ID: Final = 1_000
"""How much there may be of one identifier before no event that carries an id is kept any more."""

_REMEMBER: Final = Script("remember_firsts")

_ACQUISITION: Final = b"a"
_SEEN: Final = b"s"
_CONVERSION: Final = b"c"
_PLACE: Final = Struct(">QQ")
_TOUCH: Final = Struct(">QQBQ")
_DIGEST: Final = Struct(">Q")


class FirstTouch(NamedTuple):
    """The touch that somebody was acquired by."""

    event_time_micros: int
    event_hash: int
    kind: int
    descriptor: int
    """Where it came from."""


class FirstConversion(NamedTuple):
    """The first conversion of a name that somebody had."""

    event_time_micros: int
    event_hash: int
    """Of its earliest observation."""
    conversion_id: str

    @property
    def order_key(self) -> OrderKey:
        """Returns its place in time."""
        return self.event_time_micros, self.event_hash


@dataclass(frozen=True, slots=True)
class PersonFirsts:
    """How a person began."""

    touch: FirstTouch | None = None
    """None: no touch is known."""
    seen: FirstTouch | None = None
    """The first impression, engaged view or open; None: none is known."""
    conversions: Mapping[int, FirstConversion] = field(default_factory=dict)
    """By the digest of the name."""


class Firsts:
    """How people began, in the state store. Every method raises `StorageUnavailableError` if it does not answer.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    async def of_people(self, people: Sequence[tuple[str, Iterable[str]]]) -> list[PersonFirsts]:
        """Returns how people began, in order.

        Args:
            people: Workspace, and the identity tokens of one person, of each.
        """
        named = [[(workspace, token) for token in tokens] for workspace, tokens in people]
        places = list(dict.fromkeys(chain.from_iterable(named)))
        if not places:
            return [PersonFirsts() for _ in people]
        pipeline = self._client.pipeline(transaction=False)
        for place in places:
            pipeline.hgetall(self._key(place))
            pipeline.hgetall(keys.consent(self._shard(place), person_key(*place)))
        try:
            answers: list[dict[bytes, bytes]] = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        held = dict(zip(places, zip(answers[::2], answers[1::2], strict=True), strict=True))
        return [_person([held[place] for place in own]) for own in named]

    async def remember(
        self, entries: Iterable[tuple[Place, tuple[bytes, bytes]]], life_seconds: int, *, keeps_seen: bool = False
    ) -> None:
        """Notes what is the first of some events, and of all that are known; may run twice.

        Args:
            entries: The identifier whose journey an event is in, and the event as the journey has it.
            life_seconds: How long it is kept of those of whom no conversion is known.
            keeps_seen: Whether impressions, engaged views and opens may earn anything.
        """
        found: dict[Place, dict[bytes, bytes]] = {}
        for place, entry in entries:
            own = found.setdefault(place, {})
            first = _first_of(*entry)
            if first is not None and (keeps_seen or first[0] != _SEEN):
                own[first[0]] = min(first[1], own.get(first[0], first[1]))
            if ages_id(entry[1]):
                own[entry[0]] = entry[1]
        pieces = []
        for place, own in found.items():
            if not own:
                continue
            key = self._key(place)
            pieces.append(Piece(self._shard(place), key, (len(own), *chain.from_iterable(own.items()))))
        calls, _ = in_calls(pieces, (life_seconds, MOST_WITH_ID))
        await run(self._client, _REMEMBER, calls)

    def _shard(self, place: Place) -> int:
        return shard_of_key(person_key(*place), self._shards)

    def _key(self, place: Place) -> str:
        return keys.firsts(self._shard(place), person_key(*place))


def pack_first(first: FirstConversion) -> bytes:
    """Returns what the field of a first conversion holds."""
    digest = bytes.fromhex(first.conversion_id.removeprefix(CONVERSION_PREFIX))
    return _PLACE.pack(first.event_time_micros, first.event_hash) + digest


def time_of_first(name: bytes, value: bytes) -> int:
    """Returns the time of what a field holds."""
    return unpack_entry(value)[0] if len(name) == EVENT_BYTES else int.from_bytes(value[:8])


def events_of(fields: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Returns the events among the fields of how somebody began, or of a journey."""
    return {name: value for name, value in fields.items() if len(name) == EVENT_BYTES}


def _first_of(name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
    """Returns the field that an event is for, and its value; None: it is no first of anything."""
    time, kind, descriptor, conversion = unpack_entry(value)
    place = time.to_bytes(8) + name
    if is_observation(value):
        if conversion == NO_CONVERSION:
            return None
        return _CONVERSION + _DIGEST.pack(descriptor), place + conversion
    if may_acquire(value) or was_seen(value):
        return _SEEN if was_seen(value) else _ACQUISITION, place + bytes([kind]) + _DIGEST.pack(descriptor)
    return None


def _person(held: Sequence[tuple[Mapping[bytes, bytes], Mapping[bytes, bytes]]]) -> PersonFirsts:
    """Returns how a person began, of what is noted beside each identifier, and what was decided under it."""
    decisions = [one for _, said in held for one in decisions_of(said)]
    timeline = Timeline(decisions, Purpose.ANALYTICS_STORAGE) if decisions else None
    first: dict[bytes, bytes] = {}
    for fields, _ in held:
        for name, value in fields.items():
            is_touch = name in (_ACQUISITION, _SEEN)
            if len(name) == EVENT_BYTES or (not is_touch and value.endswith(NO_CONVERSION)):
                continue
            if not is_touch or timeline is None or timeline.at(time_of_first(name, value)) != DENIED:
                first[name] = min(value, first.get(name, value))
    return PersonFirsts(
        _touch(first.pop(_ACQUISITION, None)),
        _touch(first.pop(_SEEN, None)),
        {int.from_bytes(name[1:]): _conversion(value) for name, value in first.items()},
    )


def _touch(value: bytes | None) -> FirstTouch | None:
    return None if value is None else FirstTouch(*_TOUCH.unpack(value.ljust(_TOUCH.size, b"\0")))


def _conversion(value: bytes) -> FirstConversion:
    time, event_hash = _PLACE.unpack_from(value)
    return FirstConversion(time, event_hash, CONVERSION_PREFIX + value[_PLACE.size :].hex())
