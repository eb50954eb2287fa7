from itertools import permutations

import pytest

from tributary_domain.lead_stages import ROOT, LeadStage, StageStanding, staged


def stage(name: str, time: int, amount: int | None = 100, *, is_good: bool = True) -> LeadStage:
    return LeadStage(
        conversion_id=f"c:{name}",
        stage=name,
        event_time_micros=time,
        event_hash=time,
        amount_micros=amount,
        is_good=is_good,
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


@pytest.mark.parametrize(
    ("root", "first"),
    [
        pytest.param(stage(ROOT, 0, 5), "c:", id="the root"),
        pytest.param(stage(ROOT, 0, 5, is_good=False), "c:new", id="a root that was taken back"),
        pytest.param(stage(ROOT, 7, 5), "c:new", id="an order that came later"),
    ],
)
def test_all_stages_share_the_place_of_the_first(root: LeadStage, first: str) -> None:
    for arrival in permutations([WON, NEW, QUALIFIED, root]):
        assert {one.root_id for one in staged(arrival)} == {first}


def test_a_root_that_is_no_stage_is_superseded_by_any_and_lost_with_the_lead() -> None:
    root = stage(ROOT, 20, 5)
    assert [one.standing for one in staged([root])] == [StageStanding.LATEST]
    assert {one.conversion_id: one.standing for one in staged([NEW, WON, root])}["c:"] is StageStanding.SUPERSEDED
    assert {one.standing for one in staged([LOST, root])} == {StageStanding.RETRACTED}


def test_a_stage_that_is_no_good_supersedes_nothing_and_is_left_out() -> None:
    assert [one.conversion_id for one in staged([NEW, stage("won", 9, is_good=False)])] == ["c:new"]
    assert [one.standing for one in staged([NEW, stage("lost", 9, is_good=False)])] == [StageStanding.LATEST]
