"""How a journey lies in its Redis hash: at most 64 bytes per field and value, so that the hash stays small-encoded.

| field           | value                                                                                       |
|-----------------|---------------------------------------------------------------------------------------------|
| 8 bytes         | an event, by its hash: kind, flags, time, descriptor, click, session, interaction, click    |
|                 | time, without trailing zeros after the time; of a conversion: kind, flags, time, name,      |
|                 | session, digest, and the click id that it carries itself, if it does; without a digest, in  |
|                 | place of that the number of the erased order that it told                                   |
| identity token  | whose journey it is, with a sighting: time, hash and position of the earliest event         |
| `m`             | version, create time, newest conversion time of the person, earliest sighting, number of    |
|                 | events, second up to which events were trimmed, second from which on old ones are, 1: a     |
|                 | touch was trimmed, second from which on none was forgotten for its age                      |
| `a`             | the time of the first touch ever, of which `firsts` has more                                |
| `s`             | the time of the first impression, engaged view or open ever, likewise                       |

Numbers are big-endian, so that bytes compare as events are ordered. What a number means never changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from struct import Struct
from typing import Final, NamedTuple

from tributary_domain.consent import DENIED, UNSAID, Decision, Purpose, Timeline
from tributary_domain.erasures import SEVERED_PREFIX
from tributary_domain.ids import CONVERSION_PREFIX
from tributary_domain.journey import NO_CONSENT, NO_TOUCH, QUARANTINED, SEEN_KINDS, JourneyTouch, TouchKind
from tributary_domain.traces import Trace, Traces
from tributary_storage.redis.consents import decisions_of
from tributary_storage.redis.trace_layout import BESIDE, add_trace

INTERNAL: Final = 16
"""Flag beside those of `tributary_domain.journey`: internal or test traffic, out of sight of what is counted."""
ASSUMED_DENIED: Final = 32
"""Flag: where nobody decided anything about measurement, it counts as denied."""
CONSENTED: Final = 64
"""Flag: consent to measurement was given in words, for this event. Neither this nor NO_CONSENT: what was decided before
it holds."""

META: Final = b"m"
ACQUIRED: Final = b"a"
SEEN: Final = b"s"

EVENT_BYTES: Final = 8
"""Of the field of an event."""

_HEAD_BYTES: Final = 10
"""Kind, flags and time, which the script reads."""
_TOUCH: Final = Struct(">BBQQQQQQ")
_CONVERSION: Final = Struct(">BBQQQ16s")
_HASH: Final = Struct(">Q")
_META: Final = Struct(">QQQQQBIIIBI")
_UNSAID: Final = b"\xff" * 4
"""What a journey of before it was kept since when it is whole says of that: never."""
_SIGHTING: Final = Struct(">QQB")
_STORED_FLAGS: Final = INTERNAL | ASSUMED_DENIED | CONSENTED
_KIND: Final = int(TouchKind.CONVERSION)
NO_CONVERSION: Final = bytes(16)
"""The digest where what was observed is an erased person's: only that it was is kept."""


