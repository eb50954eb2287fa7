"""How a parcel gets to the server and its outcome back: one call per parcel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, cast

import grpc

from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsResponse
from tributary_client import exiting
from tributary_client.connection import Metadata, metadata
from tributary_client.dispatch import Parcel
from tributary_client.latecomers import Latecomers
from tributary_client.outcome import Answered, Failed, Outcome, answered, failed, overdue, overtaken
from tributary_client.patience import Patience
from tributary_client.rpc_status import retry_after_trailers
from tributary_client.wire import call_request

SERVICE = "/tributary.ingestion.v1.IngestionService"

Done = Callable[[Outcome], None]
"""Is told the outcome of a parcel, once; from any thread, maybe before `send` returns."""


class Transport(Protocol):
    """The way to the server. Used by one thread."""

    def send(self, parcel: Parcel, traceparent: str, now_nanos: int, done: Done) -> None:
        """Begins to send; does not wait for the answer, and tells `done` whatever comes of it.

        Args:
            parcel: What to send.
            traceparent: W3C, of the parcel; empty if it belongs to no trace.
            now_nanos: Unix time.
            done: Is told the outcome.
        """
        ...

    def check(self) -> None:
        """Gives up what nobody answered in time; called at least every second while something is under way."""
        ...

    def close(self) -> None:
        """Ends what is under way; its outcomes are told as failures."""
        ...


class CallTransport:
    """Sends each parcel as a call of `IngestEvents`.

    Args:
        channel: To the server; closed with the transport.
        api_key: Shown with each call.
        attempt_seconds: Deadline of a call.
        monotonic: The time, in seconds.
    """

    def __init__(
        self, channel: grpc.Channel, api_key: str, attempt_seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._calls = Latecomers(monotonic)
        self._patience = Patience(attempt_seconds)
        self._channel = channel
        self._api_key = api_key
        self._attempt_seconds = attempt_seconds
        self._method = channel.unary_unary(f"{SERVICE}/IngestEvents", None, IngestEventsResponse.FromString)

    def send(self, parcel: Parcel, traceparent: str, now_nanos: int, done: Done) -> None:
        """Begins a call."""
        body = call_request(parcel.entries, now_nanos, validate_only=parcel.validate_only, backfill=parcel.backfill)
        shown = metadata(self._api_key, traceparent)
        expected = len(parcel.entries)
        if not exiting.can_start_threads():
            done(self._wait_for(body, shown, expected))
            return
        call = self._method.future(body, timeout=self._attempt_seconds, metadata=shown)
        self._calls.begin(call, is_slow=parcel.backfill)
        call.add_done_callback(lambda ended: done(self._end(ended, expected)))

    def _wait_for(self, body: bytes, shown: Metadata, expected: int) -> Outcome:
        try:
            answer = self._method(body, timeout=self._attempt_seconds, metadata=shown)
        except grpc.RpcError as error:
            return of_error(error)
        return answered(answer.verdicts, expected)

    def _end(self, call: grpc.Future[IngestEventsResponse], expected: int) -> Outcome:
        outcome = _outcome(call, expected)
        is_hung, is_answered = _is_hung(outcome), isinstance(outcome, Answered)
        ended = self._calls.end(call, is_answered=is_answered, is_hung=is_hung)
        if is_answered:
            self._patience.is_answered(ended.seconds)
        if not is_hung:
            return outcome
        if ended.is_overtaken:
            return overtaken()
        return outcome if ended.patience_seconds is None else overdue(ended.patience_seconds)

    def check(self) -> None:
        """Gives up calls that others have overtaken, or all if none is answered, so that they go elsewhere.

        gRPC watches deadlines.
        """
        for call in self._calls.late():
            cast("grpc.Future[IngestEventsResponse]", call).cancel()
        silent = self._calls.silent(self._patience.seconds())
        if silent:
            self._patience.is_given_up()
        for call in silent:
            cast("grpc.Future[IngestEventsResponse]", call).cancel()

    def close(self) -> None:
        """Closes the channel, which cancels the calls under way."""
        close_channel(self._channel)


def close_channel(channel: grpc.Channel) -> None:
    """Closes a channel, unless it ends with the process."""
    if exiting.can_start_threads():
        channel.close()


def _outcome(call: grpc.Future[IngestEventsResponse], expected: int) -> Outcome:
    if call.cancelled():
        return failed(grpc.StatusCode.CANCELLED, "The client was closed.")
    error = call.exception()
    return answered(call.result().verdicts, expected) if error is None else of_error(error)


def _is_hung(outcome: Outcome) -> bool:
    """Tells whether no answer came at all."""
    hung = grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED
    return isinstance(outcome, Failed) and outcome.error.code in hung


def of_error(error: BaseException) -> Failed:
    """Returns the outcome that an error of gRPC means."""
    if not isinstance(error, grpc.RpcError):
        return failed(grpc.StatusCode.UNKNOWN, repr(error))
    call = cast("grpc.Call", error)  # what the stubs do not say: the error is the call
    trailers = tuple(cast("Iterable[tuple[str, str | bytes]]", call.trailing_metadata() or ()))
    return failed(call.code(), call.details() or "", retry_after_trailers(trailers))
