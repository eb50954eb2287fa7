"""Orders told with and without the cycle of a subscription, as reconciliation derives them: from what observations say.

The one rule: as of `reconciled_families`. An order is found by its name, store and number, among the first cycles of
subscriptions; what it would be without the cycle follows from these three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from tributary_domain.business_keys import plain_id
from tributary_domain.families import first_name
from tributary_domain.ids import family_id
from tributary_domain.reconciled_records import Related, Staged, StandIn
from tributary_domain.reconciled_shares import SeveralCycles

_FIRST: Final = 2
_CYCLE, _PLAIN = 3, 5
_BACKEND: Final = 2
_NOBODY: Final[Mapping[str, Sequence[StandIn]]] = MappingProxyType({})


class ToldOrder(NamedTuple):
    """What becomes of a conversion that is an order which was told in both ways."""

    credited: str
    """The conversion whose credit it has; its own id: its own."""
    is_merged: bool
    """Whether it was told without the cycle, and counts with it."""
    is_void: bool
    """Whether it does, and that was taken back."""
    takes_place: bool
    """Whether it was told with the cycle, and counts for those without."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Those that first cycles tell."""

    cycles: Mapping[str, Collection[str]]
    """Conversions that an observation calls a first cycle, or that stand in for such ones, by id of the family."""
    plains: Mapping[str, Collection[str]]
    """Likewise what they are without the cycle."""
    families: Mapping[str, str]
    """By conversion of `cycles`."""
    severed: Collection[str] = frozenset()
    """Those of `cycles` that somebody told again after their person was erased: they are nothing to the others."""

    def members(self) -> Iterator[tuple[str, set[str]]]:
        """Yields families with their members."""
        for family, cycles in self.cycles.items():
            yield family, {*cycles, *self.plains.get(family, ())}

    def lent(
        self, observations: Mapping[str, Sequence[Related]], stand_ins: Mapping[str, Sequence[StandIn]] = _NOBODY
    ) -> dict[str, str]:
        """Returns by what an order is without the cycle the conversion that its adjustments and its value are of, too.

        None where it was told as several first cycles: that depends on what was said of these, too (`several`). None
        where that stands in for somebody who was erased: it changes no more.

        Args:
            observations: By conversion.
            stand_ins: By conversion, what is left of those that were erased.
        """
        found: dict[str, str] = {}
        for family, every in self._firsts(observations, stand_ins):
            firsts = self._standing(every) or every
            if len(firsts) == 1 and not firsts[0].startswith("s1:"):
                found |= dict.fromkeys(self.plains.get(family, ()), firsts[0])
        return found

    def several(
        self, observations: Mapping[str, Sequence[Related]], stand_ins: Mapping[str, Sequence[StandIn]] = _NOBODY
    ) -> list[SeveralCycles]:
        """Returns the orders that were told as several first cycles; arguments as of `lent`.

        What was told again of one that is severed has a part of what changes the order, and takes none of the others':
        with such ones an order is there twice.
        """
        found: list[SeveralCycles] = []
        for family, every in self._firsts(observations, stand_ins):
            plains, firsts = self.plains.get(family, ()), self._standing(every)
            if len(firsts) > 1:
                found.append(SeveralCycles(plains, firsts))
            if len(every) > max(1, len(firsts)):
                found.append(SeveralCycles(plains, every, [one for one in every if one in self.severed]))
        return found

    def _standing(self, firsts: Iterable[str]) -> list[str]:
        return [one for one in firsts if one not in self.severed]

    def _firsts(
        self, observations: Mapping[str, Sequence[Related]], stand_ins: Mapping[str, Sequence[StandIn]]
    ) -> Iterator[tuple[str, list[str]]]:
        """Yields families with what are first cycles there, in event order."""
        for family, cycles in self.cycles.items():
            firsts = (one for one in cycles if _is_first(one, observations, stand_ins))
            placed = ((_anchor(observations.get(one, ()), stand_ins.get(one, ())), one) for one in firsts)
            yield family, [one for _, one in sorted(placed)]

    def told(
        self,
        family: Collection[str],
        observations: Mapping[str, Sequence[Related]],
        stand_ins: Mapping[str, Sequence[StandIn]],
        staged: Mapping[str, Staged],
    ) -> dict[str, ToldOrder]:
        """Says what becomes of the conversions of a family that are orders told in both ways, or as cycles.

        Args:
            family: Ids.
            observations: By conversion.
            stand_ins: By conversion.
            staged: What is known of them, by conversion.
        """
        found: dict[str, ToldOrder] = {}
        observed = {one for one in staged if not staged[one].is_internal}
        for name in {self.families[one] for one in family if one in self.families}:
            every = [one for one in self.cycles[name] if one in observed and _is_first(one, observations, stand_ins)]
            plains = sorted(observed.intersection(self.plains.get(name, ())))
            ranked_ways = sorted(
                [*every, *plains[:1]],  # one more stands in for who was erased: it lends nothing
                key=lambda one: (
                    not one.startswith("s1:"),
                    min(_ranks(one, observations, stand_ins), default=_BACKEND),
                    staged[one].time_micros,
                    staged[one].event_hash,
                    one,
                ),
            )
            for one in every:
                if one in self.severed:
                    credited = ranked_ways[0] if plains else one
                    found[one] = ToldOrder(credited, is_merged=False, is_void=False, takes_place=False)
            firsts = self._standing(every)
            if not firsts:
                continue
            nearest = self._standing(ranked_ways)[0]
            living = [(staged[one].time_micros, staged[one].event_hash, one) for one in firsts if staged[one].counted]
            counted = min(living)[2] if living else ""
            for one in firsts:
                credited, takes_place = nearest if plains else one, one == counted
                found[one] = ToldOrder(credited, is_merged=False, is_void=False, takes_place=takes_place)
            merged = ToldOrder(nearest, is_merged=True, is_void=not living, takes_place=False)
            found |= dict.fromkeys(plains, merged)
        return found


