"""What storage trims of a long journey changes no credit, as long as enough of it is left: and that can be told."""

from dataclasses import replace

from hypothesis import event, given
from hypothesis import strategies as st

from tests.property.journeys import CONVERSION_TIME, conversions, entries, journeys, settings_of
from tributary_domain.attribution import attribute
from tributary_domain.journey import NO_CONSENT, QUARANTINED, SEEN_KINDS, JourneyTouch
from tributary_domain.settings import AttributionSettings
from tributary_domain.windows import CreditableConversion, is_whole


def trimmed(journey: list[JourneyTouch], kept: int) -> tuple[list[JourneyTouch], int]:
    """Returns what is left of a journey where so many of its events may stay, and since when it is whole."""
    until = sorted(entry.event_time_micros for entry in journey)[-kept - 1]
    return [entry for entry in journey if entry.event_time_micros > until], until + 1


@given(
    st.lists(entries(), min_size=10, max_size=30, unique_by=lambda entry: entry.event_hash),
    conversions(),
    settings_of(),
    st.sampled_from([4, 6, 2000]),
    st.booleans(),
)
def test_what_is_whole_is_credited_as_if_nothing_was_trimmed(
    journey: list[JourneyTouch],
    conversion: CreditableConversion,
    settings: AttributionSettings,
    cap: int,
    has_ids: bool,
) -> None:
    settings = replace(settings, touch_cap=4, touch_cap_first=1, event_cap=cap, version="")
    journey = [one for one in journey if one.kind not in SEEN_KINDS]
    if not has_ids:
        journey = [one._replace(click=0, interaction=0) for one in journey]
    expected = attribute(journey, conversion, settings)
    oldest = CONVERSION_TIME - settings.history_micros
    for kept in range(1, len(journey)):
        left, complete_since = trimmed(journey, kept)
        if not is_whole(left, CONVERSION_TIME, settings, complete_since) or (has_ids and oldest >= complete_since):
            continue  # ids of before the window are known as far as what had them is there
        event("the window is whole" if oldest >= complete_since else "enough is left")
        found = attribute(left, conversion, settings)
        assert (found.touches, found.credits, found.amounts) == (expected.touches, expected.credits, expected.amounts)


@given(journeys(max_size=30), conversions(), st.sampled_from([4, 6]))
def test_no_more_events_are_looked_at_than_the_cap_says(
    journey: list[JourneyTouch], conversion: CreditableConversion, cap: int
) -> None:
    settings = AttributionSettings(touch_cap=4, touch_cap_first=1, event_cap=cap, late_touch_seconds=0)
    barred = QUARANTINED | NO_CONSENT
    counted = [one for one in journey if one.kind not in SEEN_KINDS and not one.flags & barred]
    inside = [one for one in counted if one.event_time_micros <= CONVERSION_TIME]
    inside = [one for one in inside if one.event_time_micros >= CONVERSION_TIME - settings.history_micros]
    newest = sorted(inside)[-cap:]
    without_ids = [one._replace(click=0, interaction=0) for one in inside]
    newest_without_ids = [one._replace(click=0, interaction=0) for one in newest]
    expected = attribute(newest_without_ids, conversion, settings)
    assert attribute(without_ids, conversion, settings).touches == expected.touches
