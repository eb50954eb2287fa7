"""`tributary quarantine`: what waits, why, and letting it in or keeping it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tributary_cli.console import messages, output, print_json
from tributary_cli.list_filters import limit_time, reason_codes
from tributary_cli.query_calls import calling_query
from tributary_cli.rpc import connection_options

if TYPE_CHECKING:
    from tributary.dedup.v1.quarantine_pb2 import QuarantineOutcome
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub
    from tributary.query.v1.refusal_pb2 import QuarantinedEvent

_CALL_SECONDS = 60.0
_IDS_PER_CALL = 1_000
_DRY_RUN_HELP = (
    "Only say what would come of it; how events of one order bear on each other is told within each 1 000 events."
)
_DONE = frozenset({"RELEASED", "MERGED", "REJECTED", "ALREADY_DECIDED"})
_NEXT_STEPS = {
    "CONFLICT": "Its order is known with another value: send the change as an adjustment.",
    "NOT_QUARANTINED": "It counts, or has counted since its release: take it back with an adjustment.",
    "NOT_FOUND": "Nothing is recorded under this id; `tributary lookup` says what is known of it.",
    "UNDECIDED": "The event log could not decide; give the same command again, nothing is done twice.",
}

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _filters(command: _Command) -> _Command:
    """Adds the options that choose events."""
    for option in (
        click.option("--name", "names", multiple=True, metavar="NAME", help="Only conversions of this name; repeat."),
        click.option("--until", metavar="TIME", help="Up to this day, included, or moment, of the event's time, UTC."),
        click.option("--since", metavar="TIME", help="From this day or moment on. [31 days before --until]"),
        click.option("--reason", "reasons", multiple=True, metavar="CODE", help="Only of this reason; repeat."),
    ):
        command = option(command)
    return command


@click.group()
def quarantine() -> None:
    """Look at quarantined events, let them in, or keep them out.

    A quarantined event is stored and earns nothing. Releasing or rejecting needs an API key with the scope `admin`.
    """


@quarantine.command("list")
@click.argument("event_ids", nargs=-1, metavar="[ID]...")
@_filters
@click.option("--state", type=click.Choice(["waiting", "rejected", "all"]), default="waiting", show_default=True)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@connection_options("query")
def list_(
    event_ids: tuple[str, ...],
    reasons: tuple[str, ...],
    names: tuple[str, ...],
    since: str | None,
    until: str | None,
    state: str,
    limit: int,
    as_json: bool,
    **connection: Any,
) -> None:
    """List quarantined events, newest first: when, id, kind, why, and what was decided."""
    from tributary.query.v1.query_service_pb2 import ListQuarantinedEventsRequest
    from tributary.query.v1.refusal_pb2 import QuarantineState

    request = ListQuarantinedEventsRequest(
        event_ids=event_ids, reason_codes=reason_codes(reasons), conversion_names=names
    )
    if state != "all":
        request.state = QuarantineState.Value(f"QUARANTINE_STATE_{state.upper()}")
    limit_time(request, since, until)
    found: list[QuarantinedEvent] = []
    with calling_query(connection) as (stub, metadata):
        while len(found) < limit:
            request.page_size = min(limit - len(found), 1_000)
            answer = stub.ListQuarantinedEvents(request, timeout=_CALL_SECONDS, metadata=metadata)
            found += answer.events
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
    if as_json:
        from google.protobuf import json_format

        print_json([json_format.MessageToDict(event, preserving_proto_field_name=True) for event in found])
        return
    console = output()
    for event in found:
        console.print(_line(event), markup=False)
    if not found:
        console.print("Nothing is quarantined that meets this.")


def _deciding(command: _Command) -> _Command:
    """Adds what a release and a rejection are told alike."""
    for option in (
        connection_options("query"),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("--yes", is_flag=True, help="Do not ask first, whatever meets the options."),
        click.option("--dry-run", is_flag=True, help=_DRY_RUN_HELP),
        click.option("--why", default="", metavar="TEXT", help="Kept with the decision. No personal data."),
        _filters,
        click.option("--all", "everything", is_flag=True, help="All that wait, whatever their age."),
        click.argument("event_ids", nargs=-1, metavar="[ID]..."),
    ):
        command = option(command)
    return command


@quarantine.command()
@_deciding
def release(**asked: Any) -> None:
    """Let events in: by ID, or all that wait and meet the options.

    They count from now on as if they had been accepted when they came; credit and deliveries follow. For good: what
    should not have counted is taken back with an adjustment. It may be called again: nothing is released twice. What
    options choose is counted and shown first, and you are asked.

    Exit status: 0 all are released, 1 some are not.
    """
    _decide("RELEASE", **asked)


@quarantine.command()
@_deciding
def reject(**asked: Any) -> None:
    """Keep events out: by ID, or all that wait and meet the options.

    They stay stored, earn nothing, and no longer wait. They can be released later all the same. What options choose is
    counted and shown first, and you are asked.

    Exit status: 0 all are rejected, 1 some are not.
    """
    _decide("REJECT", **asked)


def _decide(
    action: str,
    event_ids: tuple[str, ...],
    everything: bool,
    reasons: tuple[str, ...],
    names: tuple[str, ...],
    since: str | None,
    until: str | None,
    why: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **connection: Any,
) -> None:
    from tributary.dedup.v1.quarantine_pb2 import QuarantineAction
    from tributary.query.v1.query_service_pb2 import DecideQuarantinedEventsRequest

    has_filter = bool(everything or reasons or names or since or until)
    if has_filter == bool(event_ids):
        message = "Name events by ID, or choose them with --all, --reason, --name, --since, --until: one of the two."
        raise click.UsageError(message)
    request = DecideQuarantinedEventsRequest(
        action=QuarantineAction.Value(f"QUARANTINE_ACTION_{action}"),
        reason_codes=reason_codes(reasons),
        conversion_names=names,
        all=everything,
        reason=why,
        validate_only=True,
        page_size=_IDS_PER_CALL,
    )
    limit_time(request, since, until)
    outcomes: list[QuarantineOutcome] = []
    with calling_query(connection) as (stub, metadata):
        if has_filter:
            outcomes += _all_that_meet(stub, request, metadata)
            event_ids = () if dry_run else tuple(outcome.event_id for outcome in outcomes)
            if event_ids and not yes:
                _say(f"Would be: {_counts(outcomes)}.")
                click.confirm(f"{action.capitalize()} them?", abort=True, err=True)
        if event_ids:  # what was shown and nothing else, whatever came in meanwhile
            named = DecideQuarantinedEventsRequest(action=request.action, reason=why, validate_only=dry_run)
            outcomes = list(_by_id(stub, named, event_ids, metadata))
    _show(outcomes, dry_run=dry_run, as_json=as_json)
    if any(_result(outcome) not in _DONE for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _by_id(stub: QueryServiceStub, request: Any, event_ids: tuple[str, ...], metadata: Any) -> Iterator[Any]:
    for start in range(0, len(event_ids), _IDS_PER_CALL):
        request.event_ids[:] = event_ids[start : start + _IDS_PER_CALL]
        yield from stub.DecideQuarantinedEvents(request, timeout=_CALL_SECONDS, metadata=metadata).outcomes
        if len(event_ids) > _IDS_PER_CALL:
            _say(f"{min(start + _IDS_PER_CALL, len(event_ids))} of {len(event_ids)} events decided on")


def _all_that_meet(stub: QueryServiceStub, request: Any, metadata: Any) -> Iterator[Any]:
    """Yields what would come of all events of a filter; says how far it is, where they are many."""
    done = 0
    while True:
        answer = stub.DecideQuarantinedEvents(request, timeout=_CALL_SECONDS, metadata=metadata)
        yield from answer.outcomes
        done += len(answer.outcomes)
        request.page_token = answer.next_page_token
        if not request.page_token:
            return
        _say(f"{done} events looked at")


def _say(text: str) -> None:
    messages().print(text, style="dim", markup=False)


def _counts(outcomes: list[QuarantineOutcome]) -> str:
    return ", ".join(f"{count} {result}" for result, count in sorted(Counter(map(_result, outcomes)).items()))


def _show(outcomes: list[QuarantineOutcome], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        from google.protobuf import json_format

        print_json([json_format.MessageToDict(one, preserving_proto_field_name=True) for one in outcomes])
        return
    console = output()
    for one in outcomes:
        parts = [one.event_id, _result(one), one.kind, one.conversion_id]
        console.print("  ".join(filter(None, parts)), markup=False)
    counts, told = Counter(map(_result, outcomes)), _counts(outcomes)
    console.print((f"Would be: {told}." if dry_run else f"{told}.") if told else "Nothing waits that meets this.")
    for result, step in _NEXT_STEPS.items():
        if counts[result]:
            console.print(f"{result}: {step}", style="yellow", markup=False)


def _result(outcome: QuarantineOutcome) -> str:
    from tributary.dedup.v1.quarantine_pb2 import QuarantineResult

    return QuarantineResult.Name(outcome.result).removeprefix("QUARANTINE_RESULT_")


def _line(event: QuarantinedEvent) -> str:
    from tributary.dedup.v1.quarantine_pb2 import QuarantineAction
    from tributary.event.v1.verdict_pb2 import ReasonCode

    codes = dict.fromkeys(ReasonCode.Name(reason.code).removeprefix("REASON_CODE_") for reason in event.reasons)
    parts = [event.event.event_time.ToJsonString(), event.event_id, event.event.WhichOneof("kind") or "-"]
    parts += [", ".join(codes), event.conversion_id]
    for decision in event.decisions:
        word = QuarantineAction.Name(decision.action).removeprefix("QUARANTINE_ACTION_")
        parts.append(
            f"{word} by {decision.decided_by} at {decision.decide_time.ToJsonString()} {decision.reason}".strip()
        )
    return "  ".join(filter(None, parts))
