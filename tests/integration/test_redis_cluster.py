"""Redis Cluster: what runs on one Redis runs on a real cluster of three, and survives what only a cluster does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis.asyncio
from pydantic import SecretStr

from tests.faults.load import events_in_log
from tests.support.admissions import (
    AN_EPOCH,
    INTERNAL_TOKEN,
    Sent,
    a_request,
    prepare,
    running_admission,
    running_dedup,
    stored,
    verdicts_of,
)
from tests.support.cluster import MASTERS, Cluster, running_cluster
from tests.support.eventually import eventually_async
from tests.support.sealing import Hurried, a_sealing, orders, rules
from tests.support.stores import Stores, create_test_epoch
from tributary.dedup.v1 import dedup_service_pb2, dedup_service_pb2_grpc
from tributary.event.v1 import verdict_pb2
from tributary_dedup.admission import Admission
from tributary_dedup.continuity import Continuity as LogContinuity
from tributary_dedup.continuity import Positions
from tributary_domain.ids import event_digest
from tributary_domain.shards import shard_of_key
from tributary_ingestion.match_keys import Sealing
from tributary_runtime.channels import open_channel
from tributary_runtime.errors import PartOutageError, PreconditionError, StorageUnavailableError
from tributary_runtime.readiness import TRIES
from tributary_runtime.settings import DurabilityMode
from tributary_storage.continuity import Continuity, Marked, Marks
from tributary_storage.redis import keys
from tributary_storage.redis.claims import Admit, Claims, Undecided
from tributary_storage.redis.client import connect
from tributary_storage.redis.cluster import ClusterRedis
from tributary_storage.redis.cluster_coverage import coverage_problems
from tributary_storage.redis.cluster_silence import PROBE_SECONDS, RestingError, Silence
from tributary_storage.redis.cluster_slots import SLOTS, slot_of
from tributary_storage.redis.conversions import Conversions
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import Role, confirm_loss, require_epoch
from tributary_storage.redis.fill import LogFill
from tributary_storage.redis.log_keeping import LogKeeping
from tributary_storage.redis.passed_notes import PARTS, part_keys

ROOT = Path(__file__).parents[2]
ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
UNDECIDED = verdict_pb2.VERDICT_UNDECIDED

SUITES = {
    "the stores": ("claims", "event_log", "attribution", "velocity"),
    "the door and dedup": ("dedup", "backfill", "ingestion", "stream_events"),
}
"""Those that show most for their time; `python -m tests.load.cluster` runs more."""


def run_on_cluster(*suites: str, clickhouse_url: str = "") -> str:
    """Runs the tests of modules on one cluster, on a ClickHouse of their own if none is named; returns what failed."""
    files = [f"tests/integration/test_{suite}.py" for suite in suites]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--redis-cluster", *files]
    if clickhouse_url:
        command.append(f"--clickhouse-url={clickhouse_url}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout[-4_000:]


@pytest.mark.parametrize("suites", SUITES.values(), ids=SUITES)
def test_what_holds_on_one_redis_holds_on_a_cluster(suites: tuple[str, ...], clickhouse_url: str) -> None:
    assert run_on_cluster(*suites, clickhouse_url=clickhouse_url) == ""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
async def cluster(shared: Cluster) -> Cluster:
    await shared.settle()
    await shared.flush()
    return shared


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[ClusterRedis]:
    async with connect(cluster.url, name="tests") as opened:
        assert isinstance(opened, ClusterRedis)
        yield opened


async def admit(admission: Admission, workspace: str, *events: Sent) -> list[int]:
    return [outcome.verdict for outcome in await admission.admit(a_request(workspace, events))]


async def test_shards_lie_on_different_nodes_and_one_commit_reaches_all_of_them(
    cluster: Cluster, client: ClusterRedis, workspace: str
) -> None:
    events = [Sent(f"e-{number}", order=f"o-{number}" if number % 5 == 0 else "") for number in range(200)]
    async with running_admission(cluster.url) as admission:
        assert await admit(admission, workspace, *events) == [ACCEPTED] * 200
        assert await admit(admission, workspace, *events) == [DUPLICATE] * 200
    owners = {await cluster.owner_of(slot_of(keys.event_log(shard, "live"))) for shard in range(AN_EPOCH.shards)}
    assert len(owners) > 1
    found = await stored(client)
    assert found.letters == {"A": 200}
    assert found.counted == {"ACCEPTED": 200, "DUPLICATE": 200}


async def test_a_slot_that_moved_is_found_again_and_nothing_is_accepted_twice(
    cluster: Cluster, client: ClusterRedis, workspace: str
) -> None:
    slot = slot_of(keys.event_log(0, "live"))
    target = (await cluster.owner_of(slot) + 1) % MASTERS
    async with running_admission(cluster.url) as admission:
        await client.get("trb:{l0}:warm")  # both know where the slot is
        await cluster.move(slot, target)
        events = [Sent(f"e-{number}") for number in range(100)]
        answers: dict[str, list[int]] = {event.event_id: [] for event in events}

        async def all_decided() -> None:
            verdicts = await admit(admission, workspace, *events)
            for event, verdict in zip(events, verdicts, strict=True):
                answers[event.event_id].append(verdict)
            assert UNDECIDED not in verdicts

        await eventually_async(all_decided)
    assert await client.set("trb:{l0}:moved", "1")
    async with cluster.node(target) as node:
        assert await node.get("trb:{l0}:moved") == "1"
    assert all(told.count(ACCEPTED) == 1 for told in answers.values())
    assert set((await events_in_log(client)).values()) == {1}


async def test_a_command_follows_a_slot_that_is_just_moving(cluster: Cluster, client: ClusterRedis) -> None:
    slot = slot_of("trb:{l1}:x")
    await client.get("trb:{l1}:x")
    async with cluster.moving(slot, (await cluster.owner_of(slot) + 1) % MASTERS):
        await client.set("trb:{l1}:x", "new")  # not there any more: it goes where the slot goes
        pipeline = client.pipeline(transaction=False)
        pipeline.get("trb:{l1}:x")
        pipeline.set("trb:{l2}:y", "elsewhere")
        assert (await pipeline.execute())[0] == b"new"


async def test_a_node_that_is_down_takes_only_its_own_shards_along(cluster: Cluster, workspace: str) -> None:
    lost = cluster.servers[await cluster.owner_of(slot_of(keys.event_log(0, "live")))]
    events = [Sent(f"e-{number}") for number in range(100)]
    verdicts: list[int] = []
    async with running_admission(cluster.url) as admission, cluster.disturbed():
        lost.kill()
        try:

            async def others_decide() -> None:
                with suppress(StorageUnavailableError):
                    verdicts[:] = await admit(admission, workspace, *events)
                assert UNDECIDED in verdicts
                assert {ACCEPTED, DUPLICATE} & set(verdicts)

            await eventually_async(others_decide)
        finally:
            lost.start()

        async def all_decided() -> list[int]:
            try:
                again = await admit(admission, workspace, *events)
            except StorageUnavailableError as error:
                raise AssertionError(error.message) from error
            assert UNDECIDED not in again
            return again

        again = await eventually_async(all_decided)
        for first, second in zip(verdicts, again, strict=True):
            assert second in ((ACCEPTED, DUPLICATE) if first == UNDECIDED else (DUPLICATE,))
    async with connect(cluster.url, name="tests") as client:
        assert set((await events_in_log(client)).values()) == {1}


async def _answered(call: Any) -> Any:
    """Returns the answer of a call that is made again and again."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise AssertionError(error.details()) from error


