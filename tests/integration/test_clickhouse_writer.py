"""What is written twice, in whatever grouping, is there once; what does not add up is not there at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.revisions import NOON, Revision, Touch, micros
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AcceptContext, AdmittedEvent
from tributary.delivery.v1 import delivery_pb2
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import StorageUnavailableError, TributaryError
from tributary_storage.clickhouse.client import ClickHouse, StatementRefusedError, StatementTooLargeError, connect
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.event_rows import EventBatch, LogPlace
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.clickhouse.writer import ConversionWriter, DeliveryWriter, EventWriter

TODAY = SystemClock().unix_micros()
"""A revision's number: the ledger forgets what is older than 400 days."""


@pytest.fixture
async def clickhouse(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    async with connect(clickhouse_url, name="tests", connections=2) as opened:
        yield opened


def a_batch(workspace: str, letters: str = "A", entry: str = "1764000000000-0") -> EventBatch:
    """One entry with an event per letter."""
    batch = EventBatch()
    for index, letter in enumerate(letters):
        admitted = AdmittedEvent(identity_tokens=["v:anna", f"d:{index}"])
        admitted.event.event_id = f"e-{entry}-{index}"
        admitted.event.event_time.FromDatetime(NOON)
        admitted.event.properties["größe"] = "L"
        admitted.event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
        place = LogPlace.of(1, "live", entry, micros(NOON))
        batch.add(place, index, letter, workspace, admitted.SerializeToString(), AcceptContext(api_key_id="k-1"))
    return batch


def a_delivery(conversion_id: str = "c1:one", attempts: int = 1) -> delivery_pb2.Delivery:
    delivery = delivery_pb2.Delivery(
        destination_id="crm",
        conversion_id=conversion_id,
        revision=TODAY,
        operation=delivery_pb2.DELIVERY_OPERATION_CREATE,
        state=delivery_pb2.DELIVERY_STATE_PENDING,
        outcome=delivery_pb2.OUTCOME_CLASS_RETRY,
        attempts=attempts,
        visible_id="o-1",
    )
    delivery.plan_time.FromDatetime(NOON)
    delivery.attempt_time.FromDatetime(NOON)
    return delivery


async def count(clickhouse: ClickHouse, table: str, workspace: str) -> int:
    statement = f"SELECT count() FROM {table} FINAL WHERE workspace = %(workspace)s"  # noqa: S608
    ((rows,),) = await clickhouse.execute(statement, {"workspace": workspace})
    return int(rows)


async def test_events_and_refusals_written_twice_are_there_once(clickhouse: ClickHouse, workspace: str) -> None:
    writer = EventWriter(clickhouse)
    for _ in range(2):
        await writer.write(a_batch(workspace, "AMQDCR"))
    assert await count(clickhouse, "events", workspace) == 3
    assert await count(clickhouse, "refusals", workspace) == 2


async def test_the_same_event_refused_in_two_calls_is_two_refusals(clickhouse: ClickHouse, workspace: str) -> None:
    writer = EventWriter(clickhouse)
    await writer.write(a_batch(workspace, "R", "1764000000000-0"))
    await writer.write(a_batch(workspace, "R", "1764000000000-1"))
    assert await count(clickhouse, "refusals", workspace) == 2


async def test_a_batch_of_ten_years_is_one_write(clickhouse: ClickHouse, workspace: str) -> None:
    batch = EventBatch()
    for month in range(121):
        admitted = AdmittedEvent(identity_tokens=["v:anna"])
        admitted.event.event_id = f"e-{month}"
        admitted.event.event_time.FromDatetime(NOON - timedelta(days=30.4 * month))
        admitted.event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
        place = LogPlace.of(1, "bulk", "1764000000000-0", micros(NOON))
        batch.add(place, month, "A", workspace, admitted.SerializeToString(), AcceptContext(backfill=True))
    await EventWriter(clickhouse).write(batch)
    assert await count(clickhouse, "events", workspace) == 121


async def test_an_event_comes_back_as_it_went_in(clickhouse: ClickHouse, workspace: str) -> None:
    await EventWriter(clickhouse).write(a_batch(workspace))
    ((kept, time, properties),) = await clickhouse.execute(
        "SELECT admitted, event_time, properties FROM events WHERE workspace = %(workspace)s",
        {"workspace": workspace},
        raw_strings=True,
    )
    assert AdmittedEvent.FromString(kept).event.event_id == "e-1764000000000-0-0"
    assert time == NOON
    assert properties == {"größe".encode(): b"L"}


async def test_an_event_is_found_by_each_of_its_identifiers(clickhouse: ClickHouse, workspace: str) -> None:
    await EventWriter(clickhouse).write(a_batch(workspace, "AA"))
    for token, events in (("v:anna", 2), ("d:0", 1), ("d:1", 1)):
        ((found,),) = await clickhouse.execute(
            "SELECT count() FROM events_by_identifier WHERE workspace = %(workspace)s AND identity_token = %(token)s",
            {"workspace": workspace, "token": token},
        )
        assert found == events


async def test_a_revision_replaces_the_one_before_whatever_the_order_of_writing(
    clickhouse: ClickHouse, workspace: str
) -> None:
    first = Revision(workspace=workspace, value_micros=100)
    second = first.then(value_micros=40)
    writer = ConversionWriter(clickhouse)
    await writer.write([second.packed()])
    await writer.write([first.packed()])
    rows = await clickhouse.execute(
        "SELECT revision, value_micros FROM conversions FINAL WHERE workspace = %(workspace)s", {"workspace": workspace}
    )
    assert rows == [(second.number, 40)]
    assert await count(clickhouse, "conversion_revisions", workspace) == 2


async def test_revisions_written_twice_are_there_once(clickhouse: ClickHouse, workspace: str) -> None:
    revision = Revision(workspace=workspace)
    writer = ConversionWriter(clickhouse)
    await writer.write([revision.packed(), revision.packed()])
    await writer.write([revision.packed()])
    assert await count(clickhouse, "conversion_revisions", workspace) == 1
    assert await count(clickhouse, "conversions", workspace) == 1


async def test_a_conversion_whose_time_was_corrected_leaves_no_row_at_its_old_place(
    clickhouse: ClickHouse, workspace: str
) -> None:
    first = Revision(workspace=workspace)
    moved = first.then(time=NOON - timedelta(days=40), replaced_time=NOON)
    back = moved.then(time=NOON, replaced_time=moved.time)
    writer = ConversionWriter(clickhouse)
    statement = "SELECT conversion_time FROM conversions FINAL WHERE workspace = %(workspace)s"
    await writer.write([moved.packed(), first.packed()])
    assert await clickhouse.execute(statement, {"workspace": workspace}) == [(moved.time,)]
    await writer.write([back.packed()])
    assert await clickhouse.execute(statement, {"workspace": workspace}) == [(NOON,)]


async def test_all_revisions_come_back_oldest_first(clickhouse: ClickHouse, workspace: str) -> None:
    first = Revision(workspace=workspace, touches=())
    second = first.then(touches=[Touch("Email")])
    await ConversionWriter(clickhouse).write([second.packed(), first.packed()])
    history = ConversionHistory(clickhouse)
    assert await history.revisions(workspace, "c1:one") == [first.message(), second.message()]
    assert await history.revisions(workspace, "c1:other") == []


@pytest.mark.parametrize("part", ["credit_micros", "value_micros"])
async def test_credit_or_money_that_does_not_add_up_is_refused(
    part: str, clickhouse: ClickHouse, workspace: str
) -> None:
    message = Revision(workspace=workspace).message()
    share = message.state.touches[0].credits[3]
    setattr(share, part, getattr(share, part) - 1)
    with pytest.raises(StatementRefusedError):
        await ConversionWriter(clickhouse).write([(message, message.SerializeToString())])
    assert await count(clickhouse, "conversions", workspace) == 0


async def test_a_change_of_rows_that_was_not_finished_is_tried_again(clickhouse: ClickHouse) -> None:
    await clickhouse.execute("CREATE TABLE changed (number UInt8) ENGINE = MergeTree ORDER BY tuple()")
    try:
        await clickhouse.execute("INSERT INTO changed SELECT 1")
        with pytest.raises(StorageUnavailableError) as unfinished:
            await clickhouse.execute(
                "ALTER TABLE changed UPDATE number = throwIf(number = 1) WHERE true SETTINGS mutations_sync = 2"
            )
        assert unfinished.value.metadata["code"] == "341"
    finally:
        await clickhouse.execute("DROP TABLE changed")


async def test_an_uncounted_conversion_is_kept_without_credit(clickhouse: ClickHouse, workspace: str) -> None:
    await ConversionWriter(clickhouse).write([Revision(workspace=workspace, counted=False).packed()])
    assert await count(clickhouse, "conversions", workspace) == 1


async def test_a_conversion_of_ten_years_ago_is_kept(clickhouse: ClickHouse, workspace: str) -> None:
    old = datetime(2016, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    await ConversionWriter(clickhouse).write([Revision(workspace=workspace, time=old).packed()])
    statement = "SELECT conversion_time FROM conversions WHERE workspace = %(workspace)s"
    assert await clickhouse.execute(statement, {"workspace": workspace}) == [(old,)]


async def test_attempts_are_rows_and_the_newest_tells_how_it_is(clickhouse: ClickHouse, workspace: str) -> None:
    writer = DeliveryWriter(clickhouse)
    second = a_delivery(attempts=2)
    second.state, second.outcome = delivery_pb2.DELIVERY_STATE_ACCEPTED, delivery_pb2.OUTCOME_CLASS_OK
    await writer.write([(workspace, a_delivery()), (workspace, second)])
    await writer.write([(workspace, second)])
    assert await count(clickhouse, "deliveries", workspace) == 2
    assert await ConversionHistory(clickhouse).deliveries(workspace, "c1:one") == [second]


async def test_what_was_given_up_and_tried_anew_is_told_by_what_came_last(
    clickhouse: ClickHouse, workspace: str
) -> None:
    writer = DeliveryWriter(clickhouse)
    given_up = a_delivery(attempts=5)
    given_up.state = delivery_pb2.DELIVERY_STATE_DEAD
    await writer.write([(workspace, given_up)])
    anew = a_delivery(attempts=1)
    anew.state, anew.outcome = delivery_pb2.DELIVERY_STATE_ACCEPTED, delivery_pb2.OUTCOME_CLASS_OK
    await writer.write([(workspace, anew)])
    assert await ConversionHistory(clickhouse).deliveries(workspace, "c1:one") == [anew]


async def test_nothing_to_write_asks_nothing(clickhouse: ClickHouse) -> None:
    await EventWriter(clickhouse).write(EventBatch())
    await ConversionWriter(clickhouse).write([])
    await DeliveryWriter(clickhouse).write([])


@pytest.mark.parametrize(
    ("limit", "error", "said"),
    [
        pytest.param("max_memory_usage", StatementTooLargeError, "Ask for less at once", id="its own"),
        pytest.param("max_memory_usage_for_user", StorageUnavailableError, "try again", id="shared with others"),
    ],
)
async def test_a_statement_that_reaches_a_limit_of_memory_is_tried_again_only_if_others_may_be_the_cause(
    limit: str, error: type[TributaryError], said: str, clickhouse: ClickHouse
) -> None:
    asked = "SELECT count() FROM (SELECT number FROM numbers(5000000) GROUP BY number) SETTINGS "
    with pytest.raises(error, match=said):
        await clickhouse.execute(asked + f"{limit} = 20000000")


async def test_an_outage_is_said_and_over_when_it_is_over(private_clickhouse: ClickHouseServer) -> None:
    await migrate(private_clickhouse.url)
    async with connect(private_clickhouse.url, name="tests", connections=1) as clickhouse:
        writer = ConversionWriter(clickhouse)
        await writer.write([Revision(workspace="shop").packed()])
        private_clickhouse.kill()
        with pytest.raises(StorageUnavailableError):
            await writer.write([Revision(workspace="shop").then().packed()])
        private_clickhouse.start()
        private_clickhouse.wait_until_ready()
        await writer.write([Revision(workspace="shop").then().packed()])
        assert await count(clickhouse, "conversion_revisions", "shop") == 2


async def test_what_was_published_is_what_is_read(clickhouse: ClickHouse, workspace: str) -> None:
    message, content = Revision(workspace=workspace).packed()
    await ConversionWriter(clickhouse).write([(message, content)])
    (found,) = await ConversionHistory(clickhouse).revisions(workspace, "c1:one")
    assert found == ConversionRevised.FromString(content)
