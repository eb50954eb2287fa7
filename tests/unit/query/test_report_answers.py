"""An answer adds only what may be added, and writes it exactly."""

from __future__ import annotations

import pytest

from tributary_query.report_answers import check_addable, money_total, report_rows
from tributary_runtime.errors import InvalidRequestError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.report_query import Dimension, Metric, ReportQuery
from tributary_storage.clickhouse.reports import ReportLine

WORKSPACE = Workspace.model_validate(
    {
        "id": "shop",
        "pepper": {"value": "0123456789abcdef0123"},
        "reporting": {"currency": "CHF"},
        "conversions": [{"name": "purchase", "role": "REVENUE"}, {"name": "lead", "role": "LEAD"}],
    }
)
VALUE = ReportQuery(workspace="shop", metrics=[Metric.VALUE], model="linear")
COUNT = ReportQuery(workspace="shop", metrics=[Metric.CONVERSIONS], model="linear")


def a_line(*currencies: str, names: tuple[str, ...] = ("purchase",), value: int = 1) -> ReportLine:
    return ReportLine((), (value,), currencies, names)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(a_line("EUR", "USD"), "CURRENCIES_MIXED", id="two currencies"),
        pytest.param(a_line("EUR", names=("lead", "purchase")), "ROLES_MIXED", id="two roles"),
    ],
)
def test_values_that_must_not_be_added_are_refused(line: ReportLine, reason: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check_addable([a_line("EUR"), line], VALUE, WORKSPACE)
    assert [violation.reason for violation in refused.value.violations] == [reason]


def test_each_row_may_have_its_own_currency() -> None:
    check_addable([a_line("EUR"), a_line("USD"), a_line()], VALUE, WORKSPACE)


def test_conversions_are_counted_whatever_they_are_worth() -> None:
    check_addable([a_line("EUR", "USD", names=("lead", "purchase"))], COUNT, WORKSPACE)


def test_a_total_of_nothing_is_a_row_of_zeros() -> None:
    (row,) = report_rows([], VALUE, WORKSPACE)
    assert (row.metric_values[0].money.currency_code, row.metric_values[0].money.units) == ("CHF", 0)


def test_a_value_that_no_source_stated_is_left_out() -> None:
    (row,) = report_rows([a_line(value=0)], VALUE, WORKSPACE)
    assert row.metric_values[0].WhichOneof("value") is None
    (row,) = report_rows([a_line("EUR", value=0)], VALUE, WORKSPACE)
    assert row.metric_values[0].money.currency_code == "EUR"


def test_groups_of_nothing_are_no_rows() -> None:
    query = ReportQuery(workspace="shop", metrics=[Metric.VALUE], model="linear", dimensions=[Dimension.CHANNEL])
    assert report_rows([], query, WORKSPACE) == []


@pytest.mark.parametrize(
    ("micros", "units", "rest"),
    [
        (0, 0, 0),
        (1_500_000, 1, 500_000),
        (-1_500_000, -1, -500_000),
        (-1, 0, -1),
        (3 * 2**63, 27_670_116_110_564, 327_424),
    ],
)
def test_a_sum_of_any_size_is_written_exactly(micros: int, units: int, rest: int) -> None:
    total = money_total("EUR", micros)
    assert (total.units, total.micros) == (units, rest)


def test_an_hour_is_told_with_its_offset() -> None:
    query = ReportQuery(
        workspace="shop",
        metrics=[Metric.CONVERSIONS],
        model="linear",
        dimensions=[Dimension.HOUR],
        time_zone="Europe/Berlin",
    )
    lines = [ReportLine((1_792_886_400 + offset,), (1,), (), ()) for offset in (0, 3600)]
    assert [row.dimension_values[0] for row in report_rows(lines, query, WORKSPACE)] == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
    ]


def test_values_of_several_currencies_are_added_in_the_reporting_currency_and_what_has_no_rate_is_told() -> None:
    query = ReportQuery(workspace="shop", metrics=[Metric.REPORTING_VALUE], model="linear")
    line = ReportLine((), (3_000_000,), ("EUR", "USD"), ("purchase",), (("EUR", 1_500_000),))
    check_addable([line], query, WORKSPACE)
    (row,) = report_rows([line], query, WORKSPACE)
    assert (row.metric_values[0].money.currency_code, row.metric_values[0].money.units) == ("CHF", 3)
    [left_out] = row.unconverted
    assert (left_out.currency_code, left_out.units, left_out.micros) == ("EUR", 1, 500_000)
    (row,) = report_rows([a_line(value=0)], query, WORKSPACE)
    assert row.metric_values[0].WhichOneof("value") is None
