"""A journey as conversions see it: in event order, with what their settings pass over. Made once per batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary_domain.journey import (
    DIRECT,
    NO_CONSENT,
    NO_TOUCH,
    QUARANTINED,
    JourneyTouch,
    TouchKind,
    in_event_order,
    with_passed_over,
)
from tributary_domain.settings import AttributionSettings
from tributary_domain.traces import Trace, click_slot
from tributary_storage.redis.click_ids import Click
from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.trace_layout import Left

SourceOf = Callable[[str, int], TouchSource | None]
"""(workspace, descriptor) -> source, for every descriptor that may earn credit; None for those it does not know."""
ClickOf = Callable[[str, int], Click | None]
"""(workspace, number) -> click id, for every one whose text has not expired."""


@dataclass(frozen=True, slots=True)
class View:
    """What a conversion sees of a journey."""

    entries: Sequence[JourneyTouch]
    """In event order."""
    clicks: Sequence[Left]
    """Its click ids, each at its first time, with its slot."""
    held: frozenset[tuple[int, int]]
    """Time and hash of all that the journey holds, seen or not."""


_NOTHING = View((), (), frozenset())


class Views:
    """The views of a batch.

    Args:
        source_of: Knows the sources.
        click_of: Knows the click ids.
    """

    def __init__(self, source_of: SourceOf, click_of: ClickOf) -> None:
        self.source_of = source_of
        self.click_of = click_of
        self._made: dict[tuple[int, frozenset[str], bool], tuple[Journey, View]] = {}

    def of(
        self, workspace_id: str, journey: Journey | None, settings: AttributionSettings, *, sees_internal: bool
    ) -> View:
        """Returns a journey as conversions see it under some settings.

        Args:
            workspace_id: Whose it is.
            journey: None: there is none.
            settings: What is passed over under them.
            sees_internal: Whether the conversion is internal or test traffic itself: only such sees such.
        """
        if journey is None:
            return _NOTHING
        key = id(journey), settings.direct_channels, sees_internal
        made = self._made.get(key)
        if made is None:
            view = self._make(workspace_id, journey, settings, sees_internal=sees_internal)
            made = self._made[key] = journey, view  # the journey too: its id must stay its own
        return made[1]

    def _make(self, workspace_id: str, journey: Journey, settings: AttributionSettings, *, sees_internal: bool) -> View:
        entries = in_event_order(journey.entries)
        held = frozenset(entry[:2] for entry in entries)
        if journey.internal and not sees_internal:
            entries = [entry for entry in entries if entry.event_hash not in journey.internal]
        clicks = self.clicks_of(workspace_id, entries)
        return View(as_passed_over(entries, settings, lambda at: self.source_of(workspace_id, at)), clicks, held)

    def clicks_of(self, workspace_id: str, entries: Iterable[JourneyTouch]) -> list[Left]:
        """Returns the click ids of a journey: each when the click was made, or else at its first sight."""
        good = (entry for entry in entries if entry.click and not entry.flags & (QUARANTINED | NO_CONSENT))
        return self.every_click(workspace_id, good)

    def every_click(self, workspace_id: str, entries: Iterable[JourneyTouch]) -> list[Left]:
        """Returns the same of all entries, also of those that prove nothing or that nobody allowed."""
        first: dict[int, tuple[int, int]] = {}
        for entry in entries:
            if entry.click:
                time = entry.click_time_micros or entry.event_time_micros, entry.event_hash
                first[entry.click] = min(time, first.get(entry.click, time))
        found = ((number, *seen, self.click_of(workspace_id, number)) for number, seen in first.items())
        return [
            (click_slot(click[0]), Trace(time, hashed, number, 0, click[1].encode()))
            for number, time, hashed, click in found
            if click is not None
        ]


def as_passed_over(
    entries: list[JourneyTouch], settings: AttributionSettings, source_of: Callable[[int], TouchSource | None]
) -> list[JourneyTouch]:
    """Marks the touches of channels that last_non_direct passes over; what has lost its source earns nothing anyway."""
    channels = settings.direct_channels
    touches = {entry[3] for entry in entries if entry[2] != TouchKind.CONVERSION and not entry[4] & DIRECT}
    sources = [(descriptor, source_of(descriptor)) for descriptor in touches]
    passed = {descriptor for descriptor, found in sources if found is not None and found.channel in channels}
    return with_passed_over(entries, passed) if passed else entries


def kept_for_ids(entries: Iterable[JourneyTouch], since_micros: int, earned: Collection[int]) -> list[JourneyTouch]:
    """Returns entries, of which none earns that is left of what a journey has forgotten and did not earn before.

    What carries the id of a click or an interaction stays for that id alone; what it was folded into may be forgotten.

    Args:
        entries: As a conversion sees them.
        since_micros: From when on nothing is forgotten.
        earned: Event hashes of the touches that the conversion was credited to, and of what has just arrived.
    """
    return [
        entry._replace(flags=entry.flags | NO_TOUCH)
        if entry[0] < since_micros and (entry.click or entry.interaction) and entry[1] not in earned
        else entry
        for entry in entries
    ]
