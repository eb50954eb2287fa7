"""Reports over conversions and their credit: one statement per report, built here and nowhere else.

The one rule: exact under revisions. By conversion or touchpoint time the newest revision of each conversion counts, as
`conversions FINAL` or, "as of" a moment, from `conversion_revisions`. By posting day every revision adds its state and
takes back the one it replaced. Only names of ours become part of a statement; a caller's values are parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.conversion_rows import MODELS
from tributary_storage.clickhouse.report_query import Basis, Dimension, Filter, Key, Metric, ReportQuery

LATE_TOUCH_SECONDS: Final = 60
"""How long after its conversion a touch may be and still earn credit, at most."""

MAX_NAMES: Final = 1000
"""Conversion names of one row that are looked at."""

_TOUCH_COLUMNS: Final = {
    Dimension.CHANNEL: "touch_channels",
    Dimension.SUB_CHANNEL: "touch_sub_channels",
    Dimension.SOURCE: "touch_sources",
    Dimension.MEDIUM: "touch_mediums",
    Dimension.CAMPAIGN: "touch_campaigns",
    Dimension.AD_DESTINATION: "touch_ad_destinations",
}

_METRICS: Final = {
    Metric.CONVERSIONS: "sum(toInt128(credit_micros) * sign)",
    Metric.VALUE: "sum(toInt128(if(value_pending, 0, touch_value_micros)) * sign)",
    Metric.CONVERSIONS_ASSISTED: "toInt128(uniqExact(conversion_id))",
    Metric.TOUCHPOINTS: "toInt128(uniqExactIf(touch_event_id, touch_event_id != ''))",
}


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
    """Of the values in it, at most two are told; none where no value was stated."""
    names: tuple[str, ...]
    """Of the conversions in it, sorted."""


async def read_report(clickhouse: ClickHouse, query: ReportQuery) -> list[ReportLine]:
    """Returns at most `query.limit` rows, by their keys.

    Raises:
        StorageUnavailableError: ClickHouse did not answer.
    """
    statement = report_statement(query)
    dimensions, metrics = len(query.dimensions), len(query.metrics)
    lines = []
    for row in await clickhouse.execute(statement.text, statement.parameters):
        *values, currencies, names = row[dimensions:]
        key = tuple(row[:dimensions])
        lines.append(ReportLine(key, tuple(values[:metrics]), tuple(sorted(currencies)), tuple(sorted(names))))
    return lines


def report_statement(query: ReportQuery) -> Statement:
    """Builds the statement of a report. The same query always gives the same text."""
    parameters: dict[str, Any] = {"workspace": query.workspace, "limit": query.limit}
    dimensions = [dimension.value for dimension in query.dimensions]
    selected = [
        *dimensions,
        *(f"{_METRICS[metric]} AS {metric.value}_total" for metric in query.metrics),
        "groupUniqArrayIf(2)(currency, currency != '') AS currencies",
        f"groupUniqArray({MAX_NAMES})(conversion_name) AS names",
    ]
    lines = ["SELECT", _list(selected), "FROM", "(", _indent(_credits(query, parameters)), ")"]
    if dimensions:
        lines += ["GROUP BY", _list(dimensions)]
        if query.after is not None:
            lines += ["HAVING", f"    {_after(query, parameters)}"]
        lines += ["ORDER BY", _list(dimensions)]
    else:
        lines += ["HAVING", "    count() > 0"]
    lines += ["LIMIT %(limit)s", "SETTINGS do_not_merge_across_partitions_select_final = 1"]
    return Statement("\n".join(lines) + "\n", parameters)


def _credits(query: ReportQuery, parameters: dict[str, Any]) -> str:
    """One row per conversion, model and touch with credit: its dimensions and what the metrics need."""
    used = {*query.dimensions, *(kept.dimension for kept in query.filters)}
    touch = [(dimension, column) for dimension, column in _TOUCH_COLUMNS.items() if dimension in used]
    arrays = [
        *(f"{column} AS {dimension.value}" for dimension, column in touch),
        "touch_event_ids AS touch_event_id",
        *(["touch_times AS touch_time"] if query.basis is Basis.TOUCHPOINT else []),
        "model_credit_micros AS credit_micros",
        "model_value_micros AS touch_value_micros",
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
        *(dimension.value for dimension, _ in touch),
        *(["model"] if Dimension.MODEL in used else []),
        *(_cut(dimension, query, parameters) for dimension in (Dimension.DAY, Dimension.HOUR) if dimension in used),
        *(
            ["if(touch_event_id = '', model_unattributed_reason, '') AS unattributed_reason"]
            if Dimension.UNATTRIBUTED_REASON in used
            else []
        ),
    ]
    conditions = ["(credit_micros != 0 OR touch_value_micros != 0)"]
    if query.basis is Basis.TOUCHPOINT:
        conditions += [f"touch_time >= {_TIME % 'start'}", f"touch_time < {_TIME % 'end'}"]
    conditions += [_kept(kept, number, parameters) for number, kept in enumerate(query.filters)]
    inner = _models(query, touch, parameters)
    return "\n".join(
        ["SELECT", _list(selected), "FROM", "(", _indent(inner), ")", "ARRAY JOIN", _list(arrays), _where(conditions)]
    )


def _models(query: ReportQuery, touch: list[tuple[Dimension, str]], parameters: dict[str, Any]) -> str:
    """One row per conversion and model. Several models are read one after the other: a model's columns are its own."""
    models: Sequence[str] = MODELS if Dimension.MODEL in query.dimensions else (query.model,)
    for kept in query.filters:
        if kept.dimension is Dimension.MODEL:
            models = [model for model in models if (model in kept.values) is not kept.is_excluding] or models[:1]
    return "\nUNION ALL\n".join(_model(query, model, touch, parameters) for model in models)


