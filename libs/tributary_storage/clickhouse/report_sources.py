"""The parts that statements of reports are made of: which revisions count, how time is cut, how text is laid out.

The one rule: only names of ours become text, a caller's values become parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tributary_domain.erasures import SEVERED_PREFIX
from tributary_domain.settings import AttributionModel
from tributary_storage.clickhouse.report_query import Basis, Dimension, Filter, Metric, ReportQuery

LATE_TOUCH_SECONDS: Final = 60
"""How long after its conversion a touch may be and still earn credit, at most."""

DATA_DRIVEN: Final = AttributionModel.DATA_DRIVEN.value
"""The model that not every conversion has: where there was too little evidence, its columns are empty."""

MODEL_PARTS: Final = ("credit_micros", "value_micros", "unattributed_reason")
"""The columns of a model, behind its name."""

TOUCH_COLUMNS: Final = {
    Dimension.CHANNEL: "touch_channels",
    Dimension.SUB_CHANNEL: "touch_sub_channels",
    Dimension.SOURCE: "touch_sources",
    Dimension.MEDIUM: "touch_mediums",
    Dimension.CAMPAIGN: "touch_campaigns",
    Dimension.AD_DESTINATION: "touch_ad_destinations",
}
"""The dimensions that touches have."""

REPORTING_COLUMNS: Final = ("reporting_currency", "reporting_value_micros", "reporting_credit_micros")
"""What a conversion is in the reporting currency."""

SETTINGS: Final = "SETTINGS do_not_merge_across_partitions_select_final = 1"
"""A key never leaves its partition, so FINAL need not look across."""

TIME: Final = "fromUnixTimestamp64Micro(%%(%s)s, 'UTC')"


def source(query: ReportQuery, models: Sequence[str], parameters: dict[str, Any]) -> str:
    """Returns the FROM of the revisions that count, with `sign`: -1 where one is taken back."""
    found = _source(query, models, parameters)
    return _with_missing_model(query, found) if DATA_DRIVEN in models else found


def _with_missing_model(query: ReportQuery, found: str) -> str:
    """Returns the same, where nobody earned what data_driven had no model for: one more element, `unattributed`."""
    used = used_dimensions(query)
    none = {column: "unattributed" if column == "touch_channels" else "" for column in TOUCH_COLUMNS.values()}
    replaced = [
        ("touch_event_ids", "arrayPushBack(touch_event_ids, '')"),
        *([("touch_times", "arrayPushBack(touch_times, conversion_time)")] if query.basis is Basis.TOUCHPOINT else []),
        *(
            (column, f"arrayPushBack({column}, '{none[column]}')")
            for dimension, column in TOUCH_COLUMNS.items()
            if dimension in used
        ),
        *(
            (
                f"{DATA_DRIVEN}_{part}",
                f"arrayPushBack(arrayResize({DATA_DRIVEN}_{part}, touches), {whole})",
            )
            for part, whole in (("credit_micros", "1000000"), ("value_micros", "value_micros"))
        ),
        (f"{DATA_DRIVEN}_unattributed_reason", "'NO_MODEL'"),
    ]
    told = [f"if(lacks_model, {instead}, {column}) AS {column}" for column, instead in replaced]
    inner = [
        *("SELECT", "    *,"),
        f"    empty({DATA_DRIVEN}_credit_micros) AS lacks_model,",
        "    length(touch_event_ids) AS touches",
        found,
    ]
    lines = [
        "SELECT",
        "    * REPLACE",
        "    (",
        indented(listed(told)),
        "    )",
        "FROM",
        "(",
        *map(indented, inner),
        ")",
    ]
    return f"FROM\n(\n{indented(chr(10).join(lines))}\n)"


def _source(query: ReportQuery, models: Sequence[str], parameters: dict[str, Any]) -> str:
    if query.basis is Basis.POSTING:
        return _postings(query, models, parameters)
    parameters["start"], parameters["end"] = query.start_micros, query.end_micros
    conditions = ["workspace = %(workspace)s"]
    if query.basis is Basis.CONVERSION:
        conditions += [f"conversion_time >= {TIME % 'start'}", f"conversion_time < {TIME % 'end'}"]
    else:  # a touch earns nothing for a conversion before it; how long after it depends on settings that may change
        conditions.append(f"conversion_time >= {TIME % 'start'} - INTERVAL {LATE_TOUCH_SECONDS} SECOND")
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
            f"    WHERE workspace = %(workspace)s AND publish_time <= {TIME % 'as_of'}",
            "    GROUP BY conversion_id",
            ")",
        ]
        parameters["severed"] = SEVERED_PREFIX
        removed = [  # of these closed books alone keep anything; by the primary key: only what was severed is read
            "conversion_id NOT IN",
            "(",
            "    SELECT conversion_id",
            "    FROM conversion_revisions",
            "    WHERE workspace = %(workspace)s AND startsWith(conversion_id, %(severed)s)",
            "        AND not_counted_reason = 'ERASED'",
            ")",
        ]
        conditions += ["\n".join(newest), "\n".join(removed)]
    body = ["SELECT", "    *,", "    1 AS sign", f"FROM {table} FINAL", where(conditions)]
    return f"FROM\n(\n{indented(chr(10).join(body))}\n)"


def _postings(query: ReportQuery, models: Sequence[str], parameters: dict[str, Any]) -> str:
    """Each revision once added on its own posting day, and once taken back on that of the next one that is there.

    By their order, whichever each names as the one before it: should a row be lost, what is posted still adds up.
    """
    parameters["start_date"], parameters["end_date"] = query.start_date, query.end_date
    own, days = "workspace = %(workspace)s", ["posting_date >= %(start_date)s", "posting_date < %(end_date)s"]
    published = []
    if query.as_of_micros is not None:
        parameters["as_of"] = query.as_of_micros
        # what took a removed conversion back holds for every moment: its copies alone would count it again
        published.append(f"(publish_time <= {TIME % 'as_of'} OR not_counted_reason = 'ERASED')")
    posted = where([own, *days, *published])
    # by the primary key: else every revision of the workspace would be read; and only of what replaced something
    replacing = indented(where([own, *days, *published, "previous_revision > 0"]))
    of_replacing = "\n".join(
        ["conversion_id IN", "(", *("    SELECT conversion_id", "    FROM conversion_revisions"), replacing, ")"]
    )
    added = ["SELECT", "    *,", "    1 AS sign", "FROM conversion_revisions FINAL", posted]
    chained = [
        *("SELECT", "    conversion_id,", "    posting_date,", "    lagInFrame(revision) OVER", "    ("),
        *("        PARTITION BY conversion_id", "        ORDER BY revision"),
        *("        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "    ) AS replaced_revision"),
        "FROM conversion_revisions FINAL",
        where([own, of_replacing, *published]),
    ]
    successors = [
        *("SELECT", "    conversion_id,", "    replaced_revision AS revision,", "    posting_date"),
        *("FROM", "(", indented("\n".join(chained)), ")"),
        where([*days, "replaced_revision > 0"]),
    ]
    taken_back = [
        "SELECT",
        "    replaced.* EXCEPT (posting_date),",
        "    successor.posting_date AS posting_date,",
        "    -1 AS sign",
        "FROM conversion_revisions AS replaced FINAL",
        "INNER JOIN",
        "(",
        indented("\n".join(successors)),
        ") AS successor ON replaced.conversion_id = successor.conversion_id AND replaced.revision = successor.revision",
        where([f"replaced.{own}", f"replaced.{of_replacing}"]),
    ]
    columns = listed(_posted_columns(query, models))
    both = [
        *("SELECT", columns, "FROM", "(", indented("\n".join(added)), ")"),
        "UNION ALL",
        *("SELECT", columns, "FROM", "(", indented("\n".join(taken_back)), ")"),
    ]
    return f"FROM\n(\n{indented(chr(10).join(both))}\n)"


def _posted_columns(query: ReportQuery, models: Sequence[str]) -> list[str]:
    used = used_dimensions(query)
    return [
        *("conversion_id", "conversion_time", "posting_date", "sign", "counted", "value_pending", "name", "currency"),
        "touch_event_ids",
        *(["value_micros"] if DATA_DRIVEN in models else []),
        *(REPORTING_COLUMNS if Metric.REPORTING_VALUE in query.metrics else ()),
        *(column for dimension, column in TOUCH_COLUMNS.items() if dimension in used),
        *(f"{model}_{part}" for model in models for part in MODEL_PARTS),
    ]


def reporting_columns(model: str) -> list[str]:
    """Returns the value of each touch in the reporting currency, and whether there is none for want of a rate."""
    converted = f"arrayResize(reporting_credit_micros['{model}'], length({model}_value_micros))"
    if model == DATA_DRIVEN:
        whole = "arrayPushBack(arrayResize([]::Array(Int64), touches), reporting_value_micros)"
        converted = f"if(lacks_model, {whole}, {converted})"
    nothing = f"arrayResize([]::Array(Int64), length({model}_value_micros))"
    return [
        "currency NOT IN ('', %(reporting_currency)s) AND reporting_currency != %(reporting_currency)s"
        " AS is_unconverted",
        f"multiIf(currency = %(reporting_currency)s, {model}_value_micros, is_unconverted, {nothing}, {converted})"
        " AS model_reporting_micros",
    ]


def used_dimensions(query: ReportQuery) -> set[Dimension]:
    """Returns what rows are grouped or kept by."""
    return {*query.dimensions, *(kept.dimension for kept in query.filters)}


def primary(query: ReportQuery, parameters: dict[str, Any]) -> list[str]:
    """Returns the condition that leaves out names that are not primary, if there are any."""
    if not query.not_primary_names:
        return []
    parameters["not_primary_names"] = tuple(query.not_primary_names)
    return ["name NOT IN %(not_primary_names)s"]


def cut_time(dimension: Dimension, query: ReportQuery, parameters: dict[str, Any]) -> str:
    """Returns DAY or HOUR of a row, on the basis and in the zone asked for."""
    if query.basis is Basis.POSTING:
        return "toString(posting_date) AS day"
    parameters["time_zone"] = query.time_zone
    time = "touch_time" if query.basis is Basis.TOUCHPOINT else "conversion_time"
    if dimension is Dimension.DAY:
        return f"toString(toDate({time}, %(time_zone)s)) AS day"
    return f"toUnixTimestamp(toStartOfHour(toTimeZone({time}, %(time_zone)s))) AS hour"


def keep(kept: Filter, number: int, parameters: dict[str, Any]) -> str:
    """Returns the condition of a filter."""
    parameters[f"filter_{number}"] = kept.values
    return f"{kept.dimension.value} {'NOT IN' if kept.is_excluding else 'IN'} %(filter_{number})s"


def after_key(query: ReportQuery, parameters: dict[str, Any]) -> str:
    """Returns the condition that a later page begins with."""
    for number, value in enumerate(query.after or ()):
        parameters[f"after_{number}"] = value
    names = ", ".join(dimension.value for dimension in query.dimensions)
    values = ", ".join(f"%(after_{number})s" for number in range(len(query.dimensions)))
    return f"tuple({names}) > tuple({values})"


def listed(lines: Sequence[str]) -> str:
    """Returns columns, one per line."""
    return ",\n".join(indented(line) for line in lines)


def where(conditions: Sequence[str]) -> str:
    """Returns a WHERE in which all conditions hold."""
    return "WHERE\n" + "\n    AND ".join(["    " + _continued(conditions[0]), *map(_continued, conditions[1:])])


def _continued(condition: str) -> str:
    first, *rest = condition.split("\n")
    return "\n".join([first, *(f"        {line}" for line in rest)])


def indented(text: str) -> str:
    """Returns a text one level deeper."""
    return "\n".join(f"    {line}" if line else line for line in text.split("\n"))
