"""Of what people left the newest is a conversion's that they allowed, whatever order it became known in."""

from __future__ import annotations

import itertools

import pytest

from tributary_domain.consent import DENIED, GRANTED, UNSAID, Assumed, Decision, packed
from tributary_domain.traces import (
    DEVICE,
    EMAIL,
    INTERNAL,
    Consents,
    Trace,
    browser_slot,
    click_slot,
    flags_of,
    keys_slot,
    newest_two,
    resolve,
)

DAY = 86_400_000_000
NOON = 1_000 * DAY
NOTHING_ASSUMED = Assumed()
DENIES = Assumed({"DE": ["analytics_storage", "ad_storage"]}, "DE")
EVERY = (1, 2, 4)
"""The flags of what was granted in words."""


def decided(time: int, state: int) -> Decision:
    """Somebody says one thing of every purpose."""
    return Decision(time, packed([state] * 5))


def test_the_newest_two_do_not_depend_on_the_order_of_arrival() -> None:
    traces = [Trace(at, 0, alike, 0, b"%d" % at) for at, alike in ((1, 1), (2, 2), (3, 3), (4, 2))]
    kept = {tuple(newest_two(some)) for some in itertools.permutations(traces)}
    assert [[trace.time_micros for trace in two] for two in kept] == [[2, 3]]


@pytest.mark.parametrize(
    ("slot", "days"),
    [
        pytest.param(click_slot("gclid"), 90, id="a click"),
        pytest.param(click_slot("li_fat_id"), 30, id="a click of LinkedIn"),
        pytest.param(browser_slot("fbp"), 90, id="a browser id"),
        pytest.param(DEVICE, 90, id="a device"),
        pytest.param(keys_slot(EMAIL), 100, id="match keys"),
    ],
)
def test_a_window_includes_both_of_its_ends(slot: str, days: int) -> None:
    for time, is_found in ((NOON - days * DAY - 1, False), (NOON - days * DAY, True), (NOON, True), (NOON + 1, False)):
        found = resolve({slot: [Trace(time, 0, 0, 0, b"x")]}, Consents(()), NOON, sees_internal=False)
        assert bool(found) is is_found, time


def test_an_id_seen_again_is_as_old_as_its_first_sight_and_the_newest_wins() -> None:
    slot = click_slot("gclid")
    left = {slot: [Trace(1, 0, 7, 0, b"old"), Trace(2, 0, 8, 0, b"newer"), Trace(3, 0, 7, 0, b"old")]}
    assert resolve(left, Consents(()), DAY, sees_internal=False)[slot].value == b"newer"


def test_internal_traffic_is_seen_by_such_alone() -> None:
    left = {DEVICE: [Trace(2, 0, 1, INTERNAL, b"office"), Trace(1, 0, 2, 0, b"home")]}
    assert resolve(left, Consents(()), DAY, sees_internal=False)[DEVICE].value == b"home"
    assert resolve(left, Consents(()), DAY, sees_internal=True)[DEVICE].value == b"office"


@pytest.mark.parametrize(
    ("decisions", "flags", "is_allowed"),
    [
        pytest.param([], 0, True, id="nobody said anything"),
        pytest.param([], 8, False, id="assumed to be denied"),
        pytest.param([], 8 + 1, True, id="granted in words where denial is assumed"),
        pytest.param([decided(5, DENIED)], sum(EVERY), False, id="denied between"),
        pytest.param([decided(5, DENIED), decided(6, GRANTED)], 0, False, id="a later grant upgrades nothing"),
        pytest.param([decided(11, DENIED)], 0, True, id="denied after the conversion"),
        pytest.param([decided(1, DENIED)], 0, False, id="denied before"),
        pytest.param([decided(1, DENIED)], sum(EVERY), True, id="denied before, granted in words then"),
        pytest.param([decided(0, DENIED), decided(1, GRANTED)], 0, True, id="granted again before"),
        pytest.param([decided(1, GRANTED)], 8 + 16 + 32, True, id="granted where denial is assumed"),
    ],
)
def test_what_was_allowed_then_and_until_the_conversion_is_matched(
    decisions: list[Decision], flags: int, is_allowed: bool
) -> None:
    assert Consents(decisions).allow(2, flags, 10) is is_allowed


@pytest.mark.parametrize(
    ("said", "assumed", "flags"),
    [
        pytest.param([UNSAID] * 5, NOTHING_ASSUMED, 0, id="nothing"),
        pytest.param([GRANTED] * 5, NOTHING_ASSUMED, sum(EVERY), id="all granted"),
        pytest.param([GRANTED, GRANTED, DENIED, UNSAID, UNSAID], NOTHING_ASSUMED, None, id="user data denied"),
        pytest.param([UNSAID, UNSAID, UNSAID, DENIED, DENIED], NOTHING_ASSUMED, 0, id="what is not needed denied"),
        pytest.param([UNSAID] * 5, DENIES, 32, id="one assumed to be denied"),
    ],
)
def test_an_event_that_denies_what_is_needed_leaves_nothing(
    said: list[int], assumed: Assumed, flags: int | None
) -> None:
    assert flags_of(packed(said), 0, NOON, "", assumed) == flags
