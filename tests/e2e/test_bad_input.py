"""Whatever is sent gets an answer that says what to do, and hurts nobody else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from operator import attrgetter

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.shop import (
    CALL_SECONDS,
    EURO,
    Shop,
    a_visit,
    an_adjustment,
    an_event,
    an_order,
    named,
    reasons,
)
from tests.support.statuses import Failure, failure_of
from tributary.attribution.v1.attribution_service_pb2 import GetJourneyRequest as InternalJourneyRequest
from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceStub
from tributary.dedup.v1.dedup_service_pb2 import AdmitEventsRequest
from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceStub
from tributary.delivery.v1.delivery_service_pb2 import ListDestinationsRequest
from tributary.delivery.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary.query.v1 import query_service_pb2
from tributary.query.v1.query_service_pb2 import GetIntegrityRequest, QueryReportRequest
from tributary.query.v1.report_pb2 import METRIC_CONVERSIONS
from tributary_cli.stack.stack import Stack

Call = Callable[[Shop, str], object]
"""Makes a call with a key."""


@pytest.fixture(scope="module")
def any_shop(take_shop: Callable[[], Shop]) -> Shop:
    """The shop of all tests that do not count what is in it."""
    return take_shop()


def _bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),) if key else ()


def _ingest(shop: Shop, key: str, **options: bool) -> object:
    request = IngestEventsRequest(events=[an_order("o")], **options)
    return shop.ingestion.IngestEvents(request, timeout=CALL_SECONDS, metadata=_bearer(key))


def _backfill(shop: Shop, key: str) -> object:
    return _ingest(shop, key, backfill=True)


def _query(shop: Shop, key: str) -> object:
    return shop.query.GetIntegrity(GetIntegrityRequest(), timeout=CALL_SECONDS, metadata=_bearer(key))


def _failed(make: Callable[[], object]) -> Failure:
    """Returns how a call failed; every failure has exactly one ErrorInfo, of ours."""
    with pytest.raises(grpc.RpcError) as raised:
        make()
    failure = failure_of(raised.value)
    assert [info.domain for info in failure.infos] == ["tributary"], failure
    return failure


@pytest.mark.parametrize("call", [_ingest, _query], ids=["ingest", "query"])
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "API_KEY_MISSING"),
        ("hello", "API_KEY_MALFORMED"),
        ("trb_nobody_0123456789", None),
        ("wrong secret", None),
        ("expired", None),
    ],
)
def test_a_key_that_is_none_is_unauthenticated(
    any_shop: Shop, keys: Mapping[str, str], call: Call, key: str, reason: str | None
) -> None:
    sent = {"wrong secret": keys["ingest"][:-1] + "_", "expired": keys["expired"]}.get(key, key)
    failure = _failed(lambda: call(any_shop, sent))
    assert failure.code == "UNAUTHENTICATED"
    assert reason in (None, failure.infos[0].reason)
    assert not sent or sent not in failure.message


@pytest.mark.parametrize(
    ("call", "scope"),
    [(_ingest, "query"), (_query, "ingest"), (_backfill, "ingest"), (_ingest, "admin")],
    ids=["ingest", "query", "backfill", "ingest-as-admin"],
)
def test_a_key_without_the_scope_is_refused(any_shop: Shop, keys: Mapping[str, str], call: Call, scope: str) -> None:
    assert _failed(lambda: call(any_shop, keys[scope])).code == "PERMISSION_DENIED"


@pytest.mark.parametrize(("call", "scope"), [(_ingest, "ingest"), (_query, "query")], ids=["ingest", "query"])
def test_a_key_with_the_scope_may(any_shop: Shop, keys: Mapping[str, str], call: Call, scope: str) -> None:
    call(any_shop, keys[scope])


@pytest.mark.parametrize("count", [0, 1001])
def test_too_few_or_too_many_events_are_an_invalid_call(any_shop: Shop, count: int) -> None:
    failure = _failed(lambda: any_shop.send(*[an_order("o")] * count))
    assert failure.code == "INVALID_ARGUMENT"
    assert failure.violations == [("events", "EVENTS_OUT_OF_RANGE")]
    assert failure.retry_seconds is None


def test_a_thousand_events_are_not_too_many(shop: Shop) -> None:
    shop.accept(*(a_visit(timedelta(hours=1), visitor_id=f"v-{number}") for number in range(1000)))


def _changed(event: Event, change: Callable[[Event], object]) -> Event:
    change(event)
    return event


def _with(change: Callable[[Event], object]) -> Event:
    """Returns an order that something is wrong with."""
    return _changed(an_order("o-bad"), change)


MALFORMED = {
    "currency": (_with(lambda e: e.conversion.value.__setattr__("currency_code", "EURO")), "CURRENCY_UNKNOWN"),
    "currency-in-small": (_with(lambda e: e.conversion.value.__setattr__("currency_code", "eur")), "CURRENCY_UNKNOWN"),
    "negative-amount": (_with(lambda e: e.conversion.value.__setattr__("amount_micros", -1)), "AMOUNT_NEGATIVE"),
    "negative-part": (_with(lambda e: e.conversion.amounts.__setattr__("tax_micros", -1)), "AMOUNT_NEGATIVE"),
    "no-identifier": (_with(lambda e: e.ClearField("identifiers")), "IDENTIFIER_MISSING"),
    "blocked-identifier": (an_order("o-bad", customer_id="undefined"), "IDENTIFIER_MISSING"),
    "no-kind": (_with(lambda e: e.ClearField("conversion")), "KIND_MISSING"),
    "no-time": (_with(lambda e: e.ClearField("event_time")), "EVENT_TIME_MISSING"),
    "no-such-time": (_with(lambda e: e.event_time.CopyFrom(Timestamp(seconds=2**50))), "TIME_MALFORMED"),
    "too-old": (a_visit(timedelta(days=29), visitor_id="v"), "EVENT_TIME_OUT_OF_WINDOW"),
    "too-far-ahead": (a_visit(timedelta(minutes=-30), visitor_id="v"), "EVENT_TIME_OUT_OF_WINDOW"),
    "order-too-old": (an_order("o-bad", ago=timedelta(days=401)), "EVENT_TIME_OUT_OF_WINDOW"),
    "no-name": (_with(lambda e: e.conversion.__setattr__("name", "")), "FIELD_MISSING"),
    "long-name": (_with(lambda e: e.conversion.__setattr__("name", "n" * 65)), "FIELD_TOO_LONG"),
    "long-order-id": (an_order("o" * 129), "FIELD_TOO_LONG"),
    "long-event-id": (an_order("o-bad", event_id="e" * 129), "EVENT_ID_TOO_LONG"),
    "reserved-event-id": (an_order("o-bad", event_id="d1:0"), "EVENT_ID_RESERVED"),
    "system-event-id": (an_order("o-bad", event_id="t1:0"), "EVENT_ID_RESERVED"),
    "bad-email-hash": (an_order("o-bad", email_sha256="abc"), "HASH_MALFORMED"),
    "bad-phone-hash": (an_order("o-bad", phone_sha256="g" * 64), "HASH_MALFORMED"),
    "touch-of-no-kind": (
        _changed(a_visit(timedelta(hours=1), visitor_id="v"), lambda e: e.touchpoint.Clear()),
        "FIELD_MISSING",
    ),
    "refund-of-nothing": (
        _changed(an_adjustment("o", EURO), lambda e: e.adjustment.ClearField("order_id")),
        "FIELD_MISSING",
    ),
    "refund-without-amount": (an_adjustment("o", None), "FIELD_MISSING"),
    "refund-below-zero": (an_adjustment("o", -1), "AMOUNT_NEGATIVE"),
    "refund-of-no-id": (
        _changed(an_adjustment("o", EURO), lambda e: e.adjustment.__setattr__("conversion_id", "x")),
        "FIELD_MALFORMED",
    ),
    "many-properties": (_with(lambda e: e.properties.update({str(n): "" for n in range(65)})), "FIELD_TOO_LONG"),
    "personal-property": (_with(lambda e: e.properties.update({"who": "ann@shop.example"})), "PERSONAL_DATA_IN_CLEAR"),
    "cycle-of-no-subscription": (_with(lambda e: e.conversion.recurrence.SetInParent()), "FIELD_MISSING"),
    "item-without-id": (_with(lambda e: e.conversion.items.add()), "FIELD_MISSING"),
    "consent-without-decision": (
        _changed(an_event(timedelta(hours=1), visitor_id="v"), lambda e: e.consent_change.SetInParent()),
        "FIELD_MISSING",
    ),
}

FIELDS = {
    "currency": "conversion.value.currency_code",
    "currency-in-small": "conversion.value.currency_code",
    "negative-amount": "conversion.value.amount_micros",
    "negative-part": "conversion.amounts.tax_micros",
    "no-identifier": "identifiers",
    "blocked-identifier": "identifiers",
    "no-kind": "kind",
    "no-time": "event_time",
    "no-such-time": "event_time",
    "too-old": "event_time",
    "too-far-ahead": "event_time",
    "order-too-old": "event_time",
    "no-name": "conversion.name",
    "long-name": "conversion.name",
    "long-order-id": "conversion.order_id",
    "long-event-id": "event_id",
    "reserved-event-id": "event_id",
    "system-event-id": "event_id",
    "bad-email-hash": "identifiers.email_sha256",
    "bad-phone-hash": "identifiers.phone_sha256",
    "touch-of-no-kind": "touchpoint.kind",
    "refund-of-nothing": "adjustment.order_id",
    "refund-without-amount": "adjustment.amount",
    "refund-below-zero": "adjustment.amount.amount_micros",
    "refund-of-no-id": "adjustment.conversion_id",
    "many-properties": "properties",
    "personal-property": "properties",
    "cycle-of-no-subscription": "conversion.recurrence.subscription_id",
    "item-without-id": "conversion.items[0].item_id",
    "consent-without-decision": "consent",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_event_is_rejected_by_its_field_and_its_neighbours_are_accepted(any_shop: Shop, name: str) -> None:
    malformed, code = MALFORMED[name]
    verdicts = any_shop.send(an_order(f"before-{name}"), malformed, an_order(f"after-{name}"))
    assert [named(verdict) for verdict in verdicts] == ["ACCEPTED", "REJECTED", "ACCEPTED"]
    assert reasons(verdicts[1])[0] == (code, FIELDS[name])
    assert all(reason.message for reason in verdicts[1].reasons)


def test_every_rejected_event_is_counted_and_found_again(shop: Shop) -> None:
    verdicts = shop.send(*(event for event, _ in MALFORMED.values()))
    assert {named(verdict) for verdict in verdicts} == {"REJECTED"}
    shop.wait_until_settled()  # compares what the script counted with rows
    counted = _counts(shop)
    assert (counted.received, counted.rejected) == (len(MALFORMED), len(MALFORMED))


def _counts(shop: Shop):  # type: ignore[no-untyped-def]
    return shop.query.GetIntegrity(GetIntegrityRequest(), timeout=CALL_SECONDS, metadata=shop.metadata).verdicts


def test_validate_only_answers_valid_and_stores_nothing(shop: Shop) -> None:
    malformed, _ = MALFORMED["currency"]
    verdicts = shop.send(an_order("o", event_id="e"), malformed, validate_only=True)
    assert [named(verdict) for verdict in verdicts] == ["VALID", "REJECTED"]
    shop.wait_until_settled()
    assert _counts(shop).received == 0
    (sent,) = shop.send(an_order("o", event_id="e"))
    assert named(sent) == "ACCEPTED"  # and not DUPLICATE


_UNARY = [
    ("ingestion", "/tributary.ingestion.v1.IngestionService/IngestEvents"),
    ("query", "/tributary.query.v1.QueryService/QueryReport"),
    ("query", "/tributary.query.v1.QueryService/GetConversion"),
    ("query", "/tributary.query.v1.QueryService/GetJourney"),
    ("dedup", "/tributary.dedup.v1.DedupService/AdmitEvents"),
    ("attribution", "/tributary.attribution.v1.AttributionService/GetJourney"),
    ("delivery", "/tributary.delivery.v1.DeliveryService/ListDestinations"),
]


@pytest.mark.parametrize(("service", "method"), _UNARY, ids=[method.rpartition("/")[2] for _, method in _UNARY])
def test_random_bytes_never_give_an_internal_error(
    any_shop: Shop, street_stack: Stack, service: str, method: str
) -> None:
    chance = random.Random(method)
    metadata = (*any_shop.metadata, ("tributary-internal", street_stack.installation.internal_token))
    failures: list[Failure] = []
    with grpc.insecure_channel(street_stack.addresses[service]) as channel:
        call = channel.unary_unary(method)
        for _ in range(60):
            body = chance.randbytes(chance.choice([1, 2, 5, 30, 300]))
            try:
                call(body, timeout=CALL_SECONDS, metadata=metadata)
            except grpc.RpcError as error:
                failures.append(failure_of(error))
    assert {failure.code for failure in failures} <= {"INVALID_ARGUMENT", "NOT_FOUND"}
    assert all([info.domain for info in failure.infos] == ["tributary"] for failure in failures)


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("dedup", lambda channel, own: DedupServiceStub(channel).AdmitEvents(AdmitEventsRequest(), metadata=own)),
        (
            "attribution",
            lambda channel, own: AttributionServiceStub(channel).GetJourney(
                InternalJourneyRequest(workspace="shop-0", person_id="p"), metadata=own
            ),
        ),
        (
            "delivery",
            lambda channel, own: DeliveryServiceStub(channel).ListDestinations(
                ListDestinationsRequest(workspace="shop-0"), metadata=own
            ),
        ),
    ],
    ids=["AdmitEvents", "GetJourney", "ListDestinations"],
)
def test_calls_between_services_refuse_an_api_key(
    any_shop: Shop, street_stack: Stack, service: str, call: Callable[[grpc.Channel, object], object]
) -> None:
    with grpc.insecure_channel(street_stack.addresses[service]) as channel:
        assert _failed(lambda: call(channel, any_shop.metadata)).code == "UNAUTHENTICATED"


def _moments(message: Descriptor, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the paths of the times that a message has."""
    for field in message.fields:
        if field.message_type is None or field.is_repeated:
            continue
        path = (*before, field.name)
        if field.message_type is Timestamp.DESCRIPTOR:
            yield path
        elif len(path) < 3:
            yield from _moments(field.message_type, path)


