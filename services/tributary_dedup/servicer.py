"""`DedupService`: from the contract to the use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc
from structlog.contextvars import bind_contextvars

from tributary.dedup.v1 import dedup_service_pb2, dedup_service_pb2_grpc
from tributary.event.v1 import verdict_pb2
from tributary_dedup.admission import Admission
from tributary_dedup.backfill import Backfill
from tributary_dedup.calls import malformed
from tributary_dedup.lookup import MAX_IDS, Lookup
from tributary_dedup.outcomes import RETRY_DELAY_SECONDS, Outcome
from tributary_runtime.interceptors import INTERNAL, Access
from tributary_runtime.traces import current_traceparent

MAX_EVENTS = 1000

_NAMES = {number: name.removeprefix("VERDICT_").lower() for name, number in verdict_pb2.Verdict.items()}


class DedupServicer(dedup_service_pb2_grpc.DedupServiceServicer):
    """The gRPC face of dedup; for Tributary's own services only.

    Args:
        admission: Decides on events.
        backfill: Decides on events of any age.
        lookup: Says what became of events.
    """

    service_name = "tributary.dedup.v1.DedupService"
    rules: Mapping[str, Access] = {"AdmitEvents": INTERNAL, "LookupEvents": INTERNAL}

    def __init__(self, admission: Admission, backfill: Backfill, lookup: Lookup) -> None:
        self._admission = admission
        self._backfill = backfill
        self._lookup = lookup

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server."""
        dedup_service_pb2_grpc.add_DedupServiceServicer_to_server(self, server)

    async def AdmitEvents(
        self, request: dedup_service_pb2.AdmitEventsRequest, context: object
    ) -> dedup_service_pb2.AdmitEventsResponse:
        """Claims and appends the events of one caller."""
        _check(request)
        admitting = self._backfill if request.accept_context.backfill else self._admission
        outcomes = await admitting.admit(request, current_traceparent())
        bind_contextvars(workspace=request.workspace, events=len(outcomes), **_tally(outcomes))
        return _response(outcomes)

    async def LookupEvents(
        self, request: dedup_service_pb2.LookupEventsRequest, context: object
    ) -> dedup_service_pb2.LookupEventsResponse:
        """Says what became of event ids."""
        if not request.workspace:
            raise malformed("workspace", "Must be set.")
        if not 1 <= len(request.event_ids) <= MAX_IDS:
            raise malformed("event_ids", f"Must be 1 to {MAX_IDS}.")
        bind_contextvars(workspace=request.workspace, ids=len(request.event_ids))
        fates = await self._lookup.find(request.workspace, request.event_ids)
        return dedup_service_pb2.LookupEventsResponse(fates=fates)


def _check(request: dedup_service_pb2.AdmitEventsRequest) -> None:
    if not request.workspace:
        raise malformed("workspace", "Must be set.")
    if not 1 <= len(request.claims) <= MAX_EVENTS:
        raise malformed("claims", f"Must be 1 to {MAX_EVENTS}, one per event.")
    if len(request.claims) != len(request.events):
        raise malformed("events", "Must be one per claim, in the same order.")


def _tally(outcomes: Sequence[Outcome]) -> dict[str, int]:
    tally: dict[str, int] = {}
    for outcome in outcomes:
        name = _NAMES[outcome.verdict]
        tally[name] = tally.get(name, 0) + 1
    return tally


def _response(outcomes: Sequence[Outcome]) -> dedup_service_pb2.AdmitEventsResponse:
    """Returns the answer; events alike share one outcome, which is written once: five times cheaper than messages."""
    written: dict[int, bytes] = {}
    parts = []
    for outcome in outcomes:
        part = written.get(id(outcome))
        if part is None:
            alone = dedup_service_pb2.AdmitEventsResponse(outcomes=[_message(outcome)])
            part = written[id(outcome)] = alone.SerializeToString()
        parts.append(part)
    return dedup_service_pb2.AdmitEventsResponse.FromString(b"".join(parts))  # repeated fields add up


def _message(outcome: Outcome) -> dedup_service_pb2.AdmitOutcome:
    message = dedup_service_pb2.AdmitOutcome(
        verdict=outcome.verdict, first_verdict=outcome.first_verdict, reason_code=outcome.reason
    )
    if outcome.first_accept_micros:
        message.first_accept_time.FromMicroseconds(outcome.first_accept_micros)
    if outcome.verdict == verdict_pb2.VERDICT_UNDECIDED:
        message.retry_delay.FromSeconds(RETRY_DELAY_SECONDS)
    return message
