"""`tributary deliveries funnel`: what became of conversions at each destination, from captured to reported.

The one rule: what is shown adds up, and what did not get further stands with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_cli.console import output, print_json
from tributary_cli.query_calls import calling_query
from tributary_cli.report_times import read_span
from tributary_cli.rpc import connection_options

if TYPE_CHECKING:
    from tributary.query.v1.delivery_funnel_pb2 import DeliveryFunnelRow

_CALL_SECONDS: Final = 60.0
_STAGES: Final = ("captured", "consented", "eligible", "sent", "accepted", "adjusted", "reported_taken")
_LEFT: Final = (
    *("waiting", "without_consent", "ineligible", "unsent", "rejected", "retrying", "withdrawn"),
    *("not_correctable", "reported_rejected", "reported_unclear", "unreported"),
)
"""Why a stage is smaller than the one before, in their order; and what is wrong with those that were accepted."""


@click.command()
@click.option("--until", metavar="TIME", help="Up to this day, included, UTC.")
@click.option("--since", metavar="TIME", help="From this day on, UTC: of when conversions were first accepted.")
@click.option("--last", default="31d", show_default=True, metavar="SPAN", help="How far back, without --since.")
@click.option("--destination", default="", metavar="ID", help="Only this destination.")
@click.option("--by-day", is_flag=True, help="A line per day, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: a row per destination and day.")
@connection_options("query")
def funnel(
    *,
    destination: str,
    last: str,
    since: str | None,
    until: str | None,
    by_day: bool,
    as_json: bool,
    **connection: Any,
) -> None:
    """Show what became of conversions at each destination: captured, consented, eligible, sent, accepted, reported.

    As it is now, also while deliveries wait or a destination is paused; it adds up at every moment.
    """
    from google.protobuf import json_format

    from tributary.query.v1.query_service_pb2 import GetDeliveryFunnelRequest

    span = read_span(last, since, until, datetime.now(UTC), UTC)  # noqa: TID251 - the user's now
    request = GetDeliveryFunnelRequest(destination_id=destination)
    request.time_range.start_time.FromDatetime(span.start)
    request.time_range.end_time.FromDatetime(span.end)
    rows: list[DeliveryFunnelRow] = []
    with calling_query(connection) as (stub, metadata):
        while True:
            answer = stub.GetDeliveryFunnel(request, timeout=_CALL_SECONDS, metadata=metadata)
            rows += answer.rows
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
    if as_json:
        print_json(
            [
                json_format.MessageToDict(
                    row, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
                )
                for row in rows
            ]
        )
        return
    for line in lines_of(rows, by_day=by_day):
        output().print(line, markup=False)
    if not rows:
        output().print("No conversion was captured in these days.")


def lines_of(rows: Sequence[DeliveryFunnelRow], *, by_day: bool) -> list[str]:
    """Returns the lines: per destination its stages, and below what did not get further; per day, if asked for."""
    lines: list[str] = []
    for name in sorted({row.destination_id for row in rows}):
        own = [row for row in rows if row.destination_id == name]
        lines.append(f"{name}  {_stages(own)}")
        lines += [f"  {line}" for line in _left(own)]
        if by_day:
            lines += [f"  {row.day.year:04}-{row.day.month:02}-{row.day.day:02}  {_stages([row])}" for row in own]
    return lines


def _stages(rows: Sequence[DeliveryFunnelRow]) -> str:
    return "  ".join(_stage(rows, stage) for stage in _STAGES)


def _stage(rows: Sequence[DeliveryFunnelRow], stage: str) -> str:
    count = sum(getattr(row, stage) for row in rows)
    if stage == "reported_taken" and not count and _never_reports(rows):
        return "reports: none"
    return f"{_words(stage)} {count:,}"


def _never_reports(rows: Sequence[DeliveryFunnelRow]) -> bool:
    """Tells whether the destination's first answer is its last word."""
    return all(row.HasField("reports_later") and not row.reports_later for row in rows)


def _left(rows: Sequence[DeliveryFunnelRow]) -> list[str]:
    lines = []
    for place in _LEFT:
        count = sum(getattr(row, place) for row in rows)
        if count and not (place == "unreported" and _never_reports(rows)):
            reasons: dict[str, int] = {}
            for row in rows:
                for reason, some in _reasons(row, place).items():
                    reasons[reason] = reasons.get(reason, 0) + some
            told = ", ".join(f"{reason} {some:,}" for reason, some in sorted(reasons.items()))
            lines.append(f"{_words(place)} {count:,}" + (f": {told}" if told else ""))
    return lines


def _reasons(row: DeliveryFunnelRow, place: str) -> Mapping[str, int]:
    found: Mapping[str, int] = getattr(row, f"{place}_reasons", {})
    return found


def _words(name: str) -> str:
    return {"reported_taken": "reported"}.get(name, name.replace("_", " "))
