"""One lane on real stores against a receiver that forgets nothing: every conversion once, every change in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest

from tests.support.delivery import Rig, a_destination, a_rig, prepare
from tests.support.destinations import LOST, Answer, Endpoint, running_endpoint
from tests.support.eventually import eventually_async
from tests.support.holding_proxy import holding_proxy
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_INELIGIBLE,
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_SUPERSEDED,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_NOT_COUNTED,
    INELIGIBLE_REASON_RENEWAL,
    Delivery,
    DeliveryState,
)
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary.event.v1.conversion_pb2 import RecurrenceKind
from tributary_cli.stack.redis_server import RedisServer
from tributary_delivery.destinations.destination import Message, Outcome
from tributary_delivery.lane import Pace
from tributary_delivery.ledger import Ledger
from tributary_domain.backoff import Backoff
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import StorageUnavailableError, TributaryError
from tributary_runtime.traces import parse_traceparent
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane, Settled, Settlement
from tributary_storage.redis.scripts import Script

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
C = "c1:one"


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with running_endpoint() as running:
        yield running


@pytest.fixture
def lane(workspace: str) -> Lane:
    return Lane(workspace, "crm")


def a_revision(lane: Lane, **own: object) -> Revision:
    return Revision(workspace=lane.workspace, **own)  # type: ignore[arg-type]


async def _is_idle(rig: Rig, lane: Lane) -> bool:
    return await rig.stores.jobs.waiting(lane) == 0


def idle(rig: Rig, lane: Lane) -> Callable[[], Awaitable[bool]]:
    return lambda: _is_idle(rig, lane)


async def test_a_conversion_is_sent_once_signed_and_written_down(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    message = await rig.publisher.publish(a_revision(lane, order_id="o-1"), traceparent=TRACE)
    await rig.plan(lane, message)
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    [call] = endpoint.calls
    assert endpoint.bad_signatures == 0
    assert call.message_id == "c1:one:crm"
    assert call.message["type"] == "conversion.created"
    assert call.data["revision"] == message.revision
    assert call.data["order"]["order_id"] == "o-1"
    [delivery] = await rig.deliveries(lane, C)
    assert (delivery.state, delivery.attempts, delivery.status_code) == (DELIVERY_STATE_ACCEPTED, 1, 204)
    assert (delivery.visible_id, delivery.consent_basis) == ("c1:one:crm", "not_asked")


async def test_the_call_belongs_to_the_trace_of_the_request_that_caused_it(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane), traceparent=TRACE))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(lambda: endpoint.calls)
    sent, caused = parse_traceparent(endpoint.calls[0].headers["traceparent"]), parse_traceparent(TRACE)
    assert sent is not None
    assert caused is not None
    assert sent.trace_id == caused.trace_id


async def test_a_change_follows_under_an_id_of_its_own(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    first = a_revision(lane)
    second = first.then(value_micros=50_000_000)
    third = second.then(touches=())
    fourth = third.then(counted=False)
    async with rig.running_lane(lane, a_destination(endpoint.url)) as runner:
        for revision in (first, second, third, fourth):
            await rig.plan(lane, await rig.publisher.publish(revision))
            runner.wake()
            await eventually_async(idle(rig, lane))
    assert endpoint.types(C) == ["created", "updated", "updated", "reversed"]
    assert list(endpoint.effects)[1:] == [f"c1:one:crm:{one.number}" for one in (second, third, fourth)]
    deliveries = await rig.deliveries(lane, C)
    assert {one.state for one in deliveries} == {DELIVERY_STATE_ACCEPTED}
    assert {one.visible_id for one in deliveries} == {"c1:one:crm"}


async def test_what_changed_while_it_waited_is_sent_once_as_it_is_now(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    first = a_revision(lane)
    for revision in (first, first.then(value_micros=1_000_000)):
        await rig.plan(lane, await rig.publisher.publish(revision))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    [call] = endpoint.calls
    assert call.message["type"] == "conversion.created"
    assert call.data["value"]["amount_micros"] == 1_000_000


async def test_a_change_that_failed_and_that_a_newer_one_replaced_is_closed_in_the_ledger(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    first = a_revision(lane)
    second = first.then(value_micros=50_000_000)
    third = second.then(value_micros=40_000_000)
    async with rig.running_lane(lane, a_destination(endpoint.url)) as runner:
        await rig.plan(lane, await rig.publisher.publish(first))
        runner.wake()
        await eventually_async(idle(rig, lane))
        endpoint.usual = Answer(503)
        await rig.plan(lane, await rig.publisher.publish(second))
        runner.wake()
        await eventually_async(lambda: _has(rig, lane, second.number, DELIVERY_STATE_PENDING))
        await rig.plan(lane, await rig.publisher.publish(third))
        endpoint.usual = Answer()
        await eventually_async(idle(rig, lane))
    deliveries = {one.revision: one for one in await rig.deliveries(lane, C)}
    assert {number: one.state for number, one in deliveries.items()} == {
        first.number: DELIVERY_STATE_ACCEPTED,
        second.number: DELIVERY_STATE_SUPERSEDED,
        third.number: DELIVERY_STATE_ACCEPTED,
    }
    replaced = deliveries[second.number]
    assert (replaced.status_code, replaced.HasField("due_time")) == (503, False)
    assert replaced.attempts >= 1


async def _has(rig: Rig, lane: Lane, revision: int, state: DeliveryState.ValueType) -> bool:
    return any((one.revision, one.state) == (revision, state) for one in await rig.deliveries(lane, C))


async def test_a_lost_reply_and_newer_content_end_as_one_creation_and_one_change(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    endpoint.answers.append(LOST)
    first = a_revision(lane)
    second = first.then(value_micros=50_000_000)
    await rig.plan(lane, await rig.publisher.publish(first))
    async with rig.running_lane(lane, a_destination(endpoint.url)) as runner:
        await eventually_async(lambda: endpoint.calls)
        await rig.plan(lane, await rig.publisher.publish(second))
        runner.wake()
        await eventually_async(idle(rig, lane))
    assert endpoint.types(C) == ["created", "updated"]
    creations = [call.body for call in endpoint.calls if call.message_id == "c1:one:crm"]
    assert len(creations) == 2
    assert len(set(creations)) == 1, "one id, one content"
    assert list(endpoint.effects.values())[-1].data["value"]["amount_micros"] == 50_000_000
    assert [one.state for one in await rig.deliveries(lane, C)] == [DELIVERY_STATE_ACCEPTED] * 2


async def test_what_may_have_been_taken_is_taken_back_when_it_no_longer_counts(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    endpoint.answers.append(LOST)
    first = a_revision(lane)
    await rig.plan(lane, await rig.publisher.publish(first))
    async with rig.running_lane(lane, a_destination(endpoint.url)) as runner:
        await eventually_async(lambda: endpoint.calls)
        await rig.plan(lane, await rig.publisher.publish(first.then(counted=False)))
        runner.wake()
        await eventually_async(idle(rig, lane))
    assert endpoint.types(C)[-1] == "reversed"
    assert list(endpoint.effects.values())[-1].data["counted"] is False


async def test_what_was_certainly_not_taken_is_neither_taken_back_nor_sent_as_it_was(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    endpoint.answers.append(Answer(429))
    first = a_revision(lane)
    second = first.then(counted=False)
    await rig.plan(lane, await rig.publisher.publish(first))
    async with rig.running_lane(lane, a_destination(endpoint.url)) as runner:
        await eventually_async(lambda: endpoint.calls)
        await rig.plan(lane, await rig.publisher.publish(second))
        runner.wake()
        await eventually_async(idle(rig, lane))
        assert endpoint.effects == {}, "no reversal of what was never created there"
        await rig.plan(lane, await rig.publisher.publish(second.then(counted=True, value_micros=3_000_000)))
        runner.wake()
        await eventually_async(idle(rig, lane))
    [only] = endpoint.effects.values()
    assert only.data["value"]["amount_micros"] == 3_000_000
    assert endpoint.types(C)[-1] == "created"


async def test_what_was_taken_back_without_a_creation_is_created_when_it_counts_again(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    endpoint.answers.append(Answer(503))
    first = a_revision(lane)
    second = first.then(counted=False)
    await rig.plan(lane, await rig.publisher.publish(first))
    async with rig.running_lane(lane, a_destination(endpoint.url)) as runner:
        await eventually_async(lambda: endpoint.calls)
        for revision in (second, second.then(counted=True, value_micros=3_000_000)):
            await rig.plan(lane, await rig.publisher.publish(revision))
            runner.wake()
            await eventually_async(idle(rig, lane))
    assert endpoint.types(C)[-2:] == ["created", "updated"]
    assert list(endpoint.effects.values())[-1].data["value"]["amount_micros"] == 3_000_000


async def test_what_was_retracted_before_it_was_sent_is_never_sent(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    first = a_revision(lane)
    for revision in (first, first.then(counted=False)):
        await rig.plan(lane, await rig.publisher.publish(revision))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    assert endpoint.calls == []
    [line] = await rig.deliveries(lane, C)
    assert (line.state, line.ineligible_reason) == (DELIVERY_STATE_INELIGIBLE, INELIGIBLE_REASON_NOT_COUNTED)


async def _deny(rig: Rig, revision: Revision) -> ConversionRevised:
    """Publishes a revision whose person said no."""
    message = revision.message()
    message.match.consent.ad_user_data = CONSENT_STATE_DENIED

    class Denied(Revision):
        def message(self) -> ConversionRevised:
            return message

    return await rig.publisher.publish(Denied(workspace=revision.workspace))


async def test_a_renewal_is_not_sent_where_it_is_not_mapped_and_the_ledger_says_why(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    for cycle in ("unmapped", "mapped"):
        revision = a_revision(lane, conversion_id=f"c1:{cycle}", kind=RecurrenceKind.RECURRENCE_KIND_RENEWAL)
        await rig.plan(lane, await rig.publisher.publish(revision))
        mapping = {"purchase": {"renewals": cycle == "mapped"}}
        async with rig.running_lane(lane, a_destination(endpoint.url, conversions=mapping)):
            await eventually_async(idle(rig, lane))
    assert list(endpoint.effects) == ["c1:mapped:crm"]
    [delivery] = await rig.deliveries(lane, "c1:unmapped")
    assert (delivery.attempts, delivery.ineligible_reason) == (0, INELIGIBLE_REASON_RENEWAL)


async def test_a_person_who_said_no_is_not_sent(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    await rig.plan(lane, await _deny(rig, a_revision(lane)))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    assert endpoint.calls == []
    [line] = await rig.deliveries(lane, C)
    assert (line.ineligible_reason, line.consent_basis) == (INELIGIBLE_REASON_NO_CONSENT, "denied")


async def test_consent_withdrawn_between_plan_and_send_means_no_call(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    first = a_revision(lane)
    await rig.plan(lane, await rig.publisher.publish(first))
    await _deny(rig, first.then())  # published, not even planned yet
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    assert endpoint.calls == []


async def test_a_creation_given_up_and_newer_content_reach_the_receiver_once(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    endpoint.answers.append(LOST)
    first = a_revision(lane)
    await rig.plan(lane, await rig.publisher.publish(first))
    async with rig.running_lane(lane, a_destination(endpoint.url), horizon_seconds=-1.0):
        await eventually_async(idle(rig, lane))
    [dead] = await rig.deliveries(lane, C)
    assert dead.state == DELIVERY_STATE_DEAD
    assert await rig.stores.jobs.dead(lane, 0) == 1
    await rig.plan(lane, await rig.publisher.publish(first.then(value_micros=50_000_000)))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    assert endpoint.types(C) == ["created", "updated"]
    assert list(endpoint.effects.values())[-1].data["value"]["amount_micros"] == 50_000_000
    attempts = (
        "SELECT attempt, state FROM deliveries FINAL WHERE workspace = %(w)s AND revision = %(r)s ORDER BY attempt"
    )
    rows = await rig.clickhouse.execute(attempts, {"w": lane.workspace, "r": first.number})
    assert rows == [(1, "DEAD"), (2, "ACCEPTED")], "one row per attempt, whatever job it was made under"


async def test_the_ledger_remembers_what_redis_has_forgotten(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    first = a_revision(lane)
    await rig.plan(lane, await rig.publisher.publish(first))
    async with rig.running_lane(lane, a_destination(endpoint.url)) as runner:
        await eventually_async(idle(rig, lane))
        await rig.redis.delete(*[key async for key in rig.redis.scan_iter(match="trb:*:sent:*")])
        await rig.plan(lane, await rig.publisher.publish(first.then(counted=False)))
        runner.wake()
        await eventually_async(idle(rig, lane))
    assert endpoint.types(C) == ["created", "reversed"]


async def test_failures_are_tried_again_until_the_receiver_takes_it(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    endpoint.answers.extend([Answer(500), Answer(302, {"location": endpoint.url}), Answer(400)])
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    assert len(endpoint.calls) == 4
    assert endpoint.created == {C: 1}
    [delivery] = await rig.deliveries(lane, C)
    assert (delivery.attempts, delivery.state) == (4, DELIVERY_STATE_ACCEPTED)
    seconds = [int(call.headers["webhook-timestamp"]) for call in endpoint.calls]
    assert seconds == sorted(seconds)


async def test_a_destination_that_is_gone_is_paused_for_everybody_and_says_so(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    endpoint.usual = Answer(410)
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(lambda: endpoint.calls)
        await eventually_async(lambda: _is_paused(rig, lane))
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane, conversion_id="c1:two")))
    assert (await rig.stores.jobs.lease(lane, "another process", 1.0, 10)).jobs == []
    state = await rig.stores.states.read(lane)
    assert state.pause_reason == "The destination is gone (410)."
    assert len(endpoint.calls) == 1


async def _is_paused(rig: Rig, lane: Lane) -> bool:
    return (await rig.stores.states.read(lane)).paused_until_millis > 0


async def test_a_throttling_destination_is_left_alone_for_as_long_as_it_asks(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    endpoint.answers.append(Answer(429, {"retry-after": "1"}))
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    first, second = endpoint.calls
    assert second.at_seconds - first.at_seconds >= 0.95
    assert endpoint.created == {C: 1}


@dataclass
class Interrupted:
    """A ledger whose line is cut."""

    ledger: Ledger
    refused: int = 0
    is_out: bool = True

    async def write(self, deliveries: list[tuple[str, Delivery]]) -> None:
        if self.is_out:
            self.refused += 1
            raise StorageUnavailableError("The line is cut.")
        await self.ledger.write(deliveries)


async def test_an_outcome_that_waits_for_the_ledger_is_never_sent_again_meanwhile(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    ledger = Interrupted(rig.stores.ledger)
    stores = replace(rig.stores, ledger=ledger)
    endpoint.usual = LOST
    first = a_revision(lane)
    await rig.plan(lane, await rig.publisher.publish(first))
    async with rig.running_lane(lane, a_destination(endpoint.url), stores=stores, pace=Pace(4, 0.5, 0.5)):
        await eventually_async(lambda: ledger.refused >= 4)
        assert len(endpoint.calls) == 1
        endpoint.usual = Answer()
        ledger.is_out = False
        await eventually_async(idle(rig, lane))
    assert endpoint.created == {C: 1}
    assert endpoint.most_at_once == 1


async def test_a_job_that_another_process_has_is_not_touched(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    [job] = (await rig.stores.jobs.lease(lane, "another", 30.0, 10)).jobs
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane, conversion_id="c1:two")))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(lambda: "c1:two" in endpoint.created)
        assert C not in endpoint.created
        await rig.stores.jobs.settle(lane, "another", [Settled(job.conversion_id, Settlement.AGAIN, 0)])
        await eventually_async(idle(rig, lane))
    assert endpoint.created == {C: 1, "c1:two": 1}


@pytest.mark.parametrize("step", ["lease_jobs", "begin_attempts"])
async def test_a_reply_that_is_lost_holds_a_job_up_for_a_moment_and_not_for_the_whole_lease(
    rig: Rig, endpoint: Endpoint, lane: Lane, migrated_redis_url: str, clickhouse_url: str, step: str
) -> None:
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    async with rig.running_lane(lane, a_destination(endpoint.url)):  # from here on Redis knows the scripts
        await eventually_async(idle(rig, lane))
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane, conversion_id="c1:two")))
    port, marker = urlsplit(migrated_redis_url).port or 0, Script(step).sha.encode()
    async with holding_proxy(port, marker, loses_a_reply=True) as proxy:
        url = migrated_redis_url.replace(f":{port}/", f":{proxy.port}/")
        async with (
            a_rig(url, clickhouse_url) as cut,
            cut.running_lane(lane, a_destination(endpoint.url), pace=Pace(4, 1.0, 100.0)),
        ):
            await eventually_async(idle(rig, lane))
        assert proxy.cuts.is_set()
    assert endpoint.created == {C: 1, "c1:two": 1}


async def test_a_quota_holds_calls_back(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    for number in range(8):
        message = await rig.publisher.publish(a_revision(lane, conversion_id=f"c1:{number}"))
        await rig.plan(lane, message)
    settings = a_destination(endpoint.url, quota={"requests_per_minute": 20})
    async with rig.running_lane(lane, settings):
        await eventually_async(lambda: len(endpoint.calls) >= 5)
        await eventually_async(lambda: _waiting(rig, lane, 3))
    assert len(endpoint.calls) == 5, "a quarter at once"


async def test_replicas_keep_one_quota_together(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    revisions = [a_revision(lane, conversion_id=f"c1:{number}") for number in range(60)]
    messages = [await rig.publisher.publish(one, stored=False) for one in revisions]
    await rig.publisher.store(*messages)
    for message in messages:
        await rig.plan(lane, message)
    settings = a_destination(endpoint.url, quota={"requests_per_minute": 120})
    async with rig.running_lane(lane, settings), rig.running_lane(lane, settings), rig.running_lane(lane, settings):
        await eventually_async(lambda: len(endpoint.calls) >= 34)
    times = [call.at_seconds for call in endpoint.calls]
    burst, per_second = 30, 91 / 61
    for count, moment in enumerate(times, 1):
        assert count <= burst + 1 + (moment - times[0] + 0.5) * per_second
    assert endpoint.most_at_once == 1
    assert len(endpoint.effects) == len(endpoint.calls)


async def _waiting(rig: Rig, lane: Lane, count: int) -> bool:
    return await rig.stores.jobs.waiting(lane) == count


async def test_what_is_pending_says_when_it_is_tried_next(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    endpoint.usual = Answer(503, {"retry-after": "600"})
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(lambda: rig.deliveries(lane, C))
    [delivery] = await rig.deliveries(lane, C)
    assert delivery.state == DELIVERY_STATE_PENDING
    assert delivery.due_time.ToSeconds() - delivery.attempt_time.ToSeconds() >= 600


class Broken:
    """A destination with a bug."""

    def visible_id(self, revised: ConversionRevised) -> str:
        return revised.state.conversion_id

    async def send(self, message: Message) -> Outcome:
        raise KeyError("a secret that no message may hold")

    async def aclose(self) -> None:
        pass


async def test_a_bug_of_ours_is_written_down_and_not_tried_for_ever(rig: Rig, lane: Lane) -> None:
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    async with rig.running_lane(lane, a_destination(), destination=Broken(), horizon_seconds=0.05):
        await eventually_async(idle(rig, lane))
    [delivery] = await rig.deliveries(lane, C)
    assert delivery.state == DELIVERY_STATE_DEAD
    assert delivery.message == "Tributary failed: KeyError; its log says where."


@dataclass
class Jumping(SystemClock):
    """The clock of a process that stands still for ten seconds again and again."""

    seconds: float = 0.0

    def monotonic_seconds(self) -> float:
        self.seconds += 10.0
        return self.seconds


async def test_a_process_that_stood_still_too_long_before_the_call_does_not_make_it(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    async with rig.running_lane(lane, a_destination(endpoint.url), clock=Jumping(), pace=Pace(4, 0.2, 0.2)):
        await eventually_async(lambda: _was_begun(rig, lane))
    assert endpoint.calls == []
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    assert endpoint.created == {C: 1}


async def _was_begun(rig: Rig, lane: Lane) -> bool:
    return int(await rig.redis.hget(job_keys.job(lane.workspace, lane.destination, C), "a") or 0) > 1


async def test_an_outage_of_the_jobs_store_is_waited_out(
    rig: Rig, endpoint: Endpoint, lane: Lane, private_redis: RedisServer, clickhouse_url: str
) -> None:
    await prepare(private_redis.url)
    async with a_rig(private_redis.url, clickhouse_url) as own:
        await own.plan(lane, await own.publisher.publish(a_revision(lane)))
        async with own.running_lane(lane, a_destination(endpoint.url)):
            await eventually_async(lambda: endpoint.calls)
            private_redis.kill()
            private_redis.start()
            await asyncio.to_thread(private_redis.wait_until_ready)
            second = a_revision(lane, conversion_id="c1:two")
            await own.plan(lane, await own.publisher.publish(second))
            await eventually_async(lambda: len(endpoint.created) == 2)


async def _forget(rig: Rig) -> None:
    """Lets the state store forget all conversions, as it does when their time is over."""
    await rig.redis.delete(*[key async for key in rig.redis.scan_iter(match="trb:*:conversion:*")])


async def test_a_conversion_that_redis_has_forgotten_is_sent_as_clickhouse_knows_it(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    first = a_revision(lane)
    await rig.publisher.publish(first)
    await rig.plan(lane, await rig.publisher.publish(first.then(value_micros=7_000_000)))
    await _forget(rig)
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    assert [call.data["value"]["amount_micros"] for call in endpoint.calls] == [7_000_000]


async def test_nobody_is_told_what_clickhouse_may_lack(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    first = a_revision(lane)
    await rig.plan(lane, await rig.publisher.publish(first))
    unstored = await rig.publisher.publish(first.then(value_micros=7_000_000), stored=False)
    neighbour = await rig.publisher.publish(a_revision(lane, conversion_id="c1:neighbour"))
    await rig.plan(lane, neighbour)
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(lambda: _waiting(rig, lane, 1))
        assert [call.data["conversion_id"] for call in endpoint.calls] == ["c1:neighbour"]
        await rig.publisher.store(unstored)
        await eventually_async(idle(rig, lane))
    assert [call.data["value"]["amount_micros"] for call in endpoint.calls][1:] == [7_000_000]


async def test_a_conversion_that_nobody_knows_any_more_is_let_go(rig: Rig, endpoint: Endpoint, lane: Lane) -> None:
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane), stored=False))
    await _forget(rig)
    async with rig.running_lane(lane, a_destination(endpoint.url)):
        await eventually_async(idle(rig, lane))
    assert endpoint.calls == []


@dataclass
class Absent:
    """A memory that cannot be asked now."""

    asked: int = 0

    async def deliveries_of(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, list[Delivery]]:
        self.asked += 1
        raise StorageUnavailableError("ClickHouse did not answer.")

    async def revisions_of(
        self, workspace: str, numbered: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], ConversionRevised]:
        raise StorageUnavailableError("ClickHouse did not answer.")

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
        raise StorageUnavailableError("ClickHouse did not answer.")


async def test_who_needs_the_ledgers_memory_waits_for_it_and_holds_nobody_up(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    memory = Absent()
    later = a_revision(lane, conversion_id="c1:old").then(value_micros=1_000_000)
    await rig.plan(lane, await rig.publisher.publish(later))
    await rig.plan(lane, await rig.publisher.publish(a_revision(lane)))
    async with rig.running_lane(lane, a_destination(endpoint.url), stores=replace(rig.stores, memory=memory)):
        await eventually_async(lambda: _waiting(rig, lane, 1))
    assert endpoint.created == {C: 1}
    assert memory.asked == 1
    assert await rig.deliveries(lane, "c1:old") == []


@dataclass
class Picky:
    """A ledger that refuses lines with the words of a receiver; of some conversions, any line."""

    ledger: Ledger
    never: str = ""

    async def write(self, deliveries: list[tuple[str, Delivery]]) -> None:
        for _, line in deliveries:
            if line.conversion_id == self.never or (line.message and "refused" not in line.message):
                raise TributaryError("Refused.")
        await self.ledger.write(deliveries)


async def test_a_line_that_the_ledger_refuses_is_said_in_brief_and_nothing_is_sent_for_ever(
    rig: Rig, endpoint: Endpoint, lane: Lane
) -> None:
    endpoint.usual = Answer(503)
    stores = replace(rig.stores, ledger=Picky(rig.stores.ledger, never="c1:never"))
    for conversion_id in (C, "c1:never"):
        await rig.plan(lane, await rig.publisher.publish(a_revision(lane, conversion_id=conversion_id)))
    settings = a_destination(endpoint.url)
    async with rig.running_lane(lane, settings, stores=stores, horizon_seconds=-1.0, backoff=Backoff(0.0, 0.0)):
        await eventually_async(idle(rig, lane))
    assert len(endpoint.calls) == 2
    [line] = await rig.deliveries(lane, C)
    assert (line.state, line.status_code, line.attempts) == (DELIVERY_STATE_DEAD, 503, 1)
    assert "refused" in line.message
    assert await rig.deliveries(lane, "c1:never") == []
