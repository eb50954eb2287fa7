"""An explanation never disagrees with the credit it explains, and leaves no entry without exactly one reason."""

from hypothesis import given

from tests.property.journeys import conversions, journeys, settings_of
from tributary_domain.attribution import attribute
from tributary_domain.explanation import divide, explain
from tributary_domain.journey import Exclusion, JourneyTouch
from tributary_domain.settings import MODELS, AttributionSettings
from tributary_domain.shares import split_exactly
from tributary_domain.windows import CreditableConversion, exclusions


@given(journeys(), conversions(), settings_of())
def test_the_steps_of_every_model_end_in_the_credit(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    credit = attribute(entries, conversion, settings)
    explained = explain(entries, conversion, settings)
    assert explained.attribution == credit
    assert [model.model for model in explained.models] == list(MODELS)
    for index, model in enumerate(explained.models):
        assert bool(model.touches) is (credit.unattributed[index] is None)
        for division, shared in ((model.credits, credit.credits[index]), (model.amounts, credit.amounts[index])):
            parts = dict.fromkeys(credit.touches, 0)
            if division is not None:
                parts |= dict(zip(model.touches, (step.part for step in division.parts), strict=True))
                assert sum(step.extra for step in division.parts) == division.left_over
            assert tuple(parts[touch] for touch in credit.touches) == shared


@given(journeys(), conversions(), settings_of())
def test_every_touch_has_credit_or_exactly_one_reason_under_every_model(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    explained = explain(entries, conversion, settings)
    for index, model in enumerate(explained.models):
        shared = zip(explained.attribution.touches, explained.attribution.credits[index], strict=True)
        assert [touch for touch, _ in model.reasons] == [touch for touch, credit in shared if not credit]


@given(journeys(), conversions(), settings_of())
def test_every_entry_is_explained_as_the_core_excludes_it(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    explained = explain(entries, conversion, settings)
    left_out = exclusions(entries, conversion, settings)
    used = {touch[:2] for touch in explained.attribution.touches}
    assert {entry.entry[:2] for entry in explained.entries} == {entry[:2] for entry in entries}
    for entry in explained.entries:
        assert entry.reason == left_out.get(entry.entry)
        assert (entry.reason is None) is (entry.entry[:2] in used)
        assert (entry.folded_into is not None) is (entry.reason is Exclusion.FOLDED)


@given(journeys(), conversions(), settings_of())
def test_what_was_folded_names_an_earlier_entry_that_was_not(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    explained = explain(entries, conversion, settings)
    by_event = {entry.entry[:2]: entry for entry in explained.entries}
    for entry in explained.entries:
        if entry.folded_into is not None:
            assert entry.folded_into < entry.entry[:2]
            assert by_event[entry.folded_into].reason is not Exclusion.FOLDED


@given(journeys(), conversions(), settings_of())
def test_a_division_is_the_exact_split(
    entries: list[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> None:
    weights = [entry.event_hash for entry in entries]
    if weights:
        parts = [part.part for part in divide(conversion.amount_micros, weights).parts]
        assert parts == split_exactly(conversion.amount_micros, weights)
