"""Which entries of a journey share a conversion, and of each other one why it does not.

Conversion and settings decide alone; what earned nothing has exactly one reason, computed on request by the same code.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tributary_domain.event_order import OrderKey
from tributary_domain.journey import (
    NO_CONSENT,
    QUARANTINED,
    SEEN_KINDS,
    Exclusion,
    JourneyTouch,
    TouchKind,
    in_event_order,
    since,
)
from tributary_domain.sessions import session_ids
from tributary_domain.settings import DAY, SECOND, AttributionSettings, ImpressionPolicy, TouchGrain
from tributary_domain.touches import Homes, Trace, fold, ids_of, limited, touch_events

_BARRED: Final = QUARANTINED | NO_CONSENT
_NO_KINDS: Final[frozenset[TouchKind]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditableConversion:
    """What credit depends on, of a conversion."""

    event_time_micros: int
    event_hash: int = 0
    """Of its earliest observation: with the time, its place in event order."""
    amount_micros: int = 0
    """The credited value now, after adjustments; 0 where there is none."""
    session: int = 0
    """64-bit hash of the caller's session id; 0 = none."""
    is_anonymous: bool = False
    """Whether it has no identifier, and so no person and no journey."""
    has_earlier_touch: bool = False
    """Whether the person is known to have a touch older than the given journey (its acquisition touch)."""
    path_start: OrderKey | None = None
    """What `journey.path_start` found: touches up to it earn nothing."""


def exclusions(
    entries: Iterable[JourneyTouch],
    conversion: CreditableConversion,
    settings: AttributionSettings,
    settled: Sequence[JourneyTouch] = (),
) -> dict[JourneyTouch, Exclusion]:
    """Says of each entry that earned nothing under any model why, with exactly one reason.

    Args: as for `attribute`.

    Returns:
        Entries in event order with their reason; touches that `attribute` returns are not among them.
    """
    ordered = in_event_order(entries)
    trace: Trace = {}
    windows = shared_touches(ordered, conversion, settings, trace, settled)
    used = {touch[:3] for window in windows for touch in window}
    by_event = {
        entry[:3]: reason for entry, reason in trace.items()
    }  # a touch may have got its source from a later event
    return {
        entry: trace.get(entry) or by_event.get(entry[:3], Exclusion.OUTSIDE_WINDOW)
        for entry in ordered
        if entry[:3] not in used or trace.get(entry) is Exclusion.FOLDED
    }


def shared_touches(
    ordered: Sequence[JourneyTouch],
    conversion: CreditableConversion,
    settings: AttributionSettings,
    trace: Trace | None = None,
    settled: Sequence[JourneyTouch] = (),
    by_window: list[Trace] | None = None,
    homes: Homes | None = None,
) -> list[Sequence[JourneyTouch]]:
    """Returns the touches that share the conversion, per window of `settings.windows`.

    Args:
        ordered: The journey in event order, each entry once.
        conversion: The conversion.
        settings: Windows, grain, policies.
        trace: Receives each entry that was left out, with its reason; one that is older than its window is not in it.
        settled: Touches that earlier entries were folded into and that the journey has forgotten. They stay touches of
            their own: what folding looks at (session, click, interaction) was forgotten too.
        by_window: Receives per window the touches that it alone left out; only together with `trace`.
        homes: Receives each folded entry with its touch; only together with `trace`.
    """
    time = conversion.event_time_micros
    eligible, old_ids = _eligible(ordered, conversion, settings, trace)
    if settings.touch_grain is TouchGrain.INTERACTION:
        touches = fold(eligible, settings.session_timeout_seconds * SECOND, trace, old_ids, homes)
    else:
        touches = touch_events(eligible, trace)
    if settled:
        touches = in_event_order([*touches, *(touch for touch in settled if _may_count(touch, time, settings))])
    if conversion.path_start is not None:
        touches = _after_reset(touches, conversion.path_start, time - settings.history_micros + DAY, trace)
    traces: list[Trace | None] = [None if trace is None else {} for _ in settings.windows]
    windows = [
        limited(since(touches, time - lookback), time, settings, window_trace)
        for (lookback, _), window_trace in zip(settings.windows, traces, strict=True)
    ]
    if trace is not None:
        if by_window is not None:
            by_window += [window_trace or {} for window_trace in traces]
        for window_trace in reversed(traces):  # the longest window has the last word
            trace |= window_trace or {}
    return windows


