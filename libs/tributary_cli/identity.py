"""`tributary identity`: who is one person, how that came, and taking it back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_cli.console import output, print_json
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import connection_options, explain_call, metadata_of, open_channel

if TYPE_CHECKING:
    from tributary.attribution.v1.identity_pb2 import IdentifiedPerson, IdentityChange
    from tributary.attribution.v1.journey_pb2 import Beginning
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

_CALL_SECONDS = 60.0


@click.group()
def identity() -> None:
    """Look at who is one person, and take merges back. The API key needs the scope `admin`."""


@identity.command()
@click.option("--person-id", help="By person id, p1:...; of before a merge too.")
@click.option("--customer-id", help="By customer id.")
@click.option("--visitor-id", help="By visitor id.")
@click.option("--email", help="By e-mail address, plain.")
@click.option("--phone", help="By phone number, plain.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def show(
    person_id: str | None,
    customer_id: str | None,
    visitor_id: str | None,
    email: str | None,
    phone: str | None,
    as_json: bool,
    target: str | None,
    api_key: str | None,
    tls: bool,
    data: Path,
) -> None:
    """Show who an identifier is: the person and how it began, who is connected with it, every merge and split."""
    from tributary.event.v1.identifiers_pb2 import Identifiers
    from tributary.query.v1.query_service_pb2 import GetIdentityRequest

    named = {"customer_id": customer_id, "visitor_id": visitor_id, "email": email, "phone": phone}
    named = {name: value for name, value in named.items() if value}
    if bool(person_id) == bool(named):
        raise click.UsageError("Name a person: --person-id, or one of the identifiers.")
    request = GetIdentityRequest(
        **({"person_id": person_id} if person_id else {"identifiers": Identifiers(**named)})  # type: ignore[arg-type]
    )
    answer = _call(
        lambda stub, metadata: stub.GetIdentity(request, timeout=_CALL_SECONDS, metadata=metadata),
        resolve_target(target, "query", data),
        resolve_api_key(api_key, data),
        tls=tls,
    )
    if as_json:
        print_document(answer)
        return
    found = answer.identity
    console = output()
    console.print(_person(found.person), markup=False)
    if found.refused or found.flagged:
        word = "too many to prove anything" if found.refused else "suspiciously many"
        console.print(f"{word} identifiers are connected", style="yellow")
    _print_beginning(found.beginning)
    for person in found.connected:
        console.print(f"connected: {_person(person)}", markup=False)
    _print_changes(found.changes)


@identity.command()
@click.argument("change_id", metavar="CHANGE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def unmerge(change_id: str, as_json: bool, target: str | None, api_key: str | None, tls: bool, data: Path) -> None:
    """Take a merge or split back, by the id that `show` prints, for good; and credit again what it touched.

    It may be called again. What it did can be taken back in turn: it is a change too.
    """
    from tributary.query.v1.query_service_pb2 import UndoIdentityChangeRequest

    request = UndoIdentityChangeRequest(change_id=change_id)
    answer = _call(
        lambda stub, metadata: stub.UndoIdentityChange(request, timeout=_CALL_SECONDS, metadata=metadata),
        resolve_target(target, "query", data),
        resolve_api_key(api_key, data),
        tls=tls,
    )
    if as_json:
        print_document(answer)
    elif answer.changes:
        _print_changes(answer.changes)
    else:
        output().print("Nothing to change: it was taken back already.")


def print_document(answer: Any) -> None:
    """Prints an answer as one JSON document, in the protobuf JSON mapping."""
    from google.protobuf import json_format

    print_json(json_format.MessageToDict(answer, preserving_proto_field_name=True))


def _call(ask: Callable[[QueryServiceStub, Any], Any], address: str, api_key: str, *, tls: bool) -> Any:
    import grpc  # heavy: only who asks pays

    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    try:
        with open_channel(address, tls=tls) as channel:
            return ask(QueryServiceStub(channel), metadata_of(api_key))
    except grpc.RpcError as error:
        raise explain_call(error, address) from error


def _person(person: IdentifiedPerson) -> str:
    return f"{person.person_id}  {' '.join(person.identity_tokens)}"


def _print_beginning(beginning: Beginning) -> None:
    from tributary.event.v1.touchpoint_pb2 import TouchpointKind

    console = output()
    if beginning.HasField("touchpoint"):
        first = beginning.touchpoint
        kind = TouchpointKind.Name(first.kind).removeprefix("TOUCHPOINT_KIND_")
        origin = " ".join(filter(None, (first.source.channel, first.source.source, first.source.campaign)))
        console.print(
            f"acquired: {first.event_time.ToJsonString()}  {kind}  {origin or 'source forgotten'}", markup=False
        )
    for one in beginning.conversions:
        name = one.conversion_name or "name forgotten"
        console.print(f"first {name}: {one.event_time.ToJsonString()}  {one.conversion_id}", markup=False)


def _print_changes(changes: Iterable[IdentityChange]) -> None:
    from tributary.attribution.v1.identity_pb2 import IdentityChangeKind

    console = output()
    for change in changes:
        kind = IdentityChangeKind.Name(change.kind).removeprefix("IDENTITY_CHANGE_KIND_")
        undone = f" of {change.undone_change_id}" if change.undone_change_id else ""
        console.print(
            f"{change.change_id}  {change.change_time.ToJsonString()}  {kind}{undone}  by {change.causing_event_id}",
            markup=False,
        )
        for word, people in (("before", change.before), ("after ", change.after)):
            for person in people:
                console.print(f"  {word} {_person(person)}", markup=False)
