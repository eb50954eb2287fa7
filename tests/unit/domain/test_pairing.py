"""Pairs are as many as there can be, the closest first, whatever order they are given in."""

from __future__ import annotations

import itertools
import random

import pytest

from tributary_domain.pairing import Possible, best_pairs


@pytest.mark.parametrize(
    ("possible", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([(2, 1, 1), (1, 1, 2)], [(1, 2)], id="the-closest"),
        pytest.param([(1, 1, 1), (2, 2, 1)], [(1, 1)], id="one-place-for-two"),
        pytest.param([(1, 1, 1), (2, 2, 1), (9, 1, 2)], [(1, 2), (2, 1)], id="makes-room"),
        pytest.param(
            [(0, 1, 1), (0, 2, 2), (3, 1, 2), (3, 2, 3), (9, 3, 1)], [(1, 2), (2, 3), (3, 1)], id="makes-room-in-steps"
        ),
    ],
)
def test_pairs_are_the_closest_of_the_most_there_can_be(
    possible: list[Possible], expected: list[tuple[int, int]]
) -> None:
    assert all(best_pairs(some) == expected for some in itertools.permutations(possible))


def test_there_are_never_more_pairs_than_are_found() -> None:
    rng = random.Random(7)
    for _ in range(300):
        possible = [(rng.randrange(9), one, other) for one in range(4) for other in range(4) if rng.random() < 0.4]
        found = best_pairs(possible)
        assert set(found) <= {pair[1:] for pair in possible}
        assert len(found) == max(
            sum((one, other) in {pair[1:] for pair in possible} for one, other in enumerate(order))
            for order in itertools.permutations(range(4))
        )
