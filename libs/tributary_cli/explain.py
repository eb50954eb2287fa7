"""`tributary explain`: why a conversion has the credit it has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_cli.console import print_json
from tributary_cli.conversion_options import conversion_options, name_conversion, read_moment
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import connection_options, explaining_calls, metadata_of, open_channel

if TYPE_CHECKING:
    from rich.console import Console

    from tributary.attribution.v1.explanation_pb2 import Explanation
    from tributary.query.v1.query_service_pb2 import ExplainConversionResponse

_CALL_SECONDS = 60.0


@click.command()
@conversion_options
@click.option("--as-of", metavar="TIME", help="From what was known at that moment, in ISO 8601. [now]")
@click.option("--model", default="", help="Show this model's division step by step, such as time_decay.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def explain(
    conversion_id: str | None,
    order: tuple[str, str] | None,
    store: str,
    cycle: str,
    event_id: str | None,
    as_of: str | None,
    model: str,
    as_json: bool,
    target: str | None,
    api_key: str | None,
    tls: bool,
    data: Path,
) -> None:
    """Say why a conversion has the credit it has.

    Every touchpoint with what became of it, each model's shares, all revisions with their causes, all deliveries.
    """
    from tributary.query.v1.query_service_pb2 import ExplainConversionRequest
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    request = ExplainConversionRequest(**name_conversion(conversion_id, order, store, cycle, event_id))
    if as_of is not None:
        request.as_of_time.FromDatetime(read_moment(as_of))
    address, key = resolve_target(target, "query", data), resolve_api_key(api_key, data)
    with explaining_calls(address), open_channel(address, tls=tls) as channel:
        answer: ExplainConversionResponse = QueryServiceStub(channel).ExplainConversion(
            request, timeout=_CALL_SECONDS, metadata=metadata_of(key)
        )
    if as_json:
        print_document(answer)
    else:
        _print(answer, model)


def print_document(answer: Any) -> None:
    """Prints an answer as one JSON document, in the protobuf JSON mapping."""
    from google.protobuf import json_format

    print_json(json_format.MessageToDict(answer, preserving_proto_field_name=True))


def paper() -> Console:
    """Returns the console for tables: as wide as the terminal, and no wider than tables are made for."""
    import sys

    from tributary_cli.explain_tables import WIDTH
    from tributary_cli.harmless_console import HarmlessConsole  # heavy: `--help` does without

    console = HarmlessConsole(file=sys.stdout, highlight=False)
    if not console.is_terminal or console.width > WIDTH:
        console.width = WIDTH
    return console


def print_explanation(console: Console, explanation: Explanation, model: str) -> None:
    """Prints what became of every touchpoint and each model's shares.

    Raises:
        click.BadParameter: There is no such model.
    """
    from tributary_cli import explain_tables as tables

    names = [one.name for one in explanation.models]
    if model and model not in names:
        raise click.BadParameter(f"{model!r} is no model; models are {', '.join(names)}.", param_hint="--model")
    console.print(tables.settings_line(explanation.settings), style="dim", markup=False)
    console.print()
    console.print(tables.touchpoints_table(explanation))
    if explanation.touchpoints_omitted:
        console.print(f"{explanation.touchpoints_omitted} more touchpoints are not shown.", style="yellow")
    if deleted := tables.deleted_line(explanation):
        console.print(deleted, style="yellow", markup=False)
    console.print()
    console.print(tables.credit_table(explanation))
    reasons = tables.reasons_line(explanation)
    if reasons:
        console.print(reasons, style="yellow", markup=False)
    if explanation.HasField("data_driven"):
        console.print(tables.data_driven_line(explanation), style="dim", markup=False)
    if model:
        console.print()
        if model == "data_driven":
            console.print(tables.channels_table(explanation))
        shown = explanation.models[names.index(model)]
        console.print(f"{model}: looks back {shown.lookback_days} days; the weights sum to {shown.weights_sum or 0}")
        console.print(tables.division_table(shown, explanation.value.currency_code))
        console.print("+: with one of the units that rounding down left over.", style="dim")


def _print(answer: ExplainConversionResponse, model: str) -> None:
    from tributary_cli import explain_tables as tables

    console, state, explanation = paper(), answer.newest.state, answer.explanation
    title = " ".join(filter(None, (state.name, state.order_key.store, state.order_key.order_id, state.order_key.cycle)))
    console.print(f"{state.conversion_id}  {title}", style="bold", markup=False)
    value = tables.show_money(explanation.value)
    counted = "counted" if state.counted else "not counted"
    person = explanation.person_id or "nobody's"
    console.print(f"{tables.show_time(explanation.conversion_time)} UTC; {value}; {counted}; {person}", markup=False)
    for line in filter(None, (*tables.value_lines(state), tables.beginning_line(explanation))):
        console.print(line, style="dim", markup=False)
    print_explanation(console, explanation, model)
    if not explanation.reproduces_revision:
        message = (
            "These steps do not give the published credit: a revision is on its way, or part of the journey is"
            " forgotten, or was not known to be this person's then."
        )
        console.print(message, style="yellow")
    console.print()
    if answer.revisions_omitted:
        console.print(f"{answer.revisions_omitted} older revisions are not shown.", style="yellow")
    console.print(tables.revisions_table(answer.revisions))
    for decision in answer.quarantine_decisions:
        console.print(tables.decision_line(decision), markup=False)
    if answer.deliveries:
        console.print()
        console.print(tables.deliveries_table(answer.deliveries))
