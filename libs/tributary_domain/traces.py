"""Traces: what events leave of their person by which a destination can recognise them, and which a conversion has.

A trace is a click id, a browser id, or sealed match keys, in a *slot*: one per family, browser id and kind of keys. Of
a slot the newest two are kept per identifier, however many there were; those that are *alike*, such as one click id
seen again, are one, at its first time.

The one rule: a trace is a conversion's only if its person allowed it when it was left, and did not take that back
before they converted (SEMANTICS sections 13 and 14). What is resolved follows from the set of events, whatever their
order, as long as no two newer ones pushed it out before its conversion was known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from tributary_domain.consent import (
    DENIED,
    GRANTED,
    UNSAID,
    Assumed,
    Decision,
    Purpose,
    Timeline,
    is_own_word,
    state_of,
)

NEEDED: Final = (Purpose.ANALYTICS_STORAGE, Purpose.AD_STORAGE, Purpose.AD_USER_DATA)
"""What has to be allowed, as far as anything was said; in the order of their flags, which never changes."""

INTERNAL: Final = 64
"""Flag: left by internal or test traffic, out of sight of what is counted."""
_ASSUMED_DENIED: Final = 3
"""By how many bits "assumed to be denied" stands above "granted in words"."""

DEVICE: Final = "device"
"""The slot of keys that hold address and user agent of a device."""
_CLICK: Final = "click:"
_BROWSER: Final = "browser:"
_KEYS: Final = "keys:"

EMAIL: Final = 1
PHONE: Final = 2
"""What keys name."""

_DAY: Final = 86_400_000_000
_CLICK_DAYS: Final = 90
_CLICK_DAYS_OF: Final = {"li_fat_id": 30}
"""How old a click may be that is sent to its destination, where that is not the longest."""
_SEEN_DAYS: Final = 90
"""How old a browser id or a device may be."""
_KEYS_DAYS: Final = 100
"""How long a data key lives."""
_HALF_HOUR: Final = 1_800_000_000
_PERIOD: Final = 30 * _DAY


class Trace(NamedTuple):
    """What one event left in a slot; traces compare as their events are ordered."""

    time_micros: int
    """When the event happened; of a click id when its click was made, where anybody said."""
    event_hash: int
    alike: int
    """The same number: the same trace, seen again."""
    flags: int
    """INTERNAL, and per purpose that is needed: granted in words for this event, or assumed to be denied."""
    value: bytes


Traces = Mapping[str, Sequence[Trace]]
"""By slot."""


def click_slot(family: str) -> str:
    """Returns the slot of a family of click ids."""
    return _CLICK + family


def browser_slot(name: str) -> str:
    """Returns the slot of a browser id."""
    return _BROWSER + name


def keys_slot(names: int) -> str:
    """Returns the slot of match keys that name an e-mail address, a phone number, or both: a sum of EMAIL, PHONE."""
    return f"{_KEYS}{names}"


def family_of(slot: str) -> str:
    """Returns the family of click ids whose slot it is; empty if it is none."""
    return slot[len(_CLICK) :] if slot.startswith(_CLICK) else ""


def browser_id_of(slot: str) -> str:
    """Returns the name of the browser id whose slot it is; empty if it is none."""
    return slot[len(_BROWSER) :] if slot.startswith(_BROWSER) else ""


def names_of(slot: str) -> int:
    """Returns what the keys of a slot name: a sum of EMAIL, PHONE; 0 of a slot of anything else."""
    return int(slot[len(_KEYS) :]) if slot.startswith(_KEYS) else 0


def half_hour(time_micros: int) -> int:
    """Returns the number of the half hour of a moment: within one, the device that is seen first stands for all."""
    return time_micros // _HALF_HOUR


def period(time_micros: int) -> int:
    """Returns the number of the 30 days of a moment: within them, what is left again unchanged is no newer.

    So a conversion that becomes known late, after visits that came after it, has what was left before it all the same.
    """
    return time_micros // _PERIOD


def newest_two(traces: Iterable[Trace]) -> list[Trace]:
    """Returns the newest two of a slot, the older first: of those alike the first.

    >>> seen = [Trace(1, 0, 7, 0, b"a"), Trace(9, 0, 7, 0, b"a"), Trace(2, 0, 8, 0, b"b"), Trace(3, 0, 9, 0, b"c")]
    >>> [trace.value for trace in newest_two(seen)]
    [b'b', b'c']
    """
    return sorted(_first_of_each(traces))[-2:]


def _first_of_each(traces: Iterable[Trace]) -> Iterable[Trace]:
    first: dict[int, Trace] = {}
    for trace in traces:
        known = first.get(trace.alike)
        if known is None or trace < known:
            first[trace.alike] = trace
    return first.values()


def flags_of(states: int, consent_micros: int, event_micros: int, region: str, assumed: Assumed) -> int | None:
    """Returns the flags of what an event leaves; None: it may leave nothing.

    Args:
        states: What it says of consent.
        consent_micros: When the person decided that; 0: nobody said.
        event_micros: When it happened.
        region: Of the person.
        assumed: Where nothing was said.
    """
    flags = 0
    for at, purpose in enumerate(NEEDED):
        said = state_of(states, purpose)
        if said == DENIED:
            return None
        if said == GRANTED and is_own_word(consent_micros, event_micros):
            flags |= 1 << at
        elif said == UNSAID and assumed.defaults and assumed.state(region, purpose) == DENIED:
            flags |= 1 << at + _ASSUMED_DENIED
    return flags


class Consents:
    """What a person decided, as far as traces need it.

    Args:
        decisions: All of them, in any order.
    """

    __slots__ = ("_timelines",)

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._timelines = [Timeline(decisions, purpose) for purpose in NEEDED] if decisions else []

    def allow(self, time_micros: int, flags: int, until_micros: int) -> bool:
        """Tells whether a trace was allowed when it was left, and nothing that it needs was denied until a moment."""
        if not self._timelines:
            return not flags >> _ASSUMED_DENIED & ~flags & 7
        for at, timeline in enumerate(self._timelines):
            if timeline.was_denied(time_micros, until_micros):
                return False
            if flags >> at & 1:
                continue
            state = timeline.at(time_micros)
            if state == DENIED or (state == UNSAID and flags >> at + _ASSUMED_DENIED & 1):
                return False
        return True


def oldest_click_micros(family: str, conversion_micros: int) -> int:
    """Returns from when on a click may be sent with a conversion: the send window of its family, its end included."""
    return conversion_micros - _CLICK_DAYS_OF.get(family, _CLICK_DAYS) * _DAY


def is_in_time(slot: str, time_micros: int, conversion_micros: int) -> bool:
    """Tells whether what was left at a moment may still be sent with a conversion, and was left before it."""
    return conversion_micros - _reach_micros(slot) <= time_micros <= conversion_micros


@lru_cache(maxsize=1024)
def _reach_micros(slot: str) -> int:
    """Returns how old what was left in a slot may be."""
    if family := family_of(slot):
        return -oldest_click_micros(family, 0)
    return (_KEYS_DAYS if names_of(slot) else _SEEN_DAYS) * _DAY


def resolve(traces: Traces, consents: Consents, conversion_micros: int, *, sees_internal: bool) -> dict[str, Trace]:
    """Returns which trace of each slot is a conversion's: the newest up to it.

    Args:
        traces: Of its person; of those alike the first counts.
        consents: What the person decided.
        conversion_micros: When it happened.
        sees_internal: Whether it is internal or test traffic itself: only such sees such.
    """
    resolved: dict[str, Trace] = {}
    for slot, left in traces.items():
        seen = [
            trace
            for trace in left
            if (sees_internal or not trace[3] & INTERNAL) and consents.allow(trace[0], trace[3], conversion_micros)
        ]
        oldest = conversion_micros - _reach_micros(slot)
        found = [trace for trace in _first_of_each(seen) if oldest <= trace[0] <= conversion_micros]
        if found:
            resolved[slot] = max(found)
    return resolved
