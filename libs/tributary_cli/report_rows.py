"""Rows of a report as people and as programs read them. Numbers stay exact: no float on the way."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tributary.common.v1.money_pb2 import MoneyTotal
from tributary.query.v1.report_pb2 import MetricValue, ReportRow

MICROS = 1_000_000
_ADDITIVE = ("conversions", "value", "touchpoints", "cost", "reporting_value")


def read_value(value: MetricValue) -> Any:
    """Returns a metric's value for JSON: a count as a number, anything with decimals as exact text.

    >>> read_value(MetricValue(count_micros=1_500_000))
    '1.500000'
    >>> read_value(MetricValue(money=MoneyTotal(currency_code="EUR", units=12, micros=500_000)))
    {'currency_code': 'EUR', 'amount': '12.500000'}
    """
    match value.WhichOneof("value"):
        case "count":
            return value.count
        case "count_micros":
            return str(_decimal(value.count_micros))
        case "ratio_micros":
            return str(_decimal(value.ratio_micros))
        case "money":
            return {"currency_code": value.money.currency_code, "amount": str(_decimal(_micros_of(value.money)))}
    return None


def show_value(value: MetricValue) -> str:
    """Returns a metric's value for the terminal, rounded to two decimals; a dash where there is none.

    >>> show_value(MetricValue(count_micros=1_234_566_667))
    '1,234.57'
    >>> show_value(MetricValue(money=MoneyTotal(currency_code="EUR", units=-12, micros=-500_000)))
    '-12.50 EUR'
    """
    match value.WhichOneof("value"):
        case "count":
            return f"{value.count:,}"
        case "count_micros":
            return f"{_decimal(value.count_micros):,.2f}"
        case "ratio_micros":
            return f"{_decimal(value.ratio_micros):,.2f}"
        case "money":
            return f"{_decimal(_micros_of(value.money)):,.2f} {value.money.currency_code}".rstrip()
    return "-"


def sum_rows(rows: Sequence[ReportRow], metrics: Sequence[str]) -> list[MetricValue]:
    """Adds up the columns that may be added; the others, and money of several currencies, have no value.

    Args:
        rows: Of one model.
        metrics: Names of the columns.
    """
    return [
        _sum([row.metric_values[column] for row in rows]) if name in _ADDITIVE else MetricValue()
        for column, name in enumerate(metrics)
    ]


def unconverted(rows: Sequence[ReportRow]) -> dict[str, str]:
    """Returns what has no rate to the reporting currency: per currency the amount, as exact text."""
    sums: dict[str, int] = {}
    for row in rows:
        for money in row.unconverted:
            sums[money.currency_code] = sums.get(money.currency_code, 0) + _micros_of(money)
    return {currency: str(_decimal(micros)) for currency, micros in sorted(sums.items())}


def _sum(values: Sequence[MetricValue]) -> MetricValue:
    kinds = {kind for value in values if (kind := value.WhichOneof("value"))}
    if kinds == {"count"}:
        return MetricValue(count=sum(value.count for value in values))
    if kinds == {"count_micros"}:
        return MetricValue(count_micros=sum(value.count_micros for value in values))
    currencies = {value.money.currency_code for value in values if value.WhichOneof("value")}
    if kinds == {"money"} and len(currencies) == 1:
        micros = sum(_micros_of(value.money) for value in values)
        units = abs(micros) // MICROS * (1 if micros >= 0 else -1)  # both parts have the same sign
        return MetricValue(
            money=MoneyTotal(currency_code=currencies.pop(), units=units, micros=micros - units * MICROS)
        )
    return MetricValue()


def _micros_of(money: MoneyTotal) -> int:
    return money.units * MICROS + money.micros


def _decimal(micros: int) -> Decimal:
    return Decimal(micros).scaleb(-6)
