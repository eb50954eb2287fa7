"""One caller's events on their way through the two steps: packed per shard, their outcomes as they come in.

The one rule: the event bytes are passed on as they came; nothing here reads them.

Plain events are packed for their own shard. An event with an order is registered in its own shard (step a) and then
packed, bytes included, for its order's (step b): so what step (a) finds to be a conflict is appended and counted by
step (b), and step (a) counts nothing of it. A crash in between leaves a registration, which a retry passes.

An order may read otherwise than when its event was sent first, and be of another shard. Step (a) then asks there, and
if it was not decided bars that it ever is in this round, and registers the event anew, in a later one: an event id is
known whatever order it is sent with. Of two who get it with two orders at once one decides; the other, whose round is
barred, is told UNDECIDED if the event is registered elsewhere by now, and else registers it anew itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from struct import Struct
from typing import Final, NamedTuple

from tributary.dedup.v1 import dedup_service_pb2
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvents
from tributary.event.v1 import verdict_pb2
from tributary_dedup.outcomes import CONTENDED, Astray, Outcome, Registered
from tributary_domain.claim_records import BEST_RANK, CLAIM_RECORD, DECISION_AT, NO_ORDER, OrderPart, read_order
from tributary_domain.shards import MAX_BUCKET_BITS
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_storage.codec.framing import length_tag, varint
from tributary_storage.redis.claim_layout import (
    ACCEPT,
    FILLER,
    MOVE,
    QUARANTINE,
    REGISTER,
    Placement,
    home_digest,
    pack_claim,
    pack_order,
    pack_round,
)
from tributary_storage.redis.keys import Lane

_DECISIONS: Final = b"AQR"
_RANKS: Final = bytes(range(BEST_RANK + 1))
_ACCEPTED, _, _REJECTED = _DECISIONS
_ORDERED: Final = ord("o")
_HOME: Final = ord("h")
_KINDS: Final = {_ACCEPTED: ACCEPT, _DECISIONS[1]: QUARANTINE}
_KNOWN: Final = (verdict_pb2.VERDICT_DUPLICATE, verdict_pb2.VERDICT_CONFLICT)
_ADMISSION_TAG: Final = length_tag(AdmittedEvents.ADMISSIONS_FIELD_NUMBER)

_READ: Final = Struct(">7sIBI3sBI20s")
"""A claim record, its digest cut as in `shards`: field, shard, high byte of the bucket, the rest of it."""


class Call:
    """One caller's events and what became of them so far.

    Attributes:
        workspace: Of the credential.
        lane: Where they are appended.
        size: How many events.
        outcomes: Per event, in order; None while undecided.
        first_parts: The events packed for step (a), one part per shard.
        done: Set when all have an outcome.

    Args:
        request: What the caller sent.
        path: Of it in the request, for errors.
        placement: Where claims live.

    Raises:
        InvalidRequestError: A claim would corrupt others.
    """

    __slots__ = (
        "_admission",
        "_asked",
        "_astray",
        "_claims",
        "_events",
        "_missing",
        "_ordered",
        "_placement",
        "_registered",
        "_retried",
        "_rounds",
        "done",
        "first_parts",
        "lane",
        "outcomes",
        "size",
        "workspace",
    )

    def __init__(self, request: dedup_service_pb2.CallerEvents, path: str, placement: Placement) -> None:
        self._claims, self._events, self._admission = request.claims, request.events, request.admission
        _check(self._claims, path)
        self._placement = placement
        self.workspace = request.workspace
        self.lane: Lane = "bulk" if request.lane == dedup_service_pb2.LANE_BULK else "live"
        self.size = len(self._claims) // CLAIM_RECORD.size
        self._ordered: dict[int, int] = {}
        """Position of an event with an order -> where it ends in the caller's events."""
        self.first_parts = self._pack_first(path)
        self.outcomes: list[Outcome | None] = [None] * self.size
        self._missing = self.size
        self._registered: dict[int, Outcome | None] = {}
        self._astray: dict[int, Astray] = {}
        self._asked: dict[int, int] = {}
        """Position of an event that is asked for where it would have been decided -> that shard."""
        self._rounds: dict[int, int] = {}
        """Position of an event with an order -> the round in which it is registered, if it is not 0."""
        self._retried: set[int] = set()
        """Positions whose round was barred in step (b): once only, or two callers could bar each other without end."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, positions: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """Takes the outcomes of some events; wakes the caller with the last."""
        own = self.outcomes
        for position, outcome in zip(positions, outcomes, strict=True):
            own[position] = outcome
        self._missing -= len(positions)
        self._finish()

    def settle_ordered(self, shard: int, positions: Sequence[int], found: Sequence[Outcome | Astray]) -> None:
        """Takes what step (b) decided in a shard; an event whose round was barred there is registered anew, once."""
        for position, outcome in zip(positions, found, strict=True):
            if isinstance(outcome, Astray) and position not in self._retried:
                self._retried.add(position)
                self._astray[position] = replace(outcome, shard=shard)
                continue
            self.outcomes[position] = CONTENDED if isinstance(outcome, Astray) else outcome
            self._missing -= 1
        self._finish()

    def _finish(self) -> None:
        if not self._missing and not self.done.done():
            self.done.set_result(None)

    def settle_first(self, positions: Sequence[int], found: Sequence[Outcome | Astray | Registered]) -> None:
        """Takes what step (a) decided; what it found of events with an order waits for step (b), or for itself."""
        own, ordered = self.outcomes, self._ordered
        for position, outcome in zip(positions, found, strict=True):
            if isinstance(outcome, Astray):
                was = self._asked.pop(position, None) if outcome.is_barred else None
                self._astray[position] = outcome if was is None else replace(outcome, shard=was)
            elif isinstance(outcome, Registered):
                self._registered[position] = None
                self._rounds[position] = outcome.round
            elif position in ordered and outcome.verdict in _KNOWN:
                self._registered[position] = outcome
            else:
                own[position] = outcome
                self._missing -= 1
        self._finish()

    def parts_astray(self) -> list[FirstPart]:
        """Packs for step (a) the events that it has to see again: where they would have been decided, or anew."""
        placement, parts = self._placement, dict[int, FirstPart]()
        astray, self._astray = self._astray, {}
        for position, found in sorted(astray.items(), key=itemgetter(0)):
            digest, mark, _, _, rest = CLAIM_RECORD.unpack_from(self._claims, position * CLAIM_RECORD.size)
            if found.is_barred:
                letter, kind = MOVE[found.shard], REGISTER[placement.shard(read_order(rest).digest)]
                shard = placement.shard(digest)
            else:
                digest, shard, kind, letter = home_digest(digest), found.shard, ACCEPT, _HOME
                self._asked[position] = shard
            part = parts.get(shard)
            if part is None:
                part = parts[shard] = FirstPart(self, shard)
            part.positions.append(position)
            part.letters.append(letter)
            part.claims.append(pack_claim(digest, mark, kind))
            part.rounds.append(pack_round(found.round))
            part.bucket_keys.append(placement.claims_key(digest, shard))
        return list(parts.values())

    def order_parts(self) -> list[OrderedPart]:
        """Packs the registered events for step (b), one part per order shard, each in the order of the call."""
        placement, parts = self._placement, dict[int, OrderedPart]()
        registered, self._registered = self._registered, {}
        for position, before in sorted(registered.items(), key=itemgetter(0)):
            digest, mark, decision, length, rest = CLAIM_RECORD.unpack_from(self._claims, position * CLAIM_RECORD.size)
            order, end = read_order(rest), self._ordered[position]
            shard = placement.shard(order.digest)
            part = parts.get(shard)
            if part is None:
                part = parts[shard] = OrderedPart(self, shard)
            part.positions.append(position)
            part.rounds.append(pack_round(self._rounds.get(position, 0)))
            part.found.append(before)
            part.events.append(self._events[end - length : end])
            if before is not None:
                part.letters += b"C" if before.verdict == verdict_pb2.VERDICT_CONFLICT else b"D"
                part.claims.append(FILLER)
                part.orders.append(FILLER)
                continue
            home = home_digest(digest)
            part.letters += decision
            part.claims.append(pack_claim(home, mark, _KINDS[decision[0]]))
            part.orders.append(pack_order(order))
            part.bucket_keys.append(placement.claims_key(home, shard))
            part.bucket_keys.append(placement.orders_key(order.digest, shard))
        for part in parts.values():
            part.payload = self._entry(part.events)
        return list(parts.values())

    def _pack_first(self, path: str) -> list[FirstPart]:
        """Packs the events for step (a), one part per shard. Hot: every event passes here."""
        parts: dict[int, FirstPart] = {}
        events, shards, prefixes = self._events, self._placement.shards, self._placement.claims_prefixes
        spare_bits = MAX_BUCKET_BITS - self._placement.bits
        end = 0
        for position, record in enumerate(_READ.iter_unpack(self._claims)):
            field, number, high, low, mark, decision, length, order = record
            shard = number % shards
            part = parts.get(shard)
            if part is None:
                part = parts[shard] = FirstPart(self, shard)
            start, end = end, end + length
            part.positions.append(position)
            if decision == _REJECTED:
                part.letters.append(_REJECTED)
                part.claims.append(FILLER)
                part.events.append(events[start:end])
            else:
                if order == NO_ORDER:
                    part.letters.append(decision)
                    part.claims.append(field + mark + _KINDS[decision])
                    part.events.append(events[start:end])
                else:
                    self._ordered[position] = end
                    part.letters.append(_ORDERED)
                    part.claims.append(field + mark + REGISTER[self._placement.shard(order)])
                part.bucket_keys.append(f"{prefixes[shard]}{(high << 32 | low) >> spare_bits:x}")
        if end != len(events):
            raise malformed(f"{path}.events", "Must be as long as the claims say.")
        for part in parts.values():
            part.payload = self._entry(part.events)
        return list(parts.values())

    def _entry(self, events: Sequence[bytes]) -> bytes:
        """Returns a serialised `AdmittedEvents`; several of them written one after another are one, too."""
        if not events:
            return b""
        body = b"".join((self._admission, *events))
        return _ADMISSION_TAG + varint(len(body)) + body


class FirstPart:
    """The events of one call that step (a) sees in one shard."""

    __slots__ = ("bucket_keys", "call", "claims", "events", "letters", "payload", "positions", "rounds", "shard")

    def __init__(self, call: Call, shard: int) -> None:
        self.call = call
        self.shard = shard
        self.positions: list[int] = []
        self.letters = bytearray()
        self.claims: list[bytes] = []
        self.rounds: list[bytes] = []
        self.bucket_keys: list[str] = []
        self.events: list[bytes] = []
        self.payload = b""


class OrderedPart:
    """The events of one call that step (b) sees in one shard."""

    __slots__ = (
        "bucket_keys",
        "call",
        "claims",
        "events",
        "found",
        "letters",
        "orders",
        "payload",
        "positions",
        "rounds",
        "shard",
    )

    def __init__(self, call: Call, shard: int) -> None:
        self.call = call
        self.shard = shard
        self.positions: list[int] = []
        self.found: list[Outcome | None] = []
        self.letters = bytearray()
        self.claims: list[bytes] = []
        self.orders: list[bytes] = []
        self.rounds: list[bytes] = []
        self.bucket_keys: list[str] = []
        self.events: list[bytes] = []
        self.payload = b""


class Claim(NamedTuple):
    """A claim record, read: for what is rare."""

    event_digest: bytes
    mark: bytes
    decision: bytes
    """A, Q or R."""
    start: int
    end: int
    """Where the event is in the caller's events."""
    order: OrderPart | None

    @property
    def order_digest(self) -> bytes:
        """Of the order; empty if there is none."""
        return b"" if self.order is None else self.order.digest


