"""A person's journey: its entries in event order, and which of them lie in a conversion's window.

An entry is a tuple of small numbers, because journeys are read for every conversion; texts are behind `descriptor`.
The first two fields are the event order, so sorting entries sorts events.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

from tributary_domain.event_order import OrderKey


class TouchKind(IntEnum):
    """What a journey entry is; stored, so that a number never changes its meaning."""

    VISIT = 1
    """Somebody came: a landing, a page view, an app open."""
    CLICK = 2
    """A click recorded where it was made (redirect, ad network), before the visit it causes."""
    IMPRESSION = 3
    """An ad was seen; earns only as `ImpressionPolicy` says, as do the next two."""
    ENGAGED_VIEW = 4
    """An ad was watched or interacted with, without a click."""
    OPEN = 5
    """A message was opened."""
    COUPON = 6
    """A partner's coupon code was used."""
    CONVERSION = 7
    """A conversion of the person: keeps its session alive, is never a touch. `descriptor` stands for its name."""


ON_SITE_KINDS: Final = frozenset({TouchKind.VISIT, TouchKind.CLICK, TouchKind.COUPON, TouchKind.CONVERSION})
"""Kinds that begin and continue a session; the others happen elsewhere."""

SEEN_KINDS: Final = frozenset({TouchKind.IMPRESSION, TouchKind.ENGAGED_VIEW, TouchKind.OPEN})
"""Kinds where something was seen and nothing was clicked: they earn only as `ImpressionPolicy` says."""

DIRECT: Final = 1
"""Flag: a direct visit, without evidence of a source."""
QUARANTINED: Final = 2
"""Flag: no credit and no session until released."""
NO_TOUCH: Final = 4
"""Flag: continues the session and is no touch, such as a return from a payment page."""
NO_CONSENT: Final = 8
"""Flag: consent was missing when it happened: no credit, no session."""
PASSED_OVER: Final = 128
"""Flag: of a channel that last_non_direct passes over, with evidence of a source. Never stored: settings say which."""

DIRECT_DESCRIPTOR: Final = 0
"""The descriptor of a direct touch that the core itself makes: an old click id seen again in a later session."""


class JourneyTouch(NamedTuple):
    """One entry of a journey, as stored."""

    event_time_micros: int
    event_hash: int
    """`event_order.event_hash` of the event id."""
    kind: int = TouchKind.VISIT
    """A `TouchKind`."""
    descriptor: int = DIRECT_DESCRIPTOR
    """Stands for channel, source, medium, campaign and the like: the source key of the touch."""
    flags: int = 0
    """Sum of DIRECT, QUARANTINED, NO_TOUCH, NO_CONSENT, PASSED_OVER."""
    click: int = 0
    """64-bit hash of family and value of the click id; 0 = none."""
    interaction: int = 0
    """64-bit hash of the interaction id; 0 = none."""
    session: int = 0
    """64-bit hash of the caller's session id; 0 = none."""
    click_time_micros: int = 0
    """When the click of `click` was made, as far as anybody said; 0 = nobody did."""

    @property
    def is_direct(self) -> bool:
        """Whether it has no evidence of a source."""
        return bool(self.flags & DIRECT)

    @property
    def is_quarantined(self) -> bool:
        """Whether it waits for a release."""
        return bool(self.flags & QUARANTINED)

    @property
    def is_touch(self) -> bool:
        """Whether it could earn credit at all."""
        return not self.flags & NO_TOUCH and self.kind != TouchKind.CONVERSION


class Exclusion(StrEnum):
    """Why an entry earned nothing from a conversion: exactly one per entry, the first that applies in this order."""

    NOT_A_TOUCH = "not_a_touch"
    """A conversion, or a return from a payment page."""
    AFTER_CONVERSION = "after_conversion"
    QUARANTINED = "quarantined"
    NO_CONSENT = "no_consent"
    OUTSIDE_WINDOW = "outside_window"
    """Before the window of every model."""
    BEFORE_PATH_RESET = "before_path_reset"
    """An earlier conversion ended the path."""
    IMPRESSION_IGNORED = "impression_ignored"
    """The impression policy, for this conversion: also of engaged views and opens."""
    OUTSIDE_VIEW_WINDOW = "outside_view_window"
    FOLDED = "folded"
    """Part of an interaction whose touch is its first event."""
    COLLAPSED = "collapsed"
    """A consecutive repeat of the same source."""
    OVER_CAP = "over_cap"


