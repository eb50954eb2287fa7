"""`DedupService`: from the contract to the use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc
from structlog.contextvars import bind_contextvars

from tributary.dedup.v1 import dedup_service_pb2, dedup_service_pb2_grpc
from tributary.dedup.v1.quarantine_pb2 import QUARANTINE_ACTION_REJECT, QUARANTINE_ACTION_RELEASE
from tributary.event.v1 import verdict_pb2
from tributary_dedup.admission import Admission
from tributary_dedup.backfill import Backfill
from tributary_dedup.calls import malformed
from tributary_dedup.lookup import MAX_IDS, Lookup
from tributary_dedup.outcomes import RETRY_DELAY_SECONDS, Outcome
from tributary_dedup.quarantine import Quarantine
from tributary_domain.claim_records import CLAIM_RECORD, EVENT_DIGEST_BYTES, OUTCOME_RECORD
from tributary_runtime.interceptors import INTERNAL, Access
from tributary_storage.redis.backlog_shares import BacklogShares
from tributary_storage.redis.keys import Lane

MAX_EVENTS = 1000

_NAMES = {number: name.removeprefix("VERDICT_").lower() for name, number in verdict_pb2.Verdict.items()}


_NOT_APPENDED = (verdict_pb2.VERDICT_DUPLICATE, verdict_pb2.VERDICT_UNDECIDED)


class DedupServicer(dedup_service_pb2_grpc.DedupServiceServicer):
    """The gRPC face of dedup; for Tributary's own services only.

    Args:
        admission: Decides on events.
        backfill: Decides on events that claims alone may not know.
        lookup: Says what became of events.
        quarantine: Releases and rejects what is quarantined.
        shares: Whose unread events the log holds.
    """

    service_name = "tributary.dedup.v1.DedupService"
    rules: Mapping[str, Access] = {
        "AdmitEvents": INTERNAL,
        "LookupEvents": INTERNAL,
        "FindClaims": INTERNAL,
        "DecideQuarantinedEvents": INTERNAL,
        "GetBacklog": INTERNAL,
    }

    def __init__(
        self,
        admission: Admission,
        backfill: Backfill,
        lookup: Lookup,
        quarantine: Quarantine,
        shares: BacklogShares,
    ) -> None:
        self._admission = admission
        self._backfill = backfill
        self._lookup = lookup
        self._quarantine = quarantine
        self._shares = shares

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server."""
        dedup_service_pb2_grpc.add_DedupServiceServicer_to_server(self, server)

    async def AdmitEvents(
        self, request: dedup_service_pb2.AdmitEventsRequest, context: object
    ) -> dedup_service_pb2.AdmitEventsResponse:
        """Claims and appends the events of one or many callers."""
        _check(request)
        is_looked_up = self._backfill.is_needed(request)
        response = _response(await (self._backfill if is_looked_up else self._admission).admit(request))
        self._count(request, response.outcomes)
        bind_contextvars(callers=len(request.callers), **_tally(response.outcomes))
        return response

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

    async def FindClaims(
        self, request: dedup_service_pb2.FindClaimsRequest, context: object
    ) -> dedup_service_pb2.FindClaimsResponse:
        """Says which events are known by their claims."""
        digests, size = request.event_digests, EVENT_DIGEST_BYTES
        if len(digests) % size or not size <= len(digests) <= MAX_IDS * size:
            raise malformed("event_digests", f"Must be 1 to {MAX_IDS}, of {size} bytes each.")
        bind_contextvars(ids=len(digests) // size)
        found = await self._lookup.first_accepted([digests[at : at + size] for at in range(0, len(digests), size)])
        return dedup_service_pb2.FindClaimsResponse(first_accept_micros=found)

    async def DecideQuarantinedEvents(
        self, request: dedup_service_pb2.DecideQuarantinedEventsRequest, context: object
    ) -> dedup_service_pb2.DecideQuarantinedEventsResponse:
        """Releases or rejects quarantined events."""
        if not (request.workspace and request.decided_by):
            raise malformed("workspace" if not request.workspace else "decided_by", "Must be set.")
        if not 1 <= len(request.event_ids) <= MAX_IDS:
            raise malformed("event_ids", f"Must be 1 to {MAX_IDS}.")
        if request.action not in (QUARANTINE_ACTION_RELEASE, QUARANTINE_ACTION_REJECT):
            raise malformed("action", "Must be RELEASE or REJECT.")
        bind_contextvars(workspace=request.workspace, ids=len(request.event_ids), key=request.decided_by)
        outcomes = await self._quarantine.decide(request)
        return dedup_service_pb2.DecideQuarantinedEventsResponse(outcomes=outcomes)

    async def GetBacklog(
        self, request: dedup_service_pb2.GetBacklogRequest, context: object
    ) -> dedup_service_pb2.GetBacklogResponse:
        """Says whose unread events the event log holds."""
        shares = self._shares.current
        live, bulk = shares.unread_bytes.get("live", {}), shares.unread_bytes.get("bulk", {})
        answer = dedup_service_pb2.GetBacklogResponse(room_bytes=shares.room_bytes)
        answer.live_age.FromMicroseconds(int(shares.age_seconds.get("live", 0.0) * 1e6))
        for workspace in sorted({*live, *bulk}):
            answer.workspaces.add(
                workspace=workspace, live_bytes=live.get(workspace, 0), bulk_bytes=bulk.get(workspace, 0)
            )
        return answer

    def _count(self, request: dedup_service_pb2.AdmitEventsRequest, outcomes: bytes) -> None:
        """Counts what was appended for each workspace; what only was a duplicate was not."""
        verdicts, end = outcomes[:: OUTCOME_RECORD.size], 0
        for caller in request.callers:
            start, end = end, end + len(caller.claims) // CLAIM_RECORD.size
            appended = end - start - sum(verdicts.count(verdict, start, end) for verdict in _NOT_APPENDED)
            if appended:
                lane: Lane = "bulk" if caller.lane == dedup_service_pb2.LANE_BULK else "live"
                self._shares.count(caller.workspace, lane, len(caller.events) * appended // (end - start))


def _check(request: dedup_service_pb2.AdmitEventsRequest) -> None:
    if not all(caller.workspace for caller in request.callers):
        raise malformed("callers.workspace", "Must be set.")
    size = sum([len(caller.claims) for caller in request.callers])
    if not CLAIM_RECORD.size <= size <= MAX_EVENTS * CLAIM_RECORD.size:
        raise malformed("callers.claims", f"Must be 1 to {MAX_EVENTS} in all, one per event.")


def _tally(records: bytes) -> dict[str, int]:
    verdicts = records[:: OUTCOME_RECORD.size]
    counted = {name: verdicts.count(number) for number, name in _NAMES.items()}
    return {"events": len(verdicts), **{name: count for name, count in counted.items() if count}}


def _response(outcomes: Sequence[Outcome]) -> dedup_service_pb2.AdmitEventsResponse:
    """Returns the answer; events alike share one outcome, which is written once."""
    written: dict[int, bytes] = {}
    records = []
    for outcome in outcomes:
        record = written.get(id(outcome))
        if record is None:
            record = written[id(outcome)] = OUTCOME_RECORD.pack(
                outcome.verdict, outcome.reason, outcome.first_verdict, outcome.first_accept_micros
            )
        records.append(record)
    response = dedup_service_pb2.AdmitEventsResponse(outcomes=b"".join(records))
    if verdict_pb2.VERDICT_UNDECIDED in response.outcomes[:: OUTCOME_RECORD.size]:
        response.retry_delay.FromSeconds(RETRY_DELAY_SECONDS)
    return response
