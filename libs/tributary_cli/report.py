"""`tributary report`: conversions and their credit, by what one asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary.query.v1 import report_pb2
from tributary_cli.console import output, print_json
from tributary_cli.conversion_options import read_moment
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.report_rows import read_value, show_value, sum_rows, unconverted
from tributary_cli.report_times import Span, read_span, read_zone
from tributary_cli.rpc import connection_options, explain_call, metadata_of, open_channel, reasons_of
from tributary_runtime.clock import SystemClock

if TYPE_CHECKING:
    from tributary.query.v1.query_service_pb2 import QueryReportRequest, QueryReportResponse

_CALL_SECONDS = 60.0
_PAGE_ROWS = 1_000
_APART = {"CURRENCIES_MIXED": "currency", "ROLES_MIXED": "conversion_name"}
"""What was added that may not be -> the dimension that keeps it apart."""


def _names_of(enum: Any, prefix: str) -> list[str]:
    return [name.removeprefix(prefix).lower() for name in enum.keys() if not name.endswith("_UNSPECIFIED")]  # noqa: SIM118


METRICS = _names_of(report_pb2.Metric, "METRIC_")
DIMENSIONS = _names_of(report_pb2.Dimension, "DIMENSION_")
BASES = _names_of(report_pb2.TimeBasis, "TIME_BASIS_")


@click.command()
@click.option("--metric", "metrics", multiple=True, type=click.Choice(METRICS), help="Repeat it. [conversions, value]")
@click.option("--by", "dimensions", multiple=True, type=click.Choice(DIMENSIONS), help="Repeat it. [channel]")
@click.option("--model", default="", help="Attribution model, such as linear. [the workspace's]")
@click.option("--all-models", is_flag=True, help="Every model, one row each.")
@click.option("--last", default="30d", show_default=True, metavar="SPAN", help="How far back: 12h, 30d, 4w.")
@click.option("--since", metavar="TIME", help="Instead of --last: a day, or a moment in ISO 8601.")
@click.option("--until", metavar="TIME", help="A day (included) or a moment (not included). [now]")
@click.option(
    "--time-zone", metavar="NAME", help="Where days begin, as Europe/Berlin. [the workspace's; UTC for --since]"
)
@click.option("--basis", type=click.Choice(BASES), default="conversion", show_default=True, help="The clock of it all.")
@click.option("--as-of", metavar="TIME", help="As it was known at that moment, in ISO 8601. [now]")
@click.option("--filter", "filters", multiple=True, metavar="DIMENSION=VALUE", help="Only these; repeat it.")
@click.option("--limit", default=1_000, show_default=True, type=click.IntRange(1), help="Rows at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with exact numbers.")
@connection_options("query")
def report(
    metrics: tuple[str, ...],
    dimensions: tuple[str, ...],
    model: str,
    all_models: bool,
    last: str,
    since: str | None,
    until: str | None,
    time_zone: str | None,
    basis: str,
    as_of: str | None,
    filters: tuple[str, ...],
    limit: int,
    as_json: bool,
    target: str | None,
    api_key: str | None,
    tls: bool,
    data: Path,
) -> None:
    """Show conversions and their credit.

    By default: credited conversions and value per channel over the last 30 days, under the workspace's attribution
    model. Whatever is asked for, the rows of one model add up to the conversions.
    """
    import grpc  # heavy: only who asks pays

    from tributary.query.v1.query_service_pb2 import QueryReportRequest

    columns = list(metrics or ("conversions", "value"))
    grouping = [*(dimensions or ("channel",)), *(["model"] if all_models and "model" not in dimensions else [])]
    request = QueryReportRequest(
        metrics=[report_pb2.Metric.Value(f"METRIC_{name.upper()}") for name in columns],
        dimensions=[report_pb2.Dimension.Value(f"DIMENSION_{name.upper()}") for name in grouping],
        model=model,
        time_basis=report_pb2.TimeBasis.Value(f"TIME_BASIS_{basis.upper()}"),
        time_zone=time_zone or "",
        page_size=min(limit, _PAGE_ROWS),
    )
    _set_span(request, read_span(last, since, until, SystemClock().now(), read_zone(time_zone)))
    _set_filters(request, filters)
    if as_of is not None:
        request.as_of_time.FromDatetime(read_moment(as_of))
    address = resolve_target(target, "query", data)
    key = resolve_api_key(api_key, data)
    while True:
        try:
            answer = _query(request, limit, address, key, tls=tls)
            break
        except grpc.RpcError as error:
            # Who asked for no dimension wants an answer, and gets it by currency or by name where sums would lie.
            found = [] if dimensions else [_APART[one] for one in reasons_of(error) if one in _APART]
            apart = [one for one in found if one not in grouping]
            if not apart:
                raise explain_call(error, address) from error
            grouping += apart
            request.dimensions.extend(report_pb2.Dimension.Value(f"DIMENSION_{one.upper()}") for one in apart)
            request.page_token = ""
    (_print_document if as_json else print_table)(answer, grouping, columns)


def _set_span(request: QueryReportRequest, span: Span) -> None:
    request.time_range.start_time.FromDatetime(span.start)
    request.time_range.end_time.FromDatetime(span.end)


def _set_filters(request: QueryReportRequest, filters: Sequence[str]) -> None:
    """Adds the filters; values of one dimension are alternatives."""
    wanted: dict[str, list[str]] = {}
    for text in filters:
        name, equals, value = text.partition("=")
        if name not in DIMENSIONS or not equals:
            message = f"{text!r} is not DIMENSION=VALUE; dimensions are {', '.join(DIMENSIONS)}."
            raise click.BadParameter(message, param_hint="--filter")
        wanted.setdefault(name, []).append(value)
    for name, values in wanted.items():
        request.filters.add(dimension=report_pb2.Dimension.Value(f"DIMENSION_{name.upper()}"), values=values)


def _query(request: QueryReportRequest, limit: int, address: str, api_key: str, *, tls: bool) -> QueryReportResponse:
    """Returns the report with all its pages, up to `limit` rows."""
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    with open_channel(address, tls=tls) as channel:
        stub = QueryServiceStub(channel)
        answer: QueryReportResponse = stub.QueryReport(request, timeout=_CALL_SECONDS, metadata=metadata_of(api_key))
        while answer.next_page_token and len(answer.rows) < limit:
            request.page_token = answer.next_page_token
            page: QueryReportResponse = stub.QueryReport(request, timeout=_CALL_SECONDS, metadata=metadata_of(api_key))
            answer.rows.extend(page.rows)
            answer.next_page_token = page.next_page_token
        del answer.rows[limit:]
    return answer


def _print_document(answer: QueryReportResponse, dimensions: Sequence[str], metrics: Sequence[str]) -> None:
    from google.protobuf import json_format

    rows = [
        {
            **dict(zip(dimensions, row.dimension_values, strict=True)),
            **{name: read_value(value) for name, value in zip(metrics, row.metric_values, strict=True)},
            **({"unconverted": unconverted([row])} if row.unconverted else {}),
        }
        for row in answer.rows
    ]
    basis = json_format.MessageToDict(answer.basis, preserving_proto_field_name=True)
    models = {"model": answer.model, "own_models": dict(answer.own_models)}
    document = {**models, "basis": basis, "rows": rows, "is_complete": not answer.next_page_token}
    if answer.pending:
        document["pending"] = [
            json_format.MessageToDict(waiting, preserving_proto_field_name=True) for waiting in answer.pending
        ]
    if answer.data_driven_models:
        found = answer.data_driven_models
        document["data_driven_models"] = [
            json_format.MessageToDict(model, preserving_proto_field_name=True) for model in found
        ]
    print_json(document)


def print_table(answer: QueryReportResponse, dimensions: Sequence[str], metrics: Sequence[str]) -> None:
    """Shows a report to people: its rows, what is in none of them, and how far it can be relied on."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_footer="model" not in dimensions and len(answer.rows) > 1)
    totals = [show_value(value) for value in sum_rows(answer.rows, metrics)]
    for position, name in enumerate(dimensions):
        table.add_column(name.replace("_", " "), style="bold", footer="" if position else "total")
    for name, total in zip(metrics, totals, strict=True):
        table.add_column(name.replace("_", " "), justify="right", footer=total)
    for row in answer.rows:
        cells = [*row.dimension_values, *(show_value(value) for value in row.metric_values)]
        table.add_row(*(Text(cell) for cell in cells))
    console = output()
    console.print(table)
    if "model" not in dimensions and (left_out := unconverted(answer.rows)):
        amounts = ", ".join(f"{amount} {currency}" for currency, amount in left_out.items())
        console.print(
            f"unconverted: {amounts} have no rate of their day and are not in reporting value.", style="yellow"
        )
    for waiting in answer.pending:
        worth = show_value(report_pb2.MetricValue(money=waiting.value))
        console.print(
            f"pending: {waiting.orders} {waiting.conversion_name}, together {worth}, in no row: outside the expected"
            " range. `tributary quarantine list` shows them.",
            style="yellow",
            markup=False,
        )
    basis = answer.basis
    own = "".join(f", {name} {model}" for name, model in sorted(answer.own_models.items()))
    said = [f"model {answer.model}{own}" if answer.model else "", f"{basis.time_zone or 'UTC'}"]
    said.append(f"by {report_pb2.TimeBasis.Name(basis.time_basis).removeprefix('TIME_BASIS_').lower()} time")
    if basis.HasField("complete_through_time"):
        said.append(f"complete through {basis.complete_through_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC")
    said.append(report_pb2.Finality.Name(basis.finality).removeprefix("FINALITY_").lower())
    console.print("; ".join(part for part in said if part), style="dim")
    for model in answer.data_driven_models:
        if not model.version:
            console.print(
                f"data_driven has no model of {model.conversion_name}: {model.paths} of {model.minimum_paths} paths, "
                f"{model.conversions} of {model.minimum_conversions} conversions.",
                style="yellow",
                markup=False,
            )
    if answer.next_page_token:
        console.print(f"Only the first {len(answer.rows)} rows are shown; --limit shows more.", style="yellow")
