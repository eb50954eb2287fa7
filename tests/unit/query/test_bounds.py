"""An answer holds so much and no more, and says what it leaves out."""

from __future__ import annotations

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_query.bounds import MAX_ADJUSTMENTS, MAX_DELTAS, MAX_OBSERVATIONS, MAX_TOUCHES, PAGE_BYTES, bound
from tributary_query.conversions import page_of


def a_revision(more: int) -> ConversionRevised:
    revised = ConversionRevised(revision=1)
    state = revised.state
    state.observation_event_ids.extend(f"e-{number}" for number in range(MAX_OBSERVATIONS + more))
    for number in range(MAX_ADJUSTMENTS + more):
        state.adjustments.add(event_id=f"a-{number}")
    for number in range(MAX_TOUCHES + more):
        state.touches.add(event_id=f"t-{number}")
    for number in range(MAX_DELTAS + more):
        revised.deltas.add(touch_event_id=f"d-{number}")
    return revised


def test_what_an_answer_can_hold_is_left_as_it_is() -> None:
    assert bound(a_revision(0)) == a_revision(0)


def test_what_is_cut_is_counted() -> None:
    revised = bound(a_revision(3))
    state = revised.state
    assert (state.observations_omitted, state.adjustments_omitted, state.touches_omitted) == (3, 3, 3)
    assert revised.deltas_omitted == 3
    assert len(state.observation_event_ids) == MAX_OBSERVATIONS
    assert (len(state.adjustments), len(state.touches), len(revised.deltas)) == (
        MAX_ADJUSTMENTS,
        MAX_TOUCHES,
        MAX_DELTAS,
    )


def test_the_first_observation_and_the_last_touch_and_adjustment_stay() -> None:
    state = bound(a_revision(3)).state
    assert state.observation_event_ids[0] == "e-0"
    assert state.touches[-1].event_id == f"t-{MAX_TOUCHES + 2}"
    assert state.adjustments[-1].event_id == f"a-{MAX_ADJUSTMENTS + 2}"


def test_a_page_is_no_larger_than_a_message_and_never_empty() -> None:
    huge = ConversionRevised(traceparent="x" * (PAGE_BYTES // 2 + 1))
    assert len(page_of([huge] * 5, 5)) == 1
    assert len(page_of([ConversionRevised(traceparent="x" * PAGE_BYTES)], 5)) == 1
    assert len(page_of([ConversionRevised()] * 5, 3)) == 3
