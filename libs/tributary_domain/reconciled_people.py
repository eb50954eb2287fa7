"""People once more, from all edges at once: what reconciliation holds against `identity`, which looks at few at a time.

The one rule: it shares no code with what it checks, only the words of its rule. An identifier links the first customer
id and the first five identifiers of each other type that it is seen with, until it proves to be a shared device; both
ends must agree. A cluster of more than 500 links nobody but to the customer id each was seen with first. Then links in
event order, unless they would make two customer ids, or more than five identifiers of a type, one person. Pairs that an
operator joined come first and know no limit but that on customer ids; pairs that an operator separated stay apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from sys import intern
from typing import NamedTuple

_RANKS = {"customer": 0, "email": 1, "phone": 2, "visitor": 3, "device": 4}

SeenTogether = tuple[str, str, tuple[int, int]]
"""Two identity tokens and the first event that carried both: its time and the hash of its id."""

Words = Mapping[tuple[str, str], tuple[str, tuple[int, int]]]
"""Two identity tokens -> what an operator said of them last, and when: a time and a hash."""


class ReconciledPeople(NamedTuple):
    """Whom identifiers belong to."""

    person_of: dict[str, str]
    """Of each identifier that was seen with another: the one that stands for its person."""
    first_of: dict[str, str]
    """Of each that stands for a person: the one that the person is called after, the first in event order."""


class Links(NamedTuple):
    """What edges and operators say, before it is limited what one person may be."""

    links: list[tuple[str, str]]
    """Pairs, the more telling identifier first."""
    joined: set[tuple[str, str]]
    """Those that an operator joined."""
    apart: set[tuple[str, str]]
    """Pairs that an operator separated."""
    everybody: set[str]


def reconciled_people(
    edges: Iterable[SeenTogether],
    shared_since: Mapping[str, tuple[int, int]],
    words: Words | None = None,
    *,
    customer_ids: int = 1,
    identifiers_per_type: int = 5,
    refused_cluster_size: int = 500,
    blocked: frozenset[str] = frozenset(),
) -> ReconciledPeople:
    """Returns whom identifiers belong to.

    Args:
        edges: Every pair that was ever seen together, once.
        shared_since: Identifiers that are shared devices, and the event from which on they link nobody.
        words: What operators said.
        customer_ids: Customer ids of one person.
        identifiers_per_type: Identifiers of each other type of one person.
        refused_cluster_size: The most identifiers of a cluster.
        blocked: Identifiers that link nobody.

    >>> edges = [("customer:a", "visitor:1", (1, 0)), ("customer:b", "visitor:1", (2, 0))]
    >>> sorted(reconciled_people(edges, {}).person_of.items())
    [('customer:a', 'customer:a'), ('customer:b', 'customer:b'), ('visitor:1', 'customer:a')]
    """
    known = links_of(
        edges,
        shared_since,
        words or {},
        customer_ids=customer_ids,
        identifiers_per_type=identifiers_per_type,
        blocked=blocked,
    )
    links = _without_refused(known.links, known.everybody, refused_cluster_size)
    return _united(links, known.joined, known.apart, known.everybody, customer_ids, identifiers_per_type)


def links_of(
    edges: Iterable[SeenTogether],
    shared_since: Mapping[str, tuple[int, int]],
    words: Words,
    *,
    customer_ids: int,
    identifiers_per_type: int,
    blocked: frozenset[str],
) -> Links:
    """Returns the pairs of which both ends link each other, in event order; the arguments are `reconciled_people`'s."""
    heard = {pair: word for pair, word in words.items() if blocked.isdisjoint(pair)}
    said = {_telling_first(*pair): word for pair, word in heard.items() if word[0] != "withdrawn"}
    places = {_telling_first(one, other): place for one, other, place in edges if blocked.isdisjoint((one, other))}
    joined = {pair: places.get(pair, place) for pair, (word, place) in said.items() if word == "joined"}
    apart = {pair for pair, (word, _) in said.items() if word == "separated"}
    links: list[tuple[str, str]] = []
    told = [(place, *pair) for pair, place in (places | joined).items() if pair not in apart]
    taken: dict[tuple[str, str], int] = defaultdict(int)
    told.sort(key=_in_order)
    for place, one, other in told:
        if (one, other) in joined:
            links.append((one, other))
            continue
        wanted = [_takes(one, other, place, shared_since, taken, customer_ids, identifiers_per_type)]
        wanted.append(_takes(other, one, place, shared_since, taken, customer_ids, identifiers_per_type))
        if all(wanted):
            links.append((one, other))
    return Links(links, set(joined), apart, {token for pair in [*places, *said] for token in pair})