@dataclass(frozen=True, slots=True)
class Journey:
    """A person's journey as it was read."""

    person_id: str
    """What the person is called: the id of their first identity token in the order of edges."""
    version: int
    """Grows with every change, also of who they are."""
    since_micros: int
    """Events before this may have been forgotten for their age, by a journey that there is; of several, by the last."""
    is_bare: bool
    """Whether an identifier has no journey that may have had one, which has expired."""
    trimmed_until_micros: int
    """Events before this were trimmed, because there are too many; 0: none was."""
    has_lost_touches: bool
    """Whether a touch was trimmed, be it for its age."""
    entries: tuple[JourneyTouch, ...]
    """Touches and conversions, in no order; flags as the core knows them, NO_CONSENT as what was decided says."""
    conversions: Mapping[str, tuple[int, ...]]
    """Conversion id -> event times of its observations, quarantined ones left out."""
    conversion_ids: Mapping[int, str]
    """Event hash of an observation -> conversion id, quarantined ones too."""
    internal: frozenset[int]
    """Event hashes of internal and test traffic."""
    consented: frozenset[int]
    """Event hashes of events whose consent was given in words."""
    own_clicks: Mapping[int, int]
    """Event hash of an observation -> the number of the click id that it carries itself, of those that carry one.
    Beside the entries, because a conversion is no touch: its click id makes nothing else an old click."""
    erased: Mapping[int, int]
    """Event hash of an observation of an erased person's order -> the number of that, where it is known."""
    tokens: frozenset[str]
    """The identity tokens of this person."""
    decisions: tuple[Decision, ...] = ()
    """What was decided under them, in no order."""
    assumed: frozenset[int] = frozenset()
    """Event hashes of events that count as denied where nobody decided anything about measurement."""
    withheld: frozenset[int] = frozenset()
    """Event hashes of events that NO_CONSENT holds of for what was decided or assumed, and not for their own words."""
    is_recalled: bool = False
    """Whether what it has forgotten was read again: what it lacks now is not this person's."""
    was_trimmed_micros: int = 0
    """Where what was too much was read again: up to when it was trimmed; some of it may be recorded later."""
    traces: Traces = field(default_factory=dict)
    """By what destinations can recognise this person: of each identifier the newest two of a slot, in no order."""

    @property
    def orders(self) -> Mapping[int, str | int]:
        """Returns by what observations of one order are told from those of others, also where it is erased."""
        return {**self.erased, **self.conversion_ids} if self.erased else self.conversion_ids


_journey_touch: Final[Callable[..., JourneyTouch]] = tuple.__new__  # in place of the one that takes arguments


def pack_touch(touch: JourneyTouch, stored_flags: int = 0) -> bytes:
    """Returns the value of a touch; its field is `event_field`.

    Args:
        touch: As the core knows it.
        stored_flags: INTERNAL, ASSUMED_DENIED, CONSENTED.
    """
    time, _, kind, descriptor, flags, click, interaction, session, click_time = touch
    value = _TOUCH.pack(kind, flags | stored_flags, time, descriptor, click, session, interaction, click_time)
    return value[:_HEAD_BYTES] + value[_HEAD_BYTES:].rstrip(b"\0")


def pack_conversion(touch: JourneyTouch, conversion_id: str, stored_flags: int = 0, own_click: int = 0) -> bytes:
    """Returns the value of an observation of a conversion.

    Args:
        touch: As the core knows it; `descriptor` stands for the conversion's name.
        conversion_id: `c1:` and 32 hexadecimal digits; `s1:` or empty: what it observed is an erased person's.
        stored_flags: INTERNAL, ASSUMED_DENIED, CONSENTED.
        own_click: The number of the click id that it carries itself; 0: it carries none.
    """
    digest = NO_CONVERSION
    if conversion_id.startswith(SEVERED_PREFIX):
        own_click = number_of_erased(conversion_id)
    elif conversion_id:
        digest = bytes.fromhex(conversion_id.removeprefix(CONVERSION_PREFIX))
    value = _CONVERSION.pack(
        _KIND, touch.flags | stored_flags, touch.event_time_micros, touch.descriptor, touch.session, digest
    )
    return value + _HASH.pack(own_click) if own_click else value


def number_of_erased(conversion_id: str) -> int:
    """Returns the number of an erased order; 0: nobody gave it a random id."""
    return int(conversion_id.removeprefix(SEVERED_PREFIX)[: 2 * EVENT_BYTES] or "0", 16)


def unpack_entry(value: bytes) -> tuple[int, int, int, bytes]:
    """Returns time, kind, descriptor and, of an observation, the digest of its conversion, of a packed event."""
    size = _CONVERSION.size if value[0] == _KIND else _TOUCH.size
    kind, _, time, descriptor, _, digest = _CONVERSION.unpack_from(value.ljust(size, b"\0"))
    return time, kind, descriptor, digest if kind == _KIND else b""


def is_observation(value: bytes) -> bool:
    """Tells whether a packed event is a good observation of a conversion, neither quarantined nor internal."""
    return value[0] == _KIND and not value[1] & (QUARANTINED | INTERNAL)