@pytest.mark.parametrize(
    "waits",
    [
        pytest.param([PROBE_SECONDS + 0.1], id="one waited long"),
        pytest.param([PROBE_SECONDS / 2] * 3, id="several waited, each not for long"),
    ],
)
async def test_who_loses_patience_with_a_node_that_hangs_spares_the_next_one_the_wait(
    cluster: Cluster, waits: list[float]
) -> None:
    async def answered() -> bool:
        return True

    async with cluster.node(1) as node:  # whose own patience has no end
        silence = Silence()
        async with cluster.without(1):
            for seconds in waits:
                with pytest.raises((TimeoutError, redis.TimeoutError)):
                    async with asyncio.timeout(seconds):
                        await silence.ask(node, node.ping)
            with pytest.raises(redis.TimeoutError):
                await silence.ask(node, answered)  # it is not come to this: whether the node is back is asked first
            with pytest.raises(RestingError):
                await silence.ask(node, node.ping)

        async def answers() -> bool:
            with suppress(redis.TimeoutError):
                return bool(await silence.ask(node, node.ping))
            return False

        await eventually_async(answers)


async def test_a_node_that_is_back_may_take_for_a_commit_as_long_as_before(
    cluster: Cluster, client: ClusterRedis
) -> None:
    claims = Claims(client, replicas=1, replica_timeout_seconds=2 * PROBE_SECONDS)  # nobody follows: it takes as long
    call = Admit(0, "live", b"", b"", b"", (), ())

    async def said() -> str:
        [answer] = await claims.commit([call])
        assert isinstance(answer, Undecided)
        return answer.message

    async def is_answered() -> None:
        assert "0 of 1 replicas" in await said()

    await eventually_async(is_answered)  # scripts are loaded first
    async with cluster.without(await cluster.owner_of(slot_of(keys.verdicts(0)))):
        assert "TimeoutError" in await said()
        assert "RestingError" in await said()
    await eventually_async(is_answered)


