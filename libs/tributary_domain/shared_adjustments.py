"""What changes an order that was told as several first cycles, and names none of them: whom of them it changes.

The one rule: it is of the order, so that what is left of all cycles together is what is left of the order. A refund is
taken off the first cycle until nothing is left of that, then off the next; a new total is split in proportion to what
they were worth; who takes the order back takes back all. What names a cycle was said of that alone, and comes first,
but for a new total of it: what was taken off before is not taken off that, and what follows is. What is in no cycle's
currency changes nothing. A cycle whose person was erased has what it had, and the others what was theirs; of what is
said later it would have its part, too, which changes it no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from tributary_domain.conversion import conversion_facts, each_once
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, Standing
from tributary_domain.event_order import OrderKey
from tributary_domain.shares import split_exactly
from tributary_domain.value_bases import NO_PARTS

_T = TypeVar("_T")
_FIRST: Final[OrderKey] = (-(2**63), 0)
"""Before all."""


class FirstCycle(NamedTuple):
    """A first cycle of an order."""

    conversion_id: str
    observations: Sequence[Observation]
    adjustments: Sequence[Adjustment]
    """Those that name it."""
    had: Mapping[tuple[str, str], int | None] | None = None
    """Of what stands in for one whose person was erased: what of changes of the order was its part, by their identity;
    None of what changed each. None: it is no stand-in."""
    named: Collection[tuple[str, str]] = ()
    """Of such a one: which changes of the order named it, too, by their identity."""


def shared_out(adjustments: Iterable[Adjustment], cycles: Sequence[FirstCycle]) -> dict[str, list[Adjustment]]:
    """Returns what changes each cycle of what changes their order, by id; what stands in for one is changed no more.

    A default value is none here: what nobody stated is not known to be there to be taken off. A part of an amount says
    nothing of tax or shipping: these are taken off it in proportion.

    Args:
        adjustments: They name the order without a cycle; in any order, with any repeats.
        cycles: In event order, at least one; those that were taken back by name are left out.
    """
    named = {one.identity for cycle in cycles for one in cycle.adjustments if one.standing is Standing.GOOD}
    named.update(identity for cycle in cycles for identity in cycle.named)
    left = [one for one in each_once(adjustments) if one.identity not in named]  # one that two systems report is one
    shares: dict[str, list[Adjustment]] = {cycle.conversion_id: [] for cycle in cycles}
    groups = _by_currency(cycles, left)
    for currency, some in groups.items():
        same = [one for one in left if currency in ("", one.currency_code) or not one.currency_code]
        _share_in([(cycle, shares[cycle.conversion_id]) for cycle in some], same)
    stated = (one.conversion_id for one in cycles if conversion_facts(one.observations).currency_code)
    if said_of := next(stated, None):  # it changes nothing there, but is found to be odd
        shares[said_of] += [one for one in left if one.currency_code and not {"", one.currency_code} & groups.keys()]
    return {cycle.conversion_id: shares[cycle.conversion_id] for cycle in cycles if cycle.had is None}


def had_of(
    named: Iterable[Adjustment], adjustments: Iterable[Adjustment], share: Iterable[Adjustment]
) -> dict[tuple[str, str], int | None]:
    """Returns what a cycle has of the changes of its order, as of `FirstCycle.had`; not of those that name it, too.

    Args:
        named: Adjustments that name it.
        adjustments: As of `shared_out`.
        share: What of these changes it.
    """
    own = {one.identity for one in named if one.standing is Standing.GOOD}
    changed = {one.identity: None if _is_of_each(one) else one.amount_micros for one in share}
    had: dict[tuple[str, str], int | None] = {}
    for one in each_once(adjustments):
        if one.identity in changed:
            had[one.identity] = changed[one.identity]
        elif one.identity not in own and not _is_of_each(one):
            had[one.identity] = 0
    return had


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
    totals = [at for at, one in enumerate(left) if one.kind is AdjustmentKind.RESTATEMENT]
    if totals:  # absorbs what was before
        total = left[totals[-1]]
        takers, rest = _takers(cycles, total, cycles)
        stated = [max(0, conversion_facts(cycle.observations).original_amount_micros or 0) for cycle, _ in takers]
        if takers:
            parts = split_exactly(rest, stated if any(stated) else [1] * len(takers))
            _share([own for _, own in takers], total, parts)
        left = left[totals[-1] + 1 :]
    purses = [_Purse(cycle, own) for cycle, own in cycles]
    for one in left:
        for purse in purses:
            purse.begin(one.order_key)
        if _is_of_each(one):
            for _, own in cycles:
                own.append(one)
            continue
        is_back = one.kind is AdjustmentKind.REVERSAL
        for (cycle, _), purse in zip(cycles, purses, strict=True):
            had = (cycle.had or {}).get(one.identity) or 0
            purse.taken_micros += -had if is_back else had  # what it is worth is without it
        some, rest = _takers(cycles, one, purses)
        if some:
            _share([purse.shares for purse in some], one, (_give_back if is_back else _take)(some, rest))


def _is_of_each(one: Adjustment) -> bool:
    return one.kind is AdjustmentKind.RETRACTION or one.amount_micros is None


def _takers(
    cycles: Sequence[tuple[FirstCycle, list[Adjustment]]], one: Adjustment, of_each: Sequence[_T]
) -> tuple[list[_T], int]:
    """Returns who takes a part of an adjustment, and of what: what stands in for a cycle had its own part already."""
    had = [None if cycle.had is None else cycle.had.get(one.identity) for cycle, _ in cycles]
    takers = [own for own, part in zip(of_each, had, strict=True) if part is None]
    return takers, (one.amount_micros or 0) - sum(part for part in had if part is not None)


class _Purse:
    """What is left of a cycle, and was taken off it for the order, as of one adjustment after the other."""

    def __init__(self, cycle: FirstCycle, shares: list[Adjustment]) -> None:
        self.shares = shares
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
