"""Of whom a conversion is counted, and what counts once."""

from __future__ import annotations

from typing import Any

import pytest

from tributary_domain.velocity import (
    LATE_LIMITS,
    OF_ADDRESS,
    OF_CLICK_ID,
    OF_IDENTIFIER,
    Count,
    Limit,
    Limits,
    VelocityRules,
)

RULES = VelocityRules(b"k" * 16)


def counts(rules: VelocityRules = RULES, **own: Any) -> list[Count]:
    given = {
        "name": "purchase",
        "member": b"m" * 16,
        "happened_millis": 7,
        "receive_millis": 7,
        "tokens": ["customer:a", "email:b"],
        "address_token": "c",
        "click_ids": {"gclid": "d"},
    }
    return list(rules.counts(**{**given, **own}))


def test_a_conversion_counts_for_each_token_its_address_and_its_click() -> None:
    found = counts()
    assert [one.reason for one in found] == [OF_IDENTIFIER, OF_IDENTIFIER, OF_ADDRESS, OF_CLICK_ID]
    assert [one.limit for one in found] == [
        Limit(5, 3_600_000),
        Limit(5, 3_600_000),
        Limit(20, 3_600_000),
        Limit(3, 86_400_000),
    ]
    assert {(one.member, one.moment_millis) for one in found} == {(b"m" * 8, 7)}
    assert len({one.counter for one in found}) == 4


@pytest.mark.parametrize("family", ["gbraid", "wbraid", "mc_cid", "gad_source", "gad_campaignid", "gclsrc", "srsltid"])
def test_what_names_a_campaign_or_many_clicks_is_no_sender(family: str) -> None:
    assert counts(tokens=[], address_token="", click_ids={family: "x"}) == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"name": "lead"}, id="another name"),
        pytest.param({"rules": VelocityRules(b"o" * 16)}, id="another workspace"),
        pytest.param({"tokens": ["customer:z"]}, id="another person"),
    ],
)
def test_counters_are_apart(other: dict[str, Any]) -> None:
    mine = {one.counter for one in counts(tokens=["customer:a"], address_token="", click_ids={})}
    theirs = {
        one.counter for one in counts(**{"tokens": ["customer:a"], "address_token": "", "click_ids": {}, **other})
    }
    assert mine.isdisjoint(theirs)


def test_a_name_may_have_limits_of_its_own_and_zero_is_none() -> None:
    own = Limits(Limit(0, 1), Limit(7, 1), Limit(0, 1))
    rules = VelocityRules(b"k" * 16, by_name={"lead": own})
    assert [one.limit for one in counts(rules, name="lead")] == [Limit(7, 1)]
    assert len(counts(rules)) == 4


def test_what_comes_later_than_a_window_counts_by_when_it_came_too_with_room_for_who_was_offline() -> None:
    on_time = counts(receive_millis=7 + 3_600_000)
    late = counts(receive_millis=8 + 3_600_000)
    assert [one for one in late if one.moment_millis == 7] == on_time
    by_coming = [one for one in late if one.moment_millis != 7]
    assert [(one.reason, one.limit) for one in by_coming] == [
        (one.reason, Limit(one.limit.at_most * LATE_LIMITS, one.limit.window_millis))
        for one in on_time
        if one.reason is not OF_CLICK_ID  # whose window is a day
    ]
    assert {one.counter for one in by_coming}.isdisjoint(one.counter for one in on_time)
