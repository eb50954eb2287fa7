"""What people allowed follows from the set of their decisions, and a later word never upgrades what was collected."""

from __future__ import annotations

import itertools

import pytest

from tributary_domain.consent import (
    DENIED,
    GRANTED,
    PURPOSES,
    UNSAID,
    Assumed,
    Decision,
    Purpose,
    Timeline,
    decision_of,
    dispensable,
    packed,
    state_when_leaving,
)

AD = Purpose.AD_USER_DATA


def said(time: int, state: int, purpose: Purpose = AD) -> Decision:
    return Decision(time, packed([state if one is purpose else UNSAID for one in PURPOSES]))


def test_the_newest_decision_wins_whatever_the_order_of_arrival() -> None:
    decisions = [said(1, GRANTED), said(2, DENIED), said(3, GRANTED), said(3, GRANTED)]
    for ordered in itertools.permutations(decisions):
        timeline = Timeline(ordered, AD)
        assert [timeline.at(time) for time in range(5)] == [UNSAID, GRANTED, DENIED, GRANTED, GRANTED]


def test_of_two_decisions_at_one_time_the_denial_wins() -> None:
    for ordered in itertools.permutations([said(5, GRANTED), said(5, DENIED)]):
        assert Timeline(ordered, AD).at(5) == DENIED


def test_a_decision_on_one_purpose_says_nothing_of_another() -> None:
    assert Timeline([said(1, DENIED, Purpose.AD_STORAGE)], AD).at(9) == UNSAID


@pytest.mark.parametrize(
    ("own", "own_time", "decisions", "assumed", "expected"),
    [
        pytest.param(UNSAID, 0, [], UNSAID, UNSAID, id="nothing was said"),
        pytest.param(UNSAID, 0, [], DENIED, DENIED, id="nothing was said, and that is assumed to be a no"),
        pytest.param(UNSAID, 0, [said(5, GRANTED)], DENIED, GRANTED, id="granted before"),
        pytest.param(UNSAID, 0, [said(11, GRANTED)], DENIED, DENIED, id="a later grant upgrades nothing"),
        pytest.param(DENIED, 0, [said(11, GRANTED)], UNSAID, DENIED, id="nor what was denied with it"),
        pytest.param(GRANTED, 0, [said(11, DENIED)], UNSAID, DENIED, id="withdrawn later"),
        pytest.param(GRANTED, 0, [said(11, DENIED), said(12, GRANTED)], UNSAID, DENIED, id="withdrawn for good"),
        pytest.param(GRANTED, 0, [said(9, DENIED)], UNSAID, GRANTED, id="its own word of that moment"),
        pytest.param(GRANTED, 4, [said(4, GRANTED), said(9, DENIED)], UNSAID, DENIED, id="a grant that was stale"),
        pytest.param(GRANTED, 9, [said(4, DENIED), said(9, GRANTED)], UNSAID, GRANTED, id="a grant that was newer"),
    ],
)
def test_what_leaves_is_under_the_most_restrictive_of_its_own_and_any_later_state(
    own: int, own_time: int, decisions: list[Decision], assumed: int, expected: int
) -> None:
    assert state_when_leaving(own, own_time, 10, Timeline(decisions, AD), assumed) == expected


def test_what_has_no_time_is_of_its_event_alone_but_for_a_denial_of_what_leaves_the_house() -> None:
    assert decision_of(packed([GRANTED] * 5), 0, 7, 9) is None
    assert decision_of(packed([0, DENIED, 0, 0, 0]), 0, 7, 9) is None
    assert decision_of(packed([GRANTED, DENIED, DENIED, 0, 0]), 0, 7, 9) == Decision(7, packed([0, 0, DENIED, 0, 0]))


def test_nobody_decides_later_than_we_hear_of_it() -> None:
    assert decision_of(packed([DENIED] * 5), 99, 7, 9) == Decision(9, packed([DENIED] * 5))


def test_a_region_without_an_entry_denies_and_a_part_of_a_country_is_of_the_country() -> None:
    assumed = Assumed({"US": ["ad_user_data"]}, "DE")
    assert [assumed.state(region, AD) for region in ("US", "US-CA", "FR", "")] == [GRANTED, GRANTED, DENIED, DENIED]
    assert Assumed().state("FR", AD) == UNSAID


def test_what_is_dispensable_is_so_among_more_and_the_last_no_never_is() -> None:
    many = [said(time, GRANTED) for time in range(2, 40)]
    gone = dispensable([said(1, DENIED), *many], kept=4)
    assert said(1, DENIED) not in gone
    assert len(gone) == len(many) - 4
    kept = [one for one in [said(1, DENIED), *many] if one not in gone]
    more = [*many, said(1, DENIED), said(50, DENIED)]
    assert set(gone) <= set(dispensable(more, kept=4))
    assert Timeline(kept, AD).newest_denial_micros == 1
