"""Reports that set models side by side, read in one pass.

Conversions and value of every model are summed together and taken apart at the end, so that seven models cost little
more than one. What is counted distinct, and why nobody earned it, differs per model and is not compared here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tributary_storage.clickhouse.credit_columns import MODELS
from tributary_storage.clickhouse.report_query import Basis, Dimension, Metric, ReportQuery
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
    source,
    used_dimensions,
    where,
)

_SUMS: Final = {
    Metric.CONVERSIONS: "sum(toInt128({model}_credit) * sign)",
    Metric.VALUE: "sum(toInt128(if(value_pending, 0, {model}_value)) * sign)",
}
_TIMES: Final = (Dimension.DAY, Dimension.HOUR)


def is_comparison(query: ReportQuery) -> bool:
    """Says whether a report can be read in one pass for all models."""
    is_summed = all(metric in _SUMS for metric in query.metrics)
    used = used_dimensions(query)
    return is_summed and Dimension.MODEL in query.dimensions and Dimension.UNATTRIBUTED_REASON not in used


def compared_models(query: ReportQuery) -> Sequence[str]:
    """Returns the models that a report is about, at least one."""
    models: Sequence[str] = MODELS if Dimension.MODEL in query.dimensions else (query.model,)
    for kept in query.filters:
        if kept.dimension is Dimension.MODEL:
            models = [model for model in models if (model in kept.values) is not kept.is_excluding] or models[:1]
    return models


def comparison(query: ReportQuery, parameters: dict[str, Any], selected: Sequence[str]) -> str:
    """Builds the statement.

    Args:
        query: One that `is_comparison`.
        parameters: Of the statement; gets what the query says.
        selected: What is told of each group beside the sums.
    """
    models = compared_models(query)
    dimensions = [dimension.value for dimension in query.dimensions]
    totals = [f"{metric.value}_total" for metric in query.metrics]
    taken_apart = [
        f"[{', '.join(repr(model) for model in models)}] AS model",
        *(f"{total}s AS {total}" for total in totals),
        "touches AS credited_touches",
    ]
    conditions = ["credited_touches > 0"]
    conditions += [
        keep(kept, number, parameters) for number, kept in enumerate(query.filters) if kept.dimension is Dimension.MODEL
    ]
    if query.after is not None:
        conditions.append(after_key(query, parameters))
    lines = [
        *("SELECT", listed([*dimensions, *totals, "currencies", "names"])),
        *("FROM", "(", indented(_sums(query, models, parameters, selected)), ")"),
        *("ARRAY JOIN", listed(taken_apart), where(conditions)),
        *("ORDER BY", listed(dimensions), "LIMIT %(limit)s", SETTINGS),
    ]
    return "\n".join(lines) + "\n"


def _sums(query: ReportQuery, models: Sequence[str], parameters: dict[str, Any], selected: Sequence[str]) -> str:
    """One row per group, with one sum per model in each array."""
    others = [dimension.value for dimension in query.dimensions if dimension is not Dimension.MODEL]
    columns = [
        *others,
        *(_array(_SUMS[metric], models, f"{metric.value}_totals") for metric in query.metrics),
        _array("countIf({model}_credit != 0 OR {model}_value != 0)", models, "touches"),
        *selected,
    ]
    lines = ["SELECT", listed(columns), "FROM", "(", indented(_touches(query, models, parameters)), ")"]
    return "\n".join([*lines, *(["GROUP BY", listed(others)] if others else [])])


def _touches(query: ReportQuery, models: Sequence[str], parameters: dict[str, Any]) -> str:
    """One row per conversion and touch, with every model's credit."""
    used = used_dimensions(query)
    touch = [(dimension.value, column) for dimension, column in TOUCH_COLUMNS.items() if dimension in used]
    columns = [
        *("sign", "value_pending", "conversion_name", "currency"),
        *(name for name, _ in touch),
        *(cut_time(dimension, query, parameters) for dimension in _TIMES if dimension in used),
        *(f"{model}_{part}" for model in models for part in ("credit", "value")),
    ]
    arrays = [
        *(f"{column} AS {name}" for name, column in touch),
        *(["touch_times AS touch_time"] if query.basis is Basis.TOUCHPOINT else []),
        *(f"{model}_{part}s AS {model}_{part}" for model in models for part in ("credit", "value")),
    ]
    conditions = []
    if query.basis is Basis.TOUCHPOINT:
        conditions += [f"touch_time >= {TIME % 'start'}", f"touch_time < {TIME % 'end'}"]
    conditions += [
        keep(kept, number, parameters)
        for number, kept in enumerate(query.filters)
        if kept.dimension is not Dimension.MODEL
    ]
    inner = _conversions(query, models, [column for _, column in touch], parameters)
    lines = ["SELECT", listed(columns), "FROM", "(", indented(inner), ")", "ARRAY JOIN", listed(arrays)]
    return "\n".join([*lines, *([where(conditions)] if conditions else [])])


def _conversions(
    query: ReportQuery, models: Sequence[str], touch_columns: Sequence[str], parameters: dict[str, Any]
) -> str:
    """One row per conversion; a model that was not computed gives nobody anything."""
    columns = [
        *("conversion_time", "sign", "value_pending", "name AS conversion_name", "currency"),
        *(["posting_date"] if query.basis is Basis.POSTING else []),
        *(["touch_times"] if query.basis is Basis.TOUCHPOINT else []),
        *touch_columns,
        *(
            f"arrayResize({model}_{part}_micros, length(touch_event_ids)) AS {model}_{part}s"
            for model in models
            for part in ("credit", "value")
        ),
    ]
    conditions = ["counted", *primary(query, parameters)]
    return "\n".join(["SELECT", listed(columns), source(query, models, parameters), where(conditions)])


def _array(expression: str, models: Sequence[str], name: str) -> str:
    inside = ",\n".join(f"    {expression.format(model=model)}" for model in models)
    return f"[\n{inside}\n] AS {name}"
