"""What destinations have of an order that was sent plainly, and then counts as the first cycle of a subscription."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sized
from decimal import Decimal

import pytest

from tests.support.batches import a_batch_destination, a_purchase, deliver, match_keys, running_fake, seal
from tests.support.delivery import SHARDS, Rig, a_rig
from tests.support.delivery_funnel import funnel
from tests.support.eventually import eventually_async
from tests.support.revisions import Revision
from tests.support.same_orders import CYCLE, PLAIN, UNIT, AnOrder
from tributary.attribution.v1.conversion_pb2 import (
    REVISION_CAUSE_OBSERVATION_MERGED,
    REVISION_CAUSE_REFUND,
    REVISION_CAUSE_RETRACTION,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_NOT_MAPPED,
    OUTCOME_CLASS_UNKNOWN,
)
from tributary.event.v1.conversion_pb2 import RECURRENCE_KIND_FIRST
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.http import Cut
from tributary_cli.demo.fakes.server import LOST, FakeServer, Fault
from tributary_domain.consent import DENIED, UNSAID, Decision, packed
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.ties import person_key

LATER_MICROS = 2_000_000_000_000_000


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


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


@pytest.mark.parametrize("is_denied", [pytest.param(True, id="consent"), pytest.param(False, id="name")])
async def test_what_may_have_been_taken_of_an_order_is_not_sent_again_where_it_may_be_no_more(
    rig: Rig, workspace: str, *, is_denied: bool
) -> None:
    order = AnOrder(rig, workspace, "meta")
    with running_fake("meta") as server:
        server.faults.extend([LOST] * 100)
        await order.told(order.plain)
        async with rig.running_lane(order.lane, a_batch_destination("meta", server.url)):
            await eventually_async(lambda: done(server.asks))
        server.faults.clear()
        asked, order.is_denied = len(server.asks), is_denied
        await order.merge()
        await deliver(rig, order.lane, server, **({} if is_denied else {"conversions": {"lead": {"name": "Lead"}}}))
        assert len(server.asks) == asked
    [tried, newer], [line] = await order.lines(PLAIN), await order.lines(CYCLE)
    assert (tried.state, tried.outcome) == (DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN)
    assert (newer.HasField("residual"), newer.residual.amount_micros) == (True, 0), "it is the cycle's"
    reason = INELIGIBLE_REASON_NO_CONSENT if is_denied else INELIGIBLE_REASON_NOT_MAPPED
    assert (line.ineligible_reason, line.HasField("residual")) == (reason, False), "nobody knows what is there"


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


async def test_an_order_is_not_taken_back_while_nobody_knows_whether_its_cycle_is_taken(
    rig: Rig, workspace: str
) -> None:
    order, is_known = AnOrder(rig, workspace, "google_ads"), threading.Event()
    with running_fake("google_ads") as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        server.fake.poison.add("1001:1")
        server.faults.append(Fault(takes=True, until=is_known, reply=None))
        order.is_apart = True
        await order.told(order.cycle)
        async with asyncio.TaskGroup() as group:
            group.create_task(deliver(rig, order.lane, server))
            await eventually_async(lambda: done(server.asks[1:]))
            order.is_apart, order.cycle = False, order.cycle.then()
            await order.merge()
            is_known.set()
        await deliver(rig, order.lane, server)
        assert has(server) == [70]
    assert [line.operation for line in await order.lines(PLAIN)] == [DELIVERY_OPERATION_CREATE]


@pytest.mark.parametrize(
    "is_first", [pytest.param(True, id="the order first"), pytest.param(False, id="the cycle first")]
)
@pytest.mark.parametrize("kind", ["google_ads", "meta", "hubspot"])
async def test_an_order_whose_cycle_is_none_any_more_is_its_own_again_whichever_is_told_first(
    rig: Rig, workspace: str, kind: str, *, is_first: bool
) -> None:
    order = AnOrder(rig, workspace, kind)
    with running_fake(kind) as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server)
        await order.merge()
        await deliver(rig, order.lane, server)
        order.is_apart = True
        order.plain = order.plain.then(counted=True)
        order.cycle = order.cycle.then(counted=False, cause=REVISION_CAUSE_RETRACTION)
        for one in (order.plain, order.cycle) if is_first else (order.cycle, order.plain):
            await order.told(one)
            await deliver(rig, order.lane, server)
        assert has(server) == [90]
        order.is_apart = False
        order.cycle = order.cycle.then(counted=True)
        await order.merge()
        await deliver(rig, order.lane, server)
        assert has(server) == [90 if kind == "meta" else 70], "it is one again"
    assert not any(line.operation == DELIVERY_OPERATION_RETRACT and line.attempts for line in await order.lines(CYCLE))


@pytest.mark.parametrize("has_email", [True, False])
async def test_a_contact_that_keeps_what_an_order_was_worth_is_written_down_where_its_cycle_is_not_told(
    rig: Rig, workspace: str, *, has_email: bool
) -> None:
    class Told(AnOrder):
        def as_it_is(self, revision: Revision) -> Callable[[ConversionRevised], None]:
            inner = super().as_it_is(revision)

            def change(message: ConversionRevised) -> None:
                inner(message)
                if revision.conversion_id == CYCLE and not has_email:
                    del message.match.sealed_match_keys[:]

            return change

    order = Told(rig, workspace, "hubspot")
    own = {"object_type": "contacts", "id_property": "email", "properties": {"amount": "value"}, "retracted": {}}
    with running_fake("hubspot") as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server, **own)
        await order.merge()
        await deliver(rig, order.lane, server, **own)
        order.cycle = order.cycle.then(counted=False, cause=REVISION_CAUSE_RETRACTION)
        await order.told(order.cycle)
        await deliver(rig, order.lane, server, **own)
        [contact] = server.fake.events.values()
    told, taken_back = await order.lines(CYCLE)
    assert contact["amount"] == ("70.00" if has_email else "90.00")
    wrong = [(one.residual.amount_micros // UNIT, one.residual_conversions) for one in (told, taken_back)]
    assert wrong == ([(0, 0), (70, 1)] if has_email else [(20, 0), (90, 1)])


async def test_a_contact_that_keeps_what_an_order_was_worth_is_written_down_where_its_cycle_is_refused_for_good(
    rig: Rig, workspace: str
) -> None:
    order = AnOrder(rig, workspace, "hubspot")
    own = {"object_type": "contacts", "id_property": "email", "properties": {"amount": "value"}, "retracted": {}}
    with running_fake("hubspot") as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server, **own)
        await order.merge()
        server.faults.append(Fault(takes=False, reply=Reply(400, {"status": "error", "message": "no such property"})))
        await deliver(rig, order.lane, server, **own)
        [contact] = server.fake.events.values()
    assert contact["amount"] == "90.00"
    asked = "SELECT currency, conversions, residual_micros FROM bi_delivery_residuals WHERE workspace = %(w)s"
    assert await rig.clickhouse.execute(asked, {"w": workspace}) == [("EUR", 1, 20 * UNIT)]
    assert (await funnel(rig, order.lane))["not_correctable"] == 1


@pytest.mark.parametrize(
    "is_first", [pytest.param(True, id="the order first"), pytest.param(False, id="the cycle first")]
)
@pytest.mark.parametrize(
    "email", [pytest.param("Ann@example.com", id="one"), pytest.param("bob@example.com", id="two")]
)
async def test_a_contact_that_keeps_an_order_which_another_contact_has_as_a_cycle_is_written_down(
    rig: Rig, workspace: str, email: str, *, is_first: bool
) -> None:
    sealed = await seal(rig, workspace, match_keys(email))

    class OfContacts(AnOrder):
        def as_it_is(self, revision: Revision) -> Callable[[ConversionRevised], None]:
            inner = super().as_it_is(revision)

            def change(message: ConversionRevised) -> None:
                inner(message)
                if revision.conversion_id == CYCLE:
                    message.match.sealed_match_keys[:] = [sealed]

            return change

    order = OfContacts(rig, workspace, "hubspot")
    own = {"object_type": "contacts", "id_property": "email", "properties": {"amount": "value"}, "retracted": {}}
    with running_fake("hubspot") as server:
        await order.told(order.plain)
        await deliver(rig, order.lane, server, **own)
        order.plain = order.plain.then(counted=False, cause=REVISION_CAUSE_OBSERVATION_MERGED)
        for one in (order.plain, order.cycle) if is_first else (order.cycle, order.plain):
            await order.told(one)
        await deliver(rig, order.lane, server, **own)
        amounts = sorted(contact["amount"] for contact in server.fake.events.values())
    asked = "SELECT currency, conversions, residual_micros FROM bi_delivery_residuals WHERE workspace = %(w)s"
    wrong = await rig.clickhouse.execute(asked, {"w": workspace})
    assert (amounts, wrong) == (
        (["70.00"], []) if email.startswith("Ann") else (["70.00", "90.00"], [("EUR", 1, 90 * UNIT)])
    )
    assert "example.com" not in str(await order.lines(PLAIN) + await order.lines(CYCLE))


class OfTwo(AnOrder):
    """The same; one person told the plain order, by e-mail, and another one the cycle: nobody has linked them."""

    def as_it_is(self, revision: Revision) -> Callable[[ConversionRevised], None]:
        told, workspace, is_plain = super().as_it_is(revision), self.lane.workspace, revision.conversion_id == PLAIN

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
