"""Dedup as a process: what it answers is in the log, counted, and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from pydantic import SecretStr

from tests.support.admissions import INTERNAL_TOKEN, Sent, a_request, running_dedup, verdicts_of
from tests.support.eventually import eventually_async
from tributary.dedup.v1 import dedup_service_pb2_grpc
from tributary.event.v1 import verdict_pb2
from tributary_cli.stack.services import ServiceProcess
from tributary_domain.claim_records import CLAIM_RECORD, DECISION_AT, OUTCOME_RECORD
from tributary_runtime.channels import open_channel
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.redis.client import connect
from tributary_storage.redis.verdicts import read_verdicts

if TYPE_CHECKING:
    Stub = dedup_service_pb2_grpc.DedupServiceAsyncStub  # the stubs' own name for it; not there when running

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
CONFLICT = verdict_pb2.VERDICT_CONFLICT
REJECTED = verdict_pb2.VERDICT_REJECTED
QUARANTINED = verdict_pb2.VERDICT_QUARANTINED


@pytest.fixture(scope="module")
def dedup(
    module_redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    with running_dedup(tmp_path_factory.mktemp("dedup"), module_redis_url, clickhouse_url) as process:
        yield process


@pytest.fixture
async def stub(dedup: ServiceProcess) -> AsyncIterator[Stub]:
    async with open_channel(dedup.address, SecretStr(INTERNAL_TOKEN)) as channel:
        yield dedup_service_pb2_grpc.DedupServiceStub(channel)


async def test_each_event_gets_its_verdict_in_request_order(stub: Stub, workspace: str) -> None:
    events = [
        Sent("plain"),
        Sent("bad", door=REJECTED),
        Sent("bot", door=QUARANTINED),
        Sent("plain"),
        Sent("plain", payload="another"),
        Sent("order-browser", order="o-1", rank=1),
        Sent("order-backend", order="o-1", rank=2, value=90),
        Sent("order-browser", order="o-1", rank=1),
        Sent("order-other-value", order="o-1", rank=1, value=7),
    ]
    response = await stub.AdmitEvents(a_request(workspace, events))
    assert verdicts_of(response) == [
        *(ACCEPTED, REJECTED, QUARANTINED, DUPLICATE, CONFLICT),
        *(ACCEPTED, DUPLICATE, DUPLICATE, CONFLICT),
    ]
    reasons = [reason for _, reason, *_ in OUTCOME_RECORD.iter_unpack(response.outcomes)]
    assert reasons[4] == verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS
    assert reasons[6] == verdict_pb2.REASON_CODE_MERGED_OBSERVATION
    assert reasons[8] == verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS


async def test_what_was_counted_is_what_was_recorded(
    stub: Stub, workspace: str, module_redis_url: str, clickhouse_url: str
) -> None:
    events = [
        Sent("plain"),
        Sent("plain"),
        Sent("bad", door=REJECTED),
        Sent("bot", door=QUARANTINED),
        Sent("plain", payload="another"),
        Sent("order-browser", order="o-1"),
        Sent("order-backend", order="o-1", rank=2),
    ]
    await stub.AdmitEvents(a_request(workspace, events))
    async with connect(module_redis_url, name="tests") as client:
        counted = (await read_verdicts(client, 4, workspace))[workspace]
    assert counted == {"ACCEPTED": 2, "DUPLICATE": 2, "REJECTED": 1, "QUARANTINED": 1, "CONFLICT": 1}
    statement = (
        "SELECT verdict, event_id FROM events WHERE workspace = %(w)s "
        "UNION ALL SELECT verdict, event_id FROM refusals WHERE workspace = %(w)s"
    )
    expected = [
        ("ACCEPTED", "order-browser"),
        ("ACCEPTED", "plain"),
        ("CONFLICT", "plain"),
        ("DUPLICATE", "order-backend"),
        ("QUARANTINED", "bot"),
        ("REJECTED", "bad"),
    ]
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse:

        async def all_recorded() -> None:
            assert sorted(await clickhouse.execute(statement, {"w": workspace})) == expected

        await eventually_async(all_recorded)


async def test_an_event_sent_by_many_callers_at_once_is_accepted_once(stub: Stub, workspace: str) -> None:
    responses = await asyncio.gather(*[stub.AdmitEvents(a_request(workspace, [Sent("same")])) for _ in range(64)])
    assert sorted(verdicts_of(response)[0] for response in responses) == [ACCEPTED] + [DUPLICATE] * 63


async def test_an_order_sent_by_many_callers_at_once_is_accepted_once(stub: Stub, workspace: str) -> None:
    events = [Sent(f"e-{number}", order="o-1") for number in range(32)]
    responses = await asyncio.gather(*[stub.AdmitEvents(a_request(workspace, [event])) for event in events])
    assert sorted(verdicts_of(response)[0] for response in responses) == [ACCEPTED] + [DUPLICATE] * 31


async def test_a_thousand_events_are_decided_in_one_call(stub: Stub, workspace: str) -> None:
    events = [Sent(f"e-{number}") for number in range(1000)]
    response = await stub.AdmitEvents(a_request(workspace, events))
    assert verdicts_of(response) == [ACCEPTED] * 1000


async def test_callers_in_one_request_are_answered_in_order(stub: Stub, workspace: str) -> None:
    request = a_request(workspace, [Sent("one"), Sent("two", order="o")])
    request.MergeFrom(a_request(f"{workspace}-2", [Sent("one")]))
    request.MergeFrom(a_request(workspace, [Sent("two", order="o"), Sent("one"), Sent("three")]))
    response = await stub.AdmitEvents(request)
    assert verdicts_of(response) == [ACCEPTED, ACCEPTED, ACCEPTED, DUPLICATE, DUPLICATE, ACCEPTED]


@pytest.mark.parametrize(
    ("at", "length", "become"),
    [
        pytest.param(0, 1, b"", id="a record too short"),
        pytest.param(DECISION_AT, 1, b"X", id="no decision of the door"),
        pytest.param(CLAIM_RECORD.size - 1, 1, b"\5", id="no rank"),
        pytest.param(20, 4, bytes(4), id="lengths that are not the events'"),
        pytest.param(0, CLAIM_RECORD.size, b"", id="no event"),
    ],
)
async def test_a_request_that_would_corrupt_claims_is_refused(
    stub: Stub, workspace: str, at: int, length: int, become: bytes
) -> None:
    request = a_request(workspace, [Sent("one")])
    claims = request.callers[0].claims
    request.callers[0].claims = claims[:at] + become + claims[at + length :]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.AdmitEvents(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_nobody_but_our_services_may_call(dedup: ServiceProcess, workspace: str) -> None:
    async with open_channel(dedup.address) as channel:
        stub: Stub = dedup_service_pb2_grpc.DedupServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.AdmitEvents(a_request(workspace, [Sent("one")]))
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_dedup_stops_cleanly(redis_url: str, clickhouse_url: str, tmp_path: Path) -> None:
    with running_dedup(tmp_path, redis_url, clickhouse_url) as process:
        process.stop()
    assert "server_stopped" in process.log_file.read_text()
