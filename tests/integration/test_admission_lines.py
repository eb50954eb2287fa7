"""What comes in floods waits for dedup by itself: another workspace's call does not wait for its answers."""

from __future__ import annotations

import asyncio

import grpc

from tests.support.ports import free_port
from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceStub
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_ingestion.admission import MAX_CALLS_OUT, MAX_EVENTS, Admission
from tributary_ingestion.caller_events import CallerEvents, Sender

METHOD = "AdmitEvents"
SERVICE = "tributary.dedup.v1.DedupService"
ACCEPTED = OUTCOME_RECORD.pack(VERDICT_ACCEPTED, 0, 0, 0)


def events_of(workspace: str, size: int) -> CallerEvents:
    sender = Sender(workspace, "key", backfill=False, traceparent="")
    return CallerEvents(sender, 1, size, claims=b"c" * size, events=b"")


async def test_a_call_does_not_wait_for_those_of_a_flood() -> None:
    answers_flood = asyncio.Event()
    flood_is_out = asyncio.Semaphore(0)

    async def admit(
        request: dedup_service_pb2.AdmitEventsRequest, _context: object
    ) -> dedup_service_pb2.AdmitEventsResponse:
        if request.callers[0].workspace == "flood":
            flood_is_out.release()
            await answers_flood.wait()
        size = sum(len(caller.claims) for caller in request.callers)
        return dedup_service_pb2.AdmitEventsResponse(outcomes=ACCEPTED * size)

    handler = grpc.unary_unary_rpc_method_handler(
        admit,
        request_deserializer=dedup_service_pb2.AdmitEventsRequest.FromString,
        response_serializer=dedup_service_pb2.AdmitEventsResponse.SerializeToString,
    )
    server, address = grpc.aio.server(), f"127.0.0.1:{free_port()}"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    server.add_insecure_port(address)
    await server.start()
    stop = asyncio.Event()
    async with grpc.aio.insecure_channel(address) as channel:
        admission = Admission(DedupServiceStub(channel), deadline_seconds=600.0)
        running = asyncio.ensure_future(admission.run(stop))
        flood = [
            asyncio.ensure_future(admission.admit(events_of("flood", MAX_EVENTS), None, is_crowded=True))
            for _ in range(2 * MAX_CALLS_OUT)
        ]
        async with asyncio.timeout(60):
            for _ in range(MAX_CALLS_OUT):
                await flood_is_out.acquire()
            quiet = await admission.admit(events_of("quiet", 3), None)
            assert quiet.records == ACCEPTED * 3
            assert not any(call.done() for call in flood)
            answers_flood.set()
            assert [(await call).records for call in flood] == [ACCEPTED * MAX_EVENTS] * (2 * MAX_CALLS_OUT)
            stop.set()
            await running
    await server.stop(None)
