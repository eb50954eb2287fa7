"""The asyncio client: as `sync`, without blocking the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, cast

import grpc.aio

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary.ingestion.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from tributary_client.batch import Batch
from tributary_client.connection import OPTIONS, metadata
from tributary_client.errors import RETRYABLE, TributaryClientError, from_status
from tributary_client.retry import RetryPolicy, retry_after_seconds


class AsyncTributary:
    """Sends events and returns their verdicts. For one event loop."""

    def __init__(
        self,
        target: str,
        *,
        api_key: str,
        credentials: grpc.ChannelCredentials | None = None,
        retry: RetryPolicy | None = None,
        traceparent: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Opens a channel; connects at the first call. Arguments as `Tributary`."""
        self._channel = (
            grpc.aio.secure_channel(target, credentials, OPTIONS)
            if credentials is not None
            else grpc.aio.insecure_channel(target, OPTIONS)
        )
        self._stub = IngestionServiceStub(self._channel)
        self._api_key = api_key
        self._retry = retry or RetryPolicy()
        self._traceparent = traceparent
        self.resent_events = 0
        """How many events were sent again. After a lost reply one that was ACCEPTED is answered DUPLICATE: a tally of
        verdicts may be off by at most this."""

    async def ingest(
        self, events: Iterable[Event], *, validate_only: bool = False, backfill: bool = False
    ) -> list[EventVerdict]:
        """Sends 1-1000 events and returns one verdict per event, in order. As `Tributary.ingest`."""
        batch = Batch(events, validate_only=validate_only, backfill=backfill)
        deadline = time.monotonic() + self._retry.total_seconds
        attempt = 0
        while True:
            attempt += 1
            resent_before = batch.resent_events
            request = batch.request()
            self.resent_events += batch.resent_events - resent_before
            error, asked_seconds = await self._attempt(batch, request)
            if error is None and not batch.waiting:
                return batch.verdicts()
            pause = self._retry.delay_seconds(attempt, asked_seconds)
            if time.monotonic() + pause >= deadline:
                if error is None or batch.decided_any:
                    return batch.verdicts()
                raise error
            await asyncio.sleep(pause)

    async def _attempt(self, batch: Batch, request: IngestEventsRequest) -> tuple[TributaryClientError | None, float]:
        """Sends once; returns the retryable error, if any, and the pause the server asked for."""
        try:
            response = await self._stub.IngestEvents(
                request,
                timeout=self._retry.attempt_seconds,
                metadata=metadata(self._api_key, self._traceparent()),
            )
        except grpc.aio.AioRpcError as raised:
            error = from_status(raised.code(), raised.details() or "")
            if raised.code() not in RETRYABLE:
                raise error from raised
            return error, retry_after_seconds(_pairs(raised))
        batch.take(response)
        return None, batch.retry_after_seconds

    async def close(self) -> None:
        """Closes the channel; calls in flight are cancelled."""
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        """Returns itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the channel."""
        await self.close()


def _pairs(error: grpc.aio.AioRpcError) -> list[tuple[str, str | bytes]]:
    """Returns the trailing metadata as pairs, which it is although the stubs do not say so."""
    return list(cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ()))
