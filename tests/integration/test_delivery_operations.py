"""What an operator sees of deliveries, and what becomes of those that are sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from tests.support.batches import a_batch_destination, a_purchase, plan, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.delivery_funnel import funnel
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_PENDING,
    OUTCOME_CLASS_PERMANENT,
    OUTCOME_CLASS_RETRY,
    OUTCOME_CLASS_UNKNOWN,
    Delivery,
    DeliveryFilter,
    DeliveryState,
)
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary.query.v1.query_service_pb2 import GetDeliveryFunnelRequest
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import LOST, REFUSED, FakeServer, Fault
from tributary_delivery.destination_spans import DestinationSpans
from tributary_delivery.operations import Operations
from tributary_domain.backoff import Backoff
from tributary_query.delivery_funnel import Funnels
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import InvalidRequestError, StorageUnavailableError
from tributary_storage.clickhouse.delivery_funnel import DeliveryFunnel
from tributary_storage.clickhouse.destination_spans import DestinationSpans as StoredSpans
from tributary_storage.clickhouse.destination_spans import Span
from tributary_storage.clickhouse.latencies import read_destinations
from tributary_storage.clickhouse.sent_ledger import SentLedger
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.replayed_jobs import ReplayedJobs
from tributary_storage.redis.waiting_jobs import WaitingJobs


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@pytest.fixture
def lane(workspace: str) -> Lane:
    return Lane(workspace, "linkedin")


def operations(rig: Rig) -> Operations:
    return Operations(SentLedger(rig.clickhouse), ReplayedJobs(rig.redis), SystemClock(), WaitingJobs(rig.redis))


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


async def test_what_waits_of_a_conversion_that_is_named_is_shown_though_nobody_has_looked_at_it(
    rig: Rig, lane: Lane
) -> None:
    await publish(rig, lane, [a_purchase(lane, number) for number in range(2)])
    await rig.redis.zadd(job_keys.due(lane.workspace, "linkedin"), {"c1:0001": 2_000_000_000_000})

    async def waiting(**asked: object) -> list[tuple[str, str, int]]:
        wanted = DeliveryFilter(**{"conversion_ids": ["c1:0001", "c1:0002"], **asked})  # type: ignore[arg-type]
        found = await operations(rig).page(lane.workspace, wanted, "", 1, ["linkedin", "meta"])
        assert {one.state for one in found.waiting} <= {DELIVERY_STATE_PENDING}
        return [(one.destination_id, one.conversion_id, one.due_time.seconds) for one in found.waiting]

    held = [("linkedin", "c1:0001", 2_000_000_000)]
    assert await waiting() == await waiting(destination_id="linkedin", states=[DELIVERY_STATE_PENDING]) == held
    assert await waiting(destination_id="meta") == await waiting(states=[DELIVERY_STATE_DEAD]) == []
    assert await waiting(outcomes=[OUTCOME_CLASS_PERMANENT]) == await waiting(conversion_ids=[]) == []


async def test_all_that_waits_is_shown_page_by_page_and_by_when_it_is_due(rig: Rig, lane: Lane) -> None:
    await publish(rig, lane, [a_purchase(lane, number) for number in range(4)])
    due = job_keys.due(lane.workspace, "linkedin")
    names = [name.decode() for name in await rig.redis.zrange(due, 0, -1)]
    await rig.redis.zadd(due, dict.fromkeys(names, 2_000_000_000_000))  # many are due at one moment

    async def pending(
        size: int = 3, destination_ids: Sequence[str] = ("linkedin", "meta"), **asked: object
    ) -> list[str]:
        found: list[Delivery] = []
        wanted, token = DeliveryFilter(states=[DELIVERY_STATE_PENDING], **asked), ""  # type: ignore[arg-type]
        while True:
            page = await operations(rig).page(lane.workspace, wanted, token, size, destination_ids)
            assert len(page.waiting) + len(page.deliveries) <= size
            found += [*page.waiting, *page.deliveries]
            token = page.next_token
            if not token:
                return [one.conversion_id for one in found]

    for size in (1, 2, 3, 4, 100):
        assert await pending(size) == await pending(size, destination_id="linkedin") == names
    assert await pending(destination_id="meta") == await pending(destination_ids=["meta"]) == []
    assert await pending(outcomes=[OUTCOME_CLASS_PERMANENT]) == []
    await rig.redis.zadd(due, {names[2]: 1_000})
    assert await pending() == [names[2], names[0], names[1], names[3]]
    everything = await operations(rig).page(lane.workspace, DeliveryFilter(), "", 3, ["linkedin"])
    assert list(everything.waiting) == [], "who does not ask for it looks at what was sent"


async def give_up_again(rig: Rig, lane: Lane, server: FakeServer) -> None:
    """Sends once more what is refused for good, with and without what an earlier version kept of its attempts."""
    dead = DeliveryFilter(destination_id="linkedin", states=[DELIVERY_STATE_DEAD])
    sent = job_keys.sent(lane.workspace, "linkedin", "c1:0001")
    for attempts, is_kept in ((2, True), (3, False)):
        if not is_kept:
            await rig.redis.set(sent, (await rig.redis.get(sent)).partition(b" ")[0] + b" never")
        await operations(rig).replay(lane.workspace, dead, dry_run=False, risk_duplicates=False)
        await deliver(rig, lane, server)
        numbers = (
            "SELECT attempt FROM deliveries FINAL WHERE workspace = %(w)s AND conversion_id = 'c1:0001' ORDER BY 1"
        )
        rows = await rig.clickhouse.execute(numbers, {"w": lane.workspace})
        assert [number for (number,) in rows] == list(range(1, attempts + 1)), "each attempt has its line"


async def test_what_was_given_up_is_sent_again_and_what_was_taken_is_not(rig: Rig, lane: Lane) -> None:
    await publish(rig, lane, [a_purchase(lane, number) for number in range(3)])
    with running_fake("linkedin") as server:
        server.fake.poison.add("p-c1:0001")
        await deliver(rig, lane, server)
        await give_up_again(rig, lane, server)
        server.fake.poison.clear()
        everything = DeliveryFilter(destination_id="linkedin", states=[DELIVERY_STATE_DEAD, DELIVERY_STATE_ACCEPTED])

        async def replay(*, dry_run: bool) -> tuple[int, int, int]:
            how = {"dry_run": dry_run, "risk_duplicates": False}
            answer = await operations(rig).replay(lane.workspace, everything, **how)
            return answer.matched, answer.planned, answer.waiting

        assert await replay(dry_run=True) == (3, 1, 0)
        assert await rig.stores.jobs.waiting(lane) == 0, "a dry run"
        assert await rig.stores.jobs.dead(lane, 0) == 1, "a dry run"
        assert await replay(dry_run=False) == (3, 1, 0), "what it has it is not sent again"
        assert await replay(dry_run=True) == await replay(dry_run=False) == (3, 0, 1)
        await deliver(rig, lane, server)
        assert server.fake.counted == {f"p-c1:{number:04}": 1 for number in range(3)}
    assert await listed(rig, lane, states=[DELIVERY_STATE_DEAD]) == []


async def test_what_one_call_leaves_another_begins_with_though_the_first_is_being_sent(
    rig: Rig, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(rig, lane, [a_purchase(lane, number) for number in range(5)])
    monkeypatch.setattr("tributary_delivery.operations.MOST_REPLAYED", 2)
    monkeypatch.setattr("tributary_delivery.operations._PAGE", 2)
    with running_fake("linkedin") as server:
        server.fake.poison.update(f"p-c1:{number:04}" for number in range(5))
        await deliver(rig, lane, server)
        dead, planned, token = DeliveryFilter(destination_id="linkedin"), [], ""
        while not planned or token:
            answer = await operations(rig).replay(
                lane.workspace, dead, dry_run=False, risk_duplicates=False, token=token
            )
            planned.append(answer.planned)
            token = answer.next_page_token
            await deliver(rig, lane, server)
    assert planned == [2, 2, 1]


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


async def test_other_settings_end_a_pause_that_settings_are_to_blame_for_and_no_other(rig: Rig, lane: Lane) -> None:
    for blamed, now, until in (("before", "after", 0), ("before", "before", 2**40), ("", "after", 2**40)):
        await rig.stores.states.pause(lane, 2**40, "why", settings=blamed)
        await rig.stores.states.mend(lane, now)
        assert (await rig.stores.states.read(lane)).paused_until_millis == until


async def test_who_still_runs_under_settings_that_are_to_blame_holds_up_nobody_who_has_others(
    rig: Rig, lane: Lane
) -> None:
    await publish(rig, lane, [a_purchase(lane)])
    await rig.stores.states.pause(lane, 2**43, "why", settings="before")
    for settings, found in (("before", 0), ("", 0), ("after", 1)):
        leased = await rig.stores.jobs.lease(lane, "token", 30.0, 10, settings=settings)
        assert (len(leased.jobs), leased.wait_seconds > 1) == (found, not found)
    await rig.stores.states.hold(lane, "the agency asked")
    state = await rig.stores.states.read(lane)
    assert [state.is_paused(0, one) for one in ("before", "after")] == [True, True]


async def test_the_funnel_has_every_conversion_in_exactly_one_place(rig: Rig, lane: Lane) -> None:
    revisions = [a_purchase(lane, number) for number in range(6)]
    await publish(rig, lane, revisions[:5])
    await publish(rig, lane, revisions[5:], lambda message: message.match.ClearField("consent"))
    with running_fake("linkedin") as server:
        server.fake.poison.update({"p-c1:0001", "p-c1:0003"})
        await deliver(rig, lane, server)
        await publish(rig, lane, [revisions[0].then(value_micros=1_000_000)])
        await deliver(rig, lane, server)
    assert await funnel(rig, lane) == {
        **{"captured": 6, "without_consent": 1, "consented": 5, "eligible": 5, "sent": 5},
        **{"accepted": 3, "unreported": 3, "not_correctable": 1},
        **{"rejected": 2, "rejected_reasons": {"PERMANENT 422": 2}},
    }


def deny(message: ConversionRevised) -> None:
    message.match.consent.ad_user_data = CONSENT_STATE_DENIED


async def test_the_funnel_begins_when_a_conversion_is_published_and_adds_up_while_it_waits(
    rig: Rig, workspace: str
) -> None:
    lane = Lane(workspace, "meta")
    await StoredSpans(rig.clickhouse).write([Span(workspace, "meta", 0)])
    messages = await publish(rig, lane, [a_purchase(lane, number) for number in range(3)], is_planned=False)
    waits = {"captured": 3, "waiting": 3}
    assert await funnel(rig, lane) == waits, "nobody has read the conversion log"
    await plan(rig, [lane], messages)
    assert await funnel(rig, lane) == waits, "the destination is paused"
    attempted = {"captured": 3, "consented": 3, "eligible": 3, "sent": 3}

    async def is_in(place: str, count: int) -> bool:
        return (await funnel(rig, lane)).get(place) == count

    with running_fake("meta") as server:
        server.faults.append(REFUSED)
        later = {"backoff": Backoff(86_400.0, 86_400.0), "horizon_seconds": 1e6}
        async with rig.running_lane(lane, a_batch_destination("meta", server.url), **later) as runner:  # type: ignore[arg-type]
            await eventually_async(lambda: is_in("retrying", 3))
            assert await funnel(rig, lane) == {**attempted, "retrying": 3}
            await publish(rig, lane, [a_purchase(lane, 1).then()], deny)
            for number in (0, 1):
                await rig.redis.zadd(job_keys.due(workspace, "meta"), {f"c1:{number:04}": 1})
            runner.wake()
            await eventually_async(lambda: is_in("withdrawn", 1))
            await eventually_async(lambda: is_in("accepted", 1))
    found = await funnel(rig, lane)
    assert sum(found.pop("withdrawn_reasons").values()) == 1
    assert found == {**attempted, "retrying": 1, "withdrawn": 1, "accepted": 1, "unreported": 1}


async def test_what_could_not_leave_is_no_attempt(rig: Rig, lane: Lane) -> None:
    """Nobody listens there: the ledger says so, and neither the funnel nor the health takes it for sent."""
    await publish(rig, lane, [a_purchase(lane, number) for number in range(2)])
    nowhere, later = a_batch_destination("linkedin"), Backoff(86_400.0, 86_400.0)

    async def lines(state: DeliveryState.ValueType) -> list[Delivery]:
        return await listed(rig, lane, states=[state])

    due = job_keys.due(lane.workspace, lane.destination)
    async with rig.running_lane(lane, nowhere, backoff=later, horizon_seconds=1e6):
        await eventually_async(lambda: lines(DELIVERY_STATE_PENDING))
    pending = await lines(DELIVERY_STATE_PENDING)
    said = {(one.attempts, one.unsent, one.outcome, one.HasField("attempt_time")) for one in pending}
    assert said == {(0, True, OUTCOME_CLASS_RETRY, True)}
    assert len(await listed(rig, lane, 1)) == 2, "a page begins after what could not leave, too"
    assert [int(await rig.redis.hget(key_of_job(lane, number), "a")) for number in range(2)] == [0, 0]
    unsent = {"captured": 2, "consented": 2, "eligible": 2, "unsent": 2}
    assert await funnel(rig, lane) == {**unsent, "unsent_reasons": {"PENDING RETRY": 2}}
    assert (await rig.stores.states.read(lane)).last_outcome == OUTCOME_CLASS_RETRY
    await rig.redis.zadd(due, {"c1:0001": SystemClock().unix_micros() // 1000})
    async with rig.running_lane(lane, nowhere, backoff=later, horizon_seconds=0.0):
        await eventually_async(lambda: lines(DELIVERY_STATE_DEAD))
    assert await funnel(rig, lane) == {**unsent, "unsent_reasons": {"PENDING RETRY": 1, "DEAD RETRY": 1}}
    await operations(rig).replay(
        lane.workspace, DeliveryFilter(states=[DELIVERY_STATE_DEAD]), dry_run=False, risk_duplicates=False
    )
    await rig.redis.zadd(due, {"c1:0000": SystemClock().unix_micros() // 1000})
    with running_fake("linkedin") as server:
        await deliver(rig, lane, server)
    assert {(one.attempts, one.unsent) for one in await lines(DELIVERY_STATE_ACCEPTED)} == {(1, False)}
    [health] = await read_destinations(rig.clickhouse, lane.workspace, 3_600)
    assert (health.attempts, health.successes, health.unsent) == (2, 2, 2)
    sent = {"captured": 2, "consented": 2, "eligible": 2, "sent": 2, "accepted": 2, "unreported": 2}
    assert await funnel(rig, lane) == sent


async def test_an_attempt_that_was_answered_stays_in_the_ledger_when_the_next_one_cannot_leave(
    rig: Rig, lane: Lane
) -> None:
    await publish(rig, lane, [a_purchase(lane)])
    due, later = job_keys.due(lane.workspace, lane.destination), Backoff(86_400.0, 86_400.0)
    waiting = {"backoff": later, "horizon_seconds": 1e6}
    with running_fake("linkedin") as server:
        server.faults.append(Fault(takes=False, reply=Reply(429)))
        async with rig.running_lane(lane, a_batch_destination("linkedin", server.url), **waiting):  # type: ignore[arg-type]
            await eventually_async(lambda: listed(rig, lane))
    await rig.redis.zadd(due, {"c1:0000": SystemClock().unix_micros() // 1000})

    async def is_unsent() -> bool:
        return [one.unsent for one in await listed(rig, lane)] == [True]

    async with rig.running_lane(lane, a_batch_destination("linkedin"), **waiting):  # type: ignore[arg-type]
        await eventually_async(is_unsent)
    [line] = await listed(rig, lane)
    assert (line.attempts, line.status_code) == (1, 0)
    rows = await rig.clickhouse.execute(
        "SELECT attempt, unsent, status_code FROM deliveries FINAL WHERE workspace = %(w)s ORDER BY unsent",
        {"w": lane.workspace},
    )
    assert rows == [(1, 0, 429), (1, 1, 0)]
    assert (await funnel(rig, lane))["retrying"] == 1


def key_of_job(lane: Lane, number: int) -> str:
    return job_keys.job(lane.workspace, lane.destination, f"c1:{number:04}")


async def test_the_funnel_forgets_neither_a_destination_that_is_gone_nor_waits_for_it(rig: Rig, lane: Lane) -> None:
    first, second = a_purchase(lane, 0), a_purchase(lane, 1).then()
    spans, since = StoredSpans(rig.clickhouse), first.number
    await spans.write([Span(lane.workspace, lane.destination, since)])
    await spans.write([Span(lane.workspace, lane.destination, since, since + 1)])
    await publish(rig, lane, [first, second], is_planned=False)
    assert await funnel(rig, lane) == {"captured": 1, "waiting": 1}


async def test_the_funnel_is_read_page_by_page_and_within_the_days_that_are_asked_for(rig: Rig, lane: Lane) -> None:
    for name in ("a", "b"):
        await StoredSpans(rig.clickhouse).write([Span(lane.workspace, name, 0)])
    await publish(rig, lane, [a_purchase(lane)], is_planned=False)
    funnels, found = Funnels(DeliveryFunnel(rig.clickhouse), SystemClock()), []
    declared = [a_batch_destination("google").model_copy(update={"id": "a"})]
    request = GetDeliveryFunnelRequest(page_size=1)
    while not found or request.page_token:
        answer = await funnels.page(request, lane.workspace, declared)
        found += [(row.destination_id, row.captured, row.waiting, row.HasField("reports_later")) for row in answer.rows]
        request.page_token = answer.next_page_token
    assert found == [("a", 1, 1, True), ("b", 1, 1, False)], "b is no longer declared"
    earlier = GetDeliveryFunnelRequest(destination_id="b")
    earlier.time_range.end_time.FromDatetime(SystemClock().now() - timedelta(days=2))
    assert list((await funnels.page(earlier, lane.workspace, ())).rows) == []
    with pytest.raises(InvalidRequestError, match="token"):
        await funnels.page(GetDeliveryFunnelRequest(page_token="another"), lane.workspace, ())


async def spans_of(rig: Rig, lane: Lane) -> list[Span]:
    return sorted(await StoredSpans(rig.clickhouse).of(lane.workspace))


async def test_the_planner_notes_which_destinations_there_are_and_no_longer(rig: Rig, lane: Lane) -> None:
    workspace, spans = lane.workspace, DestinationSpans(StoredSpans(rig.clickhouse))
    await spans.note(workspace, ["crm", "linkedin"], 2_000)
    await spans.note(workspace, ["crm", "linkedin"], 3_000)
    declared = [Span(workspace, "crm", 2_000), Span(workspace, "linkedin", 2_000)]
    assert await spans_of(rig, lane) == declared
    ahead = SystemClock().unix_micros() + 3_600_000_000  # by whoever published it
    await spans.note(workspace, ["crm", "linkedin", "meta"], ahead)
    assert await spans_of(rig, lane) == [*declared, Span(workspace, "meta", ahead)]
    another = DestinationSpans(StoredSpans(rig.clickhouse))
    await another.note(workspace, ["crm"], 1_000)
    gone = [Span(workspace, "linkedin", 2_000, 2_000), Span(workspace, "meta", ahead, ahead)]
    assert await spans_of(rig, lane) == [Span(workspace, "crm", 1_000), Span(workspace, "crm", 2_000), *gone]
    await another.note(workspace, ["crm", "linkedin"], 9_000)
    assert await spans_of(rig, lane) == [
        *(Span(workspace, "crm", 1_000), Span(workspace, "crm", 2_000)),
        *(gone[0], Span(workspace, "linkedin", 9_000), gone[1]),
    ]


async def test_a_destination_that_was_taken_out_has_none_of_what_is_planned_without_it(rig: Rig, lane: Lane) -> None:
    revisions = [a_purchase(lane, number) for number in range(4)]
    told, late, later, last = [one.number for one in revisions]
    await publish(rig, lane, revisions, is_planned=False)
    replicas = [DestinationSpans(StoredSpans(rig.clickhouse)) for _ in range(2)]
    for one in replicas:
        await one.note(lane.workspace, [lane.destination], told)
    assert (await funnel(rig, lane))["captured"] == 4
    await replicas[0].note(lane.workspace, [], later)
    assert (await funnel(rig, lane))["captured"] == 2, "none was told of what that batch begins with"
    await replicas[1].note(lane.workspace, [], last)
    assert (await funnel(rig, lane))["captured"] == 2, "another replica sees it with a batch that is newer"
    await replicas[0].note(lane.workspace, [], late)
    assert await funnel(rig, lane) == {"captured": 1, "waiting": 1}, "another shard's batch comes after it"


class _OutOnce(StoredSpans):
    """Does not answer once: when something is written."""

    is_out = True

    async def write(self, spans: Sequence[Span]) -> None:
        if self.is_out:
            self.is_out = False
            raise StorageUnavailableError("ClickHouse did not answer.")
        await super().write(spans)


async def test_what_could_not_be_noted_is_noted_with_the_next_batch(rig: Rig, lane: Lane) -> None:
    workspace, store = lane.workspace, _OutOnce(rig.clickhouse)
    spans = DestinationSpans(store)
    await spans.note(workspace, ["crm"], 2_000)
    assert await spans_of(rig, lane) == []
    await spans.note(workspace, ["crm"], 3_000)
    assert await spans_of(rig, lane) == [Span(workspace, "crm", 2_000)]
    store.is_out = True
    await spans.note(workspace, ["meta"], 4_000)
    await spans.note(workspace, ["meta"], 5_000)
    assert await spans_of(rig, lane) == [Span(workspace, "crm", 2_000, 4_000), Span(workspace, "meta", 4_000)]
