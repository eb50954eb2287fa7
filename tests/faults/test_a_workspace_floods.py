"""A flooding workspace slows itself: another's acknowledgements and credit stay good meanwhile."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr

from tests.support.door import METHOD
from tests.support.eventually import eventually_async
from tests.support.stack import KeyedWorkspace, running_stack
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub
from tributary_cli.stack.stack import Stack
from tributary_runtime.channels import open_channel
from tributary_runtime.clock import SystemClock

FLIGHT, BATCH = 48, 100
CALLS = 20

Installation = tuple[Stack, dict[str, KeyedWorkspace]]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory: Path = tmp_path_factory.mktemp("stack")
    with running_stack(directory, {"flood": {"limits": {"live_percent": 25}}, "quiet": {}}) as running:
        yield running


def visits(count: int) -> IngestEventsRequest:
    request, now = IngestEventsRequest(), SystemClock().unix_micros()
    for _ in range(count):
        event = request.events.add(event_id=secrets.token_hex(8))
        event.event_time.FromMicroseconds(now)
        event.identifiers.visitor_id = secrets.token_hex(4)
        event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
        event.context.observed_by = OBSERVER_BACKEND
    return request


class Caller:
    """Calls the door as one workspace, and remembers how long each acknowledgement took."""

    def __init__(self, channel: grpc.aio.Channel, api_key: str) -> None:
        self._call = channel.unary_unary(METHOD, None, IngestEventsResponse.FromString)
        self._metadata = [("authorization", f"Bearer {api_key}")]
        self.seconds: list[float] = []

    async def send(self, request: IngestEventsRequest) -> set[int]:
        started = time.monotonic()
        answer: IngestEventsResponse = await self._call(
            request.SerializeToString(), metadata=self._metadata, timeout=60
        )
        self.seconds.append(time.monotonic() - started)
        return {verdict.verdict for verdict in answer.verdicts}


@asynccontextmanager
async def flooding(flood: Caller) -> AsyncIterator[None]:
    """Sends with all it has meanwhile."""
    requests = [visits(BATCH).SerializeToString() for _ in range(8)]

    async def worker(number: int) -> None:
        while True:
            request = IngestEventsRequest.FromString(requests[number % len(requests)])
            for event in request.events:
                event.event_id = secrets.token_hex(8)
            await flood.send(request)

    workers = [asyncio.ensure_future(worker(number)) for number in range(FLIGHT)]
    try:
        await eventually_async(lambda: len(flood.seconds) >= FLIGHT)
        yield
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def test_the_flood_waits_for_itself_and_hardly_anybody_for_it(installation: Installation) -> None:
    stack, keyed = installation
    async with grpc.aio.insecure_channel(stack.addresses["ingestion"]) as channel:
        flood, quiet = Caller(channel, keyed["flood"].api_key), Caller(channel, keyed["quiet"].api_key)
        async with flooding(flood):
            before = len(flood.seconds)
            for _ in range(CALLS):
                assert await quiet.send(visits(10)) == {VERDICT_ACCEPTED}
            meanwhile = flood.seconds[before:]
    assert statistics.median(quiet.seconds) < statistics.median(meanwhile) / 2


async def test_credit_of_another_workspace_does_not_wait_behind_the_flood(installation: Installation) -> None:
    stack, keyed = installation
    key = SecretStr(keyed["quiet"].api_key)
    async with (
        grpc.aio.insecure_channel(stack.addresses["ingestion"]) as channel,
        open_channel(stack.addresses["query"], api_key=key) as asked,
    ):
        flood, quiet = Caller(channel, keyed["flood"].api_key), Caller(channel, keyed["quiet"].api_key)
        query = QueryServiceStub(asked)
        async with flooding(flood):
            purchase = Event(event_id="purchase")
            purchase.event_time.FromMicroseconds(SystemClock().unix_micros())
            purchase.identifiers.customer_id = "anna"
            purchase.conversion.name = "purchase"
            purchase.conversion.order_id = "o-1"
            assert await quiet.send(IngestEventsRequest(events=[purchase])) == {VERDICT_ACCEPTED}
            order = contract.OrderReference(conversion_name="purchase", order_id="o-1")

            async def credited() -> None:
                try:
                    await query.GetConversion(contract.GetConversionRequest(order=order))
                except grpc.aio.AioRpcError as error:
                    raise AssertionError(error.details()) from error

            await eventually_async(credited)
