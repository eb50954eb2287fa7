"""`tributary simulate`: what credit a conversion would have under other settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tributary_cli.conversion_options import conversion_options, name_conversion
from tributary_cli.explain import paper, print_document, print_explanation
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import connection_options, explaining_calls, metadata_of, open_channel
from tributary_cli.setting_options import read_settings, setting_options

if TYPE_CHECKING:
    from tributary.query.v1.query_service_pb2 import SimulateAttributionResponse

_CALL_SECONDS = 60.0


@click.command()
@conversion_options
@setting_options
@click.option("--data-driven", metavar="VERSION", help="The model of data_driven, of `tributary models list`.")
@click.option("--model", default="", help="Show this model's division step by step, such as time_decay.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def simulate(
    conversion_id: str | None,
    order: tuple[str, str] | None,
    store: str,
    cycle: str,
    event_id: str | None,
    data_driven: str | None,
    model: str,
    as_json: bool,
    target: str | None,
    api_key: str | None,
    tls: bool,
    data: Path,
    **settings: object,
) -> None:
    """Say what credit a conversion would have under other settings. Nothing is stored.

    What is not said stays as the workspace's settings for the conversion's time have it.
    """
    from tributary.query.v1.query_service_pb2 import SimulateAttributionRequest
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    request = SimulateAttributionRequest(**name_conversion(conversion_id, order, store, cycle, event_id))
    request.settings.CopyFrom(read_settings(settings))
    request.settings.data_driven_version = data_driven or ""
    address, key = resolve_target(target, "query", data), resolve_api_key(api_key, data)
    with explaining_calls(address), open_channel(address, tls=tls) as channel:
        answer: SimulateAttributionResponse = QueryServiceStub(channel).SimulateAttribution(
            request, timeout=_CALL_SECONDS, metadata=metadata_of(key)
        )
    if as_json:
        print_document(answer)
        return
    console, explanation = paper(), answer.explanation
    same = "the credit stays as it is" if explanation.reproduces_revision else "the credit would be another"
    console.print(f"{explanation.conversion_id}: {same}", style="bold", markup=False)
    print_explanation(console, explanation, model)
