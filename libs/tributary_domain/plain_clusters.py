"""Clusters in which no limit can bite: nearly all of them, and much cheaper than the rules one by one.

The one rule: what is said here is what `identity.clusters_of` would say. A cluster is plain if, following every tie,
no type has more identifiers than one person may have, none is blocked, no operator said anything, and there are too few
customer ids for a shared device. Then every tie links, and all of it is one person.
"""

from collections.abc import Iterable

from tributary_domain.event_order import OrderKey
from tributary_domain.identifiers import CUSTOMER
from tributary_domain.identity import Cluster, IdentityLimits, Person, Ties
from tributary_domain.ties import OperatorWord, telling, type_of


def plain_cluster(ties: Ties, seed: str, limits: IdentityLimits) -> tuple[Cluster | None, set[str]]:
    """Returns the cluster of an identifier if it is plain.

    Args:
        ties: Identifier -> all its ties, of those that were read.
        seed: The identifier.
        limits: The workspace's.

    Returns:
        The cluster, or None if it is not plain or not known yet; and the identifiers whose ties must be read before
        that can be said: none where it is certain.
    """
    found, waiting = {seed}, [seed]
    missing: set[str] = set()
    counts = {type_of(seed): 1}
    first: tuple[OrderKey, tuple[int, str]] | None = None
    if seed in limits.blocked:
        return None, set()
    while waiting:
        token = waiting.pop()
        own = ties.get(token)
        if own is None:
            missing.add(token)
            continue
        for tie in own:
            if tie.word_key[0] >= 0 or tie.word is not OperatorWord.WITHDRAWN:
                return None, set()
            place = tie.spans[0][:2], telling(tie.first)
            if first is None or place < first:
                first = place
            other = tie.second if token == tie.first else tie.first
            if other not in found:
                kind = type_of(other)
                counts[kind] = counts.get(kind, 0) + 1
                if counts[kind] > limits.of_type(kind) or other in limits.blocked:
                    return None, set()
                found.add(other)
                waiting.append(other)
    if missing:
        return None, missing
    if len(found) > limits.refused_cluster_size or counts.get(CUSTOMER, 0) > limits.shared_device_customers:
        return None, set()
    person = Person(seed if first is None else first[1][1], tuple(sorted(found, key=telling)))
    return Cluster(tuple(sorted(found)), (person,), len(found) >= limits.flagged_cluster_size, False), set()


def plain_clusters(ties: Ties, seeds: Iterable[str], limits: IdentityLimits) -> tuple[list[Cluster] | None, set[str]]:
    """Returns the clusters of some identifiers, each once and sorted, if all of them are plain; else as above."""
    clusters: list[Cluster] = []
    seen: set[str] = set()
    lacking: set[str] = set()
    for seed in seeds:
        if seed in seen:
            continue
        cluster, missing = plain_cluster(ties, seed, limits)
        if cluster is None and not missing:
            return None, set()
        lacking |= missing
        if cluster is not None:
            seen.update(cluster.tokens)
            clusters.append(cluster)
    if lacking:
        return None, lacking
    return sorted(clusters, key=lambda cluster: cluster.tokens), set()
