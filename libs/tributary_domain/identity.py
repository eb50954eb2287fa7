"""People: which identifiers are one human, as a pure function of the edges between them, in event order.

Three steps, each a function of the set of edges alone, so that no arrival order can matter:

1. *Links.* A tie links unless one of its ends is blocked or was a shared device by then (`ties.shared_since`), an
   operator separated the two, or it comes too late: an identifier links the first one customer id, and the first five
   identifiers of each other type, that it is seen with (in event order, and both ends must agree).
2. *Clusters.* What is connected by links. From 50 identifiers on a cluster is flagged; one of more than 500 is refused:
   it proves nothing but what a customer id itself was seen with.
3. *Persons.* Within a cluster the operator's joins come first, then links in event order. A link makes two persons one
   unless they would have two customer ids, more than five identifiers of a type, or contain a separated pair. A link
   that was refused is never tried again, because persons only grow while links are applied.

Where peers differ: like Segment, the later event loses its identifier to the person who had it (its worked example is
a test). Like Snowplow and mParticle, two customer ids never become one person, whoever says so. Not like Adobe, where
the oldest identifier leaves a full graph: who came first, stays. Not like Mixpanel: a merge can be undone.

Cost: n identifiers and m links of a cluster take O(m log m) for the order and O(m · (types + separations)) for the
persons; n is at most 501 (nobody needs to look further to refuse a cluster), m at most 26 · n by step 1. To read: the
ties of the cluster and of what it would link, however many others an identifier was ever seen with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tributary_domain.event_order import OrderKey
from tributary_domain.identifiers import CUSTOMER
from tributary_domain.ties import OperatorWord, Tie, shared_since, telling, type_of


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLimits:
    """What keeps strangers from becoming one person.

    Raises:
        ValueError: A limit is below 1, or a cluster is refused before it is flagged.
    """

    customer_ids: int = 1
    """Customer ids of one person."""
    identifiers_per_type: int = 5
    """Identifiers of each other type of one person."""
    flagged_cluster_size: int = 50
    """Identifiers from which a cluster is shown as suspicious."""
    refused_cluster_size: int = 500
    """The most identifiers a cluster may have before it is refused."""
    shared_device_customers: int = 5
    """An identifier seen with more customer ids than this stops linking."""
    shared_device_days: int = 30
    """In how many days."""
    blocked: frozenset[str] = frozenset()
    """Identity tokens that never link anyone, beside the values that get no token at all."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        lowest = min(
            self.customer_ids, self.identifiers_per_type, self.shared_device_customers, self.shared_device_days
        )
        if lowest < 1 or not 1 <= self.flagged_cluster_size <= self.refused_cluster_size:
            message = "Limits are at least 1, and a cluster is flagged before it is refused."
            raise ValueError(message)

    def of_type(self, kind: str) -> int:
        """Returns how many identifiers of a type one person may have."""
        return self.customer_ids if kind == CUSTOMER else self.identifiers_per_type


@dataclass(frozen=True, slots=True, order=True)
class Person:
    """Identifiers that are one human."""

    first: str
    """The first of them in the order of the edges that made the person: what the person id is made from."""
    tokens: tuple[str, ...]
    """All of them, the most telling first."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Identifiers that are connected, and the persons among them."""

    tokens: tuple[str, ...]
    """Sorted."""
    persons: tuple[Person, ...]
    """Sorted; each identifier is in exactly one."""
    is_flagged: bool
    """Whether it is so large that somebody should look at it."""
    is_refused: bool
    """Whether it is too large to prove anything but what a customer id itself was seen with."""


Ties = Mapping[str, Sequence[Tie]]
"""Identifier -> all its ties. The same tie is with both its ends."""

_NONE: Final[tuple[Tie, ...]] = ()


class _Links:
    """The links of identifiers, each looked at once."""

    def __init__(self, ties: Ties, limits: IdentityLimits) -> None:
        self._ties = ties
        self._limits = limits
        self._chosen: dict[str, dict[str, Tie]] = {}
        self._refused: set[str] = set()
        """Identifiers whose cluster is known to be too large."""

    def explore(self, seed: str) -> set[str] | None:
        """Returns the cluster of an identifier; None if it is too large, which is known before all of it is seen."""
        found, waiting = {seed}, [seed]
        while waiting and not self._refused & found:
            token = waiting.pop()
            for tie in self.of(token):
                other = tie.other(token)
                if other not in found:
                    found.add(other)
                    waiting.append(other)
            if len(found) > self._limits.refused_cluster_size:
                self._refused |= found
        if self._refused & found:
            self._refused |= found
            return None
        return found

    def of(self, token: str) -> list[Tie]:
        """Returns the ties of an identifier that link: both ends chose them."""
        return [tie for other, tie in self.chosen(token).items() if token in self.chosen(other)]

    def chosen(self, token: str) -> dict[str, Tie]:
        """Returns the ties that one end would link by: the first of each type, and an operator's joins."""
        found = self._chosen.get(token)
        if found is None:
            found = self._chosen[token] = self._choose(token)
        return found

    def _choose(self, token: str) -> dict[str, Tie]:
        limits = self._limits
        ties = self._ties.get(token, _NONE)
        if token in limits.blocked:
            return {}
        end = shared_since(ties, token, limits.shared_device_customers, limits.shared_device_days)
        chosen: dict[str, Tie] = {}
        taken: dict[str, int] = {}
        for tie in sorted(ties, key=_edge_order):
            other = tie.other(token)
            if other in limits.blocked or tie.word is OperatorWord.SEPARATED:
                continue
            if tie.word is OperatorWord.JOINED:
                chosen[other] = tie
                continue
            kind = type_of(other)
            if tie.spans and (end is None or tie.key < end) and taken.get(kind, 0) < limits.of_type(kind):
                taken[kind] = taken.get(kind, 0) + 1
                chosen[other] = tie
        return chosen


