"""Backfill: what claims no longer hold is looked up in ClickHouse before anything is admitted.

The one rule: never blindly. An event or order that was recorded gets its claim back, and then the same scripts decide
as for everything else: the same file sent again after its claims have expired finds them, and admits nothing twice.
Without ClickHouse nothing is admitted that claims do not know; live events never wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from google.protobuf.message import DecodeError
from structlog.contextvars import bind_contextvars

from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary_dedup.calls import malformed
from tributary_dedup.outcomes import Outcome
from tributary_domain.ids import DIGEST_BYTES
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse.recorded_events import RecordedEvent, RecordedOrder
from tributary_storage.redis.claim_layout import Kind
from tributary_storage.redis.claim_lookup import KnownClaim, LostClaim

RETRY_DELAY_SECONDS: Final = 5.0

_KINDS: Final = {"ACCEPTED": Kind.ACCEPTED, "QUARANTINED": Kind.QUARANTINED, "DUPLICATE": Kind.MERGED}
_KNOWN: Final = frozenset({verdict_pb2.VERDICT_DUPLICATE, verdict_pb2.VERDICT_CONFLICT})


class Admitting(Protocol):
    """What decides."""

    async def admit(self, request: dedup_service_pb2.AdmitEventsRequest, traceparent: str) -> list[Outcome]:
        """Returns what became of a caller's events, as `Admission.admit`."""
        ...


class Claimed(Protocol):
    """The claims, as `ClaimLookup`. Every method may raise `StorageUnavailableError`."""

    async def events(self, digests: Sequence[bytes]) -> list[KnownClaim | None]:
        """Returns what is claimed of each event."""
        ...

    async def orders(self, digests: Sequence[bytes]) -> list[bool]:
        """Returns of each order whether it is claimed."""
        ...

    async def restore(self, events: Sequence[LostClaim], orders: Mapping[bytes, Mapping[int, bytes]]) -> int:
        """Writes claims again. May run twice."""
        ...


class Recorded(Protocol):
    """What ClickHouse has, as `RecordedEvents`. Every method may raise `StorageUnavailableError`."""

    async def events(self, workspace: str, event_ids: Sequence[str]) -> dict[str, RecordedEvent]:
        """Returns what was recorded, by event id."""
        ...

    async def orders(self, workspace: str, conversion_ids: Sequence[str]) -> dict[bytes, RecordedOrder]:
        """Returns the orders and adjustments of conversions, by their digest."""
        ...


class Backfill:
    """Admits events of any age.

    Args:
        admission: Decides, once the claims are whole.
        claimed: The claims.
        recorded: What ClickHouse has.
    """

    def __init__(self, admission: Admitting, claimed: Claimed, recorded: Recorded) -> None:
        self._admission = admission
        self._claimed = claimed
        self._recorded = recorded

    async def admit(self, request: dedup_service_pb2.AdmitEventsRequest, traceparent: str) -> list[Outcome]:
        """Returns what became of a caller's events, once all of it is on stable storage.

        Raises:
            InvalidRequestError: A claim would corrupt others; nothing was done.
            StorageUnavailableError: A store did not answer. Nothing was admitted unless `Admission.admit` says so.
            OverloadedError: As for `Admission.admit`.
        """
        first_times = await self._restore(request)
        outcomes = await self._admission.admit(request, traceparent)
        return [
            replace(outcome, first_accept_micros=first_times[at])
            if at in first_times and outcome.verdict in _KNOWN
            else outcome
            for at, outcome in enumerate(outcomes)
        ]

    async def _restore(self, request: dedup_service_pb2.AdmitEventsRequest) -> dict[int, int]:
        """Writes the claims that the events of a call have lost; returns when those were accepted first, by place."""
        claims = request.claims
        asked = [at for at, claim in enumerate(claims) if claim.verdict != verdict_pb2.VERDICT_REJECTED]
        for at in asked:
            if len(claims[at].event_digest) != DIGEST_BYTES or len(claims[at].order_digest) not in (0, DIGEST_BYTES):
                raise malformed(f"claims[{at}]", f"Digests must be {DIGEST_BYTES} bytes.")
        known = await self._claimed.events([claims[at].event_digest for at in asked])
        # A registration alone may be what a restoration that was cut off has left.
        unknown = [at for at, claim in zip(asked, known, strict=True) if claim is None or claim.kind is Kind.REGISTERED]
        ordered = [at for at in unknown if claims[at].order_digest]
        has_order = await self._claimed.orders([claims[at].order_digest for at in ordered])
        unknown_orders = {at for at, is_claimed in zip(ordered, has_order, strict=True) if not is_claimed}
        if not unknown:
            return {}
        admitted = {at: _read(request.events[at], at) for at in unknown}
        try:
            ids = list({admitted[at].event.event_id for at in unknown})
            recorded = await self._recorded.events(request.workspace, ids)
            conversions = list({admitted[at].conversion_id for at in unknown_orders})
            orders = await self._recorded.orders(request.workspace, conversions) if conversions else {}
        except StorageUnavailableError as error:
            message = "Whether these events were sent before cannot be told now; send the same batch again."
            raise StorageUnavailableError(
                message, metadata={"store": "clickhouse"}, retry_delay_seconds=RETRY_DELAY_SECONDS
            ) from error
        lost: list[LostClaim] = []
        lost_orders: dict[bytes, dict[int, bytes]] = {}
        times: dict[int, int] = {}
        for at in unknown:
            event, order = recorded.get(admitted[at].event.event_id), orders.get(claims[at].order_digest)
            if order is not None and at in unknown_orders:
                lost_orders[claims[at].order_digest] = order.values
                times[at] = order.accept_micros
            if event is not None:
                digest = claims[at].event_digest
                lost.append(_lost(event, digest, event.order_digest(request.workspace, digest)))
                times[at] = event.accept_micros
        if lost or lost_orders:
            restored = await self._claimed.restore(lost, lost_orders)
            bind_contextvars(claims_restored=restored)
        return times


def _read(admitted: bytes, at: int) -> AdmittedEvent:
    try:
        return AdmittedEvent.FromString(admitted)
    except DecodeError as error:
        raise malformed(f"events[{at}]", "Must be an AdmittedEvent.") from error


def _lost(event: RecordedEvent, digest: bytes, order_digest: bytes) -> LostClaim:
    return LostClaim(
        event_digest=digest,
        payload_digest=event.payload_digest[1:9].ljust(8, b"\0"),
        payload_digest_version=event.payload_digest[0] if len(event.payload_digest) == 9 else 0,
        kind=_KINDS[event.verdict],
        order_digest=order_digest,
    )
