"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, cast

import grpc

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary.ingestion.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from tributary_client.batch import Batch
from tributary_client.connection import OPTIONS, metadata
from tributary_client.errors import RETRYABLE, TributaryClientError, from_status
from tributary_client.retry import RetryPolicy, retry_after_seconds


class Tributary:
    """Sends events and returns their verdicts. Safe to share between threads."""

    def __init__(
        self,
        target: str,
        *,
        api_key: str,
        credentials: grpc.ChannelCredentials | None = None,
        retry: RetryPolicy | None = None,
        traceparent: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Opens a channel; connects at the first call.

        Args:
            target: gRPC target of the ingestion service: "host:port" or "dns:///host:port".
            api_key: `trb_<id>_<secret>` with the scope `ingest`.
            credentials: TLS credentials; None sends in the clear, for loopback and service meshes.
            retry: When to try again.
            traceparent: Called per attempt; returns the caller's W3C traceparent, if there is one.
        """
        self._channel = (
            grpc.secure_channel(target, credentials, OPTIONS)
            if credentials is not None
            else grpc.insecure_channel(target, OPTIONS)
        )
        self._stub = IngestionServiceStub(self._channel)
        self._api_key = api_key
        self._retry = retry or RetryPolicy()
        self._traceparent = traceparent
        self.resent_events = 0
        """How many events were sent again. After a lost reply one that was ACCEPTED is answered DUPLICATE: a tally of
        verdicts may be off by at most this."""

    def ingest(
        self, events: Iterable[Event], *, validate_only: bool = False, backfill: bool = False
    ) -> list[EventVerdict]:
        """Sends 1-1000 events and returns one verdict per event, in order.

        Tries again, with the same ids, what the server could not decide. What is still undecided when the time is up is
        UNDECIDED in the answer: send it again later.

        Raises:
            InvalidBatchError: No event, too many, or a message that is too large.
            NotAllowedError: The API key is missing, unknown, expired, or lacks the scope.
            OverdueError: No answer at all within `RetryPolicy.total_seconds`.
        """
        batch = Batch(events, validate_only=validate_only, backfill=backfill)
        deadline = time.monotonic() + self._retry.total_seconds
        attempt = 0
        while True:
            attempt += 1
            resent_before = batch.resent_events
            request = batch.request()
            self.resent_events += batch.resent_events - resent_before
            error, asked_seconds = self._attempt(batch, request)
            if error is None and not batch.waiting:
                return batch.verdicts()
            pause = self._retry.delay_seconds(attempt, asked_seconds)
            if time.monotonic() + pause >= deadline:
                if error is None or batch.decided_any:
                    return batch.verdicts()
                raise error
            time.sleep(pause)

    def _attempt(self, batch: Batch, request: IngestEventsRequest) -> tuple[TributaryClientError | None, float]:
        """Sends once; returns the retryable error, if any, and the pause the server asked for."""
        try:
            response: IngestEventsResponse = self._stub.IngestEvents(
                request,
                timeout=self._retry.attempt_seconds,
                metadata=metadata(self._api_key, self._traceparent()),
            )
        except grpc.RpcError as raised:
            call = cast("grpc.Call", raised)  # what the stubs do not say: the error is the call
            error = from_status(call.code(), call.details() or "")
            if call.code() not in RETRYABLE:
                raise error from raised
            return error, retry_after_seconds(tuple(call.trailing_metadata() or ()))
        batch.take(response)
        return None, batch.retry_after_seconds

    def close(self) -> None:
        """Closes the channel; calls in flight are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the channel."""
        self.close()
