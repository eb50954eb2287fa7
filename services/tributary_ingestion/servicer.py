"""`IngestionService`: from the contract to the use cases and back, nothing else."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError

from tributary.common.v1.status_pb2 import Status
from tributary.event.v1.verdict_pb2 import REASON_CODE_KEY_STORE_UNREACHABLE, REASON_CODE_STORE_UNREACHABLE
from tributary.ingestion.v1.ingestion_service_pb2 import (
    IngestEventsRequest,
    IngestEventsResponse,
    StreamEventsRequest,
    StreamEventsResponse,
)
from tributary_domain.event_times import read_micros
from tributary_ingestion import held_events, intake, retries, verdicts
from tributary_ingestion.admission import Admission
from tributary_ingestion.caller_events import Sender
from tributary_ingestion.fraud import Fraud
from tributary_ingestion.held_events import Held
from tributary_ingestion.import_methods import ImportMethods
from tributary_ingestion.match_keys import Sealed, Sealing
from tributary_ingestion.packed import Packed
from tributary_ingestion.peppers import PepperCheck
from tributary_ingestion.quotas import Quotas
from tributary_ingestion.requests import malformed, parse_sliced
from tributary_ingestion.room import Room
from tributary_ingestion.turns import Turns
from tributary_ingestion.verdicts import Answers
from tributary_ingestion.visits import VisitBook
from tributary_ingestion.workspace_rules import RulesBook, WorkspaceRules
from tributary_runtime.authentication import current_caller
from tributary_runtime.clock import Clock
from tributary_runtime.errors import FieldViolation, InvalidRequestError, TributaryError
from tributary_runtime.interceptors import Access, current_parts
from tributary_runtime.streams import BatchStreams, StreamLimits
from tributary_runtime.traces import current_traceparent
from tributary_runtime.workspaces import Scope

MAX_EVENTS = 1000
EVENTS_AT_ONCE: Final = 20
"""Events that are packed without letting others on, where several workspaces call: about a millisecond."""

_Request = TypeVar("_Request", IngestEventsRequest, StreamEventsRequest)
_Batch = IngestEventsRequest | StreamEventsRequest
"""What both methods take: events, and how to take them."""


_LIMITS: Final = StreamLimits()


class Retained(Protocol):
    """Since when workspaces have events of people, as `RetainedSince`: in microseconds; 0: since ever."""

    def known(self, workspace: str) -> int:
        """Returns it as far as is known. Never blocks."""
        ...

    async def lately(self, workspace: str) -> int:
        """Returns it, as it is stored now if that can be told; raises `StorageUnavailableError` if nobody ever knew."""
        ...


class IngestionServicer:
    """The gRPC face of the door.

    Args:
        rules: Of every workspace.
        fraud: Asks the counters of bursts and the providers of human checks.
        sealing: Seals match keys.
        admission: The way to dedup.
        quotas: What keys and workspaces may take.
        peppers: Whether a workspace's pepper is the one it began with.
        room: For requests, of all workspaces.
        turns: Whose call is next.
        imports: The methods that are not about events.
        clock: When calls come.
        retained: Since when workspaces have events of people.
        stream_limits: Of `StreamEvents`.
    """

    service_name = "tributary.ingestion.v1.IngestionService"
    rules: Mapping[str, Access] = {
        "IngestEvents": Scope.INGEST,
        "StreamEvents": Scope.INGEST,
        **ImportMethods.rules,
    }

    def __init__(
        self,
        rules: RulesBook,
        fraud: Fraud,
        sealing: Sealing,
        admission: Admission,
        quotas: Quotas,
        peppers: PepperCheck,
        room: Room,
        turns: Turns,
        imports: ImportMethods,
        clock: Clock,
        retained: Retained,
        stream_limits: StreamLimits = _LIMITS,
    ) -> None:
        self._retained = retained
        self._rules = rules
        self._fraud = fraud
        self._sealing = sealing
        self._admission = admission
        self._quotas = quotas
        self._peppers = peppers
        self._room = room
        self._turns = turns
        self._imports = imports
        self._clock = clock
        self._streams = BatchStreams(stream_limits)
        self._visits = VisitBook()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server.

        Requests are parsed here and not by gRPC, which answers INTERNAL to bytes that are no request; answers are bytes
        already.
        """
        handlers = {
            "IngestEvents": grpc.unary_unary_rpc_method_handler(self.ingest_events),
            "StreamEvents": grpc.stream_stream_rpc_method_handler(self.stream_events),
            **self._imports.handlers(),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(self.service_name, handlers),))

    def drain(self) -> None:
        """Sends the callers of streams elsewhere, once what they have begun is answered."""
        self._streams.drain()

    async def ingest_events(self, body: bytes, context: Any) -> bytes:
        """Takes 1-1000 events and answers a verdict for each, as a serialised `IngestEventsResponse`."""
        receive_micros = self._clock.unix_micros()
        request = await self._read(IngestEventsRequest, body)
        answers = await self._take(request, len(body), receive_micros, context.time_remaining())
        return answers.field(IngestEventsResponse.VERDICTS_FIELD_NUMBER)

    async def stream_events(self, _requests: Any, context: Any) -> None:
        """Takes batches of 1-1000 events and answers each."""
        await self._streams.serve(context, self._answer)

    async def _answer(self, body: bytes) -> bytes:
        """Returns the answer to one batch of a stream, as a serialised `StreamEventsResponse`."""
        receive_micros = self._clock.unix_micros()
        request = await self._read(StreamEventsRequest, body)  # what is none has no number either: this ends the stream
        number = request.batch_number
        answer = await current_parts().handle(
            lambda: self._take(request, len(body), receive_micros, None), request.traceparent, batch=number
        )
        if isinstance(answer, TributaryError):
            error = Status.FromString(answer.status().SerializeToString())
            return StreamEventsResponse(batch_number=number, error=error).SerializeToString()
        head = StreamEventsResponse(batch_number=number).SerializeToString()
        return head + answer.field(StreamEventsResponse.VERDICTS_FIELD_NUMBER)

    async def _read(self, kind: type[_Request], body: bytes) -> _Request:
        """Returns a request; bytes that are none cost their key what they weigh, too."""
        try:
            return parse_sliced(kind, body)
        except InvalidRequestError:
            await self._quotas.check_bytes(current_caller(), len(body))
            raise

    async def _take(self, request: _Batch, size: int, receive_micros: int, remaining_seconds: float | None) -> Answers:
        """Returns a verdict per event, in order."""
        with self._room.hold(current_caller().workspace_id, size):
            return await self._decide(request, size, receive_micros, remaining_seconds)

    async def _decide(
        self, request: _Batch, size: int, receive_micros: int, remaining_seconds: float | None
    ) -> Answers:
        deadline = None if remaining_seconds is None else self._clock.monotonic_seconds() + remaining_seconds
        caller = current_caller()
        if request.backfill:
            caller.require(Scope.BACKFILL)
        await self._quotas.check_key(caller, len(request.events), size)  # a wrong batch was read, too
        _check(request)
        is_bulk = request.backfill or await self._quotas.is_bulk(caller, len(request.events))
        if request.backfill:
            self._quotas.check_room(caller.workspace_id)
        rules = self._rules.of(caller.workspace_id)
        await self._peppers.require(rules)
        async with self._turns.turn(caller.workspace_id, len(request.events), size) as turn:
            packed = await self._pack(request, rules, receive_micros)
            if request.validate_only:
                answers = verdicts.validated(packed)
            else:
                known = await retries.recognise(self._admission, packed, receive_micros, self._left(deadline))
                packed = known.packed
                if any(one.token is not None for one in packed):  # a provider is slow: nobody shall wait for it
                    async with turn.pause():
                        packed = await self._fraud.judge(packed, rules, self._left(deadline))
                    sealed = await self._sealing.seal(packed, rules)
                else:
                    packed, sealed = await self._judge_and_seal(packed, rules)
                sender = Sender(caller.workspace_id, caller.key_id, request.backfill, current_traceparent(), is_bulk)
                held = (
                    Held(known.unanswered, REASON_CODE_STORE_UNREACHABLE, known.retry_delay_seconds),
                    Held(sealed.unsealed, REASON_CODE_KEY_STORE_UNREACHABLE, sealed.retry_delay_seconds),
                )
                outcomes = await held_events.admit(
                    self._admission,
                    sender,
                    receive_micros,
                    packed,
                    sealed.fields,
                    held,
                    self._left(deadline),
                    is_crowded=self._turns.is_crowded(caller.workspace_id),
                )
                answers = verdicts.decided(packed, outcomes)
        verdicts.tell(answers)
        return answers

    def _left(self, deadline: float | None) -> float | None:
        """Returns how long a caller still waits: whoever was asked before has taken of it; `None`: for ever."""
        return None if deadline is None else deadline - self._clock.monotonic_seconds()

    async def _judge_and_seal(self, packed: Sequence[Packed], rules: WorkspaceRules) -> tuple[Sequence[Packed], Sealed]:
        """Asks the counters of bursts and the data keys at once: what is sealed does not depend on what is judged."""
        if not (rules.wrapping_keys and any(one.counts for one in packed)):  # one of both waits for nothing
            packed = await self._fraud.judge(packed, rules)
            return packed, await self._sealing.seal(packed, rules)
        judging = asyncio.create_task(self._fraud.judge(packed, rules))
        try:
            sealed = await self._sealing.seal(packed, rules)
            return await judging, sealed
        finally:
            judging.cancel()  # without effect on what is done

    async def _pack(self, request: _Batch, rules: WorkspaceRules, receive_micros: int) -> Sequence[Packed]:
        events, visits = request.events, self._visits.of(rules)
        call_micros = read_micros(request.sent_time) if request.HasField("sent_time") else None
        packed: list[Packed] = []
        # Whoever sends what happens now waits for no ClickHouse: what is as old as that is refused there, or an order.
        told, workspace = self._retained, rules.workspace_id
        retained = await told.lately(workspace) if request.backfill else told.known(workspace)
        try:
            for start in range(0, len(events), EVENTS_AT_ONCE):
                if start:
                    await self._turns.let_others_on()
                some = events[start : start + EVENTS_AT_ONCE]
                packed += intake.take_all(
                    some,
                    rules,
                    receive_micros,
                    backfill=request.backfill,
                    visits=visits,
                    call_micros=call_micros,
                    retained_micros=retained,
                )
        except DecodeError as error:  # of a part that was not looked at before
            raise malformed(request.DESCRIPTOR.name) from error
        return packed


def _check(request: _Batch) -> None:
    if not 1 <= len(request.events) <= MAX_EVENTS:
        description = f"Send 1 to {MAX_EVENTS} events at a time."
        raise InvalidRequestError(description, [FieldViolation("events", description, "EVENTS_OUT_OF_RANGE")])
    if getattr(request, "batch_number", 1) < 1:
        description = "Number your batches from 1."
        raise InvalidRequestError(description, [FieldViolation("batch_number", description, "BATCH_NUMBER_MISSING")])