def _model(query: ReportQuery, model: str, touch: list[tuple[Dimension, str]], parameters: dict[str, Any]) -> str:
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
    ]
    conditions = ["counted", "notEmpty(model_credit_micros)"]
    if query.not_primary_names:
        parameters["not_primary_names"] = tuple(query.not_primary_names)
        conditions.append("name NOT IN %(not_primary_names)s")
    return "\n".join(["SELECT", _list(columns), _source(query, model, parameters), _where(conditions)])


_TIME: Final = "fromUnixTimestamp64Micro(%%(%s)s, 'UTC')"


def _source(query: ReportQuery, model: str, parameters: dict[str, Any]) -> str:
    """The revisions that count."""
    if query.basis is Basis.POSTING:
        return _postings(query, model, parameters)
    parameters["start"], parameters["end"] = query.start_micros, query.end_micros
    conditions = ["workspace = %(workspace)s"]
    if query.basis is Basis.CONVERSION:
        conditions += [f"conversion_time >= {_TIME % 'start'}", f"conversion_time < {_TIME % 'end'}"]
    else:  # a touch earns nothing for a conversion before it; how long after it depends on settings that may change
        conditions.append(f"conversion_time >= {_TIME % 'start'} - INTERVAL {LATE_TOUCH_SECONDS} SECOND")
    if query.as_of_micros is None:
        table = "conversions"
    else:
        table = "conversion_revisions"
        parameters["as_of"] = query.as_of_micros
        newest = [
            "(conversion_id, revision) IN",
            "(",
            "    SELECT",
            "        conversion_id,",
            "        max(revision)",
            "    FROM conversion_revisions",
            f"    WHERE workspace = %(workspace)s AND publish_time <= {_TIME % 'as_of'}",
            "    GROUP BY conversion_id",
            ")",
        ]
        conditions.append("\n".join(newest))
    body = ["SELECT", "    *,", "    1 AS sign", f"FROM {table} FINAL", _where(conditions)]
    return f"FROM\n(\n{_indent(chr(10).join(body))}\n)"


