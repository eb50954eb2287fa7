"""One-to-one pairs out of possible ones: the closest first, and as many as there can be.

The one rule: the answer follows from the possible pairs alone, never from the order in which they are given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Possible = tuple[Any, int, int]
"""How far apart two are, anything that sorts; which of the one side, which of the other."""


def best_pairs(possible: Iterable[Possible]) -> list[tuple[int, int]]:
    """Returns pairs in which each is at most once: as many as there can be.

    The closest pairs are taken first. Whoever is left over then takes the place of one that can go elsewhere.

    Args:
        possible: All pairs there may be.

    Returns:
        Pairs in order of the one side.

    >>> best_pairs([(0, 1, 7), (1, 1, 8), (2, 2, 7)])
    [(1, 8), (2, 7)]
    """
    choices: dict[int, list[int]] = defaultdict(list)
    held: dict[int, int] = {}
    holder: dict[int, int] = {}
    for _, one, other in sorted(possible):
        choices[one].append(other)
        if one not in held and other not in holder:
            held[one], holder[other] = other, one
    hopeless: set[int] = set()  # where one search found no room, no later one does
    for one in sorted(choices):
        if one not in held:
            _make_room(one, choices, held, holder, hopeless)
    return sorted(held.items())


def _make_room(
    start: int,
    choices: Mapping[int, Sequence[int]],
    held: dict[int, int],
    holder: dict[int, int],
    hopeless: set[int],
) -> None:
    """Finds a place for one by moving others on, breadth first; changes nothing where there is none."""
    asked_by: dict[int, int] = {}
    asking = [start]
    for one in asking:
        for other in choices[one]:
            if other in hopeless or other in asked_by:
                continue
            asked_by[other] = one
            if other in holder:
                asking.append(holder[other])
                continue
            place: int | None = other
            while place is not None:  # everybody who asked on the way moves to where there is room
                mover = asked_by[place]
                left = held.get(mover)
                held[mover], holder[place] = place, mover
                place = left
            return
    hopeless.update(asked_by)
