"""One call on its way through the two steps: its events packed per shard, its outcomes as they come in.

The one rule: the event bytes are passed on as they came; nothing here reads them.

Plain events are packed for their own shard. An event with an order is registered in its own shard (step a) and then
packed, bytes included, for its order's (step b): so what step (a) finds to be a conflict is appended and counted by
step (b), and step (a) counts nothing of it. A crash in between leaves a registration, which a retry passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from operator import itemgetter

from tributary.dedup.v1 import admitted_events_pb2, dedup_service_pb2
from tributary.event.v1 import verdict_pb2
from tributary_dedup.outcomes import Outcome
from tributary_domain.ids import DIGEST_BYTES, VALUE_DIGEST_BYTES
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_storage.redis.claim_layout import (
    ACCEPT,
    FILLER,
    QUARANTINE,
    REGISTER,
    Placement,
    claim_record,
    home_digest,
    order_record,
)
from tributary_storage.redis.keys import Lane

PAYLOAD_DIGEST_BYTES = 8

_LETTERS = {
    verdict_pb2.VERDICT_ACCEPTED: "A",
    verdict_pb2.VERDICT_QUARANTINED: "Q",
    verdict_pb2.VERDICT_REJECTED: "R",
}
_KINDS = {"A": ACCEPT, "Q": QUARANTINE}
_KNOWN = (verdict_pb2.VERDICT_DUPLICATE, verdict_pb2.VERDICT_CONFLICT)


class Call:
    """One caller's events and what became of them so far.

    Attributes:
        lane: Where they are appended.
        size: How many events.
        outcomes: Per event, in order; None while undecided.
        first_parts: The events packed for step (a), one part per shard.
        done: Set when all have an outcome.

    Args:
        request: As many events as claims.
        traceparent: Of the request; empty if there is none.
        placement: Where claims live.

    Raises:
        InvalidRequestError: A claim would corrupt others.
    """

    __slots__ = (
        "_missing",
        "_placement",
        "_registered",
        "_request",
        "_traceparent",
        "done",
        "first_parts",
        "lane",
        "outcomes",
        "size",
    )

    def __init__(self, request: dedup_service_pb2.AdmitEventsRequest, traceparent: str, placement: Placement) -> None:
        self._request = request
        self._traceparent = traceparent
        self._placement = placement
        self.lane: Lane = "bulk" if request.lane == dedup_service_pb2.LANE_BULK else "live"
        self.size = len(request.claims)
        self.first_parts = self._pack_first()
        self.outcomes: list[Outcome | None] = [None] * self.size
        self._missing = self.size
        self._registered: dict[int, Outcome | None] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def workspace(self) -> str:
        """The workspace of the credential."""
        return self._request.workspace

    def settle(self, positions: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """Takes the outcomes of some events; wakes the caller with the last."""
        for position, outcome in zip(positions, outcomes, strict=True):
            self.outcomes[position] = outcome
        self._missing -= len(positions)
        self._finish()

    def _finish(self) -> None:
        if not self._missing and not self.done.done():
            self.done.set_result(None)

    def settle_first(self, positions: Sequence[int], found: Sequence[Outcome | None]) -> None:
        """Takes what step (a) decided; what it found of events with an order waits for step (b)."""
        claims = self._request.claims
        for position, outcome in zip(positions, found, strict=True):
            if outcome is None or (outcome.verdict in _KNOWN and claims[position].order_digest):
                self._registered[position] = outcome
            else:
                self.outcomes[position] = outcome
                self._missing -= 1
        self._finish()

    def order_parts(self) -> list[OrderPart]:
        """Packs the registered events for step (b), one part per order shard, each in the order of the call."""
        placement, parts = self._placement, dict[int, OrderPart]()
        for position, before in sorted(self._registered.items(), key=itemgetter(0)):
            claim = self._request.claims[position]
            order = claim.order_digest
            shard = placement.shard(order)
            part = parts.get(shard)
            if part is None:
                part = parts[shard] = OrderPart(self, shard)
            part.positions.append(position)
            part.found.append(before)
            if before is not None:
                part.letters.append("C" if before.verdict == verdict_pb2.VERDICT_CONFLICT else "D")
                part.claims.append(FILLER)
                part.orders.append(FILLER)
                continue
            letter = _LETTERS[claim.verdict]
            home = home_digest(claim.event_digest)
            record = claim_record(home, claim.payload_digest, claim.payload_digest_version, _KINDS[letter])
            part.letters.append(letter)
            part.claims.append(record)
            part.orders.append(order_record(order, claim.source_rank, claim.value_digest))
            part.bucket_keys.append(placement.claims_key(home, shard))
            part.bucket_keys.append(placement.orders_key(order, shard))
        for part in parts.values():
            part.payload = self._pack(part.positions)
        return list(parts.values())

    def _pack_first(self) -> list[FirstPart]:
        """Packs the events for step (a), one part per shard. Hot: every event passes here."""
        parts: dict[int, FirstPart] = {}
        place_of, shard_of = self._placement.claim_place, self._placement.shard
        for position, claim in enumerate(self._request.claims):
            digest, payload_digest, order = claim.event_digest, claim.payload_digest, claim.order_digest
            letter = _LETTERS.get(claim.verdict, "")
            if len(digest) != DIGEST_BYTES or len(payload_digest) != PAYLOAD_DIGEST_BYTES or not letter or order:
                _check(position, claim)
            shard, key = place_of(digest)
            part = parts.get(shard)
            if part is None:
                part = parts[shard] = FirstPart(self, shard)
            part.positions.append(position)
            if letter == "R":
                part.plain.append(position)
                part.letters.append(letter)
                part.claims.append(FILLER)
                continue
            if order:
                kind = REGISTER[shard_of(order)]
                part.letters.append("o")
            else:
                kind = _KINDS[letter]
                part.plain.append(position)
                part.letters.append(letter)
            part.claims.append(claim_record(digest, payload_digest, claim.payload_digest_version, kind))
            part.bucket_keys.append(key)
        for part in parts.values():
            part.payload = self._pack(part.plain)
        return list(parts.values())

    def _pack(self, positions: Sequence[int]) -> bytes:
        """Returns a serialised `AdmittedEvents`; several of them written one after another are one, too."""
        if not positions:
            return b""
        request, events = self._request, self._request.events
        admission = admitted_events_pb2.Admission(
            workspace=request.workspace,
            traceparent=self._traceparent,
            accept_context=request.accept_context,
            events=events if len(positions) == self.size else [events[position] for position in positions],
        )
        return admitted_events_pb2.AdmittedEvents(admissions=[admission]).SerializeToString()


class FirstPart:
    """The events of one call that step (a) sees in one shard."""

    __slots__ = ("bucket_keys", "call", "claims", "letters", "payload", "plain", "positions", "shard")

    def __init__(self, call: Call, shard: int) -> None:
        self.call = call
        self.shard = shard
        self.positions: list[int] = []
        self.plain: list[int] = []
        self.letters: list[str] = []
        self.claims: list[bytes] = []
        self.bucket_keys: list[str] = []
        self.payload = b""


class OrderPart:
    """The events of one call that step (b) sees in one shard."""

    __slots__ = ("bucket_keys", "call", "claims", "found", "letters", "orders", "payload", "positions", "shard")

    def __init__(self, call: Call, shard: int) -> None:
        self.call = call
        self.shard = shard
        self.positions: list[int] = []
        self.found: list[Outcome | None] = []
        self.letters: list[str] = []
        self.claims: list[bytes] = []
        self.orders: list[bytes] = []
        self.bucket_keys: list[str] = []
        self.payload = b""


def _check(position: int, claim: dedup_service_pb2.EventClaim) -> None:
    """Refuses a claim that would corrupt others; ingestion never makes one."""
    lengths = {
        "event_digest": (DIGEST_BYTES,),
        "payload_digest": (PAYLOAD_DIGEST_BYTES,) if claim.verdict != verdict_pb2.VERDICT_REJECTED else (),
        "order_digest": (0, DIGEST_BYTES),
        "value_digest": (0, VALUE_DIGEST_BYTES),
    }
    for field, allowed in lengths.items():
        if allowed and len(getattr(claim, field)) not in allowed:
            raise malformed(f"claims[{position}].{field}", f"Must be {allowed[-1]} bytes.")
    if claim.verdict not in _LETTERS:
        raise malformed(f"claims[{position}].verdict", "Must be ACCEPTED, QUARANTINED or REJECTED.")


def malformed(field: str, description: str) -> InvalidRequestError:
    """Returns the error for a request that no version of ingestion makes."""
    return InvalidRequestError("The request is not one that ingestion makes.", [FieldViolation(field, description)])
