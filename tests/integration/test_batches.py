"""Batch destinations: each conversion counts exactly once there, or is a dead letter that says why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.support.batches import Ahead, a_batch_destination, a_purchase, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_INELIGIBLE,
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_NO_PIXEL_ID,
    INELIGIBLE_REASON_TOO_OLD,
    OUTCOME_CLASS_CONFIG,
    Delivery,
)
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import FakeServer, Fault
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.delivery_job import Lane, PlannedRevision

KINDS = ("google", "linkedin", "meta", "tiktok")
KNOWS_AGAIN = ("google", "meta", "tiktok")
"""Those that know a conversion again; LinkedIn does not say that it does."""


NAMES_GOOGLE = "CQdZmkAQdZmkAAKACBENCWFgALIAAAAAABpYF5wAQF5gAAAA.IF5wAQF5gAAA.YAAAAAAAAAAA"
"""A consent string that grants all purposes, to Google."""


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def lane_of(workspace: str, kind: str) -> Lane:
    return Lane(workspace, kind)


def idle(rig: Rig, lane: Lane) -> Callable[[], Awaitable[bool]]:
    async def is_idle() -> bool:
        return await rig.stores.jobs.waiting(lane) == 0

    return is_idle


async def only(rig: Rig, lane: Lane, conversion_id: str = "c1:0000") -> Delivery:
    [delivery] = await rig.deliveries(lane, conversion_id)
    return delivery


async def test_many_conversions_are_one_request_and_each_is_written_down(rig: Rig, workspace: str, kind: str) -> None:
    lane = lane_of(workspace, kind)
    await publish(rig, lane, [a_purchase(lane, number) for number in range(50)])
    with running_fake(kind) as server:
        async with rig.running_lane(lane, a_batch_destination(kind, server.url)):
            await eventually_async(idle(rig, lane))
        assert len(server.asks) == 1
        assert server.fake.counted == {f"p-c1:{number:04}": 1 for number in range(50)}
        assert set(server.fake.values.values()) == {90}
    delivery = await only(rig, lane, "c1:0007")
    assert (delivery.state, delivery.attempts, delivery.visible_id) == (DELIVERY_STATE_ACCEPTED, 1, "p-c1:0007")
    assert delivery.consent_basis == "granted"
    assert delivery.identifier_digests
    assert all(len(digest) == 64 for digest in delivery.identifier_digests.values())


async def test_what_was_surely_not_taken_is_sent_as_late_as_may_be(rig: Rig, workspace: str, kind: str) -> None:
    lane = lane_of(workspace, kind)
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake(kind) as server:
        server.fake.throttles = 1
        destination = a_batch_destination(kind, server.url)
        async with rig.running_lane(lane, destination):
            await eventually_async(lambda: server.asks)
        async with rig.running_lane(lane, destination, clock=Ahead(hours=60), horizon_seconds=72 * 3600):
            await eventually_async(idle(rig, lane))
        assert server.fake.accepted == 1


async def test_a_refund_is_the_new_total_at_google_under_the_same_id_time_and_identifiers(
    rig: Rig, workspace: str
) -> None:
    lane = lane_of(workspace, "google")
    first = a_purchase(lane)
    with running_fake("google") as server:
        async with rig.running_lane(lane, a_batch_destination("google", server.url)) as runner:
            await publish(rig, lane, [first])
            await eventually_async(idle(rig, lane))
            created = server.fake.events["p-c1:0000"]
            for refunded in (first.then(value_micros=70_000_000), first.then(counted=False).then(counted=False)):
                await publish(rig, lane, [refunded])
                runner.wake()
                await eventually_async(idle(rig, lane))
                restated = server.fake.events["p-c1:0000"]
                assert unchanging(restated) == unchanging(created)
        assert server.fake.counted == {"p-c1:0000": 1}
        assert server.fake.values == {"p-c1:0000": 0}
    assert [one.state for one in await rig.deliveries(lane, "c1:0000")] == [DELIVERY_STATE_ACCEPTED] * 3


def unchanging(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("conversionValue", "lastUpdatedTimestamp")}


@pytest.mark.parametrize("kind", ["linkedin", "meta", "tiktok"])
async def test_a_refund_that_a_destination_cannot_be_told_is_written_down_with_what_it_has_too_much(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane = lane_of(workspace, kind)
    first = a_purchase(lane)
    with running_fake(kind) as server:
        async with rig.running_lane(lane, a_batch_destination(kind, server.url)) as runner:
            await publish(rig, lane, [first])
            await eventually_async(idle(rig, lane))
            for revision in (first.then(touches=()), first.then(value_micros=70_000_000).then(value_micros=70_000_000)):
                await publish(rig, lane, [revision])
                runner.wake()
                await eventually_async(idle(rig, lane))
        assert len(server.asks) == 1
    sent, refund = await rig.deliveries(lane, "c1:0000")
    assert sent.state == DELIVERY_STATE_ACCEPTED
    assert refund.state == DELIVERY_STATE_UNDELIVERABLE_CORRECTION
    assert (refund.residual.amount_micros, refund.residual.currency_code) == (20_000_000, "EUR")


async def test_a_refund_before_it_is_sent_is_one_event_of_the_net_value(rig: Rig, workspace: str, kind: str) -> None:
    lane = lane_of(workspace, kind)
    first = a_purchase(lane)
    await publish(rig, lane, [first])
    await publish(rig, lane, [first.then(value_micros=70_000_000)])
    with running_fake(kind) as server:
        async with rig.running_lane(lane, a_batch_destination(kind, server.url)):
            await eventually_async(idle(rig, lane))
        assert server.fake.counted == {"p-c1:0000": 1}
        assert server.fake.values == {"p-c1:0000": 70}


async def test_who_did_not_consent_is_not_sent_and_neither_is_what_is_too_old_or_lacks_its_shared_id(
    rig: Rig, workspace: str
) -> None:
    lane = lane_of(workspace, "meta")
    silent, old, unshared, unnamed = (a_purchase(lane, number) for number in range(4))
    await publish(rig, lane, [silent], lambda message: message.match.ClearField("consent"))
    await publish(rig, lane, [a_purchase(lane, 1, time=old.time - timedelta(days=8))])
    await publish(rig, lane, [unshared], lambda message: message.match.ClearField("pixel_event_id"))
    await publish(rig, lane, [unnamed], names_google_alone)
    with running_fake("meta") as server:
        settings = a_batch_destination("meta", server.url, pixel="shared_id", tcf_vendor=65_000)
        async with rig.running_lane(lane, settings):
            await eventually_async(idle(rig, lane))
        assert server.asks == []
    reasons = [INELIGIBLE_REASON_NO_CONSENT, INELIGIBLE_REASON_TOO_OLD, INELIGIBLE_REASON_NO_PIXEL_ID]
    reasons.append(INELIGIBLE_REASON_NO_CONSENT)
    for number, reason in enumerate(reasons):
        delivery = await only(rig, lane, f"c1:{number:04}")
        assert (delivery.state, delivery.ineligible_reason) == (DELIVERY_STATE_INELIGIBLE, reason)


def names_google_alone(message: ConversionRevised) -> None:
    message.match.consent.tcf_string = NAMES_GOOGLE


async def test_a_wrong_token_pauses_the_destination_and_nobody_reads_it_anywhere(
    rig: Rig, workspace: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lane = lane_of(workspace, kind)
    await publish(rig, lane, [a_purchase(lane)])
    wrong = "wrong-token-of-the-tests"
    with running_fake(kind) as server:
        destination = a_batch_destination(kind, server.url, access_token={"value": wrong})
        async with rig.running_lane(lane, destination):
            await eventually_async(lambda: is_paused(rig, lane))
        assert server.fake.accepted == 0
    delivery = await only(rig, lane)
    assert delivery.outcome == OUTCOME_CLASS_CONFIG
    printed = capsys.readouterr()
    assert wrong not in f"{delivery}{printed.out}{printed.err}{await rig.stores.states.read(lane)}"


async def is_paused(rig: Rig, lane: Lane) -> bool:
    delivered = await rig.deliveries(lane, "c1:0000")
    return bool(delivered) and (await rig.stores.states.read(lane)).paused_until_millis > 0


async def test_a_destination_that_refuses_everything_is_paused_before_all_is_given_up(rig: Rig, workspace: str) -> None:
    lane = lane_of(workspace, "meta")
    await publish(rig, lane, [a_purchase(lane, number) for number in range(100)])
    with running_fake("meta") as server:
        server.faults.extend([Fault(takes=False, reply=Reply(400))] * 300)
        async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
            await eventually_async(lambda: is_paused_now(rig, lane))
        assert len(server.asks) < 70
    dead = await rig.stores.jobs.dead(lane, 0)
    assert 20 < dead < 30, "one of each part that was left, too: it might be them alone"
    assert await rig.stores.jobs.waiting(lane) == 100 - dead
    assert "refuses whatever it is sent" in (await rig.stores.states.read(lane)).pause_reason
    # When it is called again, what is left comes after what others have planned by then: theirs need not wait for it.
    await rig.stores.states.pause(lane, 0, "")
    await publish(rig, lane, [a_purchase(lane, 100)])
    with running_fake("meta") as server:
        async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
            await eventually_async(lambda: has_accepted(server, 1))
        assert server.fake.counted == {"p-c1:0100": 1}
        await rig.stores.states.release(lane)  # whoever mended it need not wait
        async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
            await eventually_async(idle(rig, lane))
        assert server.fake.accepted == 101 - dead


async def test_wrong_ones_that_stand_side_by_side_do_not_stop_a_destination(rig: Rig, workspace: str) -> None:
    lane = lane_of(workspace, "meta")
    await publish(rig, lane, [a_purchase(lane, number) for number in range(100)])
    with running_fake("meta") as server:
        server.fake.poison.update(f"p-c1:{number:04}" for number in range(30))
        async with rig.running_lane(lane, a_batch_destination("meta", server.url)):
            await eventually_async(idle(rig, lane))
        assert server.fake.accepted == 70
    paused_until_millis = (await rig.stores.states.read(lane)).paused_until_millis
    assert (await rig.stores.jobs.dead(lane, 0), paused_until_millis) == (30, 0)


async def test_one_that_is_wrongly_set_up_does_not_stop_those_that_are_taken_with_it(rig: Rig, workspace: str) -> None:
    lane = lane_of(workspace, "google_ads")
    await publish(rig, lane, [a_purchase(lane, number) for number in range(3)])
    with running_fake("google_ads") as server:
        error = {
            "errorCode": {"conversionUploadError": "NO_CONVERSION_ACTION_FOUND"},
            "location": {"fieldPathElements": [{"fieldName": "conversions", "index": 1}]},
        }
        said = {
            "results": [{"conversionAction": "a"}, {}, {"conversionAction": "a"}],
            "partialFailureError": {"code": 3, "details": [{"errors": [error]}]},
        }
        server.faults.append(Fault(takes=False, reply=Reply(200, said)))
        async with rig.running_lane(lane, a_batch_destination("google_ads", server.url)):
            await eventually_async(idle(rig, lane))
        assert (len(server.asks), server.fake.accepted) == (2, 1), "again when it had waited, and it was mended by then"


async def has_accepted(server: FakeServer, count: int) -> bool:
    return server.fake.accepted >= count


async def test_a_click_of_another_account_holds_up_nobody_until_there_are_no_others(rig: Rig, workspace: str) -> None:
    lane = lane_of(workspace, "google_ads")
    with running_fake("google_ads") as server:
        settings = a_batch_destination("google_ads", server.url)
        server.fake.foreign.update(f"p-c1:{number:04}" for number in range(1, 21))
        for number in range(2):
            await publish(rig, lane, [a_purchase(lane, number)])
            async with rig.running_lane(lane, settings):
                await eventually_async(idle(rig, lane))
        assert (server.fake.accepted, (await rig.stores.states.read(lane)).paused_until_millis) == (1, 0)
        await publish(rig, lane, [a_purchase(lane, number) for number in range(2, 21)])
        async with rig.running_lane(lane, settings):  # which did not see the first one
            await eventually_async(lambda: is_paused_now(rig, lane))
        refused, waits = [await only(rig, lane, name) for name in ("c1:0001", "c1:0002")]
        assert (refused.state, refused.message) == (DELIVERY_STATE_DEAD, "INVALID_CUSTOMER_FOR_CLICK")
        assert (waits.state, waits.outcome) == (DELIVERY_STATE_PENDING, OUTCOME_CLASS_CONFIG)
        server.fake.foreign.clear()
        await rig.stores.states.release(lane)
        async with rig.running_lane(lane, settings):
            await eventually_async(idle(rig, lane))
        assert server.fake.accepted == 20, "who resumes need not wait for the rest of what the pause was to last"


async def test_what_a_wrong_account_refuses_is_sent_once_it_is_set_right(rig: Rig, workspace: str) -> None:
    lane = lane_of(workspace, "google_ads")
    settings = partial(a_batch_destination, "google_ads")
    with running_fake("google_ads") as server:
        server.fake.foreign.add("p-c1:0000")
        await publish(rig, lane, [a_purchase(lane)])
        for account in ("1", "2"):  # the second one is no better
            said = partial(is_paused_for, rig, lane, f"Is {account} the account")
            async with rig.running_lane(lane, settings(server.url, customer_id=account)):
                await eventually_async(said)
        server.fake.foreign.clear()
        async with rig.running_lane(lane, settings(server.url, customer_id="3")):
            await eventually_async(idle(rig, lane))
        assert server.fake.counted == {"p-c1:0000": 1}
    assert await rig.stores.jobs.dead(lane, 0) == 0


async def is_paused_for(rig: Rig, lane: Lane, why: str) -> bool:
    return why in (await rig.stores.states.read(lane)).pause_reason


async def is_paused_now(rig: Rig, lane: Lane) -> bool:
    return (await rig.stores.states.read(lane)).paused_until_millis > 0


async def test_what_was_held_for_longer_than_it_would_be_tried_is_tried_all_the_same(rig: Rig, workspace: str) -> None:
    lane = lane_of(workspace, "meta")
    [message] = await publish(rig, lane, [a_purchase(lane)], is_planned=False)
    long_ago = SystemClock().unix_micros() - 100 * 3_600_000_000
    await rig.stores.jobs.plan(lane, [PlannedRevision("c1:0000", message.revision, 0, long_ago)])
    with running_fake("meta") as server:
        server.faults.append(Fault(takes=False, reply=Reply(503)))
        async with rig.running_lane(lane, a_batch_destination("meta", server.url), horizon_seconds=72 * 3600):
            await eventually_async(idle(rig, lane))
        assert server.fake.accepted == 1
