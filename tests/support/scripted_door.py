"""A door of a test's own making, on real gRPC: faithful to the contract, and as moody as it is told.

It knows event ids, so what it is sent twice is DUPLICATE; everything else a test scripts.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tributary.common.v1.status_pb2 import Status
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED, VERDICT_DUPLICATE, VERDICT_VALID, EventVerdict
from tributary.ingestion.v1.ingestion_service_pb2 import (
    IngestEventsRequest,
    IngestEventsResponse,
    StreamEventsRequest,
    StreamEventsResponse,
)
from tributary.ingestion.v1.ingestion_service_pb2_grpc import (
    IngestionServiceServicer,
    add_IngestionServiceServicer_to_server,
)

Batch = IngestEventsRequest | StreamEventsRequest


def a_failure(
    code: grpc.StatusCode, retry_seconds: float | None = None, message: str = "as planned"
) -> status_pb2.Status:
    """Returns the status of a batch that fails."""
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="PLANNED", domain="tributary"))
    if retry_seconds is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(round(retry_seconds * 1e9))
        status.details.add().Pack(info)
    return status


class ScriptedDoor(IngestionServiceServicer):
    """What it does next, and what it was asked."""

    def __init__(self) -> None:
        self.failures: deque[status_pb2.Status | None] = deque()
        """Of the next batches, in order; None: it goes well."""
        self.refuses: Callable[[Event], status_pb2.Status | None] = lambda _: None
        """The failure of a batch that holds this event."""
        self.decides: Callable[[Event], EventVerdict | None] = lambda _: None
        """The verdict of an event that is not to be decided by its id."""
        self.open = threading.Event()
        """Cleared, no batch is answered."""
        self.open.set()
        self.lock = threading.Lock()
        self.asked: list[Batch] = []
        """Every batch, in order."""
        self.metadata: list[dict[str, str]] = []
        """Of every call and stream."""
        self.accepted: Counter[str] = Counter()
        """Event id -> how often it was accepted: once."""

    @property
    def events(self) -> list[Event]:
        """Every event it was sent, repetitions included."""
        with self.lock:
            return [event for batch in self.asked for event in batch.events]

    def answer(self, batch: Batch) -> list[EventVerdict] | status_pb2.Status:
        """Decides on a batch."""
        with self.lock:
            self.asked.append(batch)
            failure = self.failures.popleft() if self.failures else None
        self.open.wait(60)
        if failure is not None:
            return failure
        for event in batch.events:
            if (refusal := self.refuses(event)) is not None:
                return refusal
        with self.lock:
            return [self._decide(event, batch) for event in batch.events]

    def _decide(self, event: Event, batch: Batch) -> EventVerdict:
        decided = self.decides(event)
        if decided is not None:
            decided.event_id = event.event_id
            return decided
        if batch.validate_only:
            return EventVerdict(event_id=event.event_id, verdict=VERDICT_VALID)
        is_new = not self.accepted[event.event_id]
        self.accepted[event.event_id] += is_new
        return EventVerdict(event_id=event.event_id, verdict=VERDICT_ACCEPTED if is_new else VERDICT_DUPLICATE)

    def IngestEvents(self, request: IngestEventsRequest, context: grpc.ServicerContext) -> IngestEventsResponse:
        self._note(context)
        answer = self.answer(request)
        if isinstance(answer, status_pb2.Status):
            context.abort_with_status(rpc_status.to_status(answer))
        return IngestEventsResponse(verdicts=answer)  # type: ignore[arg-type]

    def StreamEvents(
        self, request_iterator: Iterator[StreamEventsRequest], context: grpc.ServicerContext
    ) -> Iterator[StreamEventsResponse]:
        self._note(context)
        for request in request_iterator:
            answer = self.answer(request)
            if isinstance(answer, status_pb2.Status):
                error = Status.FromString(answer.SerializeToString())
                yield StreamEventsResponse(batch_number=request.batch_number, error=error)
            else:
                yield StreamEventsResponse(batch_number=request.batch_number, verdicts=answer)

    def _note(self, context: grpc.ServicerContext) -> None:
        with self.lock:
            self.metadata.append({str(key): str(value) for key, value in context.invocation_metadata()})


@contextmanager
def opened(
    door: IngestionServiceServicer, credentials: grpc.ServerCredentials | None = None, port: int = 0, **options: Any
) -> Iterator[str]:
    """Serves a door on a port of 127.0.0.1; yields the target."""
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0), *options.items()])
    add_IngestionServiceServicer_to_server(door, server)
    address = f"127.0.0.1:{port}"
    port = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        if isinstance(door, ScriptedDoor):
            door.open.set()
        server.stop(None).wait()
