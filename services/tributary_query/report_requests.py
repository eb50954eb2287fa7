"""Reads a request for a report: all that is wrong with it at once, else a query that can be run.

The one rule: what cannot be computed truthfully is refused with what to ask instead, never answered with a number that
looks right. The workspace comes from the credential.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from tributary.query.v1 import report_pb2
from tributary.query.v1.query_service_pb2 import QueryReportRequest
from tributary_query.page_tokens import fingerprint, read_token
from tributary_query.violations import Violations
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.credit_columns import MODELS
from tributary_storage.clickhouse.report_query import (
    NOT_POSTED,
    Basis,
    Dimension,
    Filter,
    Key,
    Metric,
    ReportQuery,
)

MAX_METRICS: Final = 8
MAX_DIMENSIONS: Final = 6
MAX_FILTERS: Final = 20
MAX_FILTER_VALUES: Final = 100
DEFAULT_PAGE_SIZE: Final = 1_000
MAX_PAGE_SIZE: Final = 10_000

METRICS: Final = {
    report_pb2.METRIC_CONVERSIONS: Metric.CONVERSIONS,
    report_pb2.METRIC_VALUE: Metric.VALUE,
    report_pb2.METRIC_CONVERSIONS_ASSISTED: Metric.CONVERSIONS_ASSISTED,
    report_pb2.METRIC_TOUCHPOINTS: Metric.TOUCHPOINTS,
    report_pb2.METRIC_REPORTING_VALUE: Metric.REPORTING_VALUE,
}
_NEEDS_SPEND: Final = frozenset({report_pb2.METRIC_COST, report_pb2.METRIC_ROAS, report_pb2.METRIC_CPA})
DIMENSIONS: Final = {
    number: Dimension(name.removeprefix("DIMENSION_").lower())
    for name, number in report_pb2.Dimension.items()
    if number
}
BASES: Final = {
    report_pb2.TIME_BASIS_UNSPECIFIED: Basis.CONVERSION,
    report_pb2.TIME_BASIS_CONVERSION: Basis.CONVERSION,
    report_pb2.TIME_BASIS_TOUCHPOINT: Basis.TOUCHPOINT,
    report_pb2.TIME_BASIS_POSTING: Basis.POSTING,
}
_TIMES: Final = frozenset({Dimension.DAY, Dimension.HOUR})


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A request that can be answered."""

    query: ReportQuery
    fingerprint: str
    """What a page token of it is bound to."""


def read_report_request(request: QueryReportRequest, workspace: Workspace, now: datetime) -> ReportRequest:
    """Returns what was asked.

    Args:
        request: As sent.
        workspace: Of the caller.
        now: Chooses the workspace's primary model where none is named.

    Raises:
        InvalidRequestError: It cannot be computed; with everything that is wrong.
    """
    wrong = Violations()
    basis = BASES.get(request.time_basis)
    if basis is None:
        wrong.add("time_basis", "Is no time basis known here.")
        basis = Basis.CONVERSION
    dimensions = _dimensions(request, wrong)
    metrics = _metrics(request, basis, wrong)
    zone = _zone(request, basis, workspace, wrong)
    span = _span(request, wrong)
    filters = _filters(request, wrong)
    mark = fingerprint(workspace.id, request)
    model, own_models = _model(request, dimensions, filters, workspace, now, wrong)
    if basis is Basis.POSTING and Dimension.HOUR in dimensions:
        wrong.add("dimensions", "Postings have days, no hours: ask for DAY, or for another time basis.")
    if request.page_size < 0:
        wrong.add("page_size", "Must not be negative; 0 means 1000.")
    after = _after(request, mark, len(dimensions), wrong)
    as_of = _as_of(request, wrong)
    wrong.raise_if_any()
    days = tuple(_first_day(moment, zone) for moment in span)
    query = ReportQuery(
        workspace=workspace.id,
        metrics=metrics,
        dimensions=dimensions,
        model=model,
        own_models=own_models,
        start_micros=_micros(span[0]),
        end_micros=_micros(span[1]),
        start_date=days[0].isoformat(),
        end_date=days[1].isoformat(),
        filters=filters,
        basis=basis,
        time_zone=zone.key,
        as_of_micros=as_of,
        reporting_currency=workspace.reporting.currency,
        not_primary_names=_left_out(workspace, dimensions, filters),
        after=after,
        limit=min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE) + 1,  # one more tells whether there are more
    )
    return ReportRequest(query, mark)


def _metrics(request: QueryReportRequest, basis: Basis, wrong: Violations) -> tuple[Metric, ...]:
    if not 1 <= len(request.metrics) <= MAX_METRICS:
        wrong.add("metrics", f"Name 1 to {MAX_METRICS} metrics.")
    if len(set(request.metrics)) < len(request.metrics):
        wrong.add("metrics", "Names a metric twice.")
    found = []
    for index, number in enumerate(request.metrics):
        if number in _NEEDS_SPEND:
            description = (
                "No spend is imported in this workspace, so cost is not known: it is not zero. Ask without it."
            )
            wrong.add(f"metrics[{index}]", description, "SPEND_NOT_IMPORTED")
        elif number not in METRICS:
            wrong.add(f"metrics[{index}]", "Is no metric known here.")
        elif basis is Basis.POSTING and METRICS[number] in NOT_POSTED:
            description = "Does not add up over postings: ask for CONVERSIONS or VALUE, or for another time basis."
            wrong.add(f"metrics[{index}]", description)
        else:
            found.append(METRICS[number])
    return tuple(found)