class Nothing:
    """A ClickHouse that knows of nothing."""

    async def marks(self) -> Marks:
        return {}

    async def last_positions(self) -> Positions:
        return {}


class Told(Nothing):
    """A ClickHouse that knows what it is told."""

    def __init__(self) -> None:
        self.said: Positions = {}

    async def last_positions(self) -> Positions:
        return self.said


@pytest.mark.parametrize("lost", [pytest.param(0, id="of the epoch"), pytest.param(2, id="of others")])
async def test_a_node_of_the_state_store_that_hangs_holds_up_only_new_people_whose_keys_lie_on_it(
    lost: int, cluster: Cluster
) -> None:
    shards = (await create_test_epoch(cluster.url)).shards
    owners = [await cluster.owner_of(slot_of(keys.data_key(shard, ""))) for shard in range(shards)]
    others = set(owners) - {lost}
    assert (lost in owners, await cluster.owner_of(slot_of(keys.EPOCH))) == (True, 0)
    rounds = count()
    async with AsyncExitStack() as closing:
        [client, other] = [
            await closing.enter_async_context(connect(cluster.url, name="tests", timeout_seconds=2.0)) for _ in range(2)
        ]
        clock = Hurried()
        sealing, newcomer = a_sealing(client, clock=clock), a_sealing(other, clock=clock)
        guard = Continuity(client, "state", Conversions(client, shards), Nothing())

        async def held_up_and_sealed(sealing: Sealing) -> tuple[set[int], set[int]]:
            """Returns where the keys lie of new people who were held up, and of those who were not."""
            clock.ahead += 1.5  # whether it is the same store, and keeps what it takes, is asked anew
            made = next(rounds)
            batch = orders(*(f"{made}-{number}@example.com" for number in range(60)))
            lie = [owners[shard_of_key(f"shop|{one.match_keys.name.hex()}", shards)] for one in batch if one.match_keys]
            try:
                fields, unsealed, _ = await sealing.seal(batch, rules())
            except StorageUnavailableError:
                return set(lie), set()
            return {lie[at] for at in unsealed}, {one for one, field in zip(lie, fields, strict=True) if field}

        async def all_are_sealed() -> None:
            assert await held_up_and_sealed(sealing) == (set(), {lost, *others})

        async def others_are_sealed(sealing: Sealing = sealing) -> None:
            assert await held_up_and_sealed(sealing) == ({lost}, others)

        await client.delete(keys.EPOCH_COPIES[0])  # as before `migrate` ran again
        await client.hset(keys.EPOCH_COPIES[0], "loss_time", "1")
        await all_are_sealed()
        await guard()
        async with cluster.without(lost):
            await eventually_async(others_are_sealed)
            await eventually_async(lambda: others_are_sealed(newcomer))
            async with asyncio.timeout(60):  # who waits for the node takes two seconds
                for _ in range(60):
                    await others_are_sealed()
            with pytest.raises(PartOutageError):
                await guard()
        await eventually_async(all_are_sealed)