def _edge_order(tie: Tie) -> tuple[OrderKey, tuple[int, str], tuple[int, str]]:
    """Returns the place of a tie: event order, within an event the most telling pair first."""
    return tie.key, telling(tie.first), telling(tie.second)


def missing(ties: Ties, seeds: Iterable[str], limits: IdentityLimits) -> set[str]:
    """Returns the identifiers whose ties must be read before `clusters_of` can answer exactly.

    Call it again with their ties added (an identifier without ties has an empty sequence), until nothing is missing. A
    cluster that is too large anyway is not explored further.

    Args:
        ties: What was read so far.
        seeds: The identifiers of interest.
        limits: The workspace's.
    """
    links = _Links(ties, limits)
    wanted: set[str] = set()
    explored: set[str] = set()
    for seed in seeds:
        if seed in explored:
            continue
        cluster = links.explore(seed)
        if cluster is None:
            cluster = _direct(seed, links)
        else:
            explored |= cluster
        wanted.update(cluster, *(links.chosen(token) for token in cluster))
    return {token for token in wanted if token not in ties}


def linked(ties: Ties, tokens: Iterable[str], limits: IdentityLimits) -> set[str]:
    """Returns some identifiers and all that they link."""
    links = _Links(ties, limits)
    wanted = set(tokens)
    return wanted | {tie.other(token) for token in wanted for tie in links.of(token)}


def clusters_of(ties: Ties, seeds: Iterable[str], limits: IdentityLimits) -> tuple[Cluster, ...]:
    """Returns the clusters that some identifiers belong to, with their persons.

    Args:
        ties: Nothing of the seeds may be `missing`; one that nobody was ever seen with may be.
        seeds: The identifiers of interest.
        limits: The workspace's.

    Returns:
        Each cluster once, sorted. Of a refused one those of its parts that contain a seed, each alone.
    """
    links = _Links(ties, limits)
    clusters: dict[tuple[str, ...], Cluster] = {}
    seen: set[str] = set()
    for seed in sorted(set(seeds)):
        if seed in seen:
            continue
        whole = links.explore(seed)
        is_refused = whole is None
        found = _direct(seed, links) if whole is None else whole
        seen |= found
        tokens = tuple(sorted(found))
        inside = {tie[:2]: tie for token in tokens for tie in links.of(token) if tie.other(token) in found}
        if is_refused:
            inside = {pair: tie for pair, tie in inside.items() if type_of(tie.first) == CUSTOMER}
        apart = [tie.pair for token in tokens for tie in ties.get(token, _NONE) if tie.word is OperatorWord.SEPARATED]
        persons = _persons(tokens, inside.values(), apart, limits)
        is_flagged = is_refused or len(tokens) >= limits.flagged_cluster_size
        clusters[tokens] = Cluster(tokens, persons, is_flagged, is_refused)
    return tuple(cluster for _, cluster in sorted(clusters.items()))


def _direct(seed: str, links: _Links) -> set[str]:
    """Returns what the customer id of an identifier was itself seen with, and no customer id before."""
    customer = _customer_of(seed, links)
    followers = {tie.other(customer) for tie in links.of(customer)}
    own = {token for token in followers if _customer_of(token, links) == customer}
    return {seed} if customer == seed and type_of(seed) != CUSTOMER else {customer, *own}


def _customer_of(token: str, links: _Links) -> str:
    """Returns the first customer id that an identifier links; itself if it is one, or links none."""
    if type_of(token) == CUSTOMER:
        return token
    linked = [tie for tie in links.of(token) if type_of(tie.first) == CUSTOMER]
    return min(linked, key=_edge_order).first if linked else token


def _persons(
    tokens: Sequence[str], links: Iterable[Tie], apart: Iterable[tuple[str, str]], limits: IdentityLimits
) -> tuple[Person, ...]:
    """Applies the links of a cluster: the operator's joins first, then in event order, each only within the limits."""
    member_of = {token: token for token in tokens}  # identifier -> the one that stands for its person
    members = {token: [token] for token in tokens}
    counts = {token: {type_of(token): 1} for token in tokens}
    strangers: dict[str, set[str]] = {token: set() for token in tokens}
    for one, other in apart:
        for token, stranger in ((one, other), (other, one)):
            if token in strangers:
                strangers[token].add(stranger)
    first: dict[str, tuple[OrderKey, tuple[int, str]]] = {token: ((1 << 80, 0), telling(token)) for token in tokens}
    ordered = sorted(links, key=lambda tie: (tie.word is not OperatorWord.JOINED, _edge_order(tie)))
    for tie in ordered:
        kept, gone = member_of[tie.first], member_of[tie.second]
        if kept == gone:
            first[kept] = min(first[kept], (tie.key, telling(tie.first)))
            continue
        if len(members[kept]) < len(members[gone]):
            kept, gone = gone, kept
        both = counts[kept].keys() & counts[gone].keys()
        if tie.word is OperatorWord.JOINED:
            both &= {CUSTOMER}
        if any(counts[kept][kind] + counts[gone][kind] > limits.of_type(kind) for kind in both):
            continue
        if any(member_of.get(stranger) == kept for stranger in strangers[gone]):
            continue
        for kind, count in counts.pop(gone).items():
            counts[kept][kind] = counts[kept].get(kind, 0) + count
        for token in members[gone]:
            member_of[token] = kept
        members[kept] += members.pop(gone)
        strangers[kept] |= strangers.pop(gone)
        first[kept] = min(first[kept], first.pop(gone), (tie.key, telling(tie.first)))
    return tuple(sorted(Person(first[token][1][1], tuple(sorted(own, key=telling))) for token, own in members.items()))