def in_event_order(entries: Iterable[JourneyTouch]) -> list[JourneyTouch]:
    """Returns the entries in event order, each once, however often and in whatever order they were given."""
    ordered = sorted(entries)
    previous = -1
    for entry in ordered:
        if entry[1] == previous:
            return _without_repeats(ordered)
        previous = entry[1]
    return ordered


def _without_repeats(ordered: Sequence[JourneyTouch]) -> list[JourneyTouch]:
    """Keeps the first of neighbours with the same event, kind and descriptor."""
    kept = [ordered[0]]
    kept.extend(entry for previous, entry in pairwise(ordered) if entry[:4] != previous[:4])
    return kept


def with_passed_over(entries: Iterable[JourneyTouch], descriptors: Collection[int]) -> list[JourneyTouch]:
    """Returns the entries, those from some sources marked PASSED_OVER.

    They stay touches with a source: they fold as such, and only last_non_direct passes over them.

    Args:
        entries: In any order; the order is kept.
        descriptors: Of the sources whose channel is in `AttributionSettings.direct_channels`. Direct entries stay as
            they are (`AttributionSettings.passed_over` says whether they count), and conversions are no touches.
    """
    return [
        entry._replace(flags=entry.flags | PASSED_OVER)
        if entry.descriptor in descriptors and entry.kind != TouchKind.CONVERSION and not entry.flags & DIRECT
        else entry
        for entry in entries
    ]


def since(touches: Sequence[JourneyTouch], first_time_micros: int) -> Sequence[JourneyTouch]:
    """Returns the touches not older than a moment; one exactly at it is inside.

    Args:
        touches: In event order.
        first_time_micros: The older end of a lookback window.
    """
    start = bisect_left(touches, (first_time_micros,))
    return touches[start:] if start else touches


def path_start(
    entries: Iterable[JourneyTouch],
    conversion_key: OrderKey,
    resetting: Collection[int],
    history_micros: int,
    conversion_ids: Mapping[int, str | int],
    internal: Collection[int] = (),
    earned: OrderKey | None = None,
    arrived: Collection[int] = (),
    told_as: Mapping[str, str] = MappingProxyType({}),
) -> OrderKey | None:
    """Returns the order key of the last conversion that ended the path before this one, if any did.

    An order that is told several times is one conversion, and ends the path once, at its own place: that of its
    earliest observation, of those that count if any does. Only observations before the conversion decide. One that was
    taken back never was a conversion.

    Args:
        entries: The person's journey, as the conversion being credited sees it.
        conversion_key: Event order of the conversion being credited.
        resetting: Descriptors of the conversion names in `AttributionSettings.path_reset_names`.
        history_micros: How far before the conversion the journey is complete: what is older decides nothing, or
            forgetting it would move the start.
        conversion_ids: Event hash of an observation -> its conversion, or the number of one that went with its person.
            One that is not in it says of none, and stands for itself.
        internal: Event hashes of internal and test traffic.
        earned: The earliest touch that the conversion was credited to, where the journey may have forgotten anything:
            of an order that is left after it, and has not just arrived, the first observation is forgotten.
        arrived: Event hashes of what has just arrived.
        told_as: Conversion -> the one that it counts as; empty: as none, it was taken back, or is the order itself that
            is being credited, told otherwise.
    """
    oldest = conversion_key[0] - history_micros
    first: dict[str | int, tuple[bool, int, int]] = {}
    for entry in entries:
        if (
            entry.kind == TouchKind.CONVERSION
            and entry.descriptor in resetting
            and not entry.flags & QUARANTINED
            and entry.event_time_micros >= oldest
            and entry[:2] < conversion_key
        ):
            time, hashed = entry[:2]
            conversion = conversion_ids.get(hashed, hashed)
            if isinstance(conversion, str) and not (conversion := told_as.get(conversion, conversion)):
                continue
            place = hashed in internal, time, hashed
            first[conversion] = min(place, first.get(conversion, place))
    places = (place[1:] for place in first.values())
    return max((one for one in places if earned is None or one < earned or one[1] in arrived), default=None)
