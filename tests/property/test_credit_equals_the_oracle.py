"""Core and oracle agree on journeys nobody thought of."""

from hypothesis import given

from tests.property.journeys import conversions, journeys, settings_of
from tests.support import oracle
from tributary_domain.attribution import WHOLE, attribute
from tributary_domain.journey import JourneyTouch
from tributary_domain.settings import MODELS, AttributionSettings
from tributary_domain.windows import CreditableConversion


@given(journeys(), conversions(), settings_of())
def test_the_same_touches_share_the_conversion(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    attribution = attribute(entries, conversion, settings)
    expected = oracle.windows(entries, conversion, settings)
    everything = {touch.event: touch for window in expected.values() for touch in window}
    assert [touch[:2] for touch in attribution.touches] == sorted(everything)
    for touch in attribution.touches:
        wanted = everything[touch[:2]]
        assert (touch.is_direct, touch.descriptor) == (wanted.is_direct, wanted.source)


@given(journeys(), conversions(), settings_of())
def test_every_model_gives_what_the_oracle_gives(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    attribution = attribute(entries, conversion, settings)
    windows = oracle.windows(entries, conversion, settings)
    for index, model in enumerate(MODELS):
        window = windows[model.value]
        assert (attribution.unattributed[index] is None) == bool(window)
        if not window:
            continue
        shares = oracle.shares(model.value, window, settings)
        credit = dict(zip([touch[:2] for touch in attribution.touches], attribution.credits[index], strict=True))
        amount = dict(zip([touch[:2] for touch in attribution.touches], attribution.amounts[index], strict=True))
        if model.value == "time_decay":
            # Fixed point against floating point: a weight is off by 2.1e-8 of itself, then one unit of rounding.
            tolerance = 2 + abs(conversion.amount_micros) * 5e-8
            for touch, share in zip(window, shares, strict=True):
                assert abs(credit[touch.event] - WHOLE * share) <= 1 + WHOLE * 5e-8
                assert abs(amount[touch.event] - conversion.amount_micros * share) <= tolerance
        else:
            parts = oracle.largest_remainder(WHOLE, shares)
            assert [credit[touch.event] for touch in window] == parts
            parts = oracle.largest_remainder(conversion.amount_micros, shares)
            assert [amount[touch.event] for touch in window] == parts
        inside = {touch.event for touch in window}
        assert not any(credit[event] or amount[event] for event in credit if event not in inside)
