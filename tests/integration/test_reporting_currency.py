"""A conversion is worth in the reporting currency what its day's rate says, until that rate is corrected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.support.attribution import DAY, NOON, Attribution, Events, running_attribution
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_domain.revision import Cause
from tributary_runtime.clock import SystemClock

REPORTING = {"currency": "SEK", "time_zone": "Pacific/Auckland"}
RATE = 11_234_567_890_123
"""SEK per EUR, times 10^12."""


async def import_rate(world: Attribution, picos: int, *, at: int = NOON, published: int = 1, base: str = "EUR") -> None:
    """States a rate of the day in Auckland that a moment lies in."""
    columns = ("workspace", "date", "base_currency", "quote_currency", "publish_time", "rate_picos", "source")
    day = datetime.fromtimestamp(at / 1e6, UTC).astimezone(world.workspace.reporting.zone).date()
    row: list[Any] = [world.workspace.id, day, base, "SEK", published * 1_000_000, picos, "bank"]
    await world.clickhouse.insert("exchange_rates", columns, [[one] for one in row])


def reporting_shares(revised: ConversionRevised, model: int) -> list[int]:
    state = revised.state
    return [
        *(touch.credits[model].reporting_value_micros for touch in state.touches),
        state.models[model].unattributed.reporting_value_micros,
    ]


async def known(world: Attribution, order_id: str = "o-1") -> ConversionRevised:
    found = await world.published(Events(world.workspace.id).conversion_id(order_id))
    assert found is not None
    return found


async def test_rate_and_day_are_pinned_and_every_model_is_split_again(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with running_attribution(redis_url, clickhouse_url, workspace, reporting=REPORTING) as world:
        await import_rate(world, RATE)
        touches = [make.touch("visitor:a", at=NOON - day * DAY, channel=f"Day {day}") for day in (3, 2, 1)]
        await world.handle(*touches, make.order("visitor:a", micros=100_000_001))
        first = await known(world)
        state = first.state
        assert (state.rate_picos, state.reporting_value.currency_code) == (RATE, "SEK")
        assert state.reporting_value.amount_micros == 1_123_456_800  # 100.000001 at 11.234567890123, to the micro
        day = state.rate_date
        assert datetime(day.year, day.month, day.day, tzinfo=UTC).date() == (
            datetime.fromtimestamp(NOON / 1e6, UTC).astimezone(world.workspace.reporting.zone).date()
        )
        for model in range(len(state.models) - 1):
            assert sum(reporting_shares(first, model)) == 1_123_456_800
        assert reporting_shares(first, 3) == [374_485_604, 374_485_604, 374_485_592, 0]
        await import_rate(world, 2 * RATE, published=2)  # a refund keeps the rate of the original
        await world.handle(make.refund(50_000_000))
        refunded = (await known(world)).state
        assert (refunded.rate_picos, refunded.rate_date) == (RATE, day)
        assert refunded.reporting_value.amount_micros == 561_728_406
        rows = await world.stored("reporting_currency, reporting_value_micros, rate_picos")
        assert rows == [("SEK", 561_728_406, RATE)]


async def test_a_corrected_rate_is_a_revision_and_the_same_again_is_none(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with running_attribution(redis_url, clickhouse_url, workspace, reporting=REPORTING) as world:
        await import_rate(world, RATE)
        await world.handle(make.order("visitor:a"), make.order("visitor:b", at=NOON - 3 * DAY, order_id="o-2"))
        assert not (await known(world, "o-2")).state.HasField("reporting_value")  # no rate of its day: unconverted
        assert await world.rate_corrections.correct(world.workspace) == 0
        await import_rate(world, 2 * RATE, published=2)
        await import_rate(world, RATE, at=NOON - 3 * DAY)
        assert await world.rate_corrections.correct(world.workspace) == 2
        await world.work_off()
        corrected, late = await known(world), await known(world, "o-2")
        assert [one.state.rate_picos for one in (corrected, late)] == [2 * RATE, RATE]
        for one in (corrected, late):
            assert list(one.causes) == [18]  # EXCHANGE_RATE
            assert (one.value_delta_micros, one.counted_delta) == (0, 0)
        assert await world.rate_corrections.correct(world.workspace) == 0
        await world.credit_again(corrected.state.conversion_id, Cause.EXCHANGE_RATE)
        assert (await known(world)).revision == corrected.revision


async def test_only_rates_that_were_imported_lately_are_compared(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with running_attribution(redis_url, clickhouse_url, workspace, reporting=REPORTING) as world:
        await world.handle(Events(workspace).order("visitor:a"))
        await import_rate(world, RATE)
        later = SystemClock().unix_micros() + DAY
        assert await world.rate_corrections.correct(world.workspace, later) == 0
        assert await world.rate_corrections.correct(world.workspace) == 1


async def test_what_is_in_the_reporting_currency_has_no_rate(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    reporting = {**REPORTING, "currency": "EUR"}
    async with running_attribution(redis_url, clickhouse_url, workspace, reporting=reporting) as world:
        await world.handle(Events(workspace).order("visitor:a"))
        assert (await known(world)).state.rate_picos == 0
        assert await world.rate_corrections.correct(world.workspace) == 0
