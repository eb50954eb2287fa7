"""Thousands of small random worlds in the pure core: each ends as the rules say in words."""

from itertools import chain

from tests.support.core_lives import differences
from tests.support.lives import a_world

WORLDS = 3_000


def test_the_core_ends_every_world_as_the_rules_say() -> None:
    assert list(chain.from_iterable(differences(a_world(seed)) for seed in range(WORLDS))) == []
