"""Edges between the observers of one order: who reported it from browser and backend is one person. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tributary_domain.identifiers import CUSTOMER
from tributary_domain.ties import Tie, edges_of, join, telling, type_of
from tributary_storage.redis.tie_layout import Said

Observed = tuple[Sequence[str], Said]
"""The identity tokens of an observation of a conversion, and which event it is."""


def edges_between(observations: Sequence[Observed], days: int) -> list[tuple[Said, Tie]]:
    """Returns the edges between identifiers of different observations of one conversion: who ordered is one person.

    Each is as old as the later of the two observations. Two customer ids are no edge.

    Args:
        observations: In event order.
        days: `IdentityLimits.shared_device_days`.
    """
    seen: dict[str, list[Said]] = {}
    for tokens, said in observations:
        for token in tokens:
            seen.setdefault(token, []).append(said)
    ordered = sorted(seen, key=telling)
    found: list[tuple[Said, Tie]] = []
    for at, first in enumerate(ordered):
        for second in ordered[at + 1 :]:
            if type_of(first) == type_of(second) == CUSTOMER:
                continue
            since = max(seen[first][0][1:3], seen[second][0][1:3])
            later = sorted({said for said in (*seen[first], *seen[second]) if said[1:3] >= since}, key=lambda s: s[1:3])
            if type_of(first) != CUSTOMER:
                later = later[:1]
            edges = [edge for said in later for edge in edges_of([first, second], said[1], said[2])]
            found.append((later[0], join(edges, days)[first, second]))
    return found
