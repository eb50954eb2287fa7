"""Pauses grow, are random, and end."""

from __future__ import annotations

import random

from tributary_domain.backoff import Backoff, is_over


def test_every_pause_is_between_nothing_and_its_bound() -> None:
    backoff, chance = Backoff(2.0, 3600.0), random.Random(1)
    for attempt in range(1, 200):
        bound = min(3600.0, 2.0 * 2 ** (attempt - 1))
        assert 0 <= backoff.delay_seconds(attempt, chance) <= bound


def test_what_failed_together_does_not_come_back_together() -> None:
    backoff, chance = Backoff(), random.Random(1)
    pauses = [backoff.delay_seconds(8, chance) for _ in range(1000)]
    assert max(pauses) - min(pauses) > 240
    assert len(set(pauses)) == 1000


def test_a_thousandth_attempt_does_not_overflow() -> None:
    assert Backoff().delay_seconds(100_000, random.Random(1)) <= 3600.0


def test_the_horizon_counts_from_the_plan_to_the_attempt() -> None:
    assert not is_over(1000.0, 1000.0 + 60.0, 60.0)
    assert is_over(1000.0, 1000.0 + 60.001, 60.0)
