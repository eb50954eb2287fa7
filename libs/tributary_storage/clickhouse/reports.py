"""Reports over conversions and their credit: one statement per report, built here and nowhere else.

The one rule: exact under revisions. By conversion or touchpoint time the newest revision of each conversion counts, as
`conversions FINAL` or, "as of" a moment, from `conversion_revisions`. By posting day every revision adds its state and
takes back the newest before it. Only names of ours become part of a statement; a caller's values are parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.model_comparison import compared_models, comparison, is_comparison
from tributary_storage.clickhouse.report_query import Basis, Dimension, Key, Metric, ReportQuery
from tributary_storage.clickhouse.report_sources import (
    SETTINGS,
    TIME,
    TOUCH_COLUMNS,
    after_key,
    cut_time,
    indented,
    keep,
    listed,
    primary,
    reporting_columns,
    source,
    used_dimensions,
    where,
)

MAX_NAMES: Final = 1000
"""Conversion names of one row that are looked at."""

MAX_CURRENCIES: Final = 256
"""Currencies of one row that are told: more than ISO 4217 has."""

_METRICS: Final = {
    Metric.CONVERSIONS: "sum(toInt128(credit_micros) * sign)",
    Metric.VALUE: "sum(toInt128(if(value_pending, 0, touch_value_micros)) * sign)",
    Metric.CONVERSIONS_ASSISTED: "toInt128(uniqExact(conversion_id))",
    Metric.TOUCHPOINTS: "toInt128(uniqExactIf(touch_event_id, touch_event_id != ''))",
    Metric.REPORTING_VALUE: "sum(toInt128(if(value_pending, 0, touch_reporting_micros)) * sign)",
}

_TOLD: Final = (
    f"groupUniqArrayIf({MAX_CURRENCIES})(currency, currency != '') AS currencies",
    f"groupUniqArray({MAX_NAMES})(conversion_name) AS names",
)


_UNCONVERTED: Final = (
    "sumMapIf(map(currency, toInt128(if(value_pending, 0, touch_value_micros)) * sign), is_unconverted) AS unconverted"
)
"""Of what REPORTING_VALUE leaves out, per currency."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with its parameters."""

    text: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportLine:
    """A row of a report."""

    key: Key
    """One per dimension."""
    values: tuple[int, ...]
    """One per metric."""
    currencies: tuple[str, ...]
    """Of the values in it, sorted; none where no value was stated."""
    names: tuple[str, ...]
    """Of the conversions in it, sorted."""
    unconverted: tuple[tuple[str, int], ...] = ()
    """Currency and sum of what REPORTING_VALUE leaves out, sorted."""


async def read_report(clickhouse: ClickHouse, query: ReportQuery) -> list[ReportLine]:
    """Returns at most `query.limit` rows, by their keys.

    Raises:
        StorageUnavailableError: ClickHouse did not answer.
    """
    statement = report_statement(query)
    dimensions, metrics = len(query.dimensions), len(query.metrics)
    lines = []
    for row in await clickhouse.execute(statement.text, statement.parameters):
        values, (currencies, names, *others) = row[dimensions : dimensions + metrics], row[dimensions + metrics :]
        left_out = tuple(sorted(others[0].items())) if others else ()
        told = tuple(sorted(currencies)), tuple(sorted(names)), left_out
        lines.append(ReportLine(tuple(row[:dimensions]), tuple(values), *told))
    return lines


def report_statement(query: ReportQuery) -> Statement:
    """Builds the statement of a report. The same query always gives the same text."""
    parameters: dict[str, Any] = {"workspace": query.workspace, "limit": query.limit}
    dimensions = [dimension.value for dimension in query.dimensions]
    if is_comparison(query):
        return Statement(comparison(query, parameters, _TOLD), parameters)
    totals = [f"{_METRICS[metric]} AS {metric.value}_total" for metric in query.metrics]
    selected = [*dimensions, *totals, *_TOLD, *([_UNCONVERTED] if Metric.REPORTING_VALUE in query.metrics else [])]
    if Metric.REPORTING_VALUE in query.metrics:
        parameters["reporting_currency"] = query.reporting_currency
    lines = ["SELECT", listed(selected), "FROM", "(", indented(_credits(query, parameters)), ")"]
    if dimensions:
        lines += ["GROUP BY", listed(dimensions)]
        if query.after is not None:
            lines += ["HAVING", f"    {after_key(query, parameters)}"]
        lines += ["ORDER BY", listed(dimensions)]
    else:
        lines += ["HAVING", "    count() > 0"]
    lines += ["LIMIT %(limit)s", SETTINGS]
    return Statement("\n".join(lines) + "\n", parameters)


