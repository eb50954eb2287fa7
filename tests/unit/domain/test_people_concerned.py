"""From a few identifiers on the same people are found as from all edges at once, and nobody else is asked for."""

from __future__ import annotations

import random

import pytest

from tributary_domain.people_concerned import PeopleConcerned
from tributary_domain.reconciled_people import SeenTogether, Words, reconciled_people

_DAY = 86_400_000_000


def _told(people: PeopleConcerned, edges: list[SeenTogether], since: dict[str, tuple[int, int]], ask: set[str]) -> int:
    """Answers until nobody is asked for; returns how many were."""
    wanted, asked = people.ask(ask), 0
    while wanted:
        asked += len(wanted)
        own = [edge for edge in edges if wanted & set(edge[:2])]
        wanted = people.learn(own, {token: place for token, place in since.items() if token in wanted})
    return asked


@pytest.mark.parametrize("refused", [500, 6], ids=["no-cluster-refused", "large-clusters-refused"])
@pytest.mark.parametrize("seed", range(60))
def test_those_who_are_concerned_are_who_they_are_among_all(seed: int, refused: int) -> None:
    rng = random.Random(seed)
    pool = [f"{kind}:{n}" for kind in ("customer", "email", "visitor", "device") for n in range(rng.choice([3, 20]))]
    pairs = {tuple(sorted(rng.sample(pool, 2))) for _ in range(rng.choice([10, 40, 120]))}
    edges = [(one, other, (rng.randrange(90) * _DAY, rng.getrandbits(60))) for one, other in sorted(pairs)]
    since = {token: (rng.randrange(90) * _DAY, 0) for token in rng.sample(pool, 2)}
    said = {
        tuple(rng.sample(pool, 2)): (rng.choice(["joined", "separated"]), (0, n)) for n in range(rng.choice([0, 3]))
    }
    words: Words = {(one, other): word for (one, other), word in said.items()}
    blocked = frozenset(rng.sample(pool, rng.choice([0, 1])))
    everybody = reconciled_people(edges, since, words, refused_cluster_size=refused, blocked=blocked).person_of
    people = PeopleConcerned(words, refused_cluster_size=refused, blocked=blocked)
    ask = rng.sample(pool, 3)
    for token in ask:  # in two steps, as a run asks
        _told(people, edges, since, {token})
    found = people.found().person_of
    assert set(ask) <= set(found)
    assert found == {token: everybody.get(token, token) for token in found}
    others = {token for token in everybody if everybody[token] in found.values()} - found.keys()
    assert not others


def test_who_seemed_to_be_linked_and_is_concerned_later_brings_whom_it_links_itself() -> None:
    edges = [("customer:a", "visitor:1", (2, 0)), ("customer:b", "visitor:1", (1, 0))]
    people = PeopleConcerned({})
    _told(people, edges, {}, {"customer:a"})
    assert people.found().person_of == {"customer:a": "customer:a"}, "the visitor is another customer's"
    _told(people, edges, {}, {"visitor:1"})
    by_two = dict.fromkeys(("customer:b", "visitor:1"), "customer:b")
    assert people.found().person_of == by_two | {"customer:a": "customer:a"}


def test_a_shared_device_brings_nobody_in_whom_it_does_not_link() -> None:
    edges = [(f"customer:{n:04}", "device:kiosk", (n, 0)) for n in range(2000)]
    people = PeopleConcerned({})
    assert _told(people, edges, {"device:kiosk": (5, 0)}, {"customer:1000"}) == 2
    assert people.found().person_of == {"customer:1000": "customer:1000"}
