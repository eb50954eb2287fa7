"""The funnel of orders that were told with and without their cycle: each is one, and what is wrong of it is seen."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from tests.support.batches import deliver, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.delivery_funnel import funnel
from tests.support.revisions import Revision
from tests.support.same_orders import UNIT, AnOrder
from tests.support.seeds import seeds
from tributary.attribution.v1.conversion_pb2 import (
    REVISION_CAUSE_OBSERVATION_MERGED,
    REVISION_CAUSE_REFUND,
    REVISION_CAUSE_RETRACTION,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import LOST, REFUSED, FakeServer, Fault
from tributary_storage.clickhouse.destination_spans import DestinationSpans, Span
from tributary_storage.redis.delivery_job import Lane

ORDERS, ROUNDS = 8, 3
THROTTLED = Fault(takes=False, reply=Reply(429, headers={"retry-after": "0"}))
IS_THERE = {"consented": 1, "eligible": 1, "sent": 1, "accepted": 1, "unreported": 1}


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def test_what_nobody_knows_of_an_order_is_said_once_when_its_cycle_counts(rig: Rig, workspace: str) -> None:
    order = AnOrder(rig, workspace, "linkedin")
    with running_fake("linkedin") as server:
        server.faults.append(LOST)
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        order.plain = order.plain.then(value_micros=80 * UNIT, cause=REVISION_CAUSE_REFUND)
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        await order.merge()
        await deliver(rig, order.lane, server)
    [row] = await rig.clickhouse.execute(
        "SELECT conversions, unknown FROM bi_delivery_residuals WHERE workspace = %(workspace)s",
        {"workspace": workspace},
    )
    assert row == (1, 1)


@pytest.mark.parametrize(
    ("kind", "is_sent_apart", "more"),
    [
        pytest.param("google_ads", False, {"adjusted": 1}, id="the change is taken"),
        pytest.param("google_ads", True, {"adjusted": 1}, id="one of two is taken back"),
        pytest.param("meta", False, {"not_correctable": 1}, id="nobody can tell of the change"),
        pytest.param("meta", True, {"not_correctable": 1}, id="nobody can take one of two back"),
    ],
)
async def test_an_order_that_counts_with_its_cycle_is_one_in_the_funnel(
    rig: Rig, workspace: str, kind: str, more: dict[str, int], *, is_sent_apart: bool
) -> None:
    order = AnOrder(rig, workspace, kind)
    await DestinationSpans(rig.clickhouse).write([Span(workspace, order.lane.destination, 0)])
    with running_fake(kind) as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        assert await funnel(rig, order.lane) == {"captured": 1, **IS_THERE}
        if is_sent_apart:
            order.is_apart = True
            await order.told(order.cycle)
            await deliver(rig, order.lane, server)
            assert await funnel(rig, order.lane) == {
                name: 2 * count for name, count in {"captured": 1, **IS_THERE}.items()
            }
            order.is_apart, order.cycle = False, order.cycle.then()
        await order.merge()
        assert (await funnel(rig, order.lane))["captured"] == 1, "before anybody looks at it as it is now"
        await deliver(rig, order.lane, server)
        assert await funnel(rig, order.lane) == {"captured": 1, **IS_THERE, **more}


@dataclass
class Life:
    """What becomes of one order."""

    order: AnOrder
    chance: random.Random
    is_plain_told: bool = False
    is_cycle_told: bool = False
    is_merged: bool = False
    said: list[Revision] = field(default_factory=list)
    """What is published next."""

    @property
    def captured(self) -> int:
        """How many orders it seems to be."""
        return 1 if self.is_merged else self.is_plain_told + self.is_cycle_told

    def live(self) -> None:
        """Does one thing of those that may happen now."""
        step = self.chance.choice([self._tell_plain, self._tell_cycle, self._refund, self._retract, self._deny])
        step()

    def merge(self) -> None:
        """Lets attribution know that both are one."""
        order = self.order
        order.is_apart, self.is_merged, self.is_plain_told = False, True, True
        if self.is_cycle_told:
            order.cycle = order.cycle.then()
        self.is_cycle_told = True
        order.plain = order.plain.then(counted=False, cause=REVISION_CAUSE_OBSERVATION_MERGED)
        self.said += [order.cycle, order.plain]

    @property
    def worth(self) -> Decimal:
        """What it is, to whoever knows all."""
        last = self.order.cycle if self.is_merged else self.order.plain
        return Decimal(last.value_micros or 0) / UNIT if last.counted else Decimal(0)

    def _tell_plain(self) -> None:
        if not self.is_plain_told:
            self.is_plain_told, self.order.is_apart = True, True
            self.said.append(self.order.plain)

    def _tell_cycle(self) -> None:
        if self.is_merged:
            return
        if self.chance.random() < 0.7:
            self.merge()
        elif not self.is_cycle_told:
            self.is_cycle_told, self.order.is_apart = True, True
            self.said.append(self.order.cycle)

    def _refund(self) -> None:
        value, order = self.chance.randrange(10, 60) * UNIT, self.order
        if self.is_cycle_told and order.cycle.counted:
            order.cycle = order.cycle.then(value_micros=value, cause=REVISION_CAUSE_REFUND)
            self.said.append(order.cycle)
        elif self.is_plain_told and not self.is_merged and order.plain.counted:
            order.plain = order.plain.then(value_micros=value, cause=REVISION_CAUSE_REFUND)
            self.said.append(order.plain)

    def _retract(self) -> None:
        if self.is_merged and self.order.cycle.counted and self.chance.random() < 0.5:
            self.order.cycle = self.order.cycle.then(counted=False, cause=REVISION_CAUSE_RETRACTION)
            self.said.append(self.order.cycle)

    def _deny(self) -> None:
        self.order.is_denied |= self.chance.random() < 0.5

    async def is_right(self, server: FakeServer) -> bool:
        """Tells whether a destination has it as it is, once; or nothing of it."""
        order = self.order
        lines = [*await order.lines(order.plain.conversion_id), *await order.lines(order.cycle.conversion_id)]
        names = {line.visible_id for line in lines if line.attempts}
        has = [server.fake.values[name] for name in names for _ in range(server.fake.counted[name])]
        if not has:
            return True
        return sum(has) == self.worth and (self.worth == 0 or len([value for value in has if value]) == 1)


async def tell(rig: Rig, lane: Lane, lives: Sequence[Life]) -> None:
    """Publishes what was said of all."""
    said = {one.conversion_id: (life.order, one) for life in lives for one in life.said}

    def as_it_is(message: ConversionRevised) -> None:
        order, revision = said[message.state.conversion_id]
        order.as_it_is(revision)(message)

    await publish(rig, lane, [one for _, one in said.values()], as_it_is)
    for life in lives:
        life.said.clear()


@pytest.mark.parametrize("kind", ["google_ads", "meta", "hubspot"])
async def test_the_funnel_of_random_orders_adds_up_and_shows_each_that_is_wrong(
    rig: Rig, workspace: str, kind: str
) -> None:
    chance = random.Random(f"{seeds().start} {kind}")
    lives = [Life(AnOrder(rig, workspace, kind, number=number), chance) for number in range(ORDERS)]
    lane = lives[0].order.lane
    await DestinationSpans(rig.clickhouse).write([Span(workspace, lane.destination, 0)])
    with running_fake(kind) as server:
        for at in range(ROUNDS):
            for life in lives:
                if at < ROUNDS - 1 or life.is_merged:
                    life.live()
                else:
                    life.merge()
            await tell(rig, lane, lives)
            assert (await funnel(rig, lane)).get("captured", 0) == sum(life.captured for life in lives)
            if at < ROUNDS - 1:
                server.faults.extend(chance.choices([LOST, REFUSED, THROTTLED], k=chance.randrange(3)))
            await deliver(rig, lane, server)
            found = await funnel(rig, lane)
            assert found["captured"] == sum(life.captured for life in lives)
            assert "waiting" not in found
        wrong = [life.order.number for life in lives if not await life.is_right(server)]
        assert found.get("not_correctable", 0) == len(wrong), wrong
