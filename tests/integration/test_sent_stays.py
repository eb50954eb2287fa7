"""What was sent stays what it was: the value it was told, its id, name and time, whatever the file says by then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.batches import a_batch_destination, a_purchase, clicked, deliver, publish, running_fake
from tests.support.delivery import CLICK_KEY, Rig, a_rig
from tests.support.eventually import eventually_async
from tests.support.revisions import Touch
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_INELIGIBLE,
    INELIGIBLE_REASON_INDISTINCT,
    INELIGIBLE_REASON_UNSPECIFIED,
    OUTCOME_CLASS_UNKNOWN,
    DeliveryFilter,
)
from tributary_cli.demo.fakes.server import LOST, FakeServer
from tributary_delivery.operations import Operations
from tributary_domain.click_digests import click_digest
from tributary_domain.families import order_name
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse.past_families import PastFamilies
from tributary_storage.clickhouse.sent_ledger import SentLedger
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.replayed_jobs import ReplayedJobs
from tributary_storage.redis.waiting_jobs import WaitingJobs

C = "c1:0000"
FULL: dict[str, Any] = {}
SEARCH: dict[str, Any] = {"value": "credited", "value_model": "linear", "channels": ["Paid Search"]}
EMAIL: dict[str, Any] = {**SEARCH, "channels": ["Email", "Direct"]}
NAMES: dict[str, Any] = {"conversions": {name: {"name": "Purchase"} for name in ("lead", "purchase", "upsell")}}
"""Other names beside the one that was mapped alone, all called the same there."""


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def try_in_vain(rig: Rig, lane: Lane, server: FakeServer, **own: Any) -> None:
    """Has a lane send a conversion, and get no answer."""
    server.faults.extend([LOST] * 9)
    async with rig.running_lane(lane, a_batch_destination(lane.destination, server.url, **own)):
        await eventually_async(lambda: rig.deliveries(lane, C))
    server.faults.clear()


def rows(server: FakeServer) -> list[dict[str, Any]]:
    """Returns the only row of each request."""
    bodies = (json.loads(ask.body) for ask in server.asks)
    return [(body.get("events") or body["OfflineConversions"])[0] for body in bodies]


@pytest.mark.parametrize(
    ("before", "after", "sent", "refunded", "new", "forgets"),
    [
        pytest.param(FULL, SEARCH, 90, 60, 20, False, id="full, then credited"),
        pytest.param(SEARCH, FULL, 30, 20, 60, True, id="credited, then full; the ledger alone knows"),
        pytest.param(SEARCH, EMAIL, 30, 20, 40, False, id="credited to other channels"),
    ],
)
async def test_a_refund_is_told_of_the_value_that_was_sent_and_a_new_conversion_by_what_the_file_says_now(
    rig: Rig,
    workspace: str,
    before: dict[str, Any],
    after: dict[str, Any],
    sent: int,
    refunded: int,
    new: int,
    forgets: bool,
) -> None:
    lane, touches = Lane(workspace, "google"), (Touch("Paid Search"), Touch("Email"), Touch("Direct"))
    first, second = a_purchase(lane, touches=touches), a_purchase(lane, 1, touches=touches, value_micros=60_000_000)
    with running_fake("google") as server:
        await publish(rig, lane, [first])
        await deliver(rig, lane, server, **before)
        assert server.fake.values[f"p-{C}"] == sent
        if forgets:
            await rig.redis.delete(job_keys.sent(workspace, "google", C))
        await publish(rig, lane, [first.then()])
        await deliver(rig, lane, server, **after)
        assert len(server.asks) == 1, "nothing has changed but the file"
        await publish(rig, lane, [first.then().then(value_micros=60_000_000), second])
        await deliver(rig, lane, server, **after)
        assert (server.fake.values[f"p-{C}"], server.fake.values["p-c1:0001"]) == (refunded, new)
    told = {one.sent_value for one in await rig.deliveries(lane, C) if one.attempts}
    assert told == {"credited:30000000/90000000" if before else "full"}


async def test_what_got_no_answer_is_sent_again_with_the_value_that_it_had(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    first = a_purchase(lane, touches=(Touch("Paid Search"), Touch("Email")))
    with running_fake("google") as server:
        await publish(rig, lane, [first])
        await try_in_vain(rig, lane, server, **SEARCH)
        await deliver(rig, lane, server)
        assert {row["conversionValue"] for row in rows(server)} == {45}
        await publish(rig, lane, [first.then(value_micros=60_000_000)])
        await deliver(rig, lane, server)
        assert server.fake.values == {f"p-{C}": 30}


async def test_what_got_no_answer_from_microsoft_is_sent_again_in_its_second(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "microsoft")
    seconds = SystemClock().unix_micros() // 1_000_000 - 60
    not_its_turn = datetime.fromtimestamp(seconds - seconds % len(NAMES["conversions"]), UTC)
    with running_fake("microsoft") as server:
        await publish(rig, lane, [a_purchase(lane, time=not_its_turn)], clicked)
        await try_in_vain(rig, lane, server)
        await deliver(rig, lane, server, **NAMES)
        assert len({row["ConversionTime"] for row in rows(server)}) == 1
        assert server.fake.counted == {f"p-{C}": 1}


def of_an_order(message: ConversionRevised) -> None:
    clicked(message)
    message.match.pixel_event_id, message.state.order_key.order_id = "", "1001"


async def replay(rig: Rig, lane: Lane) -> None:
    """Has what is in the dead letters sent again, whatever may count twice."""
    stores = (SentLedger(rig.clickhouse), ReplayedJobs(rig.redis), SystemClock(), WaitingJobs(rig.redis))
    asked = DeliveryFilter(destination_id=lane.destination)
    answer = await Operations(*stores).replay(lane.workspace, asked, dry_run=False, risk_duplicates=True)
    assert answer.planned == 1


@pytest.mark.parametrize("kind", ["microsoft", "hubspot"])
async def test_who_risks_duplicates_sends_again_what_it_was_and_what_has_changed_since_follows(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane, first = Lane(workspace, kind), a_purchase(Lane(workspace, kind))
    names = NAMES if kind == "microsoft" else {"conversions": {"purchase": {}, "lead": {}}}
    with running_fake(kind) as server:
        await publish(rig, lane, [first], of_an_order)
        await try_in_vain(rig, lane, server)
        await publish(rig, lane, [first.then(value_micros=70_000_000)], of_an_order)
        await deliver(rig, lane, server, hours=80)
        dead = (await rig.deliveries(lane, C))[0]
        assert (dead.state, dead.outcome) == (DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN)
        await replay(rig, lane)
        await deliver(rig, lane, server, hours=80, **names)
        assert server.fake.accepted == 1, "it was there, and is known again"
        assert [int(value) for value in server.fake.values.values()] == [70]
    lines = await rig.deliveries(lane, C)
    assert [one.state for one in lines] == [DELIVERY_STATE_ACCEPTED] * 2
    assert len({(one.visible_id, one.sent_name, one.sent_conversion_time.ToMicroseconds()) for one in lines}) == 1


async def test_who_risks_duplicates_sends_to_the_account_that_the_file_names_now(rig: Rig, workspace: str) -> None:
    lane, other = Lane(workspace, "meta"), {"dataset_id": "42"}
    with running_fake("meta") as server:
        await publish(rig, lane, [a_purchase(lane)])
        await try_in_vain(rig, lane, server)
        await deliver(rig, lane, server, **other)
        asks = len(server.asks)
        await replay(rig, lane)
        await deliver(rig, lane, server, **other)
        assert len(server.asks) == asks + 1
    [line] = await rig.deliveries(lane, C)
    assert (line.state, line.sent_account) == (DELIVERY_STATE_ACCEPTED, "42")


def of_one_click(message: ConversionRevised) -> None:
    click = message.match.click_ids.add(family="msclkid", value="a-click")
    click.click_time.FromMicroseconds(message.state.conversion_time.ToMicroseconds() - 3_000_000)


async def test_orders_of_one_click_and_second_are_told_apart_as_long_as_there_are_seconds(
    rig: Rig, workspace: str
) -> None:
    lane, happened = Lane(workspace, "microsoft"), datetime.fromtimestamp(SystemClock().unix_micros() // 10**6 - 1, UTC)
    ordered = [a_purchase(lane, number, time=happened, value_micros=10_000_000 * number) for number in range(1, 5)]
    with running_fake("microsoft") as server:
        await publish(rig, lane, ordered[:3], of_one_click)
        await deliver(rig, lane, server)
        await publish(rig, lane, [ordered[3], ordered[0].then(value_micros=5_000_000)], of_one_click)
        await deliver(rig, lane, server)
        assert (server.fake.accepted, server.fake.repeats) == (4, 0), "the fourth has a second after it happened"
        told = {one.conversion_id: (await rig.deliveries(lane, one.conversion_id))[0] for one in ordered}
        assert len({one.sent_conversion_time.seconds for one in told.values()}) == 4
        corrected = [ask.json()["OfflineConversionAdjustments"] for ask in server.asks if b"Adjustments" in ask.body]
        seconds = told[ordered[0].conversion_id].sent_conversion_time.seconds
        assert [datetime.fromisoformat(row["ConversionTime"]).timestamp() for [row] in corrected] == [seconds]
    every, own = (
        job_keys.click_seconds(workspace, lane.destination, one) for one in ("*", click_digest(CLICK_KEY, "a-click"))
    )
    assert [key.decode() async for key in rig.redis.scan_iter(every, count=1000)] == [own], "nobody else finds it"


async def test_what_microsoft_cannot_tell_apart_is_not_sent_and_says_so(
    rig: Rig, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary_delivery.destinations.microsoft_event._MOST_TURNS", 0)
    lane, happened = Lane(workspace, "microsoft"), SystemClock().now() - timedelta(minutes=1)
    with running_fake("microsoft") as server:
        await publish(rig, lane, [a_purchase(lane, number, time=happened) for number in range(2)], of_one_click)
        await deliver(rig, lane, server)
        assert (server.fake.accepted, server.fake.repeats) == (1, 0)
    lines = [line for number in range(2) for line in await rig.deliveries(lane, f"c1:{number:04}")]
    assert {(one.state, one.ineligible_reason) for one in lines} == {
        (DELIVERY_STATE_ACCEPTED, INELIGIBLE_REASON_UNSPECIFIED),
        (DELIVERY_STATE_INELIGIBLE, INELIGIBLE_REASON_INDISTINCT),
    }


def of_a_lead(lead_id: str = "", root: str = "") -> Callable[[ConversionRevised], None]:
    def change(message: ConversionRevised) -> None:
        message.match.pixel_event_id = ""
        message.state.lead.lead_id, message.state.lead.root_order_id, message.state.lead.stage = lead_id, root, "won"
        if not lead_id:
            message.state.order_key.order_id, message.state.order_key.cycle = root, "stage:won"

    return change


@pytest.mark.parametrize("forgets", [0, 1, 2], ids=["Redis knows", "the ledger knows", "it knows two stages"])
@pytest.mark.parametrize(
    ("told", "names"),
    [
        pytest.param([("L-1", ""), ("L-1", "1001"), ("", "1001")], {"lead:L-1"}, id="by its id first"),
        pytest.param([("", "1001"), ("L-1", "1001"), ("L-1", "")], {"1001"}, id="by its root order first"),
        pytest.param([("L-1", ""), ("L-2", "1002"), ("", "1002")], {"lead:L-1", "1002"}, id="two leads"),
    ],
)
async def test_a_lead_is_one_object_by_whatever_its_stages_name_it(
    rig: Rig, workspace: str, told: list[tuple[str, str]], names: set[str], *, forgets: int
) -> None:
    lane, kind = Lane(workspace, "hubspot"), {"conversions": {"purchase": {}}}
    with running_fake("hubspot") as server:
        for number, (lead_id, root) in enumerate(told):
            if forgets and number == forgets:
                await rig.redis.delete(*[key async for key in rig.redis.scan_iter(match=f"trb:*{workspace}*:leads:*")])
            await publish(rig, lane, [a_purchase(lane, number)], of_a_lead(lead_id, root))
            await deliver(rig, lane, server, **kind)
        assert set(server.fake.counted) == names


async def test_a_stage_with_an_order_of_its_own_is_found_by_the_order_that_began_its_lead(
    rig: Rig, workspace: str
) -> None:
    def change(message: ConversionRevised) -> None:
        message.state.lead.root_order_id, message.state.lead.stage = "1001", "won"

    await publish(rig, Lane(workspace, "hubspot"), [a_purchase(Lane(workspace, "hubspot"))], change)
    name = order_name("", "1001")
    [found] = await PastFamilies(rig.clickhouse).of_names(workspace, [name])
    assert (found.member.conversion_id, found.member.names) == (C, (name,))