def _in_order(edge: tuple[tuple[int, int], str, str]) -> tuple[tuple[int, int], int, str, int, str]:
    place, one, other = edge
    return place, _rank(one), one, _rank(other), other


def _telling_first(one: str, other: str) -> tuple[str, str]:
    return (one, other) if (_rank(one), one) <= (_rank(other), other) else (other, one)


def _takes(
    token: str,
    other: str,
    place: tuple[int, int],
    shared_since: Mapping[str, tuple[int, int]],
    taken: dict[tuple[str, str], int],
    customer_ids: int,
    identifiers_per_type: int,
) -> bool:
    """Tells whether one end of an edge links the other; the edges of an identifier come in event order."""
    if token in shared_since and place >= shared_since[token]:
        return False
    kind = _kind(other)
    if taken[token, kind] >= (customer_ids if kind == "customer" else identifiers_per_type):
        return False
    taken[token, kind] += 1
    return True


def _without_refused(links: list[tuple[str, str]], everybody: set[str], limit: int) -> list[tuple[str, str]]:
    """Takes the links of clusters that are too large away, but for the first customer id of each identifier."""
    cluster_of = {token: token for token in everybody}
    for one, other in links:
        cluster_of[_top(cluster_of, one)] = _top(cluster_of, other)
    sizes: dict[str, int] = defaultdict(int)
    for token in everybody:
        sizes[_top(cluster_of, token)] += 1
    kept = []
    customers: set[str] = set()
    for one, other in links:
        if sizes[_top(cluster_of, one)] <= limit:
            kept.append((one, other))
        elif _kind(one) == "customer" and _kind(other) != "customer" and other not in customers:
            customers.add(other)
            kept.append((one, other))
    return kept


def _united(
    links: Iterable[tuple[str, str]],
    joined: Collection[tuple[str, str]],
    apart: Collection[tuple[str, str]],
    everybody: set[str],
    customer_ids: int,
    identifiers_per_type: int,
) -> ReconciledPeople:
    """Applies what was joined, then links in event order: within the limits, and none against who is to stay apart."""
    person_of = {token: token for token in everybody}
    counts: dict[str, dict[str, int]] = {}  # of those who are several identifiers already
    earliest: dict[
        str, tuple[int, str]
    ] = {}  # of these, by who stands for them: place and identifier of the first link
    placed = [(at, one, other) for at, (one, other) in enumerate(links)]
    for at, one, other in sorted(placed, key=lambda link: link[1:] not in joined):
        kept, gone = _top(person_of, one), _top(person_of, other)
        if kept == gone:
            earliest[kept] = min(earliest[kept], (at, one))
            continue
        own, others = (counts.get(token) or {_kind(token): 1} for token in (kept, gone))
        both = {kind: own.get(kind, 0) + count for kind, count in others.items()}
        limits = {kind: customer_ids if kind == "customer" else identifiers_per_type for kind in both}
        over = {kind for kind, count in both.items() if count > limits[kind] and kind in own}
        if over if (one, other) not in joined else "customer" in over:
            continue
        if any({_top(person_of, a), _top(person_of, b)} == {kept, gone} for a, b in apart):
            continue
        if (_rank(gone), gone) < (_rank(kept), kept):
            kept, gone = gone, kept
        person_of[gone] = kept
        counts.pop(gone, None)
        counts[kept] = {**own, **others, **both}
        known = (earliest.pop(token) for token in (kept, gone) if token in earliest)
        earliest[kept] = min([(at, one), *known])
    people = {token: _top(person_of, token) for token in everybody}
    first_of = {person: earliest[person][1] if person in earliest else person for person in people.values()}
    return ReconciledPeople(people, first_of)


def _top(parent_of: dict[str, str], token: str) -> str:
    """Follows a token to what stands for it, and shortens the way."""
    top = token
    while parent_of[top] != top:
        top = parent_of[top]
    while parent_of[token] != top:
        parent_of[token], token = top, parent_of[token]
    return top


def _kind(token: str) -> str:
    return intern(token.partition(":")[0])


def _rank(token: str) -> int:
    return _RANKS.get(_kind(token), 5)
