"""What a conversion's person left -> which of it is the conversion's, whatever Redis has forgotten.

The one rule: what is published and not known any more stays, if it may have been forgotten; if it is known still, and
is not the conversion's now, its person is another or did not allow it: it goes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tributary_attribution.assessment import Assessment, complete_since_micros
from tributary_attribution.credit_settings import journey_life_seconds
from tributary_attribution.known import Known
from tributary_attribution.views import Views
from tributary_domain.revision import Cause
from tributary_domain.ties import most_telling
from tributary_domain.traces import Consents, Trace, is_in_time, resolve
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.ties import person_key


def recognise(known: Known, assessed: Assessment, views: Views) -> Mapping[str, Trace]:
    """Returns by what destinations can recognise a conversion's person, by slot.

    Args:
        known: All that is known of it.
        assessed: What it is.
        views: Know the click ids of journeys.
    """
    workspace_id, time = known.workspace.id, assessed.facts.conversion_time_micros
    journeys = list(_journeys(known))
    resolved: dict[str, Trace] = {}
    for journey in journeys:
        traces = defaultdict(list, {slot: list(left) for slot, left in journey.traces.items()})
        view = views.of(workspace_id, journey, assessed.settings, sees_internal=assessed.sees_internal)
        for slot, trace in view.clicks:
            traces[slot].append(trace)
        if traces:
            found = resolve(traces, Consents(journey.decisions), time, sees_internal=assessed.sees_internal)
            for slot, trace in found.items():
                resolved[slot] = max(trace, resolved.get(slot, trace))
    is_kept = Cause.ERASURE not in known.known_causes  # else some of it may be theirs who were erased
    if is_kept and assessed.published is not None and assessed.published.traces:
        for slot, trace in _forgotten(known, assessed, views, journeys):
            resolved[slot] = max(trace, resolved.get(slot, trace))
    return resolved


def other_people(known: Known, assessed: Assessment, told: Iterable[ConversionPart], person_id: str) -> Sequence[str]:
    """Returns the ids of all others of whom something is among what destinations recognise a conversion by.

    Args:
        known: All that is known of it.
        assessed: What it is.
        told: What was observed of it.
        person_id: Its own person's, whom nobody linked with these.
    """
    journeys = list(_journeys(known))
    if known.journey is None and assessed.published is not None and Cause.ERASURE not in known.known_causes:
        return assessed.published.person_ids  # who is linked with whom expired with the journey
    linked = {token for journey in journeys for token in journey.tokens}
    # Whose an observation is, its most telling identifier says: an address of it may be linked with somebody else.
    homes = {most_telling(part.admitted.identity_tokens) for part in told if part.admitted.identity_tokens}
    people = {person_key(known.workspace.id, home) for home in homes - linked}
    return sorted(people.union(journey.person_id for journey in journeys) - {"", person_id})


def _journeys(known: Known) -> Iterable[Journey]:
    """Yields the journey of its person; of a stage of a lead, or of one order, also that of whose credit it has."""
    if known.journey is not None:
        yield known.journey
    if (known.is_lead or known.is_one_order) and known.origin is not None:
        yield from (one for one in _journeys(known.origin) if one is not known.journey)


def _forgotten(
    known: Known, assessed: Assessment, views: Views, journeys: list[Journey]
) -> Iterable[tuple[str, Trace]]:
    """Yields what is published of its person and may have been forgotten since."""
    time = assessed.facts.conversion_time_micros
    held = {
        (slot, trace.value)
        for journey in (*journeys, *known.elsewhere)
        for slot, trace in (
            *((slot, trace) for slot, left in journey.traces.items() for trace in left),
            *views.every_click(known.workspace.id, journey.entries),
        )
    }
    life = journey_life_seconds([known.workspace])
    now = known.stored.redis_time_micros
    since = max((complete_since_micros(journey, life, now) for journey in journeys), default=0)
    # A journey that lacks touches of the conversion, or the conversion itself, has lost more than it forgets with time.
    has_lost = bool(assessed.settled) or not any(known.conversion_id in journey.conversions for journey in journeys)
    consents = [Consents(journey.decisions) for journey in journeys]
    for slot, trace in () if assessed.published is None else assessed.published.traces:
        if (slot, trace.value) in held or not is_in_time(slot, trace.time_micros, time):
            continue
        newer = sum(one.time_micros > trace.time_micros for own in journeys for one in own.traces.get(slot, ()))
        may_be = has_lost or trace.time_micros < since or newer > 1
        if may_be and all(own.allow(trace.time_micros, 0, time) for own in consents):
            yield slot, trace