def may_acquire(value: bytes) -> bool:
    """Tells whether a packed event is a touch that somebody may have been acquired by."""
    return value[0] != _KIND and value[0] not in SEEN_KINDS and _is_good(value[1])


def was_seen(value: bytes) -> bool:
    """Tells whether a packed event is an impression, engaged view or open that may earn credit."""
    return value[0] in SEEN_KINDS and _is_good(value[1])


def _is_good(flags: int) -> bool:
    is_denied = flags & NO_CONSENT or flags & (ASSUMED_DENIED | CONSENTED) == ASSUMED_DENIED
    return not (is_denied or flags & (QUARANTINED | INTERNAL | NO_TOUCH))


def ages_id(value: bytes) -> bool:
    """Tells whether a packed event is a touch that makes an old id of that of its click or interaction."""
    kind, flags, *_, click, _, interaction, _ = _TOUCH.unpack(value[: _TOUCH.size].ljust(_TOUCH.size, b"\0"))
    is_seen_only = kind == _KIND or kind in SEEN_KINDS
    return bool(click or interaction) and not is_seen_only and not flags & (QUARANTINED | NO_CONSENT)


def event_field(event_hash: int) -> bytes:
    """Returns the field of an event."""
    return _HASH.pack(event_hash)


def pack_sighting(event_time_micros: int, event_hash: int, position: int) -> bytes:
    """Returns the value of an identity token; the smaller of two is the earlier."""
    return _SIGHTING.pack(event_time_micros, event_hash, min(position, 255))


class Meta(NamedTuple):
    """What is kept of a journey as a whole; all zero where there is none."""

    version: int = 0
    create_time_micros: int = 0
    newest_conversion_micros: int = 0
    sighting_micros: int = 0
    sighting_hash: int = 0
    sighting_position: int = 0
    events: int = 0
    """How many it holds."""
    trimmed_seconds: int = 0
    """Up to this second events were trimmed, because there are too many."""
    look_seconds: int = 0
    """From this second on events are looked for that are too old."""
    has_lost_touches: int = 0
    """1: a touch was trimmed."""
    since_seconds: int = 0
    """From this second on nothing was forgotten for its age."""

    def pack(self) -> bytes:
        """Returns the value of `META`."""
        return _META.pack(*self)


def meta_of(fields: Mapping[bytes, bytes]) -> Meta:
    """Returns what is kept of a journey as a whole."""
    meta = fields.get(META)
    return Meta() if meta is None else Meta(*_META.unpack((meta + _UNSAID)[: _META.size]))