def read_claims(caller: dedup_service_pb2.CallerEvents, path: str) -> list[Claim]:
    """Returns the claims of a caller, in order.

    Raises:
        InvalidRequestError: One of them would corrupt others.
    """
    _check(caller.claims, path)
    claims: list[Claim] = []
    end = 0
    for digest, mark, decision, length, order in CLAIM_RECORD.iter_unpack(caller.claims):
        start, end = end, end + length
        claims.append(Claim(digest, mark, decision, start, end, None if order == NO_ORDER else read_order(order)))
    return claims


def _check(claims: bytes, path: str) -> None:
    """Refuses claims that would corrupt others; ingestion never makes them."""
    if not claims or len(claims) % CLAIM_RECORD.size:
        raise malformed(f"{path}.claims", f"Must be records of {CLAIM_RECORD.size} bytes.")
    if claims[DECISION_AT :: CLAIM_RECORD.size].translate(None, _DECISIONS):
        raise malformed(f"{path}.claims", "What the door decided must be A, Q or R.")
    if claims[CLAIM_RECORD.size - 1 :: CLAIM_RECORD.size].translate(None, _RANKS):
        raise malformed(f"{path}.claims", f"A rank must be 0 to {BEST_RANK}.")


def malformed(field: str, description: str) -> InvalidRequestError:
    """Returns the error for a request that no version of ingestion makes."""
    return InvalidRequestError("The request is not one that ingestion makes.", [FieldViolation(field, description)])
