"""Which of a person's conversions of one name count: every one, or one per person, session or click.

The one rule: decided in event order, never in order of arrival, and only by conversions that are good. What does not
count is kept and names the one that counts in its place; if that one is retracted, the next takes over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tributary_domain.event_order import OrderKey
from tributary_domain.journey import NO_CONSENT, QUARANTINED, SEEN_KINDS, JourneyTouch, TouchKind


class Counting(StrEnum):
    """Which of a person's conversions of one name count, in event order; the others are kept, uncounted."""

    EVERY = "every"
    ONCE_PER_PERSON = "once_per_person"
    ONCE_PER_SESSION = "once_per_session"
    ONCE_PER_CLICK = "once_per_click"


class UncountedReason(StrEnum):
    """Why a good conversion does not count."""

    REPEATED_BY_PERSON = "repeated_by_person"
    REPEATED_IN_SESSION = "repeated_in_session"
    REPEATED_FOR_CLICK = "repeated_for_click"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountableConversion:
    """A conversion of the name and person in question."""

    conversion_id: str
    event_time_micros: int
    event_hash: int
    """Of its earliest observation: with the time, its place in event order."""
    session: int = 0
    """`sessions.session_ids` of it; 0: it belongs to none."""
    click: int = 0
    """Its own: the click id that its earliest observation with one carries itself; else `leading_click` of it; 0: none
    led to it."""
    is_good: bool = True
    """Whether it would count under `every`: neither quarantined, nor retracted, nor test traffic."""


@dataclass(frozen=True, slots=True)
class CountDecision:
    """Whether a good conversion counts."""

    conversion_id: str
    reason: UncountedReason | None = None
    """None: it counts."""
    counted_instead: str = ""
    """The conversion that counts in its place."""

    @property
    def is_counted(self) -> bool:
        """Whether it counts."""
        return self.reason is None


def count(conversions: Iterable[CountableConversion], rule: Counting) -> list[CountDecision]:
    """Says which conversions count.

    A conversion that no click led to is counted once per session under `once_per_click`: else a page reloaded five
    times would be five. One without a session counts: nothing says that it is a repeat.

    Args:
        conversions: All of one person and one name, in any order.
        rule: Of the name.

    Returns:
        One decision per good conversion, in event order.
    """
    good = sorted(
        (conversion for conversion in conversions if conversion.is_good),
        key=lambda conversion: (conversion.event_time_micros, conversion.event_hash, conversion.conversion_id),
    )
    first: dict[tuple[UncountedReason, int], str] = {}
    decisions = []
    for conversion in good:
        place = _place(conversion, rule)
        counted = conversion.conversion_id if place is None else first.setdefault(place, conversion.conversion_id)
        if place is None or counted == conversion.conversion_id:
            decisions.append(CountDecision(conversion.conversion_id))
        else:
            decisions.append(CountDecision(conversion.conversion_id, place[0], counted))
    return decisions


def _place(conversion: CountableConversion, rule: Counting) -> tuple[UncountedReason, int] | None:
    """Returns what only one conversion may take; None where any number may."""
    if rule is Counting.ONCE_PER_PERSON:
        return UncountedReason.REPEATED_BY_PERSON, 0
    if rule is Counting.ONCE_PER_CLICK and conversion.click:
        return UncountedReason.REPEATED_FOR_CLICK, conversion.click
    if rule is Counting.EVERY or not conversion.session:
        return None
    return UncountedReason.REPEATED_IN_SESSION, conversion.session


def leading_click(ordered: Sequence[JourneyTouch], conversion_key: OrderKey) -> int:
    """Returns the click that led to a conversion: the newest before it, whatever its age; 0 if there is none.

    Args:
        ordered: The journey in event order.
        conversion_key: The conversion's place in it.

    Returns:
        The number of its click id, else the hash of the click event.
    """
    found = 0
    for entry in ordered:
        if entry[:2] > conversion_key:
            break
        is_click = entry.click or entry.kind == TouchKind.CLICK
        if is_click and entry.kind not in SEEN_KINDS and not entry.flags & (QUARANTINED | NO_CONSENT):
            found = entry.click or entry.event_hash
    return found
