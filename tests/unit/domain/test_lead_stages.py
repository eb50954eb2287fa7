from itertools import permutations

import pytest

from tributary_domain.lead_stages import LeadStage, StageStanding, at_root, staged
from tributary_domain.windows import CreditableConversion


def stage(name: str, time: int, amount: int | None = 100) -> LeadStage:
    return LeadStage(
        conversion_id=f"c:{name}", stage=name, event_time_micros=time, event_hash=time, amount_micros=amount
    )


NEW, QUALIFIED, WON, LOST = (
    stage("new", 1, 10),
    stage("qualified", 5, 50),
    stage("won", 9, 900),
    stage("lost", 12, None),
)


@pytest.mark.parametrize(
    ("stages", "amounts"),
    [
        pytest.param([NEW], [10], id="one stage"),
        pytest.param([NEW, QUALIFIED, WON], [0, 0, 900], id="only the latest counts"),
        pytest.param([NEW, QUALIFIED, LOST], [0, 0, 0], id="lost retracts"),
        pytest.param([NEW, stage("lost", 6), WON], [0, 0, 900], id="reopened and won"),
        pytest.param([NEW, NEW, stage("new", 3, 70)], [10], id="one stage reported again"),
        pytest.param([stage("new", 1, None)], [0], id="no value"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_only_the_latest_stage_is_worth_anything(stages: list[LeadStage], amounts: list[int]) -> None:
    for arrival in permutations(stages):
        assert [one.counted_amount_micros for one in staged(arrival)] == amounts


def test_stages_stand_as_what_they_are() -> None:
    assert [one.standing for one in staged([NEW, WON])] == [StageStanding.SUPERSEDED, StageStanding.LATEST]
    assert {one.standing for one in staged([NEW, LOST])} == {StageStanding.RETRACTED}
    assert [one.standing for one in staged([NEW, stage("dead", 4)], lost={"dead"})] == [StageStanding.RETRACTED] * 2


@pytest.mark.parametrize(("root", "anchor"), [(None, (1, 1)), ((0, 5), (0, 5)), ((7, 7), (1, 1))])
def test_all_stages_are_anchored_at_the_root(root: tuple[int, int] | None, anchor: tuple[int, int]) -> None:
    assert {one.anchor for one in staged([WON, NEW, QUALIFIED], root)} == {anchor}


def test_a_stage_is_credited_on_the_journey_of_its_root() -> None:
    root = CreditableConversion(event_time_micros=1, event_hash=1, amount_micros=10, session=4)
    won = staged([NEW, WON])[-1]
    assert at_root(root, won) == CreditableConversion(event_time_micros=1, event_hash=1, amount_micros=900, session=4)
