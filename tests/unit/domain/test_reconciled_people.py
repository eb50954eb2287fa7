"""Reconciliation's people are those of the streaming's rule, though no code is shared."""

from __future__ import annotations

import random

import pytest

from tributary_domain.identity import IdentityLimits, clusters_of, missing
from tributary_domain.reconciled_people import reconciled_people
from tributary_domain.ties import OperatorWord, Tie, edges_of, join, operator_edge, shared_since

_DAY = 86_400_000_000


def _ties(events: list[tuple[list[str], int, int]], words: list[Tie], limits: IdentityLimits) -> dict[str, list[Tie]]:
    edges = [tie for event in events for tie in edges_of(*event)]
    joined = join([*edges, *words], limits.shared_device_days)
    ties: dict[str, list[Tie]] = {token: [] for tokens, _, _ in events for token in tokens}
    ties |= {token: [] for word in words for token in word.pair}
    for tie in joined.values():
        ties[tie.first].append(tie)
        ties[tie.second].append(tie)
    return ties


def _partition(people: dict[str, str], first_of: dict[str, str]) -> set[tuple[str, frozenset[str]]]:
    members: dict[str, set[str]] = {}
    for token, person in people.items():
        members.setdefault(person, set()).add(token)
    return {(first_of.get(person, person), frozenset(tokens)) for person, tokens in members.items()}


@pytest.mark.parametrize("refused", [500, 12], ids=["no-cluster-refused", "large-clusters-refused"])
@pytest.mark.parametrize("seed", range(40))
def test_the_same_edges_make_the_same_people(seed: int, refused: int) -> None:
    rng = random.Random(seed)
    pool = [
        f"{kind}:{number}"
        for kind in ("customer", "email", "visitor", "device")
        for number in range(rng.choice([3, 9]))
    ]
    events = [
        (rng.sample(pool, rng.choice([1, 2, 2, 3])), rng.randrange(90 * _DAY), rng.getrandbits(60))
        for _ in range(rng.choice([8, 30, 120]))
    ]
    blocked = frozenset(rng.sample(pool, rng.choice([0, 0, 2])))
    limits = IdentityLimits(refused_cluster_size=refused, flagged_cluster_size=refused, blocked=blocked)
    words = [
        operator_edge(*rng.sample(pool, 2), rng.choice(list(OperatorWord)), 100 * _DAY, number)
        for number in range(rng.choice([0, 0, 3, 9]))
    ]
    ties = _ties(events, words, limits)
    assert not missing(ties, ties, limits)
    clusters = clusters_of(ties, ties, limits)
    expected = {(person.first, frozenset(person.tokens)) for cluster in clusters for person in cluster.persons}
    since = {
        token: found
        for token, own in ties.items()
        if (found := shared_since(own, token, limits.shared_device_customers, limits.shared_device_days)) is not None
    }
    pairs = {tie.pair: tie for own in ties.values() for tie in own}.values()
    edges = [(tie.first, tie.second, tie.key) for tie in pairs if tie.spans]
    said = {(tie.second, tie.first): (tie.word.value, tie.word_key) for tie in pairs}
    rng.shuffle(edges)
    people = reconciled_people(edges, since, said, refused_cluster_size=refused, blocked=blocked)
    found = {token: token for token in ties} | people.person_of
    assert _partition(found, people.first_of) == expected
