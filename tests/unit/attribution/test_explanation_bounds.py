"""An explanation fits its message whatever a person did, and says what it left out."""

from __future__ import annotations

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised, CreditDelta
from tributary.attribution.v1.credit_pb2 import CreditedTouch, TouchSource
from tributary.attribution.v1.explanation_pb2 import ExplainedModel, ExplainedShare, ExplainedTouchpoint, Explanation
from tributary_attribution.explanation_bounds import bound, pending_revisions

LONG = TouchSource(campaign="c" * 2_000)
MODELS = 7
ROOM = 2_100_000


def an_explanation(touches: int, source: TouchSource) -> Explanation:
    names = [f"e-{number}" for number in range(touches)]
    return Explanation(
        touchpoints=[ExplainedTouchpoint(event_id=name, source=source) for name in names],
        touchpoints_omitted=3,
        models=[
            ExplainedModel(shares=[ExplainedShare(event_id=name, source=source) for name in names])
            for _ in range(MODELS)
        ],
        published_touches=[CreditedTouch(event_id=name, source=source) for name in names],
    )


def test_a_usual_explanation_stays_whole() -> None:
    usual = an_explanation(50, TouchSource(channel="Email"))
    before = usual.SerializeToString()
    assert bound(usual).SerializeToString() == before


def test_of_a_large_one_the_newest_stays_and_the_rest_is_counted() -> None:
    large = bound(an_explanation(2_000, LONG))
    assert large.ByteSize() < ROOM
    assert len(large.touchpoints) + large.touchpoints_omitted == 2_003
    assert large.touchpoints[-1].event_id == "e-1999"
    assert len(large.published_touches) + large.published_touches_omitted == 2_000
    for model in large.models:
        assert len(model.shares) + model.shares_omitted == 2_000
        assert model.shares[-1].event_id == "e-1999"
    assert {len(model.shares) for model in large.models} == {len(large.models[0].shares)}


def test_what_alone_is_too_large_is_left_out_too() -> None:
    huge = bound(Explanation(touchpoints=[ExplainedTouchpoint(source=TouchSource(campaign="c" * ROOM))]))
    assert (len(huge.touchpoints), huge.touchpoints_omitted) == (0, 1)


def test_of_revisions_that_wait_the_newest_is_whole_and_the_others_say_how_much_they_hold() -> None:
    revised = ConversionRevised(state={"touches": [CreditedTouch(event_id="t")] * 3}, deltas=[CreditDelta()] * 2)
    older, newest = pending_revisions([revised.SerializeToString()] * 2)
    assert newest == revised
    assert older == ConversionRevised(state={"touches_omitted": 3}, deltas_omitted=2)
