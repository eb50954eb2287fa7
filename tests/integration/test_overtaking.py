"""A request that is carried out late writes over nothing newer, whichever process sent either."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.test_crm_objects import LEAD, OWN, stage, superseded
from tests.support.batches import a_batch_destination, a_purchase, clicked, publish, running_fake
from tests.support.delivery import PACE, Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_STATE_ACCEPTED,
)
from tributary_cli.demo.fakes.server import FakeServer, Fault
from tributary_delivery.attempt import Attempt
from tributary_delivery.destinations.destination import OK, RETRY, SPLIT, Outcome
from tributary_delivery.overtaking import Overtaking
from tributary_delivery.sender import Formed
from tributary_delivery.turns import PermitsChanged, Turn
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.delivery_job import Job, Lane
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.object_holds import Said

IMPATIENT = replace(PACE, call_seconds=0.3, alive_seconds=None)
"""What is not answered at once is not waited for, and may be carried out for as long as the settings say."""
ALIVE = {"unanswered_seconds": 8}
PATIENT = replace(PACE, call_seconds=30.0, margin_seconds=10.0, alive_seconds=0.2)
"""An answer is waited for longer than what got none may be carried out."""


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def idle(rig: Rig, lane: Lane) -> None:
    async def is_idle() -> bool:
        return await rig.stores.jobs.waiting(lane) == 0

    await eventually_async(is_idle)


async def unanswered(rig: Rig, lane: Lane, revision: int) -> None:
    """Returns when the ledger has an attempt that got no answer."""

    async def is_written() -> bool:
        return any(one.revision == revision and one.attempts for one in await rig.deliveries(lane, "c1:0000"))

    await eventually_async(is_written)


async def holds(server: FakeServer, value: int) -> None:
    await eventually_async(lambda: value in server.fake.values.values())


def an_overtaking(rig: Rig, workspace: str) -> Overtaking:
    return Overtaking(
        Lane(workspace, "microsoft"),
        rig.stores.holds,
        rig.stores.newest,
        alive_seconds=60.0,
        lease_seconds=30.0,
        is_possible=True,
    )


async def corrected_while_unanswered(rig: Rig, lane: Lane) -> None:
    """A destination is told 90; then 70, which it carries out late; then 50."""
    over = threading.Event()
    with running_fake(lane.destination) as server:
        settings = a_batch_destination(lane.destination, server.url, **ALIVE)
        one = a_purchase(lane, 0, value_micros=90_000_000)
        two = one.then(value_micros=70_000_000)
        three = two.then(value_micros=50_000_000)
        async with rig.running_lane(lane, settings, pace=IMPATIENT) as runner:
            await publish(rig, lane, [one], clicked)
            await idle(rig, lane)
            server.faults.append(Fault(takes=True, until=over, takes_late=True))
            [message] = await publish(rig, lane, [two], clicked)
            await unanswered(rig, lane, message.revision)
            await publish(rig, lane, [three], clicked)
            runner.wake()
            await asyncio.sleep(1.0)
            over.set()
            await holds(server, 70)
            await idle(rig, lane)
    assert list(server.fake.values.values()) == [50], lane.destination
    last = (await rig.deliveries(lane, "c1:0000"))[-1]
    assert (last.state, last.value.amount_micros) == (DELIVERY_STATE_ACCEPTED, 50_000_000)


async def created_twice(rig: Rig, lane: Lane) -> None:
    """A creation gets no answer, is sent again and refunded; then the first is carried out."""
    over = threading.Event()
    with running_fake(lane.destination) as server:
        settings = a_batch_destination(lane.destination, server.url, **ALIVE)
        one = a_purchase(lane, 1, value_micros=90_000_000)
        server.faults.append(Fault(takes=True, until=over, takes_late=True))
        async with rig.running_lane(lane, settings, pace=IMPATIENT) as runner:
            await publish(rig, lane, [one])
            await idle(rig, lane)
            await publish(rig, lane, [one.then(value_micros=10_000_000)])
            runner.wake()
            await asyncio.sleep(1.0)
            over.set()
            await idle(rig, lane)
    assert server.fake.repeats, "it was created twice"
    assert list(server.fake.values.values()) == [10]


async def test_what_got_no_answer_is_carried_out_late_and_writes_over_nothing_newer(rig: Rig, workspace: str) -> None:
    kinds = ("google", "microsoft", "salesforce")
    lanes = [corrected_while_unanswered(rig, Lane(f"{workspace}-{kind}", kind)) for kind in kinds]
    async with asyncio.TaskGroup() as group:
        for one in (*lanes, created_twice(rig, Lane(workspace, "hubspot"))):
            group.create_task(one)


async def test_two_processes_tell_one_stage_of_a_lead_after_the_other(rig: Rig, workspace: str) -> None:
    lane, over = Lane(workspace, "hubspot"), threading.Event()
    new, won = a_purchase(lane, 0, value_micros=10_000_000), a_purchase(lane, 1, value_micros=90_000_000)
    with running_fake("hubspot") as server:
        settings = a_batch_destination("hubspot", server.url, **OWN)
        server.faults.append(Fault(takes=True, reply=None, until=over, takes_late=True))
        async with AsyncExitStack() as running:
            lanes = [rig.running_lane(lane, settings, pace=PATIENT) for _ in range(2)]
            runners = [await running.enter_async_context(one) for one in lanes]
            await publish(rig, lane, [new], stage("new"))
            await eventually_async(lambda: bool(server.asks))
            await publish(rig, lane, [new.then(counted=False)], superseded("new"))
            await publish(rig, lane, [won], stage("won"))
            for runner in runners:
                runner.wake()
            await asyncio.sleep(0.5)
            assert len(server.asks) == 1, "the first one is under way"
            over.set()
            await idle(rig, lane)
        assert (server.fake.events[LEAD]["status"], server.fake.events[LEAD]["amount"]) == ("won", "90.00")


async def test_two_processes_look_at_a_contact_one_after_the_other(rig: Rig, workspace: str) -> None:
    lane, over = Lane(workspace, "hubspot"), threading.Event()
    own = {"object_type": "contacts", "id_property": "email", "retracted": {}}
    own |= {"properties": {"amount": "value", "last_at": "time"}}
    newer = a_purchase(lane, 1, value_micros=90_000_000)
    older = a_purchase(lane, 0, value_micros=10_000_000, time=newer.time - timedelta(hours=1))
    with running_fake("hubspot") as server:
        settings = a_batch_destination("hubspot", server.url, **own)
        server.faults += [Fault(takes=True, reply=None), Fault(takes=True, reply=None, until=over, takes_late=True)]
        async with AsyncExitStack() as running:
            lanes = [rig.running_lane(lane, settings, pace=PATIENT) for _ in range(2)]
            runners = [await running.enter_async_context(one) for one in lanes]
            await publish(rig, lane, [older])
            await eventually_async(lambda: len(server.asks) == 2)
            await publish(rig, lane, [newer])
            for runner in runners:
                runner.wake()
            await asyncio.sleep(0.5)
            assert len(server.asks) == 2, "nobody looks before the first one has written"
            over.set()
            await idle(rig, lane)
        assert server.fake.events["ann@example.com"]["amount"] == "90.00"
    names = [name async for name in rig.redis.scan_iter(f"*{workspace}*:object:*")]
    assert not names, "all were answered: nothing is held"


async def test_a_stage_that_was_passed_after_it_was_put_into_words_is_not_told(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "salesforce")
    own = {"properties": {"Amount": "value", "Status__c": "stage"}, "retracted": {}}
    new = a_purchase(lane, 0, value_micros=10_000_000)
    with running_fake("salesforce") as server:
        settings = a_batch_destination("salesforce", server.url, **own)
        sender = rig.senders().make(lane, settings)
        form = sender.form

        async def slowly(attempts: list[Attempt]) -> Formed:
            formed = await form(attempts)
            if formed.calls and formed.calls[0][0].job.revision == first.revision:  # another process is faster
                await publish(rig, lane, [new.then(counted=False)], superseded("new"))
            return formed

        sender.form = slowly  # type: ignore[method-assign, assignment]
        [first] = await publish(rig, lane, [new], stage("new"))
        async with rig.running_lane(lane, settings, sender=sender):
            await idle(rig, lane)
    assert not server.asks


@pytest.mark.parametrize(
    ("outcome", "is_over"),
    [
        *((Outcome(OK, status), True) for status in (200, 207)),
        *((Outcome(RETRY, status), True) for status in (200, 409, 500)),
        *((Outcome(RETRY, status), False) for status in (0, 408, 502, 503, 504, 520, 524, 529, 530)),
        *((Outcome(RETRY, status, is_untaken=True), True) for status in (0, 503)),
        (Outcome(SPLIT, 413, is_untaken=True), True),
    ],
)
async def test_what_comes_next_waits_for_a_request_that_may_still_be_carried_out(
    rig: Rig, workspace: str, outcome: Outcome, is_over: bool
) -> None:
    overtaking = an_overtaking(rig, workspace)
    older, newer = (
        Attempt(
            Job("c1", revision, 0, 0, 0, False, None), ConversionRevised(revision=revision), DELIVERY_OPERATION_RESTATE
        )
        for revision in (1, 2)
    )
    assert await overtaking.begin([older]) == {}
    await overtaking.end([older], [outcome])
    assert (await overtaking.begin([newer]) == {}) == is_over


async def test_for_how_long_a_request_may_be_carried_out_counts_from_when_its_answer_is_given_up(
    rig: Rig, workspace: str
) -> None:
    async def free_seconds() -> float:
        [held] = [name async for name in rig.redis.scan_iter(f"*{workspace}*:object:*")]
        return float(await rig.redis.pttl(held)) / 1000

    overtaking = an_overtaking(rig, workspace)
    one = Attempt(Job("c1", 1, 0, 0, 0, False, None), ConversionRevised(revision=1), DELIVERY_OPERATION_RESTATE)
    assert await overtaking.begin([one]) == {}
    assert 60 < await free_seconds() <= 90, "it is under way for 30 s at most"
    assert await overtaking.begin([one]) == {}, "by two processes"
    await overtaking.end([one], [Outcome(RETRY, 0)])
    assert await free_seconds() > 60, "the other one is under way"
    await overtaking.end([one], [Outcome(RETRY, 0)])
    assert await free_seconds() <= 60


@pytest.mark.parametrize(
    ("never_sent", "tried", "is_free"),
    [(True, 0, True), (True, 1, False), (False, 0, False)],
    ids=["none ever left", "one may have left", "one left under a job that is no more"],
)
async def test_who_died_about_to_send_the_first_time_holds_up_nothing(
    rig: Rig, workspace: str, never_sent: bool, tried: int, is_free: bool
) -> None:
    overtaking = an_overtaking(rig, workspace)
    died, newer = (
        Attempt(
            Job("c1", revision, tried, tried, 0, never_sent, None),
            ConversionRevised(revision=revision),
            DELIVERY_OPERATION_CREATE,
        )
        for revision in (1, 2)
    )
    assert await overtaking.begin([died]) == {}
    assert (await overtaking.begin([newer]) == {}) == is_free


async def test_of_a_shared_object_only_what_oneself_was_about_to_say_holds_up_nothing(rig: Rig, workspace: str) -> None:
    lane, deal = Lane(workspace, "hubspot"), "digest"
    assert await rig.stores.holds.hold(lane, [Said(deal, "c12 1 CREATE", "c12 ")], 60.0) == [0]
    assert await rig.stores.holds.hold(lane, [Said(deal, "c1 1 CREATE", "c1 ")], 60.0) != [0]
    assert await rig.stores.holds.hold(lane, [Said(deal, "c12 2 CREATE", "c12 ")], 60.0) == [0]
    await rig.stores.holds.let_go(lane, [Said(deal, "c12 1 CREATE")])
    assert await rig.stores.holds.hold(lane, [Said(deal, "c1 1 CREATE", "c1 ")], 60.0) != [0], "another one's"
    await rig.stores.holds.let_go(lane, [Said(deal, "c12 2 CREATE")])
    assert await rig.stores.holds.hold(lane, [Said(deal, "c1 1 CREATE", "c1 ")], 60.0) == [0]


@pytest.mark.parametrize("why", ["somebody allows something else", "no quota", "not noted", "no longer ours"])
async def test_what_was_not_sent_holds_up_nothing(rig: Rig, workspace: str, why: str) -> None:
    lane, failures = Lane(workspace, "microsoft"), [StorageUnavailableError("The store did not answer.")]
    with running_fake("microsoft") as server:
        settings = a_batch_destination("microsoft", server.url, **ALIVE)
        sender, stores = rig.senders().make(lane, settings), replace(rig.stores, jobs=DeliveryJobs(rig.redis))
        stores = replace(stores, states=DestinationStates(rig.redis))
        send, begin, take = sender.send, stores.jobs.begin, stores.states.take_quota

        async def sent(attempts: Sequence[Attempt], turn: Turn) -> Sequence[Outcome]:
            if len(attempts) == 2 and failures:
                failures.clear()
                raise PermitsChanged([attempts[0].job.conversion_id])
            return await send(attempts, turn)

        async def begun(*about: Any) -> list[int]:
            if not failures:
                return await begin(*about)
            if why == "not noted":
                raise failures.pop()
            failures.clear()
            lost = replace(about[-1][0], conversion_id="another")
            return await begin(*about[:-1], [lost, *about[-1][1:]])

        async def taken(*about: Any) -> tuple[int, float]:
            if failures:
                raise failures.pop()
            return await take(*about)

        if why == "somebody allows something else":
            sender.send = sent  # type: ignore[method-assign]
        elif why == "no quota":
            stores.states.take_quota = taken  # type: ignore[method-assign]
        else:
            stores.jobs.begin = begun  # type: ignore[method-assign]
        await publish(rig, lane, [a_purchase(lane, 0), a_purchase(lane, 1)], clicked)
        async with rig.running_lane(lane, settings, stores=stores, sender=sender, pace=IMPATIENT):
            await idle(rig, lane)
        assert not failures
        assert len(server.fake.values) == 2
    names = [name async for name in rig.redis.scan_iter(f"*{workspace}*:object:*")]
    assert not names, "nothing is on its way"