NO_ORDERS: Final = Orders(MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))


def orders_of(
    workspace: str,
    observations: Iterable[Related],
    stand_ins: Iterable[StandIn],
    is_severed: Callable[[str], bool] = lambda _: False,
) -> Orders:
    """Returns the orders that first cycles tell.

    Args:
        workspace: Whose.
        observations: Of conversions.
        stand_ins: What is left of those that were erased.
        is_severed: Whether a conversion id, or the name of an order, is that of one which was severed.
    """
    cycles: dict[str, set[str]] = defaultdict(set)
    plains: dict[str, set[str]] = defaultdict(set)
    severed: set[str] = set()
    for one in observations:
        if one.kind == _FIRST and one.cycle and one.order_id not in ("", one.subscription_id):
            name = first_name(one.name, one.store, one.order_id)
            family = family_id(name)
            if is_severed(one.conversion_id) or is_severed(name):
                severed.add(one.conversion_id)
            cycles[family].add(one.conversion_id)
            plains[family].add(plain_id(workspace, one.name, one.store, one.order_id))
    left_by_role: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for left in stand_ins:
        if left.role == _CYCLE and not left.decides:
            continue
        left_by_role[left.role] += [(family, left.conversion_id) for family in left.families]
    for family, conversion_id in left_by_role[_PLAIN]:
        plains[family].add(conversion_id)
    for family, conversion_id in left_by_role[_CYCLE]:
        if family in plains:  # else it is that of a subscription
            cycles[family].add(conversion_id)
    return Orders(cycles, plains, {one: family for family, some in cycles.items() for one in some}, severed)


def ranked(observations: Iterable[Related]) -> list[Related]:
    """Returns those whose word counts, best first."""
    return sorted(
        (one for one in observations if not one.is_internal),
        key=lambda one: (-one.rank, one.time_micros, one.event_hash),
    )


def _ranks(
    conversion_id: str, observations: Mapping[str, Sequence[Related]], stand_ins: Mapping[str, Sequence[StandIn]]
) -> Iterator[int]:
    """Yields of who observed a conversion how much their word counts."""
    yield from (said.rank for said in ranked(observations.get(conversion_id, ())))
    yield from (left.rank for left in stand_ins.get(conversion_id, ()) if left.decides)


def _is_first(
    conversion_id: str,
    observations: Mapping[str, Sequence[Related]],
    stand_ins: Mapping[str, Sequence[StandIn]],
) -> bool:
    """Tells whether a conversion is a first cycle by the word that counts."""
    kinds = [one.kind for one in ranked(observations.get(conversion_id, ()))]
    kinds += [left.kind for left in stand_ins.get(conversion_id, ())]
    return next(filter(None, kinds), 0) == _FIRST


def _anchor(observations: Iterable[Related], stand_ins: Iterable[StandIn]) -> tuple[int, int]:
    """Returns where a conversion is in event order."""
    told = [(one.time_micros, one.event_hash) for one in observations if not one.is_internal]
    return min([*told, *((one.time_micros, one.event_hash) for one in stand_ins if one.decides)])
