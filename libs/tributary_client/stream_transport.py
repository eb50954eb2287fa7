"""How a parcel gets to the server and its outcome back: many parcels on one stream.

The one rule: a parcel is done when its answer has come, or when the stream it went by has ended. What has no answer
then is sent again by another stream, with the same event ids, and counted once. A stream that is silent for several
times as long as answers take is given up: the next one goes to the next replica.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from queue import SimpleQueue

import grpc

from tributary.ingestion.v1.ingestion_service_pb2 import StreamEventsResponse
from tributary_client import exiting
from tributary_client.connection import Metadata, metadata
from tributary_client.dispatch import Parcel
from tributary_client.outcome import Outcome, answered, failed, of_status, overdue
from tributary_client.patience import Patience
from tributary_client.transport import SERVICE, CallTransport, Done, close_channel, of_error
from tributary_client.wire import stream_request

LIFE_SECONDS = 30.0
"""Then parcels go by a new stream: before the server ends it, and so that load spreads over new replicas."""

_Method = Callable[..., "grpc.CallIterator[StreamEventsResponse]"]


class StreamTransport:
    """Sends parcels by `StreamEvents`; opens a stream when there is something to send.

    Args:
        channel: To the server; closed with the transport.
        api_key: Shown by each stream.
        attempt_seconds: How long a parcel may be without an answer before its stream is given up.
        monotonic: The time, in seconds.
    """

    def __init__(
        self, channel: grpc.Channel, api_key: str, attempt_seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._channel = channel
        self._calls = CallTransport(channel, api_key, attempt_seconds, monotonic)
        self._shown = metadata(api_key)
        self._attempt_seconds = attempt_seconds
        self._monotonic = monotonic
        self._patience = Patience(attempt_seconds)
        self._method: _Method = channel.stream_stream(f"{SERVICE}/StreamEvents", None, StreamEventsResponse.FromString)
        self._streams: list[_Stream] = []  # the last one takes parcels, the others wait for answers
        self._number = 0

    def send(self, parcel: Parcel, traceparent: str, now_nanos: int, done: Done) -> None:
        """Puts a parcel on the stream."""
        now = self._monotonic()
        self._number += 1
        body = stream_request(
            self._number,
            parcel.entries,
            now_nanos,
            traceparent,
            validate_only=parcel.validate_only,
            backfill=parcel.backfill,
        )
        sent = _Sent(done, len(parcel.entries), now, is_slow=parcel.backfill)
        if self._streams and self._streams[-1].takes(self._number, body, sent, now):
            return
        if not exiting.can_start_threads() or any(stream.is_unknown for stream in self._streams):
            self._calls.send(parcel, traceparent, now_nanos, done)
            return
        stream = _Stream(self._method, self._shown, now + LIFE_SECONDS, self._patience, self._monotonic)
        self._streams.append(stream)
        if not stream.takes(self._number, body, sent, now):
            done(failed(grpc.StatusCode.UNAVAILABLE, "The stream ended as soon as it was opened."))

    def check(self) -> None:
        """Gives up streams that do not answer, and forgets those that have ended."""
        now = self._monotonic()
        self._calls.check()
        for stream in self._streams:
            stream.check(now, self._attempt_seconds)
        self._streams = [stream for stream in self._streams if stream.is_unknown or not stream.has_ended]

    def close(self) -> None:
        """Ends all streams and closes the channel."""
        for stream in self._streams:
            stream.end()
        close_channel(self._channel)


class _Sent:
    """A parcel on a stream."""

    __slots__ = ("done", "expected", "is_slow", "since")

    def __init__(self, done: Done, expected: int, since: float, *, is_slow: bool) -> None:
        self.done = done
        self.expected = expected
        self.since = since
        self.is_slow = is_slow
        """Whether its answer takes longer than those of others: what is older than the claims is looked up."""


class _Stream:
    """One stream, and the thread that reads its answers."""

    def __init__(
        self,
        method: _Method,
        shown: Metadata,
        end_time: float,
        patience: Patience,
        monotonic: Callable[[], float],
    ) -> None:
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._pending: dict[int, _Sent] = {}
        self._lock = threading.Lock()
        self._end_time = end_time
        self._patience = patience
        self._monotonic = monotonic
        self._answer_time = -inf
        self._is_closing = False
        self.has_ended = False
        """Whether every parcel it took is done."""
        self.is_unknown = False
        """Whether the server, or a proxy before it, knows no such method."""
        self._call = method(iter(self._requests.get, None), metadata=shown)
        threading.Thread(target=self._read, name="tributary-stream", daemon=True).start()

    def takes(self, number: int, body: bytes, sent: _Sent, now: float) -> bool:
        """Sends a parcel, unless the stream ends or has had its time; tells whether."""
        with self._lock:
            if not self._is_closing and now >= self._end_time:
                self._close()
            if self._is_closing:
                return False
            self._pending[number] = sent
        self._requests.put(body)
        return True

    def check(self, now: float, attempt_seconds: float) -> None:
        """Gives the stream up if a parcel waits too long, or nothing comes by it; ends one that has had its time."""
        patience = self._patience.seconds()
        with self._lock:
            pending = list(self._pending.values())
            since = min((sent.since for sent in pending), default=inf)
            is_late = now - since >= attempt_seconds
            silent_since = inf if any(sent.is_slow for sent in pending) else max(since, self._answer_time)
            is_silent = not is_late and now - silent_since >= patience
            if not self._is_closing and now >= self._end_time:
                self._close()
        if is_silent:
            self._patience.is_given_up()
        if is_late or is_silent:
            self._finish(overdue(attempt_seconds if is_late else patience))
            self._call.cancel()  # type: ignore[no-untyped-call]  # so in its stubs

    def end(self) -> None:
        """Gives the stream up."""
        self._finish(failed(grpc.StatusCode.CANCELLED, "The client was closed."))
        self._call.cancel()  # type: ignore[no-untyped-call]  # so in its stubs

    def _close(self) -> None:
        """Takes no more; the answers to what was taken still come."""
        self._is_closing = True
        self._requests.put(None)

    def _read(self) -> None:
        try:
            for response in self._call:
                now = self._monotonic()
                with self._lock:
                    sent = self._pending.pop(response.batch_number, None)
                    self._answer_time = now
                if sent is not None:  # else it was given up
                    if not sent.is_slow:
                        self._patience.is_answered(now - sent.since)
                    is_error = response.HasField("error")
                    sent.done(of_status(response.error) if is_error else answered(response.verdicts, sent.expected))
        except grpc.RpcError as error:
            outcome = of_error(error)
            if outcome.error.code is grpc.StatusCode.UNIMPLEMENTED:
                self.is_unknown = True
                outcome = failed(grpc.StatusCode.UNAVAILABLE, f"{outcome.error}; calls are used instead")
            self._finish(outcome)
        else:
            self._finish(failed(grpc.StatusCode.UNAVAILABLE, "The stream ended."))

    def _finish(self, outcome: Outcome) -> None:
        """Tells what became of all that has no answer."""
        with self._lock:
            if not self._is_closing:
                self._close()
            pending, self._pending = self._pending, {}
            self.has_ended = True
        for sent in pending.values():
            sent.done(outcome)
