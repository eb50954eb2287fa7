"""The ties that a batch has read, while it adds to them. Pure: nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tributary_domain.identifiers import CUSTOMER
from tributary_domain.identity import IdentityLimits
from tributary_domain.ties import Span, Tie, join, shared_since, type_of
from tributary_storage.redis.tie_layout import HeldTies, Link

_FULL: Final = 64
"""Ties that an identifier keeps at least, of each type, whatever its person may have: an operator may part the first.
"""


class TieView:
    """The ties of the identifiers of one workspace that a batch names."""

    def __init__(self, held: Mapping[str, HeldTies], limits: IdentityLimits) -> None:
        self.limits = limits
        self._held = {token: {tie.pair: tie for tie in found.ties} for token, found in held.items()}
        self._ties = {token: dict(own) for token, own in self._held.items()}

    def ties(self, token: str) -> tuple[Tie, ...]:
        """Returns all ties of an identifier, with those that were added."""
        return tuple(self._ties[token].values())

    def spans(self, pair: tuple[str, str]) -> tuple[Span, ...]:
        """Returns when a pair that was added was seen together."""
        found = self._ties[pair[0]].get(pair) or self._ties[pair[1]].get(pair)
        return () if found is None else found.spans

    def add(self, edges: Iterable[Tie]) -> dict[Tie, Tie | None]:
        """Adds edges; returns those that may change who somebody is, with what was known of the pair before."""
        displaced: dict[Tie, Tie | None] = {}
        for edge in edges:
            pair = edge.pair
            before, other = (self._ties[token].get(pair) for token in pair)
            if before is None:
                before = other
            elif other is not None and other != before:  # of a link that is not finished, one end is written
                before = join([other], self.limits.shared_device_days, [before])[pair]
            after = edge if before is None else join([edge], self.limits.shared_device_days, [before])[pair]
            for token in pair:
                if pair in self._ties[token] or not self._is_full(token, after):
                    self._ties[token][pair] = after
            if before is None or self._matters(before, after):
                displaced[edge] = before
        return displaced

    def changed(self) -> dict[str, list[Tie]]:
        """Returns the ties that differ from what was read, at each of their ends."""
        found = {}
        for token, own in self._ties.items():
            held = self._held[token]
            new = [tie for pair, tie in own.items() if held.get(pair) != tie]
            if new:
                found[token] = new
        return found

    def without(self, links: Iterable[Link]) -> dict[str, tuple[Tie, ...]]:
        """Returns all ties as if some links had not been added."""
        ties = {token: dict(own) for token, own in self._ties.items()}
        for link in reversed(list(links)):
            for edge, before in zip(link.edges, link.displaced, strict=True):
                for token in edge.pair:
                    if before is None:
                        ties[token].pop(edge.pair, None)
                    else:
                        ties[token][edge.pair] = before
        return {token: tuple(own.values()) for token, own in ties.items()}

    def _is_full(self, token: str, tie: Tie) -> bool:
        """Tells whether an identifier was seen with so many others that one more can never link at this end.

        Then only the other end keeps the tie, which uses up its place for such: so what a kiosk, or an address that all
        share, makes everybody read stays bounded.
        """
        own, limits = self._ties[token], self.limits
        if len(own) < _FULL or tie.word_key[0] >= 0:
            return False
        kind = type_of(tie.other(token))
        if kind == CUSTOMER and type_of(token) != CUSTOMER:
            end = shared_since(own.values(), token, limits.shared_device_customers, limits.shared_device_days)
            return end is not None and end < tie.key
        earlier = sum(type_of(known.other(token)) == kind and known.key < tie.key for known in own.values())
        return earlier >= max(_FULL, 2 * limits.of_type(kind))

    def _matters(self, before: Tie, after: Tie) -> bool:
        """Tells whether a known pair may change who somebody is: an earlier edge, a word, a device that is shared."""
        if before.key != after.key or (before.word, before.word_key) != (after.word, after.word_key):
            return True
        if before.spans == after.spans:
            return False
        customers = sum(type_of(tie.first) == CUSTOMER for tie in self._ties[after.second].values())
        return customers > self.limits.shared_device_customers
