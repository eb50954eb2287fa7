"""Query as a process: what it answers is what is stored, for the caller's workspace only."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import grpc
import pytest
from pydantic import SecretStr

from tests.support.ports import free_address, free_port
from tests.support.revisions import NOON, Revision, Touch, micros
from tests.support.stack import KeyedWorkspace, render_workspaces
from tests.support.stores import Stores, create_test_epoch, run_apart
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AcceptContext, AdmittedEvent
from tributary.delivery.v1 import delivery_pb2
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1 import query_service_pb2_grpc, report_pb2
from tributary.query.v1.health_pb2 import Backlog
from tributary.query.v1.integrity_pb2 import IntegrityCheck
from tributary_cli.stack.services import ServiceProcess
from tributary_domain.event_order import event_hash
from tributary_domain.findings import FindingKind, FindingState, finding
from tributary_domain.ids import conversion_id, event_digest, order_digest
from tributary_query.conversions import Conversions
from tributary_query.finality import Finalities
from tributary_query.naming import ConversionNames
from tributary_runtime.channels import open_channel
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import InvalidRequestError, TributaryError, UnavailableError
from tributary_runtime.remote_errors import error_of
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.client import connect as connect_clickhouse
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.event_rows import EventBatch, LogPlace
from tributary_storage.clickhouse.reconciled_days import ReconciledDays
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns, Run
from tributary_storage.clickhouse.writer import ConversionWriter, DeliveryWriter, EventWriter
from tributary_storage.codec.event_references import event_reference
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect as connect_redis

if TYPE_CHECKING:
    Stub = query_service_pb2_grpc.QueryServiceAsyncStub  # the stubs' own name for it; not there when running

_MIDNIGHT = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
CLOSED = (SystemClock().now().astimezone(ZoneInfo("Europe/Berlin")) - timedelta(days=90)).replace(**_MIDNIGHT)
"""The first day of the workspace with closed books that is open, in its zone."""
TODAY = SystemClock().unix_micros()
"""A revision's number: the ledger forgets what is older than 400 days."""
OK, TAKEN = delivery_pb2.OUTCOME_CLASS_OK, delivery_pb2.DELIVERY_STATE_ACCEPTED
EMAIL, SEARCH = Touch("Email", "t-email"), Touch("Paid Search", "t-search")
HOOK = {
    "id": "hook",
    "type": "webhook",
    "url": "https://hook.example/",
    "secret": {"value": "0123456789abcdef01234567"},
}
SETTINGS: dict[str, Any] = {
    "reporting": {"time_zone": "Europe/Berlin"},
    "conversions": [{"name": "purchase"}, {"name": "lead", "role": "LEAD"}],
    "destinations": [{**HOOK, "conversions": {"purchase": {}}}],
}


@dataclass
class Query:
    """A running query service, with workspaces in stock."""

    process: ServiceProcess
    log_url: str
    workspaces: Iterator[KeyedWorkspace]
    closed: KeyedWorkspace
    """One whose books are closed up to CLOSED."""
    closing: KeyedWorkspace
    """One whose books are closed through days that are not over."""


