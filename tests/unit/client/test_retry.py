"""Pauses: full jitter above what the server asks for."""

from __future__ import annotations

import random

import pytest

from tributary_client import RetryPolicy


def test_the_pause_is_jitter_above_what_the_server_asks_for() -> None:
    policy = RetryPolicy(first_delay_seconds=1, max_delay_seconds=4)
    chance = random.Random(1)
    for attempt, bound in ((1, 1), (2, 2), (3, 4), (50, 4)):
        drawn = [policy.delay_seconds(attempt, 10, chance) for _ in range(300)]
        assert 10 <= min(drawn) < 10 + bound * 0.1
        assert 10 + bound * 0.9 < max(drawn) <= 10 + bound


@pytest.mark.parametrize("name", ["total_seconds", "first_delay_seconds", "max_delay_seconds", "attempt_seconds"])
def test_a_span_that_is_not_positive_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: 0})
