"""A correction says again what was sent first, and what a destination cannot be told is written down once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.support.batches import a_batch_destination, a_purchase, deliver, match_keys, publish, running_fake, seal
from tests.support.delivery import Rig, a_rig
from tests.support.eventually import eventually_async
from tests.support.revisions import Revision, Touch
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    Delivery,
)
from tributary.event.v1.event_pb2 import ORIGIN_STORE, ORIGIN_WEB
from tributary_cli.demo.fakes.google_ads import FakeGoogleAds
from tributary_cli.demo.fakes.server import LOST, FakeServer
from tributary_domain.backoff import Backoff
from tributary_domain.sealing import key_name
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import job_keys
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.replayed_jobs import Replayed, ReplayedJobs, Wish

VALUES = {
    *("conversionValue", "lastUpdatedTimestamp", "ConversionValue", "ConversionCurrencyCode", "AdjustmentTime"),
    *("AdjustmentType", "AdjustmentValue", "AdjustmentCurrencyCode", "amount", "Amount", "objectWriteTraceId"),
}
"""What a refund changes of an event, or adds to it."""
CLICKS = {"google": "gclid", "microsoft": "msclkid"}


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def row_of(server: FakeServer, number: int) -> dict[str, Any]:
    """Returns the only event of a request."""
    said = json.loads(server.asks[number].body)
    for name in ("events", "OfflineConversions", "OfflineConversionAdjustments", "inputs", "records"):
        if name in said:
            [row] = said[name]
            return {key: value for key, value in row.items() if key not in VALUES | {"properties"}}
    [row] = said.get("conversions") or said["conversionAdjustments"]
    return {name: row[name] for name in ("conversionAction", "orderId")}


@pytest.mark.parametrize("kind", ["google", "google_ads", "microsoft", "hubspot", "salesforce"])
async def test_a_refund_on_day_20_names_the_same_person_click_and_time_whatever_is_known_since(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane = Lane(workspace, kind.replace("_", "-"))
    family = CLICKS.get(kind, "gclid")
    first = a_purchase(lane, order_id="o-1")

    def at_first(message: ConversionRevised) -> None:
        message.match.ClearField("pixel_event_id")
        message.match.click_ids.add(family=family, value="the-first-click")
        message.state.origin = ORIGIN_WEB

    other = await seal(rig, workspace, match_keys("bob@example.com"), "customer:2")

    def merged(message: ConversionRevised) -> None:
        del message.match.sealed_match_keys[:]
        message.match.sealed_match_keys.append(other)
        message.match.click_ids.add(family=family, value="another-click")
        message.match.pixel_event_id = "a-late-pixel"
        message.state.origin = ORIGIN_STORE

    with running_fake(kind) as server:
        await publish(rig, lane, [first], at_first)
        await deliver(rig, lane, server)
        refund = first.then(value_micros=70_000_000, time=first.time + timedelta(hours=3))
        await publish(rig, lane, [refund], merged)
        await deliver(rig, lane, server, hours=20 * 24)
        assert len(server.asks) == 2
        assert row_of(server, 0) == row_of(server, 1)
        assert server.fake.accepted == 1
        assert list(server.fake.values.values()) == [70]
    states = [one.state for one in await rig.deliveries(lane, first.conversion_id)]
    assert states == [DELIVERY_STATE_ACCEPTED] * 2


@pytest.mark.parametrize("kind", ["google", "microsoft"])
async def test_a_refund_whose_person_cannot_be_named_again_makes_no_second_conversion(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane = Lane(workspace, kind)
    first = a_purchase(lane)
    with running_fake(kind) as server:
        await publish(rig, lane, [first], with_click(CLICKS[kind]))
        await deliver(rig, lane, server)
        await DataKeys(rig.redis, 4).destroy([(workspace, key_name(workspace, "customer:1"))], 0)
        for value in (70_000_000, 70_000_000, 60_000_000):
            first = first.then(value_micros=value)
            await publish(rig, lane, [first], with_gone_keys(CLICKS[kind]))
            await deliver(rig, lane, server)
        assert len(server.asks) == 1
    _, *left = await rig.deliveries(lane, first.conversion_id)
    assert residuals(left) == [20_000_000, 30_000_000]
    assert "new conversion" in left[0].message
    assert {one.ineligible_reason for one in left} == {INELIGIBLE_REASON_NO_MATCH_KEY}


def with_click(family: str) -> Any:
    def change(message: ConversionRevised) -> None:
        message.match.click_ids.add(family=family, value="a-click")

    return change


def with_gone_keys(family: str) -> Any:
    def change(message: ConversionRevised) -> None:
        message.match.click_ids.add(family=family, value="a-click")
        del message.match.sealed_match_keys[:]

    return change


def residuals(lines: list[Delivery]) -> list[int]:
    assert {one.state for one in lines} == {DELIVERY_STATE_UNDELIVERABLE_CORRECTION}
    return [one.residual.amount_micros for one in lines]


@pytest.mark.parametrize("forgets", [False, True], ids=["Redis knows", "the ledger knows"])
async def test_what_a_destination_has_too_much_is_written_when_it_changes_and_not_for_every_revision(
    rig: Rig, workspace: str, *, forgets: bool
) -> None:
    lane = Lane(workspace, "meta")
    revision: Revision = a_purchase(lane)
    with running_fake("meta") as server:
        await publish(rig, lane, [revision])
        await deliver(rig, lane, server)
        for value in (70_000_000, 70_000_000, 60_000_000, 90_000_000, 90_000_000):
            revision = revision.then(value_micros=value)
            if forgets:
                await rig.redis.delete(f"trb:{{j:{workspace}:meta}}:sent:{revision.conversion_id}")
            await publish(rig, lane, [revision])
            await deliver(rig, lane, server)
        assert len(server.asks) == 1
    _, *left = await rig.deliveries(lane, revision.conversion_id)
    assert residuals(left) == [20_000_000, 30_000_000, 0]
    [row] = await rig.clickhouse.execute(
        "SELECT accepted, not_correctable FROM bi_delivery_funnel WHERE workspace = %(workspace)s",
        {"workspace": workspace},
    )
    assert row == (1, 0)


@pytest.mark.parametrize("forgets", [False, True], ids=["Redis knows", "the ledger knows"])
async def test_what_counts_again_where_it_was_taken_back_for_good_is_written_down_as_missing(
    rig: Rig, workspace: str, *, forgets: bool
) -> None:
    lane = Lane(workspace, "google_ads")
    first = a_purchase(lane, value_micros=50_000_000)
    revision = first
    with running_fake("google_ads") as server:
        for change in ({}, {"counted": False}, {"counted": True}, {"value_micros": 40_000_000}, {"counted": False}):
            revision = revision.then(**change) if change else revision
            if forgets:
                await rig.redis.delete(f"trb:{{j:{workspace}:google_ads}}:sent:{revision.conversion_id}")
            await publish(rig, lane, [revision])
            await deliver(rig, lane, server)
        assert list(server.fake.values.values()) == [0]
    taken, back, *left = await rig.deliveries(lane, revision.conversion_id)
    assert [one.state for one in (taken, back)] == [DELIVERY_STATE_ACCEPTED] * 2
    assert residuals(left) == [-50_000_000, -40_000_000, 0]
    assert [one.message for one in left] == ["CONVERSION_ALREADY_RETRACTED"] * 2 + [""]


async def test_what_somebody_else_took_back_already_is_taken_back(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google_ads")
    first = a_purchase(lane)
    with running_fake("google_ads") as server:
        await publish(rig, lane, [first])
        await deliver(rig, lane, server)
        assert isinstance(server.fake, FakeGoogleAds)
        server.fake.retracted.update(server.fake.counted)
        await publish(rig, lane, [first.then(counted=False)])
        await deliver(rig, lane, server)
    states = [one.state for one in await rig.deliveries(lane, first.conversion_id)]
    assert states == [DELIVERY_STATE_ACCEPTED] * 2


async def test_a_credited_value_is_frozen_when_it_is_sent_and_a_refund_takes_its_share_of_it(
    rig: Rig, workspace: str
) -> None:
    lane = Lane(workspace, "google")
    touches = (Touch("Paid Search"), Touch("Email"), Touch("Direct"))
    credited = {"value": "credited", "value_model": "linear", "channels": ["Paid Search"]}
    first = a_purchase(lane, touches=touches, value_micros=100_000_000)
    recredited = first.then(touches=touches[:1])
    refunded = recredited.then(touches=touches[1:], value_micros=50_000_000)
    values = []
    with running_fake("google") as server:
        for now in (first, recredited, refunded):
            await publish(rig, lane, [now])
            await deliver(rig, lane, server, **credited)
            values.append((len(server.asks), str(server.fake.values["p-c1:0000"])))
    assert values == [(1, "33.333334"), (1, "33.333334"), (2, "16.666667")]


async def residual_rows(rig: Rig, workspace: str) -> list[Any]:
    """Returns what the view says per currency, and how many conversions the funnel calls not correctable."""
    rows = await rig.clickhouse.execute(
        "SELECT currency, conversions, unknown, residual_micros, residual_conversions FROM bi_delivery_residuals"
        " WHERE workspace = %(workspace)s ORDER BY currency",
        {"workspace": workspace},
    )
    [[wrong]] = await rig.clickhouse.execute(
        "SELECT sum(not_correctable) FROM bi_delivery_funnel WHERE workspace = %(workspace)s", {"workspace": workspace}
    )
    return [*rows, wrong]


@pytest.mark.parametrize("forgets", [False, True], ids=["Redis knows", "the ledger knows"])
async def test_another_currency_is_another_value_though_the_amount_is_the_same(
    rig: Rig, workspace: str, *, forgets: bool
) -> None:
    google, meta = Lane(workspace, "google"), Lane(workspace, "meta")
    first = a_purchase(google)
    for lane in (google, meta):
        with running_fake(lane.destination) as server:
            await publish(rig, lane, [first])
            await deliver(rig, lane, server)
            if forgets:
                await rig.redis.delete(f"trb:{{j:{workspace}:{lane.destination}}}:sent:{first.conversion_id}")
            await publish(rig, lane, [first.then(currency="USD")])
            await deliver(rig, lane, server)
            if lane is google:
                assert [row_of_currency(server, number) for number in range(len(server.asks))] == ["EUR", "USD"]
            else:
                assert len(server.asks) == 1
    *_, told = await rig.deliveries(meta, first.conversion_id)
    assert (told.value.currency_code, told.residual.currency_code, told.residual.amount_micros) == (
        "USD",
        "EUR",
        90_000_000,
    )
    assert await residual_rows(rig, workspace) == [("EUR", 1, 0, 90_000_000, 0), ("USD", 1, 0, -90_000_000, 0), 1]


def row_of_currency(server: FakeServer, number: int) -> str:
    [event] = json.loads(server.asks[number].body)["events"]
    return str(event["currency"])


@pytest.mark.parametrize("forgets", [False, True], ids=["Redis knows", "the ledger knows"])
async def test_a_correction_that_was_refused_for_good_leaves_its_residual_until_the_destination_is_right_again(
    rig: Rig, workspace: str, *, forgets: bool
) -> None:
    lane = Lane(workspace, "google")
    first, second = a_purchase(lane, 1), a_purchase(lane, 2)
    with running_fake("google") as server:
        await publish(rig, lane, [first, second])
        await deliver(rig, lane, server)
        server.fake.poison.update({"p-c1:0001", "p-c1:0002"})
        refunds = [first.then(value_micros=70_000_000), second.then(value_micros=60_000_000)]
        await publish(rig, lane, refunds)
        await deliver(rig, lane, server)
        assert await residual_rows(rig, workspace) == [("EUR", 2, 0, 50_000_000, 0), 2]
        assert await rig.stores.jobs.dead(lane, 0) == 2
        if forgets:
            for one in (first, second):
                await rig.redis.delete(f"trb:{{j:{workspace}:google}}:sent:{one.conversion_id}")
        # One is what it was before: nothing is to be told. The other is sent again.
        await publish(rig, lane, [refunds[1].then(value_micros=90_000_000)])
        await deliver(rig, lane, server)
        assert await residual_rows(rig, workspace) == [("EUR", 1, 0, 20_000_000, 0), 1]
        server.fake.poison.clear()
        wishes = [Wish(first.conversion_id, refunds[0].number)]
        assert await ReplayedJobs(rig.redis).plan(lane, wishes, SystemClock().unix_micros()) == [Replayed.PLANNED]
        assert await rig.stores.jobs.dead(lane, 0) == 0, "it waits"
        await deliver(rig, lane, server)
        assert set(server.fake.values.values()) == {70, 90}
    assert await residual_rows(rig, workspace) == [0]
    assert await rig.stores.jobs.dead(lane, 0) == 0


async def test_what_may_have_been_corrected_is_told_what_it_had_before(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    first = a_purchase(lane)
    refund = first.then(value_micros=70_000_000)
    with running_fake("google") as server:
        await publish(rig, lane, [first])
        await deliver(rig, lane, server)
        server.faults.append(LOST)
        await publish(rig, lane, [refund])
        never = {"backoff": Backoff(86_400.0, 86_400.0), "horizon_seconds": 1e6}

        async def is_noted() -> bool:
            return [one.state for one in await rig.deliveries(lane, first.conversion_id)][1:] == [
                DELIVERY_STATE_PENDING
            ]

        async with rig.running_lane(lane, a_batch_destination("google", server.url), **never):  # type: ignore[arg-type]
            await eventually_async(is_noted)
        await publish(rig, lane, [refund.then(value_micros=90_000_000)])
        await rig.redis.zadd(job_keys.due(workspace, "google"), {first.conversion_id: 1})
        server.fake.throttles = 1
        await deliver(rig, lane, server)
        assert list(server.fake.values.values()) == [90], "also where that had to be tried twice"


@pytest.mark.parametrize("kind", ["google", "hubspot", "google_ads"])
async def test_a_conversion_that_a_destination_cannot_take_back_is_counted_there_and_that_is_shown(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane = Lane(workspace, kind)
    own: dict[str, Any] = {"retracted": {}} if kind == "hubspot" else {}
    valued, valueless = a_purchase(lane, 1), a_purchase(lane, 2, value_micros=None)
    with running_fake(kind) as server:
        await publish(rig, lane, [valued, valueless])
        await deliver(rig, lane, server, **own)
        asks = len(server.asks)
        retracted = [valued.then(counted=False), valueless.then(counted=False)]
        for revisions in (retracted, [one.then() for one in retracted]):
            await publish(rig, lane, revisions)
            await deliver(rig, lane, server, **own)
        assert len(server.asks) == asks + 1
    told, untold = [(await rig.deliveries(lane, one.conversion_id))[1:] for one in (valued, valueless)]
    if kind == "google_ads":  # it takes both back
        assert [one.residual_conversions for one in (*told, *untold)] == [0, 0]
        assert await residual_rows(rig, workspace) == [0]
        return
    assert [(one.state, one.residual_conversions) for one in told] == [(DELIVERY_STATE_ACCEPTED, 1)]
    assert "counts it still" in told[0].message
    assert [(one.state, one.residual_conversions) for one in untold] == [(DELIVERY_STATE_UNDELIVERABLE_CORRECTION, 1)]
    assert "no value" in untold[0].message
    assert await residual_rows(rig, workspace) == [("", 2, 0, 0, 2), 1]


@pytest.mark.parametrize("kind", ["google", "google_ads"])
async def test_an_order_s_conversions_of_two_names_that_are_one_action_there_are_two(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane = Lane(workspace, kind.replace("_", "-"))
    first = a_purchase(lane, 1, order_id="1001", value_micros=90_000_000)
    second = a_purchase(lane, 2, order_id="1001", name="upsell", value_micros=30_000_000)

    def untagged(message: ConversionRevised) -> None:
        message.match.ClearField("pixel_event_id")

    with running_fake(kind) as server:
        await publish(rig, lane, [first], untagged)
        await deliver(rig, lane, server)  # one name by then
        both = {"conversions": {name: {"name": "99"} for name in ("purchase", "upsell")}}
        await publish(rig, lane, [second, first.then(value_micros=80_000_000)], untagged)
        await deliver(rig, lane, server, **both)
        await publish(rig, lane, [second.then(value_micros=0)], untagged)
        await deliver(rig, lane, server, hours=1, **both)
        assert dict(server.fake.counted) == {"1001": 1, "1001|upsell": 1}
        assert {one: float(value) for one, value in server.fake.values.items()} == {"1001": 80.0, "1001|upsell": 0.0}