def _eligible(
    ordered: Sequence[JourneyTouch],
    conversion: CreditableConversion,
    settings: AttributionSettings,
    trace: Trace | None,
) -> tuple[Sequence[JourneyTouch], Collection[int]]:
    """Returns the entries that may count, in event order, with a day before the longest window, and the ids before."""
    time = conversion.event_time_micros
    oldest, newest, ignored_kinds = _bounds(time, settings)
    looked_at = _looked_at(ordered, oldest, newest, ignored_kinds)
    first = _first_under_cap(looked_at, settings.event_cap)
    begin = max(first, bisect_left(looked_at, (oldest,)))
    eligible = looked_at[begin:] if begin else looked_at
    if trace is not None:
        kept, capped = set(eligible), {entry for entry in looked_at[:first] if entry[0] >= oldest}
        trace |= {
            entry: Exclusion.OVER_CAP if entry in capped and entry.is_touch else _barred_because(entry, oldest, newest)
            for entry in ordered
            if entry not in kept
        }
    if eligible and eligible[-1][0] > time:
        eligible = _before_or_with(eligible, conversion, settings, trace)
    return eligible, ids_of(looked_at[first:begin]) if first < begin else ()


def _looked_at(
    ordered: Sequence[JourneyTouch], oldest: int, newest: int, ignored_kinds: Collection[int]
) -> list[JourneyTouch]:
    """Returns the entries that decide anything: those that may count, and older ones whose ids are old ones later."""
    return [
        entry
        for entry in ordered
        if entry[0] <= newest
        and (entry[0] >= oldest or entry[5] or entry[6])
        and not entry[4] & _BARRED
        and entry[2] not in ignored_kinds
    ]


def _first_under_cap(looked_at: Sequence[JourneyTouch], cap: int) -> int:
    """Returns the index of the oldest entry that `event_cap` leaves; what was only seen takes no place."""
    if len(looked_at) <= cap:
        return 0
    left = cap
    for index in range(len(looked_at) - 1, -1, -1):
        if looked_at[index][2] not in SEEN_KINDS:
            left -= 1
            if left == 0:
                return index
    return 0


def is_whole(
    entries: Iterable[JourneyTouch],
    conversion_time_micros: int,
    settings: AttributionSettings,
    complete_since_micros: int,
) -> bool:
    """Tells whether a journey that is whole only since a moment is enough for an exact answer.

    It is where the window begins later, and where what came since is as much as is looked at anyway.
    """
    oldest, newest, ignored_kinds = _bounds(conversion_time_micros, settings)
    if oldest >= complete_since_micros:
        return True
    recent = [entry for entry in entries if entry[0] >= complete_since_micros]
    looked_at = _looked_at(in_event_order(recent), oldest, newest, ignored_kinds | SEEN_KINDS)
    return len(looked_at) >= settings.event_cap


def _bounds(time: int, settings: AttributionSettings) -> tuple[int, int, frozenset[TouchKind]]:
    """Returns the oldest and the newest time of what may count, and the kinds that do not."""
    ignored_kinds = SEEN_KINDS if settings.impression_policy is ImpressionPolicy.IGNORE else _NO_KINDS
    return time - settings.history_micros, time + settings.late_touch_seconds * SECOND, ignored_kinds


def _may_count(touch: JourneyTouch, time: int, settings: AttributionSettings) -> bool:
    """Tells whether a touch that counted once may count still."""
    oldest, newest, ignored_kinds = _bounds(time, settings)
    return oldest <= touch.event_time_micros <= newest and touch.kind not in ignored_kinds


def _barred_because(entry: JourneyTouch, oldest: int, newest: int) -> Exclusion:
    """Says why `_eligible` left an entry out."""
    if not entry.is_touch:
        return Exclusion.NOT_A_TOUCH
    if entry.event_time_micros > newest:
        return Exclusion.AFTER_CONVERSION
    if entry.flags & QUARANTINED:
        return Exclusion.QUARANTINED
    if entry.flags & NO_CONSENT:
        return Exclusion.NO_CONSENT
    if entry.event_time_micros < oldest:
        return Exclusion.OUTSIDE_WINDOW
    return Exclusion.IMPRESSION_IGNORED


def _before_or_with(
    eligible: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings, trace: Trace | None
) -> list[JourneyTouch]:
    """Keeps of the entries just after the conversion those of its session."""
    time = conversion.event_time_micros
    own = JourneyTouch(time, conversion.event_hash, TouchKind.CONVERSION, session=conversion.session)
    entries = in_event_order([*eligible, own])
    sessions = dict(zip(entries, session_ids(entries, settings.session_timeout_seconds * SECOND), strict=True))
    kept = []
    for entry in eligible:
        if entry.event_time_micros <= time or sessions[entry] == sessions[own]:
            kept.append(entry)
        elif trace is not None:
            trace[entry] = Exclusion.AFTER_CONVERSION if entry.is_touch else Exclusion.NOT_A_TOUCH
    return kept


def _after_reset(
    touches: Sequence[JourneyTouch], start: OrderKey, oldest: int, trace: Trace | None
) -> list[JourneyTouch]:
    """Keeps the touches after the conversion that ended the path before; of older ones than any window says nothing."""
    kept = []
    for touch in touches:
        if touch[:2] > start:
            kept.append(touch)
        elif trace is not None and touch[0] >= oldest:
            trace[touch] = Exclusion.BEFORE_PATH_RESET
    return kept
