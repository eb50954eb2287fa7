"""`tributary deliveries`: how destinations are doing, what was sent where and what came of it, and sending again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tributary_cli.console import messages, output, print_json
from tributary_cli.delivery_filters import delivery_filter, filter_options
from tributary_cli.delivery_funnel import funnel
from tributary_cli.delivery_lines import Doubt, delivery_line, destination_line, next_steps, replay_line, step_line
from tributary_cli.query_calls import calling_query
from tributary_cli.rpc import connection_options

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tributary.delivery.v1.delivery_pb2 import Delivery
    from tributary.delivery.v1.delivery_service_pb2 import DestinationStatus
    from tributary.query.v1.query_service_pb2 import ReplayDeliveriesRequest, ReplayDeliveriesResponse
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

_CALL_SECONDS = 60.0
_MOST_PER_PAGE = 1_000


@click.group()
def deliveries() -> None:
    """Look at what was sent to destinations, try them out, pause and resume them, and send again what was given up.

    Trying out, pausing, resuming and sending again need an API key with the scope `admin`.
    """


@deliveries.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def destinations(*, as_json: bool, **connection: Any) -> None:
    """List destinations: whether they are paused and why, what waits, what is dead, and the last outcome."""
    from tributary.query.v1.query_service_pb2 import ListDestinationsRequest

    request = ListDestinationsRequest()
    found: list[DestinationStatus] = []
    with calling_query(connection) as (stub, metadata):
        while True:
            answer = stub.ListDestinations(request, timeout=_CALL_SECONDS, metadata=metadata)
            found += answer.destinations
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        doubts = [Doubt.NONE if as_json else _doubt(stub, one, metadata) for one in found]
    if as_json:
        print_json([_as_dict(one) for one in found])
        return
    for one, doubt in zip(found, doubts, strict=True):
        _show(one, doubt)
    if not found:
        output().print("The workspace has no destinations.")


@deliveries.command()
@click.argument("destination")
@click.option("--code", default="", metavar="CODE", help="Of the test view of Meta, TikTok or Reddit: shows there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def test(destination: str, *, code: str, as_json: bool, **connection: Any) -> None:
    """Call DESTINATION once, in a way that counts nothing, and say step by step what was found.

    Settings, credential, token, whether it is reached, what it answers; and what to do where something is wrong.
    Nothing is stored; a webhook gets a signed message of type destination.test. No secret is shown.

    Exit status: 0 nothing is wrong, 1 something is.
    """
    from tributary.query.v1.query_service_pb2 import TestDestinationRequest

    request = TestDestinationRequest(destination_id=destination, test_code=code)
    with calling_query(connection) as (stub, metadata):
        answer = stub.TestDestination(request, timeout=_CALL_SECONDS, metadata=metadata)
    if as_json:
        print_json(_as_dict(answer))
    else:
        for step in answer.steps:
            output().print(step_line(step), markup=False)
        if answer.next_step:
            output().print(f"Next: {answer.next_step}", style="yellow", markup=False)
    if not answer.passed:
        raise click.exceptions.Exit(1)


@deliveries.command()
@click.argument("destination")
@click.option("--why", default="", metavar="TEXT", help="Shown with the destination. No personal data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def pause(destination: str, why: str, *, as_json: bool, **connection: Any) -> None:
    """Let nobody call DESTINATION until it is resumed; what is to be sent waits."""
    from tributary.query.v1.query_service_pb2 import PauseDestinationRequest

    request = PauseDestinationRequest(destination_id=destination, reason=why)
    with calling_query(connection) as (stub, metadata):
        answer = stub.PauseDestination(request, timeout=_CALL_SECONDS, metadata=metadata)
    if as_json:
        print_json(_as_dict(answer.destination))
        return
    output().print(destination_line(answer.destination), markup=False)


@deliveries.command()
@click.argument("destination")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def resume(destination: str, *, as_json: bool, **connection: Any) -> None:
    """End every pause of DESTINATION but one of workspaces.yaml, which this cannot end.

    What waits because its settings were to blame is sent at once, after what came meanwhile.

    Exit status: 0 it is called again, 1 workspaces.yaml pauses it.
    """
    from tributary.query.v1.query_service_pb2 import ResumeDestinationRequest

    request = ResumeDestinationRequest(destination_id=destination)
    with calling_query(connection) as (stub, metadata):
        answer = stub.ResumeDestination(request, timeout=_CALL_SECONDS, metadata=metadata)
        doubt = Doubt.NONE if as_json else _doubt(stub, answer.destination, metadata)
    if as_json:
        print_json(_as_dict(answer.destination))
    else:
        _show(answer.destination, doubt)
    if answer.destination.paused:
        raise click.exceptions.Exit(1)


@deliveries.command("list")
@click.argument("conversion_ids", nargs=-1, metavar="[CONVERSION]...")
@filter_options
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def list_(conversion_ids: tuple[str, ...], *, limit: int, as_json: bool, **asked: Any) -> None:
    """List deliveries, last attempted first: to where, what, what came of it, and why.

    What waits comes first, also what nobody has looked at yet, with when it is due: of a CONVERSION that is named, and
    with --state PENDING of all.
    """
    from tributary.query.v1.query_service_pb2 import ListDeliveriesRequest

    request = ListDeliveriesRequest(filter=delivery_filter(conversion_ids, asked))
    found: list[Delivery] = []
    waiting: list[Delivery] = []
    with calling_query(asked) as (stub, metadata):
        while (left := limit - len(found) - len(waiting)) > 0:
            request.page_size = min(left, _MOST_PER_PAGE)
            answer = stub.ListDeliveries(request, timeout=_CALL_SECONDS, metadata=metadata)
            found += answer.deliveries
            waiting += answer.waiting
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
    told = {(one.destination_id, one.conversion_id) for one in found if one.HasField("due_time")}
    queued = {(one.destination_id, one.conversion_id): one for one in waiting}  # what was due anew was met again
    found = ([one for name, one in queued.items() if name not in told] + found)[:limit]
    if as_json:
        print_json([_as_dict(one) for one in found])
        return
    for one in found:
        output().print(delivery_line(one), markup=False)
    if not found:
        output().print("No delivery meets this.")


@deliveries.command()
@click.argument("conversion_ids", nargs=-1, metavar="[CONVERSION]...")
@filter_options
@click.option("--risk-duplicates", is_flag=True, help="Also those that the destination may have taken already.")
@click.option("--dry-run", is_flag=True, help="Only say how many would be sent.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def replay(
    conversion_ids: tuple[str, ...],
    *,
    risk_duplicates: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Send again what was given up, or what --state and --reason choose, as the conversion is now.

    A destination that has a revision is not sent it again. How many there are is said first, and you are asked.

    Exit status: 0 all are planned or wait already, 1 some are left out because the destination may have them.
    """
    from tributary.query.v1.query_service_pb2 import ReplayDeliveriesRequest

    chosen = delivery_filter(conversion_ids, asked)
    if not chosen.ListFields():
        raise click.UsageError(
            "Choose deliveries: by CONVERSION, --destination, --state, --error, --reason, --since or --until."
        )
    request = ReplayDeliveriesRequest(filter=chosen, dry_run=True, risk_duplicates=risk_duplicates)
    with calling_query(asked) as (stub, metadata):
        answer = _replayed(stub, request, metadata)
        if answer.matched > answer.uncertain and not dry_run:
            if answer.planned and not yes:
                messages().print(replay_line(answer, "would be"), style="dim", markup=False)
                click.confirm("Send them again?", abort=True, err=True)
            request.dry_run = False
            answer = _replayed(stub, request, metadata)
    if as_json:
        print_json(_as_dict(answer))
    else:
        output().print(replay_line(answer, "would be" if dry_run else "are"), markup=False)
        if answer.uncertain:
            hint = "Nobody knows whether their destination took the others: --risk-duplicates sends them too."
            output().print(hint, style="yellow", markup=False)
    if answer.uncertain:
        raise click.exceptions.Exit(1)


