"""A shop that uses a running installation as its customers do: sends events, asks what became of them.

Builders make valid events; say only what matters. Times are given as how long ago.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import grpc

from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.inbox import Inbox, Webhook
from tests.support.stack import KeyedWorkspace
from tributary.attribution.v1.conversion_pb2 import ConversionState, RevisionCause
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary.attribution.v1.journey_pb2 import Journey
from tributary.event.v1.adjustment_pb2 import ADJUSTMENT_REASON_REFUND, AdjustmentReason
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER, Observer
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.event.v1.verdict_pb2 import EventVerdict, ReasonCode, Verdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary.ingestion.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from tributary.query.v1.integrity_pb2 import IntegrityCheck
from tributary.query.v1.query_service_pb2 import (
    GetConversionRequest,
    GetConversionResponse,
    GetIntegrityRequest,
    GetJourneyRequest,
    GetPipelineHealthRequest,
    ListDestinationsRequest,
)
from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

T = TypeVar("T")

NOW = datetime.now(UTC)  # noqa: TID251 - events must lie within the accept window
EURO = 1_000_000
MICRO = timedelta(microseconds=1)
CALL_SECONDS = 30.0
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.1, 0.4
"""A look is a call that asks all stores, and costs as much as the event that is waited for."""
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PAID = "https://shop.example/?utm_source=google&utm_medium=cpc"
MAIL = "https://shop.example/?utm_source=newsletter&utm_medium=email"

_numbers = itertools.count()


def an_event(ago: timedelta, event_id: str = "", **identifiers: str) -> Event:
    """Returns an event without a kind."""
    event = Event(event_id=event_id or f"e-{next(_numbers)}")
    event.event_time.FromDatetime(NOW - ago)
    for name, value in identifiers.items():
        setattr(event.identifiers, name, value)
    return event


def a_visit(ago: timedelta, page: str = PAID, *, agent: str = BROWSER, event_id: str = "", **identifiers: str) -> Event:
    """Returns a visit that a browser observed."""
    event = an_event(ago, event_id, **identifiers)
    event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
    event.context.observed_by = OBSERVER_BROWSER
    event.context.page_url, event.context.user_agent = page, agent
    return event


def an_order(
    order_id: str,
    micros: int | None = 100 * EURO,
    *,
    ago: timedelta = timedelta(hours=1),
    by: Observer.ValueType = OBSERVER_BACKEND,
    currency: str = "EUR",
    store: str = "",
    name: str = "purchase",
    event_id: str = "",
    **identifiers: str,
) -> Event:
    """Returns an order of a customer nobody else is, unless identifiers say who."""
    event = an_event(ago, event_id, **(identifiers or {"customer_id": f"c-{next(_numbers)}"}))
    event.conversion.name, event.conversion.order_id, event.conversion.store = name, order_id, store
    if micros is not None:
        event.conversion.value.currency_code, event.conversion.value.amount_micros = currency, micros
    event.context.observed_by = by
    if by == OBSERVER_BROWSER:
        event.context.user_agent = BROWSER
    return event


def an_adjustment(
    order_id: str,
    micros: int | None,
    *,
    ago: timedelta = timedelta(minutes=30),
    reason: AdjustmentReason.ValueType = ADJUSTMENT_REASON_REFUND,
    currency: str = "EUR",
    adjustment_id: str = "",
    event_id: str = "",
) -> Event:
    """Returns an adjustment of a purchase; a refund unless said otherwise."""
    event = an_event(ago, event_id)
    adjustment = event.adjustment
    adjustment.conversion_name, adjustment.order_id, adjustment.reason = "purchase", order_id, reason
    adjustment.adjustment_id = adjustment_id
    if micros is not None:
        adjustment.amount.currency_code, adjustment.amount.amount_micros = currency, micros
    return event


def a_login(ago: timedelta, **identifiers: str) -> Event:
    """Returns the fact that identifiers are one person."""
    event = an_event(ago, **identifiers)
    event.identify.SetInParent()
    return event


def named(verdict: EventVerdict) -> str:
    """Returns a verdict's short name."""
    return Verdict.Name(verdict.verdict).removeprefix("VERDICT_")


def reasons(verdict: EventVerdict) -> list[tuple[str, str]]:
    """Returns (code, field) of a verdict's reasons."""
    return [(ReasonCode.Name(reason.code).removeprefix("REASON_CODE_"), reason.field) for reason in verdict.reasons]