def _postings(query: ReportQuery, model: str, parameters: dict[str, Any]) -> str:
    """Each revision once added on its own posting day, and once taken back on that of its successor."""
    parameters["start_date"], parameters["end_date"] = query.start_date, query.end_date
    posted = ["workspace = %(workspace)s", "posting_date >= %(start_date)s", "posting_date < %(end_date)s"]
    if query.as_of_micros is not None:
        parameters["as_of"] = query.as_of_micros
        posted.append(f"publish_time <= {_TIME % 'as_of'}")
    added = ["SELECT", "    *,", "    1 AS sign", "FROM conversion_revisions FINAL", _where(posted)]
    successors = [
        "SELECT",
        "    conversion_id,",
        "    previous_revision AS revision,",
        "    posting_date",
        "FROM conversion_revisions FINAL",
        _where([*posted, "conversion_revisions.previous_revision > 0"]),
    ]
    revised = [  # by the primary key: the join alone would read every revision of the workspace
        "replaced.conversion_id IN",
        "(",
        "    SELECT conversion_id",
        "    FROM conversion_revisions",
        _indent(_where(posted)),
        ")",
    ]
    taken_back = [
        "SELECT",
        "    replaced.* EXCEPT (posting_date),",
        "    successor.posting_date AS posting_date,",
        "    -1 AS sign",
        "FROM conversion_revisions AS replaced FINAL",
        "INNER JOIN",
        "(",
        _indent("\n".join(successors)),
        ") AS successor ON replaced.conversion_id = successor.conversion_id AND replaced.revision = successor.revision",
        _where(["replaced.workspace = %(workspace)s", "\n".join(revised)]),
    ]
    columns = _list(_posted_columns(query, model))
    both = [
        *("SELECT", columns, "FROM", "(", _indent("\n".join(added)), ")"),
        "UNION ALL",
        *("SELECT", columns, "FROM", "(", _indent("\n".join(taken_back)), ")"),
    ]
    return f"FROM\n(\n{_indent(chr(10).join(both))}\n)"


def _posted_columns(query: ReportQuery, model: str) -> list[str]:
    used = {*query.dimensions, *(kept.dimension for kept in query.filters)}
    return [
        *("conversion_id", "conversion_time", "posting_date", "sign", "counted", "value_pending", "name", "currency"),
        "touch_event_ids",
        *(column for dimension, column in _TOUCH_COLUMNS.items() if dimension in used),
        *(f"{model}_{part}" for part in ("credit_micros", "value_micros", "unattributed_reason")),
    ]


def _cut(dimension: Dimension, query: ReportQuery, parameters: dict[str, Any]) -> str:
    if query.basis is Basis.POSTING:
        return "toString(posting_date) AS day"
    parameters["time_zone"] = query.time_zone
    time = "touch_time" if query.basis is Basis.TOUCHPOINT else "conversion_time"
    if dimension is Dimension.DAY:
        return f"toString(toDate({time}, %(time_zone)s)) AS day"
    return f"toUnixTimestamp(toStartOfHour(toTimeZone({time}, %(time_zone)s))) AS hour"


def _kept(kept: Filter, number: int, parameters: dict[str, Any]) -> str:
    parameters[f"filter_{number}"] = kept.values
    return f"{kept.dimension.value} {'NOT IN' if kept.is_excluding else 'IN'} %(filter_{number})s"


def _after(query: ReportQuery, parameters: dict[str, Any]) -> str:
    for number, value in enumerate(query.after or ()):
        parameters[f"after_{number}"] = value
    names = ", ".join(dimension.value for dimension in query.dimensions)
    values = ", ".join(f"%(after_{number})s" for number in range(len(query.dimensions)))
    return f"tuple({names}) > tuple({values})"


def _list(lines: list[str]) -> str:
    return ",\n".join(_indent(line) for line in lines)


def _where(conditions: list[str]) -> str:
    return "WHERE\n" + "\n    AND ".join(["    " + _continued(conditions[0]), *map(_continued, conditions[1:])])


def _continued(condition: str) -> str:
    first, *rest = condition.split("\n")
    return "\n".join([first, *(f"        {line}" for line in rest)])


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" if line else line for line in text.split("\n"))
