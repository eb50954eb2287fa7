"""From events to touches: what belongs to one interaction is one touch, at its first time.

The same click id is one touch; a click and the visit it caused are one, by click id or interaction id; the same source
in one session is one; a direct event inside a session that has a touch inherits its source. An old click id seen again
in a later session (a bookmark, a reloaded tab) is a direct return, however long ago the click was: it is old where it
was seen before, and where its click was made more than a day before it is seen first.
"""

from collections.abc import Collection, Sequence
from typing import Final

from tributary_domain.event_order import OrderKey
from tributary_domain.journey import (
    DIRECT,
    DIRECT_DESCRIPTOR,
    NO_TOUCH,
    PASSED_OVER,
    SEEN_KINDS,
    Exclusion,
    JourneyTouch,
    TouchKind,
)
from tributary_domain.sessions import session_ids
from tributary_domain.settings import DAY, SECOND, AttributionSettings, ImpressionPolicy

Trace = dict[JourneyTouch, Exclusion]
"""Why entries were left out, filled in on request only."""

Homes = dict[JourneyTouch, OrderKey]
"""The event of the touch that an entry was folded into, filled in on request only."""

CLICK_TO_VISIT_MICROS: Final = DAY
"""How long after its click the visit that the click caused may come; a later one is a return."""

_VISIT = int(TouchKind.VISIT)
_CONVERSION = int(TouchKind.CONVERSION)


def ids_of(entries: Sequence[JourneyTouch]) -> set[int]:
    """Returns the click ids of events on site, and the complements of their interaction ids: one space for both."""
    ids = {entry[5] for entry in entries if entry[2] not in SEEN_KINDS}
    ids |= {~entry[6] for entry in entries if entry[6] and entry[2] not in SEEN_KINDS}
    ids.discard(0)
    return ids


def fold(
    entries: Sequence[JourneyTouch],
    timeout_micros: int,
    trace: Trace | None = None,
    old_ids: Collection[int] = (),
    homes: Homes | None = None,
) -> list[JourneyTouch]:
    """Folds the events of a journey into touches.

    Args:
        entries: In event order; neither quarantined nor without consent, because such an event holds nothing.
        timeout_micros: The session timeout.
        trace: Receives each entry that is no touch of its own, with FOLDED or NOT_A_TOUCH.
        old_ids: What was seen before these entries (`ids_of`).
        homes: Receives each entry that was folded, with its touch; only together with `trace`.

    Returns:
        Touches in event order. Each is the entry of its first event, with the source of its first event that has one.
    """
    touches: list[JourneyTouch] = []
    visited: set[int] = set()  # touches whose visit was seen
    by_id: dict[int, tuple[int, int]] = {}  # click id, ~interaction -> touch, and the session it was last seen in
    by_source: dict[tuple[int, int], int] = {}  # session, descriptor -> its oldest touch; off site -kind, id -> touch
    by_session: dict[int, int] = {}  # session -> its oldest touch
    sessions_of: dict[int, list[int]] = {}  # touch -> the sessions it was seen in
    for entry, session in zip(entries, session_ids(entries, timeout_micros), strict=True):
        time, _, kind, descriptor, flags, click, interaction, _, click_time = entry
        if flags & NO_TOUCH or kind == _CONVERSION:
            if trace is not None:
                trace[entry] = Exclusion.NOT_A_TOUCH
            continue
        touch = entry
        index = None
        if not session:
            index = _seen_off_site(entry, by_source, len(touches))
        else:
            if click or interaction:
                seen = by_id.get(click) if click else None
                if seen is None and interaction:
                    seen = by_id.get(~interaction)
                if seen is not None and (seen[1] == session or (kind == _VISIT and seen[0] not in visited)):
                    index = seen[0]
                    by_session[session] = min(index, by_session.get(session, index))
                    told = [session]
                    if touches[index][4] & DIRECT and not flags & DIRECT:
                        touches[index] = touches[index]._replace(descriptor=descriptor, flags=flags)
                        told = [session, *sessions_of[index]]
                    for key in [(told_session, touches[index][3]) for told_session in told]:
                        by_source[key] = min(index, by_source.get(key, index))
                    if sessions_of[index][-1] != session:
                        sessions_of[index].append(session)
                elif (
                    seen is not None
                    or (click_time and time - click_time > CLICK_TO_VISIT_MICROS)
                    or (old_ids and ((click and click in old_ids) or (interaction and ~interaction in old_ids)))
                ):  # an old click id: a direct return
                    descriptor, flags = DIRECT_DESCRIPTOR, flags & ~PASSED_OVER | DIRECT
                    touch = entry._replace(descriptor=descriptor, flags=flags)
            if index is None:
                index = by_session.get(session) if flags & DIRECT else by_source.get((session, descriptor))
            place = len(touches) if index is None else index
            if kind == _VISIT:
                visited.add(place)
            if click:
                by_id[click] = place, session
            if interaction:
                by_id[~interaction] = place, session
            if index is None:
                sessions_of[place] = [session]
                by_source[(session, descriptor)] = place
                by_session.setdefault(session, place)
        if index is None:
            touches.append(touch)
        elif trace is not None:
            trace[entry] = Exclusion.FOLDED
            if homes is not None:
                homes[entry] = touches[index][:2]
    return touches


