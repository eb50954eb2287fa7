"""Leads, subscriptions, orders told twice as reconciliation derives them: from what observations say, all at once.

The one rule: nothing of the streaming's way to them is used (names that lead on, who came first, who wrote what where):
conversions that share a lead, an order that a lead is named by, a subscription, or an order that was told with and
without its cycle (`reconciled_orders`) are one family. Those whose people were erased stand in it by its id, which is
all that is left of its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tributary_domain.families import first_name, order_name, subscription_name
from tributary_domain.ids import family_id
from tributary_domain.reconciled_orders import NO_ORDERS, Orders, ranked
from tributary_domain.reconciled_records import Heir, Related, Staged, StandIn

_PAID: Final = (4, 5)
_FIRST: Final = 2
_NO_RENEWAL: Final = (1, 2, 4, 5)
_LOST: Final = "lost"
_STAGE, _ROOT = 1, 2
_CYCLES: Final = (3, 4)


def families(
    observations: Iterable[Related],
    declared: Collection[str],
    stand_ins: Iterable[StandIn] = (),
    orders: Orders = NO_ORDERS,
) -> list[set[str]]:
    """Returns the families: ids of conversions, of which at least one names a family itself.

    Args:
        observations: Those that name a lead or a subscription, and of each order that a lead is named by.
        declared: Names of conversions that the workspace declares: a root is of one, or of its stage's name.
        stand_ins: What is left of those that were erased, and what leads may have begun with that these alone named.
        orders: Those that were told as first cycles.
    """
    theirs: dict[str, set[str]] = defaultdict(set)
    by_order: dict[tuple[str, str], list[Related]] = defaultdict(list)
    naming: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in observations:
        if one.lead_id:
            theirs[_lead(one.lead_id)].add(one.conversion_id)
        if one.root_order_id:
            theirs[_order(one.store, one.root_order_id)].add(one.conversion_id)
            naming[one.store, one.root_order_id].add(one.name)
        if one.subscription_id:
            theirs[family_id(subscription_name(one.store, one.subscription_id))].add(one.conversion_id)
        elif one.order_id:
            by_order[one.store, one.order_id].append(one)
    for order, names in naming.items():
        roots = [one.conversion_id for one in by_order[order] if one.name in {*names, *declared}]
        theirs[_order(*order)].update(roots)
    for family, members in orders.members():
        theirs[family].update(members)
    for left in stand_ins:
        for family in left.families:
            theirs[family].add(left.conversion_id)
    return _united(theirs)


def _united(theirs: Mapping[str, set[str]]) -> list[set[str]]:
    """Returns the sets that share nothing, of sets by name that may."""
    family_of: dict[str, set[str]] = {}
    for ids in theirs.values():
        whole = set(ids)
        for conversion_id in ids:
            whole |= family_of.get(conversion_id, set())
        for conversion_id in whole:
            family_of[conversion_id] = whole
    return list({id(family): family for family in family_of.values()}.values())


def are_all_named(
    observations: Iterable[Related], stand_ins: Iterable[StandIn], begin_micros: int, end_micros: int
) -> bool:
    """Tells whether observations are all there are of the families they name, and of those of some days.

    Conversions whose people were erased may relate others to each other, by ids that tell no name: what is named so
    alone is looked for among all leads.

    Args:
        observations: Of conversions, and of all that share a name with these, perhaps through others.
        stand_ins: What is left of those that were erased.
        begin_micros: The first moment of the days.
        end_micros: The first moment after them.
    """
    ids, named = set(), set()
    for one in observations:
        ids.add(one.conversion_id)
        if one.lead_id:
            named.add(_lead(one.lead_id))
        if one.subscription_id:
            named.add(family_id(subscription_name(one.store, one.subscription_id)))
        named.update(_order(one.store, order_id) for order_id in (one.root_order_id, one.order_id) if order_id)
        if one.order_id:
            named.add(family_id(first_name(one.name, one.store, one.order_id)))
    return all(
        named.issuperset(left.families)
        for left in stand_ins
        if begin_micros <= left.time_micros < end_micros
        or left.conversion_id in ids
        or not named.isdisjoint(left.families)
    )


def heirs(
    family: Collection[str],
    observations: Mapping[str, Sequence[Related]],
    staged: Mapping[str, Staged],
    inherits: Callable[[int], bool],
    stand_ins: Mapping[str, Sequence[StandIn]] = MappingProxyType({}),
    orders: Orders = NO_ORDERS,
    declared: Collection[str] = (),
) -> list[Heir]:
    """Says what a family is to its conversions.

    Args:
        family: Ids.
        observations: By conversion, all that say anything of their family.
        staged: By conversion; those that nobody observed are left out.
        inherits: Whether renewals of a time inherit.
        stand_ins: By conversion, what is left of those that were erased.
        orders: Those that were told as first cycles.
        declared: As of `families`.
    """
    known = [staged[conversion_id] for conversion_id in family if conversion_id in staged]
    good = sorted((one for one in known if one.counted), key=_place)
    said = {one.conversion_id: ranked(observations.get(one.conversion_id, ())) for one in good}
    newest = max((one.accept_time for one in known), default=0)
    stage_of = {key: next((one.stage for one in found if one.stage), "") for key, found in said.items()}
    kind_of = {key: next((one.kind for one in found if one.kind), 0) for key, found in said.items()}
    for key in said.keys() & stand_ins.keys():
        stage_of[key] = next((one.stage for one in stand_ins[key] if one.stage), stage_of[key])
        kind_of[key] = next((one.kind for one in stand_ins[key] if one.kind), kind_of[key])
    leads: dict[str, tuple[Staged, Staged]] = {}  # of a good one of a lead: what it began with, and its latest stage
    naming = _naming(family, observations, declared)
    for ids in _leads(family, observations, stand_ins, naming):
        own = [one for one in good if one.conversion_id in ids]
        if stages := [one for one in own if stage_of[one.conversion_id]]:
            lead = [*stages, *_roots(own, observations, stage_of, stand_ins, naming)]
            ends = min(lead, key=_place), max(stages, key=_place)
            leads |= {one.conversion_id: ends for one in lead}
    firsts: dict[str, Staged | None] = {}
    for ids in _subscriptions(family, observations, stand_ins, orders):
        first = _first_payment((one for one in good if one.conversion_id in ids), kind_of)
        firsts |= dict.fromkeys(ids, first)
    told = orders.told(family, observations, stand_ins, {one.conversion_id: one for one in known})
    found = []
    for one in known:
        key = one.conversion_id
        origin, superseded, lost = None, False, False
        first = firsts.get(key)
        if key in leads:
            root, latest = leads[key]
            origin = root if root.conversion_id != key else None
            lost = stage_of[latest.conversion_id] == _LOST
            superseded = not lost and key != latest.conversion_id
        elif key in told and told[key].credited != key:
            origin = staged[told[key].credited]
        elif kind_of.get(key, 0) and kind_of[key] not in _NO_RENEWAL and first is not None:
            origin = first if _place(first)[:2] < _place(one)[:2] and inherits(one.time_micros) else None
        if _is_frozen(key):
            origin = None
        superseded = superseded or (not lost and key in told and told[key].is_merged)
        frozen_at, void = key if _is_frozen(key) else "", key in told and told[key].is_void
        takes_place = (key in leads and key == leads[key][1].conversion_id) or (key in told and told[key].takes_place)
        kin = tuple(sorted(family))
        found.append(Heir(key, origin, superseded, lost, newest, kin, frozen_at, void, takes_place))
    return _through(found)


def _naming(
    family: Collection[str], observations: Mapping[str, Sequence[Related]], declared: Collection[str]
) -> dict[tuple[str, str], set[str]]:
    """Returns the names that the first conversion of a lead may have, by the shop and the number of its order."""
    naming: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in (one for key in family for one in observations.get(key, ())):
        if one.root_order_id:
            naming[one.store, one.root_order_id].update((one.name, *declared))
    return naming


def _leads(
    family: Collection[str],
    observations: Mapping[str, Sequence[Related]],
    stand_ins: Mapping[str, Sequence[StandIn]],
    naming: Mapping[tuple[str, str], Collection[str]],
) -> list[set[str]]:
    """Returns the conversions of each lead: a family may hold several, whose orders are cycles of one subscription."""
    theirs: dict[str, set[str]] = defaultdict(set)
    for one in (one for key in family for one in observations.get(key, ())):
        if one.lead_id:
            theirs[_lead(one.lead_id)].add(one.conversion_id)
        if one.root_order_id:
            theirs[_order(one.store, one.root_order_id)].add(one.conversion_id)
        if not one.cycle and one.name in naming.get((one.store, one.order_id), ()):
            theirs[_order(one.store, one.order_id)].add(one.conversion_id)
    for left in (left for key in family for left in stand_ins.get(key, ()) if left.role in (_STAGE, _ROOT)):
        for name in left.families:
            theirs[name].add(left.conversion_id)
    return _united(theirs)


def _subscriptions(
    family: Collection[str],
    observations: Mapping[str, Sequence[Related]],
    stand_ins: Mapping[str, Sequence[StandIn]],
    orders: Orders,
) -> list[set[str]]:
    """Returns the conversions of each subscription: one order may have begun several."""
    theirs: dict[str, set[str]] = defaultdict(set)
    for one in (one for key in family for one in observations.get(key, ()) if one.subscription_id):
        theirs[family_id(subscription_name(one.store, one.subscription_id))].add(one.conversion_id)
    for left in (left for key in family for left in stand_ins.get(key, ()) if left.role in _CYCLES):
        for name in left.families:
            if name not in orders.cycles:
                theirs[name].add(left.conversion_id)
    return _united(theirs)


def _through(found: Sequence[Heir]) -> list[Heir]:
    """Returns heirs with whose own path it is: a first payment may have its credit from the root of its lead."""
    by_id = {one.conversion_id: one for one in found}
    settled = []
    for one in found:
        origin = one.origin
        while origin is not None and (above := by_id[origin.conversion_id].origin) is not None:
            origin = above
        frozen = origin.conversion_id if origin is not None and _is_frozen(origin.conversion_id) else one.frozen_at
        settled.append(one._replace(origin=origin, frozen_at=frozen))
    return settled


def _roots(
    good: Iterable[Staged],
    observations: Mapping[str, Sequence[Related]],
    stage_of: Mapping[str, str],
    stand_ins: Mapping[str, Sequence[StandIn]],
    naming: Mapping[tuple[str, str], Collection[str]],
) -> list[Staged]:
    """Returns the first conversions of leads that are no stages: of each order number the earliest, and no cycle."""
    first: dict[str, Staged] = {}
    for one in good:
        key = one.conversion_id
        told = [said for said in observations.get(key, ()) if not said.cycle]
        orders = {
            _order(said.store, said.order_id)
            for said in told
            if said.name in naming.get((said.store, said.order_id), ())
        }
        for order in orders.union(*(left.families for left in stand_ins.get(key, ()) if left.role == _ROOT)):
            if not stage_of[key]:
                first.setdefault(order, one)
    return list(first.values())


def _is_frozen(conversion_id: str) -> bool:
    return conversion_id.startswith("s1:")


def _lead(lead_id: str) -> str:
    return family_id(f"lead:{lead_id}")


def _order(store: str, order_id: str) -> str:
    return family_id(order_name(store, order_id))


def _first_payment(good: Iterable[Staged], kind_of: Mapping[str, int]) -> Staged | None:
    ordered = list(good)
    marked = [one for one in ordered if kind_of[one.conversion_id] == _FIRST]
    paid = [one for one in ordered if kind_of[one.conversion_id] in _PAID and one.original_micros > 0]
    return next(iter([*marked, *paid]), None)


def _place(one: Staged) -> tuple[int, int, str]:
    return one.time_micros, one.event_hash, one.conversion_id
