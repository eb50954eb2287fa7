"""`tributary refusals`: what was rejected or is in conflict, and why, without knowing its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tributary_cli.console import output, print_json
from tributary_cli.list_filters import limit_time, reason_codes
from tributary_cli.query_calls import calling_query
from tributary_cli.rpc import connection_options

if TYPE_CHECKING:
    from tributary.query.v1.refusal_pb2 import Refusal

_CALL_SECONDS = 60.0
_MAX_PAGE = 1_000


@click.group()
def refusals() -> None:
    """Look at events that were refused: rejected, or in conflict with one that is known.

    They are kept as they were sent, without plain personal data, and count nowhere.
    """


@refusals.command("list")
@click.argument("event_ids", nargs=-1, metavar="[ID]...")
@click.option("--reason", "reasons", multiple=True, metavar="CODE", help="Only of this reason; repeat.")
@click.option("--since", metavar="TIME", help="From this day or moment on. [31 days before --until]")
@click.option("--until", metavar="TIME", help="Up to this day, included, or moment, of the refusal, UTC.")
@click.option("--verdict", type=click.Choice(["rejected", "conflict", "all"]), default="all", show_default=True)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with the events.")
@connection_options("query")
def list_(
    event_ids: tuple[str, ...],
    reasons: tuple[str, ...],
    since: str | None,
    until: str | None,
    verdict: str,
    limit: int,
    as_json: bool,
    **connection: Any,
) -> None:
    """List refused events, newest first: when, verdict, id, kind, why, and the API key that sent it."""
    from tributary.event.v1.verdict_pb2 import Verdict
    from tributary.query.v1.query_service_pb2 import ListRefusalsRequest

    request = ListRefusalsRequest(event_ids=event_ids, reason_codes=reason_codes(reasons))
    if verdict != "all":
        request.verdict = Verdict.Value(f"VERDICT_{verdict.upper()}")
    limit_time(request, since, until)
    found: list[Refusal] = []
    with calling_query(connection) as (stub, metadata):
        while len(found) < limit:
            request.page_size = min(limit - len(found), _MAX_PAGE)
            answer = stub.ListRefusals(request, timeout=_CALL_SECONDS, metadata=metadata)
            found += answer.refusals
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
    if as_json:
        from google.protobuf import json_format

        print_json([json_format.MessageToDict(refusal, preserving_proto_field_name=True) for refusal in found])
        return
    console = output()
    for refusal in found:
        console.print(_line(refusal), markup=False)
    if not found:
        console.print("Nothing was refused that meets this.")


def _line(refusal: Refusal) -> str:
    from tributary.event.v1.verdict_pb2 import ReasonCode, Verdict

    parts = [
        refusal.refuse_time.ToJsonString(),
        Verdict.Name(refusal.verdict).removeprefix("VERDICT_"),
        refusal.event_id or "-",
        refusal.event.WhichOneof("kind") or "-",
    ]
    for reason in refusal.reasons:
        code = ReasonCode.Name(reason.code).removeprefix("REASON_CODE_")
        parts.append(f"{code} {reason.field}: {reason.message}" if reason.field else f"{code}: {reason.message}")
    if refusal.api_key_id:
        parts.append(f"key {refusal.api_key_id}")
    return "  ".join(parts)
