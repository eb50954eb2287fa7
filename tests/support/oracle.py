"""The rules of credit once more, written from their words: slow, with fractions, and sharing no code with the core.

Only the shapes of input are the core's. Where the two disagree, one of them has misread the rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, Standing
from tributary_domain.journey import DIRECT, NO_CONSENT, NO_TOUCH, PASSED_OVER, QUARANTINED, JourneyTouch, TouchKind
from tributary_domain.settings import AttributionSettings, ImpressionPolicy, TouchGrain
from tributary_domain.windows import CreditableConversion

ON_SITE = {TouchKind.VISIT, TouchKind.CLICK, TouchKind.COUPON, TouchKind.CONVERSION}
ONLY_SEEN = {TouchKind.IMPRESSION, TouchKind.ENGAGED_VIEW, TouchKind.OPEN}
DAY = 24 * 3600 * 1_000_000


@dataclass
class Touch:
    """An interaction: the events that make it, the first one first."""

    events: list[JourneyTouch]
    source: int
    is_direct: bool
    is_like_direct: bool
    """Of another channel that last_non_direct passes over."""
    sessions: set[int] = field(default_factory=set)

    @property
    def time(self) -> int:
        return self.events[0].event_time_micros

    @property
    def event(self) -> tuple[int, int]:
        return self.events[0].event_time_micros, self.events[0].event_hash


def sessions_of(events: Sequence[JourneyTouch], timeout: int) -> list[int]:
    """A number per event: events share it if they are of one session; 0 for what happened off site."""
    open_sessions: list[dict[str, int]] = []  # name, last time
    numbers = []
    for event in events:
        if event.kind not in ON_SITE:
            numbers.append(0)
            continue
        time = event.event_time_micros
        latest = max(range(len(open_sessions)), key=lambda i: open_sessions[i]["turn"], default=None)
        latest_is_alive = latest is not None and time - open_sessions[latest]["last"] < timeout
        mine = None
        if event.session == 0:
            mine = latest if latest_is_alive else None
        else:
            with_my_name = [i for i, s in enumerate(open_sessions) if s["name"] == event.session]
            if with_my_name:
                newest = with_my_name[-1]
                mine = newest if time - open_sessions[newest]["last"] < timeout else None
            elif latest is not None and latest_is_alive and open_sessions[latest]["name"] == 0:
                mine = latest
        if mine is None:
            open_sessions.append({"name": 0, "last": time, "turn": 0})
            mine = len(open_sessions) - 1
        if event.session:
            open_sessions[mine]["name"] = event.session
        open_sessions[mine]["last"] = time
        open_sessions[mine]["turn"] = len(numbers) + 1
        numbers.append(mine + 1)
    return numbers


def touches_of(
    events: Sequence[JourneyTouch], settings: AttributionSettings, before: Sequence[JourneyTouch] = ()
) -> list[Touch]:
    """What the events of a journey, in event order, fold into; ids that were seen before them are old."""
    old_clicks = {event.click for event in before if event.kind in ON_SITE}
    old_interactions = {event.interaction for event in before if event.kind in ON_SITE}
    sessions = sessions_of(events, settings.session_timeout_seconds * 1_000_000)
    touches: list[Touch] = []
    seen: Seen = []
    for event, session in zip(events, sessions, strict=True):
        if event.flags & NO_TOUCH or event.kind == TouchKind.CONVERSION:
            continue
        is_like_direct = bool(event.flags & PASSED_OVER)
        fresh = Touch([event], event.descriptor, bool(event.flags & DIRECT), is_like_direct, {session})
        if settings.touch_grain is TouchGrain.EVENT:
            touches.append(fresh)
            continue
        mine: Touch | None = None
        if session == 0:
            same = (event.kind, event.interaction or event.click)
            for touch in touches:
                first = touch.events[0]
                if same[1] and same == (first.kind, first.interaction or first.click):
                    mine = mine or touch
        else:
            known = last_with(seen, "click", event.click) or last_with(seen, "interaction", event.interaction)
            if known:
                touch, seen_in = known
                is_its_visit = event.kind == TouchKind.VISIT and not any(
                    other.kind == TouchKind.VISIT for other in touch.events
                )
                if seen_in == session or is_its_visit:
                    mine = touch
                    if touch.is_direct and not fresh.is_direct:
                        touch.is_direct, touch.source, touch.is_like_direct = False, event.descriptor, is_like_direct
                else:
                    fresh.is_direct, fresh.source, fresh.is_like_direct = True, 0, False
            elif (
                (event.click and event.click in old_clicks)
                or (event.interaction and event.interaction in old_interactions)
                or (event.click and event.click_time_micros and event.event_time_micros - event.click_time_micros > DAY)
            ):
                fresh.is_direct, fresh.source, fresh.is_like_direct = True, 0, False
            if mine is None:
                here = [touch for touch in touches if session in touch.sessions]  # the oldest first
                if fresh.is_direct and here:
                    mine = here[0]
                else:
                    mine = next((touch for touch in here if touch.source == fresh.source), None)
        if mine is None:
            touches.append(fresh)
            mine = fresh
        else:
            mine.events.append(event)
            mine.sessions.add(session)
        seen.append((event, session, mine))
    return touches


Seen = list[tuple[JourneyTouch, int, Touch]]
"""Each event so far, its session and its touch."""


def last_with(seen: Seen, what: str, value: int) -> tuple[Touch, int] | None:
    """The touch and session of the newest event on site that carries an id."""
    for event, session, touch in reversed(seen):
        if value and session and getattr(event, what) == value:
            return touch, session
    return None


def windows(
    entries: Iterable[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> dict[str, list[Touch]]:
    """The touches that share a conversion, per model."""
    now = conversion.event_time_micros
    lookback = dict.fromkeys(MODEL_NAMES, settings.lookback_days * DAY)
    lookback.update({model.value: days * DAY for model, days in settings.model_lookback_days})
    journey = sorted(set(entries), key=lambda e: (e.event_time_micros, e.event_hash, e.kind, e.descriptor))
    journey = [e for e in journey if not e.flags & (QUARANTINED | NO_CONSENT)]
    if settings.impression_policy is ImpressionPolicy.IGNORE:
        journey = [e for e in journey if e.kind not in ONLY_SEEN]
    begin = now - max(lookback.values()) - DAY
    journey = [e for e in journey if e.event_time_micros >= begin or e.click or e.interaction]
    journey = [e for e in journey if e.event_time_micros <= now + settings.late_touch_seconds * 1_000_000]
    others = [e for e in journey if e.kind not in ONLY_SEEN]
    if len(others) > settings.event_cap:
        journey = journey[journey.index(others[-settings.event_cap]) :]
    before = [e for e in journey if e.event_time_micros < begin]
    soon = [e for e in journey if e.event_time_micros >= begin]
    itself = JourneyTouch(now, conversion.event_hash, TouchKind.CONVERSION, session=conversion.session)
    with_itself = sorted([*soon, itself])
    sessions = sessions_of(with_itself, settings.session_timeout_seconds * 1_000_000)
    own_session = sessions[with_itself.index(itself)]
    in_time = [
        e
        for e, session in zip(with_itself, sessions, strict=True)
        if e is not itself and (e.event_time_micros <= now or session == own_session)
    ]
    touches = touches_of(in_time, settings, before)
    if conversion.path_start:
        touches = [touch for touch in touches if touch.event > conversion.path_start]
    shared = {}
    for model in MODEL_NAMES:
        window = [touch for touch in touches if touch.time >= now - lookback[model]]
        shared[model] = limited(window, now, settings)
    return shared


def limited(window: list[Touch], now: int, settings: AttributionSettings) -> list[Touch]:
    """Impression policy, repeats and caps."""
    impressions = [touch for touch in window if touch.events[0].kind in ONLY_SEEN]
    clicks = [touch for touch in window if touch not in impressions and not touch.is_direct]
    if settings.impression_policy is ImpressionPolicy.ONLY_WITHOUT_CLICK and clicks:
        window = [touch for touch in window if touch not in impressions]
    else:
        seen = [touch for touch in impressions if touch.time >= now - settings.view_window_seconds * 1_000_000]
        seen = seen[len(seen) - settings.impression_cap :] if len(seen) > settings.impression_cap else seen
        window = [touch for touch in window if touch not in impressions or touch in seen]
    if settings.collapse_repeats:
        window = [t for i, t in enumerate(window) if i == 0 or window[i - 1].source != t.source]
    others = [touch for touch in window if touch.events[0].kind not in ONLY_SEEN]
    if len(others) > settings.touch_cap:
        first = others[: settings.touch_cap_first]
        last = others[-(settings.touch_cap - settings.touch_cap_first) :]
        window = [touch for touch in window if touch not in others or touch in first or touch in last]
    return window


MODEL_NAMES = ("first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay")


def shares(model: str, window: Sequence[Touch], settings: AttributionSettings) -> list[Fraction]:
    """The exact share of each touch; for time_decay as exact as a float is."""
    count = len(window)
    if model == "first_touch":
        return [Fraction(int(i == 0)) for i in range(count)]
    if model == "last_touch":
        return [Fraction(int(i == count - 1)) for i in range(count)]
    if model == "last_non_direct":
        passes_direct = "Direct" in settings.direct_channels
        passed = [(touch.is_direct and passes_direct) or touch.is_like_direct for touch in window]
        others = [i for i in range(count) if not passed[i]]
        winner = others[-1] if others else count - 1
        return [Fraction(int(i == winner)) for i in range(count)]
    if model == "linear":
        return [Fraction(1, count)] * count
    if model == "position_based":
        first, middle, last = settings.position_weights
        if count == 1:
            return [Fraction(1)]
        if count == 2:
            if first + last == 0:
                return [Fraction(1, 2)] * 2
            return [Fraction(first, first + last), Fraction(last, first + last)]
        of_all = first + middle + last
        between = Fraction(middle, of_all * (count - 2))
        return [Fraction(first, of_all), *[between] * (count - 2), Fraction(last, of_all)]
    half_life = settings.half_life_hours * 3600 * 1_000_000
    weights = [Fraction(2.0 ** (-(window[-1].time - touch.time) / half_life)) for touch in window]
    return [weight / sum(weights) for weight in weights]


def largest_remainder(total: int, wanted: Sequence[Fraction]) -> list[int]:
    """Rounds the shares of a total: down, then one more for the largest remainders, earlier ones first."""
    if total < 0:
        return [-part for part in largest_remainder(-total, wanted)]
    exact = [total * share for share in wanted]
    parts = [floor(part) for part in exact]
    order = sorted(range(len(parts)), key=lambda i: (-(exact[i] - parts[i]), i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts


def value_after(observations: Iterable[Observation], adjustments: Iterable[Adjustment]) -> tuple[int | None, bool]:
    """(value now, whether it is retracted) of a conversion whose parts are all of one currency and state amounts."""
    good = [part for part in observations if part.standing is Standing.GOOD and part.amount_micros is not None]
    good.sort(key=lambda part: (-part.source_rank, part.event_time_micros, part.event_hash))
    value = good[0].amount_micros if good else None
    in_order = sorted(adjustments, key=lambda part: (part.event_time_micros, part.event_hash))
    once: list[Adjustment] = []
    for part in in_order:
        if part.standing is Standing.GOOD and part.identity not in [other.identity for other in once]:
            once.append(part)
    restatements = [i for i, part in enumerate(once) if part.kind is AdjustmentKind.RESTATEMENT]
    if restatements:
        value = once[restatements[-1]].amount_micros
        once = once[restatements[-1] + 1 :]
    if any(part.kind is AdjustmentKind.RETRACTION for part in once):
        return (None if value is None else 0), True
    if value is None:
        return None, False
    for part in once:
        amount = part.amount_micros or 0
        value += amount if part.kind is AdjustmentKind.REVERSAL else -amount
    return max(0, value), False
