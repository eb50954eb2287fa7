"""`tributary reconcile`: recompute days from raw events, show what differs, repair it, look after findings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_cli.console import output, print_json
from tributary_cli.errors import CommandError
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.report_times import read_zone
from tributary_cli.rpc import connection_options, explain_call, metadata_of, open_channel
from tributary_domain.findings import RECONCILIATION_GRACE_SECONDS
from tributary_runtime.clock import SystemClock

if TYPE_CHECKING:
    from tributary.attribution.v1.finding_pb2 import Finding
    from tributary.attribution.v1.reconciliation_pb2 import Reconciliation

_CALL_SECONDS = 60.0
_POLL_SECONDS = 0.5
_UNFINISHED = 3
"""The exit status of a run that was not brought to its end, or not begun."""
_STATES = ("OPEN", "ACKNOWLEDGED", "RESOLVED")


class _Run(click.Command):
    """Ends with `_UNFINISHED` whatever fails: what other commands end with then says what was found."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Reads the command line."""
        with _unfinished():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs."""
        with _unfinished():
            return super().invoke(ctx)


@contextmanager
def _unfinished() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        error.exit_code = _UNFINISHED  # type: ignore[misc]  # click asks the instance
        raise
    except CommandError as error:
        error.exit_status = _UNFINISHED
        raise


@click.group()
def reconcile() -> None:
    """Recompute days from raw events and compare with what is stored. Needs a key with the scope `admin`."""


@reconcile.command(cls=_Run)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day. Default: as --days says.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="First day after. Default: tomorrow.")
@click.option("--days", type=click.IntRange(1, 18_250), default=2, show_default=True, help="How many days.")
@click.option("--time-zone", metavar="NAME", help="Where days begin, as Europe/Berlin. [UTC]")
@click.option("--with-changes", is_flag=True, help="Also what came in these days may have changed, whenever that was.")
@click.option("--repair", is_flag=True, help="Repair what differs, as revisions.")
@click.option("--resume", default="", metavar="ID", help="Bring a run that was stopped to its end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def run(
    since: datetime | None,
    until: datetime | None,
    days: int,
    time_zone: str | None,
    with_changes: bool,
    repair: bool,
    resume: str,
    as_json: bool,
    **connection: Any,
) -> None:
    """Run it, and show its progress.

    Of what something came within the last minute is left to the next run: it says so, and from when on to run it.
    With --resume it waits for whoever is at the run, up to a minute for one that was killed, and goes on with it then.

    Exit status: 0 nothing is open, also where nothing was old enough to be compared; 1 something should be looked at,
    2 a promise is broken and not repaired, 3 it was stopped before its end or could not begin. What `reconcile mark`
    acknowledged is counted apart, and is no reason for 1 or 2 until a run finds it to be another amount, or more.
    """
    from tributary.attribution.v1.reconciliation_pb2 import RECONCILIATION_STATE_COMPLETE
    from tributary.query.v1 import query_service_pb2 as contract

    asked = contract.ReconcileRequest(repairs=repair, reconciliation_id=resume, with_changes=with_changes)
    if not resume:
        zone = read_zone(time_zone)
        last = until.date() if until else SystemClock().now().astimezone(zone).date() + timedelta(days=1)
        first = since.date() if since else last - timedelta(days=days)
        if not 1970 <= first.year <= last.year <= 9998:
            raise click.BadParameter("no events are of such days.", param_hint="--since / --until")
        asked.time_range.start_time.FromDatetime(datetime.combine(first, datetime.min.time(), zone))
        asked.time_range.end_time.FromDatetime(datetime.combine(last, datetime.min.time(), zone))
    console = output()
    found: Reconciliation = _call("Reconcile", asked, connection).reconciliation
    shown, may_ask_again = -1, bool(resume)
    while found.state != RECONCILIATION_STATE_COMPLETE:
        if found.finished_slices != shown and not as_json:
            shown = found.finished_slices
            console.print(f"{found.reconciliation_id}  {shown}/{found.slices} parts", markup=False)
        time.sleep(_POLL_SECONDS)
        request = contract.GetReconciliationRequest(reconciliation_id=found.reconciliation_id)
        found = _call("GetReconciliation", request, connection).reconciliation
        if found.stopped and may_ask_again:  # who was at it had ended without a word: nobody could tell until now
            may_ask_again, found = False, _call("Reconcile", asked, connection).reconciliation
        elif found.stopped:
            console.print(f"It was stopped before its end: go on with --resume {found.reconciliation_id}", markup=False)
            raise click.exceptions.Exit(_UNFINISHED)
    if as_json:
        _print_message(found)
    else:
        for name, number in sorted(found.counts.items()):
            console.print(f"{name:24} {number}", markup=False)
        for line in told(found, SystemClock().now()):
            console.print(line, markup=False)
    status = 2 if found.counts["open_errors"] else 1 if found.counts["open_warnings"] else 0
    raise click.exceptions.Exit(status)


@reconcile.command()
@click.option("--run", "run_id", default="", metavar="ID", help="Only what this run found last.")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, help="Default: OPEN.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def findings(run_id: str, states: tuple[str, ...], as_json: bool, **connection: Any) -> None:
    """List what was found."""
    from tributary.query.v1 import query_service_pb2 as contract

    listed: list[Finding] = []
    token = ""
    while True:
        names = [f"FINDING_STATE_{state}" for state in states]
        request = contract.ListFindingsRequest(reconciliation_id=run_id, page_token=token)
        request.states.extend(map(_state, names))
        answer = _call("ListFindings", request, connection)
        listed += answer.findings
        token = answer.next_page_token
        if not token:
            break
    _show(listed, as_json=as_json)
    if not listed and not as_json:
        output().print(f"No finding is {' or '.join(states or _STATES[:1]).lower()}.", markup=False)


@reconcile.command()
@click.argument("finding_ids", nargs=-1, required=True, metavar="FINDING...")
@click.option("--state", type=click.Choice(_STATES), default="ACKNOWLEDGED", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def mark(finding_ids: tuple[str, ...], state: str, as_json: bool, **connection: Any) -> None:
    """Say how far findings are dealt with. Exit status 1 if one of them does not exist; the others are marked."""
    from tributary.query.v1 import query_service_pb2 as contract

    request = contract.UpdateFindingsRequest(finding_ids=finding_ids, state=_state(f"FINDING_STATE_{state}"))
    marked = list(_call("UpdateFindings", request, connection).findings)
    _show(marked, as_json=as_json)
    if unknown := set(finding_ids) - {one.finding_id for one in marked}:
        message = f"There is no such finding: {', '.join(sorted(unknown))}."
        raise CommandError(message, "`tributary reconcile findings` lists the open ones with their ids.")


def _call(method: str, request: Any, connection: dict[str, Any]) -> Any:
    import grpc  # heavy: only who asks pays

    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    data: Path = connection["data"]
    address, api_key = resolve_target(connection["target"], "query", data), resolve_api_key(connection["api_key"], data)
    try:
        with open_channel(address, tls=connection["tls"]) as channel:
            stub = QueryServiceStub(channel)
            return getattr(stub, method)(request, timeout=_CALL_SECONDS, metadata=metadata_of(api_key))
    except grpc.RpcError as error:
        raise explain_call(error, address) from error


def _show(listed: list[Finding], *, as_json: bool) -> None:
    from google.protobuf import json_format

    from tributary.attribution.v1 import finding_pb2 as names

    if as_json:
        print_json([json_format.MessageToDict(one, preserving_proto_field_name=True) for one in listed])
        return
    console = output()
    for one in listed:
        parts = [
            one.finding_id,
            names.FindingSeverity.Name(one.severity).removeprefix("FINDING_SEVERITY_"),
            names.FindingKind.Name(one.kind).removeprefix("FINDING_KIND_"),
            names.FindingCause.Name(one.cause).removeprefix("FINDING_CAUSE_") if one.cause else "",
            names.FindingState.Name(one.state).removeprefix("FINDING_STATE_"),
            one.conversion_id or one.deal_id,
            one.message,
        ]
        console.print("  ".join(part for part in parts if part), markup=False)
        if one.expected or one.actual:
            step = f", matched by {one.match_step}" if one.match_step else ""
            console.print(
                f"    expected {one.expected or 'nothing'}; found {one.actual or 'nothing'}{step}", markup=False
            )


def told(found: Reconciliation, now: datetime) -> list[str]:
    """Returns what a run means, and what to do next.

    Args:
        found: The run.
        now: When it was complete, or later.
    """
    counts = found.counts
    lines = []
    if young := counts["too_recent"]:
        is_one, seconds = young == 1, RECONCILIATION_GRACE_SECONDS
        again = (now + timedelta(seconds=seconds + 1)).astimezone(UTC)
        lines += [
            "Nothing was compared yet." if young == counts["conversions"] else "Not everything was compared.",
            f"{'1 conversion was' if is_one else f'{young} conversions were'} too young: something of"
            f" {'it or its person' if is_one else 'them or their people'} came within the last {seconds} seconds.",
            f"A run from {again:%Y-%m-%d %H:%M:%S} UTC on compares {'it' if is_one else 'them'}, unless more comes.",
        ]
    if "crm_conversions" in counts:
        lines.append(f"{counts['crm_conversions']} conversions, {counts['crm_closed_deals']} closed deals")
    listed = f"`tributary reconcile findings --run {found.reconciliation_id}"
    if counts["open_errors"] or counts["open_warnings"]:
        lines.append(f"{listed}` lists what is open.")
    if counts["acknowledged_errors"] or counts["acknowledged_warnings"]:
        lines.append(f"{listed} --state ACKNOWLEDGED` lists what somebody has looked at.")
    return [*lines, f"{found.reconciliation_id} is complete."]


def _print_message(message: Reconciliation) -> None:
    from google.protobuf import json_format

    print_json(json_format.MessageToDict(message, preserving_proto_field_name=True))


def _state(name: str) -> Any:
    from tributary.attribution.v1.finding_pb2 import FindingState

    return FindingState.Value(name)
