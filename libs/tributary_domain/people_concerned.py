"""Whom a run of reconciliation is about: from some identifiers on whom these are one person with, and no others.

The one rule: who is concerned is known when nobody is left to be asked for. An identifier that was not asked for yet is
taken to link whomever links it; so nobody is left out, and what it was really seen with decides when that is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from tributary_domain.reconciled_people import ReconciledPeople, SeenTogether, Words, links_of, reconciled_people


class PeopleConcerned:
    """People, as far as they are known.

    Args:
        words: What operators said.
        customer_ids: Customer ids of one person.
        identifiers_per_type: Identifiers of each other type of one person.
        refused_cluster_size: The most identifiers of a cluster.
        blocked: Identifiers that link nobody.

    >>> people = PeopleConcerned({})
    >>> sorted(people.ask({"visitor:1"}))
    ['visitor:1']
    >>> sorted(people.learn([("customer:a", "visitor:1", (1, 0))], {}))
    ['customer:a']
    >>> sorted(people.learn([("customer:a", "visitor:2", (2, 0))], {}))
    ['visitor:2']
    >>> people.learn([], {})
    set()
    >>> people.found().person_of["visitor:2"]
    'customer:a'
    """

    def __init__(
        self,
        words: Words,
        *,
        customer_ids: int = 1,
        identifiers_per_type: int = 5,
        refused_cluster_size: int = 500,
        blocked: frozenset[str] = frozenset(),
    ) -> None:
        self._words = words
        self._customer_ids = customer_ids
        self._identifiers_per_type = identifiers_per_type
        self._refused_cluster_size = refused_cluster_size
        self._blocked = blocked
        self._edges: dict[tuple[str, str], SeenTogether] = {}
        self._shared_since: dict[str, tuple[int, int]] = {}
        self._asked: set[str] = set()
        self._named: set[str] = set()
        self._concerned: set[str] = set()

    def ask(self, tokens: Iterable[str]) -> set[str]:
        """Says that some identifiers are concerned; returns those whose edges must be known, none if all are."""
        own = set(tokens)
        is_known = own <= self._concerned
        self._named |= own
        self._concerned |= own
        wanted = self._wanted(own)
        # Who was asked for because they seemed to be linked, and are not, may link others themselves, let go with them.
        return wanted if wanted or is_known else self.learn([], {})

    def learn(self, edges: Iterable[SeenTogether], shared_since: Mapping[str, tuple[int, int]]) -> set[str]:
        """Takes all edges of those that were asked for; returns those that are to be asked for next, none at the end.

        Args:
            edges: Each once.
            shared_since: Those of them that are shared devices, and the event from which on they link nobody.
        """
        for edge in edges:
            self._edges[edge[:2]] = edge
        self._shared_since.update(shared_since)
        linked: dict[str, list[str]] = defaultdict(list)
        for one, other in links_of(
            self._edges.values(),
            self._shared_since,
            self._words,
            customer_ids=self._customer_ids,
            identifiers_per_type=self._identifiers_per_type,
            blocked=self._blocked,
        ).links:
            linked[one].append(other)
            linked[other].append(one)
        self._concerned = set(self._named)  # who was taken for linked may not be
        ahead = list(self._named)
        while ahead:
            for other in linked.get(ahead.pop(), ()):
                if other not in self._concerned:
                    self._concerned.add(other)
                    ahead.append(other)
        return self._wanted(self._concerned)

    def found(self) -> ReconciledPeople:
        """Returns whom each identifier belongs to that is concerned, once nobody is to be asked."""
        people = reconciled_people(
            self._edges.values(),
            self._shared_since,
            self._words,
            customer_ids=self._customer_ids,
            identifiers_per_type=self._identifiers_per_type,
            refused_cluster_size=self._refused_cluster_size,
            blocked=self._blocked,
        )
        person_of = {token: people.person_of.get(token, token) for token in self._concerned}
        return ReconciledPeople(person_of, people.first_of)

    def _wanted(self, tokens: set[str]) -> set[str]:
        found = tokens - self._asked - self._blocked
        self._asked |= found
        return found
