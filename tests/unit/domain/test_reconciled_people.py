"""Reconciliation's people are those of the streaming's rule, though no code is shared."""

from __future__ import annotations

import random

import pytest

from tributary_domain.identity import IdentityLimits, clusters_of, missing
from tributary_domain.reconciled_people import reconciled_people
from tributary_domain.ties import Tie, edges_of, join, shared_since

_DAY = 86_400_000_000


def _ties(events: list[tuple[list[str], int, int]], limits: IdentityLimits) -> dict[str, list[Tie]]:
    joined = join((tie for event in events for tie in edges_of(*event)), limits.shared_device_days)
    ties: dict[str, list[Tie]] = {token: [] for tokens, _, _ in events for token in tokens}
    for tie in joined.values():
        ties[tie.first].append(tie)
        ties[tie.second].append(tie)
    return ties


def _partition(people: dict[str, str]) -> set[frozenset[str]]:
    members: dict[str, set[str]] = {}
    for token, person in people.items():
        members.setdefault(person, set()).add(token)
    return {frozenset(tokens) for tokens in members.values()}


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
    limits = IdentityLimits(refused_cluster_size=refused, flagged_cluster_size=refused)
    ties = _ties(events, limits)
    assert not missing(ties, ties, limits)
    expected = {frozenset(person.tokens) for cluster in clusters_of(ties, ties, limits) for person in cluster.persons}
    since = {
        token: found
        for token, own in ties.items()
        if (found := shared_since(own, token, limits.shared_device_customers, limits.shared_device_days)) is not None
    }
    edges = [
        (tie.first, tie.second, tie.key) for tie in {tie[:2]: tie for own in ties.values() for tie in own}.values()
    ]
    rng.shuffle(edges)
    found = {token: token for token in ties} | reconciled_people(edges, since, refused_cluster_size=refused)
    assert _partition(found) == expected
