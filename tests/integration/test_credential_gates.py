"""Quotas and circuit of a credential, shared by all processes and destinations that call with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from tests.support.batches import a_batch_destination, a_purchase, publish, running_fake
from tests.support.delivery import Rig, a_destination, a_rig
from tests.support.eventually import eventually_async
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import Fault
from tributary_delivery.admission import Admission, gate_of
from tributary_delivery.destinations.destination import OK, RETRY, THROTTLED, UNKNOWN, Outcome
from tributary_runtime.clock import SystemClock
from tributary_runtime.crm_destinations import HubSpotDestination
from tributary_storage.redis import job_keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.credential_gates import FAILURES_UNTIL_OPEN, CredentialGates, Gate
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates

WINDOW_SECONDS = 1.5
LIMIT = 120
WORKERS = 4
CALLS = 60
"""Of each worker."""
WORKER = """
import asyncio, sys
from tributary_storage.redis.client import connect
from tributary_storage.redis.credential_gates import CredentialGates, Gate

async def work(url, limit, window, calls):
    gate = Gate("c", limit, minute_seconds=window)
    async with connect(url, name="worker") as client:
        gates, made = CredentialGates(client), 0
        while made < calls:
            before = await client.time()
            granted, wait_seconds = await gates.admit(gate, 7, 1.0)
            after = await client.time()
            for _ in range(granted):
                print(*(seconds * 1_000_000 + micros for seconds, micros in (before, after)))
            made += granted
            await asyncio.sleep(0 if granted else wait_seconds)