@pytest.fixture(scope="module")
def query(stores: Stores, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    directory: Path = tmp_path_factory.mktemp("query")
    log_url = stores.empty_redis_url()
    run_apart(create_test_epoch(log_url))
    names = {f"q-{number}-{free_port()}": SETTINGS for number in range(40)}
    closed = {"time_zone": "Europe/Berlin", "books_closed_through": (CLOSED - timedelta(days=1)).date().isoformat()}
    own, early = f"q-closed-{free_port()}", f"q-closing-{free_port()}"
    closing = {**closed, "books_closed_through": "2100-12-31"}
    books = {own: {**SETTINGS, "reporting": closed}, early: {**SETTINGS, "reporting": closing}}
    text, keyed = render_workspaces(names | books)
    (directory / "workspaces.yaml").write_text(text)
    environment = {
        "TRIBUTARY_LOG_URL": log_url,
        "TRIBUTARY_STATE_URL": log_url,
        "TRIBUTARY_CLICKHOUSE_URL": clickhouse_url,
        "TRIBUTARY_WORKSPACES_FILE": str(directory / "workspaces.yaml"),
        "TRIBUTARY_INTERNAL_TOKEN": "internal-token-of-tests",
        "TRIBUTARY_ATTRIBUTION_TARGET": free_address(),
        "TRIBUTARY_DEDUP_TARGET": free_address(),
        "TRIBUTARY_DELIVERY_TARGET": free_address(),
        "TRIBUTARY_DRAIN_DELAY_SECONDS": "0",
    }
    process = ServiceProcess("query", free_port(), directory / "query.log", environment)
    try:
        process.start()
        process.wait_until_ready()
        yield Query(process, log_url, (keyed[name] for name in names), keyed[own], keyed[early])
    finally:
        process.kill()


@pytest.fixture
def owner(query: Query) -> KeyedWorkspace:
    """A workspace of the test's own, and its key."""
    return next(query.workspaces)


@pytest.fixture
async def stub(query: Query, owner: KeyedWorkspace) -> AsyncIterator[Stub]:
    async with open_channel(query.process.address, api_key=SecretStr(owner.api_key)) as channel:
        yield query_service_pb2_grpc.QueryServiceStub(channel)


@pytest.fixture
async def clickhouse(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    async with connect_clickhouse(clickhouse_url, name="tests", connections=2) as opened:
        yield opened


def a_report(
    change: Callable[[contract.QueryReportRequest], Any] = lambda request: None,
) -> contract.QueryReportRequest:
    request = contract.QueryReportRequest(
        metrics=[report_pb2.METRIC_CONVERSIONS, report_pb2.METRIC_VALUE],
        dimensions=[report_pb2.DIMENSION_CHANNEL],
        model="linear",
    )
    request.time_range.start_time.FromDatetime(NOON - timedelta(days=5))
    request.time_range.end_time.FromDatetime(NOON + timedelta(days=5))
    change(request)
    return request


async def failure(call: Any) -> TributaryError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return error_of(failed.value)


def cells(response: contract.QueryReportResponse) -> list[tuple[Any, ...]]:
    return [
        (*row.dimension_values, row.metric_values[0].count_micros, row.metric_values[1].money.units)
        for row in response.rows
    ]


async def test_a_report_is_what_was_credited(stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse) -> None:
    await ConversionWriter(clickhouse).write(
        [
            Revision(workspace=owner.id, touches=[EMAIL, SEARCH]).packed(),
            Revision(workspace=owner.id, conversion_id="c1:two", touches=()).packed(),
        ]
    )
    response = await stub.QueryReport(a_report())
    assert cells(response) == [
        ("Email", 500_000, 45),
        ("Paid Search", 500_000, 45),
        ("unattributed", 1_000_000, 90),
    ]
    assert response.model == "linear"
    assert list(response.basis.currency_codes) == ["EUR"]
    assert response.basis.time_zone == "Europe/Berlin"
    assert response.basis.time_basis == report_pb2.TIME_BASIS_CONVERSION
    assert response.basis.HasField("complete_through_time")
    assert not response.basis.HasField("spend_through_date")


async def test_a_closed_report_is_the_same_to_the_byte_whenever_it_is_asked_for(
    query: Query, clickhouse: ClickHouse
) -> None:
    request, begin = a_report(), CLOSED - timedelta(days=7)
    request.time_basis, request.model = report_pb2.TIME_BASIS_POSTING, "data_driven"
    request.dimensions.append(report_pb2.DIMENSION_CURRENCY)
    request.time_range.start_time.FromDatetime(begin)
    request.time_range.end_time.FromDatetime(CLOSED)
    sold = Revision(workspace=query.closed.id, touches=[EMAIL], time=begin, published=begin + timedelta(hours=1))
    writer = ConversionWriter(clickhouse)
    await writer.write([sold.packed()])
    async with open_channel(query.process.address, api_key=SecretStr(query.closed.api_key)) as channel:
        stub: Stub = query_service_pb2_grpc.QueryServiceStub(channel)
        before = await stub.QueryReport(request)
        assert (before.basis.finality, len(before.rows)) == (report_pb2.FINALITY_CLOSED, 1)
        assert before.basis.complete_through_time == request.time_range.end_time
        batch = EventBatch()
        _hold(batch, query.closed, 0, "purchase", 90_000, begin)
        await EventWriter(clickhouse).write(batch)
        later = sold.then(value_micros=50_000_000, published=CLOSED + timedelta(days=20))
        await writer.write([later.packed()])
        after = await stub.QueryReport(request)
    assert after.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


async def test_a_report_of_days_that_are_closed_before_they_are_over_tells_nothing_that_moves_on(query: Query) -> None:
    request, begin = a_report(), CLOSED - timedelta(days=7)
    request.time_basis = report_pb2.TIME_BASIS_POSTING
    request.time_range.start_time.FromDatetime(begin)
    request.time_range.end_time.FromDatetime(SystemClock().now() + timedelta(days=2))
    async with open_channel(query.process.address, api_key=SecretStr(query.closing.api_key)) as channel:
        stub: Stub = query_service_pb2_grpc.QueryServiceStub(channel)
        first, second, third = [(await stub.QueryReport(request)).basis for _ in range(3)]
    assert second in (first, third)  # between two of them it may have become final


async def test_what_runs_of_reconciliation_agree_with_is_reconciled_until_it_changes(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    day = SystemClock().now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=100)
    begin, looked = day - timedelta(days=9), day + timedelta(days=30)
    revision = Revision(workspace=owner.id, time=day, published=day + timedelta(hours=1))
    runs, writer = ReconciliationRuns(clickhouse), ConversionWriter(clickhouse)
    await writer.write([revision.packed()])
    numbers = itertools.count(1)

    async def finalities(since: datetime = begin) -> tuple[str, str]:
        """Returns that of the conversion, and of a report that nobody has asked for yet."""
        request = a_report()
        request.time_range.start_time.FromDatetime(since)
        request.time_range.end_time.FromDatetime(day + timedelta(days=1, seconds=next(numbers)))
        found = await stub.GetConversion(contract.GetConversionRequest(conversion_id=revision.conversion_id))
        said = found.finality, (await stub.QueryReport(request)).basis.finality
        return tuple(report_pb2.Finality.Name(one).removeprefix("FINALITY_") for one in said)

    async def run(name: str, at: datetime = looked, **own: Any) -> None:
        days = [round(one.timestamp()) * 1_000_000 for one in (begin, day + timedelta(days=2), at)]
        await runs.save(Run(owner.id, name, *days, repairs=True, slices=1, **own), next(numbers))

    async def say(state: FindingState, repair_revision: int = 0) -> None:
        found = finding("r-2", FindingKind.DIFFERENT, "It differs.", conversion_id=revision.conversion_id)
        await runs.write(owner.id, [replace(found, state=state, repair_revision=repair_revision)], next(numbers))

    async def look(at: datetime, *, is_compared: bool) -> None:
        columns = ("workspace", "conversion_id", "conversion_time", "run_time", "is_compared")
        row = owner.id, revision.conversion_id, day, at, is_compared
        await clickhouse.insert("reconciled_conversions", columns, [[value] for value in row])

    passed, reconciled = ("TIER2_PASSED",) * 2, ("RECONCILED",) * 2
    assert await finalities() == passed
    await run("r-1", is_complete=True, counts={"too_recent": 1})
    await run("r-2")
    for short in ("cut_slices", "cut_checks", "cut_losses", "unrecorded"):
        await run(f"r-{short}", is_complete=True, counts={short: 1})
    assert await finalities() == passed, "none has looked at all"
    await run("r-2", is_complete=True)
    assert await finalities() == reconciled
    assert await finalities(begin - timedelta(seconds=1)) == ("RECONCILED", "TIER2_PASSED")
    for state, expected in ((FindingState.OPEN, passed), (FindingState.RESOLVED, reconciled)):
        await say(state)
        assert await finalities() == expected
    later = revision.then(published=looked + timedelta(hours=1), value_micros=1)
    await writer.write([later.packed()])
    assert await finalities() == passed, "it has changed since"
    await say(FindingState.RESOLVED, later.number)
    assert await finalities() == reconciled, "the run has changed it itself"
    await run("r-3", is_complete=True, counts={"too_recent": 1, "noted": 1})
    await look(looked, is_compared=False)
    assert await finalities() == passed, "the newest run left it to the next"
    await run("r-4", is_complete=True, at=looked + timedelta(days=1))
    assert await finalities() == reconciled, "which has looked at all"
    again = later.then(published=looked + timedelta(days=40), value_micros=2)
    await writer.write([again.packed()])
    assert await finalities() == passed
    await look(looked + timedelta(days=41), is_compared=True)
    assert await finalities() == reconciled, "a run of other days has looked at what changed"
    refunded = again.then(published=looked + timedelta(days=42), value_micros=1)
    await writer.write([refunded.packed()])
    await run("r-5", is_complete=True, at=looked + timedelta(days=43), counts={"too_old": 1})
    assert await finalities() == reconciled, "its credit is still that which a run saw"
    moved = refunded.then(published=looked + timedelta(days=44), touches=[Touch("Email", "t-2")])
    await writer.write([moved.packed()])
    await run("r-6", is_complete=True, at=looked + timedelta(days=45), counts={"too_old": 1})
    assert await finalities() == passed, "who shares it now no run has seen"
    await writer.write([moved.then(touches=refunded.touches).packed()])
    await run("r-7", is_complete=True, at=looked + timedelta(days=46), counts={"too_old": 1})
    assert await finalities() == reconciled
    request = a_report()
    request.time_range.end_time.FromDatetime(SystemClock().now() + timedelta(days=1))
    assert (await stub.QueryReport(request)).basis.finality == report_pb2.FINALITY_PROVISIONAL


async def test_pages_join_to_the_whole_report(stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse) -> None:
    touches = [Touch(f"channel {number}") for number in range(5)]
    await ConversionWriter(clickhouse).write([Revision(workspace=owner.id, touches=touches).packed()])
    request = a_report(lambda request: setattr(request, "page_size", 2))
    sizes, found = [], []
    while True:
        page = await stub.QueryReport(request)
        sizes.append(len(page.rows))
        found += cells(page)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert sizes == [2, 2, 1]
    assert found == cells(await stub.QueryReport(a_report()))


async def test_currencies_are_never_added(stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse) -> None:
    await ConversionWriter(clickhouse).write(
        [
            Revision(workspace=owner.id).packed(),
            Revision(workspace=owner.id, conversion_id="c1:two", currency="USD").packed(),
        ]
    )
    error = await failure(stub.QueryReport(a_report()))
    assert isinstance(error, InvalidRequestError)
    assert error.violations[0].reason == "CURRENCIES_MIXED"
    apart = await stub.QueryReport(a_report(lambda request: request.dimensions.append(report_pb2.DIMENSION_CURRENCY)))
    assert [tuple(row.dimension_values) for row in apart.rows] == [("Paid Search", "EUR"), ("Paid Search", "USD")]


async def test_a_conversion_without_a_value_is_no_money_line(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    await ConversionWriter(clickhouse).write(
        [
            Revision(workspace=owner.id, value_micros=None).packed(),
            Revision(workspace=owner.id, conversion_id="c1:two", touches=[EMAIL]).packed(),
        ]
    )
    response = await stub.QueryReport(a_report())
    found = {row.dimension_values[0]: row.metric_values[1].WhichOneof("value") for row in response.rows}
    assert found == {"Email": "money", "Paid Search": None}
    assert list(response.basis.currency_codes) == ["EUR"]
    apart = await stub.QueryReport(a_report(lambda request: request.dimensions.append(report_pb2.DIMENSION_CURRENCY)))
    assert [tuple(row.dimension_values) for row in apart.rows] == [("Email", "EUR"), ("Paid Search", "")]


async def test_values_of_different_roles_are_never_added(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    await ConversionWriter(clickhouse).write(
        [
            Revision(workspace=owner.id).packed(),
            Revision(workspace=owner.id, conversion_id="c1:two", name="lead").packed(),
        ]
    )
    error = await failure(stub.QueryReport(a_report()))
    assert isinstance(error, InvalidRequestError)
    assert error.violations[0].reason == "ROLES_MIXED"


def _hold(batch: EventBatch, owner: KeyedWorkspace, number: int, name: str, euros: int, time: datetime) -> None:
    """Adds an order that waits in quarantine for its amount."""
    held = AdmittedEvent(conversion_id=f"c1:held-{number}", source_rank=2)
    held.event.event_id = f"held-{number}"
    held.event.event_time.FromDatetime(time)
    held.event.conversion.name, held.event.conversion.order_id = name, f"o-{number}"
    held.event.conversion.value.currency_code = "EUR"
    held.event.conversion.value.amount_micros = euros * 1_000_000
    held.reasons.add(code=verdict_pb2.REASON_CODE_AMOUNT_UNEXPECTED)
    place = LogPlace.of(0, "live", "1-1", micros(time))
    batch.add(place, number, "Q", owner.id, held.SerializeToString(), AcceptContext())


async def test_an_order_that_waits_for_its_amount_is_told_beside_the_rows(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    batch = EventBatch()
    for number, (name, euros) in enumerate([("purchase", 90_000), ("purchase", 20_000), ("lead", 50_000)]):
        _hold(batch, owner, number, name, euros, NOON)
    await EventWriter(clickhouse).write(batch)

    def of_purchases(request: contract.QueryReportRequest) -> None:
        request.filters.add(dimension=report_pb2.DIMENSION_CONVERSION_NAME, values=["purchase"])

    for change, expected in (
        (lambda request: None, [("lead", 50_000, 1), ("purchase", 110_000, 2)]),
        (of_purchases, [("purchase", 110_000, 2)]),
        (lambda request: request.as_of_time.GetCurrentTime(), []),
    ):
        answer = await stub.QueryReport(a_report(change))
        assert list(answer.rows) == []
        assert [(one.conversion_name, one.value.units, one.orders) for one in answer.pending] == expected


async def test_a_request_that_cannot_be_computed_is_refused_by_field(stub: Stub) -> None:
    error = await failure(stub.QueryReport(a_report(lambda request: request.metrics.append(report_pb2.METRIC_ROAS))))
    assert isinstance(error, InvalidRequestError)
    assert [violation.field for violation in error.violations] == ["metrics[2]"]


async def test_what_another_workspace_has_is_not_shown(
    query: Query, stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    other = next(query.workspaces)
    await ConversionWriter(clickhouse).write([Revision(workspace=other.id).packed()])
    assert list((await stub.QueryReport(a_report())).rows) == []
    error = await failure(stub.GetConversion(contract.GetConversionRequest(conversion_id="c1:one")))
    assert error.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param(None, grpc.StatusCode.UNAUTHENTICATED, id="no key"),
        pytest.param("trb_nobody-here_" + "0" * 48, grpc.StatusCode.UNAUTHENTICATED, id="a stranger's key"),
    ],
)
async def test_who_has_no_key_sees_nothing(query: Query, key: str | None, code: grpc.StatusCode) -> None:
    async with open_channel(query.process.address, api_key=SecretStr(key) if key else None) as channel:
        stub: Stub = query_service_pb2_grpc.QueryServiceStub(channel)
        assert (await failure(stub.QueryReport(a_report()))).code is code


async def test_a_conversion_is_found_by_id_by_order_and_by_event(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    order = conversion_id(order_digest(owner.id, "purchase", "", "o-1"))
    first = Revision(workspace=owner.id, conversion_id=order, order_id="o-1")
    second = first.then(value_micros=1)
    await ConversionWriter(clickhouse).write([first.packed(), second.packed()])
    delivery = delivery_pb2.Delivery(
        destination_id="hook", conversion_id=order, revision=TODAY, attempts=1, outcome=OK, state=TAKEN
    )
    delivery.plan_time.FromDatetime(NOON)
    delivery.attempt_time.FromDatetime(NOON)
    await DeliveryWriter(clickhouse).write([(owner.id, delivery)])
    await EventWriter(clickhouse).write(events(owner.id, "A", conversion=order))
    asked = [
        contract.GetConversionRequest(conversion_id=order),
        contract.GetConversionRequest(order=contract.OrderReference(conversion_name="purchase", order_id="o-1")),
        contract.GetConversionRequest(event_id="e-0"),
    ]
    for request in asked:
        found = await stub.GetConversion(request)
        assert found.newest == second.shown()
        assert list(found.revisions) == [first.shown(), second.shown()]
        assert list(found.deliveries) == [delivery]


async def test_what_is_published_while_a_conversion_is_read_is_for_the_next_call(
    clickhouse: ClickHouse, workspace: str
) -> None:
    revisions = [Revision(workspace=workspace)]
    writer = ConversionWriter(clickhouse)
    await writer.write([revisions[0].packed()])

    class Overtaken(ConversionHistory):
        async def as_of(self, workspace: str, conversion_id: str, moment_micros: int) -> ConversionRevised | None:
            found = await super().as_of(workspace, conversion_id, moment_micros)
            revisions.append(revisions[-1].then(value_micros=len(revisions)))
            await writer.write([revisions[-1].packed()])
            return found

    class NeverClosed:
        def closed_since_micros(self, workspace_id: str) -> int:
            raise AssertionError(f"of {workspace_id} no report is asked for")

    request = contract.GetConversionRequest(conversion_id=revisions[0].conversion_id)
    history, finalities = Overtaken(clickhouse), Finalities(ReconciledDays(clickhouse), NeverClosed(), SystemClock())
    conversions = Conversions(history, ConversionNames(history, lambda _, ids: ids), finalities)
    for number in (1, 2):
        found = await conversions.get(request, workspace)
        assert [one.revision for one in found.revisions] == [one.number for one in revisions[:number]]
        assert found.newest.revision == revisions[number - 1].number


async def test_pages_of_revisions_join_to_all_of_them_with_what_was_sent(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    revisions = [Revision(workspace=owner.id, conversion_id="c1:one")]
    for value in range(4):
        revisions.append(revisions[-1].then(value_micros=value))
    await ConversionWriter(clickhouse).write([one.packed() for one in revisions])
    deliveries = []
    for one in revisions:
        sent = delivery_pb2.Delivery(
            destination_id="hook", conversion_id="c1:one", revision=one.number, attempts=1, outcome=OK, state=TAKEN
        )
        sent.plan_time.FromDatetime(NOON)
        sent.attempt_time.FromDatetime(NOON)
        deliveries.append(sent)
    await DeliveryWriter(clickhouse).write([(owner.id, sent) for sent in deliveries])
    request = contract.GetConversionRequest(conversion_id="c1:one", page_size=2)
    pages = []
    while True:
        pages.append(await stub.GetConversion(request))
        if not pages[-1].next_page_token:
            break
        request.page_token = pages[-1].next_page_token
    assert [len(page.revisions) for page in pages] == [2, 2, 1]
    assert all(page.newest == revisions[-1].shown() for page in pages)
    assert [one for page in pages for one in page.revisions] == [one.shown() for one in revisions]
    assert [one for page in pages for one in page.deliveries] == deliveries
    assert [len(page.deliveries) for page in pages] == [2, 2, 1]
    other = contract.GetConversionRequest(conversion_id="c1:two", page_token=pages[0].next_page_token)
    error = await failure(stub.GetConversion(other))
    assert isinstance(error, InvalidRequestError)
    assert [violation.field for violation in error.violations] == ["page_token"]


@pytest.mark.parametrize("name", ["GetConversion", "GetJourney"])
async def test_a_page_has_no_negative_size_and_no_made_up_token(stub: Stub, name: str) -> None:
    request = {
        "GetConversion": contract.GetConversionRequest(conversion_id="c1:one", page_size=-1, page_token="x"),
        "GetJourney": contract.GetJourneyRequest(person_id="p1:x", page_size=-1, page_token="x"),
    }[name]
    error = await failure(getattr(stub, name)(request))
    assert isinstance(error, InvalidRequestError)
    assert [violation.field for violation in error.violations] == ["page_size", "page_token"]


async def test_a_conversion_without_an_order_is_found_by_its_event(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    revision = Revision(workspace=owner.id, conversion_id=conversion_id(event_digest(owner.id, "sign-up-7")))
    await ConversionWriter(clickhouse).write([revision.packed()])
    found = await stub.GetConversion(contract.GetConversionRequest(event_id="sign-up-7"))
    assert found.newest == revision.shown()


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        pytest.param(contract.GetConversionRequest(), ["conversion"], id="nothing named"),
        pytest.param(
            contract.GetConversionRequest(order=contract.OrderReference()),
            ["order.conversion_name", "order.order_id"],
            id="an empty order",
        ),
    ],
)
async def test_a_conversion_must_be_named(
    stub: Stub, request_: contract.GetConversionRequest, fields: list[str]
) -> None:
    error = await failure(stub.GetConversion(request_))
    assert isinstance(error, InvalidRequestError)
    assert [violation.field for violation in error.violations] == fields


async def test_a_journey_is_unavailable_while_attribution_is(stub: Stub) -> None:
    error = await failure(stub.GetJourney(contract.GetJourneyRequest(person_id="p1:x")))
    assert isinstance(error, UnavailableError)
    assert error.retry_delay_seconds > 0


async def test_a_journey_must_be_somebodys(stub: Stub) -> None:
    assert isinstance(await failure(stub.GetJourney(contract.GetJourneyRequest())), InvalidRequestError)


def events(workspace: str, letters: str, conversion: str = "") -> EventBatch:
    """One entry, accepted a second ago, with an event per letter; conversions where one is named."""
    batch = EventBatch()
    for index, letter in enumerate(letters):
        admitted = AdmittedEvent(conversion_id=conversion)
        admitted.event.event_id = f"e-{index}"
        admitted.event.event_time.FromDatetime(NOON)
        if conversion:
            admitted.event.conversion.name = "purchase"
        else:
            admitted.event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
        place = LogPlace.of(0, "live", "1-0", micros(NOON))
        batch.add(place, index, letter, workspace, admitted.SerializeToString(), AcceptContext())
    return batch


async def count_verdicts(query: Query, workspace: str, **counts: int) -> None:
    """Counts as the claim scripts do."""
    async with connect_redis(query.log_url, name="tests") as client:
        for shard, (verdict, count) in enumerate(counts.items()):
            await client.hincrby(keys.verdicts(shard % 4), f"{workspace}|{verdict.upper()}", count)


async def test_integrity_compares_what_was_counted_with_what_is_stored(
    query: Query, stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    conversion = conversion_id(event_digest(owner.id, "e-0"))
    await EventWriter(clickhouse).write(events(owner.id, "A", conversion=conversion))
    await ConversionWriter(clickhouse).write([Revision(workspace=owner.id, conversion_id=conversion).packed()])
    delivery = delivery_pb2.Delivery(
        destination_id="hook", conversion_id=conversion, revision=TODAY, state=delivery_pb2.DELIVERY_STATE_INELIGIBLE
    )
    delivery.plan_time.FromDatetime(NOON)
    await DeliveryWriter(clickhouse).write([(owner.id, delivery)])
    await count_verdicts(query, owner.id, accepted=1, duplicate=3)
    answer = await stub.GetIntegrity(contract.GetIntegrityRequest())
    assert [check.name for check in answer.checks if not check.ok] == []
    assert (answer.verdicts.received, answer.verdicts.accepted, answer.verdicts.duplicate) == (4, 1, 3)


async def broken(stub: Stub) -> dict[str, tuple[int, int]]:
    answer = await stub.GetIntegrity(contract.GetIntegrityRequest())
    return {check.name: (check.expected, check.actual) for check in answer.checks if not check.ok}


async def test_integrity_sees_an_event_that_was_lost(
    query: Query, stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    await EventWriter(clickhouse).write(events(owner.id, "AACRR"))
    await count_verdicts(query, owner.id, accepted=3, conflict=1, rejected=2)
    assert await broken(stub) == {"received_is_sum_of_verdicts": (6, 5), "accepted_events_are_rows": (3, 2)}


async def test_integrity_sees_an_order_that_became_two_conversions(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    twins = [Revision(workspace=owner.id, conversion_id=f"c1:{number}", order_id="o-1") for number in (1, 2)]
    await ConversionWriter(clickhouse).write([twin.packed() for twin in twins])
    assert (await broken(stub))["orders_are_conversions"] == (1, 2)


async def test_integrity_sees_a_revision_without_its_predecessor(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    first = Revision(workspace=owner.id)
    await ConversionWriter(clickhouse).write([first.packed(), first.then().then().packed()])
    assert (await broken(stub))["revisions_have_predecessors"] == (2, 1)


async def test_integrity_sees_a_conversion_that_was_taken_twice(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    for attempt, visible_id in ((1, "o-1"), (2, "o-2")):
        delivery = delivery_pb2.Delivery(
            destination_id="hook",
            conversion_id="c1:one",
            revision=TODAY,
            attempts=attempt,
            outcome=OK,
            operation=delivery_pb2.DELIVERY_OPERATION_CREATE,
        )
        delivery.visible_id = visible_id
        delivery.plan_time.FromDatetime(NOON)
        await DeliveryWriter(clickhouse).write([(owner.id, delivery)])
    assert await broken(stub) == {"deliveries_are_taken_once": (0, 1), "visible_ids_never_change": (0, 1)}


async def test_integrity_sees_a_conversion_that_no_destination_decided_on(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    started = SystemClock().now()
    revisions = [
        Revision(workspace=owner.id, conversion_id=f"c1:{number}", published=started + timedelta(seconds=number))
        for number in range(4)
    ]
    await ConversionWriter(clickhouse).write([revision.packed() for revision in revisions])
    for revision in (revisions[1], revisions[3]):  # the destination was added after the first one
        delivery = delivery_pb2.Delivery(
            destination_id="hook", conversion_id=revision.conversion_id, revision=revision.number, state=TAKEN
        )
        delivery.plan_time.FromDatetime(started)
        await DeliveryWriter(clickhouse).write([(owner.id, delivery)])
    assert (await broken(stub))["conversions_are_decided_on"] == (3, 2)


async def test_integrity_is_not_settled_while_delivery_cannot_be_asked(stub: Stub) -> None:
    checks: dict[str, IntegrityCheck] = {
        check.name: check for check in (await stub.GetIntegrity(contract.GetIntegrityRequest())).checks
    }
    assert not checks["conversions_are_decided_on"].settled
    assert checks["accepted_events_are_rows"].settled


async def test_health_measures_each_stage(stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse) -> None:
    await clickhouse.execute(
        "INSERT INTO deliveries (workspace, destination_id, revision, attempt, outcome, attempt_time)"
        " SELECT %(workspace)s, 'hook', toUnixTimestamp64Micro(now64(6)), number + 1, ['OK', 'RETRY'][number %% 2 + 1],"
        " now64(6) FROM numbers(4)",
        {"workspace": owner.id},
    )
    published = Revision(workspace=owner.id).message()
    published.publish_time.GetCurrentTime()
    published.cause_accept_time.FromMicroseconds(published.publish_time.ToMicroseconds() - 3_000_000)
    published.revision = published.publish_time.ToMicroseconds()
    await ConversionWriter(clickhouse).write([(published, published.SerializeToString())])
    await clickhouse.execute(
        "INSERT INTO deliveries (workspace, destination_id, conversion_id, revision, attempt, outcome, attempt_time)"
        " SELECT %(workspace)s, 'hook', %(conversion)s, %(revision)s, 1, 'OK', fromUnixTimestamp64Micro(%(revision)s)",
        {
            "workspace": owner.id,
            "conversion": published.state.conversion_id,
            "revision": published.revision,
        },
    )
    await EventWriter(clickhouse).write(events(owner.id, "AA"))
    health = (await stub.GetPipelineHealth(contract.GetPipelineHealthRequest())).health
    counts = {latency.stage: latency.count for latency in health.latencies}
    expected = {"accept_to_record": 2, "accept_to_credit": 1, "credit_to_delivery": 3, "accept_to_delivery": 1}
    assert counts == expected
    assert health.latencies[3].p50.seconds == 3
    assert health.latencies[0].p50.seconds > 0
    (hook,) = health.destinations
    assert (hook.destination_id, hook.attempts, hook.success_ratio_micros) == ("hook", 5, 600_000)
    assert health.durability == "fsync"


async def test_health_knows_what_waits(query: Query, stub: Stub) -> None:
    async with connect_redis(query.log_url, name="tests") as client:
        stream = keys.event_log(2, "bulk")
        entry = await client.xadd(stream, {"payload": b"x"})
        await client.xadd(keys.event_dead_letters(1, "record"), {"payload": b"x"})
        try:
            backlogs: dict[str, Backlog] = {
                backlog.group: backlog
                for backlog in (await stub.GetPipelineHealth(contract.GetPipelineHealthRequest())).health.backlogs
            }
        finally:
            await client.xdel(stream, entry)
    assert {group: backlog.entries for group, backlog in backlogs.items()} == {
        "record": 1,
        "attribute": 1,
        "deliver": 0,
    }
    assert backlogs["record"].dead_letters == 1


@pytest.mark.parametrize("seconds", [-1, 0, 32 * 86_400])
async def test_a_window_of_nothing_or_too_much_is_refused(stub: Stub, seconds: int) -> None:
    request = contract.GetPipelineHealthRequest()
    request.window.seconds = seconds
    error = await failure(stub.GetPipelineHealth(request))
    assert isinstance(error, InvalidRequestError)
    assert [violation.field for violation in error.violations] == ["window"]


async def test_touches_are_named_by_their_event_ids_where_journeys_keep_only_hashes(
    stub: Stub, owner: KeyedWorkspace, clickhouse: ClickHouse
) -> None:
    revision = Revision(
        workspace=owner.id,
        conversion_id=conversion_id(event_digest(owner.id, "order")),
        touches=[
            Touch("Email", event_reference(event_hash("e-0")), before=timedelta(0)),
            Touch("Email", event_reference(event_hash("never recorded")), before=timedelta(0)),
        ],
    )
    await ConversionWriter(clickhouse).write([revision.packed()])
    await EventWriter(clickhouse).write(events(owner.id, "A"))

    found = await stub.GetConversion(contract.GetConversionRequest(conversion_id=revision.conversion_id))

    references = ["e-0", event_reference(event_hash("never recorded"))]
    assert [touch.event_id for touch in found.newest.state.touches] == references
    assert [touch.event_id for touch in found.revisions[0].state.touches] == references
