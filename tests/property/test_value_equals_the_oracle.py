"""The value of a conversion after any adjustments is what the words of the rule say."""

from hypothesis import given

from tests.property.parts import adjustments, observations
from tests.support.oracle import value_after
from tributary_domain.conversion import ConversionFinding, ConversionStatus, DefaultValue, conversion_facts
from tributary_domain.conversion_parts import Adjustment, Observation, Standing


@given(observations(), adjustments())
def test_the_value_is_what_the_oracle_says(seen: list[Observation], adjusted: list[Adjustment]) -> None:
    good = [part for part in seen if part.standing is Standing.GOOD]
    state = conversion_facts(good, adjusted)
    value, is_retracted = value_after(good, adjusted)
    assert state.amount_micros == value
    if good:
        assert (state.status is ConversionStatus.RETRACTED) == is_retracted
    else:
        assert state.status is ConversionStatus.UNOBSERVED


@given(observations(), adjustments())
def test_the_default_is_worth_as_much_as_the_word_of_a_source_below_all_others(
    seen: list[Observation], adjusted: list[Adjustment]
) -> None:
    seen = [part for part in seen if part.standing is Standing.GOOD]
    if not seen:
        return
    lowest = Observation(event_id="lowest", event_time_micros=0, source_rank=-1, amount_micros=7, currency_code="EUR")
    state = conversion_facts(seen, adjusted, DefaultValue(7, "EUR"))
    assert state.amount_micros == value_after([*seen, lowest], adjusted)[0]
    assert (state.original_amount_micros or 0) + sum(state.changes_micros) == (state.amount_micros or 0)


@given(observations(), adjustments())
def test_changes_add_up_to_the_value(seen: list[Observation], adjusted: list[Adjustment]) -> None:
    state = conversion_facts(seen, adjusted)
    assert (state.original_amount_micros or 0) + sum(state.changes_micros) == (state.amount_micros or 0)
    assert len(state.changes_micros) == len(state.adjustments)


@given(observations(), adjustments())
def test_no_value_is_below_zero(seen: list[Observation], adjusted: list[Adjustment]) -> None:
    state = conversion_facts(seen, adjusted)
    assert (state.amount_micros or 0) >= 0
    if ConversionFinding.OVER_REFUNDED in state.findings:
        assert state.amount_micros == 0


@given(observations(), observations(), adjustments())
def test_what_is_quarantined_holds_nothing_against_what_is_good(
    good: list[Observation], others: list[Observation], adjusted: list[Adjustment]
) -> None:
    good = [part for part in good if part.standing is Standing.GOOD]
    taken = {part.event_id for part in good}
    waiting = [part for part in others if part.standing is not Standing.GOOD and part.event_id not in taken]
    if good:
        assert conversion_facts(good + waiting, adjusted) == conversion_facts(good, adjusted)
