"""Asks dedup which of the packed events exist.

The one rule: never retried by itself. A reply that was lost turns ACCEPTED into DUPLICATE on the caller's retry, and
only the caller may choose that. Fails closed: without dedup nothing is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc

from tributary.dedup.v1 import admitted_events_pb2, dedup_service_pb2
from tributary_domain.channel import CHANNEL_RULES_VERSION
from tributary_domain.payloads import PAYLOAD_DIGEST_VERSION
from tributary_ingestion.intake import Packed
from tributary_runtime.errors import InvalidRequestError, PreconditionError, TributaryError, UnavailableError
from tributary_runtime.remote_errors import error_of

if TYPE_CHECKING:  # exists for type checkers only
    from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceAsyncStub

_MARGIN = 0.9
"""Share of the caller's remaining time that dedup gets, so that our own answer still arrives."""


class Admission:
    """The door's way to dedup.

    Args:
        dedup: Its stub, on a channel that carries the internal token.
        deadline_seconds: How long dedup may take.
    """

    def __init__(self, dedup: DedupServiceAsyncStub, deadline_seconds: float) -> None:
        self._dedup = dedup
        self._deadline_seconds = deadline_seconds

    async def admit(
        self,
        workspace: str,
        api_key_id: str,
        packed: Sequence[Packed],
        receive_micros: int,
        *,
        backfill: bool,
        remaining_seconds: float | None,
    ) -> Sequence[dedup_service_pb2.AdmitOutcome]:
        """Returns an outcome per event, in order.

        Args:
            workspace: The credential's.
            api_key_id: Which key it was.
            packed: 1-1000 events.
            receive_micros: When the call came.
            backfill: Whether the accept window was lifted; such events take the bulk lane.
            remaining_seconds: How long the caller still waits; `None`: for ever.

        Raises:
            UnavailableError: Dedup does not answer, or refuses because it might forget.
            OverloadedError: The event log is full.
        """
        request = to_request(workspace, api_key_id, packed, receive_micros, backfill=backfill)
        timeout = self._deadline_seconds
        if remaining_seconds is not None:
            timeout = min(timeout, max(remaining_seconds * _MARGIN, 0.001))
        try:
            response = await self._dedup.AdmitEvents(request, timeout=timeout)
        except grpc.aio.AioRpcError as failure:
            raise _told(error_of(failure)) from failure
        return response.outcomes


def to_request(
    workspace: str, api_key_id: str, packed: Sequence[Packed], receive_micros: int, *, backfill: bool
) -> dedup_service_pb2.AdmitEventsRequest:
    """Returns what dedup is asked; see `Admission.admit`."""
    context = admitted_events_pb2.AcceptContext(
        api_key_id=api_key_id,
        backfill=backfill,
        channel_rules_version=CHANNEL_RULES_VERSION,
    )
    context.receive_time.FromMicroseconds(receive_micros)
    request = dedup_service_pb2.AdmitEventsRequest(
        workspace=workspace,
        accept_context=context,
        events=[one.admitted for one in packed],
        lane=dedup_service_pb2.LANE_BULK if backfill else dedup_service_pb2.LANE_LIVE,
    )
    add = request.claims.add
    for one in packed:
        key = one.key
        if key.order_digest:
            add(
                event_digest=one.event_digest,
                payload_digest=one.payload_digest,
                payload_digest_version=PAYLOAD_DIGEST_VERSION,
                verdict=one.verdict,
                order_digest=key.order_digest,
                value_digest=key.value_digest,
                source_rank=one.source_rank,
            )
        else:
            add(
                event_digest=one.event_digest,
                payload_digest=one.payload_digest,
                payload_digest_version=PAYLOAD_DIGEST_VERSION,
                verdict=one.verdict,
            )
    return request


def _told(error: TributaryError) -> TributaryError:
    """Turns what is not the caller's business into what the caller can do."""
    if isinstance(error, PreconditionError):
        message = "The event log cannot keep what it takes now; send the same events again, with the same ids."
        return UnavailableError(message, retry_delay_seconds=5.0, reason=error.reason)
    if isinstance(error, InvalidRequestError):
        return TributaryError("Dedup refused what the door packed; the log has the details.")
    return error
