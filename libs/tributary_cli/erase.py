"""`tributary erase`: erasing a person, after saying what that destroys; and proving that nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_cli.console import output
from tributary_cli.identity import print_document
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import connection_options, explain_call, metadata_of, open_channel

if TYPE_CHECKING:
    from tributary.attribution.v1.erasure_pb2 import Erasure

_CALL_SECONDS = 300.0


@click.command()
@click.option("--person-id", help="By person id, p1:...")
@click.option("--customer-id", help="By customer id.")
@click.option("--visitor-id", help="By visitor id.")
@click.option("--email", help="By e-mail address, plain.")
@click.option("--phone", help="By phone number, plain.")
@click.option("--erasure-id", help="Say how far an erasure is, instead of making one.")
@click.option("--mode", type=click.Choice(["sever", "remove"]), help="What stays; default: as the workspace says.")
@click.option("--reason", default="", help="Why, for people; no personal data.")
@click.option("--yes", is_flag=True, help="Do it. Without this it is only said what would be destroyed.")
@click.option("--verify", is_flag=True, help="Exit with 1 if anything of the person is found.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def erase(
    person_id: str | None,
    customer_id: str | None,
    visitor_id: str | None,
    email: str | None,
    phone: str | None,
    erasure_id: str | None,
    mode: str | None,
    reason: str,
    yes: bool,
    verify: bool,
    as_json: bool,
    target: str | None,
    api_key: str | None,
    tls: bool,
    data: Path,
) -> None:
    """Erase a person: keys, identifiers, journey, consent, URLs. What they bought stays in totals, unless told so.

    Without --yes it is a dry run, and what it finds after an erasure is the proof. The API key needs the scope `admin`.
    """
    from tributary.dedup.v1.decision_pb2 import ErasureMode
    from tributary.event.v1.identifiers_pb2 import Identifiers
    from tributary.query.v1.query_service_pb2 import ErasePersonRequest, GetErasureRequest

    named = {"customer_id": customer_id, "visitor_id": visitor_id, "email": email, "phone": phone}
    named = {name: value for name, value in named.items() if value}
    if bool(person_id) + bool(named) + bool(erasure_id) != 1:
        raise click.UsageError("Name a person: --person-id, or identifiers; or an erasure: --erasure-id.")
    if yes and (verify or erasure_id):
        raise click.UsageError("--yes erases; --verify and --erasure-id only look.")
    request: Any
    if erasure_id:
        method, request = "GetErasure", GetErasureRequest(erasure_id=erasure_id)
    else:
        method, request = "ErasePerson", ErasePersonRequest(reason=reason, dry_run=not yes)
        if mode:
            request.mode = ErasureMode.Value(f"ERASURE_MODE_{mode.upper()}")
        if person_id:
            request.person_id = person_id
        else:
            request.identifiers.CopyFrom(Identifiers(**named))  # type: ignore[arg-type]
    answer = _call(method, request, resolve_target(target, "query", data), resolve_api_key(api_key, data), tls=tls)
    if as_json:
        print_document(answer)
    else:
        _print(answer.erasure, is_dry_run=not yes and not erasure_id)
    if verify and any(answer.erasure.remaining.values()):
        raise SystemExit(1)


def _call(method: str, request: Any, address: str, api_key: str, *, tls: bool) -> Any:
    import grpc  # heavy: only who asks pays

    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    try:
        with open_channel(address, tls=tls) as channel:
            ask = getattr(QueryServiceStub(channel), method)
            return ask(request, timeout=_CALL_SECONDS, metadata=metadata_of(api_key))
    except grpc.RpcError as error:
        raise explain_call(error, address) from error


def _print(erasure: Erasure, *, is_dry_run: bool) -> None:
    from tributary.attribution.v1.erasure_pb2 import ErasureState
    from tributary.dedup.v1.decision_pb2 import ErasureMode

    console = output()
    mode = ErasureMode.Name(erasure.mode).removeprefix("ERASURE_MODE_").lower()
    if is_dry_run:
        console.print(f"dry run: {erasure.identifiers} identifiers, mode {mode}; --yes does it", markup=False)
        if erasure.kept_in_closed_books:
            console.print(
                f"stays: what closed books have of {erasure.kept_in_closed_books} conversions, naming nobody; "
                "it is taken back on the first open day",
                markup=False,
            )
        if unlinked := erasure.remaining["unlinked_identifiers"]:
            console.print(
                f"stays: what is under {unlinked} identifiers that the person's events name and that are not linked "
                "with the person; each can be erased by itself",
                markup=False,
            )
        if erasure.remaining["waiting_orders"] and erasure.mode != ErasureMode.ERASURE_MODE_REMOVE:
            console.print(
                f"refused until they are released or rejected: {erasure.remaining['waiting_orders']} orders that wait "
                "in quarantine for their amount alone (`tributary quarantine list`)",
                markup=False,
            )
    else:
        state = ErasureState.Name(erasure.state).removeprefix("ERASURE_STATE_").lower()
        console.print(f"{erasure.erasure_id}  {state}  {erasure.identifiers} identifiers, mode {mode}", markup=False)
        if erasure.state != ErasureState.ERASURE_STATE_FINISHED:
            console.print(f"`tributary erase --erasure-id {erasure.erasure_id}` says how far it is.", markup=False)
    if erasure.severed_before:
        console.print(
            f"stays: {erasure.severed_before} conversions in totals, naming nobody; an earlier erasure of the person, "
            "with mode sever, had begun to sever them",
            markup=False,
        )
    for word, counts in (("destroyed", erasure.destroyed), ("found", erasure.remaining)):
        shown = ", ".join(f"{counts[name]} {name}" for name in sorted(counts) if counts[name])
        if counts:
            console.print(f"{word}: {shown or 'nothing'}", markup=False)