def unpack_journey(
    person_id: str,
    held: Sequence[Mapping[bytes, bytes]],
    tokens: Collection[str] = (),
    version: int = 0,
    has_all: bool = False,
) -> Journey:
    """Reads a person's journey.

    Args:
        person_id: What the person is called.
        held: The whole hashes of their identifiers, with what was decided under each and the traces of each.
        tokens: Their identity tokens; those that the hashes name are added.
        version: How new it is at least; 0: as new as the newest of the hashes.
        has_all: Whether an identifier that has no journey is known never to have had one.
    """
    entries: list[JourneyTouch] = []
    conversions: dict[str, list[int]] = {}
    conversion_ids: dict[int, str] = {}
    internal: set[int] = set()
    consented: set[int] = set()
    own_clicks: dict[int, int] = {}
    erased: dict[int, int] = {}
    named = set(tokens)
    size = _TOUCH.size
    decided: dict[bytes, bytes] = {}
    assumed: set[int] = set()
    traces: dict[str, list[Trace]] = defaultdict(list)
    for name, value in chain.from_iterable(fields.items() for fields in held):
        if len(name) == EVENT_BYTES:
            (event_hash,) = _HASH.unpack(name)
            if value[0] == _KIND:
                _, flags, time, descriptor, session, digest = _CONVERSION.unpack_from(value)
                if len(value) > _CONVERSION.size:
                    numbers = own_clicks if digest != NO_CONVERSION else erased
                    (numbers[event_hash],) = _HASH.unpack_from(value, _CONVERSION.size)
                entries.append(
                    JourneyTouch(time, event_hash, _KIND, descriptor, flags & ~_STORED_FLAGS | NO_TOUCH, 0, 0, session)
                )
                if digest != NO_CONVERSION:
                    conversion_id = CONVERSION_PREFIX + digest.hex()
                    conversion_ids[event_hash] = conversion_id
                    if not flags & QUARANTINED:
                        conversions.setdefault(conversion_id, []).append(time)
            else:
                kind, flags, time, source, click, session, interaction, made = _TOUCH.unpack(value.ljust(size, b"\0"))
                flags_of = flags & ~_STORED_FLAGS
                touch = time, event_hash, kind, source, flags_of, click, interaction, session, made
                entries.append(_journey_touch(JourneyTouch, touch))
            if flags & INTERNAL:
                internal.add(event_hash)
            if flags & CONSENTED:
                consented.add(event_hash)
            if flags & ASSUMED_DENIED:
                assumed.add(event_hash)
        elif name[0] == BESIDE:
            add_trace(traces, name, value)
        elif is_token(name):
            named.add(name.decode())
        elif name not in (META, ACQUIRED, SEEN):
            decided[name] = value
    decisions = decisions_of(decided)
    withheld: set[int] = set()
    if decisions or assumed:
        timeline = Timeline(decisions, Purpose.ANALYTICS_STORAGE)
        denied = {entry[1] for entry in entries if entry.flags & NO_CONSENT}
        entries = [_as_decided(entry, timeline, assumed) if entry[1] not in consented else entry for entry in entries]
        withheld = {entry[1] for entry in entries if entry.flags & NO_CONSENT} - denied
    if len(held) > 1 and any(entry.flags & QUARANTINED for entry in entries):
        # One that names several identifiers waited with each; released, it is with one of them.
        good = {entry.event_hash for entry in entries if not entry.flags & QUARANTINED}
        entries = [entry for entry in entries if not (entry.flags & QUARANTINED and entry.event_hash in good)]
    metas = [meta_of(fields) for fields in held]
    return Journey(
        person_id=person_id,
        version=version or max((meta.version for meta in metas), default=0),
        since_micros=max((meta.since_seconds for meta in metas), default=0) * 1_000_000,
        is_bare=not has_all and sum(META in fields for fields in held) < len(named),
        trimmed_until_micros=max((meta.trimmed_seconds for meta in metas), default=0) * 1_000_000,
        has_lost_touches=any(meta.has_lost_touches for meta in metas),
        entries=tuple(entries),
        conversions={key: tuple(times) for key, times in conversions.items()},
        conversion_ids=conversion_ids,
        internal=frozenset(internal),
        consented=frozenset(consented),
        own_clicks=own_clicks,
        erased=erased,
        tokens=frozenset(named),
        decisions=tuple(decisions),
        assumed=frozenset(assumed),
        withheld=frozenset(withheld),
        traces=traces,
    )


def decided_otherwise(journey: Journey, decisions: Iterable[Decision]) -> Journey:
    """Returns a journey as it would be had its person decided this instead."""
    decisions = tuple(decisions)
    timeline = Timeline(decisions, Purpose.ANALYTICS_STORAGE)
    entries = [
        entry._replace(flags=entry.flags & ~NO_CONSENT) if entry.event_hash in journey.withheld else entry
        for entry in journey.entries
    ]
    return replace(
        journey,
        decisions=decisions,
        entries=tuple(
            entry if entry.event_hash in journey.consented else _as_decided(entry, timeline, journey.assumed)
            for entry in entries
        ),
    )


def is_token(field: bytes) -> bool:
    """Tells whether a field is an identity token: no event, not META, no decision or trace that was read with it."""
    return len(field) > len(META) and len(field) != EVENT_BYTES and field[0] > BESIDE


def _as_decided(entry: JourneyTouch, timeline: Timeline, assumed: Collection[int]) -> JourneyTouch:
    """Returns an entry that no grant of its own holds for, with NO_CONSENT where the person had not allowed it."""
    state = timeline.at(entry.event_time_micros)
    if state == DENIED or (state == UNSAID and entry.event_hash in assumed):
        return entry._replace(flags=entry.flags | NO_CONSENT)
    return entry
