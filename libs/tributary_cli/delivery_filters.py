"""Which deliveries `tributary deliveries list` and `replay` are about: options, and the filter that they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tributary_cli.report_times import read_end, read_span

if TYPE_CHECKING:
    from tributary.delivery.v1.delivery_pb2 import DeliveryFilter

_Command = TypeVar("_Command", bound=Callable[..., Any])


def filter_options(command: _Command) -> _Command:
    """Adds the options that choose deliveries."""
    for option in (
        click.option("--until", metavar="TIME", help="Up to this day, included, or moment, as --since."),
        click.option(
            "--since",
            metavar="TIME",
            help="Last attempted, or decided not to be sent, from this day or moment on, UTC. What waits for its first "
            "attempt has no such time, and is left out.",
        ),
        click.option("--reason", "reasons", multiple=True, metavar="NAME", help="Not sent for it: NO_CONSENT; repeat."),
        click.option("--error", "outcomes", multiple=True, metavar="NAME", help="Outcome: PERMANENT, UNKNOWN; repeat."),
        click.option("--state", "states", multiple=True, metavar="NAME", help="DEAD, PENDING, ACCEPTED, ...; repeat."),
        click.option("--destination", default="", metavar="ID", help="Only to this destination."),
    ):
        command = option(command)
    return command


def delivery_filter(conversion_ids: Sequence[str], asked: Mapping[str, Any]) -> DeliveryFilter:
    """Returns the filter that the options mean: --since alone reaches up to now, --until alone back to the first.

    Raises:
        click.BadParameter: One names a value that there is not, or no time.
    """
    from tributary.delivery.v1.delivery_pb2 import DeliveryFilter, DeliveryState, IneligibleReason, OutcomeClass

    chosen = DeliveryFilter(
        destination_id=asked["destination"],
        conversion_ids=conversion_ids,
        states=_numbers(DeliveryState, "DELIVERY_STATE_", asked["states"], "--state"),
        outcomes=_numbers(OutcomeClass, "OUTCOME_CLASS_", asked["outcomes"], "--error"),
        ineligible_reasons=_numbers(IneligibleReason, "INELIGIBLE_REASON_", asked["reasons"], "--reason"),
    )
    since, until = asked["since"], asked["until"]
    if since is not None:
        span = read_span("31d", since, until, datetime.now(UTC), UTC)  # noqa: TID251 - the user's now
        chosen.time_range.start_time.FromDatetime(span.start)
        chosen.time_range.end_time.FromDatetime(span.end)
    elif until is not None:  # all that is older, too
        chosen.time_range.end_time.FromDatetime(read_end(until, UTC))
    return chosen


def _numbers(enum: Any, prefix: str, names: tuple[str, ...], option: str) -> list[Any]:
    """Returns values of an enum by their names, with or without what all begin with."""
    known = {name.removeprefix(prefix): number for name, number in enum.items() if number}
    found = []
    for name in names:
        short = name.upper().replace("-", "_").removeprefix(prefix)
        if short not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}.", param_hint=option)
        found.append(known[short])
    return found
