"""What destinations have of an order that was sent plainly, and then counts as the first cycle of a subscription."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sized
from decimal import Decimal

import pytest

from tests.support.batches import a_purchase, deliver, publish, running_fake
from tests.support.delivery import SHARDS, Rig, a_rig
from tests.support.eventually import eventually_async
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_pb2 import (
    NOT_COUNTED_REASON_MERGED_ORDER,
    NOT_COUNTED_REASON_RETRACTED,
    REVISION_CAUSE_OBSERVATION_MERGED,
    REVISION_CAUSE_REFUND,
    REVISION_CAUSE_RETRACTION,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    INELIGIBLE_REASON_NO_CONSENT,
    Delivery,
)
from tributary.event.v1.conversion_pb2 import RECURRENCE_KIND_FIRST
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.http import Cut
from tributary_cli.demo.fakes.server import LOST, FakeServer, Fault
from tributary_domain.consent import DENIED, UNSAID, Decision, packed
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.ties import person_key

PLAIN, CYCLE = "c1:0000", "c1:0001"
UNIT = 1_000_000
LATER_MICROS = 2_000_000_000_000_000


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


class AnOrder:
    """An order of 90 that turns out to be a first cycle of 70, at one destination.

    Args:
        rig: Stores.
        workspace: Whose.
        kind: Of the destination.
        pixels: By what browser tags told both; "": by nothing.
    """

    def __init__(self, rig: Rig, workspace: str, kind: str, pixels: tuple[str, str] = ("", "")) -> None:
        self.is_apart = False
        """Whether nobody knows yet that they are one."""
        self.rig, self.lane, self.pixels = rig, Lane(workspace, kind.replace("_", "-")), pixels
        self.plain = a_purchase(self.lane, value_micros=90 * UNIT)
        self.cycle = a_purchase(self.lane, 1, value_micros=70 * UNIT, kind=RECURRENCE_KIND_FIRST)

    async def told(self, revision: Revision, *, is_planned: bool = True) -> list[ConversionRevised]:
        """Publishes a revision of either."""
        return await publish(self.rig, self.lane, [revision], self._as_it_is(revision), is_planned=is_planned)

    async def merge(self) -> None:
        """Publishes both as they are once it is known that they are one."""
        self.plain = self.plain.then(counted=False, cause=REVISION_CAUSE_OBSERVATION_MERGED)
        await self.told(self.cycle)
        await self.told(self.plain)

    async def lines(self, conversion_id: str) -> list[Delivery]:
        return await self.rig.deliveries(self.lane, conversion_id)

    def _as_it_is(self, revision: Revision) -> Callable[[ConversionRevised], None]:
        is_plain = revision.conversion_id == PLAIN

        def change(message: ConversionRevised) -> None:
            state, match = message.state, message.match
            state.order_key.order_id, match.pixel_event_id = "1001", self.pixels[0 if is_plain else 1]
            state.observation_event_ids.append(f"event of {revision.conversion_id}")
            click = match.click_ids.add(family="msclkid", value="a-click")
            click.click_time.FromMicroseconds(state.conversion_time.ToMicroseconds() - UNIT)
            if not is_plain:
                state.order_key.cycle = "1"
                if not self.is_apart:
                    state.merged_from.conversion_id, state.merged_from.pixel_event_id = PLAIN, self.pixels[0]
            elif not revision.counted:
                state.merged_into.conversion_id, state.merged_into.pixel_event_id = CYCLE, self.pixels[1]
                is_taken_back = revision.cause == REVISION_CAUSE_RETRACTION
                reasons = (NOT_COUNTED_REASON_MERGED_ORDER, NOT_COUNTED_REASON_RETRACTED)
                state.not_counted_reason = reasons[is_taken_back]

        return change


def has(server: FakeServer) -> list[Decimal]:
    """Returns what every conversion is worth that a destination counts."""
    return [server.fake.values[name] for name, times in server.fake.counted.items() for _ in range(times)]


@pytest.mark.parametrize("pixel", ["", "p-1"])
@pytest.mark.parametrize("kind", ["google_ads", "microsoft", "google", "hubspot", "salesforce"])
async def test_who_can_be_told_of_changes_has_the_order_once_and_as_it_counts(
    rig: Rig, workspace: str, kind: str, pixel: str
) -> None:
    order = AnOrder(rig, workspace, kind, (pixel, pixel))
    with running_fake(kind) as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        assert has(server) == [90]
        await order.merge()
        await deliver(rig, order.lane, server)
        assert has(server) == [70], "the same one, worth what the cycle is"
        order.cycle = order.cycle.then(value_micros=50 * UNIT, cause=REVISION_CAUSE_REFUND)
        await order.told(order.cycle)
        await deliver(rig, order.lane, server)
        assert has(server) == [50]
        await order.told(order.plain.then(cause=REVISION_CAUSE_RETRACTION))  # as whoever cancels it names it
        await order.told(order.cycle.then(counted=False, cause=REVISION_CAUSE_RETRACTION))
        await deliver(rig, order.lane, server)
        assert sum(has(server)) == 0
    assert len({line.visible_id for one in (PLAIN, CYCLE) for line in await order.lines(one)}) == 1
    assert [line.operation for line in await order.lines(PLAIN)] == [DELIVERY_OPERATION_CREATE]
    operations = [line.operation for line in await order.lines(CYCLE)]
    assert operations == [DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RETRACT]


@pytest.mark.parametrize("kind", ["google_ads", "google"])
@pytest.mark.parametrize("is_merged", [True, False], ids=["after it became one", "before it was known to be one"])
async def test_an_order_that_is_cancelled_without_its_cycle_is_taken_back_where_it_was_sent(
    rig: Rig, workspace: str, kind: str, *, is_merged: bool
) -> None:
    order = AnOrder(rig, workspace, kind)
    with running_fake(kind) as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        assert has(server) == [90]
        if is_merged:
            await order.merge()
        order.plain = order.plain.then(counted=False, cause=REVISION_CAUSE_RETRACTION)
        order.cycle = order.cycle.then(counted=False, cause=REVISION_CAUSE_RETRACTION)
        await order.told(order.plain)
        await order.told(order.cycle)
        await deliver(rig, order.lane, server)
        assert sum(has(server)) == 0


@pytest.mark.parametrize("pixel", ["", "p-1"])
@pytest.mark.parametrize("kind", ["meta", "tiktok"])
async def test_who_can_be_told_of_no_change_has_the_order_once_and_what_is_wrong_of_it_is_written_down(
    rig: Rig, workspace: str, kind: str, pixel: str
) -> None:
    order = AnOrder(rig, workspace, kind, (pixel, pixel))
    with running_fake(kind) as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        order.plain = order.plain.then(value_micros=80 * UNIT, cause=REVISION_CAUSE_REFUND)
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        assert [one.residual.amount_micros // UNIT for one in await order.lines(PLAIN)] == [0, 10]
        await order.merge()
        await deliver(rig, order.lane, server)
        await order.told(order.cycle.then(value_micros=60 * UNIT, cause=REVISION_CAUSE_REFUND))
        await deliver(rig, order.lane, server)
        assert has(server) == [90]
    wrong = {name: await order.lines(name) for name in (PLAIN, CYCLE)}
    assert [one.residual.amount_micros // UNIT for one in wrong[PLAIN]] == [0, 10, 0], "it is the other one's"
    assert [one.residual.amount_micros // UNIT for one in wrong[CYCLE]] == [20, 30]
    assert {one.residual_conversions for lines in wrong.values() for one in lines} == {0}
    assert {one.state for one in wrong[CYCLE]} == {DELIVERY_STATE_UNDELIVERABLE_CORRECTION}


async def test_where_nothing_is_wrong_the_ledger_says_what_became_of_the_cycle(rig: Rig, workspace: str) -> None:
    order = AnOrder(rig, workspace, "meta")
    order.cycle = a_purchase(order.lane, 1, value_micros=90 * UNIT, kind=RECURRENCE_KIND_FIRST)
    with running_fake("meta") as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        await order.merge()
        await deliver(rig, order.lane, server)
        assert has(server) == [90]
    [line] = await order.lines(CYCLE)
    assert (line.HasField("residual"), line.residual.amount_micros, line.residual_conversions) == (True, 0, 0)


@pytest.mark.parametrize(
    ("pixels", "is_cycle_sent", "left"),
    [
        pytest.param(("", "p-2"), False, "p-2", id="its tag told the cycle by another id"),
        pytest.param(("", ""), True, "1001:1", id="both were sent before it was known"),
        pytest.param(("", ""), None, "1001:1", id="the plain order was never sent"),
    ],
)
async def test_an_order_is_taken_back_where_its_cycle_is_there_by_itself(
    rig: Rig, workspace: str, pixels: tuple[str, str], left: str, *, is_cycle_sent: bool | None
) -> None:
    order = AnOrder(rig, workspace, "google_ads", pixels)
    with running_fake("google_ads") as server:
        if is_cycle_sent is not None:
            await order.told(order.plain)
        if is_cycle_sent:
            await order.told(order.cycle)  # at once: what was taken of neither is known to the other
            order.cycle = order.cycle.then()
        await deliver(rig, order.lane, server)
        await order.merge()
        await deliver(rig, order.lane, server)
        assert {name: value for name, value in server.fake.values.items() if value} == {left: 70}


@pytest.mark.parametrize("reply", [pytest.param(None, id="it answers"), pytest.param(Cut.SILENT, id="nobody knows")])
async def test_a_cycle_waits_for_what_is_on_its_way_of_the_order(rig: Rig, workspace: str, reply: Cut | None) -> None:
    order, is_known = AnOrder(rig, workspace, "google_ads"), threading.Event()
    with running_fake("google_ads") as server:
        server.faults.append(Fault(takes=True, until=is_known, reply=reply))
        await order.told(order.plain)
        async with asyncio.TaskGroup() as group:
            group.create_task(deliver(rig, order.lane, server))
            await eventually_async(lambda: done(server.asks))
            await order.merge()
            is_known.set()
        await deliver(rig, order.lane, server)
        assert has(server) == [70]
    operations = [line.operation for line in await order.lines(CYCLE)]
    assert operations == [DELIVERY_OPERATION_RESTATE]


@pytest.mark.parametrize("kind", ["linkedin", "microsoft"])
async def test_where_nobody_knows_whether_the_order_was_taken_the_cycle_is_no_second_one(
    rig: Rig, workspace: str, kind: str
) -> None:
    order = AnOrder(rig, workspace, kind)
    with running_fake(kind) as server:
        server.faults.append(LOST)
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        await order.merge()
        await deliver(rig, order.lane, server)
        assert has(server) == [90 if kind == "linkedin" else 70]
    assert {line.operation for line in await order.lines(CYCLE)} == {DELIVERY_OPERATION_RESTATE}


@pytest.mark.parametrize("kind", ["linkedin", "google_ads"])
async def test_a_cycle_that_was_certainly_refused_is_sent_again(rig: Rig, workspace: str, kind: str) -> None:
    order = AnOrder(rig, workspace, kind)
    with running_fake(kind) as server:
        server.faults.append(Fault(takes=False, reply=Reply(429, headers={"retry-after": "0"})))
        await order.merge()
        await deliver(rig, order.lane, server)
        assert has(server) == [70]


@pytest.mark.parametrize("kind", ["linkedin", "google_ads"])
async def test_a_cycle_is_sent_where_the_order_was_certainly_refused(rig: Rig, workspace: str, kind: str) -> None:
    order, is_known = AnOrder(rig, workspace, kind), threading.Event()
    refused = Fault(takes=False, until=is_known, reply=Reply(429, headers={"retry-after": "0"}))
    with running_fake(kind) as server:
        server.faults.append(refused)
        await order.told(order.plain)
        async with asyncio.TaskGroup() as group:
            group.create_task(deliver(rig, order.lane, server))
            await eventually_async(lambda: done(server.asks))
            await order.merge()
            is_known.set()
        await deliver(rig, order.lane, server)
        assert has(server) == [70]
    assert [line.operation for line in await order.lines(CYCLE)] == [DELIVERY_OPERATION_CREATE]


@pytest.mark.parametrize("kind", ["meta", "google_ads"])
async def test_a_cycle_that_was_refused_before_anybody_knew_is_not_there_by_itself(
    rig: Rig, workspace: str, kind: str
) -> None:
    order = AnOrder(rig, workspace, kind)
    refused = Fault(takes=False, reply=Reply(400, {"error": {"code": 100, "status": "INVALID_ARGUMENT"}}))
    with running_fake(kind) as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        order.is_apart = True
        await order.told(order.cycle)
        server.faults.append(refused)
        await deliver(rig, order.lane, server)
        order.is_apart, order.cycle = False, order.cycle.then()
        await order.merge()
        await deliver(rig, order.lane, server)
        assert has(server) == [90 if kind == "meta" else 70]
    assert [line.operation for line in await order.lines(PLAIN)] == [DELIVERY_OPERATION_CREATE]


class OfTwo(AnOrder):
    """The same; one person told the plain order, by e-mail, and another one the cycle: nobody has linked them."""

    def _as_it_is(self, revision: Revision) -> Callable[[ConversionRevised], None]:
        told, workspace, is_plain = super()._as_it_is(revision), self.lane.workspace, revision.conversion_id == PLAIN

        def change(message: ConversionRevised) -> None:
            told(message)
            message.state.person_id = person_key(workspace, "email:A" if is_plain else "customer:B")

        return change


@pytest.mark.parametrize("is_sent", [pytest.param(True, id="sent before"), pytest.param(False, id="sent first")])
@pytest.mark.parametrize("kind", ["google", "microsoft"])
async def test_who_told_the_order_without_the_cycle_may_withdraw_what_is_known_of_them(
    rig: Rig, workspace: str, kind: str, *, is_sent: bool
) -> None:
    order = OfTwo(rig, workspace, kind)
    denied = Decision(LATER_MICROS, packed([UNSAID, UNSAID, DENIED, UNSAID, UNSAID]))
    with running_fake(kind) as server:
        await order.told(order.plain, is_planned=is_sent)
        await deliver(rig, order.lane, server)
        asked = len(server.asks)
        await Consents(rig.redis, SHARDS).record({(workspace, "email:A"): [denied]})
        await order.merge()
        await deliver(rig, order.lane, server)
        assert len(server.asks) == asked, "nothing of theirs leaves"
        assert has(server) == [90] * is_sent
    [line] = await order.lines(CYCLE)
    assert (line.ineligible_reason, line.residual_conversions) == (INELIGIBLE_REASON_NO_CONSENT, 0)
    assert line.residual.amount_micros == 20 * UNIT * is_sent, "and what is wrong by that is written down"


async def done(what: Sized) -> bool:
    return len(what) > 0
