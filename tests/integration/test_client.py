"""The blocking and the asyncio client against a server that fails in the ways a real one does."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED, VERDICT_UNDECIDED, EventVerdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary.ingestion.v1.ingestion_service_pb2_grpc import (
    IngestionServiceServicer,
    add_IngestionServiceServicer_to_server,
)
from tributary_client import AsyncTributary, NotAllowedError, OverdueError, RetryPolicy, Tributary

QUICK = RetryPolicy(total_seconds=5, first_delay_seconds=0.01, attempt_seconds=1)

Step = grpc.StatusCode | int
"""A status to fail with, or the verdict of every event."""


class Door(IngestionServiceServicer):
    """Answers by a plan, step by step, and remembers what it was asked."""

    def __init__(self, *plan: Step) -> None:
        self.plan = deque(plan)
        self.asked: list[list[str]] = []
        self.metadata: dict[str, str] = {}

    async def IngestEvents(
        self, request: IngestEventsRequest, context: grpc.aio.ServicerContext
    ) -> IngestEventsResponse:  # type: ignore[override,type-arg]
        self.asked.append([event.event_id for event in request.events])
        self.metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
        step = self.plan.popleft() if len(self.plan) > 1 else self.plan[0]
        if isinstance(step, grpc.StatusCode):
            await context.abort(step, "as planned")
        return IngestEventsResponse(
            verdicts=[EventVerdict(event_id=one.event_id, verdict=step) for one in request.events]
        )


@asynccontextmanager
async def opened(door: Door) -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_IngestionServiceServicer_to_server(door, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def ask_blocking(target: str, retry: RetryPolicy) -> list[int]:
    import asyncio

    def ask() -> list[int]:
        with Tributary(target, api_key="k", retry=retry, traceparent=lambda: "00-1-2-01") as tributary:
            return [int(one.verdict) for one in tributary.ingest([Event(event_id="a"), Event()])]

    return await asyncio.to_thread(ask)


async def ask_asyncio(target: str, retry: RetryPolicy) -> list[int]:
    async with AsyncTributary(target, api_key="k", retry=retry, traceparent=lambda: "00-1-2-01") as tributary:
        return [int(one.verdict) for one in await tributary.ingest([Event(event_id="a"), Event()])]


both = pytest.mark.parametrize("ask", [ask_blocking, ask_asyncio], ids=["blocking", "asyncio"])


@both
async def test_a_retry_carries_the_same_ids_the_key_and_the_trace(ask: Callable) -> None:  # type: ignore[type-arg]
    door = Door(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, VERDICT_ACCEPTED)
    async with opened(door) as target:
        assert await ask(target, QUICK) == [VERDICT_ACCEPTED] * 2
    assert len(door.asked) == 3
    assert door.asked[0] == door.asked[1] == door.asked[2]
    assert door.asked[0][1], "an event went out without an id"
    assert door.metadata["authorization"] == "Bearer k"
    assert door.metadata["traceparent"] == "00-1-2-01"


@both
async def test_a_wrong_key_is_said_at_once(ask: Callable) -> None:  # type: ignore[type-arg]
    door = Door(grpc.StatusCode.UNAUTHENTICATED)
    async with opened(door) as target:
        with pytest.raises(NotAllowedError):
            await ask(target, QUICK)
    assert len(door.asked) == 1


@both
async def test_no_answer_in_time_is_overdue_and_undecided_is_an_answer(ask: Callable) -> None:  # type: ignore[type-arg]
    short = RetryPolicy(total_seconds=0.3, first_delay_seconds=0.01)
    async with opened(Door(grpc.StatusCode.UNAVAILABLE)) as target:
        with pytest.raises(OverdueError):
            await ask(target, short)
    async with opened(Door(VERDICT_UNDECIDED)) as target:
        assert await ask(target, short) == [VERDICT_UNDECIDED] * 2
