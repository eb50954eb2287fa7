"""`tributary lookup`: what became of event ids."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tributary_cli.console import output, print_json
from tributary_cli.errors import CommandError
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import connection_options, explaining_calls, metadata_of, open_channel

if TYPE_CHECKING:
    from tributary.dedup.v1.event_fate_pb2 import EventFate

_CALL_SECONDS = 60.0
_IDS_PER_CALL = 1_000


@click.command()
@click.argument("event_ids", nargs=-1, metavar="ID...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def lookup(
    event_ids: tuple[str, ...], as_json: bool, target: str | None, api_key: str | None, tls: bool, data: Path
) -> None:
    """Say what became of event ids: verdict, first accept time, conversion, refusals.

    With `-` as the only ID, they are read from standard input, one a line.
    """
    ids = _read_ids() if event_ids == ("-",) else list(event_ids)
    if not ids:
        raise click.UsageError("Name at least one event id, or `-` to read them from standard input.")
    if not all(_is_text(event_id) for event_id in ids):
        raise CommandError("An event id is no UTF-8 text; no event has such an id.")
    fates = _ask(ids, resolve_target(target, "query", data), resolve_api_key(api_key, data), tls=tls)
    if as_json:
        from google.protobuf import json_format

        print_json([json_format.MessageToDict(fate, preserving_proto_field_name=True) for fate in fates])
        return
    console = output()
    for fate in fates:
        console.print(_line(fate), markup=False)


def _read_ids() -> list[str]:
    """Returns the lines of standard input: ids as they are, blanks around them are part of them."""
    lines = sys.stdin.buffer.read().decode(errors="surrogateescape").split("\n")
    return [event_id for line in lines if (event_id := line.removesuffix("\r"))]


def _is_text(event_id: str) -> bool:
    try:
        event_id.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ask(ids: list[str], address: str, api_key: str, *, tls: bool) -> list[EventFate]:
    from tributary.query.v1.query_service_pb2 import LookupEventsRequest
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    found: list[EventFate] = []
    with explaining_calls(address), open_channel(address, tls=tls) as channel:
        stub = QueryServiceStub(channel)
        for start in range(0, len(ids), _IDS_PER_CALL):
            request = LookupEventsRequest(event_ids=ids[start : start + _IDS_PER_CALL])
            found += stub.LookupEvents(request, timeout=_CALL_SECONDS, metadata=metadata_of(api_key)).fates
    return found


def _line(fate: EventFate) -> str:
    from tributary.dedup.v1.quarantine_pb2 import QuarantineAction
    from tributary.event.v1.verdict_pb2 import ReasonCode, Verdict

    parts = [fate.event_id, Verdict.Name(fate.verdict).removeprefix("VERDICT_") if fate.verdict else "UNKNOWN"]
    if fate.HasField("first_accept_time"):
        about = "about " if fate.is_time_rounded else ""
        parts.append(f"{about}{fate.first_accept_time.ToJsonString()}")
    if fate.conversion_id:
        parts.append(fate.conversion_id)
    codes = [*fate.reason_codes, *[reason.code for refusal in fate.refusals[:1] for reason in refusal.reasons]]
    if codes:
        parts.append(", ".join(ReasonCode.Name(code).removeprefix("REASON_CODE_") for code in dict.fromkeys(codes)))
    if fate.refusals:
        parts.append(f"refused {len(fate.refusals)} times" if len(fate.refusals) > 1 else "refused once")
    for decision in fate.quarantine_decisions:
        word = QuarantineAction.Name(decision.action).removeprefix("QUARANTINE_ACTION_")
        parts.append(f"{word} at {decision.decide_time.ToJsonString()} by {decision.decided_by}")
    return "  ".join(parts)
