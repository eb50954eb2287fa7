"""An order that is told plainly and as first cycles, by whom ever, is worth the same before and after each erasure."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import pytest

from tests.integration.test_erased_families import ANN, BOB, CAROL, erase, happen, totals
from tests.integration.test_families import UNIT, Names, assert_batch_agrees
from tests.integration.test_rebuild import bring_back, lose_all
from tests.support.attribution import NOON, Admitted, Attribution, Events, running_attribution
from tests.support.families import Families
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tests.support.seeds import seeds
from tests.support.stores import Stores

PLAIN = "plain"
WORTH = {PLAIN: 100, "a": 60, "b": 40, "c": 30}
"""What each way to tell an order says: the plain one what it is worth as a whole, others what they are."""
LATER = {1: "visitor:later-1", 2: "visitor:later-2"}
"""Who tells orders again, after which erasure."""


@dataclass
class Order:
    """What totals have of an order, thought through in the plainest words.

    Each way to tell it counts for itself, but for the plain one where it is told as a first cycle, too: that has its
    value, if it is the only one. What somebody had who is erased stays as it is, and is not counted again. Nor is what
    is told as a first cycle for the first time, where what stays is worth the whole order.
    """

    number: int
    tellers: dict[str, str]
    again: dict[int, str]
    """After which erasure it is told in which way by somebody else."""
    living: dict[str, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    said_plainly: bool = False
    is_whole: bool = False

    def tell(self, way: str, who: str) -> None:
        self.said_plainly = self.said_plainly or way == PLAIN
        self.living.setdefault(way, who)

    def counted(self) -> dict[str, int]:
        """Returns by way what counts and lives."""
        if self.is_whole:
            return {}
        cycles = [way for way in self.living if way != PLAIN and way not in self.left]
        if not cycles:
            return {PLAIN: WORTH[PLAIN]} if PLAIN in self.living and not self.left else {}
        if len(cycles) == 1 and not self.left and self.said_plainly:
            return {cycles[0]: WORTH[PLAIN]}
        return {way: WORTH[way] for way in cycles}

    def erase(self, who: str) -> None:
        for way, micros in self.counted().items():
            if self.living[way] == who:
                self.left[way] = micros
                self.is_whole = micros == WORTH[PLAIN]
        self.living = {way: other for way, other in self.living.items() if other != who}

    def totals(self) -> tuple[int, int]:
        """Returns what it is worth, and as how many conversions."""
        worth = [*self.left.values(), *self.counted().values()]
        return sum(worth) * UNIT, len(worth)

    def event(self, workspace: str, way: str, who: str) -> Admitted:
        events = Events(workspace)
        families, name = Families(events), f"order {self.number}"
        letter = "A" if way not in self.tellers and who not in LATER.values() else "M"
        told = {"order_id": "o", "name": name, "event_id": f"{name} {way} {who}", "letter": letter}
        told |= {"at": NOON + list(WORTH).index(way) * UNIT, "micros": WORTH[way] * UNIT}
        if way == PLAIN:
            return families.root(who, rank=2, **told)
        return families.cycle(who, kind="FIRST", cycle=way, subscription=f"{name} {way}", rank=1, **told)


_ALWAYS = [(ANN, ANN, BOB), (ANN, ANN, CAROL), (CAROL, ANN, BOB), (BOB, ANN, ""), (BOB, ANN, CAROL), (ANN, "", "")]
"""Who told orders plainly, as "a" and as "b"."""
_OTHERS = 18


def told_in_every_way(rng: random.Random) -> list[Order]:
    """Returns orders, each as two who are erased, and one who stays, may have told it."""
    every = [tellers for tellers in product((ANN, BOB, CAROL, ""), repeat=3) if {ANN, BOB} & {*tellers}]
    found = []
    for tellers in [*_ALWAYS, *rng.sample(sorted(set(every) - set(_ALWAYS)), _OTHERS)]:
        told = {way: who for way, who in zip(WORTH, tellers, strict=False) if who}
        again = {after: way for after in LATER if (way := rng.choice(("", *WORTH)))}
        found.append(Order(len(found), told, again))
    return found


@pytest.fixture
async def attribution(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    about = (stores.empty_redis_url(), clickhouse_url, workspace)
    async with running_attribution(*about, delivery_seconds=PATIENCE_SECONDS) as running, forgetting(running):
        yield running


async def assert_as_expected(attribution: Attribution, orders: Sequence[Order], when: str) -> None:
    added = (await totals(attribution))[1]
    found = {one.number: added.get(f"order {one.number}", (0, 0)) for one in orders}
    wrong = [(one, found[one.number]) for one in orders if found[one.number] != one.totals()]
    assert wrong == [], when


async def test_an_order_is_worth_the_same_whoever_told_it_and_is_erased_and_however_it_is_told_again(
    attribution: Attribution, workspace: str
) -> None:
    orders = told_in_every_way(random.Random(seeds().start))
    events = Events(workspace)
    named: Names = {"touch": events.touch(ANN, channel="Email", event_id="touch")}
    for one in orders:
        for way, who in one.tellers.items():
            one.tell(way, who)
            named[f"{one.number} {way}"] = one.event(workspace, way, who)
    await happen(attribution, named)
    await assert_as_expected(attribution, orders, "told")
    for after, who in enumerate((ANN, BOB), 1):
        await erase(attribution, who)
        for one in orders:
            one.erase(who)
        await assert_as_expected(attribution, orders, f"{who} is erased")
        again: Names = {}
        for one in orders:
            if (way := one.again.get(after)) and way not in one.living:  # who tell one conversion are one person
                one.tell(way, LATER[after])
                again[f"{one.number}"] = one.event(workspace, way, LATER[after])
        await happen(attribution, again)
        await assert_as_expected(attribution, orders, f"told again after {who}")
    await assert_batch_agrees(attribution)
    await lose_all(attribution)
    await bring_back(attribution)
    living = (CAROL, *LATER.values())
    await happen(attribution, {who: events.touch(who, channel="Display", event_id=who) for who in living})
    await assert_as_expected(attribution, orders, "lost, and credited anew")
    await assert_batch_agrees(attribution)