def _seen_off_site(entry: JourneyTouch, by_source: dict[tuple[int, int], int], place: int) -> int | None:
    """Returns the touch that an event outside all sessions repeats: same kind and same id; remembers a new one."""
    identity = entry.interaction or entry.click
    if not identity:
        return None
    found = by_source.setdefault((-entry.kind, identity), place)
    return found if found < place else None


def touch_events(entries: Sequence[JourneyTouch], trace: Trace | None = None) -> list[JourneyTouch]:
    """Returns every event that is a touch, unfolded (`TouchGrain.EVENT`)."""
    if trace is not None:
        trace |= {entry: Exclusion.NOT_A_TOUCH for entry in entries if not entry.is_touch}
    return [entry for entry in entries if not entry[4] & NO_TOUCH and entry[2] != _CONVERSION]


def limited(
    touches: Sequence[JourneyTouch],
    conversion_time_micros: int,
    settings: AttributionSettings,
    trace: Trace | None = None,
) -> Sequence[JourneyTouch]:
    """Returns the touches of a window that share its credit: impression policy, repeats, caps.

    Args:
        touches: Of one window, in event order.
        conversion_time_micros: The newer end of the window.
        settings: Policy and caps.
        trace: Receives each touch that is left out, with its reason.
    """
    if settings.impression_policy is not ImpressionPolicy.IGNORE:
        touches = _with_impressions(touches, conversion_time_micros, settings, trace)
    if settings.collapse_repeats:
        touches = _collapsed(touches, trace)
    return _capped(touches, settings, trace)


def _with_impressions(
    touches: Sequence[JourneyTouch], conversion_time: int, settings: AttributionSettings, trace: Trace | None
) -> Sequence[JourneyTouch]:
    """Keeps the impressions, engaged views and opens that the policy, the view window and their own cap allow."""
    impressions = [touch for touch in touches if touch.kind in SEEN_KINDS]
    if not impressions:
        return touches
    dropped: Trace = {}
    has_click = any(touch.kind not in SEEN_KINDS and not touch.is_direct for touch in touches)
    if settings.impression_policy is ImpressionPolicy.ONLY_WITHOUT_CLICK and has_click:
        dropped = dict.fromkeys(impressions, Exclusion.IMPRESSION_IGNORED)
    else:
        oldest = conversion_time - settings.view_window_seconds * SECOND
        recent = [touch for touch in impressions if touch.event_time_micros >= oldest]
        dropped = dict.fromkeys(impressions[: len(impressions) - len(recent)], Exclusion.OUTSIDE_VIEW_WINDOW)
        dropped |= dict.fromkeys(recent[: max(0, len(recent) - settings.impression_cap)], Exclusion.OVER_CAP)
    if trace is not None:
        trace |= dropped
    return [touch for touch in touches if touch not in dropped]


def _collapsed(touches: Sequence[JourneyTouch], trace: Trace | None) -> Sequence[JourneyTouch]:
    """Keeps the first of consecutive touches of one source, down to campaign and ad."""
    kept: list[JourneyTouch] = []
    for touch in touches:
        if kept and kept[-1].descriptor == touch.descriptor:
            if trace is not None:
                trace[touch] = Exclusion.COLLAPSED
        else:
            kept.append(touch)
    return kept


def _capped(
    touches: Sequence[JourneyTouch], settings: AttributionSettings, trace: Trace | None
) -> Sequence[JourneyTouch]:
    """Keeps the first k and the last N - k of more than N; what was only seen takes no place, it has its own cap."""
    if len(touches) <= settings.touch_cap:
        return touches
    counted = [touch for touch in touches if touch.kind not in SEEN_KINDS]
    last = settings.touch_cap - settings.touch_cap_first
    dropped = (
        set(counted[settings.touch_cap_first : len(counted) - last]) if len(counted) > settings.touch_cap else set()
    )
    if trace is not None:
        trace |= dict.fromkeys(dropped, Exclusion.OVER_CAP)
    return [touch for touch in touches if touch not in dropped]
