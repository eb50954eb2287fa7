"""What a batch brings to journeys, and what it reads of each: before `people` makes persons of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.journeys import JourneyChange
from tributary_storage.redis.ties import Place, person_key
from tributary_storage.redis.trace_layout import Left, pack_traces


class Sighted(NamedTuple):
    """What one event adds to a journey."""

    workspace: str
    token: str
    """The most telling identifier of the event: its journey takes it."""
    entry: tuple[bytes, bytes] | None
    """Field and value for the journey."""
    sighting: bytes | None
    """Of the token; None if the event is quarantined and proves nothing."""
    traces: Sequence[Left] = ()
    """What it leaves of its person, with slots."""


class Lives(NamedTuple):
    """How long state lives after the last event that used it."""

    journey_seconds: int
    ties_seconds: int
    """Of what identifiers were seen with: longer, because an order may name a customer who logged in long ago, and it
    is the journey of yesterday, on another device, that led to it."""
    journey_events: int = 4_000
    """How many events of one identifier are kept at least where there are more."""
    knows_everybody: bool = True
    """Whether whoever is not known was never here: nothing was lost, or all is back."""
    keeps_seen: bool = False
    """Whether impressions, engaged views and opens may earn anything."""


class Regrouped(NamedTuple):
    """An identifier whose person has changed."""

    is_merged: bool
    """Whether others joined it."""
    is_split: bool
    """Whether it lost others."""
    is_again: bool = False
    """Whether somebody has credited that already, who may have died since: all is looked at, as it would be any time.
    """


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
    is_again: bool = False
    """Whether all of their conversions are looked at for what somebody else has credited."""
    has_forgotten: bool = False
    """Whether there are conversions that no journey of theirs holds, as one that has expired did."""


@dataclass(slots=True)
class Home:
    """The journey of one identity token, as far as it was read."""

    place: Place
    newest_micros: int = 0
    version: int = 0
    fields: Mapping[bytes, bytes] | None = None
    why: int = 0
    events: list[int] = field(default_factory=list)
    has_expired: bool = False
    """Whether there is no journey any more: somebody came under its identifier."""
    has_converted: bool = False
    """Whether there is no journey any more, and somebody converted under its identifier."""
    is_told: bool = False
    """Whether it knows, since it was read last, of the conversion that `newest_micros` is of."""


def lagging(party: Sequence[Home], moved: Sequence[Home], version: int) -> Home | None:
    """Returns a journey that changed and has to get a higher version, for clocks of several Redis may disagree.

    Of the journeys of a person the newest tells how new what was computed from them is: it has to be one that changed.
    """
    changed = [home for home in party if home.version and (home.why or (home.is_told and home in moved))]
    if not changed or max(home.version for home in changed) >= version:
        return None
    return changed[0]


def is_bare(party: Sequence[Home]) -> bool:
    """Tells whether a person, all of whose identifiers were visited that have no journey, had one that has expired."""
    return any(home.has_expired for home in party)


def change_of(home: Home, events: Sequence[Sighted]) -> JourneyChange:
    """Returns what goes into a journey."""
    entries: dict[bytes, bytes] = {}
    first: bytes | None = None
    left: Sequence[Left] = ()
    for position in home.events:
        _, _, entry, sighting, traces = events[position]
        if traces:
            left = [*left, *traces] if left else traces
        if entry is not None:
            entries[entry[0]] = entry[1]
        if sighting is not None and (first is None or sighting < first):
            first = sighting
    token = home.place[1]
    sightings = {} if first is None else {token.encode(): first}
    return JourneyChange(person_key(*home.place), entries, sightings, pack_traces(left) if left else ())
