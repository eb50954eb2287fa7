"""What Google reports hours later of what it queued is the last word on it, and the sums add up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from tests.support.batches import (
    TOKEN,
    Ahead,
    FakeTokens,
    a_batch_destination,
    a_purchase,
    declared_batches,
    oauth,
    publish,
    running_fake,
)
from tests.support.delivery import Rig, a_rig, digest_of
from tests.support.delivery_funnel import funnel
from tests.support.eventually import eventually_async
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_REPORT_REJECTED,
    DELIVERY_REPORT_TAKEN,
    DELIVERY_REPORT_UNCLEAR,
    DELIVERY_REPORT_UNSPECIFIED,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_SUPERSEDED,
    OUTCOME_CLASS_PERMANENT,
    Delivery,
)
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.google import FakeGoogle
from tributary_cli.demo.fakes.server import FakeServer, Fault
from tributary_delivery.ledger_batches import LedgerBatches
from tributary_delivery.report_judgement import AGAIN_SECONDS
from tributary_delivery.reports import Reports
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.errors import StorageUnavailableError
from tributary_runtime.workspaces import Workspaces
from tributary_storage.clickhouse.destination_reports import DestinationReports
from tributary_storage.clickhouse.writer import DeliveryWriter
from tributary_storage.redis import job_keys
from tributary_storage.redis.awaited_reports import AwaitedReports
from tributary_storage.redis.delivery_job import Lane, Settled, Settlement
from tributary_storage.redis.taken_back import TakingBack


@dataclass
class Declared:
    """A workspaces file of one destination."""

    current: Workspaces


@dataclass
class Later(Ahead):
    """All clocks of the machine, so many hours ahead."""

    def monotonic_seconds(self) -> float:
        return super().monotonic_seconds() + self.hours * 3_600


@dataclass
class CutShort:
    """A store up to one statement, and none from there on: what a process has done that dies then."""

    store: Any
    statement: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def insert(self, table: str, *rows: Any) -> int:
        if table == self.statement:
            raise StorageUnavailableError("It died.")
        return int(await self.store.insert(table, *rows))

    async def zrem(self, *names: Any) -> int:
        if self.statement == "zrem":
            raise redis.ConnectionError
        return int(await self.store.zrem(*names))


@dataclass
class Google:
    """A lane that sends to Google, and what reads its reports, hours ahead."""

    rig: Rig
    lane: Lane
    server: FakeServer
    clock: Later = field(default_factory=Later)
    own: dict[str, Any] = field(default_factory=dict)
    """What else the file says."""
    dies_at: str = ""
    """The table, or the command of Redis, that who reads reports does not get to write."""

    @property
    def fake(self) -> FakeGoogle:
        assert isinstance(self.server.fake, FakeGoogle)
        return self.server.fake

    @property
    def settings(self) -> BatchDestination:
        return a_batch_destination("google", self.server.url, **self.own)

    def declared(self) -> Workspaces:
        own = {"id": self.lane.workspace, "pepper": {"value": "a pepper of the tests"}}
        declared = {"workspaces": [{**own, "destinations": [declared_batches("google", self.server.url, **self.own)]}]}
        return Workspaces.model_validate(declared)

    def reports(self, file: Declared | None = None) -> Reports:
        client, stores = self.rig.redis, self.rig.stores
        clickhouse: Any = CutShort(self.rig.clickhouse, self.dies_at)
        awaiting: Any = CutShort(client, self.dies_at)
        return Reports(
            file or Declared(self.declared()),
            AwaitedReports(awaiting),
            self.rig.senders(clock=self.clock),
            DestinationReports(clickhouse),
            LedgerBatches(DeliveryWriter(clickhouse)),
            TakingBack(client),
            stores.states,
            self.clock,
            digest_of,
        )

    async def send(self) -> None:
        async def is_idle() -> bool:
            return (await self.rig.stores.jobs.lease(self.lane, "look", 0.0, 0)).jobs == [] and not await self.waiting()

        async with self.rig.running_lane(self.lane, self.settings, clock=self.clock):
            await eventually_async(is_idle)

    async def waiting(self) -> int:
        """Returns how many are due by now."""
        due = job_keys.due(self.lane.workspace, self.lane.destination)
        now_seconds = await self.rig.redis.time()
        return int(await self.rig.redis.zcount(due, 0, (now_seconds[0] + 60) * 1000))

    async def hasten(self, hours: float) -> None:
        """Has what waits be due so many hours earlier."""
        due = job_keys.due(self.lane.workspace, self.lane.destination)
        for member, score in await self.rig.redis.zrange(due, 0, -1, withscores=True):
            await self.rig.redis.zadd(due, {member: score - hours * 3_600_000})

    async def read(self, hours: float = 1.0) -> int:
        """Reads reports, so many hours from now."""
        self.clock.hours = hours
        await self.forget_lease()
        reports = self.reports()
        try:
            return await reports.read()
        finally:
            await reports.aclose()

    async def forget_lease(self) -> None:
        """Lets another process ask, or this one again at once."""
        await self.rig.redis.delete(job_keys.reports_lease(self.lane.workspace, self.lane.destination))

    async def deliveries(self, numbers: Sequence[int]) -> list[Delivery]:
        return [(await self.rig.deliveries(self.lane, f"c1:{number:04}"))[-1] for number in numbers]

    async def funnel(self) -> dict[str, Any]:
        return {name: count for name, count in (await funnel(self.rig, self.lane)).items() if "reported" in name}

    async def causes(self) -> Counter[str]:
        rows = await self.rig.clickhouse.execute(
            "SELECT cause, sum(conversions) FROM bi_delivery_reports WHERE workspace = %(workspace)s GROUP BY cause",
            {"workspace": self.lane.workspace},
        )
        return +Counter({cause: int(count) for cause, count in rows})


@pytest.fixture
async def google(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Google]:
    async with a_rig(migrated_redis_url, clickhouse_url) as rig:
        with running_fake("google") as server:
            yield Google(rig, Lane(workspace, "google"), server)


async def sent(google: Google, count: int) -> None:
    await publish(google.rig, google.lane, [a_purchase(google.lane, number) for number in range(count)])
    await google.send()


async def sent_apart(google: Google, count: int) -> None:
    for number in range(count):
        await publish(google.rig, google.lane, [a_purchase(google.lane, number)])
        await google.send()


async def test_what_counts_is_reported_and_asked_for_once_and_not_before_half_an_hour(google: Google) -> None:
    await sent(google, 3)
    assert await google.read(0.4) == 0
    assert [ask.method for ask in google.server.asks] == ["POST"]
    assert [one.report for one in await google.deliveries(range(3))] == [DELIVERY_REPORT_UNSPECIFIED] * 3
    assert await google.funnel() == {"unreported": 3}
    assert (await google.read(), await google.read()) == (1, 0)
    assert [one.report for one in await google.deliveries(range(3))] == [DELIVERY_REPORT_TAKEN] * 3
    assert await google.funnel() == {"reported_taken": 3}
    assert await google.causes() == {"": 3}
    assert google.fake.counted.total() == 3


async def test_while_it_is_processed_it_is_asked_for_ever_more_rarely_and_after_weeks_no_more(google: Google) -> None:
    google.fake.is_processing = True
    await sent(google, 1)
    asked = []
    for hours in (1, 1.5, 2.1, 3, 4.3, 200, 223, 225, 1_100, 1_200):
        before = len(google.server.asks)
        assert await google.read(hours) == 0
        asked.append(len(google.server.asks) > before)
    assert asked == [True, False, True, False, True, True, False, True, True, False]


async def test_one_process_at_a_time_asks(google: Google) -> None:
    await sent(google, 1)
    google.clock.hours = 1
    processes = [google.reports() for _ in range(3)]
    found: list[int] = await asyncio.gather(*(one.read() for one in processes))
    await asyncio.gather(*(one.aclose() for one in processes))
    assert sorted(found) == [0, 0, 1]
    assert [ask.method for ask in google.server.asks] == ["POST", "GET"]


async def test_what_is_refused_later_for_good_is_a_dead_letter_that_can_be_sent_again(google: Google) -> None:
    google.fake.refused_later["p-c1:0000"] = "EVENT_TOO_OLD"
    await sent(google, 1)
    await google.read()
    [delivery] = await google.deliveries([0])
    assert (delivery.state, delivery.outcome, delivery.report) == (
        *(DELIVERY_STATE_DEAD, OUTCOME_CLASS_PERMANENT),
        DELIVERY_REPORT_REJECTED,
    )
    assert "EVENT_TOO_OLD" in delivery.message
    assert await google.rig.stores.jobs.waiting(google.lane) == 0, "not by itself"
    assert await google.rig.stores.jobs.dead(google.lane, 0) == 1
    assert await google.funnel() == {
        "reported_rejected": 1,
        "reported_rejected_reasons": {"EVENT_TOO_OLD": 1},
    }
    await publish(google.rig, google.lane, [a_purchase(google.lane).then(value_micros=70_000_000)])
    google.fake.refused_later.clear()
    await google.send()
    assert (await google.deliveries([0]))[0].operation == 1, "it does not have it, so it is created"


async def test_what_is_refused_for_a_reason_that_passes_is_sent_again_under_its_id(google: Google) -> None:
    google.fake.refused_later["p-c1:0000"] = "TOO_RECENT_CLICK"
    await sent(google, 1)
    await google.read()
    await google.send()
    assert len([ask for ask in google.server.asks if ask.method == "POST"]) == 1, "not yet"
    google.fake.refused_later.clear()
    await google.hasten(AGAIN_SECONDS / 3_600 + 0.1)
    await google.send()
    first, again = (ask.json()["events"] for ask in google.server.asks if ask.method == "POST")
    assert first == again
    await google.read(2.0)
    [delivery] = await google.deliveries([0])
    assert (delivery.state, delivery.report) == (DELIVERY_STATE_ACCEPTED, DELIVERY_REPORT_TAKEN)
    assert await google.funnel() == {"reported_taken": 1}


async def test_the_gap_is_shown_by_cause_where_nobody_says_which(google: Google) -> None:
    google.fake.refused_later.update({"p-c1:0001": "CLICK_NOT_FOUND", "p-c1:0002": "CLICK_NOT_FOUND"})
    google.fake.refused_later["p-c1:0003"] = "DUPLICATE_GCLID"  # counts already
    await sent(google, 5)
    await google.read()
    unclear = await google.deliveries(range(5))
    assert {one.report for one in unclear} == {DELIVERY_REPORT_UNCLEAR}
    assert {one.report_reason for one in unclear} == {"2 CLICK_NOT_FOUND of 5"}
    assert {one.state for one in unclear} == {DELIVERY_STATE_ACCEPTED}
    assert await google.causes() == {"": 3, "CLICK_NOT_FOUND": 2}
    assert await google.funnel() == {
        "reported_taken": 3,
        "reported_rejected": 2,
        "reported_rejected_reasons": {"CLICK_NOT_FOUND": 2},
    }
    assert await google.rig.stores.jobs.waiting(google.lane) == 0


async def test_a_part_of_a_request_is_taken_but_for_as_many_as_can_be_refused(google: Google) -> None:
    google.fake.refused_later.update({"p-c1:0001": "CLICK_NOT_FOUND", "p-c1:0002": "EVENT_TOO_OLD"})
    await sent(google, 6)
    await google.read()
    everyone = {"reported_rejected_reasons": {"CLICK_NOT_FOUND": 1, "EVENT_TOO_OLD": 1}}
    assert await google.funnel() == {"reported_taken": 4, "reported_rejected": 2, **everyone}
    await refunded(google)
    assert await google.funnel() == {
        **{"unreported": 1, "reported_taken": 3, "reported_unclear": 2},
        "reported_unclear_reasons": {"CLICK_NOT_FOUND": 1, "EVENT_TOO_OLD": 1},
    }
    for number in (3, 4, 5):
        await publish(google.rig, google.lane, [a_purchase(google.lane, number).then(value_micros=1_000_000)])
    await google.send()
    await google.read(3.0)
    assert await google.funnel() == {
        **{"reported_taken": 4, "reported_unclear": 2},
        "reported_unclear_reasons": {"CLICK_NOT_FOUND": 1, "EVENT_TOO_OLD": 1},
    }
    await publish(google.rig, google.lane, [a_purchase(google.lane, 1).then(value_micros=1_000_000)])
    await google.send()
    assert await google.funnel() == {
        **{"unreported": 1, "reported_taken": 4, "reported_unclear": 1},
        "reported_unclear_reasons": {"CLICK_NOT_FOUND or EVENT_TOO_OLD": 1},
    }


async def test_a_request_that_is_refused_as_a_whole_is_dead_whatever_the_reasons(google: Google) -> None:
    google.fake.refused_later.update({"p-c1:0000": "CLICK_NOT_FOUND", "p-c1:0001": "EVENT_TOO_OLD"})
    await sent(google, 2)
    await google.read()
    assert {(one.state, one.outcome, one.report) for one in await google.deliveries(range(2))} == {
        (DELIVERY_STATE_DEAD, OUTCOME_CLASS_PERMANENT, DELIVERY_REPORT_REJECTED)
    }
    assert await google.funnel() == {
        "reported_rejected": 2,
        "reported_rejected_reasons": {"CLICK_NOT_FOUND": 1, "EVENT_TOO_OLD": 1},
    }
    google.fake.refused_later.clear()
    await refunded(google)
    assert (await google.deliveries([0]))[0].operation == DELIVERY_OPERATION_CREATE, "it does not have it"


async def test_a_request_of_which_some_count_is_unclear_though_its_reasons_name_as_many_as_it_held(
    google: Google,
) -> None:
    for number in (0, 1):  # each is counted under both
        google.fake.refused_later[f"p-c1:{number:04}"] = "CLICK_NOT_FOUND EVENT_TOO_OLD"
    await sent(google, 3)
    await google.read()
    assert {(one.state, one.report, one.report_reason) for one in await google.deliveries(range(3))} == {
        (DELIVERY_STATE_ACCEPTED, DELIVERY_REPORT_UNCLEAR, "2 CLICK_NOT_FOUND, 2 EVENT_TOO_OLD of 3")
    }
    shares = {"CLICK_NOT_FOUND": 2, "EVENT_TOO_OLD": 1}
    assert await google.causes() == shares
    assert await google.funnel() == {"reported_unclear": 3, "reported_unclear_reasons": shares}


@pytest.mark.parametrize(
    ("refused", "report", "place"),
    [
        pytest.param(3, (DELIVERY_STATE_DEAD, DELIVERY_REPORT_REJECTED), "reported_rejected", id="failed"),
        pytest.param(1, (DELIVERY_STATE_ACCEPTED, DELIVERY_REPORT_UNCLEAR), "reported_unclear", id="partly"),
    ],
)
async def test_what_is_said_to_have_failed_without_a_number_is_not_counted_as_taken(
    google: Google, refused: int, report: tuple[int, int], place: str
) -> None:
    google.fake.reports_no_counts = True
    google.fake.refused_later.update({f"p-c1:{number:04}": "CLICK_NOT_FOUND" for number in range(refused)})
    await sent(google, 3)
    await google.read()
    assert {(one.state, one.report) for one in await google.deliveries(range(3))} == {report}
    assert await google.causes() == {"NO_REASON_GIVEN": 3}
    assert await google.funnel() == {place: 3, f"{place}_reasons": {"NO_REASON_GIVEN": 3}}


@pytest.mark.parametrize("dies_at", ["destination_reports", "deliveries", "zrem"])
async def test_whoever_dies_while_a_report_is_stored_loses_nothing_of_it(google: Google, dies_at: str) -> None:
    google.fake.reports_no_counts = True  # so that only the ledger knows how many there were
    google.fake.refused_later.update({f"p-c1:{number:04}": "CLICK_NOT_FOUND" for number in range(3)})
    await sent(google, 3)
    google.dies_at = dies_at
    with pytest.raises(StorageUnavailableError):
        await google.read()
    google.dies_at = ""
    assert (await google.read(1.1), await google.read(1.2)) == (1, 0)
    assert await google.causes() == {"NO_REASON_GIVEN": 3}
    assert await google.funnel() == {"reported_rejected": 3, "reported_rejected_reasons": {"NO_REASON_GIVEN": 3}}
    assert await google.rig.stores.jobs.dead(google.lane, 0) == 3


async def test_some_that_were_too_early_are_all_sent_again_and_count_once(google: Google) -> None:
    google.fake.refused_later["p-c1:0001"] = "INTERNAL_ERROR"
    await sent(google, 2)
    await google.read()
    google.fake.refused_later.clear()
    await google.hasten(AGAIN_SECONDS / 3_600 + 0.1)
    await google.send()
    await google.read(2.0)
    assert google.fake.counted == {"p-c1:0000": 1, "p-c1:0001": 1}
    assert [(one.report, one.attempts) for one in await google.deliveries(range(2))] == [(DELIVERY_REPORT_TAKEN, 2)] * 2
    assert await google.funnel() == {"reported_taken": 2}


async def test_what_passes_is_sent_again_also_where_others_are_refused_for_good(google: Google) -> None:
    google.fake.refused_later.update({"p-c1:0001": "INTERNAL_ERROR", "p-c1:0002": "CLICK_NOT_FOUND"})
    await sent(google, 3)
    await google.read()
    del google.fake.refused_later["p-c1:0001"]
    await google.hasten(AGAIN_SECONDS / 3_600 + 0.1)
    await google.send()
    await google.read(2.0)
    assert google.fake.counted == {"p-c1:0000": 1, "p-c1:0001": 1}
    found = await google.deliveries(range(3))
    assert {one.report_reason for one in found} == {"1 CLICK_NOT_FOUND of 3"}
    assert {(one.state, one.attempts) for one in found} == {(DELIVERY_STATE_ACCEPTED, 2)}
    assert await google.rig.stores.jobs.waiting(google.lane) == 0


async def test_a_configuration_that_is_to_blame_pauses_the_destination(google: Google) -> None:
    google.fake.refused_later["p-c1:0000"] = "CUSTOM_VARIABLE_NOT_ENABLED"
    await sent(google, 1)
    await google.read()
    state = await google.rig.stores.states.read(google.lane)
    assert "CUSTOM_VARIABLE_NOT_ENABLED" in state.pause_reason
    assert await google.rig.stores.jobs.waiting(google.lane) == 1, "sent again once it is mended"
    mended = a_batch_destination("google", google.server.url, operating_account="4711")
    blamed = [digest_of(google.lane.workspace, one) for one in (google.settings, mended)]
    assert [state.is_paused(state.paused_until_millis - 1, one) for one in blamed] == [True, False]


async def test_a_report_of_what_was_sent_under_other_settings_blames_none_of_now(google: Google) -> None:
    file = Declared(google.declared())
    reports = google.reports(file)
    await reports.read()
    google.fake.refused_later["p-c1:0000"] = "CUSTOM_VARIABLE_NOT_ENABLED"
    await sent(google, 1)
    google.clock.hours, google.own = 1.0, {"operating_account": "4711"}
    file.current = google.declared()
    await google.forget_lease()
    assert await reports.read() == 1
    await reports.aclose()
    assert (await google.rig.stores.states.read(google.lane)).pause_reason == ""
    assert await google.rig.stores.jobs.waiting(google.lane) == 1, "it is sent again, under these"


async def test_two_conversion_actions_are_two_requests(google: Google) -> None:
    settings: dict[str, Any] = {"conversions": {"purchase": {"name": "99"}, "lead": {"name": "98"}}}
    lead = a_purchase(google.lane, 1, name="lead")
    await publish(google.rig, google.lane, [a_purchase(google.lane), lead])

    async def is_idle() -> bool:
        return await google.rig.stores.jobs.waiting(google.lane) == 0

    async with google.rig.running_lane(google.lane, a_batch_destination("google", google.server.url, **settings)):
        await eventually_async(is_idle)
    named = [[one["reference"] for one in ask.json()["destinations"]] for ask in google.server.asks]
    assert sorted(named) == [["98"], ["99"]]


async def test_a_token_that_expired_is_renewed_for_a_report_too(google: Google) -> None:
    await sent(google, 2)
    with FakeServer(FakeTokens(TOKEN)) as tokens:
        assert isinstance(tokens.fake, FakeTokens)
        tokens.fake.expires_at_once = True
        google.own = oauth(tokens.url)
        assert await google.read() == 1
        assert len(tokens.asks) == 2, "one when it was first needed, one when it was refused"


async def test_a_second_call_with_another_token_takes_its_own_from_the_quota(google: Google) -> None:
    await sent(google, 1)
    with FakeServer(FakeTokens(TOKEN)) as tokens:
        assert isinstance(tokens.fake, FakeTokens)
        tokens.fake.expires_at_once = True
        google.own = {**oauth(tokens.url), "quota": {"requests_per_minute": 4}}
        assert await google.read() == 0, "one at once"
        assert len([ask for ask in google.server.asks if ask.method == "GET"]) == 1


@pytest.mark.parametrize(
    ("reply", "shut_seconds"),
    [
        pytest.param(Reply(403, {"error": {"status": "PERMISSION_DENIED"}}), 600, id="not let in"),
        pytest.param(Reply(401, {"error": {"status": "UNAUTHENTICATED"}}), 600, id="a token that nobody renews"),
        pytest.param(Reply(429, headers={"retry-after": "90"}), 90, id="asked too often"),
    ],
)
async def test_who_is_refused_does_not_go_on_asking(google: Google, reply: Reply, shut_seconds: float) -> None:
    await sent_apart(google, 2)
    reports, before = google.reports(), len(google.server.asks)
    google.clock.hours = 1
    google.server.faults += [Fault(takes=False, reply=reply)] * 4
    assert await reports.read() == 0
    google.server.faults.clear()
    asked = len(google.server.asks)
    assert before < asked <= before + 2, "those that were asked for at the same time"
    for seconds, found in ((shut_seconds - 5, 0), (shut_seconds + 5, 2)):
        google.clock.hours = 1 + seconds / 3_600
        await google.forget_lease()
        assert await reports.read() == found
    await reports.aclose()


async def test_reports_are_asked_for_within_a_quota_of_their_own(google: Google) -> None:
    await sent_apart(google, 4)
    google.own = {"quota": {"requests_per_minute": 8}}
    assert await google.read() == 2, "a quarter of a minute's at once, whatever was sent"
    assert len([ask for ask in google.server.asks if ask.method == "GET"]) == 2


async def refunded(google: Google, value_micros: int = 70_000_000) -> None:
    """Publishes a refund of the only conversion, and has sent what may be."""
    first = a_purchase(google.lane)
    await publish(google.rig, google.lane, [first.then(value_micros=value_micros)])
    await google.send()


def posts(google: Google) -> int:
    return len([ask for ask in google.server.asks if ask.method == "POST"])


@pytest.mark.parametrize(("confirm_seconds", "value"), [(86_400, 70), (0, 100)], ids=["it waits", "it does not"])
async def test_a_refund_waits_until_google_has_taken_what_is_refunded(
    google: Google, confirm_seconds: int, value: int
) -> None:
    """Requests are processed in any order: what comes last is what a transaction is worth."""
    google.own, google.fake.is_processing = {"confirm_seconds": confirm_seconds}, True
    await publish(google.rig, google.lane, [a_purchase(google.lane, value_micros=100_000_000)])
    await google.send()
    await refunded(google)
    google.fake.process(*[f"r-{number}" for number in range(posts(google), 0, -1)])
    assert await google.read() >= 1
    await google.hasten(1)
    await google.send()
    google.fake.process()
    assert posts(google) == 2
    assert google.fake.counted == {"p-c1:0000": 1}
    assert google.fake.values == {"p-c1:0000": value}


async def test_a_refund_of_what_google_refuses_later_is_no_conversion_of_its_own(google: Google) -> None:
    google.own = {"confirm_seconds": 86_400}
    google.fake.refused_later["p-c1:0000"] = "TOO_RECENT_CLICK"
    await sent(google, 1)
    await refunded(google)
    assert posts(google) == 1
    await google.read()
    google.fake.refused_later.clear()
    await google.hasten(1)
    await google.send()
    assert posts(google) == 1, "a click that is too new is still too new"
    await google.hasten(AGAIN_SECONDS / 3_600)
    await google.send()
    events = [ask.json()["events"][0] for ask in google.server.asks if ask.method == "POST"]
    assert ["lastUpdatedTimestamp" in one for one in events] == [False, False], "it is created, at what it is worth now"
    assert google.fake.values == {"p-c1:0000": 70}


async def test_a_report_that_never_comes_holds_a_refund_up_for_a_day(google: Google) -> None:
    google.own = {"confirm_seconds": 86_400}
    await sent(google, 1)
    google.clock.hours = 23.9
    await refunded(google)
    assert posts(google) == 1
    google.clock.hours = 24.1
    await google.hasten(1)
    await google.send()
    assert google.fake.values == {"p-c1:0000": 70}


async def test_a_report_on_what_is_being_corrected_is_judged_when_that_is_known(google: Google) -> None:
    google.fake.refused_later["p-c1:0000"] = "EVENT_TOO_OLD"
    await sent(google, 1)
    await publish(google.rig, google.lane, [a_purchase(google.lane).then(value_micros=70_000_000)])
    [job] = (await google.rig.stores.jobs.lease(google.lane, "another", 30.0, 10)).jobs
    await google.read()
    assert [one.report for one in await google.deliveries([0])] == [DELIVERY_REPORT_UNSPECIFIED]
    again = Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=3_600)
    await google.rig.stores.jobs.settle(google.lane, "another", [again])
    await google.read(1.1)
    [delivery] = await google.deliveries([0])
    assert (delivery.state, delivery.report) == (DELIVERY_STATE_DEAD, DELIVERY_REPORT_REJECTED)
    google.fake.refused_later.clear()
    await google.hasten(1)
    await google.send()
    assert (await google.deliveries([0]))[0].operation == DELIVERY_OPERATION_CREATE


async def test_what_is_refused_after_something_newer_was_taken_is_not_sent_again(google: Google) -> None:
    google.fake.refused_later["p-c1:0000"] = "EVENT_TOO_OLD"
    await sent(google, 1)
    await refunded(google)
    awaited = AwaitedReports(google.rig.redis)
    due = await awaited.due(google.lane, 2**53, 10)
    await awaited.done(google.lane, [one for one in due if one.request_id == "r-2"])
    assert await google.read() == 1
    first, refund = await google.rig.deliveries(google.lane, "c1:0000")
    assert (first.state, first.report) == (DELIVERY_STATE_SUPERSEDED, DELIVERY_REPORT_REJECTED)
    assert refund.state == DELIVERY_STATE_ACCEPTED
    assert await google.rig.stores.jobs.waiting(google.lane) == 0
