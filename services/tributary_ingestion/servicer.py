"""`IngestionService`: from the contract to the use cases and back, nothing else."""

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary_ingestion import intake, verdicts
from tributary_ingestion.admission import Admission
from tributary_ingestion.workspace_rules import RulesBook
from tributary_runtime.authentication import current_caller
from tributary_runtime.clock import Clock
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_runtime.interceptors import Access
from tributary_runtime.workspaces import Scope

MAX_EVENTS = 1000


class IngestionServicer:
    """The gRPC face of the door.

    Args:
        rules: Of every workspace.
        admission: The way to dedup.
        clock: When calls come.
    """

    service_name = "tributary.ingestion.v1.IngestionService"
    rules: Mapping[str, Access] = {"IngestEvents": Scope.INGEST}

    def __init__(self, rules: RulesBook, admission: Admission, clock: Clock) -> None:
        self._rules = rules
        self._admission = admission
        self._clock = clock

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server.

        Requests are parsed here and not by gRPC, which answers INTERNAL to bytes that are no request.
        """
        handler = grpc.unary_unary_rpc_method_handler(
            self.ingest_events, response_serializer=IngestEventsResponse.SerializeToString
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(self.service_name, {"IngestEvents": handler}),)
        )

    async def ingest_events(self, body: bytes, context: Any) -> IngestEventsResponse:
        """Takes 1-1000 events and answers a verdict for each."""
        receive_micros = self._clock.unix_micros()
        request = _parse(body)
        caller = current_caller()
        if request.backfill:
            caller.require(Scope.BACKFILL)
        packed = intake.take_all(
            request.events, self._rules.of(caller.workspace_id), receive_micros, backfill=request.backfill
        )
        if request.validate_only:
            answers = verdicts.validated(packed)
        else:
            outcomes = await self._admission.admit(
                caller.workspace_id,
                caller.key_id,
                packed,
                receive_micros,
                backfill=request.backfill,
                remaining_seconds=context.time_remaining(),
            )
            answers = verdicts.decided(packed, outcomes)
        verdicts.tell(answers)
        return IngestEventsResponse(verdicts=answers)


def _parse(body: bytes) -> IngestEventsRequest:
    try:
        request = IngestEventsRequest.FromString(body)
    except DecodeError as error:
        message = "The request is no IngestEventsRequest: not protobuf, or a text that is not UTF-8."
        raise InvalidRequestError(message, reason="REQUEST_MALFORMED") from error
    if not 1 <= len(request.events) <= MAX_EVENTS:
        description = f"Send 1 to {MAX_EVENTS} events per call."
        raise InvalidRequestError(description, [FieldViolation("events", description, "EVENTS_OUT_OF_RANGE")])
    return request
