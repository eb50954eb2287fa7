"""The further batch destinations, over HTTP: each conversion counts once there, and corrections arrive as theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.batches import a_batch_destination, a_purchase, clicked, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
)
from tributary.event.v1.event_pb2 import ORIGIN_STORE
from tributary_storage.redis.delivery_job import Lane

CORRECTED = ("google_ads", "hubspot", "microsoft", "salesforce")


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def idle(rig: Rig, lane: Lane) -> Callable[[], Awaitable[bool]]:
    async def is_idle() -> bool:
        return await rig.stores.jobs.waiting(lane) == 0

    return is_idle


async def test_a_contact_of_two_conversions_is_told_of_one_after_the_other_and_of_no_correction(
    rig: Rig, workspace: str
) -> None:
    lane = Lane(workspace, "hubspot")
    older, newer = a_purchase(lane), a_purchase(lane, 1, value_micros=50_000_000)
    own = {"object_type": "contacts", "id_property": "email", "properties": {"amount": "value"}, "retracted": {}}
    with running_fake("hubspot") as server:
        async with rig.running_lane(lane, a_batch_destination("hubspot", server.url, **own)) as runner:
            await publish(rig, lane, [older, newer])  # due together: one contact is not told of both at once
            await eventually_async(idle(rig, lane))
            assert (server.fake.values, server.fake.refused) == ({"ann@example.com": 50}, 0)
            await publish(rig, lane, [older.then(counted=False)])
            runner.wake()
            await eventually_async(idle(rig, lane))
        assert server.fake.values == {"ann@example.com": 50}
    states = [one.state for one in await rig.deliveries(lane, "c1:0000")]
    assert states == [DELIVERY_STATE_ACCEPTED, DELIVERY_STATE_UNDELIVERABLE_CORRECTION]


async def test_a_refund_of_a_sale_in_a_store_is_written_down_and_is_no_second_sale_at_google(
    rig: Rig, workspace: str
) -> None:
    def in_a_store(message: ConversionRevised) -> None:
        message.state.origin = ORIGIN_STORE

    lane = Lane(workspace, "google")
    sold = a_purchase(lane)
    with running_fake("google") as server:
        async with rig.running_lane(lane, a_batch_destination("google", server.url)) as runner:
            await publish(rig, lane, [sold], in_a_store)
            await eventually_async(idle(rig, lane))
            await publish(rig, lane, [sold.then(value_micros=70_000_000)], in_a_store)
            runner.wake()
            await eventually_async(idle(rig, lane))
        assert (server.fake.values, server.fake.counted) == ({"p-c1:0000": 90}, {"p-c1:0000": 1})
    line = (await rig.deliveries(lane, "c1:0000"))[-1]
    assert (line.state, line.residual.amount_micros) == (DELIVERY_STATE_UNDELIVERABLE_CORRECTION, 20_000_000)


@pytest.mark.parametrize("kind", CORRECTED)
async def test_a_refund_and_a_retraction_reach_what_was_sent(rig: Rig, workspace: str, kind: str) -> None:
    lane = Lane(workspace, kind.replace("_", "-"))
    first, other = a_purchase(lane), a_purchase(lane, 1)
    with running_fake(kind) as server:
        async with rig.running_lane(lane, a_batch_destination(kind, server.url)) as runner:
            await publish(rig, lane, [first], clicked)
            await eventually_async(idle(rig, lane))
            refunded = first.then(value_micros=70_000_000)
            # A correction and a conversion are due together, and for some belong into different requests.
            await publish(rig, lane, [refunded, other], clicked)
            runner.wake()
            await eventually_async(idle(rig, lane))
            assert server.fake.values == {"p-c1:0000": 70, "p-c1:0001": 90}
            await publish(rig, lane, [refunded.then(counted=False)], clicked)
            runner.wake()
            await eventually_async(idle(rig, lane))
        assert server.fake.values == {"p-c1:0000": 0, "p-c1:0001": 90}
        assert server.fake.counted == {"p-c1:0000": 1, "p-c1:0001": 1}
    assert [one.state for one in await rig.deliveries(lane, "c1:0000")] == [DELIVERY_STATE_ACCEPTED] * 3