@pytest.fixture
def own_clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database that knows of no other log: whoever meets a restarted Redis compares both."""
    with stores.a_database("cluster") as url:
        yield url


async def test_dedup_serves_and_records_all_of_it_and_the_other_shards_while_a_node_hangs_and_then_dies(
    cluster: Cluster, tmp_path: Path, own_clickhouse_url: str, workspace: str
) -> None:
    lost = cluster.servers[await cluster.owner_of(slot_of(keys.event_log(0, "live")))]
    running = running_dedup(tmp_path, cluster.url, own_clickhouse_url)
    process = await asyncio.to_thread(running.__enter__)
    try:
        # As ingestion's, this channel calls only who says that it is ready.
        async with open_channel(process.address, SecretStr(INTERNAL_TOKEN)) as channel, cluster.disturbed():
            stub = dedup_service_pb2_grpc.DedupServiceStub(channel)

            async def send(name: str) -> dict[str, int]:
                orders = {number: f"{name}-{number}" for number in range(0, 100, 5)}
                events = [Sent(f"{name}-{number}", order=orders.get(number, "")) for number in range(100)]
                verdicts = verdicts_of(await stub.AdmitEvents(a_request(workspace, events), timeout=30))
                return dict(zip([event.event_id for event in events], verdicts, strict=True))

            async def are_recorded(told: dict[str, int]) -> None:
                """Waits until what was told ACCEPTED is in ClickHouse."""
                accepted = [event_id for event_id, verdict in told.items() if verdict == ACCEPTED]

                async def recorded() -> None:
                    asked = dedup_service_pb2.LookupEventsRequest(workspace=workspace, event_ids=accepted)
                    fates = (await _answered(stub.LookupEvents(asked))).fates
                    assert {(fate.verdict, fate.is_time_rounded) for fate in fates} == {(ACCEPTED, False)}

                await eventually_async(recorded)

            async def first_accepted(told: dict[str, int]) -> dict[str, int]:
                digests = b"".join(event_digest(workspace, event_id) for event_id in told)
                found = await stub.FindClaims(dedup_service_pb2.FindClaimsRequest(event_digests=digests), timeout=30)
                return dict(zip(told, found.first_accept_micros, strict=True))

            def undecided(told: dict[str, int]) -> set[str]:
                return {event_id for event_id, verdict in told.items() if verdict == UNDECIDED}

            async def guards_have_looked() -> None:
                """Once a second: by then as often as takes a process out of the load balancer."""
                assert (tmp_path / "dedup.log").read_text().count("backlog_unknown") >= TRIES + 2

            async def is_reached() -> None:
                await _answered(send("again"))

            async def all_decided() -> None:
                assert set((await _answered(send("meanwhile"))).values()) <= {ACCEPTED, DUPLICATE}

            before = await send("before")
            assert set(before.values()) == {ACCEPTED}
            await are_recorded(before)
            lost.pause()
            try:
                await eventually_async(guards_have_looked)
                meanwhile = await send("meanwhile")
                assert set(meanwhile.values()) == {ACCEPTED, UNDECIDED}
                await are_recorded(meanwhile)
                process.kill()
                process.start()
                await asyncio.to_thread(process.wait_until_ready)
                await eventually_async(is_reached)  # the channel waits a while before it tries again
                begun = await _answered(send("begun"))
                assert set(begun.values()) == {ACCEPTED, UNDECIDED}, "who begins serves the other shards, too"
                await are_recorded(begun)
                lost.kill()
                assert set((await send("later")).values()) == {ACCEPTED, UNDECIDED}
                again, times = await send("before"), await first_accepted(before)
                assert set(again.values()) == {DUPLICATE, UNDECIDED}
                assert {name for name, micros in times.items() if micros == -1} == undecided(again)
                assert min(micros for micros in times.values() if micros != -1) > 0
            finally:
                lost.kill()
                lost.start()
            await eventually_async(all_decided)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_a_cluster_is_waited_for_while_a_node_does_not_listen_yet(cluster: Cluster) -> None:
    cluster.servers[0].kill()
    cluster.servers[0].start()
    await cluster.settle()


async def test_who_begins_while_a_node_hangs_vouches_for_no_shard_that_was_not_compared(
    cluster: Cluster, client: ClusterRedis
) -> None:
    await prepare(cluster.url)
    keeping = LogKeeping(client, AN_EPOCH.shards)
    owners = {shard: await cluster.owner_of(slot_of(keys.log_passed(shard))) for shard in range(AN_EPOCH.shards)}
    lost = owners[0]
    emptied = next(shard for shard, owner in owners.items() if owner != lost)

    def begun() -> LogContinuity:
        return LogContinuity(keeping, Nothing(), is_vouched_for=False)

    await begun()()
    for shard in owners:  # as after a version that noted it of no shard
        await client.delete(keys.log_passed(shard))
    await begun()()
    assert "" not in (await keeping.noted_runs()).values()
    async with cluster.without(lost):
        guard = begun()
        with pytest.raises(PartOutageError):
            await guard()
        assert guard.is_known, "what the others hold is recorded"
        await client.delete(keys.log_passed(emptied))
        guard = begun()
        with pytest.raises(StorageUnavailableError) as raised:
            await guard()
        assert not isinstance(raised.value, PartOutageError)
        assert not guard.is_known


async def test_a_node_that_was_emptied_while_it_ran_is_refused_until_the_loss_is_confirmed(
    cluster: Cluster, client: ClusterRedis
) -> None:
    await prepare(cluster.url)
    keeping, record = LogKeeping(client, AN_EPOCH.shards), Told()
    owners = {shard: await cluster.owner_of(slot_of(keys.log_passed(shard))) for shard in range(AN_EPOCH.shards)}
    others = {await cluster.owner_of(slot_of(key)) for key in (keys.EPOCH, keys.passed("log"))}
    lost = next(owner for owner in owners.values() if owner not in others)
    emptied = {f"{shard}/live" for shard, owner in owners.items() if owner == lost}

    async def append() -> None:
        for shard in owners:
            await client.xadd(keys.event_log(shard, "live"), {"a": "1"})

    def begun() -> LogContinuity:
        return LogContinuity(keeping, record, is_vouched_for=False)

    living = begun()
    await living()
    await append()
    record.said = await keeping.last_positions()
    await living()
    async with cluster.node(lost) as one:
        await one.flushall()
    away = next(at for at in range(MASTERS) if at != lost)
    for others_answer in (True, False):
        async with AsyncExitStack() as disturbed:
            await append()  # so that the place where it ends tells nothing
            if not others_answer:
                await disturbed.enter_async_context(cluster.without(away))
            for guard in (living, begun()) if others_answer else (living,):
                with pytest.raises(PreconditionError, match="--confirm-loss log") as raised:
                    await guard()
                assert not guard.is_known
                assert {place for place in emptied if place in raised.value.message} == emptied
                assert f"; {len(emptied)} places in all" in raised.value.message, "the others lost nothing"
    await _confirmed(client, "log")
    for guard in (begun(), living):
        await guard()
        assert guard.is_known
    assert "" not in (await keeping.noted_runs()).values()


@pytest.mark.parametrize(
    ("role", "emptied", "is_restarted"),
    [
        pytest.param("state", keys.EPOCH, False, id="state, with its epoch"),
        pytest.param("jobs", keys.log_passed(0), True, id="jobs, while it did not run"),
    ],
)
async def test_a_node_that_lost_what_clickhouse_knows_nothing_of_is_refused_until_that_is_confirmed(
    role: Role, emptied: str, is_restarted: bool, cluster: Cluster, client: ClusterRedis
) -> None:
    epoch = await create_test_epoch(cluster.url)
    lost = await cluster.owner_of(slot_of(emptied))
    parts = [at for at, key in enumerate(part_keys(role)) if await cluster.owner_of(slot_of(key)) == lost]
    slots = f"slots {parts[0] * SLOTS // PARTS}-{(parts[-1] + 1) * SLOTS // PARTS - 1}"
    away = next(at for at in range(MASTERS) if at != lost)
    there: Marked = Conversions(client, epoch.shards) if role == "state" else DeliveryJobs(client)

    def begun() -> Continuity:
        return Continuity(client, role, there, Nothing())

    living = begun()
    for guard in (living, begun()):
        await guard()  # the first as after a version that noted it of no part
    async with cluster.node(lost) as one:
        await one.flushall()
    if is_restarted:
        cluster.servers[lost].kill()
        cluster.servers[lost].start()
        await cluster.settle()
    else:
        async with cluster.without(away):
            with pytest.raises(PreconditionError, match=f"--confirm-loss {role}"):
                await living()
    for guard in (living, begun()):

        async def refused(guard: Continuity = guard) -> str:
            try:
                await guard()
            except PreconditionError as refusal:
                return refusal.message
            except StorageUnavailableError as outage:  # on the connections that died with it
                raise AssertionError(outage.message) from outage
            raise RuntimeError("it passed")

        said = await eventually_async(refused)
        assert f"held in {slots}: a node was emptied" in said, "the others lost nothing"
    moment = await _confirmed(client, role)
    for guard in (begun(), living):
        await guard()
        assert guard.loss_micros == moment
    assert await create_test_epoch(cluster.url) == epoch
    assert (await require_epoch(client, role)).loss_time_micros == moment
    async with cluster.node(lost) as one:
        await one.flushall()
    with pytest.raises(PreconditionError):
        await begun()()  # what was confirmed once excuses no later loss


async def _confirmed(client: ClusterRedis, role: Role) -> int:
    """Confirms a loss as soon as all nodes are asked again; returns the moment."""

    async def confirmed() -> int:
        try:
            return await confirm_loss(client, role)
        except StorageUnavailableError as outage:
            raise AssertionError(outage.message) from outage

    return await eventually_async(confirmed)


async def test_every_node_must_keep_what_is_acknowledged(cluster: Cluster, client: ClusterRedis) -> None:
    await prepare(cluster.url)
    guard = Durability(client, "log", DurabilityMode.FSYNC)
    assert await guard.problems() == []
    async with cluster.node(2) as one:
        await one.config_set("appendfsync", "everysec")
        try:
            (problem,) = await guard.problems()
        finally:
            await one.config_set("appendfsync", "always")
    assert "appendfsync everysec" in problem


async def test_a_cluster_that_would_stop_without_one_node_is_told_of(cluster: Cluster, client: ClusterRedis) -> None:
    (problem,) = await coverage_problems(client, "log")
    assert "cluster-require-full-coverage no" in problem
    async with cluster.disturbed():
        assert await coverage_problems(client, "log") == []


async def test_the_fullest_node_decides_whether_the_log_is_full(cluster: Cluster, client: ClusterRedis) -> None:
    fill = LogFill(client)
    await fill.measure()
    assert not fill.is_full
    async with cluster.node(1) as one:
        used: Any = (await one.info("memory"))["used_memory"]
        await one.config_set("maxmemory", int(used * 1.05))
        try:
            await fill.measure()
            assert fill.is_full
        finally:
            await one.config_set("maxmemory", 0)
