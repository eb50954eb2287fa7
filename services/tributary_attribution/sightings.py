"""What the events of a batch tell of people: who was seen with whom, whose path may be another now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tributary_attribution.affected import Affected, Joined
from tributary_attribution.arrivals import Arrival
from tributary_attribution.known import CausingEvent
from tributary_attribution.linking import Linked, Seen
from tributary_attribution.order_edges import Observed, edges_between
from tributary_domain.ties import edges_of, most_telling
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.redis.journey_homes import Sighted
from tributary_storage.redis.tie_layout import Said
from tributary_storage.redis.ties import Place

_sighted: Final[Callable[..., Sighted]] = tuple.__new__  # in place of the one that takes arguments: half the time


def walked(arrivals: Iterable[Arrival], linked: Linked) -> dict[Place, None]:
    """Returns identifiers, one at least of each person whose path may be another now."""
    walked = {
        (arrival.workspace, most_telling(arrival.tokens)): None
        for arrival in arrivals
        if arrival.entry is not None and arrival.tokens and not arrival.is_quarantined
    }
    return walked | dict.fromkeys(linked.regrouped)


def sighted_in(arrivals: Iterable[Arrival]) -> tuple[list[Sighted], list[Arrival]]:
    """Returns what events add to journeys, with the event of each; one that proves nothing shows at all identifiers."""
    sighted: list[Sighted] = []
    origins: list[Arrival] = []
    for arrival in arrivals:
        tokens = arrival.tokens
        if tokens:
            for home in tokens if arrival.is_quarantined else [most_telling(tokens)]:
                sighting = arrival.sighting or None
                shown = arrival.workspace, home, arrival.entry, sighting, arrival.traces
                sighted.append(_sighted(Sighted, shown))
                origins.append(arrival)
    return sighted, origins


def seen_together(arrivals: Sequence[Arrival], affected: Iterable[Affected]) -> list[Seen]:
    """Returns which identifiers were seen together: in one event, or in two that observed one conversion."""
    seen = []
    for arrival in arrivals:
        if len(arrival.tokens) > 1 and not arrival.is_quarantined:
            edges = edges_of(arrival.tokens, arrival.event_time_micros, arrival.event_hash)
            said = Said(
                arrival.event_id,
                arrival.event_time_micros,
                arrival.event_hash,
                arrival.accept_time_micros,
                arrival.traceparent,
            )
            seen.append(Seen(arrival.workspace, said, edges))
    for one in affected:
        observed = [part for part in one.parts if part.is_observation]
        if len(observed) > 1:
            days = one.workspace.identity.shared_device_days
            for said, edge in edges_between([_observed(part) for part in observed], days):
                seen.append(Seen(one.workspace.id, said, [edge]))
    return seen


def _observed(part: ConversionPart) -> Observed:
    said = Said(part.event.event_id, part.event_time_micros, part.event_hash, part.accept_time_micros)
    return list(part.admitted.identity_tokens), said


def joined_by(said: Said) -> Joined:
    """Returns what conversions want to know of what linked identifiers."""
    causing = CausingEvent(said.accept_time_micros, said.event_id, said.traceparent)
    return Joined(said.event_time_micros, said.event_hash, causing)
