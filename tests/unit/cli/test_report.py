"""`tributary report`: what its options mean, and how its numbers are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner

from tests.support.ports import free_address
from tributary.common.v1.money_pb2 import MoneyTotal
from tributary.query.v1.query_service_pb2 import QueryReportResponse
from tributary.query.v1.report_pb2 import MetricValue, ReportRow
from tributary_cli.command_line import cli
from tributary_cli.report import print_table
from tributary_cli.report_rows import read_value, show_value, sum_rows, unconverted
from tributary_cli.report_times import read_span, read_zone

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def _money(currency: str, units: int, micros: int = 0) -> MetricValue:
    return MetricValue(money=MoneyTotal(currency_code=currency, units=units, micros=micros))


def test_what_is_held_back_is_told_under_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    answer = QueryReportResponse()
    answer.pending.add(conversion_name="purchase", value=_money("EUR", 90_000).money, orders=2)
    print_table(answer, [], ["conversions"])
    told = " ".join(capsys.readouterr().out.split())
    assert "pending: 2 purchase, together 90,000.00 EUR, in no row: outside the expected range." in told


def test_last_reaches_back_from_now() -> None:
    span = read_span("36h", None, None, NOW, UTC)
    assert (span.start, span.end) == (NOW - timedelta(hours=36), NOW)


def test_a_day_is_included_whole_even_when_clocks_change() -> None:
    span = read_span("30d", "2026-10-25", "2026-10-25", NOW, BERLIN)
    assert span.end.astimezone(UTC) - span.start.astimezone(UTC) == timedelta(hours=25)


def test_a_moment_with_a_zone_is_taken_as_it_is() -> None:
    span = read_span("30d", "2026-11-01T12:00:00+02:00", "2026-11-01T12:00:00Z", NOW, BERLIN)
    assert span.end - span.start == timedelta(hours=2)


@pytest.mark.parametrize(
    ("last", "since", "until"),
    [
        pytest.param("30", None, None, id="no unit"),
        pytest.param("0d", None, None, id="nothing"),
        pytest.param("30d", "yesterday", None, id="no time"),
        pytest.param("30d", "2026-11-02", "2026-11-01", id="ends before it starts"),
        ("99999w", None, None),
        ("30d", "0001-01-01", None),
        ("30d", "2026-11-01", "9999-12-31"),
        ("30d", "2026-11-01", "9999-12-31T23:00:00Z"),
    ],
)
def test_a_span_that_is_none_is_refused(last: str, since: str | None, until: str | None) -> None:
    with pytest.raises(click.BadParameter):
        read_span(last, since, until, NOW, UTC)


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="no time zone"):
        read_zone("Middle/Earth")


@pytest.mark.parametrize(
    ("value", "exact", "shown"),
    [
        pytest.param(MetricValue(count=1234), 1234, "1,234", id="count"),
        pytest.param(MetricValue(count_micros=333_333), "0.333333", "0.33", id="shared credit"),
        pytest.param(
            _money("VND", 9_000_000_000_000, 1),
            {"currency_code": "VND", "amount": "9000000000000.000001"},
            "9,000,000,000,000.00 VND",
            id="more micros than 64 bits hold",
        ),
        pytest.param(
            _money("EUR", 0, -500_000), {"currency_code": "EUR", "amount": "-0.500000"}, "-0.50 EUR", id="negative"
        ),
        pytest.param(MetricValue(ratio_micros=4_200_000), "4.200000", "4.20", id="ratio"),
        pytest.param(MetricValue(), None, "-", id="nothing"),
    ],
)
def test_a_number_is_exact_for_programs_and_short_for_people(value: MetricValue, exact: object, shown: str) -> None:
    assert read_value(value) == exact
    assert show_value(value) == shown


def test_totals_add_what_may_be_added_and_nothing_else() -> None:
    rows = [
        ReportRow(metric_values=[MetricValue(count_micros=333_333), _money("EUR", 1, 600_000), MetricValue(count=2)]),
        ReportRow(metric_values=[MetricValue(count_micros=666_667), _money("EUR", -3, -700_000), MetricValue(count=5)]),
    ]
    conversions, value, assisted = sum_rows(rows, ["conversions", "value", "conversions_assisted"])
    assert conversions == MetricValue(count_micros=1_000_000)
    assert value == _money("EUR", -2, -100_000)
    assert assisted == MetricValue()


def test_money_of_several_currencies_has_no_total() -> None:
    rows = [ReportRow(metric_values=[_money("EUR", 1)]), ReportRow(metric_values=[_money("USD", 1)])]
    assert sum_rows(rows, ["value"]) == [MetricValue()]


def test_without_an_address_it_says_how_to_get_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "tributary up" in result.stderr


def test_where_nobody_answers_it_says_so_in_a_sentence() -> None:
    address = free_address()
    result = CliRunner().invoke(cli, ["report", "--target", address, "--api-key", "trb_a_b"])
    assert result.exit_code == 1
    assert f"{address}: UNAVAILABLE: nobody answers there" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_filter_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(cli, ["report", "--filter", "colour=blue"])
    assert result.exit_code == 2
    assert "is not DIMENSION=VALUE" in result.stderr


def test_what_has_no_rate_is_a_line_of_its_own() -> None:
    money = [MoneyTotal(currency_code="USD", units=1), MoneyTotal(currency_code="EUR", units=2, micros=500_000)]
    rows = [ReportRow(unconverted=money), ReportRow(unconverted=money[1:]), ReportRow()]
    assert unconverted(rows) == {"EUR": "5.000000", "USD": "1.000000"}