@dataclass(frozen=True)
class Shop:
    """A workspace of a running installation, and how it is called."""

    workspace: KeyedWorkspace
    ingestion: IngestionServiceStub
    query: QueryServiceStub
    inbox: Inbox

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.workspace.api_key}"),)

    def send(self, *events: Event, **options: bool) -> list[EventVerdict]:
        """Sends events in one call."""
        request = IngestEventsRequest(events=events, **options)
        answer = self.ingestion.IngestEvents(request, timeout=CALL_SECONDS, metadata=self.metadata)
        return list(answer.verdicts)

    def accept(self, *events: Event, **options: bool) -> list[EventVerdict]:
        """Sends events in one call, all of which must be new."""
        verdicts = self.send(*events, **options)
        assert [named(verdict) for verdict in verdicts] == ["ACCEPTED"] * len(events), verdicts
        return verdicts

    def find(self, **by: Any) -> GetConversionResponse:
        """Returns a conversion; raises `grpc.RpcError`."""
        answer: GetConversionResponse = self.query.GetConversion(
            GetConversionRequest(**by), timeout=CALL_SECONDS, metadata=self.metadata
        )
        return answer

    def order(
        self, order_id: str, *, store: str = "", name: str = "purchase", cycle: str = ""
    ) -> GetConversionResponse:
        """Returns an order; one that is not there yet is an AssertionError, for `eventually`."""
        by = {"conversion_name": name, "store": store, "order_id": order_id, "cycle": cycle}
        return self._found(order=by)

    def conversion_of_event(self, event_id: str) -> GetConversionResponse:
        """As `order`, by an event."""
        return self._found(event_id=event_id)

    def _found(self, **by: Any) -> GetConversionResponse:
        try:
            return self.find(**by)
        except grpc.RpcError as error:
            if code_of(error) is grpc.StatusCode.NOT_FOUND:
                raise AssertionError(f"not there yet: {by}") from error
            raise

    def wait(self, check: Callable[[], T], before_seconds: float = 0) -> T:
        """Waits until something holds; if it never does, the failure tells what waits in the pipeline."""
        return eventually(
            check,
            PATIENCE_SECONDS,
            before_seconds=before_seconds,
            first_pause_seconds=_FIRST_LOOK_SECONDS,
            longest_pause_seconds=_LONGEST_LOOK_SECONDS,
            explain=self.on_its_way,
        )

    def on_its_way(self) -> str:
        """Says what waits before each group of the logs, and for each destination."""
        try:
            health = self.query.GetPipelineHealth(
                GetPipelineHealthRequest(), timeout=CALL_SECONDS, metadata=self.metadata
            ).health
            destinations = self.query.ListDestinations(
                ListDestinationsRequest(), timeout=CALL_SECONDS, metadata=self.metadata
            ).destinations
        except grpc.RpcError as error:
            return f"what is on its way is unknown: {error!r}"
        waiting = [
            f"group {one.group}: {one.entries} entries, the oldest for {one.oldest_age.ToTimedelta()}, "
            f"{one.dead_letters} dead letters"
            for one in health.backlogs
        ]
        return "\n".join([*waiting, *(f"destination {str(one).strip()}" for one in destinations)])

    def wait_for_value(self, order_id: str, micros: int, **order: str) -> GetConversionResponse:
        """Waits until an order is worth this much."""

        def holds() -> GetConversionResponse:
            found = self.order(order_id, **order)
            assert found.newest.state.value.amount_micros == micros, found.newest.state
            return found

        return self.wait(holds)

    def wait_until_settled(self) -> None:
        """Returns when nothing that was accepted before is on its way any more."""

        def settled() -> None:
            try:
                answer = self.query.GetIntegrity(GetIntegrityRequest(), timeout=CALL_SECONDS, metadata=self.metadata)
            except grpc.RpcError as error:
                if code_of(error) is not grpc.StatusCode.UNAVAILABLE:
                    raise
                raise AssertionError("a store was killed a moment ago") from error
            moving = [_sides(check) for check in answer.checks if not check.settled]
            assert not moving, f"not settled: {moving}"
            broken = [_sides(check) for check in answer.checks if not check.ok]
            assert not broken, f"not equal: {broken}"

        self.wait(settled, before_seconds=_FIRST_LOOK_SECONDS)  # what was sent just now never is

    def wait_until_logs_are_read(self) -> None:
        """Returns when no group of the logs has anything before it, of whatever workspace."""

        def read() -> None:
            health = self.query.GetPipelineHealth(
                GetPipelineHealthRequest(), timeout=CALL_SECONDS, metadata=self.metadata
            ).health
            assert [one for one in health.backlogs if one.entries] == []

        self.wait(read)

    def journey(self, **person: Any) -> Journey:
        """Returns a journey; raises `grpc.RpcError`."""
        request = GetJourneyRequest(**person)
        answer = self.query.GetJourney(request, timeout=CALL_SECONDS, metadata=self.metadata)
        journey: Journey = answer.journey
        return journey

    def wait_for_webhooks(self, conversion_id: str, revision: int) -> list[Webhook]:
        """Waits until the newest webhook of a conversion tells this revision; returns all of it."""

        def arrived() -> list[Webhook]:
            webhooks = self.inbox.of(conversion_id)
            assert revision in [int(webhook.data["revision"]) for webhook in webhooks[-1:]], webhooks
            return webhooks

        return self.wait(arrived)


def _sides(check: IntegrityCheck) -> str:
    return f"{check.name} {check.expected} = {check.actual}"


@contextmanager
def open_shop(addresses: dict[str, str], workspace: KeyedWorkspace, inbox: Inbox) -> Iterator[Shop]:
    """Connects to ingestion and query in the name of a workspace."""
    with grpc.insecure_channel(addresses["ingestion"]) as door, grpc.insecure_channel(addresses["query"]) as reads:
        yield Shop(workspace, IngestionServiceStub(door), QueryServiceStub(reads), inbox)


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """Returns the code of a failed call, which the stubs do not say it has."""
    code: grpc.StatusCode = error.code()  # type: ignore[attr-defined]
    return code


def credit(state: ConversionState, model: str) -> dict[str, tuple[int, int]]:
    """Returns touch event id -> (credit, value), in micros; what nobody earned under its reason."""
    place = [applied.name for applied in state.models].index(model)
    shares = {
        touch.event_id: (touch.credits[place].credit_micros, touch.credits[place].value_micros)
        for touch in state.touches
        if touch.credits[place].credit_micros or touch.credits[place].value_micros
    }
    rest = state.models[place].unattributed
    if rest.credit_micros or rest.value_micros:
        reason = UnattributedReason.Name(rest.reason).removeprefix("UNATTRIBUTED_REASON_")
        shares[reason] = rest.credit_micros, rest.value_micros
    return shares


def causes(found: GetConversionResponse) -> list[str]:
    """Returns every cause of every revision, oldest first."""
    return [
        RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_")
        for revised in found.revisions
        for cause in revised.causes
    ]
