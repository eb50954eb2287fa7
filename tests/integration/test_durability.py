"""The guards refuse a Redis that may forget what was acknowledged through it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import redis.asyncio

from tests.faults.load import events_in_log
from tests.support.admissions import AN_EPOCH, Sent, a_request, prepare, running_admission
from tests.support.eventually import eventually_async
from tests.support.stores import running_redis, running_redis_at
from tributary_cli.stack.redis_server import RedisServer
from tributary_dedup.continuity import Continuity, Positions
from tributary_dedup.recorder import Recorder
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import Backpressure, PreconditionError, StorageUnavailableError
from tributary_runtime.gate import Gate, refusal
from tributary_runtime.metrics import Group
from tributary_runtime.settings import DurabilityMode
from tributary_runtime.worker import Worker
from tributary_storage.clickhouse.writer import EventWriter
from tributary_storage.continuity import RECORD_SECONDS
from tributary_storage.redis.claims import Admit, Claims, Decided, Undecided
from tributary_storage.redis.client import connect, read_run_id
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import confirm_loss
from tributary_storage.redis.fill import LogFill
from tributary_storage.redis.log_keeping import LogKeeping
from tributary_storage.redis.reconnection import Reconnection
from tributary_storage.redis.replication import Replication

FSYNC = DurabilityMode.FSYNC


@dataclass(frozen=True)
class Once:
    """An entry of a log."""

    deliveries: int = 1
    accept_micros: int = 0


class Handed:
    """A log of one entry, and its handler."""

    def __init__(self) -> None:
        self.unread = [Once()]
        self.handled = self.acknowledged = 0

    async def read(self) -> Sequence[Once]:
        taken, self.unread = self.unread, []
        await asyncio.sleep(0)
        return taken

    async def take_over(self) -> Sequence[Once]:
        return []

    async def ack(self, entries: Sequence[Once]) -> None:
        self.acknowledged += len(entries)

    async def postpone(self, entries: Sequence[Once]) -> None:
        raise AssertionError

    async def hand_back(self) -> None:
        assert not self.unread

    async def dead_letter(self, entry: Once, single: Once | None, reason: str, message: str) -> None:
        raise AssertionError

    async def handle(self, entries: Sequence[Once]) -> int:
        self.handled += len(entries)
        return len(entries)

    def singles(self, entry: Once) -> Sequence[Once]:
        return [entry]

    async def handle_single(self, entry: Once, single: Once) -> None:
        raise AssertionError


A_CALL = Admit(0, "live", b"", b"", b"", [], runs=[])


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    await prepare(redis_url)
    async with connect(redis_url, name="tests") as client:
        yield client


async def test_a_durable_redis_passes(log: redis.asyncio.Redis) -> None:
    await Durability(log, "log", FSYNC, epoch=AN_EPOCH)()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("no-appendfsync-on-rewrite", "yes"),
        ("maxmemory-policy", "allkeys-lru"),
    ],
)
async def test_a_redis_that_may_forget_is_refused_with_the_line_to_write(
    private_redis: RedisServer, name: str, value: str
) -> None:
    await prepare(private_redis.url)
    async with connect(private_redis.url, name="tests") as client:
        guard = Durability(client, "log", FSYNC)
        await guard()
        await client.config_set(name, value)
        with pytest.raises(PreconditionError, match=f"`{name} ") as raised:
            await guard()
        assert raised.value.subject == "redis:log"


async def test_a_redis_that_keeps_its_settings_secret_must_be_attested(tmp_path: Path) -> None:
    with running_redis(tmp_path, {"rename-command": 'CONFIG ""'}) as server:
        await prepare(server.url)
        async with connect(server.url, name="tests") as client:
            with pytest.raises(PreconditionError, match="TRIBUTARY_DURABILITY=attested"):
                await Durability(client, "log", FSYNC)()
            await Durability(client, "log", DurabilityMode.ATTESTED)()


async def test_a_laptop_may_declare_that_it_does_not_mind(private_redis: RedisServer) -> None:
    await prepare(private_redis.url)
    async with connect(private_redis.url, name="tests") as client:
        await client.config_set("appendfsync", "no")
        await Durability(client, "log", DurabilityMode.NONE)()


@pytest.mark.parametrize("mode", list(DurabilityMode))
async def test_without_an_epoch_nothing_is_acknowledged_in_any_mode(redis_url: str, mode: DurabilityMode) -> None:
    async with connect(redis_url, name="tests") as client:
        problems = await Durability(client, "log", mode).problems()
    assert any("tributary migrate" in problem for problem in problems)


async def test_another_epoch_than_at_the_start_is_another_redis(log: redis.asyncio.Redis) -> None:
    guard = Durability(log, "log", FSYNC, epoch=replace(AN_EPOCH, epoch_id="of-yesterday"))
    with pytest.raises(PreconditionError, match="other data"):
        await guard()


async def test_replicated_needs_replicas(log: redis.asyncio.Redis) -> None:
    with pytest.raises(PreconditionError, match="0 replicas"):
        await Durability(log, "log", DurabilityMode.REPLICATED)()


async def test_what_no_replica_has_is_not_acknowledged(log: redis.asyncio.Redis) -> None:
    (answer,) = await Claims(log, replicas=1, replica_timeout_seconds=0.01).commit([A_CALL])
    assert isinstance(answer, Undecided)


async def test_what_no_replica_has_is_not_settled_in_any_role(log: redis.asyncio.Redis) -> None:
    with pytest.raises(StorageUnavailableError, match="0 of 1 replicas"):
        await Replication(log, "state", 1, timeout_seconds=0.01).settle()
    await Replication(log, "state", 0).settle()


async def test_a_worker_acknowledges_nothing_that_no_replica_has(log: redis.asyncio.Redis) -> None:
    """The worker of a role waits before each acknowledgement; here for replicas that never come."""
    source = Handed()
    settle = Replication(log, "jobs", 1, timeout_seconds=0.01).settle
    worker = Worker(Group.DELIVER, source, source, SystemClock(), settle=settle)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await eventually_async(lambda: source.handled == 1)
    stop.set()
    await running
    assert source.acknowledged == 0


async def test_a_replica_that_has_it_makes_it_good(tmp_path: Path) -> None:
    with running_redis(tmp_path / "primary", {"repl-diskless-sync-delay": "0"}) as primary:
        await prepare(primary.url)
        replica = running_redis(tmp_path / "replica", {"replicaof": f"127.0.0.1 {primary.port}", "appendonly": "no"})
        async with connect(primary.url, name="tests") as client:
            with replica:
                guard = Durability(client, "log", DurabilityMode.REPLICATED)

                async def replicated() -> None:
                    assert await guard.problems() == []
                    (answer,) = await Claims(client, replicas=1).commit([A_CALL])
                    assert isinstance(answer, Decided)
                    await Replication(client, "jobs", 1).settle()

                await eventually_async(replicated)


async def test_a_replica_that_takes_over_has_all_that_was_acknowledged(tmp_path: Path, workspace: str) -> None:
    """With nothing on disk, on either side: what counts in this mode is that two have it."""
    unsafe = {"appendonly": "no"}
    with running_redis(tmp_path / "primary", {**unsafe, "repl-diskless-sync-delay": "0"}) as primary:
        following = {**unsafe, "replicaof": f"127.0.0.1 {primary.port}"}
        with running_redis(tmp_path / "replica", following) as replica:
            async with (
                connect(primary.url, name="tests") as client,
                running_admission(primary.url, replicas=1) as admission,
            ):

                async def replicated() -> None:
                    assert await Durability(client, "log", DurabilityMode.REPLICATED).problems() == []

                await eventually_async(replicated)
                acknowledged: set[str] = set()

                async def call(number: int) -> None:
                    with suppress(StorageUnavailableError):
                        await admission.admit(a_request(workspace, [Sent(f"e-{number}")]))
                        acknowledged.add(f"e-{number}")

                calls = [asyncio.ensure_future(call(number)) for number in range(2_000)]
                await eventually_async(lambda: len(acknowledged) > 500)
                primary.kill()
                await asyncio.gather(*calls)
            async with connect(replica.url, name="tests") as survivor:
                await survivor.execute_command("REPLICAOF", "NO", "ONE")
                there = await events_in_log(survivor)
    assert acknowledged
    assert acknowledged <= set(there)


async def test_a_redis_that_is_down_cannot_tell(private_redis: RedisServer) -> None:
    async with connect(private_redis.url, name="tests") as client:
        private_redis.kill()
        with pytest.raises(StorageUnavailableError):
            await Durability(client, "log", FSYNC)()


class Recorded:
    """What ClickHouse would say."""

    def __init__(self, positions: Positions | None) -> None:
        self.positions = positions
        self.asked = 0

    async def last_positions(self) -> Positions:
        self.asked += 1
        if self.positions is None:
            raise StorageUnavailableError("ClickHouse did not answer.")
        return self.positions


async def test_a_log_older_than_its_record_must_be_confirmed(log: redis.asyncio.Redis, redis_url: str) -> None:
    async with running_admission(redis_url) as admission:
        await admission.admit(a_request("shop", [Sent(f"e-{number}") for number in range(40)]))
    keeping = LogKeeping(log, AN_EPOCH.shards)
    there = await keeping.last_positions()
    milliseconds, sequence = there[0, "live"]
    ahead = Recorded({(0, "live"): (milliseconds, sequence + 1)})
    for is_vouched_for in (False, True):  # nobody can vouch for what is known to be missing
        with pytest.raises(PreconditionError, match="0/live"):
            await Continuity(keeping, ahead, is_vouched_for=is_vouched_for)()
    await Continuity(keeping, Recorded(there), is_vouched_for=False)()


async def test_nobody_vouches_for_a_log_that_neither_clickhouse_nor_this_process_knew(log: redis.asyncio.Redis) -> None:
    record, keeping = Recorded(None), LogKeeping(log, AN_EPOCH.shards)
    with pytest.raises(PreconditionError, match="nobody can tell") as raised:
        await Continuity(keeping, record, is_vouched_for=False)()
    assert raised.value.reason == "LOG_CONTINUITY_UNKNOWN"
    await Continuity(keeping, record, is_vouched_for=True)()


async def test_a_run_that_was_compared_once_is_good_for_whoever_starts_while_clickhouse_is_out(
    log: redis.asyncio.Redis,
) -> None:
    keeping = LogKeeping(log, AN_EPOCH.shards)
    await Continuity(keeping, Recorded({}), is_vouched_for=False)()
    await Continuity(keeping, Recorded(None), is_vouched_for=False)()


async def test_what_a_process_saw_before_a_restart_vouches_for_the_log_or_against_it(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with running_redis(tmp_path / "log") as server:
        await prepare(server.url)
        record = Recorded({})
        async with connect(server.url, name="tests") as client:
            guard = Continuity(LogKeeping(client, AN_EPOCH.shards), record, is_vouched_for=False)

            async def asked() -> None:
                with suppress(StorageUnavailableError):  # on the connection that died
                    await guard()
                await guard()

            async with running_admission(server.url) as admission:
                await admission.admit(a_request("shop", [Sent(f"e-{number}") for number in range(20)]))
            server.stop()
            shutil.copytree(server.home, copy)
            server.start()
            server.wait_until_ready()
            async with running_admission(server.url) as admission:
                await admission.admit(a_request("shop", [Sent(f"f-{number}") for number in range(20)]))
            await asked()
            record.positions = None
            server.stop()
            server.start()
            server.wait_until_ready()
            await asked()  # ClickHouse is out, but nothing is missing
            async with running_admission(server.url) as admission:
                await admission.admit(a_request("shop", [Sent(f"g-{number}") for number in range(20)]))
            await asked()
            server.stop()
            shutil.rmtree(server.home)
            shutil.copytree(copy, server.home)
            server.start()
            server.wait_until_ready()
            with pytest.raises(PreconditionError, match="--confirm-loss log"):
                await asked()


async def test_what_was_recorded_by_the_first_to_compare_is_no_loss_to_the_second(
    log: redis.asyncio.Redis, redis_url: str
) -> None:
    keeping = LogKeeping(log, AN_EPOCH.shards)

    class Late(Recorded):
        """Answers after another process has compared, accepted and recorded."""

        async def last_positions(self) -> Positions:
            await Continuity(keeping, Recorded({}), is_vouched_for=False)()
            async with running_admission(redis_url) as admission:
                await admission.admit(a_request("shop", [Sent(f"e-{number}") for number in range(40)]))
            return await keeping.last_positions()

    guard = Continuity(keeping, Late({}), is_vouched_for=False)
    await guard()
    assert guard.is_known


async def test_nothing_is_recorded_while_the_question_is_open(log: redis.asyncio.Redis) -> None:
    record = Recorded(None)
    guard = Continuity(LogKeeping(log, AN_EPOCH.shards), record, is_vouched_for=True)
    await guard()
    assert not guard.is_known
    with pytest.raises(Backpressure):
        await Recorder(EventWriter(None), SystemClock(), guard).handle([])  # type: ignore[arg-type] - is not reached
    record.positions = {}
    await guard()
    assert guard.is_known


async def test_what_is_appended_meanwhile_does_not_hide_that_a_log_began_older(
    log: redis.asyncio.Redis, redis_url: str
) -> None:
    keeping = LogKeeping(log, AN_EPOCH.shards)
    begin = await keeping.positions_at_begin(await read_run_id(log))
    async with running_admission(redis_url) as admission:
        await admission.admit(a_request("shop", [Sent(f"e-{number}") for number in range(40)]))
    there = await keeping.last_positions()
    assert there != begin
    with pytest.raises(PreconditionError, match="--confirm-loss log"):
        await Continuity(keeping, Recorded(there), is_vouched_for=False)()
    await confirm_loss(log, "log")
    await Continuity(keeping, Recorded(there), is_vouched_for=False)()


async def test_it_is_asked_once_per_run_of_redis(private_redis: RedisServer) -> None:
    record = Recorded({})
    async with connect(private_redis.url, name="tests") as client:
        guard = Continuity(LogKeeping(client, AN_EPOCH.shards), record, is_vouched_for=False)
        await guard()
        await guard()
        assert record.asked == 1
        private_redis.kill()
        private_redis.start()
        private_redis.wait_until_ready()

        async def asked_again() -> None:
            with suppress(StorageUnavailableError):  # the first command finds its connection closed
                await guard()
            assert record.asked == 2

        await eventually_async(asked_again)


async def test_clickhouse_that_hangs_does_not_hold_up_a_commit(log: redis.asyncio.Redis) -> None:
    class Hanging(Recorded):
        async def last_positions(self) -> Positions:
            await asyncio.Event().wait()
            raise AssertionError

    assert RECORD_SECONDS < 5, "a commit has that long"
    async with asyncio.timeout(60):
        with pytest.raises(PreconditionError):
            await Continuity(LogKeeping(log, AN_EPOCH.shards), Hanging(None), is_vouched_for=False)()


async def test_another_redis_gets_no_commit_before_the_guards_have_passed(
    private_redis: RedisServer, tmp_path: Path
) -> None:
    await prepare(private_redis.url)
    async with connect(private_redis.url, name="tests-reads") as reads:
        guard = Durability(reads, "log", FSYNC, epoch=AN_EPOCH)
        confirm = Reconnection(reads, [guard]).confirm
        async with connect(private_redis.url, name="tests-commits", confirm=confirm) as commits:
            claims = Claims(commits)

            async def is_decided() -> bool:
                return isinstance((await claims.commit([A_CALL]))[0], Decided)

            assert await is_decided()
            private_redis.kill()
            with running_redis_at(private_redis.port, tmp_path / "other") as other:
                for _ in range(5):  # some find their connection closed, some a Redis that is not the one
                    assert not await is_decided()
                await prepare(other.url)
                await eventually_async(is_decided)


async def test_a_connection_whose_check_was_cut_short_is_checked_again(
    log: redis.asyncio.Redis, redis_url: str
) -> None:
    asked: list[str] = []
    goes_on = asyncio.Event()

    async def confirm(run: str) -> None:
        asked.append(run)
        await goes_on.wait()

    async with connect(redis_url, name="tests-commits", confirm=confirm) as commits:
        claims = Claims(commits, timeout_seconds=0.2)
        for _ in range(2):
            (answer,) = await claims.commit([A_CALL])
            assert isinstance(answer, Undecided)
        goes_on.set()
        for _ in range(2):  # the second goes by the connection of the first, which was asked
            (answer,) = await Claims(commits).commit([A_CALL])
            assert isinstance(answer, Decided)
    assert asked == [await read_run_id(log)] * 3


async def test_what_the_guards_asked_must_be_what_the_connection_was_made_to(log: redis.asyncio.Redis) -> None:
    reconnection = Reconnection(log, [])
    await reconnection.confirm(await read_run_id(log))
    for other in ("another-run", ""):
        with pytest.raises(StorageUnavailableError):
            await reconnection.confirm(other)


async def test_a_redis_without_a_limit_is_held_against_the_machine(log: redis.asyncio.Redis) -> None:
    fill = LogFill(log)
    await fill.measure()
    assert 0 < fill.share < 0.5
    assert not fill.is_full


async def test_no_command_is_run_while_the_gate_is_closed_and_all_are_when_it_opens(redis_url: str) -> None:
    gate = Gate(is_open=True)
    async with connect(redis_url, name="tests", gate=gate) as client:
        await client.set("before", 1)
        gate.close("Redis may forget.", refusal("redis:log", "NOT_DURABLE"))
        with pytest.raises(redis.ConnectionError, match="Redis may forget"):
            await client.set("meanwhile", 1)
        assert isinstance((await Claims(client).commit([A_CALL]))[0], Undecided)
        gate.open()
        assert await client.exists("before", "meanwhile") == 1
