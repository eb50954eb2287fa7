"""Nobody knows what a destination has once a correction's reply was lost: that is so until it takes another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.batches import a_batch_destination, a_purchase, clicked, deliver, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import LOST, Fault
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane

C = "c1:0000"
NOWHERE = "http://127.0.0.1:1"
REFUNDED: dict[str, Any] = {"value_micros": 70_000_000}
TAKEN_BACK: dict[str, Any] = {"counted": False}


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def try_once(rig: Rig, lane: Lane, url: str, revision: int) -> None:
    """Runs a lane until the ledger says of a revision that it waits for another attempt, or gets none."""

    async def is_written() -> bool:
        return any(one.revision == revision for one in await rig.deliveries(lane, C))

    async with rig.running_lane(lane, a_batch_destination(lane.destination, url)):
        await eventually_async(is_written)


def denies(message: ConversionRevised) -> None:
    clicked(message)
    message.match.consent.ad_user_data = CONSENT_STATE_DENIED


@pytest.mark.parametrize("forgets", [False, True], ids=["Redis knows", "the ledger knows"])
@pytest.mark.parametrize(
    ("kind", "changed", "then"),
    [
        pytest.param("google", REFUNDED, "refused", id="a refund; what follows is refused for now"),
        pytest.param("salesforce", REFUNDED, "unsent", id="a refund; what follows cannot leave"),
        pytest.param("google", REFUNDED, "withheld", id="a refund; what follows must not be told"),
        pytest.param("microsoft", TAKEN_BACK, "refused", id="a retraction; what follows is refused for now"),
    ],
)
async def test_what_is_true_again_is_told_as_long_as_a_correction_is_in_doubt(
    rig: Rig, workspace: str, kind: str, changed: dict[str, Any], then: str, *, forgets: bool
) -> None:
    lane = Lane(workspace, kind)
    first = a_purchase(lane)
    second = first.then(**changed)
    third = second.then(value_micros=90_000_000, counted=True)
    with running_fake(kind) as server:
        await publish(rig, lane, [first], clicked)
        await deliver(rig, lane, server)
        server.faults.extend([LOST] * 50)
        [message] = await publish(rig, lane, [second], clicked)
        await try_once(rig, lane, server.url, message.revision)
        assert [int(value) for value in server.fake.values.values()] != [90], "it was taken"
        server.faults.clear()
        server.faults.extend([Fault(takes=False, reply=Reply(429, {}))] * 50)
        [message] = await publish(rig, lane, [third], denies if then == "withheld" else clicked)
        await try_once(rig, lane, NOWHERE if then == "unsent" else server.url, message.revision)
        server.faults.clear()
        if forgets:
            await rig.redis.delete(job_keys.sent(workspace, kind, C))
        await publish(rig, lane, [third.then()], clicked)
        await deliver(rig, lane, server)
        assert [int(value) for value in server.fake.values.values()] == [90]
