"""`tributary models`: what data_driven learned, and from how much evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_cli.console import output, print_json
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import connection_options, explain_call, metadata_of, open_channel

if TYPE_CHECKING:
    from tributary.attribution.v1.model_pb2 import Model

_CALL_SECONDS = 60.0
_PICOS = 1e12


@click.group()
def models() -> None:
    """Say what data_driven learned from people's paths."""


@models.command("list")
@click.option("--conversion", default="", metavar="NAME", help="Only of this conversion name.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def list_models(conversion: str, as_json: bool, target: str | None, api_key: str | None, tls: bool, data: Path) -> None:
    """List models with their evidence, newest first; also where it is too little for one."""
    from tributary.query.v1.query_service_pb2 import ListModelsRequest

    address, key = resolve_target(target, "query", data), resolve_api_key(api_key, data)
    found: list[Model] = []
    request = ListModelsRequest(conversion_name=conversion)
    while True:
        answer = _call("ListModels", request, address, key, tls=tls)
        found += answer.models
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    if as_json:
        _print(found)
        return
    if not found:
        output().print("No paths were evaluated yet.")
        return
    table = _table("published", "conversion", "version", "method", "paths", "conversions", "P(conversion)", "status")
    for model in found:
        table.add_row(*_cells(model))
    output().print(table)


@models.command("show")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def show_model(version: str, as_json: bool, target: str | None, api_key: str | None, tls: bool, data: Path) -> None:
    """Show a model: its evidence, and what each channel is worth."""
    from tributary.query.v1.query_service_pb2 import GetModelRequest

    address, key = resolve_target(target, "query", data), resolve_api_key(api_key, data)
    model = _call("GetModel", GetModelRequest(version=version), address, key, tls=tls).model
    if as_json:
        _print(model)
        return
    time, name, version, method, paths, conversions, probability, status = _cells(model)
    console = output()
    console.print(f"{version}  {name}  {method}  {status}  published {time}", markup=False)
    console.print(f"{paths} paths, {conversions} conversions, P(conversion) {probability}", markup=False)
    table = _table("channel", "share", "removal effect")
    for weight in sorted(model.channels, key=lambda weight: -weight.weight_picos):
        share, effect = weight.weight_picos / _PICOS, weight.removal_effect_picos / _PICOS
        table.add_row(weight.channel, f"{share:.4%}", f"{effect:.4%}")
    console.print(table)


def _call(method: str, request: Any, address: str, api_key: str, *, tls: bool) -> Any:
    import grpc  # heavy: only who asks pays

    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    try:
        with open_channel(address, tls=tls) as channel:
            call = getattr(QueryServiceStub(channel), method)
            return call(request, timeout=_CALL_SECONDS, metadata=metadata_of(api_key))
    except grpc.RpcError as error:
        raise explain_call(error, address) from error


def _cells(model: Model) -> tuple[str, ...]:
    from tributary.attribution.v1.model_pb2 import ModelMethod, ModelStatus

    status = ModelStatus.Name(model.status).removeprefix("MODEL_STATUS_")
    if model.status == ModelStatus.MODEL_STATUS_NOT_ENOUGH_EVIDENCE:
        status += f" (takes {model.minimum_paths} paths, {model.minimum_conversions} conversions)"
    return (
        model.publish_time.ToJsonString(),
        model.conversion_name,
        model.version or "-",
        ModelMethod.Name(model.method).removeprefix("MODEL_METHOD_"),
        str(model.paths),
        str(model.conversions),
        f"{model.conversion_probability_picos / _PICOS:.4%}",
        status,
    )


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(found: Any) -> None:
    from google.protobuf import json_format

    many = found if isinstance(found, list) else [found]
    shown = [json_format.MessageToDict(model, preserving_proto_field_name=True) for model in many]
    print_json(shown if isinstance(found, list) else shown[0])