def _credits(query: ReportQuery, parameters: dict[str, Any]) -> str:
    """One row per conversion, model and touch with credit: its dimensions and what the metrics need."""
    used, converts = used_dimensions(query), Metric.REPORTING_VALUE in query.metrics
    touch = [(dimension, column) for dimension, column in TOUCH_COLUMNS.items() if dimension in used]
    arrays = [
        *(f"{column} AS {dimension.value}" for dimension, column in touch),
        "touch_event_ids AS touch_event_id",
        *(["touch_times AS touch_time"] if query.basis is Basis.TOUCHPOINT else []),
        "model_credit_micros AS credit_micros",
        "model_value_micros AS touch_value_micros",
        *(["model_reporting_micros AS touch_reporting_micros"] if converts else []),
    ]
    selected = [
        "conversion_id",
        "sign",
        "value_pending",
        "conversion_name",
        "currency",
        "touch_event_id",
        "credit_micros",
        "touch_value_micros",
        *(["touch_reporting_micros", "is_unconverted"] if converts else []),
        *(dimension.value for dimension, _ in touch),
        *(["model"] if Dimension.MODEL in used else []),
        *(cut_time(dimension, query, parameters) for dimension in (Dimension.DAY, Dimension.HOUR) if dimension in used),
        *(
            ["if(touch_event_id = '', model_unattributed_reason, '') AS unattributed_reason"]
            if Dimension.UNATTRIBUTED_REASON in used
            else []
        ),
    ]
    conditions = ["(credit_micros != 0 OR touch_value_micros != 0)"]
    if query.basis is Basis.TOUCHPOINT:
        conditions += [f"touch_time >= {TIME % 'start'}", f"touch_time < {TIME % 'end'}"]
    conditions += [keep(kept, number, parameters) for number, kept in enumerate(query.filters)]
    inner = _models(query, touch, parameters)
    return "\n".join(
        ["SELECT", listed(selected), "FROM", "(", indented(inner), ")", "ARRAY JOIN", listed(arrays), where(conditions)]
    )


def _models(query: ReportQuery, touch: list[tuple[Dimension, str]], parameters: dict[str, Any]) -> str:
    """One row per conversion and model. Several models are read one after the other: a model's columns are its own."""
    if query.own_models and Dimension.MODEL not in query.dimensions:
        selects = [
            _model(query, model, touch, parameters, condition) for model, condition in _own_models(query, parameters)
        ]
    else:
        selects = [_model(query, model, touch, parameters) for model in compared_models(query)]
    return "\nUNION ALL\n".join(selects)


def _own_models(query: ReportQuery, parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields each model with the condition of the names that are credited under it: every name under exactly one."""
    names: dict[str, list[str]] = {}
    for name, model in query.own_models:
        names.setdefault(model, []).append(name)
    parameters["own_names"] = tuple(sorted(name for name, _ in query.own_models))
    yield query.model, "name NOT IN %(own_names)s"
    for number, model in enumerate(sorted(names)):
        parameters[f"own_names_{number}"] = tuple(sorted(names[model]))
        yield model, f"name IN %(own_names_{number})s"


def _model(
    query: ReportQuery,
    model: str,
    touch: list[tuple[Dimension, str]],
    parameters: dict[str, Any],
    condition: str = "",
) -> str:
    columns = [
        "conversion_id",
        "conversion_time",
        "sign",
        *(["posting_date"] if query.basis is Basis.POSTING else []),
        "value_pending",
        "name AS conversion_name",
        "currency",
        "touch_event_ids",
        *(["touch_times"] if query.basis is Basis.TOUCHPOINT else []),
        *(column for _, column in touch),
        f"'{model}' AS model",
        f"{model}_credit_micros AS model_credit_micros",
        f"{model}_value_micros AS model_value_micros",
        f"{model}_unattributed_reason AS model_unattributed_reason",
        *(reporting_columns(model) if Metric.REPORTING_VALUE in query.metrics else []),
    ]
    conditions = ["counted", "notEmpty(model_credit_micros)", *primary(query, parameters)]
    conditions += [condition] if condition else []
    return "\n".join(["SELECT", listed(columns), source(query, [model], parameters), where(conditions)])
