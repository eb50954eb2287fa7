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
from tributary_domain.vendor_consent import VendorDecision, dispensable_of_vendors, timeline_of

DAY = 86_400_000_000
AD = Purpose.AD_USER_DATA
YES, NO = GRANTED, DENIED


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


def _kept(decisions: list[Decision], most: int = 1_000) -> list[Decision]:
    gone = dispensable(decisions[::-1], most)
    assert gone == dispensable(decisions, most)
    return [one for one in decisions if one not in gone]


def test_only_repeats_of_an_old_day_are_dispensable() -> None:
    young, old = 100 * DAY, 100 * DAY - 36 * DAY - 1
    states = [NO, NO, NO, YES, YES, YES, NO, YES]
    life = [said(old - 9 + place, state) for place, state in enumerate(states)]
    life += [said(young - 9 + place, state) for place, state in enumerate(states)]
    life += [said(old - 10 * DAY, YES), said(young - 36 * DAY, YES), said(young, YES)]
    assert _kept(life) == [one for place, one in enumerate(life) if place not in (1, 4)]


@pytest.mark.parametrize("most", [1_000, 90, 40])
def test_the_state_at_any_moment_stays_and_the_last_no_to_each_purpose(most: int) -> None:
    hour = DAY // 24
    life = [said(place * hour, YES) for place in range(3_000)]
    for place in (0, 60, 61, 70, 700, 2_990):
        life[place] = said(place * hour, NO)
    life.append(said(1_500 * hour + 1, NO, Purpose.AD_STORAGE))
    kept = _kept(life, most)
    assert len(kept) <= most + 1
    assert len(kept) <= 1_000 // 2 or most == 1_000
    for purpose in (AD, Purpose.AD_STORAGE):
        before, after = Timeline(life, purpose), Timeline(kept, purpose)
        assert before.newest_denial_micros == after.newest_denial_micros
        earliest = 0 if most > 40 else kept[0].time_micros
        moments = [one.time_micros + more for one in life for more in (-1, 0, 1)]
        assert all(before.at(moment) == after.at(moment) for moment in moments if moment >= earliest)


def test_what_is_heard_of_late_finds_the_word_after_it_and_of_an_old_day_holds_no_longer_than_the_day() -> None:
    life = [said(50 * DAY + place * DAY // 24, YES) for place in range(48 * 24)]
    kept = _kept(life)
    for late_micros, back_micros in ((90 * DAY + 1, 90 * DAY + DAY // 24), (51 * DAY + 1, 52 * DAY - DAY // 24)):
        timeline = Timeline([*kept, said(late_micros, NO)], AD)
        assert [timeline.at(back_micros - 1), timeline.at(back_micros)] == [NO, YES]


def test_of_what_changes_its_mind_more_often_than_a_person_the_newest_are_kept() -> None:
    assert dispensable([]) == []
    life = [said(place * DAY, NO if place % 2 else YES) for place in range(100)]
    assert _kept(life, 10) == life[-10:]
    assert _kept([said(0, NO, Purpose.AD_STORAGE), *life], 10) == [said(0, NO, Purpose.AD_STORAGE), *life[-10:]]


def test_of_decisions_on_vendors_those_go_that_repeat_one_about_the_same() -> None:
    life = [VendorDecision(place * DAY // 24, vendor, YES) for place in range(240) for vendor in (4, 755)]
    life[100] = life[100]._replace(state=NO)
    life += [VendorDecision(100 * DAY, vendor, YES) for vendor in (4, 755)] + [VendorDecision(100 * DAY, 9, NO)]
    gone = dispensable_of_vendors(life)
    kept = [one for one in life if one not in gone]
    assert dispensable_of_vendors(life[::-1]) == gone
    assert len(gone) > 400 // 2
    for vendor in (4, 9, 755):
        before, after = timeline_of(life, vendor), timeline_of(kept, vendor)
        assert [before.at(one.time_micros) for one in life] == [after.at(one.time_micros) for one in life]
        assert before.newest_denial_micros == after.newest_denial_micros
