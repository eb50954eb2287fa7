"""A process that must not acknowledge says so, to the probe and to the caller."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.eventually import eventually_async
from tests.unit.runtime.conftest import LogLines
from tributary_runtime.errors import PartOutageError, PreconditionError, StorageUnavailableError, TributaryError
from tributary_runtime.gate import Gate
from tributary_runtime.readiness import TRIES, Health, Readiness

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE = "test.v1.EchoService"


class Store:
    """A guard that passes or fails as it is told."""

    name = "redis:log"

    def __init__(self) -> None:
        self.failure: TributaryError | None = None

    async def __call__(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def health() -> Health:
    return Health([SERVICE])


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def readiness(store: Store, health: Health, gate: Gate) -> Readiness:
    return Readiness([store], health, gate)


REFUSAL = PreconditionError("Set appendfsync always.", reason="NOT_DURABLE")
PART = PartOutageError("1 of 3 nodes do not answer.")
OUTAGE = StorageUnavailableError("Redis does not answer.")


def is_serving(health: Health) -> bool:
    return bool(health._status(SERVICE).status == SERVING)


async def test_nothing_is_ready_before_all_guards_have_passed(readiness: Readiness, health: Health) -> None:
    assert readiness.closed is not None
    assert not is_serving(health)
    await readiness.check()
    assert readiness.closed is None
    assert is_serving(health)


async def test_a_refusing_guard_closes_at_once_and_tells_the_caller_why_without_internals(
    readiness: Readiness, store: Store, health: Health, gate: Gate
) -> None:
    await readiness.check()
    store.failure = REFUSAL
    await readiness.check()
    assert not is_serving(health)
    assert readiness.closed is not None
    assert gate.why == "Set appendfsync always."
    assert "appendfsync" not in readiness.closed.message
    assert readiness.closed.metadata == {"guard": "redis:log", "cause": "NOT_DURABLE"}


async def test_the_gate_counts_how_often_it_was_closed(readiness: Readiness, store: Store, gate: Gate) -> None:
    for closings in (1, 2, 3):
        assert gate.closings == closings
        await readiness.check()
        assert gate.closed is None
        store.failure = REFUSAL
        await readiness.check()
        await readiness.check()
        store.failure = None


async def test_a_guard_that_cannot_tell_closes_the_probe_only_and_after_some_tries(
    readiness: Readiness, store: Store, health: Health
) -> None:
    await readiness.check()
    store.failure = OUTAGE
    for _ in range(TRIES - 1):
        await readiness.check()
    assert is_serving(health)
    await readiness.check()
    assert not is_serving(health)
    assert readiness.closed is None


async def test_where_only_some_nodes_do_not_answer_the_process_goes_on_and_says_so_once(
    readiness: Readiness, store: Store, health: Health, log_lines: LogLines
) -> None:
    store.failure = PART
    await readiness.check()
    assert not is_serving(health), "who begins must know all"
    store.failure = None
    await readiness.check()
    store.failure = PART
    for _ in range(2 * TRIES):
        assert not await readiness.check()
        assert is_serving(health)
    assert readiness.closed is None
    assert [line["event"] for line in log_lines].count("part_of_store_away") == 1
    store.failure = REFUSAL
    await readiness.check()
    store.failure = PART
    await readiness.check()
    assert readiness.closed is not None, "who was refused must know all, too"
    assert not is_serving(health)


async def test_who_is_of_use_in_part_begins_so_unless_it_was_refused(store: Store, health: Health) -> None:
    readiness = Readiness([store], health, Gate(opens_in_part=True))
    for failure, serves in ((OUTAGE, False), (REFUSAL, False), (PART, False), (None, True), (PART, True)):
        store.failure = failure
        await readiness.check()
        assert (is_serving(health), readiness.closed is None) == (serves, serves), failure
    beginning = Readiness([store], health, Gate(opens_in_part=True))
    await beginning.check()
    assert beginning.closed is None
    assert beginning.opened.is_set()


async def test_what_was_refused_stays_refused_while_nobody_can_tell(
    readiness: Readiness, store: Store, health: Health
) -> None:
    await readiness.check()
    store.failure = REFUSAL
    await readiness.check()
    store.failure = OUTAGE
    for _ in range(TRIES):
        await readiness.check()
        assert readiness.closed is not None
    assert not is_serving(health)
    store.failure = None
    await readiness.check()
    assert readiness.closed is None


async def test_a_guard_that_cannot_tell_at_the_start_keeps_the_process_closed(
    readiness: Readiness, store: Store, gate: Gate
) -> None:
    store.failure = OUTAGE
    await readiness.check()
    assert readiness.closed is not None
    assert "Redis does not answer." in gate.why


async def test_what_is_repaired_opens_again(readiness: Readiness, store: Store, health: Health) -> None:
    store.failure = REFUSAL
    await readiness.check()
    store.failure = None
    await readiness.check()
    assert is_serving(health)


async def test_a_reason_is_logged_once(readiness: Readiness, store: Store, log_lines: LogLines) -> None:
    store.failure = REFUSAL
    await readiness.check()
    await readiness.check()
    store.failure = None
    await readiness.check()
    assert [line["event"] for line in log_lines] == ["became_not_ready", "became_ready"]
    assert log_lines[0]["reason"] == "Set appendfsync always."


async def test_a_draining_process_does_not_come_back(readiness: Readiness, health: Health) -> None:
    await readiness.check()
    await readiness.drain()
    await readiness.check()
    assert not is_serving(health)
    assert readiness.closed is None  # calls are still answered


@pytest.fixture
async def stub(health: Health) -> Any:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)
    await health.close()
    await server.stop(5)


def ask(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


async def test_liveness_does_not_depend_on_readiness(stub: Any) -> None:
    assert (await stub.Check(ask(""))).status == SERVING
    assert (await stub.Check(ask(SERVICE))).status == NOT_SERVING


async def test_an_unknown_service_is_not_found(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Check(ask("other.v1.Service"))
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watch_tells_each_change_and_ends_with_the_process(stub: Any, health: Health) -> None:
    told: list[int] = []

    async def watch() -> None:
        async for answer in stub.Watch(ask(SERVICE)):
            told.append(answer.status)

    watching = asyncio.create_task(watch())
    await eventually_async(lambda: told == [NOT_SERVING])
    await health.set_ready(is_ready=True)
    await eventually_async(lambda: told == [NOT_SERVING, SERVING])
    await health.close()
    await watching
