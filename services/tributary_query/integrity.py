"""The promises as live numbers, each from two independent sides.

The one rule: a sum of our own parts is no evidence. What the claim scripts counted in Redis is compared with rows in
ClickHouse, rows with what they say of each other, conversions with what destinations were told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from tributary.delivery.v1.delivery_service_pb2 import ListDestinationsRequest
from tributary.query.v1.integrity_pb2 import IntegrityCheck, VerdictCounts
from tributary.query.v1.query_service_pb2 import GetIntegrityResponse
from tributary_query.health import Logs
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.integrity import (
    StoredConversions,
    StoredDeliveries,
    StoredEvents,
    StoredIntegrity,
    StoredRevisions,
)
from tributary_storage.redis.progress import is_settled

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.delivery.v1.delivery_service_pb2_grpc import DeliveryServiceAsyncStub

log = structlog.get_logger(__name__)

_DELIVERY_SECONDS: Final = 10.0
"""How long delivery is asked: the rest is answered without it."""

VERDICTS: Final = ("ACCEPTED", "DUPLICATE", "CONFLICT", "REJECTED", "QUARANTINED")


@dataclass(frozen=True, slots=True)
class Stored:
    """What ClickHouse says."""

    events: StoredEvents
    conversions: StoredConversions
    revisions: StoredRevisions
    deliveries: StoredDeliveries
    eligible: int
    """(conversion, destination) pairs in which the destination takes conversions of this name."""
    decided: int
    """Of these, those with a row in `deliveries`."""


class Integrity:
    """Counts both sides of each promise.

    Args:
        stored: What is stored in ClickHouse.
        logs: What the scripts counted, and what waits.
        delivery: Asked what waits for destinations.
    """

    def __init__(self, stored: StoredIntegrity, logs: Logs, delivery: DeliveryServiceAsyncStub) -> None:
        self._stored = stored
        self._logs = logs
        self._delivery = delivery

    async def get(self, workspace: Workspace) -> GetIntegrityResponse:
        """Returns the checks. While events are on their way they are told as they are, and not `settled`.

        Raises:
            StorageUnavailableError: ClickHouse or a Redis did not answer.
        """
        before = await self._logs.verdicts(workspace.id)
        settled = is_settled(await self._logs.backlogs())
        delivered = settled and await self._nothing_to_deliver(workspace)
        stored = await self._read(workspace)
        after = await self._logs.verdicts(workspace.id)
        settled = settled and before == after
        checks = [
            *_event_checks(after, stored.events, settled),
            *_conversion_checks(stored, settled),
            *_delivery_checks(stored, settled and delivered),
        ]
        return GetIntegrityResponse(checks=checks, verdicts=verdict_counts(after))

    async def _read(self, workspace: Workspace) -> Stored:
        events, conversions, revisions, deliveries = await asyncio.gather(
            self._stored.events(workspace.id),
            self._stored.conversions(workspace.id),
            self._stored.revisions(workspace.id),
            self._stored.deliveries(workspace.id),
        )
        pairs = [
            await self._stored.decided(workspace.id, destination.id, list(destination.conversions))
            for destination in workspace.destinations
            if destination.is_sent_each
        ]
        eligible, decided = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        return Stored(events, conversions, revisions, deliveries, eligible, decided)

    async def _nothing_to_deliver(self, workspace: Workspace) -> bool:
        """Fails closed: what delivery cannot tell is on its way."""
        told = {destination.id for destination in workspace.destinations if destination.is_sent_each}
        if not told:
            return True
        try:
            asked = ListDestinationsRequest(workspace=workspace.id)
            answer = await self._delivery.ListDestinations(asked, timeout=_DELIVERY_SECONDS)
        except grpc.aio.AioRpcError as error:
            log.warning("deliveries_unknown", code=error.code().name)
            return False
        return not any(one.pending for one in answer.destinations if one.destination_id in told)


def verdict_counts(verdicts: Mapping[str, int]) -> VerdictCounts:
    """Returns what the scripts counted; `received` is all of it, whatever the verdict is called."""
    named = {verdict.lower(): verdicts.get(verdict, 0) for verdict in VERDICTS}
    return VerdictCounts(received=sum(verdicts.values()), **named)


def _event_checks(verdicts: Mapping[str, int], events: StoredEvents, settled: bool) -> Sequence[IntegrityCheck]:
    received = sum(verdicts.values())
    known = verdicts.get("DUPLICATE", 0)
    kept = events.accepted + events.quarantined + events.conflicts + events.rejected
    return [
        _equal(
            "received_is_sum_of_verdicts",
            "Events the claim script decided on; duplicates it counted and rows of all others.",
            received,
            known + kept,
            settled,
        ),
        _equal(
            "accepted_events_are_rows",
            "Accepted, as the claim script counted; rows in events.",
            verdicts.get("ACCEPTED", 0),
            events.accepted,
            settled,
        ),
        _equal(
            "quarantined_events_are_rows",
            "Quarantined, as the claim script counted; rows in events.",
            verdicts.get("QUARANTINED", 0),
            events.quarantined,
            settled,
        ),
        _equal(
            "conflicts_are_rows",
            "Conflicts, as the claim script counted; rows in refusals.",
            verdicts.get("CONFLICT", 0),
            events.conflicts,
            settled,
        ),
        _equal(
            "rejected_events_are_rows",
            "Rejected, as the claim script counted; rows in refusals.",
            verdicts.get("REJECTED", 0),
            events.rejected,
            settled,
        ),
        _check(
            "merged_observations_are_duplicates",
            "Duplicates, as the claim script counted; rows of merged observations, which are among them.",
            (known, events.merged),
            events.merged <= known,
            settled,
        ),
        _equal("events_exist_once", "Rows in events; distinct event ids.", events.rows, events.event_ids, settled),
    ]


def _conversion_checks(stored: Stored, settled: bool) -> Sequence[IntegrityCheck]:
    conversions, revisions = stored.conversions, stored.revisions
    return [
        _equal(
            "observed_conversions_are_rows",
            "Distinct conversions that accepted events observed; rows in conversions.",
            stored.events.observed_conversions,
            conversions.rows,
            settled,
        ),
        _equal(
            "conversions_exist_once",
            "Rows in conversions; distinct conversion ids.",
            conversions.rows,
            conversions.ids,
            settled,
        ),
        _equal(
            "orders_are_conversions",
            "Distinct orders; conversions that have one.",
            conversions.orders,
            conversions.with_order,
            settled,
        ),
        _equal(
            "credit_sums_to_one",
            "Counted conversions times models; those whose credit is exactly 1 000 000.",
            conversions.sums,
            conversions.whole_credit_sums,
            settled,
        ),
        _equal(
            "money_sums_to_value",
            "Counted conversions times models; those whose money is exactly the value.",
            conversions.sums,
            conversions.whole_value_sums,
            settled,
        ),
        _equal(
            "revisions_have_predecessors",
            "Revisions; those that are the first or follow the one they name.",
            revisions.rows,
            revisions.linked,
            settled,
        ),
        _equal(
            "conversions_begin_once",
            "Conversions with revisions; first revisions.",
            revisions.conversions,
            revisions.firsts,
            settled,
        ),
        _equal(
            "conversions_have_revisions",
            "Rows in conversions; conversions with revisions.",
            conversions.rows,
            revisions.conversions,
            settled,
        ),
    ]


def _delivery_checks(stored: Stored, settled: bool) -> Sequence[IntegrityCheck]:
    deliveries = stored.deliveries
    return [
        _equal(
            "conversions_are_decided_on",
            "Counted conversions times destinations that take them; those with a delivery, or a reason for none.",
            stored.eligible,
            stored.decided,
            settled,
        ),
        _equal(
            "deliveries_are_taken_once",
            "None; conversions that a destination took as new more than once.",
            0,
            deliveries.taken_twice,
            settled,
        ),
        _equal(
            "visible_ids_never_change",
            "None; conversions that a destination saw under more than one id.",
            0,
            deliveries.shown_twice,
            settled,
        ),
    ]


def _equal(name: str, description: str, expected: int, actual: int, settled: bool) -> IntegrityCheck:
    return _check(name, description, (expected, actual), expected == actual, settled)


def _check(name: str, description: str, sides: tuple[int, int], ok: bool, settled: bool) -> IntegrityCheck:
    expected, actual = sides
    return IntegrityCheck(name=name, description=description, expected=expected, actual=actual, ok=ok, settled=settled)
