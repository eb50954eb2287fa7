"""Backfill, late orders, lost claims: what claims do not hold is looked up in ClickHouse before anything is admitted.

The one rule: never blindly. An event or order that was recorded gets its claim back, and then the same scripts decide
as for everything else: the same file sent again after its claims have expired finds them, and admits nothing twice.
An order that is sent again live, weeks after its event id was forgotten, would be taken for a further observation of
itself. Without ClickHouse nothing is admitted that claims do not know; other live events never wait for it.

After a confirmed loss of the log its claims are gone: for as long as they would have lived, every event that has none
is looked up, and is UNDECIDED where it cannot be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog
from google.protobuf.message import DecodeError
from structlog.contextvars import bind_contextvars

from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary_dedup.calls import Claim, malformed, read_claims
from tributary_dedup.outcomes import UNREACHABLE, Outcome
from tributary_domain.claim_records import CLAIM_RECORD, REJECTED, payload_mark
from tributary_domain.ids import event_digest
from tributary_runtime.clock import Clock
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse.recorded_events import RecordedEvent, RecordedOrder
from tributary_storage.redis import lost_claims
from tributary_storage.redis.claim_layout import Kind
from tributary_storage.redis.claim_lookup import KnownClaim, LostClaim
from tributary_storage.redis.lost_claims import Lacking

log = structlog.get_logger(__name__)

RETRY_DELAY_SECONDS: Final = 5.0
LOOKUP_SECONDS: Final = 3.0
"""How long ClickHouse may take; shorter than a caller waits, whose other events are decided then."""

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

    async def orders(self, digests: Sequence[bytes]) -> list[dict[int, bytes] | None]:
        """Returns what was stated of each order, None where it is unclaimed."""
        ...

    async def restore(self, events: Sequence[LostClaim], orders: Mapping[bytes, Mapping[int, bytes]]) -> int:
        """Writes claims again. May run twice."""
        ...


class Recorded(Protocol):
    """What ClickHouse has, as `RecordedEvents`. Every method may raise `StorageUnavailableError`."""

    async def events(
        self, workspace: str, event_ids: Collection[str], sent_hashes: Collection[int]
    ) -> dict[str, RecordedEvent]:
        """Returns what was recorded, by event id; of further ids the hash is known."""
        ...

    async def orders_as_sent(self, workspace: str, named: Mapping[str, int]) -> dict[str, str]:
        """Returns the conversions that events observed which are stored as they were sent, by what those would be."""
        ...

    async def orders(self, workspace: str, conversion_ids: Sequence[str]) -> dict[bytes, RecordedOrder]:
        """Returns the orders and adjustments of conversions, by their digest."""
        ...


class Losses(Protocol):
    """What is known of the log, as `Continuity`."""

    @property
    def loss_micros(self) -> int:
        """When the last confirmed loss was, microseconds since 1970; 0: there was none."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """An event whose claim may be lost."""

    place: int
    """Among all events of the request."""
    workspace: str
    claim: Claim
    framed: bytes
    """The event as it was sent."""
    path: str
    """Of its caller in the request, for errors."""


class Backfill:
    """Admits events that claims alone may not know.

    Args:
        admission: Decides, once the claims are whole.
        claimed: The claims.
        recorded: What ClickHouse has.
        losses: Says whether claims were lost.
        clock: Says how long ago.
    """

    def __init__(
        self, admission: Admitting, claimed: Claimed, recorded: Recorded, losses: Losses, clock: Clock
    ) -> None:
        self._admission = admission
        self._claimed = claimed
        self._recorded = recorded
        self._losses = losses
        self._clock = clock

    def is_needed(self, request: dedup_service_pb2.AdmitEventsRequest) -> bool:
        """Tells whether any event of a request may be known though it has no claim. Never blocks."""
        return self._lacking() is not Lacking.NOTHING or any(looks_up(caller) for caller in request.callers)

    async def admit(self, request: dedup_service_pb2.AdmitEventsRequest) -> list[Outcome]:
        """Returns what became of the events of callers, once all of it is on stable storage.

        Events that claims do not know are UNDECIDED while ClickHouse does not answer; the others are decided.

        Raises:
            InvalidRequestError: A claim would corrupt others; nothing was done.
            StorageUnavailableError: A store did not answer. Nothing was admitted unless `Admission.admit` says so.
            OverloadedError: As for `Admission.admit`.
        """
        self._admission.require_room()  # claims that are restored take room, too
        lacking, asked, size = self._lacking(), list[_Asked](), 0
        for number, caller in enumerate(request.callers):
            path = f"callers[{number}]"
            claims = read_claims(caller, path)
            asked += [
                _Asked(size + at, caller.workspace, claim, caller.events[claim.start : claim.end], path)
                for at, claim in enumerate(claims)
                if claim.decision != REJECTED and (looks_up(caller) or _may_be_lost(claim, lacking))
            ]
            size += len(claims)
        first_times, untold = await self._restore(asked)
        if len(untold) == size:
            message = "Whether these events were sent before cannot be told now; send the same batch again."
            raise StorageUnavailableError(
                message, metadata={"store": "clickhouse"}, retry_delay_seconds=RETRY_DELAY_SECONDS
            )
        decided = iter(await self._admission.admit(_without(request, untold) if untold else request))
        return [UNREACHABLE if at in untold else _at_first(next(decided), first_times.get(at)) for at in range(size)]

    def _lacking(self) -> Lacking:
        loss_micros = self._losses.loss_micros
        return lost_claims.lacking(loss_micros, self._clock.unix_micros()) if loss_micros else Lacking.NOTHING

    async def _restore(self, asked: Sequence[_Asked]) -> tuple[dict[int, int], set[int]]:
        """Writes the claims that events have lost.

        Returns:
            When those were accepted first, by place; and the places of those of whom nobody can tell.
        """
        known = await self._claimed.events([one.claim.event_digest for one in asked])
        # A registration alone may be what a restoration that was cut off has left.
        unknown = [
            one for one, claim in zip(asked, known, strict=True) if claim is None or claim.kind is Kind.REGISTERED
        ]
        ordered = [one for one in unknown if one.claim.order is not None]
        stated = await self._claimed.orders([one.claim.order_digest for one in ordered])
        lacks_order = {one.place for one, values in zip(ordered, stated, strict=True) if values is None}
        by_workspace: dict[str, list[tuple[_Asked, AdmittedEvent]]] = {}
        for one in unknown:
            by_workspace.setdefault(one.workspace, []).append((one, _read(one.framed, one.path)))
        found = await asyncio.gather(
            *(self._look_up(workspace, some, lacks_order) for workspace, some in by_workspace.items())
        )
        lost: list[LostClaim] = []
        lost_orders: dict[bytes, dict[int, bytes]] = {}
        times: dict[int, int] = {}
        untold: set[int] = set()
        for (workspace, some), answer in zip(by_workspace.items(), found, strict=True):
            if answer is None:
                untold.update(one.place for one, _ in some)
                continue
            for one, event, order in answer:
                digest, order_digest = one.claim.event_digest, one.claim.order_digest
                if order is not None:
                    lost_orders[order_digest] = order.values
                    times[one.place] = order.accept_micros
                if event is not None:
                    lost.append(_lost(event, digest, event.order_digest(workspace, digest)))
                    times[one.place] = event.accept_micros
        if lost or lost_orders:
            bind_contextvars(claims_restored=await self._claimed.restore(lost, lost_orders))
        return times, untold

    async def _look_up(
        self, workspace: str, asked: Sequence[tuple[_Asked, AdmittedEvent]], lacks_order: Collection[int]
    ) -> list[tuple[_Asked, RecordedEvent | None, RecordedOrder | None]] | None:
        """Returns what was recorded of a workspace's events and of their orders; None if ClickHouse does not answer."""
        conversions = {admitted.conversion_id for one, admitted in asked if one.place in lacks_order}
        named = {
            admitted.conversion_id: admitted.sent_target_hash
            for one, admitted in asked
            if one.place in lacks_order and admitted.sent_target_hash
        }
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                ids = {admitted.event.event_id for _, admitted in asked}
                hashes = {admitted.sent_event_hash for _, admitted in asked if admitted.sent_event_hash}
                events = await self._recorded.events(workspace, ids, hashes)
                if named:  # the like of these may be recorded as of the orders of the events that they name
                    conversions.update((await self._recorded.orders_as_sent(workspace, named)).values())
                orders = await self._recorded.orders(workspace, list(conversions)) if conversions else {}
        except (StorageUnavailableError, TimeoutError) as error:
            reason = str(error) or "ClickHouse did not answer in time."
            log.warning("claims_not_looked_up", workspace=workspace, events=len(asked), reason=reason)
            return None
        # A token stands for some ids; an earlier version stored the event under what was sent.
        sent = {event_digest(workspace, event_id): event for event_id, event in events.items()} if hashes else {}
        return [
            (
                one,
                sent.get(one.claim.event_digest) or events.get(admitted.event.event_id),
                orders.get(one.claim.order_digest) if one.place in lacks_order else None,
            )
            for one, admitted in asked
        ]


def _may_be_lost(claim: Claim, lacking: Lacking) -> bool:
    return lacking is Lacking.ALL or (lacking is Lacking.ORDERS and claim.order is not None)


def _without(
    request: dedup_service_pb2.AdmitEventsRequest, places: Collection[int]
) -> dedup_service_pb2.AdmitEventsRequest:
    """Returns a request without some of its events."""
    some, size = dedup_service_pb2.AdmitEventsRequest(), 0
    for number, caller in enumerate(request.callers):
        claims = read_claims(caller, f"callers[{number}]")
        stay = [at for at in range(len(claims)) if size + at not in places]
        size += len(claims)
        if stay:
            left = some.callers.add()
            left.CopyFrom(caller)
            width = CLAIM_RECORD.size
            left.claims = b"".join([caller.claims[at * width : (at + 1) * width] for at in stay])
            left.events = b"".join([caller.events[claims[at].start : claims[at].end] for at in stay])
    return some


def _at_first(outcome: Outcome, first_micros: int | None) -> Outcome:
    """Returns the outcome of an event with the exact time it was accepted first, where that was looked up."""
    if first_micros is None or outcome.verdict not in _KNOWN:
        return outcome
    return replace(outcome, first_accept_micros=first_micros)


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
