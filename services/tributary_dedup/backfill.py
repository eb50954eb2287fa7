"""Backfill, and late orders: what claims no longer hold is looked up in ClickHouse before anything is admitted.

The one rule: never blindly. An event or order that was recorded gets its claim back, and then the same scripts decide
as for everything else: the same file sent again after its claims have expired finds them, and admits nothing twice.
An order that is sent again live, weeks after its event id was forgotten, would be taken for a further observation of
itself. Without ClickHouse nothing is admitted that claims do not know; other live events never wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from google.protobuf.message import DecodeError
from structlog.contextvars import bind_contextvars

from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary_dedup.calls import Claim, malformed, read_claims
from tributary_dedup.outcomes import Outcome
from tributary_domain.claim_records import REJECTED, payload_mark
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse.recorded_events import RecordedEvent, RecordedOrder
from tributary_storage.redis.claim_layout import Kind
from tributary_storage.redis.claim_lookup import KnownClaim, LostClaim

RETRY_DELAY_SECONDS: Final = 5.0

_KINDS: Final = {"ACCEPTED": Kind.ACCEPTED, "QUARANTINED": Kind.QUARANTINED, "DUPLICATE": Kind.MERGED}
_KNOWN: Final = frozenset({verdict_pb2.VERDICT_DUPLICATE, verdict_pb2.VERDICT_CONFLICT})


class Admitting(Protocol):
    """What decides."""

    def require_room(self) -> None:
        """Returns if the log may take more, as `Admission.require_room`."""
        ...

    async def admit(self, request: dedup_service_pb2.AdmitEventsRequest) -> list[Outcome]:
        """Returns what became of the events of callers, as `Admission.admit`."""
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

    async def admit(self, request: dedup_service_pb2.AdmitEventsRequest) -> list[Outcome]:
        """Returns what became of the events of callers, once all of it is on stable storage.

        Raises:
            InvalidRequestError: A claim would corrupt others; nothing was done.
            StorageUnavailableError: A store did not answer. Nothing was admitted unless `Admission.admit` says so.
            OverloadedError: As for `Admission.admit`.
        """
        self._admission.require_room()  # claims that are restored take room, too
        first_times: dict[int, int] = {}
        before = 0
        for number, caller in enumerate(request.callers):
            claims = read_claims(caller, f"callers[{number}]")
            if looks_up(caller):
                restored = await self._restore(caller, claims, f"callers[{number}]")
                first_times.update({before + at: micros for at, micros in restored.items()})
            before += len(claims)
        outcomes = await self._admission.admit(request)
        return [
            replace(outcome, first_accept_micros=first_times[at])
            if at in first_times and outcome.verdict in _KNOWN
            else outcome
            for at, outcome in enumerate(outcomes)
        ]

    async def _restore(
        self, caller: dedup_service_pb2.CallerEvents, claims: Sequence[Claim], path: str
    ) -> dict[int, int]:
        """Writes the claims that a caller's events have lost; returns when those were accepted first, by place."""
        asked = [at for at, claim in enumerate(claims) if claim.decision != REJECTED]
        known = await self._claimed.events([claims[at].event_digest for at in asked])
        # A registration alone may be what a restoration that was cut off has left.
        unknown = [at for at, claim in zip(asked, known, strict=True) if claim is None or claim.kind is Kind.REGISTERED]
        ordered = [at for at in unknown if claims[at].order is not None]
        has_order = await self._claimed.orders([claims[at].order_digest for at in ordered])
        unknown_orders = {at for at, is_claimed in zip(ordered, has_order, strict=True) if not is_claimed}
        if not unknown:
            return {}
        admitted = {at: _read(caller.events[claims[at].start : claims[at].end], path) for at in unknown}
        try:
            ids = list({admitted[at].event.event_id for at in unknown})
            recorded = await self._recorded.events(caller.workspace, ids)
            conversions = list({admitted[at].conversion_id for at in unknown_orders})
            orders = await self._recorded.orders(caller.workspace, conversions) if conversions else {}
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
                lost.append(_lost(event, digest, event.order_digest(caller.workspace, digest)))
                times[at] = event.accept_micros
        if lost or lost_orders:
            bind_contextvars(claims_restored=await self._claimed.restore(lost, lost_orders))
        return times


def looks_up(caller: dedup_service_pb2.CallerEvents) -> bool:
    """Tells whether claims of a caller's events may be past their life."""
    return caller.looks_up or is_backfill(caller)


def is_backfill(caller: dedup_service_pb2.CallerEvents) -> bool:
    """Tells whether the accept window was lifted for a caller; earlier versions of the door say only that."""
    return caller.lane == dedup_service_pb2.LANE_BULK and Admission.FromString(caller.admission).accept_context.backfill


def _read(framed: bytes, path: str) -> AdmittedEvent:
    try:
        (admitted,) = Admission.FromString(framed).events
        return AdmittedEvent.FromString(admitted)
    except (DecodeError, ValueError) as error:
        raise malformed(f"{path}.events", "Must be an AdmittedEvent per claim.") from error


def _lost(event: RecordedEvent, digest: bytes, order_digest: bytes) -> LostClaim:
    return LostClaim(
        event_digest=digest,
        payload_mark=_mark(event.payload_digest),
        kind=_KINDS[event.verdict],
        order_digest=order_digest,
    )


def _mark(recorded: bytes) -> bytes:
    """Returns the mark of a payload digest as it was recorded: one byte of version, eight of digest."""
    return payload_mark(recorded[0], recorded[1:]) if len(recorded) == 9 else payload_mark(0, b"")
