"""What leads and subscriptions make of conversions, written from the words of the rules.

Stages share the journey of the lead's first conversion; only the latest stage counts; lost is taken back. A renewal has
the credit of the first paid conversion of its subscription. An order that is told with and without its cycle counts
once, with it, and has the credit of the one that the observer nearest to the buyer told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.support.life_facts import Fact, Place

Name = tuple[str, str]
"""What a lead is called: by its own id, or by the order that it began with."""


@dataclass(frozen=True)
class Own:
    """What a conversion is by itself."""

    observed: Sequence[Fact]
    """In event order."""
    value: int
    is_retracted: bool

    @property
    def key(self) -> tuple[int, int]:
        """Its place in event order."""
        return self.observed[0].key

    @property
    def first(self) -> Fact:
        return self.observed[0]

    @property
    def nearest(self) -> int:
        """Of whoever told it, the rank of the nearest to the buyer."""
        return min(fact.rank for fact in self.observed)

    @property
    def stated(self) -> int:
        """What it was worth before anything was paid back."""
        return max(self.observed, key=lambda fact: fact.rank).value


@dataclass(frozen=True)
class Standing:
    """What its family makes of a conversion."""

    origin: Place
    """Whose credit it has; itself perhaps."""
    is_counted: bool = True
    is_lost: bool = False


def standings(owns: Mapping[Place, Own]) -> dict[Place, Standing]:
    """Returns what becomes of the good conversions that are of a lead or a subscription."""
    good = {place: own for place, own in owns.items() if not own.is_retracted}
    leads, orders = _in_leads(owns, good), _in_orders(owns)
    found = _in_subscriptions(good) | orders | leads
    for place in orders.keys() & leads.keys():
        found[place] = replace(leads[place], is_counted=leads[place].is_counted and orders[place].is_counted)
    return {place: replace(one, origin=_own_path(place, found)) for place, one in found.items()}


def _own_path(place: Place, found: Mapping[Place, Standing]) -> Place:
    """Returns whose path it is in the end: who gives credit may have it from another family."""
    while place in found and found[place].origin != place:
        place = found[place].origin
    return place


def _in_orders(owns: Mapping[Place, Own]) -> dict[Place, Standing]:
    orders: dict[Place, list[Place]] = {}
    for cycle, own in owns.items():
        if (plain := own.first.told_without) is not None and plain in owns:
            orders.setdefault(plain, []).append(cycle)
    found: dict[Place, Standing] = {}
    for plain, cycles in orders.items():
        nearest = min((*cycles, plain), key=lambda place: (owns[place].nearest, owns[place].key))
        found |= dict.fromkeys(cycles, Standing(nearest)) | {plain: Standing(nearest, is_counted=False)}
    return found


def _in_leads(owns: Mapping[Place, Own], good: Mapping[Place, Own]) -> dict[Place, Standing]:
    leads: list[tuple[set[Name], set[Place]]] = []
    for place, own in owns.items():
        names = {("lead", own.first.lead_id), ("order", own.first.root_order_id)} - {("lead", ""), ("order", "")}
        if names:
            mine = [lead for lead in leads if lead[0] & names]
            for lead in mine:
                leads.remove(lead)
            leads.append((names.union(*(lead[0] for lead in mine)), {place}.union(*(lead[1] for lead in mine))))
    found = {}
    for names, places in leads:
        stages = sorted(places & good.keys(), key=lambda place: good[place].key)
        begun = [(name, "") for kind, name in names if kind == "order" and (name, "") in good]
        if not stages:
            continue
        origin = min([*stages, *begun], key=lambda place: good[place].key)
        is_lost = good[stages[-1]].first.stage == "lost"
        for place in (*stages, *begun):
            found[place] = Standing(origin, place == stages[-1] and not is_lost, is_lost)
    return found


def _in_subscriptions(good: Mapping[Place, Own]) -> dict[Place, Standing]:
    cycles: dict[str, list[Place]] = {}
    for place in sorted(good, key=lambda place: good[place].key):
        if good[place].first.recurrence:
            cycles.setdefault(good[place].first.subscription, []).append(place)
    found = {}
    for own in cycles.values():
        marked = [place for place in own if good[place].first.recurrence == "FIRST"]
        bought = [place for place in own if good[place].first.recurrence in ("UPGRADE", "REACTIVATION")]
        paid = marked or [place for place in bought if good[place].stated > 0]
        for at, place in enumerate(own):
            if good[place].first.recurrence == "RENEWAL" and paid and paid[0] in own[:at]:
                found[place] = Standing(paid[0])
    return found
