"""Any order, repetition or grouping of arrivals gives the same credit and the same value."""

from hypothesis import given
from hypothesis import strategies as st

from tests.property.journeys import conversions, journeys, settings_of
from tests.property.parts import adjustments, observations
from tributary_domain.attribution import attribute
from tributary_domain.conversion import conversion_facts
from tributary_domain.conversion_parts import Adjustment, Observation
from tributary_domain.journey import JourneyTouch
from tributary_domain.settings import SECOND, AttributionSettings
from tributary_domain.windows import CreditableConversion, exclusions


@given(st.data(), journeys(), conversions(), settings_of())
def test_credit_is_the_same_for_any_order_and_repetition(
    data: st.DataObject, entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    repeated = entries + data.draw(st.lists(st.sampled_from(entries))) if entries else []
    shuffled = data.draw(st.permutations(repeated))
    assert attribute(shuffled, conversion, settings) == attribute(entries, conversion, settings)
    assert exclusions(shuffled, conversion, settings) == exclusions(entries, conversion, settings)


@given(st.data(), observations(), adjustments())
def test_a_conversion_is_the_same_for_any_order_and_repetition(
    data: st.DataObject, seen: list[Observation], adjusted: list[Adjustment]
) -> None:
    seen_again = data.draw(st.permutations(seen + data.draw(st.lists(st.sampled_from(seen))) if seen else []))
    adjusted_again = data.draw(
        st.permutations(adjusted + data.draw(st.lists(st.sampled_from(adjusted))) if adjusted else [])
    )
    assert conversion_facts(seen_again, adjusted_again) == conversion_facts(seen, adjusted)


@given(journeys(), conversions(), settings_of())
def test_what_comes_after_a_conversion_changes_nothing(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    newest = conversion.event_time_micros + settings.late_touch_seconds * SECOND
    earlier = [entry for entry in entries if entry.event_time_micros <= newest]
    assert attribute(entries, conversion, settings) == attribute(earlier, conversion, settings)
