"""Writes the answer to a report.

The one rule: amounts of different currencies, and values of conversions of different roles, are never added: a row that
would have to is refused with what to ask instead (SEMANTICS section 12). A value that nobody knows is not 0: it is left
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tributary.common.v1.money_pb2 import MoneyTotal
from tributary.query.v1.report_pb2 import MetricValue, ReportRow
from tributary_query.violations import Violations
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.report_query import Dimension, Metric, ReportQuery
from tributary_storage.clickhouse.reports import ReportLine

MICROS = 1_000_000


def check_addable(lines: Sequence[ReportLine], query: ReportQuery, workspace: Workspace) -> None:
    """Refuses rows that add what must not be added.

    Raises:
        InvalidRequestError: A value has several currencies, or several roles.
    """
    if not {Metric.VALUE, Metric.REPORTING_VALUE} & set(query.metrics):
        return
    wrong = Violations()
    if Metric.VALUE in query.metrics and any(len(line.currencies) > 1 for line in lines):
        currencies = sorted({currency for line in lines for currency in line.currencies})
        instead = "add CURRENCY, filter by one, or ask for REPORTING_VALUE"
        description = f"Values in {', '.join(currencies)} cannot be added: {instead}."
        wrong.add("dimensions", description, "CURRENCIES_MIXED")
    mixed = next((line.names for line in lines if len(_roles(line.names, workspace)) > 1), None)
    if mixed is not None:
        description = f"Values of {', '.join(mixed[:10])} have different roles: add CONVERSION_NAME, or filter by it."
        wrong.add("dimensions", description, "ROLES_MIXED")
    wrong.raise_if_any()


def report_rows(lines: Sequence[ReportLine], query: ReportQuery, workspace: Workspace) -> list[ReportRow]:
    """Returns the rows of an answer. A total of nothing is one row of zeros, in the workspace's currency."""
    if not lines and not query.dimensions and query.after is None:
        lines = [ReportLine((), (0,) * len(query.metrics), (), ())]
    zone = ZoneInfo(query.time_zone)
    return [
        ReportRow(
            dimension_values=[
                _dimension(dimension, value, zone) for dimension, value in zip(query.dimensions, line.key, strict=True)
            ],
            metric_values=[
                _metric(metric, value, line, workspace)
                for metric, value in zip(query.metrics, line.values, strict=True)
            ],
            unconverted=[money_total(currency, micros) for currency, micros in line.unconverted],
        )
        for line in lines
    ]


def money_total(currency_code: str, amount_micros: int) -> MoneyTotal:
    """Returns a sum of any size; both parts have its sign.

    >>> total = money_total("EUR", -1_500_000)
    >>> total.units, total.micros
    (-1, -500000)
    """
    units, micros = divmod(abs(amount_micros), MICROS)
    sign = -1 if amount_micros < 0 else 1
    return MoneyTotal(currency_code=currency_code, units=sign * units, micros=sign * micros)


def _roles(names: Sequence[str], workspace: Workspace) -> set[str]:
    return {workspace.conversion(name).role.value for name in names}


def _dimension(dimension: Dimension, value: str | int, zone: ZoneInfo) -> str:
    if dimension is Dimension.HOUR:
        return datetime.fromtimestamp(int(value), UTC).astimezone(zone).isoformat()
    return str(value)


def _metric(metric: Metric, value: int, line: ReportLine, workspace: Workspace) -> MetricValue:
    if metric is Metric.CONVERSIONS:
        return MetricValue(count_micros=value)
    if metric is Metric.REPORTING_VALUE and (line.currencies or not line.names):
        return MetricValue(money=money_total(workspace.reporting.currency, value))
    if metric in (Metric.VALUE, Metric.REPORTING_VALUE):
        if not line.currencies and line.names:
            return MetricValue()  # there are conversions, and no source stated what any of them is worth
        currency = line.currencies[0] if line.currencies else workspace.reporting.currency
        return MetricValue(money=money_total(currency, value))
    return MetricValue(count=value)
