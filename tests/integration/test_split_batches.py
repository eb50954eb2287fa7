"""Requests that a destination refuses as a whole are taken apart: what was not taken stays known as not taken."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.batches import a_batch_destination, a_purchase, publish, running_fake
from tests.support.delivery import SHARDS, Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_PENDING,
    INELIGIBLE_REASON_NO_CONSENT,
    Delivery,
)
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import Fault
from tributary_domain.consent import DENIED, Decision, packed
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import job_keys
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.ties import person_key


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def lane_of(workspace: str, kind: str) -> Lane:
    return Lane(workspace, kind)


def idle(rig: Rig, lane: Lane) -> Callable[[], Awaitable[bool]]:
    async def is_idle() -> bool:
        return await rig.stores.jobs.waiting(lane) == 0

    return is_idle


async def only(rig: Rig, lane: Lane, conversion_id: str = "c1:0000") -> Delivery:
    [delivery] = await rig.deliveries(lane, conversion_id)
    return delivery


async def test_what_was_refused_with_a_bad_one_and_then_throttled_is_in_no_doubt(rig: Rig, workspace: str) -> None:
    """LinkedIn knows no conversion again: what may have been taken is given up, and this certainly was not."""
    lane = lane_of(workspace, "linkedin")
    await publish(rig, lane, [a_purchase(lane, number) for number in range(8)])
    with running_fake("linkedin") as server:
        server.fake.poison.add("p-c1:0003")
        server.faults.extend([Fault(takes=True, reply=None), Fault(takes=False, reply=Reply(429))])
        async with rig.running_lane(lane, a_batch_destination("linkedin", server.url)):
            await eventually_async(idle(rig, lane))
        assert server.fake.counted == {f"p-c1:{number:04}": 1 for number in range(8) if number != 3}
    states = [(await only(rig, lane, f"c1:{number:04}")).state for number in range(8)]
    assert states == [DELIVERY_STATE_DEAD if number == 3 else DELIVERY_STATE_ACCEPTED for number in range(8)]


async def test_a_slow_down_in_the_middle_of_a_split_ends_it_for_now(rig: Rig, workspace: str) -> None:
    lane = lane_of(workspace, "meta")
    await publish(rig, lane, [a_purchase(lane, number) for number in range(8)])
    with running_fake("meta") as server:
        server.faults.extend([Fault(takes=False, reply=Reply(400)), Fault(takes=False, reply=Reply(429))])
        async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
            await eventually_async(idle(rig, lane))
        assert server.fake.counted == {f"p-c1:{number:04}": 1 for number in range(8)}
    numbers = [(await only(rig, lane, f"c1:{number:04}")).attempts for number in (0, 7)]
    assert numbers == [3, 2], "the other half was not tried on its own"


async def test_what_is_to_come_again_in_the_middle_of_a_split_holds_up_no_other_part(rig: Rig, workspace: str) -> None:
    lane = lane_of(workspace, "google")
    await publish(rig, lane, [a_purchase(lane, number) for number in range(4)])
    detail = {"reason": "CONVERSION_ACTION_TOO_RECENTLY_CREATED"}
    early = {"error": {"status": "INVALID_ARGUMENT", "details": [detail]}}

    async def is_half_done() -> bool:
        return await rig.stores.jobs.waiting(lane) == 2

    with running_fake("google") as server:
        server.faults.extend([Fault(takes=False, reply=Reply(400)), Fault(takes=False, reply=Reply(400, early))])
        async with rig.running_lane(lane, a_batch_destination("google", server.url), horizon_seconds=1e6):
            await eventually_async(is_half_done)
        assert server.fake.counted == {"p-c1:0002": 1, "p-c1:0003": 1}
    states = [(await only(rig, lane, f"c1:{number:04}")).state for number in range(4)]
    assert states == [DELIVERY_STATE_PENDING] * 2 + [DELIVERY_STATE_ACCEPTED] * 2


async def test_a_denial_that_comes_while_a_request_is_taken_apart_holds_back_what_is_left(
    rig: Rig, workspace: str
) -> None:
    lane = lane_of(workspace, "meta")
    held = threading.Event()
    people = [person_key(workspace, f"customer:{number}") for number in range(2)]

    def of_person(message: ConversionRevised) -> None:
        message.state.person_id = people[int(message.state.conversion_id[-1])]

    await publish(rig, lane, [a_purchase(lane, number) for number in range(2)], of_person)
    with running_fake("meta") as server:
        server.faults.append(Fault(takes=False, reply=Reply(400), until=held))
        async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
            await eventually_async(lambda: server.asks)
            denial = Decision(SystemClock().unix_micros(), packed([0, 0, DENIED, 0, 0]))
            await Consents(rig.redis, SHARDS).record({(workspace, "customer:1"): [denial]})
            held.set()
            await eventually_async(idle(rig, lane))
        assert server.fake.counted == {"p-c1:0000": 1}
    assert (await only(rig, lane, "c1:0001")).ineligible_reason == INELIGIBLE_REASON_NO_CONSENT
    kept = await rig.redis.get(job_keys.sent(workspace, "meta", "c1:0001"))
    assert kept.endswith(b"never"), "later changes of it are not taken for corrections of what may be there"


async def test_a_destination_that_is_paused_while_a_request_is_taken_apart_is_called_no_more(
    rig: Rig, workspace: str
) -> None:
    lane, held = lane_of(workspace, "meta"), threading.Event()
    await publish(rig, lane, [a_purchase(lane, number) for number in range(4)])
    with running_fake("meta") as server:
        server.faults.append(Fault(takes=False, reply=Reply(400), until=held))
        async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
            await eventually_async(lambda: server.asks)
            await rig.stores.states.hold(lane, "The shop counts twice.")
            held.set()
            await eventually_async(lambda: rig.deliveries(lane, "c1:0003"))
        assert len(server.asks) == 1
        await rig.stores.states.release(lane)
        async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
            await eventually_async(idle(rig, lane))
        assert server.fake.accepted == 4