def _replayed(stub: QueryServiceStub, request: ReplayDeliveriesRequest, metadata: Any) -> ReplayDeliveriesResponse:
    """Asks for all of it, however many calls that takes; returns the sums."""
    from tributary.query.v1.query_service_pb2 import ReplayDeliveriesResponse

    total, asked = ReplayDeliveriesResponse(), type(request)()
    asked.CopyFrom(request)
    while True:
        answer = stub.ReplayDeliveries(asked, timeout=_CALL_SECONDS, metadata=metadata)
        total.matched += answer.matched
        total.planned += answer.planned
        total.uncertain += answer.uncertain
        total.waiting += answer.waiting
        asked.page_token = answer.next_page_token
        if not asked.page_token:
            return total


def _doubt(stub: QueryServiceStub, one: DestinationStatus, metadata: Any) -> Doubt:
    """Returns of how many kinds the dead letters of a destination are: what `replay` would do with them."""
    from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN, OutcomeClass
    from tributary.query.v1.query_service_pb2 import ListDeliveriesRequest

    def are_there(outcomes: list[OutcomeClass.ValueType]) -> bool:
        request = ListDeliveriesRequest(page_size=1)
        request.filter.destination_id = one.destination_id
        request.filter.states.append(DELIVERY_STATE_DEAD)
        request.filter.outcomes.extend(outcomes)
        return bool(stub.ListDeliveries(request, timeout=_CALL_SECONDS, metadata=metadata).deliveries)

    if not one.dead or not are_there([OUTCOME_CLASS_UNKNOWN]):
        return Doubt.NONE
    others = [kind for kind in OutcomeClass.values() if kind not in (0, OUTCOME_CLASS_UNKNOWN)]
    return Doubt.SOME if are_there(others) else Doubt.ALL


def _show(one: DestinationStatus, doubt: Doubt) -> None:
    output().print(destination_line(one), markup=False)
    for step in next_steps(one, doubt):
        output().print(f"  Next: {step}", style="yellow", markup=False)


def _as_dict(message: Message) -> dict[str, Any]:
    from google.protobuf import json_format

    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


deliveries.add_command(funnel)
