"""What may have been taken, and cannot be sent again, is in doubt: a dead letter that says why, not "never sent"."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from tests.support.batches import Ahead, a_batch_destination, a_purchase, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_TOO_OLD,
    OUTCOME_CLASS_UNKNOWN,
)
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import LOST, FakeServer, Fault
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.delivery_job import Lane


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@pytest.fixture
def lane(workspace: str) -> Lane:
    return Lane(workspace, "meta")


def idle(rig: Rig, lane: Lane) -> Callable[[], Awaitable[bool]]:
    async def is_idle() -> bool:
        return await rig.stores.jobs.waiting(lane) == 0

    return is_idle


async def leave_in_doubt(rig: Rig, lane: Lane, server: FakeServer) -> None:
    """Lets a conversion be taken, without an answer."""
    server.faults.extend([LOST] * 100)
    async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
        await eventually_async(lambda: server.fake.accepted)


def says_no(message: ConversionRevised) -> None:
    message.match.consent.ad_user_data = CONSENT_STATE_DENIED


async def test_what_is_too_old_by_now_is_in_doubt_and_what_is_newer_is_a_change_that_nobody_is_told(
    rig: Rig, lane: Lane
) -> None:
    purchase = a_purchase(lane, time=SystemClock().now() - timedelta(days=7) + timedelta(hours=1))
    await publish(rig, lane, [purchase])
    with running_fake("meta") as server:
        await leave_in_doubt(rig, lane, server)
        await publish(rig, lane, [purchase.then(value_micros=70_000_000)])
        later = {"clock": Ahead(hours=2), "horizon_seconds": 72 * 3600}
        async with rig.running_lane(lane, a_batch_destination("meta", server.url), **later):
            await eventually_async(idle(rig, lane))
    tried, newer = await rig.deliveries(lane, "c1:0000")
    assert (tried.state, tried.outcome) == (DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN)
    assert "TOO_OLD" in tried.message
    assert newer.state == DELIVERY_STATE_UNDELIVERABLE_CORRECTION
    assert newer.ineligible_reason == INELIGIBLE_REASON_TOO_OLD


async def test_who_says_no_with_a_later_observation_leaves_what_may_have_been_taken_in_doubt(
    rig: Rig, lane: Lane
) -> None:
    purchase = a_purchase(lane)
    changed = purchase.then(value_micros=70_000_000)
    await publish(rig, lane, [purchase])
    with running_fake("meta") as server:
        await leave_in_doubt(rig, lane, server)
        for revision in (changed, changed.then(value_micros=60_000_000)):
            await publish(rig, lane, [revision], says_no)
            async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
                await eventually_async(idle(rig, lane))
    tried, *newer = await rig.deliveries(lane, "c1:0000")
    assert (tried.state, tried.outcome) == (DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN)
    assert "NO_CONSENT" in tried.message
    assert [one.state for one in newer] == [DELIVERY_STATE_UNDELIVERABLE_CORRECTION] * 2
    assert {one.ineligible_reason for one in newer} == {INELIGIBLE_REASON_NO_CONSENT}
    assert await rig.stores.jobs.dead(lane, 0) == 1, "one dead letter, however often it changes after that"


async def test_a_name_that_is_taken_out_of_the_file_leaves_what_may_have_been_taken_in_doubt(
    rig: Rig, lane: Lane
) -> None:
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake("meta") as server:
        await leave_in_doubt(rig, lane, server)
        settings = a_batch_destination("meta", server.url, conversions={"lead": {"name": "Lead"}})
        async with rig.running_lane(lane, settings):
            await eventually_async(idle(rig, lane))
    [line] = await rig.deliveries(lane, "c1:0000")
    assert (line.state, line.outcome) == (DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN)
    assert "NOT_MAPPED" in line.message


@pytest.mark.parametrize("kind", ["meta", "hubspot", "reddit"])
async def test_what_is_refused_for_good_when_it_is_sent_once_more_is_given_up_with_what_is_newer(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane = Lane(workspace, kind)
    purchase = a_purchase(lane)
    await publish(rig, lane, [purchase])
    with running_fake(kind) as server:
        server.fake.poison.add("p-c1:0000")
        server.faults.extend([Fault(takes=False, reply=Reply(502))] * 100)
        async with rig.running_lane(lane, a_batch_destination(kind, server.url)):
            await eventually_async(lambda: server.asks)
        await publish(rig, lane, [purchase.then(value_micros=70_000_000)])
        server.faults.clear()
        asked = len(server.asks)
        async with rig.running_lane(lane, a_batch_destination(kind, server.url)):
            await eventually_async(idle(rig, lane))
        assert len(server.asks) - asked <= 2
    tried, newer = await rig.deliveries(lane, "c1:0000")
    assert (tried.state, tried.outcome) == (DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN)
    assert newer.state == DELIVERY_STATE_UNDELIVERABLE_CORRECTION
    assert newer.value.amount_micros == 70_000_000