asyncio.run(work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
"""


@pytest.fixture
async def gates(redis_url: str) -> AsyncIterator[CredentialGates]:
    async with connect(redis_url, name="test") as client:
        yield CredentialGates(client)


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def test_four_processes_never_exceed_the_limit_in_any_sliding_window(redis_url: str) -> None:
    arguments = [redis_url, str(LIMIT), str(WINDOW_SECONDS), str(CALLS)]
    workers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, *arguments, stdout=asyncio.subprocess.PIPE)
        for _ in range(WORKERS)
    ]
    printed = [await worker.communicate() for worker in workers]
    calls = [tuple(map(int, line.split())) for out, _ in printed for line in out.splitlines()]
    assert len(calls) >= WORKERS * CALLS
    window = WINDOW_SECONDS * 1e6  # each call was let be made some time between what was read before and after it
    most = max(sum(start <= before and after < start + window for before, after in calls) for start, _ in calls)
    assert most <= LIMIT
    assert most > LIMIT / 2, "the limit is used"


async def test_a_day_has_a_quota_of_its_own(gates: CredentialGates) -> None:
    gate = Gate("c", 1_000_000, per_day=100)
    granted, wait_seconds = await gates.admit(gate, 1_000, 1.0)
    assert granted == 25, "a quarter at once"
    assert 1_000 < wait_seconds < 1_200
    assert (await gates.admit(gate, 1, 1.0))[0] == 0


async def test_hubspot_is_not_called_more_often_in_ten_seconds_than_it_counts(gates: CredentialGates) -> None:
    settings = a_batch_destination("hubspot", quota=HubSpotDestination.model_fields["quota"].default)
    gate = gate_of(Lane("shop", "hubspot"), settings)
    granted, wait_seconds = await gates.admit(gate, 1_000, 1.0)
    at_once = granted + (10 - wait_seconds) / wait_seconds
    assert (granted, at_once < 90) == (22, True), "a quarter at once, and then evenly"
    assert 60 / wait_seconds > 360, "the limit is used"


async def test_failures_anywhere_let_nobody_call_then_one_probe_and_an_answer_lets_all(gates: CredentialGates) -> None:
    gate = Gate("c", 1_000_000)
    for _ in range(FAILURES_UNTIL_OPEN - 1):
        assert await gates.record(gate, is_ok=False, call_seconds=0.1) == 0
    assert (await gates.admit(gate, 9, 1.0))[0] == 9
    assert await gates.record(gate, is_ok=False, call_seconds=0.1) == 1.0
    granted, wait_seconds = await gates.admit(gate, 9, 1.0)
    assert (granted, 0.5 < wait_seconds <= 1.0) == (0, True)
    late = await gates.record(gate, is_ok=False, call_seconds=10.0)
    assert late <= 1.0, "it was under way when it opened"
    await is_over(gates, gate)
    assert (await gates.admit(gate, 9, 5.0))[0] == 1, "one tries"
    granted, wait_seconds = await gates.admit(gate, 9, 5.0)
    assert (granted, wait_seconds > 4) == (0, True), "and nobody else meanwhile"
    assert await gates.record(gate, is_ok=False, call_seconds=0.0) == 2.0
    await is_over(gates, gate)
    assert (await gates.admit(gate, 9, 5.0))[0] == 1
    assert await gates.record(gate, is_ok=True, call_seconds=0.0) == 0
    assert (await gates.admit(gate, 9, 5.0))[0] == 9


async def is_over(gates: CredentialGates, gate: Gate) -> None:
    """Has the pause be over by now: the stored time is moved, nobody waits."""
    name = job_keys.circuit(gate.credential)
    await gates._client.hset(name, "open_until", 1)


def test_who_calls_one_api_with_one_credential_shares_and_nobody_else() -> None:
    token = {"access_token": {"value": "one"}}
    one = gate_of(Lane("shop", "a"), a_batch_destination("meta", "http://127.0.0.1:1", **token))
    assert one == gate_of(Lane("store", "b"), a_batch_destination("meta", "http://127.0.0.1:1", **token))
    assert one != gate_of(Lane("shop", "a"), a_batch_destination("meta", "http://127.0.0.1:2", **token))
    assert one != gate_of(Lane("shop", "a"), a_batch_destination("meta", "http://127.0.0.1:1"))
    assert "one" not in one.credential
    assert gate_of(Lane("shop", "a"), a_destination()) != gate_of(Lane("shop", "b"), a_destination())


async def test_two_destinations_with_one_credential_have_one_quota(gates: CredentialGates) -> None:
    states = DestinationStates(gates._client)
    quota = {"requests_per_minute": 40}
    settings = a_batch_destination("meta", quota=quota)
    lanes = [Admission(Lane("shop", name), settings, states, SystemClock(), 1.0) for name in ("a", "b")]
    assert [(await one.take(40))[0] for one in lanes] == [10, 0]


async def test_a_throttled_destination_narrows_itself_and_a_dead_api_all_that_share_it(gates: CredentialGates) -> None:
    states = DestinationStates(gates._client)
    settings = a_batch_destination("meta")
    one, other = (Admission(Lane("shop", name), settings, states, SystemClock(), 1.0) for name in ("a", "b"))
    for _ in range(FAILURES_UNTIL_OPEN):
        await one.record([Outcome(THROTTLED, 429, is_untaken=True)], 0.1)
    for outcome in (Outcome(UNKNOWN, 200), Outcome(RETRY, 200), Outcome(RETRY, 409)):  # it works, and not for these
        for _ in range(FAILURES_UNTIL_OPEN):
            await one.record([outcome], 0.1)
        assert (await other.take(1))[0] == 1
    failed = [Outcome(RETRY, 503), Outcome(RETRY, 408), Outcome(RETRY, 0)] + [Outcome(RETRY, 200, is_answer=False)] * 9
    for outcome in failed[:FAILURES_UNTIL_OPEN]:
        await one.record([outcome], 0.1)
    assert (await other.take(1))[0] == 0
    await other.record([Outcome(OK, 200)], 0.1)
    assert (await one.take(1))[0] == 1


async def test_retry_after_pauses_one_of_two_that_share_a_credential(rig: Rig, workspace: str) -> None:
    first, second = Lane(workspace, "meta"), Lane(workspace, "other")

    async def is_idle() -> bool:
        return await rig.stores.jobs.waiting(second) == 0

    with running_fake("meta") as server:
        server.faults.append(Fault(takes=False, reply=Reply(429, headers={"retry-after": "30"})))
        settings = a_batch_destination("meta", server.url)
        await publish(rig, first, [a_purchase(first)])
        async with rig.running_lane(first, settings):
            await eventually_async(lambda: server.asks)
            await publish(rig, second, [a_purchase(second, 1)])
            async with rig.running_lane(second, a_batch_destination("meta", server.url, id="other")):
                await eventually_async(is_idle)
        assert server.fake.counted == {"p-c1:0001": 1}
    assert await rig.stores.jobs.waiting(first) == 1
