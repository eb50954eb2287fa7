"""Names that count once per person, session or click: in event order, whatever arrives first, and the rest says why."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.stores import Stores
from tributary.attribution.v1.conversion_pb2 import NotCountedReason, RevisionCause
from tributary.event.v1.event_pb2 import Traffic
from tributary_domain.findings import COUNTED, NOT_COUNTED, FindingCause, FindingState, is_about_counting
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.redis.conversions import Conversions, Publication

MINUTE = 60_000_000

Opened = Callable[..., AbstractAsyncContextManager[Attribution]]


@pytest.fixture
def opened(stores: Stores, clickhouse_url: str, workspace: str) -> Opened:
    """Opens an attribution whose purchases count as told."""

    def opening(rule: str, **more: Any) -> AbstractAsyncContextManager[Attribution]:
        conversions = [{"name": "purchase", "counting": rule}]
        return running_attribution(stores.empty_redis_url(), clickhouse_url, workspace, conversions=conversions, **more)

    return opening


async def counted(attribution: Attribution, *order_ids: str) -> list[str]:
    """Returns per order why it is not counted; empty: it is."""
    told = []
    for order_id in order_ids:
        revised = await attribution.published(Events(attribution.workspace.id).conversion_id(order_id))
        assert revised is not None
        assert revised.state.counted is not bool(revised.state.not_counted_reason)
        reason = NotCountedReason.Name(revised.state.not_counted_reason).removeprefix("NOT_COUNTED_REASON_")
        told.append("" if revised.state.counted else reason)
    return told


@pytest.mark.parametrize(
    ("rule", "reasons"),
    [
        pytest.param("every", ["", "", "", ""], id="every one"),
        pytest.param("once_per_person", ["", *["ONCE_PER_PERSON"] * 3], id="once per person"),
        pytest.param("once_per_session", ["", "ONCE_PER_SESSION", "", "ONCE_PER_SESSION"], id="once per session"),
        pytest.param("once_per_click", ["", "ONCE_PER_CLICK", "ONCE_PER_CLICK", ""], id="once per click"),
    ],
)
@pytest.mark.parametrize("backwards", [pytest.param(False, id="in order"), pytest.param(True, id="backwards")])
async def test_which_conversions_count_does_not_hang_on_which_arrives_first(
    opened: Opened, workspace: str, rule: str, reasons: list[str], backwards: bool
) -> None:
    """Two in a session, one an hour later after the same click, and one right after a click of its own."""
    events = Events(workspace)
    batches = [
        events.touch("visitor:a", at=NOON, clicks={"gclid": "g-1"}),
        events.order("visitor:a", at=NOON + MINUTE, order_id="o-1"),
        events.order("visitor:a", at=NOON + 2 * MINUTE, order_id="o-2"),
        events.order("visitor:a", at=NOON + 62 * MINUTE, order_id="o-3"),
        events.touch("visitor:a", at=NOON + 63 * MINUTE, clicks={"gclid": "g-2"}),
        events.order("visitor:a", at=NOON + 64 * MINUTE, order_id="o-4"),
    ]
    async with opened(rule) as attribution:
        for one in reversed(batches) if backwards else batches:
            await attribution.handle(one)
        assert await counted(attribution, "o-1", "o-2", "o-3", "o-4") == reasons
        rows = await attribution.stored("counted")
        assert [row[0] for row in rows] == [not reason for reason in reasons]
        deltas = sum(revised.counted_delta for revised in await attribution.logged())
        assert deltas == reasons.count("")


@pytest.mark.parametrize("seed", range(4))
async def test_a_click_id_that_a_conversion_carries_itself_is_its_click_in_any_order_of_arrival(
    opened: Opened, workspace: str, seed: int
) -> None:
    """In its fields or its page; else the newest click of the journey. An order is at the click of any who saw it."""
    events = Events(workspace)
    thanks = "https://shop.example/thanks?gclid="
    batches = [
        events.touch("visitor:a", at=NOON, clicks={"gclid": "g-1"}),
        events.order("visitor:a", at=NOON + MINUTE, order_id="o-1"),
        events.order("visitor:a", at=NOON + 2 * MINUTE, order_id="o-2", click_ids={"gclid": "g-2"}),
        events.order("visitor:a", at=NOON + 3 * MINUTE, order_id="o-3", page_url=f"{thanks}g-2"),
        events.order("visitor:a", at=NOON + 4 * MINUTE, order_id="o-4"),
        events.order("visitor:a", at=NOON + 5 * MINUTE, order_id="o-5"),
        events.order("visitor:a", at=NOON + 6 * MINUTE, order_id="o-6", click_ids={"gclid": "g-3"}),
        events.order("visitor:a", at=NOON + 7 * MINUTE, order_id="o-5", letter="M", rank=1, page_url=f"{thanks}g-3"),
    ]
    random.Random(seed).shuffle(batches)
    async with opened("once_per_click") as attribution:
        for one in batches:
            await attribution.handle(one)
        reasons = await counted(attribution, *(f"o-{number}" for number in range(1, 7)))
        assert reasons == ["", "", "ONCE_PER_CLICK", "ONCE_PER_CLICK", "", "ONCE_PER_CLICK"]
        assert sum(revised.counted_delta for revised in await attribution.logged()) == 3


async def test_the_next_takes_over_from_one_that_is_taken_back_and_gives_way_when_that_is_restated(
    opened: Opened, workspace: str
) -> None:
    events = Events(workspace)
    async with opened("once_per_person") as attribution:
        await attribution.handle(
            events.touch("visitor:a", channel="Email"),
            events.order("visitor:a", order_id="o-1"),
            events.order("visitor:a", order_id="o-2", at=NOON + MINUTE),
        )
        assert await counted(attribution, "o-1", "o-2") == ["", "ONCE_PER_PERSON"]
        await attribution.handle(events.retraction(order_id="o-1"))
        assert await counted(attribution, "o-1", "o-2") == ["RETRACTED", ""]
        second = await attribution.published(events.conversion_id("o-2"))
        assert second is not None
        assert [RevisionCause.Name(cause) for cause in second.causes] == ["REVISION_CAUSE_COUNTING"]
        assert list(second.causing_event_ids) == ["retraction"]
        assert second.value_delta_micros == 90_000_000
        _, restated = events.refund(90_000_000, at=NOON + 2 * DAY, order_id="o-1")
        restated.event.adjustment.reason = 2
        await attribution.handle(("A", restated))
        assert await counted(attribution, "o-1", "o-2") == ["", "ONCE_PER_PERSON"]


async def test_one_that_was_taken_back_keeps_no_other_from_counting_once_redis_has_forgotten_it(
    opened: Opened, workspace: str
) -> None:
    events = Events(workspace)
    told = [events.order("visitor:a", order_id="o-1"), events.retraction(order_id="o-1")]
    async with opened("once_per_person") as attribution:
        await attribution.handle(*told)
        await attribution.record(*told)
        assert await counted(attribution, "o-1") == ["RETRACTED"]
        async for key in attribution.state.scan_iter(match=f"trb:*:conversion:*{events.conversion_id('o-1')}"):
            await attribution.state.delete(key)
        await attribution.handle(events.order("visitor:a", order_id="o-2", at=NOON + MINUTE))
        assert await counted(attribution, "o-2") == [""]


async def test_one_that_is_taken_back_while_it_is_credited_keeps_no_other_from_counting(
    opened: Opened, workspace: str
) -> None:
    events = Events(workspace)
    meanwhile: list[Callable[[], Awaitable[None]]] = []

    class Overtaken(Conversions):
        """Something happens between computing and publishing."""

        async def publish(self, publications: Sequence[Publication]) -> list[bool]:
            while meanwhile:
                await meanwhile.pop()()
            return await super().publish(publications)

    async with opened("once_per_person", conversions_as=Overtaken) as attribution:
        await attribution.handle(events.order("visitor:a", order_id="o-2"))
        meanwhile.append(partial(attribution.handle, events.retraction(order_id="o-1")))
        await attribution.handle(events.order("visitor:a", order_id="o-1", at=NOON - MINUTE))
        assert await counted(attribution, "o-1", "o-2") == ["RETRACTED", ""]


async def test_what_is_suspicious_or_a_test_never_counts_in_place_of_a_good_one(opened: Opened, workspace: str) -> None:
    events = Events(workspace)
    async with opened("once_per_person") as attribution:
        await attribution.handle(
            events.order("visitor:a", order_id="o-q", letter="Q", at=NOON - DAY),
            events.order("visitor:a", order_id="o-t", traffic=Traffic.TRAFFIC_TEST, at=NOON - DAY),
            events.order("visitor:a", order_id="o-1"),
        )
        assert await counted(attribution, "o-t", "o-1") == ["TRAFFIC", ""]


async def test_two_people_count_apart_until_they_are_one_and_again_when_that_is_taken_back(
    opened: Opened, workspace: str
) -> None:
    events = Events(workspace)
    async with opened("once_per_person") as attribution:
        await attribution.handle(
            events.order("visitor:a", order_id="o-1"), events.order("visitor:b", order_id="o-2", at=NOON + MINUTE)
        )
        assert await counted(attribution, "o-1", "o-2") == ["", ""]
        await attribution.handle(events.identify("visitor:a", "visitor:b"))
        assert await counted(attribution, "o-1", "o-2") == ["", "ONCE_PER_PERSON"]
        [merge] = await IdentityChanges(attribution.clickhouse).of_tokens(workspace, ["visitor:a"])
        await attribution.identities.undo(workspace, merge.change_id)
        assert await counted(attribution, "o-1", "o-2") == ["", ""]


async def test_what_is_suspicious_joins_no_two_sessions(opened: Opened, workspace: str) -> None:
    events = Events(workspace)
    async with opened("once_per_session") as attribution:
        await attribution.handle(
            events.order("visitor:a", order_id="o-1"),
            events.touch("visitor:a", at=NOON + 20 * MINUTE, letter="Q"),
            events.order("visitor:a", order_id="o-2", at=NOON + 40 * MINUTE),
        )
        assert await counted(attribution, "o-1", "o-2") == ["", ""]


def _people(events: Events, rule: str) -> list[Admitted]:
    """Returns what several people did: clicks, reloads, later visits, own click ids, what was taken back or waits."""
    world: list[Admitted] = []
    for number in range(6):
        who, order = f"visitor:{number}", partial(events.order, f"visitor:{number}")
        world += [
            events.touch(who, at=NOON, clicks={"gclid": f"g-{number}"}),
            order(at=NOON + MINUTE, order_id=f"{rule}-{number}-1"),
            order(at=NOON + 2 * MINUTE, order_id=f"{rule}-{number}-2", click_ids={"gclid": f"h-{number}"}),
            events.touch(who, at=NOON + 25 * MINUTE, letter="Q"),
            order(
                at=NOON + 50 * MINUTE, order_id=f"{rule}-{number}-3", page_url=f"https://shop.example/?gclid=h-{number}"
            ),
            order(at=NOON - MINUTE, order_id=f"{rule}-{number}-q", letter="Q"),
        ]
        if number % 2:
            retraction = events.retraction(order_id=f"{rule}-{number}-1", at=NOON + DAY)
            retraction[1].event.event_id = f"retraction-{number}"
            world.append(retraction)
        if number % 3 == 0:
            world.append(events.order(who, at=NOON + 3 * MINUTE, order_id=f"{rule}-{number}-1", letter="M", rank=1))
    return world


@pytest.mark.parametrize("rule", ["once_per_person", "once_per_session", "once_per_click"])
async def test_stream_and_batch_agree_on_which_count_and_a_wrong_count_is_found_beside_a_wrong_value_and_repaired(
    redis_url: str, clickhouse_url: str, workspace: str, rule: str
) -> None:
    world = _people(Events(workspace), rule)
    random.Random(rule).shuffle(world)
    conversions = [{"name": "purchase", "counting": rule}]
    async with reconciled(redis_url, clickhouse_url, workspace, conversions=conversions) as running:
        for start in range(0, len(world), 5):
            await running.happen(*world[start : start + 5])
        await running.run()
        assert await running.differences() == []
        columns = "order_id, counted, not_counted_reason, value_micros"
        before = await running.attribution.stored(columns)
        assert {counts for _, counts, *_ in before} == {True, False}
        for is_counted in (True, False):
            one = next(
                order_id for order_id, counts, reason, _ in before if counts is is_counted and reason != "RETRACTED"
            )
            await running.execute(
                "ALTER TABLE conversions UPDATE counted = NOT counted, not_counted_reason = if(counted, %(r)s, ''),"
                " value_micros = value_micros + if(counted, 7, 0) WHERE workspace = %(w)s AND order_id = %(o)s",
                r=rule.upper(),
                o=one,
            )
        run = await running.run()
        found = await running.differences()
        assert [finding.cause for finding in found] == [FindingCause.WRONG_VALUE] * 3
        assert {finding.state for finding in found} == {FindingState.RESOLVED}
        assert sorted(Counter(finding.conversion_id for finding in found).values()) == [1, 2]
        counting = [finding for finding in found if is_about_counting(finding)]
        assert sorted((finding.expected, finding.actual) for finding in counting) == [
            (COUNTED, f"not counted: {rule.upper()}"),
            (NOT_COUNTED, COUNTED),
        ]
        assert run.counts["repaired"] == 3
        assert await running.attribution.stored(columns) == before
