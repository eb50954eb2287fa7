"""What people allowed: decisions, the state that follows from them at a moment, and what nobody decided.

The one rule: the newest decision wins, of two at one time the denial; so the state follows from the set of decisions,
in whatever order and however often they arrive. A later grant never upgrades what was collected without it, and a
later denial holds back what was collected with it (SEMANTICS section 13).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Final, NamedTuple, Self


class Purpose(StrEnum):
    """What consent is for."""

    AD_STORAGE = "ad_storage"
    ANALYTICS_STORAGE = "analytics_storage"
    AD_USER_DATA = "ad_user_data"
    AD_PERSONALIZATION = "ad_personalization"
    SALE_OR_SHARING = "sale_or_sharing"


PURPOSES: Final = tuple(Purpose)
"""In the order of their bits; it never changes."""

UNSAID: Final = 0
GRANTED: Final = 1
DENIED: Final = 2

NOTHING: Final = 0
"""States of which none was said."""

_BITS: Final = 2
_MASK: Final = 3
_SHIFTS: Final = {purpose: _BITS * at for at, purpose in enumerate(PURPOSES)}
_LASTING_DENIALS: Final = sum(
    DENIED << shift for purpose, shift in _SHIFTS.items() if purpose is not Purpose.ANALYTICS_STORAGE
)

_DAY: Final = 86_400_000_000
_LATE: Final = 36 * _DAY
"""As long as claims live: hardly anything is heard of later."""
_REPEATS_GO: Final = ((_LATE, _DAY), (_LATE, _LATE), (_DAY, _LATE))
"""From which age on decisions go that repeat one state, and within which period; the next where too many stay."""
MOST_DECISIONS: Final = 1_000
"""Decisions of one identifier that are kept at most: who changes their mind more often is no person."""


class Decision(NamedTuple):
    """What a person said at one moment."""

    time_micros: int
    """When they decided."""
    states: int
    """Two bits per purpose: UNSAID, GRANTED, DENIED."""
    region: str = ""
    source: str = ""
    """Who says so."""

    def state_of(self, purpose: Purpose) -> int:
        """Returns what was said of a purpose."""
        return state_of(self.states, purpose)


def packed(said: Iterable[int]) -> int:
    """Returns the states of all purposes, given in the order of `PURPOSES`.

    >>> packed([GRANTED, DENIED, UNSAID, UNSAID, UNSAID])
    9
    """
    return sum(state << _BITS * at for at, state in enumerate(said))


def state_of(states: int, purpose: Purpose) -> int:
    """Returns what states say of a purpose."""
    return states >> _SHIFTS[purpose] & _MASK


def stricter(one: int, other: int) -> int:
    """Returns, per purpose, the stricter of two states: a denial before a grant, a grant before nothing.

    >>> stricter(packed([GRANTED, UNSAID, GRANTED, 0, 0]), packed([DENIED, GRANTED, UNSAID, 0, 0])) == packed(
    ...     [DENIED, GRANTED, GRANTED, 0, 0]
    ... )
    True
    """
    return sum(max(one >> shift & _MASK, other >> shift & _MASK) << shift for shift in _SHIFTS.values())


def denials_of(states: int) -> int:
    """Returns the denials among states that hold beyond their moment: all but of being measured."""
    return states & _LASTING_DENIALS


def decision_of(
    states: int, consent_micros: int, event_micros: int, accept_micros: int, region: str = "", source: str = ""
) -> Decision | None:
    """Returns what an event decides beyond itself; None: nothing.

    Args:
        states: What it says.
        consent_micros: When the person decided; 0: nobody said. Then it holds for this event alone, as far as that is
            measured; but a denial of anything that leaves the house counts as decided when the event happened.
        event_micros: When it happened.
        accept_micros: When it was accepted: nobody decides later than we hear of it.
        region: Of the person.
        source: Who says so.
    """
    if not consent_micros:
        consent_micros, states = event_micros, denials_of(states)
    return Decision(min(consent_micros, accept_micros), states, region, source) if states else None


def is_own_word(consent_micros: int, event_micros: int) -> bool:
    """Tells whether a grant holds for its event whatever was decided before: nobody said when, or it was later."""
    return not consent_micros or consent_micros > event_micros


class Timeline:
    """The states of one purpose, or of one vendor, over time.

    Args:
        decisions: Of one person, in any order, each as often as it may be.
        purpose: Which.
    """

    __slots__ = ("_keys", "newest_denial_micros")

    def __init__(self, decisions: Iterable[Decision], purpose: Purpose) -> None:
        shift = _SHIFTS[purpose]
        self._read((one[0], state) for one in decisions if (state := one[1] >> shift & _MASK))

    @classmethod
    def of(cls, said: Iterable[tuple[int, int]]) -> Self:
        """Returns that of times and states, in any order, each as often as it may be."""
        timeline = cls.__new__(cls)
        timeline._read(said)
        return timeline

    def _read(self, said: Iterable[tuple[int, int]]) -> None:
        self._keys = sorted(said)
        self.newest_denial_micros = max((time for time, state in self._keys if state == DENIED), default=-1)
        """When the person said no last; -1: never."""

    def __bool__(self) -> bool:
        """Tells whether anything was said."""
        return bool(self._keys)

    def was_denied(self, after_micros: int, until_micros: int) -> bool:
        """Tells whether the person said no after a moment, up to another, whatever they said then."""
        if self.newest_denial_micros <= after_micros:
            return False
        return any(after_micros < time <= until_micros and state == DENIED for time, state in self._keys)

    def at(self, time_micros: int) -> int:
        """Returns the state at a moment; a decision at that very moment holds."""
        place = bisect_right(self._keys, (time_micros, _MASK))
        return self._keys[place - 1][1] if place else UNSAID


class Assumed:
    """What is assumed where nothing was said.

    Args:
        granted: Region -> purposes that count as granted there, all others as denied; a region that is not listed
            denies all. None at all: nothing is assumed.
        region: Of those whose region nobody said.
    """

    __slots__ = ("defaults", "region")

    def __init__(self, granted: Mapping[str, Iterable[str]] | None = None, region: str = "") -> None:
        self.defaults = {name: frozenset(purposes) for name, purposes in (granted or {}).items()}
        self.region = region

    def state(self, region: str, purpose: Purpose) -> int:
        """Returns what is assumed of people of a region; "US-CA" lies in "US". UNSAID: nothing is."""
        if not self.defaults:
            return UNSAID
        own = self.defaults.get((region or self.region).partition("-")[0], frozenset())
        return GRANTED if purpose in own else DENIED


def state_when_leaving(own: int, own_micros: int, event_micros: int, timeline: Timeline, assumed: int) -> int:
    """Returns the state under which something may leave: the most restrictive of its own and any later one.

    Args:
        own: What was said with it.
        own_micros: When the person had decided that; 0: nobody said.
        event_micros: When it was collected.
        timeline: What the person decided, before and after.
        assumed: Where nothing was said.

    Returns:
        DENIED, GRANTED; UNSAID where nothing was said and nothing is assumed.
    """
    if own == DENIED or timeline.newest_denial_micros >= event_micros:
        return DENIED
    if own == GRANTED and is_own_word(own_micros, event_micros):
        return GRANTED
    at_event = timeline.at(event_micros)
    if own == GRANTED:  # the person may have said no between that and the event
        return DENIED if at_event == DENIED and timeline.newest_denial_micros >= own_micros else GRANTED
    return at_event or assumed


def dispensable(decisions: Sequence[Decision], most: int = MOST_DECISIONS) -> list[Decision]:
    """Returns the decisions of one identifier that need not be kept: old ones that repeat what was decided before.

    Of a run of equal states the first and the last of each day stay, so the state at any moment stays, and the last no.
    None of the last weeks goes: what is heard of late, or was decided under another identifier of the person, may lie
    between two that agree, and makes the second of them a change of mind. Between two of one old day it holds until the
    last of that day, as nobody knows any more that it was taken back earlier.

    Args:
        decisions: Of one identifier, in any order.
        most: Decisions that are kept. If more are left, repeats go that are younger and further apart; then the oldest
            changes of mind, but for the last no to each purpose.
    """
    rest = ordered = sorted(decisions)
    for age_micros, period_micros in _REPEATS_GO if ordered else ():
        rest = _without_repeats(ordered, ordered[-1].time_micros - age_micros, period_micros)
        if len(rest) <= most:
            break
    kept = set(rest[-most:])
    for purpose in PURPOSES:
        kept.update([one for one in rest if one.state_of(purpose) == DENIED][-1:])
    return [one for one in ordered if one not in kept]


def _without_repeats(ordered: Sequence[Decision], before_micros: int, period_micros: int) -> list[Decision]:
    """Returns those that are young, or of any purpose the first or the last of a run of one state within a period."""
    kept = {one for one in ordered if one.time_micros >= before_micros}
    for purpose in PURPOSES:
        said = ((one.time_micros, state, one) for one in ordered if (state := one.state_of(purpose)))
        for _, run in groupby(sorted(said), key=lambda one: (one[0] // period_micros, one[1])):
            alike = [one for _, _, one in run]
            kept.update((alike[0], alike[-1]))
    return [one for one in ordered if one in kept]
