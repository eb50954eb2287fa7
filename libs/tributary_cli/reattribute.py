"""`tributary reattribute`: credits the past under the settings of today, or says what that would change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_cli.console import messages, print_json
from tributary_cli.explain import paper
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.reattribute_tables import Totals
from tributary_cli.report_times import Span, read_span, read_zone
from tributary_cli.rpc import connection_options, explain_call, metadata_of, open_channel
from tributary_cli.setting_options import read_settings, setting_options
from tributary_runtime.clock import SystemClock

if TYPE_CHECKING:
    from tributary.attribution.v1.explanation_pb2 import CreditSettings
    from tributary.attribution.v1.reattribution_pb2 import ReattributionPage

_CALL_SECONDS = 120.0
_PAGE_SIZE = 200


@click.command()
@click.option("--preview", is_flag=True, help="Only say what would change; nothing is stored.")
@click.option("--last", default="30d", show_default=True, metavar="SPAN", help="How far back: 12h, 30d, 4w.")
@click.option("--since", "--from", "since", metavar="TIME", help="Instead of --last: a day, or a moment in ISO 8601.")
@click.option("--until", metavar="TIME", help="A day (included) or a moment (not included). [now]")
@click.option("--time-zone", metavar="NAME", help="Where days begin, as Europe/Berlin. [UTC]")
@click.option("--name", "names", multiple=True, metavar="NAME", help="Only conversions of this name; repeat it.")
@setting_options
@click.option(
    "--data-driven",
    metavar="VERSION",
    help="Move them to this model of data_driven, or to the `first` or the `newest` one of their name.",
)
@click.option("--model", "models", multiple=True, help="Show this model; repeat it. [those that change]")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with exact numbers.")
@connection_options("query")
def reattribute(
    preview: bool,
    last: str,
    since: str | None,
    until: str | None,
    time_zone: str | None,
    names: tuple[str, ...],
    data_driven: str | None,
    models: tuple[str, ...],
    yes: bool,
    as_json: bool,
    target: str | None,
    api_key: str | None,
    tls: bool,
    data: Path,
    **settings: object,
) -> None:
    """Credit conversions of a span under the settings of today.

    Settings never rewrite the past by themselves: a conversion keeps those it was credited under, also where it changes
    later. This changes them on purpose. Each conversion whose credit changes has a revision with the cause
    settings_change; where the credit is the same under both, it keeps those it has. With --data-driven they move to
    another model of data_driven instead, with the cause model_change. With --preview nothing is stored, and options may
    say settings to try.
    It can be stopped and run again: what is done already changes nothing. But for --preview the API key needs the scope
    `admin`.
    """
    asked = read_settings(settings)
    if asked.ByteSize() and not preview:
        raise click.UsageError("Settings are in workspaces.yaml; options that say others need --preview.")
    zone = read_zone(time_zone)
    span = read_span(last, since, until, SystemClock().now(), zone)
    if not (preview or yes):
        under = f" under the model {data_driven} of data_driven" if data_driven else ""
        message = f"Credit conversions from {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} anew{under}?"
        click.confirm(message, abort=True, err=True)
    address, key = resolve_target(target, "query", data), resolve_api_key(api_key, data)
    totals, said = Totals(), messages()
    for page in _pages(span, names, asked if preview else None, data_driven, address, key, tls=tls):
        totals.add(page)
        said.print(f"{totals.conversions} conversions, {totals.changed} with other credit", style="dim")
    if as_json:
        print_json({"is_preview": preview, **totals.document()})
        return
    totals.print_to(paper(), models, "would change" if preview else "changed")


def _pages(
    span: Span,
    names: tuple[str, ...],
    asked: CreditSettings | None,
    data_driven: str | None,
    address: str,
    api_key: str,
    *,
    tls: bool,
) -> Iterator[ReattributionPage]:
    """Yields what each page of conversions changes, or would change where settings are given to try."""
    import grpc  # heavy: only who asks pays

    from tributary.query.v1.query_service_pb2 import PreviewReattributionRequest, ReattributeRequest
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    request: Any = ReattributeRequest() if asked is None else PreviewReattributionRequest(settings=asked)
    request.time_range.start_time.FromDatetime(span.start)
    request.time_range.end_time.FromDatetime(span.end)
    request.conversion_names.extend(names)
    request.page_size = _PAGE_SIZE
    if data_driven in ("first", "newest"):
        setattr(request.model, data_driven, True)
    elif data_driven is not None:
        request.model.version = data_driven
    try:
        with open_channel(address, tls=tls) as channel:
            stub = QueryServiceStub(channel)
            call: Any = stub.Reattribute if asked is None else stub.PreviewReattribution
            while True:
                answer = call(request, timeout=_CALL_SECONDS, metadata=metadata_of(api_key))
                yield answer.page
                if not answer.next_page_token:
                    return
                request.page_token = answer.next_page_token
    except grpc.RpcError as error:
        raise explain_call(error, address) from error