_TIMED = [
    (method, path)
    for method in query_service_pb2.DESCRIPTOR.services_by_name["QueryService"].methods
    for path in _moments(method.input_type)
]


@pytest.mark.parametrize(("method", "path"), _TIMED, ids=[f"{method.name}-{'.'.join(path)}" for method, path in _TIMED])
def test_a_time_that_is_none_is_the_callers_mistake(
    any_shop: Shop, street_stack: Stack, method: MethodDescriptor, path: tuple[str, ...]
) -> None:
    request = GetMessageClass(method.input_type)()
    if hasattr(request, "time_range"):
        request.time_range.start_time.FromSeconds(0)
        request.time_range.end_time.FromSeconds(86_400)
    moment = attrgetter(".".join(path))(request)
    with grpc.insecure_channel(street_stack.addresses["query"]) as channel:
        kind = channel.unary_stream if method.server_streaming else channel.unary_unary
        call = kind(f"/{method.containing_service.full_name}/{method.name}")
        for seconds, nanos in ((253_402_300_800, 0), (-(2**63), 0), (0, 2 * 10**9)):
            moment.seconds, moment.nanos = seconds, nanos
            body = request.SerializeToString()
            failure = _failed(lambda body=body: _whole(call(body, timeout=CALL_SECONDS, metadata=any_shop.metadata)))
            assert failure.code == "INVALID_ARGUMENT"