def _dimensions(request: QueryReportRequest, wrong: Violations) -> tuple[Dimension, ...]:
    if len(request.dimensions) > MAX_DIMENSIONS:
        wrong.add("dimensions", f"Name at most {MAX_DIMENSIONS} dimensions.")
    if len(set(request.dimensions)) < len(request.dimensions):
        wrong.add("dimensions", "Names a dimension twice.")
    for index, number in enumerate(request.dimensions):
        if number not in DIMENSIONS:
            wrong.add(f"dimensions[{index}]", "Is no dimension known here.")
    return tuple(DIMENSIONS[number] for number in request.dimensions if number in DIMENSIONS)


def _model(
    request: QueryReportRequest,
    dimensions: tuple[Dimension, ...],
    filters: tuple[Filter, ...],
    workspace: Workspace,
    now: datetime,
    wrong: Violations,
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Returns the model, and the conversion names that have another as their primary one."""
    if Dimension.MODEL in dimensions:
        return "", ()
    model = request.model or workspace.attribution_at(now).primary_model.value
    own = {} if request.model else _own_models(workspace)
    for kept in filters:
        if kept.dimension is Dimension.CONVERSION_NAME and not kept.is_excluding:
            chosen = {own.get(name, model) for name in kept.values}
            if len(chosen) == 1:
                model, own = chosen.pop(), {}
            own = {name: other for name, other in own.items() if name in kept.values}
    own = {name: other for name, other in own.items() if other != model}
    for asked in dict.fromkeys([model, *own.values()]):
        if asked not in MODELS:
            wrong.add("model", f"Is no model; models are {', '.join(MODELS)}.")
    return model, tuple(sorted(own.items()))


def _own_models(workspace: Workspace) -> dict[str, str]:
    """Returns the primary model of each conversion name that has its own."""
    return {one.name: one.primary_model.value for one in workspace.conversions if one.primary_model is not None}


def _zone(request: QueryReportRequest, basis: Basis, workspace: Workspace, wrong: Violations) -> ZoneInfo:
    books = workspace.reporting.zone
    if not request.time_zone:
        return books
    try:
        zone = ZoneInfo(request.time_zone)
    except (LookupError, ValueError, OSError):
        wrong.add("time_zone", "Is no IANA time zone; name one such as Europe/Berlin.")
        return books
    if basis is Basis.POSTING and zone.key != books.key:
        wrong.add("time_zone", f"Postings are dated in the zone of the books, {books.key}: leave it empty.")
    return zone


def _span(request: QueryReportRequest, wrong: Violations) -> tuple[datetime, datetime]:
    span = request.time_range
    nothing = datetime(1970, 1, 1, tzinfo=UTC)
    if not request.HasField("time_range") or not span.HasField("start_time") or not span.HasField("end_time"):
        wrong.add("time_range", "Name both a start and an end.")
        return nothing, nothing
    start = _moment("time_range.start_time", span.start_time, wrong)
    end = _moment("time_range.end_time", span.end_time, wrong)
    if start is None or end is None:
        return nothing, nothing
    if start >= end:
        wrong.add("time_range", "Must end after it starts.")
    return start, end


def _filters(request: QueryReportRequest, wrong: Violations) -> tuple[Filter, ...]:
    if len(request.filters) > MAX_FILTERS:
        wrong.add("filters", f"Name at most {MAX_FILTERS} filters.")
    found = []
    for index, asked in enumerate(request.filters):
        dimension = DIMENSIONS.get(asked.dimension)
        if dimension is None:
            wrong.add(f"filters[{index}].dimension", "Is no dimension known here.")
        elif dimension in _TIMES:
            wrong.add(f"filters[{index}].dimension", "Choose times by `time_range`.")
        elif not 1 <= len(asked.values) <= MAX_FILTER_VALUES:
            wrong.add(f"filters[{index}].values", f"Name 1 to {MAX_FILTER_VALUES} values.")
        else:
            found.append(Filter(dimension, tuple(asked.values), asked.exclude))
    return tuple(found)


def _after(request: QueryReportRequest, mark: str, dimensions: int, wrong: Violations) -> Key | None:
    if not request.page_token:
        return None
    try:
        key = read_token(request.page_token, mark)
    except ValueError as error:
        wrong.add("page_token", str(error))
        return None
    if len(key) != dimensions:  # page one again, silently, would count its rows twice
        wrong.add(
            "page_token", "Is no page token of this request; send `next_page_token` of the page before, unchanged."
        )
        return None
    return key


def _as_of(request: QueryReportRequest, wrong: Violations) -> int | None:
    if not request.HasField("as_of_time"):
        return None
    moment = _moment("as_of_time", request.as_of_time, wrong)
    return None if moment is None else _micros(moment)


def _left_out(workspace: Workspace, dimensions: tuple[Dimension, ...], filters: tuple[Filter, ...]) -> tuple[str, ...]:
    """Returns the names that a total leaves out: those not primary, unless the request tells names apart itself."""
    chooses = any(kept.dimension is Dimension.CONVERSION_NAME and not kept.is_excluding for kept in filters)
    if chooses or Dimension.CONVERSION_NAME in dimensions:
        return ()
    return tuple(sorted(definition.name for definition in workspace.conversions if not definition.primary))


def _moment(field: str, time: Any, wrong: Violations) -> datetime | None:
    try:
        moment: datetime = time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        wrong.add(field, "Is outside the years 1 to 9999.")
        return None
    if not 1900 <= moment.year < 2300:
        wrong.add(field, "Must be in the years 1900 to 2299.")
        return None
    return moment


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _first_day(moment: datetime, zone: ZoneInfo) -> date:
    """Returns the first day that begins at or after a moment."""
    local = moment.astimezone(zone)
    begins = datetime(local.year, local.month, local.day, tzinfo=zone)
    return local.date() if begins.astimezone(UTC) >= moment else local.date() + timedelta(days=1)
