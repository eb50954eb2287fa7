"""Releases and rejects of quarantined events: decided by an operator, carried by the event log.

The one rule: nothing has an effect that is not in the log. A release appends the event itself, as it would have been
appended had the door accepted it when it came, and moves its claim in the same step: so it happens once, however often
it is asked for and whoever dies meanwhile, and every reader of the log, of `events` and of a replay sees the same. An
order that another event made a conversion meanwhile is joined, never counted again.

A release is for good: what it should not have counted is taken back by an adjustment. A rejection is remembered beside
the event, which stays quarantined and goes on earning nothing; it can be released later all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol

from structlog.contextvars import bind_contextvars

from tributary.dedup.v1 import quarantine_pb2 as contract
from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvent, AdmittedEvents
from tributary.dedup.v1.decision_pb2 import Decision
from tributary.dedup.v1.dedup_service_pb2 import DecideQuarantinedEventsRequest
from tributary.event.v1.event_pb2 import Traffic
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED, VERDICT_REJECTED
from tributary_dedup.outcomes import RETRY_DELAY_SECONDS
from tributary_dedup.quarantine_results import (
    RESULTS,
    outcome_without_result,
    result_before,
    result_expected,
    result_of_released,
)
from tributary_domain.claim_records import OrderPart, order_part, payload_mark, read_order
from tributary_domain.ids import SYSTEM_EVENT_PREFIX, conversion_id, value_digest
from tributary_runtime.clock import Clock
from tributary_runtime.errors import OverloadedError
from tributary_storage.clickhouse.quarantine import RecordedAdmission, StoredDecision
from tributary_storage.clickhouse.recorded_events import RecordedOrder
from tributary_storage.codec.event_digests import digest_of_event
from tributary_storage.redis.claim_layout import QUARANTINE, Kind, Placement, home_digest, pack_claim, pack_order
from tributary_storage.redis.claim_lookup import KnownClaim, LostClaim
from tributary_storage.redis.claims import Decide, Decided, Undecided

AT_ONCE: Final = 100
"""Decisions of one round trip: bounds how long live events wait behind them."""

_RELEASE: Final = contract.QUARANTINE_ACTION_RELEASE
_NEVER_COUNTED: Final = frozenset({Traffic.TRAFFIC_INTERNAL, Traffic.TRAFFIC_TEST})
_CONVERSION_PREFIX: Final = conversion_id(b"")
_NO_CLAIM: Final = b"N"
_WRITTEN: Final = frozenset({b"A", b"M", b"X"})


class Committer(Protocol):
    """Where decisions are carried out."""

    async def commit(self, calls: Sequence[Decide]) -> list[Decided | Undecided]:
        """Runs each call atomically and returns an answer per call; never raises for a store that fails."""
        ...


class Claimed(Protocol):
    """The claims, as `ClaimLookup`. Every method may raise `StorageUnavailableError`."""

    async def events(self, digests: Sequence[bytes]) -> list[KnownClaim | None]:
        """Returns what is claimed of each event."""
        ...

    async def orders(self, digests: Sequence[bytes]) -> list[dict[int, bytes] | None]:
        """Returns what each rank of observers stated of each order, None where it is unclaimed."""
        ...

    async def restore(self, events: Sequence[LostClaim], orders: Mapping[bytes, Mapping[int, bytes]]) -> int:
        """Writes claims again; what is there stays as it is."""
        ...


class Quarantined(Protocol):
    """Events and what was decided about them, as recorded. Every method may raise `StorageUnavailableError`."""

    async def find(self, workspace: str, event_ids: Collection[str]) -> dict[str, RecordedAdmission]:
        """Returns events by their id, quarantined or not."""
        ...

    async def decisions(self, workspace: str, event_ids: Collection[str]) -> dict[str, list[StoredDecision]]:
        """Returns what was decided about events, oldest first."""
        ...


class RecordedOrders(Protocol):
    """The orders that ClickHouse knows."""

    async def orders(self, workspace: str, conversion_ids: Collection[str]) -> dict[bytes, RecordedOrder]:
        """Returns the orders and adjustments of conversions, by their digest; may raise `StorageUnavailableError`."""
        ...


class Fill(Protocol):
    """How full the log is."""

    @property
    def is_full(self) -> bool:
        """Whether it is over its soft limit. Never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A quarantined event to be decided on."""

    event: RecordedAdmission
    admitted: AdmittedEvent
    digest: bytes
    order: OrderPart | None

    @property
    def mark(self) -> bytes:
        """Returns what its claim keeps of its payload."""
        recorded = self.admitted.payload_digest
        return payload_mark(recorded[0], recorded[1:]) if len(recorded) == 9 else payload_mark(0, b"")

    def lost_claim(self) -> LostClaim:
        """Returns its claim as it was made, should it be past its life."""
        return LostClaim(self.digest, self.mark, Kind.QUARANTINED, b"" if self.order is None else self.order.digest)


class Quarantine:
    """Decides on quarantined events.

    Args:
        claims: Where decisions are carried out.
        placement: Where claims live.
        claimed: The claims.
        quarantined: Events and earlier decisions.
        recorded: Orders whose claims are past their life.
        fill: How full the log is.
        clock: Says when a rejection was made.
    """

    def __init__(
        self,
        claims: Committer,
        placement: Placement,
        claimed: Claimed,
        quarantined: Quarantined,
        recorded: RecordedOrders,
        fill: Fill,
        clock: Clock,
    ) -> None:
        self._claims = claims
        self._placement = placement
        self._claimed = claimed
        self._quarantined = quarantined
        self._recorded = recorded
        self._fill = fill
        self._clock = clock

    async def decide(self, request: DecideQuarantinedEventsRequest) -> list[contract.QuarantineOutcome]:
        """Releases or rejects events; returns what came of each, in order.

        May run twice, and at once in several processes.

        Raises:
            OverloadedError: The log is over its soft limit; nothing was done.
            StorageUnavailableError: A store did not answer before anything was decided.
        """
        if self._fill.is_full:
            message = "The event log is full for now; decide again later."
            raise OverloadedError(message, reason="LOG_FULL", retry_delay_seconds=RETRY_DELAY_SECONDS)
        ids = list(dict.fromkeys(request.event_ids))
        found, decided = await asyncio.gather(
            self._quarantined.find(request.workspace, ids), self._quarantined.decisions(request.workspace, ids)
        )
        outcomes: dict[str, contract.QuarantineOutcome] = {}
        waiting: list[_Waiting] = []
        for event_id in ids:
            event = found.get(event_id)
            outcomes[event_id] = outcome_without_result(event_id, event)
            actions = {decision.action for decision in decided.get(event_id, ())}
            result = result_before(event, actions, request.action)
            if event is not None and not result:
                waiting.append(_waiting(request.workspace, event))
            outcomes[event_id].result = result
        known = await self._claim_orders(request.workspace, waiting) if request.action == _RELEASE else {}
        if request.validate_only:
            for one in waiting:
                outcomes[one.event.event_id].result = result_expected(request.action, one.order, known)
        else:
            await self._claim_events(waiting)
            for start in range(0, len(waiting), AT_ONCE):
                await self._carry_out(request, waiting[start : start + AT_ONCE], outcomes)
        results = [contract.QuarantineResult.Name(outcome.result) for outcome in outcomes.values()]
        tally = {name: results.count(name) for name in dict.fromkeys(results)}
        bind_contextvars(**{name.removeprefix("QUARANTINE_RESULT_").lower(): count for name, count in tally.items()})
        return [outcomes[event_id] for event_id in request.event_ids]

    async def _claim_orders(self, workspace: str, waiting: Sequence[_Waiting]) -> dict[bytes, Mapping[int, bytes]]:
        """Writes the claims of orders again that are past their life; returns what is stated of those claimed."""
        ordered = [one for one in waiting if one.order is not None]
        digests = list({one.order.digest: None for one in ordered if one.order is not None})
        if not digests:
            return {}
        stated = await self._claimed.orders(digests)
        claimed: dict[bytes, Mapping[int, bytes]] = {
            digest: values for digest, values in zip(digests, stated, strict=True) if values is not None
        }
        unknown = [one for one in ordered if one.order is not None and one.order.digest not in claimed]
        if unknown:
            conversions = list({one.event.conversion_id for one in unknown})
            recorded = await self._recorded.orders(workspace, conversions)
            wanted = {one.order.digest for one in unknown if one.order is not None}
            lost = {digest: order.values for digest, order in recorded.items() if digest in wanted}
            await self._claimed.restore([], lost)
            claimed |= lost
        return claimed

    async def _claim_events(self, waiting: Sequence[_Waiting]) -> None:
        """Writes the claims of events again that are past their life: before any is decided, in their turn."""
        claims = await self._claimed.events([one.digest for one in waiting])
        lost = [
            one.lost_claim()  # in ClickHouse it is quarantined still, so it was
            for one, claim in zip(waiting, claims, strict=True)
            if claim is None or claim.kind is Kind.REGISTERED
        ]
        if lost:
            await self._claimed.restore(lost, {})

    async def _carry_out(
        self,
        request: DecideQuarantinedEventsRequest,
        waiting: Sequence[_Waiting],
        outcomes: Mapping[str, contract.QuarantineOutcome],
    ) -> None:
        answers = await self._claims.commit([self._call(request, one) for one in waiting])
        for one, answer in zip(waiting, answers, strict=True):
            outcome = outcomes[one.event.event_id]
            if isinstance(answer, Undecided) or answer.letters == _NO_CLAIM:
                outcome.result = contract.QUARANTINE_RESULT_UNDECIDED
                continue
            outcome.result = RESULTS.get(answer.letters) or result_of_released(request.action)
            if answer.letters in _WRITTEN:
                outcome.decide_time.FromMicroseconds(answer.accept_time_micros)

    def _call(self, request: DecideQuarantinedEventsRequest, one: _Waiting) -> Decide:
        is_release = request.action == _RELEASE
        event = one.event
        message = AdmittedEvent()
        if is_release:
            message.CopyFrom(one.admitted)
            message.verdict = VERDICT_ACCEPTED
        else:
            name = blake2b(f"{request.workspace}|{event.event_id}".encode(), digest_size=16, person=b"trb reject")
            message.event.event_id = SYSTEM_EVENT_PREFIX + name.hexdigest()
            message.event.event_time.FromMicroseconds(self._clock.unix_micros())
        message.decision.CopyFrom(Decision(decided_by=request.decided_by, reason=request.reason))
        decision = message.decision.quarantine
        decision.event_id, decision.conversion_id = event.event_id, event.conversion_id
        decision.verdict = VERDICT_ACCEPTED if is_release else VERDICT_REJECTED
        decision.first_accept_time.FromMicroseconds(event.accept_micros)
        admission = Admission(
            workspace=request.workspace, traceparent=event.traceparent, events=[message.SerializeToString()]
        )
        admission.accept_context.api_key_id = event.api_key_id
        admission.accept_context.backfill = event.is_backfill
        placement, order = self._placement, one.order
        own = one.digest if order is None else home_digest(one.digest)
        shard = placement.shard(one.digest if order is None else order.digest)
        buckets = [placement.claims_key(own, shard)]
        if order is not None:
            buckets.append(placement.orders_key(order.digest, shard))
        return Decide(
            shard=shard,
            lane="bulk",  # a thousand of them hold up no live event
            payload=AdmittedEvents(admissions=[admission]).SerializeToString(),
            letter=b"A" if is_release else b"X",
            claim=pack_claim(own, one.mark, QUARANTINE),
            order=b"" if order is None else pack_order(order),
            bucket_keys=buckets,
            workspace=request.workspace,
        )


def _waiting(workspace: str, event: RecordedAdmission) -> _Waiting:
    admitted = AdmittedEvent.FromString(event.admitted)
    digest = digest_of_event(workspace, admitted)
    return _Waiting(event, admitted, digest, _order_of(admitted, digest))


def _order_of(admitted: AdmittedEvent, digest: bytes) -> OrderPart | None:
    """Returns what else than its event id the door would have had an event claimed by; None: nothing."""
    event = admitted.event
    if event.traffic in _NEVER_COUNTED:
        return None
    if event.HasField("conversion") and admitted.conversion_id != conversion_id(digest):
        key = bytes.fromhex(admitted.conversion_id.removeprefix(_CONVERSION_PREFIX))
        value = event.conversion.value if event.conversion.HasField("value") else None
    elif event.HasField("adjustment") and admitted.adjustment_key:
        key = admitted.adjustment_key
        value = event.adjustment.amount if event.adjustment.HasField("amount") else None
    else:
        return None
    stated = b"" if value is None else value_digest(value.currency_code, value.amount_micros)
    return read_order(order_part(key, admitted.source_rank, stated))
