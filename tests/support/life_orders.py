"""What is left of orders that are told with and without their cycles, written from the words of the rules.

What is said of an order without a cycle is said of its first cycle, too: what it is worth, and what changes it. Where
several first cycles have its number, each is worth what was told of it; what changes the order is taken off the first
until nothing is left of it, then off the next, and who takes the order back takes back all. A cycle that was taken back
by itself is none, where others are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from tests.support import oracle
from tests.support.life_facts import Fact, Place
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation

Worth = tuple[int, bool]
"""What a conversion is worth now, and whether it is taken back."""


def worths(observed: Mapping[Place, Sequence[Fact]], adjusting: Mapping[Place, Sequence[Fact]]) -> dict[Place, Worth]:
    """Returns what each conversion is worth.

    Args:
        observed: By conversion, what observed it, in event order.
        adjusting: Likewise what adjusts it by its name.
    """
    own = {place: _worth(facts, adjusting.get(place, ())) for place, facts in observed.items()}
    orders: dict[Place, list[Place]] = {}
    for place, facts in observed.items():
        if (plain := facts[0].told_without) is not None:
            orders.setdefault(plain, []).append(place)
    found = dict(own)
    for plain, cycles in orders.items():
        cycles.sort(key=lambda place: observed[place][0].key)
        left = [place for place in cycles if not own[place][1]] or cycles[:1]
        if len(left) == 1:
            told, changes = observed.get(plain, ()), adjusting.get(plain, ())
            found[left[0]] = _worth([*observed[left[0]], *told], [*adjusting.get(left[0], ()), *changes])
        else:
            found |= _several(left, plain, observed, adjusting)
    return found


def _several(
    cycles: Sequence[Place],
    plain: Place,
    observed: Mapping[Place, Sequence[Fact]],
    adjusting: Mapping[Place, Sequence[Fact]],
) -> dict[Place, Worth]:
    named = {_identity(fact) for place in cycles for fact in adjusting.get(place, ())}
    once: dict[tuple[object, str], Fact] = {}
    for fact in sorted(adjusting.get(plain, ()), key=lambda fact: fact.key):
        once.setdefault(_identity(fact), fact)
    said = [fact for identity, fact in once.items() if identity not in named]
    totals = [at for at, fact in enumerate(said) if fact.adjustment is AdjustmentKind.RESTATEMENT]
    own = {place: list(adjusting.get(place, ())) for place in cycles}
    if totals:
        total = said[totals[-1]]
        stated = [_worth(observed[place], ())[0] for place in cycles]
        whole = sum(stated)
        shares = [Fraction(one, whole) if whole else Fraction(1, len(cycles)) for one in stated]
        for place, part in zip(cycles, oracle.largest_remainder(total.amount or 0, shares), strict=True):
            own[place].append(_part(total, part))
        said = said[totals[-1] + 1 :]
    left = {place: _worth(observed[place], own[place]) for place in cycles}
    if any(fact.adjustment is AdjustmentKind.RETRACTION for fact in said):
        return dict.fromkeys(cycles, (0, True))
    off = sum(
        -(fact.amount or 0) if fact.adjustment is AdjustmentKind.REVERSAL else (fact.amount or 0) for fact in said
    )
    found = {}
    for place in cycles:
        taken = min(off, left[place][0])
        off -= taken
        found[place] = left[place][0] - taken, False
    return found


def _part(fact: Fact, amount: int) -> Fact:
    return Fact(
        event_id=fact.event_id,
        micros=fact.micros,
        adjustment=fact.adjustment,
        adjustment_id=fact.adjustment_id,
        amount=amount,
    )


def _identity(fact: Fact) -> tuple[object, str]:
    return fact.adjustment, fact.adjustment_id or f"event {fact.event_id}"


def _worth(observed: Sequence[Fact], adjusting: Sequence[Fact]) -> Worth:
    value, is_retracted = oracle.value_after(
        [
            Observation(
                event_time_micros=fact.micros,
                event_id=fact.event_id,
                source_rank=fact.rank,
                amount_micros=fact.value,
            )
            for fact in observed
        ],
        [
            Adjustment(
                event_time_micros=fact.micros,
                event_id=fact.event_id,
                kind=fact.adjustment,
                adjustment_id=fact.adjustment_id,
                amount_micros=fact.amount,
            )
            for fact in adjusting
            if fact.adjustment
        ],
    )
    return value or 0, is_retracted
