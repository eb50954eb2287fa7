"""Conversions that a batch of events may have changed: found in journeys, by time and by who a person is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tributary_attribution.arrivals import Arrival
from tributary_attribution.credit_settings import history_micros, slack_micros
from tributary_attribution.crediting import CausingEvent
from tributary_domain.revision import Cause
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_parts import ConversionPart, unpack_parts
from tributary_storage.redis.conversions import ConversionRecord, conversion_key
from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.people import SettledPerson, person_key


@dataclass(slots=True)
class Affected:
    """A conversion that the batch may have changed."""

    workspace: Workspace
    conversion_id: str
    record: ConversionRecord | None = None
    parts: list[ConversionPart] = field(default_factory=list)
    journey: Journey | None = None
    has_journey: bool = False
    """Whether the journey was looked for."""
    causing: dict[str, CausingEvent] = field(default_factory=dict)
    known_causes: set[Cause] = field(default_factory=set)
    claim_micros: int = 0
    """When an observation of it was accepted whose claim was new then, and which was never read before; 0: none."""

    @property
    def key(self) -> str:
        """Returns what it is kept under."""
        return conversion_key(self.workspace.id, self.conversion_id)

    def take(self, record: ConversionRecord) -> None:
        """Takes what was read of it."""
        self.record = record
        self.parts = unpack_parts(record.parts.values())

    def window_begin_micros(self) -> int:
        """Returns from when on a touch may earn credit for it: what is older is only told apart, never shown."""
        times = [part.event_time_micros for part in self.parts if part.is_observation]
        return min(times, default=0) - history_micros(self.workspace)

    def person_keys(self) -> list[str]:
        """Returns the person keys of its observations."""
        tokens = {token: None for part in self.parts if part.is_observation for token in part.admitted.identity_tokens}
        return [person_key(self.workspace.id, token) for token in tokens]


def find_affected(
    affected: dict[str, Affected], workspace: Workspace, person: SettledPerson, events: Sequence[Arrival]
) -> None:
    """Notes which conversions of a person the events may have changed.

    All that are not before an event: however old a touch is, it may tell why nobody earned a conversion, and its click
    id may be what a destination recognises the person by, which looks back further than credit does.
    """
    journey = person.journey
    if journey is None:
        return
    added = [event for event in events if event.entry is not None]
    slack = slack_micros(workspace)
    for conversion_id, times in journey.conversions.items():
        key = conversion_key(workspace.id, conversion_id)
        last = max(times) + slack
        causing = [event for event in added if event.event_time_micros <= last]
        if person.why < 2 and not causing and key not in affected:
            continue
        one = affected_at(affected, workspace, conversion_id)
        one.journey, one.has_journey = journey, True
        if person.is_merged:
            one.known_causes.add(Cause.IDENTITY_MERGE)
            causing = [*causing, *(event for event in events if len(event.tokens) > 1)]
        elif person.why == 2 and not causing:
            causing = list(events)
        for event in causing:
            one.causing.setdefault(event.event_id, causing_event(event))


def affected_at(affected: dict[str, Affected], workspace: Workspace, conversion_id: str) -> Affected:
    """Returns a conversion among those affected, after adding it if it is not there."""
    key = conversion_key(workspace.id, conversion_id)
    one = affected.get(key)
    if one is None:
        one = affected[key] = Affected(workspace, conversion_id)
    return one


def causing_event(arrival: Arrival) -> CausingEvent:
    """Returns what a revision says of an event that caused it."""
    return CausingEvent(arrival.event_id, arrival.accept_time_micros, arrival.traceparent)
