"""Reports count what happened, by hand: whatever was revised, whichever clock, in any time zone."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.revisions import MICRO, NOON, Revision, Touch, micros
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_storage.clickhouse.client import ClickHouse, connect
from tributary_storage.clickhouse.credit_columns import MODELS
from tributary_storage.clickhouse.report_query import Basis, Dimension, Filter, Key, Metric, ReportQuery
from tributary_storage.clickhouse.reports import ReportLine, read_report
from tributary_storage.clickhouse.writer import ConversionWriter
from tributary_storage.codec.reporting_values import add_reporting_value

EMAIL, SEARCH, DIRECT = Touch("Email", source="news"), Touch("Paid Search", source="google"), Touch("Direct")
ALL = (Metric.CONVERSIONS, Metric.VALUE, Metric.CONVERSIONS_ASSISTED, Metric.TOUCHPOINTS)
DAY = timedelta(days=1)


@dataclass
class Pinned:
    """A revision at the rate of its day."""

    revision: Revision
    rate_picos: int
    currency: str

    def packed(self) -> tuple[ConversionRevised, bytes]:
        message = self.revision.message()
        message.state.rate_picos = self.rate_picos
        add_reporting_value(message.state, self.currency)
        return message, message.SerializeToString(deterministic=True)


class World:
    """A workspace with revisions in it, and what one asks of it."""

    def __init__(self, clickhouse: ClickHouse, workspace: str) -> None:
        self.clickhouse = clickhouse
        self.workspace = workspace
        self._conversions = 0

    def conversion(self, **said: Any) -> Revision:
        self._conversions += 1
        return Revision(workspace=self.workspace, conversion_id=f"c1:{self._conversions}", **said)

    async def has(self, *revisions: Revision) -> None:
        await ConversionWriter(self.clickhouse).write([revision.packed() for revision in revisions])

    async def has_packed(self, *revisions: tuple[ConversionRevised, bytes]) -> None:
        await ConversionWriter(self.clickhouse).write(revisions)

    async def report(self, *dimensions: Dimension, **said: Any) -> dict[Key, tuple[int, ...]]:
        return {line.key: line.values for line in await self.lines(*dimensions, **said)}

    async def lines(self, *dimensions: Dimension, **said: Any) -> list[ReportLine]:
        query = ReportQuery(
            **{
                "workspace": self.workspace,
                "metrics": (Metric.CONVERSIONS, Metric.VALUE),
                "dimensions": dimensions,
                "model": "linear",
                "start_micros": micros(NOON - 30 * DAY),
                "end_micros": micros(NOON + DAY),
                **said,
            }
        )
        return await read_report(self.clickhouse, query)

    async def postings(self, *dimensions: Dimension, days: Sequence[str], **said: Any) -> dict[Key, tuple[int, ...]]:
        start, end = days
        return await self.report(*dimensions, basis=Basis.POSTING, start_date=start, end_date=end, **said)


@pytest.fixture
async def world(clickhouse_url: str, workspace: str) -> AsyncIterator[World]:
    async with connect(clickhouse_url, name="tests", connections=2) as clickhouse:
        yield World(clickhouse, workspace)


async def test_credit_and_value_per_channel_sum_to_the_conversions(world: World) -> None:
    await world.has(
        world.conversion(touches=[EMAIL, SEARCH, DIRECT], value_micros=100),
        world.conversion(touches=[EMAIL], value_micros=7),
        world.conversion(touches=(), value_micros=1),
    )
    assert await world.report(Dimension.CHANNEL) == {
        ("Direct",): (333_333, 33),
        ("Email",): (1_333_334, 41),
        ("Paid Search",): (333_333, 33),
        ("unattributed",): (1_000_000, 1),
    }
    assert await world.report() == {(): (3_000_000, 108)}


async def test_a_conversion_counts_once_per_row_and_a_touchpoint_once(world: World) -> None:
    shared = Touch("Email", "t-shared")
    await world.has(
        world.conversion(touches=[shared, Touch("Email", "t-2"), SEARCH]),
        world.conversion(touches=[shared]),
        world.conversion(touches=()),
    )
    found = await world.report(Dimension.CHANNEL, metrics=ALL)
    assert [found[key][2:] for key in (("Email",), ("Paid Search",), ("unattributed",))] == [(2, 2), (1, 1), (1, 0)]


async def test_only_the_newest_revision_counts(world: World) -> None:
    first = world.conversion(touches=[SEARCH], value_micros=100)
    await world.has(first, first.then(touches=[EMAIL], value_micros=60))
    assert await world.report(Dimension.CHANNEL) == {("Email",): (1_000_000, 60)}


async def test_as_of_a_moment_counts_what_was_known_then(world: World) -> None:
    first = world.conversion(touches=[SEARCH], value_micros=100)
    second = first.then(touches=[EMAIL], value_micros=60)
    await world.has(first, second)
    known = {
        first.published - MICRO: {},
        first.published: {("Paid Search",): (1_000_000, 100)},
        second.published - MICRO: {("Paid Search",): (1_000_000, 100)},
        second.published: {("Email",): (1_000_000, 60)},
    }
    for moment, rows in known.items():
        assert await world.report(Dimension.CHANNEL, as_of_micros=micros(moment)) == rows


@pytest.mark.parametrize("basis", [Basis.CONVERSION, Basis.TOUCHPOINT, Basis.POSTING])
async def test_each_name_is_credited_under_its_own_model(world: World, basis: Basis) -> None:
    """Under first_touch a lead is the oldest touch's, under linear a purchase is everybody's; each counts once."""
    lead, purchase = (
        world.conversion(touches=[SEARCH, EMAIL], value_micros=100, name=name) for name in ("lead", "purchase")
    )
    message = lead.message()
    for touch, (credit, value) in zip(message.state.touches, [(1_000_000, 100), (0, 0)], strict=True):
        touch.credits[0].credit_micros, touch.credits[0].value_micros = credit, value  # first_touch is the first model
    await world.has(purchase)
    await ConversionWriter(world.clickhouse).write([(message, message.SerializeToString())])
    span = {"start_date": "2026-11-19", "end_date": "2026-11-22"} if basis is Basis.POSTING else {}
    found = await world.report(
        Dimension.CONVERSION_NAME, Dimension.CHANNEL, own_models=(("lead", "first_touch"),), basis=basis, **span
    )
    assert found == {
        ("lead", "Paid Search"): (1_000_000, 100),
        ("purchase", "Email"): (500_000, 50),
        ("purchase", "Paid Search"): (500_000, 50),
    }


async def test_the_time_range_is_half_open(world: World) -> None:
    start, end = NOON, NOON + timedelta(hours=1)
    inside = [world.conversion(time=time) for time in (start, end - MICRO)]
    outside = [world.conversion(time=time) for time in (start - MICRO, end)]
    await world.has(*inside, *outside)
    assert await world.report(start_micros=micros(start), end_micros=micros(end)) == {(): (2_000_000, 180_000_000)}


async def test_a_retracted_conversion_is_in_no_total(world: World) -> None:
    first = world.conversion()
    await world.has(first, first.then(counted=False, value_micros=0))
    assert await world.report(Dimension.CHANNEL) == {}


async def test_a_pending_value_is_held_back_and_its_conversion_is_not(world: World) -> None:
    await world.has(world.conversion(value_pending=True))
    assert await world.report() == {(): (1_000_000, 0)}


@pytest.mark.parametrize("basis", [Basis.CONVERSION, Basis.TOUCHPOINT])
async def test_what_data_driven_had_no_model_for_is_nobodys_and_says_so(world: World, basis: Basis) -> None:
    await world.has(
        world.conversion(value_micros=10, touches=[EMAIL, DIRECT]),
        world.conversion(value_micros=7, touches=()),
    )
    dimensions = Dimension.CHANNEL, Dimension.SOURCE, Dimension.UNATTRIBUTED_REASON
    nobody = ("unattributed", "", "NO_MODEL")
    assert await world.report(*dimensions, model="data_driven", basis=basis) == {nobody: (2_000_000, 17)}
    by_model = await world.report(Dimension.MODEL, *dimensions, model="", basis=basis)
    assert by_model["data_driven", *nobody] == (2_000_000, 17)
    for model in MODELS:
        assert sum(credit for key, (credit, _) in by_model.items() if key[0] == model) == 2_000_000


async def test_a_model_applied_later_takes_over_from_nobody_on_its_posting_day(world: World) -> None:
    first = world.conversion(value_micros=10, touches=[EMAIL])
    await world.has(first, first.then(touches=[EMAIL], data_driven="m1:x"))
    days = ("2020-01-01", "2040-01-01")
    found = await world.postings(Dimension.CHANNEL, days=days, model="data_driven")
    assert found == {("Email",): (1_000_000, 10), ("unattributed",): (0, 0)}
    assert await world.report(Dimension.CHANNEL, model="data_driven") == {("Email",): (1_000_000, 10)}


async def test_all_models_stand_side_by_side(world: World) -> None:
    await world.has(world.conversion(value_micros=10, touches=[EMAIL, DIRECT]))
    found = await world.report(Dimension.MODEL, Dimension.CHANNEL, model="")
    computed = [model for model in MODELS if model != "data_driven"]
    expected = {(model, channel): (500_000, 5) for model in computed for channel in ("Direct", "Email")}
    assert found == expected | {("data_driven", "unattributed"): (1_000_000, 10)}, "there was no model to learn from"


async def test_one_pass_over_all_models_says_what_each_says_alone(world: World) -> None:
    first = world.conversion(touches=[SEARCH, EMAIL], value_micros=100)
    await world.has(
        *(first, first.then(touches=[EMAIL, DIRECT, SEARCH], value_micros=31, posted=date(2026, 12, 1))),
        world.conversion(touches=(), value_micros=5),
        world.conversion(touches=[Touch("Email", before=9 * DAY)], value_micros=7, value_pending=True),
    )
    asked: list[dict[str, Any]] = [
        {},
        {"as_of_micros": first.number},
        {"basis": Basis.TOUCHPOINT, "start_micros": micros(NOON - 5 * DAY)},
        {"basis": Basis.POSTING, "start_date": "2026-11-01", "end_date": "2027-01-01"},
        {"filters": [Filter(Dimension.CHANNEL, ("Email", "unattributed"))]},
    ]
    for said in asked:
        together = await world.report(Dimension.MODEL, Dimension.DAY, Dimension.CHANNEL, model="", **said)
        alone = {}
        for model in MODELS:
            rows = await world.report(Dimension.DAY, Dimension.CHANNEL, **{**said, "model": model})
            alone |= {(model, *key): values for key, values in rows.items()}
        assert together == alone
        assert len(together) >= 6


async def test_a_filter_by_model_keeps_models(world: World) -> None:
    await world.has(world.conversion(value_micros=10))
    for names, metrics in itertools.product((("linear",), ("nothing",)), ([Metric.CONVERSIONS], list(ALL))):
        filters = [Filter(Dimension.MODEL, names)]
        found = await world.report(Dimension.MODEL, model="", filters=filters, metrics=metrics)
        assert [key for key, _ in found.items()] == [(name,) for name in names if name in MODELS]


async def test_nobody_earned_it_for_a_reason(world: World) -> None:
    await world.has(world.conversion(touches=()), world.conversion(touches=[EMAIL]))
    found = await world.report(Dimension.UNATTRIBUTED_REASON, metrics=[Metric.CONVERSIONS])
    assert found == {("",): (1_000_000,), ("NO_TOUCHPOINT",): (1_000_000,)}


async def test_filters_keep_or_drop_rows(world: World) -> None:
    await world.has(
        world.conversion(touches=[EMAIL, SEARCH], value_micros=100),
        world.conversion(touches=[DIRECT], value_micros=1, name="lead"),
    )
    kept = [Filter(Dimension.CHANNEL, ("Email", "Direct"))]
    assert await world.report(Dimension.CHANNEL, filters=kept) == {
        ("Direct",): (1_000_000, 1),
        ("Email",): (500_000, 50),
    }
    dropped = [*kept, Filter(Dimension.CONVERSION_NAME, ("lead",), is_excluding=True)]
    assert await world.report(Dimension.CHANNEL, filters=dropped) == {("Email",): (500_000, 50)}


async def test_a_filter_value_with_quotes_and_percents_is_only_a_value(world: World) -> None:
    name = "50% off' OR 1=1 --\\"
    await world.has(world.conversion(touches=[Touch(name)], value_micros=3), world.conversion())
    assert await world.report(Dimension.CHANNEL, filters=[Filter(Dimension.CHANNEL, (name,))]) == {
        (name,): (1_000_000, 3)
    }


async def test_names_that_are_not_primary_are_left_out_of_totals(world: World) -> None:
    await world.has(world.conversion(value_micros=5), world.conversion(name="scroll", value_micros=7))
    assert await world.report(not_primary_names=["scroll"]) == {(): (1_000_000, 5)}


async def test_days_are_cut_in_the_time_zone_asked_for(world: World) -> None:
    late = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
    await world.has(world.conversion(time=late, value_micros=1))
    assert await world.report(Dimension.DAY, time_zone="UTC") == {("2026-11-19",): (1_000_000, 1)}
    assert await world.report(Dimension.DAY, time_zone="Europe/Berlin") == {("2026-11-20",): (1_000_000, 1)}


async def test_the_hour_that_comes_twice_is_two_hours(world: World) -> None:
    zone = ZoneInfo("Europe/Berlin")  # on 25 October 2026, 3:00 summer time becomes 2:00
    first = datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=0).astimezone(UTC)
    second = datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=1).astimezone(UTC)
    await world.has(world.conversion(time=first, value_micros=1), world.conversion(time=second, value_micros=2))
    found = await world.report(
        Dimension.HOUR,
        time_zone="Europe/Berlin",
        start_micros=micros(first - DAY),
        end_micros=micros(second + DAY),
    )
    hours = [int(first.timestamp()) // 3600 * 3600, int(second.timestamp()) // 3600 * 3600]
    assert found == {(hours[0],): (1_000_000, 1), (hours[1],): (1_000_000, 2)}
    day = await world.report(
        Dimension.DAY, time_zone="Europe/Berlin", start_micros=micros(first - DAY), end_micros=micros(second + DAY)
    )
    assert day == {("2026-10-25",): (2_000_000, 3)}


async def test_by_touchpoint_time_credit_is_dated_by_its_touch(world: World) -> None:
    early, late = Touch("Email", before=10 * DAY), Touch("Direct", before=timedelta(hours=2))
    await world.has(
        world.conversion(touches=[early, late], value_micros=10), world.conversion(touches=(), value_micros=1)
    )
    found = await world.report(Dimension.DAY, Dimension.CHANNEL, basis=Basis.TOUCHPOINT)
    assert found == {
        ("2026-11-10", "Email"): (500_000, 5),
        ("2026-11-20", "Direct"): (500_000, 5),
        ("2026-11-20", "unattributed"): (1_000_000, 1),
    }
    only_early = await world.report(
        basis=Basis.TOUCHPOINT, start_micros=micros(NOON - 11 * DAY), end_micros=micros(NOON - 9 * DAY)
    )
    assert only_early == {(): (500_000, 5)}


async def test_by_posting_day_a_revision_adds_itself_and_takes_back_what_it_replaced(world: World) -> None:
    first = world.conversion(touches=[SEARCH], value_micros=100, posted=date(2026, 11, 20))
    credited = first.then(touches=[EMAIL], posted=date(2026, 12, 1))
    refunded = credited.then(value_micros=30, posted=date(2026, 12, 2))
    await world.has(first, credited, refunded)
    assert await world.postings(Dimension.DAY, Dimension.CHANNEL, days=("2026-11-01", "2027-01-01")) == {
        ("2026-11-20", "Paid Search"): (1_000_000, 100),
        ("2026-12-01", "Email"): (1_000_000, 100),
        ("2026-12-01", "Paid Search"): (-1_000_000, -100),
        ("2026-12-02", "Email"): (0, -70),
    }


async def test_postings_sum_to_the_state(world: World) -> None:
    first = world.conversion(touches=[SEARCH], value_micros=100)
    retracted = first.then(counted=False, value_micros=0, posted=date(2026, 12, 3))
    await world.has(first, retracted, world.conversion(touches=[EMAIL], value_micros=1))
    found = await world.postings(Dimension.CHANNEL, days=("2026-11-01", "2027-01-01"))
    assert found == {("Email",): (1_000_000, 1), ("Paid Search",): (0, 0)}


async def test_a_closed_month_never_changes(world: World) -> None:
    first = world.conversion(touches=[SEARCH], value_micros=100, posted=date(2026, 11, 20))
    await world.has(first)
    before = await world.postings(Dimension.DAY, Dimension.CHANNEL, days=("2026-11-01", "2026-12-01"))
    await world.has(first.then(touches=[EMAIL], value_micros=1, posted=date(2026, 12, 1)))
    assert await world.postings(Dimension.DAY, Dimension.CHANNEL, days=("2026-11-01", "2026-12-01")) == before


async def test_sums_beyond_64_bits_are_exact(world: World) -> None:
    most = 2**63 - 1
    await world.has(*(world.conversion(value_micros=most, touches=[EMAIL]) for _ in range(3)))
    assert await world.report() == {(): (3_000_000, 3 * most)}


async def test_pages_join_without_gap_or_repeat(world: World) -> None:
    channels = [f"channel {number}" for number in range(7)]
    await world.has(*(world.conversion(touches=[Touch(channel)]) for channel in channels))
    found: list[Key] = []
    while page := list(await world.report(Dimension.CHANNEL, limit=3, after=found[-1] if found else None)):
        assert len(page) <= 3
        found += page
    assert found == [(channel,) for channel in channels]


async def test_currencies_and_names_of_a_row_are_told(world: World) -> None:
    await world.has(
        world.conversion(currency="EUR", name="purchase"),
        world.conversion(currency="USD", name="lead"),
        *(world.conversion(currency=currency, name="lead") for currency in ("CHF", "GBP", "SEK")),
        world.conversion(currency="", value_micros=0, name="sign-up"),
    )
    query = ReportQuery(
        workspace=world.workspace,
        metrics=[Metric.VALUE],
        model="linear",
        start_micros=micros(NOON - DAY),
        end_micros=micros(NOON + DAY),
    )
    (line,) = await read_report(world.clickhouse, query)
    assert line.currencies == ("CHF", "EUR", "GBP", "SEK", "USD")
    assert line.names == ("lead", "purchase", "sign-up")


async def test_another_workspace_sees_nothing(world: World) -> None:
    await world.has(world.conversion())
    assert await world.report(workspace="another") == {}


async def test_conversions_without_a_value_are_a_line_without_a_currency(world: World) -> None:
    await world.has(world.conversion(value_micros=None), world.conversion(value_micros=100))
    assert await world.report(Dimension.CURRENCY) == {("",): (1_000_000, 0), ("EUR",): (1_000_000, 100)}
    rows = await world.clickhouse.execute(
        "SELECT currency, value IS NULL FROM bi_channel_performance"
        " WHERE workspace = %(workspace)s AND model = 'linear' ORDER BY currency",
        {"workspace": world.workspace},
    )
    assert rows == [("", 1), ("EUR", 0)]


async def test_the_view_for_bi_says_the_same(world: World) -> None:
    first = world.conversion(touches=[SEARCH], value_micros=1_500_000)
    await world.has(first, first.then(touches=[EMAIL, DIRECT]))
    rows = await world.clickhouse.execute(
        "SELECT channel, conversions, value FROM bi_channel_performance"
        " WHERE workspace = %(workspace)s AND model = 'linear' ORDER BY channel",
        {"workspace": world.workspace},
    )
    assert [(channel, str(conversions), str(value)) for channel, conversions, value in rows] == [
        ("Direct", "0.5", "0.75"),
        ("Email", "0.5", "0.75"),
    ]


async def test_the_reporting_currency_adds_what_has_a_rate_and_tells_what_has_none(world: World) -> None:
    touches = [EMAIL, SEARCH, Touch("Email", "t-3")]
    unconverted = world.conversion(touches=touches, value_micros=70, currency="GBP")
    dollars = world.conversion(touches=touches, value_micros=100, currency="USD")
    pinned = Pinned(dollars, rate_picos=500_000_000_000, currency="EUR")
    elsewhere = Pinned(world.conversion(value_micros=9, currency="GBP"), rate_picos=2 * 10**12, currency="CHF")
    own = world.conversion(touches=[SEARCH], value_micros=1000)
    await world.has_packed(unconverted.packed(), pinned.packed(), elsewhere.packed(), own.packed())
    said: dict[str, Any] = {"metrics": (Metric.REPORTING_VALUE,), "reporting_currency": "EUR"}
    for model in MODELS:
        found = await world.report(Dimension.CHANNEL, model=model, **said)
        if model == "data_driven":
            assert found == {("unattributed",): (1050,)}
        else:
            assert found == {("Email",): (33,), ("Paid Search",): (1017,)}
    [line] = await world.lines(**said)
    assert (line.values, line.unconverted) == ((1050,), (("GBP", 79),))
    assert sum(values[0] for values in (await world.report(Dimension.MODEL, **said)).values()) == 1050 * len(MODELS)
    days = {"days": ("2026-11-01", "2027-01-01"), **said}
    assert await world.postings(**days) == {(): (1050,)}
