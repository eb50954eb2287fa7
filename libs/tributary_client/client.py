"""What the blocking and the asyncio client have in common: all but the waiting."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial

import grpc

from tributary.event.v1.event_pb2 import Event
from tributary_client import lifecycle, tracing
from tributary_client.buffering import Buffering, WhenFull
from tributary_client.callbacks import Callbacks
from tributary_client.clock import Clock, SystemClock
from tributary_client.connection import Tls, open_channel
from tributary_client.counters import Counters
from tributary_client.dispatch import Batching
from tributary_client.engine import Engine, Plan
from tributary_client.entry import Decision, Entry, Loss
from tributary_client.errors import BufferFullError, CallError, EventTooLargeError
from tributary_client.event_ids import with_id
from tributary_client.exchange import Exchange
from tributary_client.fields import EventFields
from tributary_client.retry import RetryPolicy
from tributary_client.spool import Spooling
from tributary_client.stream_transport import StreamTransport
from tributary_client.tracking import Put, Tracking
from tributary_client.transport import CallTransport, Transport


class TransportKind(Enum):
    """How batches get to the server.

    With batches of 100 and more both cost client and server the same (`tests/load/client.py`); with batches of 10 a
    stream saves ingestion a tenth. Calls are the default: each finds the replica that is free.
    """

    CALLS = "calls"
    """Each as a call of `IngestEvents`: through any load balancer and proxy that knows gRPC."""
    STREAM = "stream"
    """Many on one stream, `StreamEvents`: for small batches. As calls where server or proxy know no streams."""


class BaseClient(Tracking[Put]):
    """Puts events into an engine; how its callers wait for it is left open.

    Safe to share between threads. Nothing is connected, and no thread runs, before the first event; so a client made
    before a process forks (a web server with preloaded workers) works in each child.
    """

    def __init__(
        self,
        target: str,
        *,
        api_key: str,
        tls: Tls | grpc.ChannelCredentials | None = None,
        transport: TransportKind = TransportKind.CALLS,
        batching: Batching | None = None,
        buffering: Buffering | None = None,
        retry: RetryPolicy | None = None,
        spool: Spooling | None = None,
        on_verdict: Callable[[Decision], None] | None = None,
        on_drop: Callable[[Loss], None] | None = None,
        on_error: Callable[[CallError], None] | None = None,
        traceparent: Callable[[], str | None] | None = None,
        validate_only: bool = False,
        backfill: bool = False,
        channel_options: Mapping[str, str | int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            target: gRPC target of the ingestion service: "host:port", "dns:///host:port".
            api_key: `trb_<id>_<secret>` with the scope `ingest`; a line end after it, as files have one, is left out.
            tls: TLS or mutual TLS; None sends in the clear, for loopback and service meshes.
            transport: Calls, or a stream.
            batching: How many events travel together.
            buffering: How many may wait in memory, and what happens then.
            retry: When to try again.
            spool: Where events are kept on disk until they are decided; None: in memory alone.
            on_verdict: Told what became of each tracked event. Without it, the log of this name is told once of each
                reason for a rejection, conflict or quarantine.
            on_drop: Told of each event that is given up.
            on_error: Told of each batch that failed as a whole, which is sent again.
            traceparent: Returns the W3C traceparent that an event belongs to; None: OpenTelemetry's, if it is there.
            validate_only: Tracked events are only checked, and answered VALID.
            backfill: Tracked events are history: the key needs the scope `backfill`.
            channel_options: Of gRPC, by name; over the client's own.
            clock: For tests.

        Raises:
            ValueError: The key holds what no key has.
        """
        self._batching = batching or Batching()
        self._buffering = buffering or Buffering()
        self._retry = retry or RetryPolicy()
        self._traceparent = traceparent or tracing.current_traceparent
        self._clock = clock or SystemClock()
        self._chance = random.SystemRandom()
        self._waits_for_disk = spool is not None and spool.fsync
        key, options = api_key.strip(), dict(channel_options or {})
        if not (key.isascii() and key.isprintable()):  # gRPC would say so of each call, and each would be tried again
            message = "api_key holds a character that no key has: a line end, or one that is not ASCII."
            raise ValueError(message)
        opening = partial(_open, transport, target, key, tls, options, self._retry, self._clock)
        self._engine = Engine(
            Plan(
                opening,
                self._batching,
                self._buffering,
                self._retry,
                spool,
                Callbacks(on_verdict, on_drop, on_error),
                validate_only,
                backfill,
                self._clock,
                self._chance,
            )
        )
        lifecycle.watch(self._engine)

    @property
    def counters(self) -> Counters:
        """The client's numbers at this moment."""
        return self._engine.counters()

    @property
    def resent_events(self) -> int:
        """How many events were sent again.

        After a lost answer one that was ACCEPTED is answered DUPLICATE: a tally of verdicts may be off by at most this.
        """
        return self._engine.counters().resent

    def _now_nanos(self) -> int:
        return self._clock.unix_nanos()

    def _entry(self, event: Event, traceparent: str | None, *, is_stamped: bool) -> Entry:
        body = event.SerializeToString()
        if len(body) > self._batching.bytes:
            raise EventTooLargeError(f"The event has {len(body)} bytes; at most {self._batching.bytes} are taken.")
        if traceparent is None:
            traceparent = self._traceparent() or ""
        return Entry(body, tracing.readable(traceparent), is_stamped=is_stamped)

    def _entry_of(self, event: Event, fields: EventFields) -> Entry:
        # Where the time is this machine's, the server mends its clock: so each attempt says when it was made.
        return self._entry(event, fields.get("traceparent"), is_stamped="event_time" not in fields)

    def _exchange(self, events: Iterable[Event], *, validate_only: bool, backfill: bool) -> Exchange:
        entries = [Entry(with_id(event).SerializeToString()) for event in events]
        exchange = Exchange(
            entries,
            tracing.readable(self._traceparent() or ""),
            self._retry,
            self._chance,
            validate_only=validate_only,
            backfill=backfill,
        )
        self._engine.exchange(exchange)
        return exchange

    @property
    def _wait_seconds(self) -> float:
        """How long a caller may wait for room."""
        may_wait = self._buffering.when_full is WhenFull.BLOCK and not self._engine.may_not_wait
        return self._buffering.block_seconds if may_wait else 0.0

    def _refuse(self, entry: Entry) -> None:
        """Gives an event up for which there is no room: tells the caller, or `on_drop`.

        Raises:
            BufferFullError: With `WhenFull.BLOCK`.
        """
        message = "What waits to be sent has reached its bound; is the server reachable, and fast enough?"
        error = BufferFullError(message)
        if self._buffering.when_full is WhenFull.BLOCK:
            raise error
        self._engine.refuse(entry, error)


def _open(
    kind: TransportKind,
    target: str,
    api_key: str,
    tls: Tls | grpc.ChannelCredentials | None,
    options: Mapping[str, str | int],
    retry: RetryPolicy,
    clock: Clock,
) -> Transport:
    channel = open_channel(target, tls, options)
    if kind is TransportKind.STREAM:
        return StreamTransport(channel, api_key, retry.attempt_seconds, clock.monotonic)
    return CallTransport(channel, api_key, retry.attempt_seconds, clock.monotonic)
