"""A request for a report is refused with everything that is wrong with it, or becomes the query that it means."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.revisions import micros
from tributary.query.v1 import report_pb2
from tributary.query.v1.query_service_pb2 import DimensionFilter, QueryReportRequest
from tributary_domain.settings import AttributionModel
from tributary_query.page_tokens import fingerprint, make_token
from tributary_query.report_requests import DIMENSIONS, METRICS, read_report_request
from tributary_runtime.errors import InvalidRequestError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.report_query import Basis, Dimension, Metric, ReportQuery

NOW = datetime(2026, 11, 25, tzinfo=UTC)
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
Change = Callable[[QueryReportRequest], Any]


def a_workspace(**said: Any) -> Workspace:
    return Workspace.model_validate({"id": "shop", "pepper": {"value": "0123456789abcdef0123"}, **said})


def a_request(change: Change = lambda request: None) -> QueryReportRequest:
    request = QueryReportRequest(metrics=[report_pb2.METRIC_CONVERSIONS])
    request.time_range.start_time.FromDatetime(START)
    request.time_range.end_time.FromDatetime(END)
    change(request)
    return request


def read(change: Change = lambda request: None, **workspace: Any) -> ReportQuery:
    return read_report_request(a_request(change), a_workspace(**workspace), NOW).query


def refused(change: Change, **workspace: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequestError) as error:
        read(change, **workspace)
    return [(violation.field, violation.reason) for violation in error.value.violations]


def test_what_is_not_said_is_as_the_workspace_says() -> None:
    query = read(reporting={"time_zone": "Europe/Berlin"}, attribution=[{"primary_model": "time_decay"}])
    assert (query.model, query.time_zone, query.basis) == ("time_decay", "Europe/Berlin", Basis.CONVERSION)
    assert (query.start_micros, query.end_micros) == (micros(START), micros(END))


LEADS = [{"name": "lead", "primary_model": "first_touch"}, {"name": "call", "primary_model": "first_touch"}]
OWN = (("call", "first_touch"), ("lead", "first_touch"))


def of_names(*names: str) -> Change:
    return lambda request: request.filters.add(dimension=report_pb2.DIMENSION_CONVERSION_NAME, values=names)


@pytest.mark.parametrize(
    ("change", "model", "own"),
    [
        pytest.param(lambda request: None, "last_non_direct", OWN, id="each name its own"),
        pytest.param(lambda request: setattr(request, "model", "linear"), "linear", (), id="a model was asked for"),
        pytest.param(lambda request: request.dimensions.append(report_pb2.DIMENSION_MODEL), "", (), id="all models"),
        pytest.param(of_names("lead", "call"), "first_touch", (), id="names of one model"),
        pytest.param(of_names("lead", "purchase"), "last_non_direct", OWN[1:], id="names of two models"),
        pytest.param(of_names("purchase"), "last_non_direct", (), id="another name"),
    ],
)
def test_a_conversion_name_is_shown_under_its_primary_model(
    change: Change, model: str, own: tuple[tuple[str, str], ...]
) -> None:
    query = read(change, conversions=LEADS)
    assert (query.model, query.own_models) == (model, own)


def test_data_driven_may_be_the_primary_model_of_a_name() -> None:
    leads = [{"name": "lead", "primary_model": "data_driven"}]
    assert read(conversions=leads).own_models == (("lead", "data_driven"),)


def test_a_page_asks_for_one_row_more_to_know_whether_there_are_more() -> None:
    assert read().limit == 1_001
    assert read(lambda request: setattr(request, "page_size", 20)).limit == 21
    assert read(lambda request: setattr(request, "page_size", 1_000_000)).limit == 10_001


def test_every_dimension_and_basis_of_the_contract_is_known() -> None:
    assert set(DIMENSIONS.values()) == set(Dimension)
    assert set(METRICS.values()) == set(Metric)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(lambda request: request.ClearField("metrics"), "metrics", id="no metric"),
        pytest.param(lambda request: request.metrics.append(0), "metrics[1]", id="unspecified metric"),
        pytest.param(
            lambda request: request.metrics.append(report_pb2.METRIC_CONVERSIONS), "metrics", id="a metric twice"
        ),
        pytest.param(lambda request: request.dimensions.append(99), "dimensions[0]", id="a dimension of later"),
        pytest.param(lambda request: request.dimensions.extend(range(1, 8)), "dimensions", id="7 dimensions"),
        pytest.param(lambda request: request.ClearField("time_range"), "time_range", id="no time range"),
        pytest.param(
            lambda request: request.time_range.end_time.CopyFrom(request.time_range.start_time),
            "time_range",
            id="an empty time range",
        ),
        pytest.param(
            lambda request: setattr(request.time_range.start_time, "seconds", 2**60),
            "time_range.start_time",
            id="no such year",
        ),
        pytest.param(lambda request: setattr(request, "model", "best"), "model", id="no such model"),
        pytest.param(lambda request: setattr(request, "time_zone", "Mars/Base"), "time_zone", id="no such zone"),
        pytest.param(lambda request: setattr(request, "time_zone", "../etc/passwd"), "time_zone", id="a path"),
        pytest.param(lambda request: setattr(request, "time_basis", 9), "time_basis", id="a basis of later"),
        pytest.param(lambda request: setattr(request, "page_size", -1), "page_size", id="a negative page size"),
        pytest.param(lambda request: setattr(request, "page_token", "x"), "page_token", id="no token"),
        pytest.param(
            lambda request: setattr(request, "page_token", make_token(("a", "b"), fingerprint("shop", request))),
            "page_token",
            id="a token with a key of another length",
        ),
        pytest.param(
            lambda request: request.filters.append(
                DimensionFilter(dimension=report_pb2.DIMENSION_DAY, values=["2026-11-20"])
            ),
            "filters[0].dimension",
            id="a filter by day",
        ),
        pytest.param(
            lambda request: request.filters.append(DimensionFilter(dimension=report_pb2.DIMENSION_CHANNEL)),
            "filters[0].values",
            id="no values",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused_by_field(change: Change, field: str) -> None:
    assert [found for found, _ in refused(change)] == [field]


@pytest.mark.parametrize("metric", [report_pb2.METRIC_COST, report_pb2.METRIC_ROAS, report_pb2.METRIC_CPA])
def test_cost_that_nobody_imported_is_not_zero(metric: report_pb2.Metric.ValueType) -> None:
    assert refused(lambda request: request.metrics.append(metric)) == [("metrics[1]", "SPEND_NOT_IMPORTED")]


@pytest.mark.parametrize("model", list(AttributionModel))
def test_every_model_may_be_asked_for(model: AttributionModel) -> None:
    assert read(lambda request: setattr(request, "model", model.value)).model == model.value


def test_everything_that_is_wrong_is_told_at_once() -> None:
    def change(request: QueryReportRequest) -> None:
        request.page_size, request.model = -1, "best"

    assert [field for field, _ in refused(change)] == ["model", "page_size"]


def test_postings_have_no_hours_no_people_and_one_zone() -> None:
    def change(request: QueryReportRequest) -> None:
        request.time_basis = report_pb2.TIME_BASIS_POSTING
        request.dimensions.append(report_pb2.DIMENSION_HOUR)
        request.metrics.append(report_pb2.METRIC_TOUCHPOINTS)
        request.time_zone = "Asia/Tokyo"

    assert {field for field, _ in refused(change)} == {"dimensions", "metrics[1]", "time_zone"}


def test_a_posting_range_has_the_days_that_begin_in_it() -> None:
    def change(request: QueryReportRequest) -> None:
        request.time_basis = report_pb2.TIME_BASIS_POSTING

    utc = read(change)
    assert (utc.start_date, utc.end_date) == ("2026-11-01", "2026-12-01")
    berlin = read(change, reporting={"time_zone": "Europe/Berlin"})
    assert (berlin.start_date, berlin.end_date) == ("2026-11-02", "2026-12-02")


NAMES = [{"name": "purchase"}, {"name": "scroll", "primary": False}]


def test_a_total_leaves_out_names_that_are_not_primary() -> None:
    assert read(conversions=NAMES).not_primary_names == ("scroll",)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda request: request.dimensions.append(report_pb2.DIMENSION_CONVERSION_NAME), id="grouped by name"
        ),
        pytest.param(
            lambda request: request.filters.append(
                DimensionFilter(dimension=report_pb2.DIMENSION_CONVERSION_NAME, values=["scroll"])
            ),
            id="asked by name",
        ),
    ],
)
def test_who_tells_names_apart_gets_all_of_them(change: Change) -> None:
    assert read(change, conversions=NAMES).not_primary_names == ()


def test_a_token_leads_on_where_the_page_before_ended() -> None:
    def change(request: QueryReportRequest) -> None:
        request.dimensions.append(report_pb2.DIMENSION_CHANNEL)
        request.page_token = make_token(("Email",), fingerprint("shop", request))

    assert read(change).after == ("Email",)
