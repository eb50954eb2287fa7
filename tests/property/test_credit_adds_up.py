"""Per conversion and model, credits sum to 1 000 000 and money to the value; what is outside earns nothing."""

from hypothesis import given

from tests.property.journeys import conversions, journeys, settings_of
from tributary_domain.attribution import WHOLE, attribute
from tributary_domain.journey import NO_CONSENT, NO_TOUCH, QUARANTINED, JourneyTouch, TouchKind
from tributary_domain.settings import MODELS, SECOND, AttributionSettings
from tributary_domain.windows import CreditableConversion, exclusions


@given(journeys(), conversions(), settings_of())
def test_credits_sum_to_a_million_and_money_to_the_value(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    attribution = attribute(entries, conversion, settings)
    for model in range(len(MODELS)):
        assert sum(attribution.credits[model]) + attribution.unattributed_credits[model] == WHOLE
        value = sum(attribution.amounts[model]) + attribution.unattributed_amounts[model]
        assert value == conversion.amount_micros
        assert min(attribution.credits[model], default=0) >= 0
        assert all(part * conversion.amount_micros >= 0 for part in attribution.amounts[model])


@given(journeys(), conversions(), settings_of())
def test_outside_the_window_earns_nothing(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    attribution = attribute(entries, conversion, settings)
    newest = conversion.event_time_micros + settings.late_touch_seconds * SECOND
    for lookback, models in settings.windows:
        oldest = conversion.event_time_micros - lookback
        for place, touch in enumerate(attribution.touches):
            if not oldest <= touch.event_time_micros <= newest:
                assert all(attribution.credits[model][place] == 0 for model in models)
                assert all(attribution.amounts[model][place] == 0 for model in models)


@given(journeys(), conversions(), settings_of())
def test_what_may_not_earn_does_not(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    for touch in attribute(entries, conversion, settings).touches:
        assert not touch.flags & (QUARANTINED | NO_CONSENT | NO_TOUCH)
        assert touch.kind != TouchKind.CONVERSION


@given(journeys(), conversions(), settings_of())
def test_every_entry_is_a_credited_touch_or_has_one_reason_why_not(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    used = {touch.event_hash for touch in attribute(entries, conversion, settings).touches}
    left_out = {entry.event_hash for entry in exclusions(entries, conversion, settings)}
    assert used | left_out == {entry.event_hash for entry in entries}
    assert not used & left_out
