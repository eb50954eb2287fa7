"""What an operator sees of deliveries, and what becomes of those that are sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.batches import a_batch_destination, a_purchase, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    OUTCOME_CLASS_PERMANENT,
    OUTCOME_CLASS_UNKNOWN,
    Delivery,
    DeliveryFilter,
)
from tributary_cli.demo.fakes.server import LOST, FakeServer
from tributary_delivery.operations import Operations
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import InvalidRequestError
from tributary_storage.clickhouse.sent_ledger import SentLedger
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.replayed_jobs import ReplayedJobs


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@pytest.fixture
def lane(workspace: str) -> Lane:
    return Lane(workspace, "linkedin")


def operations(rig: Rig) -> Operations:
    return Operations(SentLedger(rig.clickhouse), ReplayedJobs(rig.redis), SystemClock())


async def deliver(rig: Rig, lane: Lane, server: FakeServer) -> None:
    async def is_idle() -> bool:
        return await rig.stores.jobs.waiting(lane) == 0

    async with rig.running_lane(lane, a_batch_destination("linkedin", server.url)):
        await eventually_async(is_idle)


async def listed(rig: Rig, lane: Lane, size: int = 100, **asked: object) -> list[Delivery]:
    found: list[Delivery] = []
    token = ""
    while True:
        page = await operations(rig).page(lane.workspace, DeliveryFilter(**asked), token, size)  # type: ignore[arg-type]
        found += page.deliveries
        token = page.next_token
        if not token:
            return found


async def test_deliveries_are_listed_page_by_page_by_what_came_of_them(rig: Rig, lane: Lane) -> None:
    await publish(rig, lane, [a_purchase(lane, number) for number in range(5)])
    with running_fake("linkedin") as server:
        server.fake.poison.update({"p-c1:0001", "p-c1:0003"})
        await deliver(rig, lane, server)
    assert {one.conversion_id for one in await listed(rig, lane, 2)} == {f"c1:{number:04}" for number in range(5)}
    dead = await listed(rig, lane, 1, states=[DELIVERY_STATE_DEAD], outcomes=[OUTCOME_CLASS_PERMANENT])
    assert sorted(one.conversion_id for one in dead) == ["c1:0001", "c1:0003"]
    assert await listed(rig, lane, destination_id="another") == []
    assert len(await listed(rig, lane, conversion_ids=["c1:0002", "c1:0001"], states=[DELIVERY_STATE_ACCEPTED])) == 1


async def test_what_was_given_up_is_sent_again_and_what_was_taken_is_not(rig: Rig, lane: Lane) -> None:
    await publish(rig, lane, [a_purchase(lane, number) for number in range(3)])
    with running_fake("linkedin") as server:
        server.fake.poison.add("p-c1:0001")
        await deliver(rig, lane, server)
        server.fake.poison.clear()
        everything = DeliveryFilter(destination_id="linkedin", states=[DELIVERY_STATE_DEAD, DELIVERY_STATE_ACCEPTED])
        tried = await operations(rig).replay(lane.workspace, everything, dry_run=True, risk_duplicates=False)
        assert (tried.matched, tried.planned) == (3, 3)
        assert await rig.stores.jobs.waiting(lane) == 0, "a dry run"
        done = await operations(rig).replay(lane.workspace, everything, dry_run=False, risk_duplicates=False)
        assert (done.planned, done.waiting) == (1, 0), "what it has it is not sent again"
        again = await operations(rig).replay(lane.workspace, everything, dry_run=False, risk_duplicates=False)
        assert (again.planned, again.waiting) == (0, 1)
        await deliver(rig, lane, server)
        assert server.fake.counted == {f"p-c1:{number:04}": 1 for number in range(3)}
    assert await listed(rig, lane, states=[DELIVERY_STATE_DEAD]) == []


async def test_what_may_have_been_taken_is_sent_again_only_by_who_risks_it(rig: Rig, lane: Lane) -> None:
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake("linkedin") as server:
        server.faults.append(LOST)
        await deliver(rig, lane, server)
        dead = DeliveryFilter(outcomes=[OUTCOME_CLASS_UNKNOWN])
        careful = await operations(rig).replay(lane.workspace, dead, dry_run=False, risk_duplicates=False)
        assert (careful.matched, careful.planned, careful.uncertain) == (1, 0, 1)
        bold = await operations(rig).replay(lane.workspace, dead, dry_run=False, risk_duplicates=True)
        assert bold.planned == 1
        await deliver(rig, lane, server)
        assert server.fake.counted == {"p-c1:0000": 2}


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(DeliveryFilter(), id="all"),
        pytest.param(DeliveryFilter(states=[99]), id="no state"),  # type: ignore[list-item]
        pytest.param(DeliveryFilter(conversion_ids=map(str, range(1_001))), id="too many"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused(rig: Rig, lane: Lane, asked: DeliveryFilter) -> None:
    with pytest.raises(InvalidRequestError):
        await operations(rig).replay(lane.workspace, asked, dry_run=True, risk_duplicates=False)


async def test_a_destination_that_is_held_is_called_by_nobody_until_it_is_released(rig: Rig, lane: Lane) -> None:
    await publish(rig, lane, [a_purchase(lane)])
    await rig.stores.states.hold(lane, "the agency asked")
    await rig.stores.states.pause(lane, 0, "")
    leased = await rig.stores.jobs.lease(lane, "token", 30.0, 10)
    assert (leased.jobs, leased.wait_seconds > 1) == ([], True)
    assert (await rig.stores.states.read(lane)).held_reason == "the agency asked"
    await rig.stores.states.release(lane)
    assert len((await rig.stores.jobs.lease(lane, "token", 30.0, 10)).jobs) == 1


async def test_another_configuration_ends_a_pause_that_it_was_to_blame_for_and_no_other(rig: Rig, lane: Lane) -> None:
    for is_config, until in ((True, 0), (False, 2**40)):
        await rig.stores.states.pause(lane, 2**40, "why", is_config=is_config)
        await rig.stores.states.mend(lane)
        assert (await rig.stores.states.read(lane)).paused_until_millis == until


async def test_the_funnel_has_every_conversion_in_exactly_one_place(rig: Rig, lane: Lane) -> None:
    revisions = [a_purchase(lane, number) for number in range(6)]
    await publish(rig, lane, revisions[:5])
    await publish(rig, lane, revisions[5:], lambda message: message.match.ClearField("consent"))
    with running_fake("linkedin") as server:
        server.fake.poison.update({"p-c1:0001", "p-c1:0003"})
        await deliver(rig, lane, server)
        await publish(rig, lane, [revisions[0].then(value_micros=1_000_000)])
        await deliver(rig, lane, server)
    [row] = await rig.clickhouse.execute(
        "SELECT captured, sent, accepted, given_up, waiting, ineligible, without_consent, adjusted, not_correctable "
        "FROM bi_delivery_funnel WHERE workspace = %(workspace)s",
        {"workspace": lane.workspace},
    )
    captured, sent, *places, without_consent, adjusted, not_correctable = row
    assert (captured, sent, places) == (6, 5, [3, 2, 0, 1])
    assert (without_consent, adjusted, not_correctable) == (1, 0, 1)