def _whole(answer: object) -> None:
    """Reads an answer to its end, where it is a stream."""
    if isinstance(answer, Iterator):
        list(answer)


def test_a_second_workspace_sees_nothing_of_the_first(shop: Shop, other_shop: Shop) -> None:
    who = {"customer_id": "anna"}
    shop.accept(a_visit(timedelta(hours=2), **who), an_order("o", event_id="bought", **who))
    shop.wait_until_settled()
    state = shop.order("o").newest.state
    for by in (
        {"conversion_id": state.conversion_id},
        {"order": {"conversion_name": "purchase", "order_id": "o"}},
        {"event_id": "bought"},
    ):
        assert shop.find(**by).newest.state == state
        assert _failed(lambda by=by: other_shop.find(**by)).code == "NOT_FOUND", by
    for person in ({"person_id": state.person_id}, {"conversion_id": state.conversion_id}, {"identifiers": who}):
        assert shop.journey(**person).person_id == state.person_id
        assert _failed(lambda person=person: other_shop.journey(**person)).code == "NOT_FOUND", person
    assert [_reported(shop), _reported(other_shop)] == [1_000_000, 0]
    assert _counts(shop).received == 2
    assert _counts(other_shop).received == 0


def _reported(shop: Shop) -> int:
    request = QueryReportRequest(metrics=[METRIC_CONVERSIONS], model="linear")
    request.time_range.start_time.FromDatetime(an_event(timedelta(days=2)).event_time.ToDatetime())
    request.time_range.end_time.FromDatetime(an_event(timedelta(0)).event_time.ToDatetime())
    answer = shop.query.QueryReport(request, timeout=CALL_SECONDS, metadata=shop.metadata)
    return sum(row.metric_values[0].count_micros for row in answer.rows)
