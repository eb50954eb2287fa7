"""Journeys, conversions and settings for property tests: small numbers, so that edges and ties are hit often."""

from dataclasses import replace

from hypothesis import strategies as st

from tributary_domain.journey import DIRECT, NO_CONSENT, NO_TOUCH, PASSED_OVER, QUARANTINED, JourneyTouch, TouchKind
from tributary_domain.settings import DAY, MODELS, SECOND, AttributionSettings, ImpressionPolicy, TouchGrain
from tributary_domain.windows import CreditableConversion

CONVERSION_TIME = 400 * DAY
"""Of every drawn conversion."""

_NEAR_EDGES = [
    CONVERSION_TIME - days * DAY + seconds * SECOND + micros
    for days in (0, 1, 2, 7, 8, 29, 30, 31, 40)
    for seconds in (-1801, -1800, -1799, -60, -1, 0, 1, 2, 3, 60, 1799, 1800, 1801)
    for micros in (-1, 0, 1)
]

hashes = st.integers(100, 2**64 - 1)
"""Of events: apart from the small numbers that stand for sessions and ids, as 64-bit hashes are."""

times = st.one_of(
    st.sampled_from(_NEAR_EDGES),
    st.integers(CONVERSION_TIME - 45 * DAY, CONVERSION_TIME + 3 * SECOND),
    st.integers(CONVERSION_TIME - 3 * 3600 * SECOND, CONVERSION_TIME + 3 * SECOND),
)

amounts = st.one_of(
    st.sampled_from([0, 1, 2, 1_000_000, -1, -10_000_001]), st.integers(-(10**13), 10**13), st.integers(0, 10**9)
)


@st.composite
def entries(draw: st.DrawFn) -> JourneyTouch:
    """One entry. Direct entries, and only they, have descriptor 0; 3 is of a channel that is passed over, too."""
    descriptor = draw(st.sampled_from([0, 0, 1, 1, 2, 2, 3]))
    flags = {0: DIRECT, 3: PASSED_OVER}.get(descriptor, 0)
    flags |= draw(st.sampled_from([*[0] * 12, QUARANTINED, NO_TOUCH, NO_CONSENT, QUARANTINED | NO_CONSENT]))
    kind = draw(st.sampled_from([*[TouchKind.VISIT] * 4, TouchKind.CLICK, *TouchKind]))
    time, click = draw(times), draw(st.sampled_from([0, 0, 0, 1, 2]))
    click_age = draw(st.sampled_from([None, None, 0, SECOND, DAY, DAY + 1, 40 * DAY])) if click else None
    return JourneyTouch(
        time,
        draw(hashes),
        int(kind),
        descriptor,
        flags,
        click,
        draw(st.sampled_from([0, 0, 0, 3, 4])),
        draw(st.sampled_from([0, 0, 0, 5, 6])),
        0 if click_age is None else time - click_age,
    )


_TIMEOUT = 1800 * SECOND
_GAPS = [0, SECOND, 60 * SECOND, _TIMEOUT - 1, _TIMEOUT, _TIMEOUT, _TIMEOUT + 1, DAY - _TIMEOUT, DAY]


@st.composite
def journeys(draw: st.DrawFn, max_size: int = 12) -> list[JourneyTouch]:
    """A journey in any order, each event once: anywhere, or close together and up to the conversion."""
    scattered = draw(st.lists(entries(), max_size=max_size, unique_by=lambda entry: entry.event_hash))
    if draw(st.booleans()):
        scattered = [entry._replace(session=0) for entry in scattered]
    if draw(st.integers(0, 2)) == 0:
        return scattered
    time = draw(
        st.sampled_from(
            [
                CONVERSION_TIME,
                CONVERSION_TIME + 2 * SECOND,
                CONVERSION_TIME - 7 * DAY,
                CONVERSION_TIME - 30 * DAY + _TIMEOUT,
            ]
        )
    )
    close = []
    for entry in scattered:
        close.append(entry._replace(event_time_micros=time))
        time -= draw(st.sampled_from(_GAPS))
    return close


def conversions() -> st.SearchStrategy[CreditableConversion]:
    """A conversion at `CONVERSION_TIME`."""
    return st.builds(
        CreditableConversion,
        event_time_micros=st.just(CONVERSION_TIME),
        event_hash=hashes,
        amount_micros=amounts,
        session=st.sampled_from([0, 0, 5, 6]),
        path_start=st.one_of(st.none(), st.none(), st.none(), st.tuples(times, hashes)),
    )


def settings_of() -> st.SearchStrategy[AttributionSettings]:
    """Settings with everything that can be set."""
    lookbacks = st.dictionaries(st.sampled_from(MODELS), st.sampled_from([1, 7, 30]), max_size=3)
    return st.builds(
        AttributionSettings,
        lookback_days=st.sampled_from([1, 7, 30]),
        model_lookback_days=lookbacks.map(lambda found: tuple(found.items())),
        half_life_hours=st.sampled_from([1, 24, 168]),
        position_weights=st.tuples(*[st.sampled_from([0, 1, 20, 40])] * 3).filter(any),
        touch_grain=st.sampled_from([TouchGrain.INTERACTION, TouchGrain.INTERACTION, TouchGrain.EVENT]),
        impression_policy=st.sampled_from(list(ImpressionPolicy)),
        impression_cap=st.sampled_from([1, 20]),
        late_touch_seconds=st.sampled_from([2, 2, 0, 1, 60]),
        direct_channels=st.sampled_from([frozenset({"Direct"}), frozenset({"Direct"}), frozenset()]),
        collapse_repeats=st.booleans(),
        touch_cap=st.sampled_from([500, 500, 4]),
        touch_cap_first=st.sampled_from([1, 2]),
    ).flatmap(_with_event_cap)


def _with_event_cap(settings: AttributionSettings) -> st.SearchStrategy[AttributionSettings]:
    """Now and then a cap on events that is small enough to be met."""
    if settings.touch_cap > 4:
        return st.just(settings)
    return st.sampled_from([2000, 6, 4]).map(lambda cap: replace(settings, event_cap=cap, version=""))
