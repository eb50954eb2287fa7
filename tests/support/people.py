"""What is kept of edges, as a store would hold it, and the rules of people once more, from their words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tributary_domain.identity import Cluster, IdentityLimits, Person, clusters_of
from tributary_domain.person_changes import PersonChange, missing_to_relink, relink, relink_plainly
from tributary_domain.ties import OperatorWord, Tie, join, telling, type_of

DAY = 86_400 * 1_000_000


class TieStore:
    """Ties by identifier: answers with what it is asked for and nothing else, as a store over the network would."""

    def __init__(self, limits: IdentityLimits) -> None:
        self.limits = limits
        self.ties: dict[str, tuple[Tie, ...]] = {}
        self.read = 0
        """Identifiers read by the last `add`."""

    def add(self, edges: Sequence[Tie]) -> tuple[PersonChange, ...]:
        known: dict[str, tuple[Tie, ...]] = {}
        while wanted := missing_to_relink(known, edges, self.limits):
            assert relink_plainly(known, edges, self.limits) is None, "answers only from all that it takes"
            known |= {token: self.ties.get(token, ()) for token in wanted}
        self.read = len(known)
        relinked = relink(known, edges, self.limits)
        # The other end of a tie holds it too: with its own ties, which hang on no other edge.
        self.ties |= relinked.ties
        return relinked.changes

    def load(self, edges: Iterable[Tie]) -> None:
        """Holds what many edges make, without looking for people."""
        own: dict[str, list[Tie]] = {}
        for tie in join(edges, self.limits.shared_device_days).values():
            for token in tie.pair:
                own.setdefault(token, []).append(tie)
        self.ties = {token: tuple(ties) for token, ties in own.items()}

    def clusters(self) -> tuple[Cluster, ...]:
        return clusters_of(self.ties, self.ties, self.limits)

    def clusters_of(self, token: str) -> tuple[Cluster, ...]:
        return clusters_of(self.ties, [token], self.limits)

    def people(self) -> set[Person]:
        return {person for cluster in self.clusters() for person in cluster.persons}


def batch(edges: Iterable[Tie], limits: IdentityLimits) -> set[Person]:
    """The people that all edges at once make."""
    ties: dict[str, list[Tie]] = {}
    for tie in join(edges, limits.shared_device_days).values():
        for token in tie.pair:
            ties.setdefault(token, []).append(tie)
    return {person for cluster in clusters_of(ties, ties, limits) for person in cluster.persons}


def oracle(edges: Sequence[Tie], limits: IdentityLimits) -> set[frozenset[str]]:
    """The people of clusters that are not refused, read from the words of the rules: slow, with plain sets."""
    tokens = sorted({token for edge in edges for token in edge.pair})
    words = {}
    for edge in sorted((e for e in edges if e.word_key[0] >= 0), key=lambda e: (e.word_key, e.word)):
        words[edge.pair] = edge.word
    seen: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for edge in edges:
        for span in edge.spans:
            seen.setdefault(edge.pair, []).append((span.start_time_micros, span.start_hash))
    stops = {token: _stop(token, seen, limits) for token in tokens}
    pairs = sorted(seen, key=lambda pair: (min(seen[pair]), telling(pair[0]), telling(pair[1])))
    chosen: dict[str, set[tuple[str, str]]] = {token: set() for token in tokens}
    for pair in pairs:
        if words.get(pair) in (OperatorWord.SEPARATED, OperatorWord.JOINED) or limits.blocked & {*pair}:
            continue
        for token, other in (pair, pair[::-1]):
            of_type = [p for p in chosen[token] if type_of(p[0] if p[1] == token else p[1]) == type_of(other)]
            stop = stops[token]
            if (stop is None or min(seen[pair]) < stop) and len(of_type) < limits.of_type(type_of(other)):
                chosen[token].add(pair)
    links = [pair for pair in pairs if pair in chosen[pair[0]] and pair in chosen[pair[1]]]
    told = [pair for pair, word in words.items() if word is OperatorWord.JOINED and not limits.blocked & {*pair}]
    told.sort(key=lambda pair: _key(pair, seen, edges))
    apart = [pair for pair, word in words.items() if word is OperatorWord.SEPARATED]
    people = [{token} for token in tokens]
    for pair in [*told, *links]:
        one = next(person for person in people if pair[0] in person)
        other = next(person for person in people if pair[1] in person)
        both = one | other
        kinds = [kind for kind in {type_of(token) for token in both} if pair not in told or kind == "customer"]
        kinds = [
            kind for kind in kinds if any(type_of(t) == kind for t in one) and any(type_of(t) == kind for t in other)
        ]
        is_over = any(sum(type_of(token) == kind for token in both) > limits.of_type(kind) for kind in kinds)
        if one is not other and not is_over and not any(both >= {*strangers} for strangers in apart):
            people.remove(one)
            people.remove(other)
            people.append(both)
    return {frozenset(person) for person in people}


def _key(pair: tuple[str, str], seen: dict[tuple[str, str], list[tuple[int, int]]], edges: Sequence[Tie]) -> object:
    key = min(seen[pair]) if pair in seen else max(e.word_key for e in edges if e.pair == pair)
    return key, telling(pair[0]), telling(pair[1])


def _stop(
    token: str, seen: dict[tuple[str, str], list[tuple[int, int]]], limits: IdentityLimits
) -> tuple[int, int] | None:
    """The first sight at which more than the allowed customers were seen in the days up to it."""
    if type_of(token) == "customer":
        return None
    sights = sorted(
        (key, pair[0])
        for pair, keys in seen.items()
        for key in keys
        if pair[1] == token and type_of(pair[0]) == "customer"
    )
    for key, _ in sights:
        recent = {
            who
            for (time, hashed), who in sights
            if (time, hashed) <= key and time >= key[0] - limits.shared_device_days * DAY
        }
        if len(recent) > limits.shared_device_customers:
            return key
    return None
