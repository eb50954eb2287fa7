"""What changes an order that was told as several first cycles, and names none of them: whom of them it changes.

The one rule: it is of the order, so that what is left of all cycles together is what is left of the order. A refund is
taken off the first cycle until nothing is left of that, then off the next; a new total is split in proportion to what
they were worth; who takes the order back takes back all. What names a cycle was said of that alone, and comes first,
but for a new total of it: what was taken off before is not taken off that, and what follows is. What is in no cycle's
currency changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, NamedTuple

from tributary_domain.conversion import conversion_facts, each_once
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, Standing
from tributary_domain.event_order import OrderKey
from tributary_domain.shares import split_exactly
from tributary_domain.value_bases import NO_PARTS

_FIRST: Final[OrderKey] = (-(2**63), 0)
"""Before all."""


class FirstCycle(NamedTuple):
    """A first cycle of an order."""

    conversion_id: str
    observations: Sequence[Observation]
    adjustments: Sequence[Adjustment]
    """Those that name it."""


def shared_out(adjustments: Iterable[Adjustment], cycles: Sequence[FirstCycle]) -> dict[str, list[Adjustment]]:
    """Returns what changes each cycle of what changes their order, by id.

    A default value is none here: what nobody stated is not known to be there to be taken off. A part of an amount says
    nothing of tax or shipping: these are taken off it in proportion.

    Args:
        adjustments: They name the order without a cycle; in any order, with any repeats.
        cycles: In event order, at least one; those that were taken back by name are left out.
    """
    named = {one.identity for cycle in cycles for one in cycle.adjustments if one.standing is Standing.GOOD}
    left = [one for one in each_once(adjustments) if one.identity not in named]  # one that two systems report is one
    shares: dict[str, list[Adjustment]] = {cycle.conversion_id: [] for cycle in cycles}
    groups = _by_currency(cycles, left)
    for currency, some in groups.items():
        same = [one for one in left if currency in ("", one.currency_code) or not one.currency_code]
        _share_in([(cycle, shares[cycle.conversion_id]) for cycle in some], same)
    stated = (one.conversion_id for one in cycles if conversion_facts(one.observations).currency_code)
    if said_of := next(stated, None):  # it changes nothing there, but is found to be odd
        shares[said_of] += [one for one in left if one.currency_code and not {"", one.currency_code} & groups.keys()]
    return shares


def _by_currency(cycles: Sequence[FirstCycle], adjustments: Sequence[Adjustment]) -> dict[str, list[FirstCycle]]:
    """Returns cycles by what they are worth something in; those of which nobody said so are with the first.

    Where nobody said it of any, the newest total of the order does; empty: that neither.
    """
    own = [conversion_facts(cycle.observations, cycle.adjustments).currency_code for cycle in cycles]
    totals = (one.currency_code for one in reversed(adjustments) if one.kind is AdjustmentKind.RESTATEMENT)
    first = next(filter(None, own), "") or next(totals, "")
    groups: dict[str, list[FirstCycle]] = {}
    for cycle, currency in zip(cycles, own, strict=True):
        groups.setdefault(currency or first, []).append(cycle)
    return groups


def _share_in(cycles: Sequence[tuple[FirstCycle, list[Adjustment]]], left: Sequence[Adjustment]) -> None:
    """Adds to each of some cycles of one currency what changes it."""
    shares = [own for _, own in cycles]
    totals = [at for at, one in enumerate(left) if one.kind is AdjustmentKind.RESTATEMENT]
    if totals:  # absorbs what was before
        total = left[totals[-1]]
        stated = [max(0, conversion_facts(cycle.observations).original_amount_micros or 0) for cycle, _ in cycles]
        _share(shares, total, split_exactly(total.amount_micros or 0, stated if any(stated) else [1] * len(cycles)))
        left = left[totals[-1] + 1 :]
    purses = [_Purse(cycle, own) for cycle, own in cycles]
    for one in left:
        for purse in purses:
            purse.begin(one.order_key)
        if one.kind is AdjustmentKind.RETRACTION or one.amount_micros is None:
            for own in shares:
                own.append(one)
        elif one.kind is AdjustmentKind.REVERSAL:
            _share(shares, one, _give_back(purses, one.amount_micros))
        else:
            _share(shares, one, _take(purses, one.amount_micros))


class _Purse:
    """What is left of a cycle, and was taken off it for the order, as of one adjustment after the other."""

    def __init__(self, cycle: FirstCycle, shares: Sequence[Adjustment]) -> None:
        counted = conversion_facts(cycle.observations, [*cycle.adjustments, *shares]).adjustments
        totals = [at for at, one in enumerate(counted) if one.kind is AdjustmentKind.RESTATEMENT]
        self._lives: deque[tuple[OrderKey, int]] = deque()
        """What is left after all that names it: by each of its totals, from when on, up to the next."""
        for start, end in pairwise([0, *totals, len(counted)]):
            since = counted[start].order_key if start in totals else _FIRST
            left = conversion_facts(cycle.observations, counted[start:end]).full_amount_micros
            self._lives.append((since, left or 0))
        self.left_micros = self._lives.popleft()[1]
        self.taken_micros = 0

    def begin(self, place: OrderKey) -> None:
        """Goes on to a place: what was taken off before a total of its own is absorbed by that."""
        while self._lives and self._lives[0][0] < place:
            self.left_micros, self.taken_micros = self._lives.popleft()[1], 0

    def take(self, amount_micros: int) -> None:
        self.left_micros -= amount_micros
        self.taken_micros += amount_micros


def _take(purses: Sequence[_Purse], amount_micros: int) -> list[int]:
    """Takes an amount off; of what is more than all have, the last one says so."""
    parts: list[int] = []
    for purse in purses:
        parts.append(min(max(0, purse.left_micros), amount_micros - sum(parts)))
    parts[-1] += amount_micros - sum(parts)
    for purse, part in zip(purses, parts, strict=True):
        purse.take(part)
    return parts


def _give_back(purses: Sequence[_Purse], amount_micros: int) -> list[int]:
    """Gives an amount back where it was taken, last first; what is more than that, to the first."""
    parts: list[int] = []
    for purse in reversed(purses):
        parts.insert(0, min(max(0, purse.taken_micros), amount_micros - sum(parts)))
    parts[0] += amount_micros - sum(parts)
    for purse, part in zip(purses, parts, strict=True):
        purse.take(-part)
    return parts


def _share(shares: Sequence[list[Adjustment]], one: Adjustment, parts: Sequence[int]) -> None:
    """Adds to each what of an adjustment is its part; what changes nobody is said of the first."""
    is_total = one.kind is AdjustmentKind.RESTATEMENT
    for at, (own, part) in enumerate(zip(shares, parts, strict=True)):
        if part or is_total or (at == 0 and not one.amount_micros):
            own.append(one if part == one.amount_micros else replace(one, amount_micros=part, parts=NO_PARTS))
