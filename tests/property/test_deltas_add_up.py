"""A change is exactly the difference of two states: added up from nothing, deltas are the state."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.property.journeys import CONVERSION_TIME, journeys, settings_of
from tests.property.parts import adjustments
from tributary_domain.attribution import WHOLE, attribute
from tributary_domain.conversion import conversion_facts
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation
from tributary_domain.journey import JourneyTouch
from tributary_domain.revision import Change, Snapshot, compare, snapshot
from tributary_domain.settings import MODELS, AttributionSettings
from tributary_domain.windows import CreditableConversion

ORDER = Observation(event_time_micros=CONVERSION_TIME, event_id="o-1", amount_micros=40, currency_code="EUR")


def published(entries: list[JourneyTouch], adjusted: list[Adjustment], settings: AttributionSettings) -> Snapshot:
    state = conversion_facts([ORDER], adjusted)
    conversion = CreditableConversion(
        event_time_micros=state.conversion_time_micros,
        event_hash=ORDER.event_hash,
        amount_micros=state.counted_amount_micros,
    )
    return snapshot(state, attribute(entries, conversion, settings), person_id="p", settings_version=settings.version)


def total(*changes: Change | None) -> Counter[tuple[object, ...]]:
    """Credit and amount per place, summed over changes; what is 0 is left out."""
    sums: Counter[tuple[object, ...]] = Counter()
    for change in changes:
        for delta in change.deltas if change else ():
            place = (delta.model, delta.touch_time_micros, delta.touch_hash, delta.descriptor, delta.reason)
            sums[(*place, "credit")] += delta.credit_micros
            sums[(*place, "amount")] += delta.amount_micros
    return Counter({place: part for place, part in sums.items() if part})


@given(journeys(6), journeys(6), adjustments(3), adjustments(3), settings_of())
def test_deltas_of_all_revisions_sum_to_the_last_state(
    first: list[JourneyTouch],
    late: list[JourneyTouch],
    adjusted: list[Adjustment],
    adjusted_later: list[Adjustment],
    settings: AttributionSettings,
) -> None:
    old = published(first, adjusted, settings)
    new = published(first + late, adjusted_later, settings)
    assert total(compare(None, old), compare(old, new)) == total(compare(None, new))


@given(journeys(6), adjustments(3), settings_of())
def test_no_change_is_no_revision(
    entries: list[JourneyTouch], adjusted: list[Adjustment], settings: AttributionSettings
) -> None:
    state = published(entries, adjusted, settings)
    assert compare(state, published(entries[::-1], adjusted[::-1], settings)) is None


@given(journeys(6), adjustments(3), settings_of())
def test_a_retraction_equals_never_having_converted(
    entries: list[JourneyTouch], adjusted: list[Adjustment], settings: AttributionSettings
) -> None:
    before = published(entries, adjusted, settings)
    retraction = Adjustment(event_time_micros=10**18, event_id="gone", kind=AdjustmentKind.RETRACTION)
    after = published(entries, [*adjusted, retraction], settings)
    assert after.attribution is None
    assert not total(compare(None, before), compare(before, after))


@given(journeys(6), adjustments(3), settings_of(), st.sampled_from(range(len(MODELS))))
def test_a_first_revision_adds_one_conversion_and_its_value(
    entries: list[JourneyTouch], adjusted: list[Adjustment], settings: AttributionSettings, model: int
) -> None:
    state = published(entries, adjusted, settings)
    change = compare(None, state)
    assert change is not None
    deltas = [delta for delta in change.deltas if delta.model_index == model]
    assert sum(delta.credit_micros for delta in deltas) == (WHOLE if state.is_counted else 0)
    assert sum(delta.amount_micros for delta in deltas) == (state.amount_micros or 0)


@given(journeys(6), adjustments(2), settings_of())
def test_the_deltas_of_a_first_revision_are_the_same_as_after_one_that_earned_nobody_anything(
    entries: list[JourneyTouch], adjusted: list[Adjustment], settings: AttributionSettings
) -> None:
    new = published(entries, adjusted, settings)
    first, later = compare(None, new), compare(replace(new, person_id="other", attribution=None), new)
    assert first is not None
    assert later is not None
    assert first.deltas == later.deltas
    assert list(first.deltas) == sorted(set(first.deltas))
