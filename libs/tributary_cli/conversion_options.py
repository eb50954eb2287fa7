"""How commands that are about one conversion name it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def conversion_options(command: _Command) -> _Command:
    """Adds CONVERSION_ID, --order NAME ORDER with --store and --cycle, and --event to a command."""
    for option in (
        click.option("--event", "event_id", metavar="ID", help="Instead: by the id of an event that observed it."),
        click.option("--cycle", default="", help="With --order: the subscription's cycle."),
        click.option("--store", default="", help="With --order: the shop."),
        click.option("--order", nargs=2, metavar="NAME ORDER", help="Instead: by conversion name and order number."),
        click.argument("conversion_id", required=False),
    ):
        command = option(command)
    return command


def name_conversion(
    conversion_id: str | None, order: tuple[str, str] | None, store: str, cycle: str, event_id: str | None
) -> dict[str, Any]:
    """Returns what a request names a conversion by.

    Raises:
        click.UsageError: It is named by nothing, or by several.
    """
    if sum(map(bool, (conversion_id, order, event_id))) != 1:
        raise click.UsageError("Name one conversion: CONVERSION_ID, --order NAME ORDER or --event ID.")
    if conversion_id:
        return {"conversion_id": conversion_id}
    if event_id:
        return {"event_id": event_id}
    name, order_id = order or ("", "")
    return {"order": {"conversion_name": name, "store": store, "order_id": order_id, "cycle": cycle}}


def read_moment(text: str) -> datetime:
    """Returns a moment in ISO 8601; one without a zone is in UTC.

    Raises:
        click.BadParameter: It is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no time; write 2026-11-01T12:00:00Z."
        raise click.BadParameter(message, param_hint="--as-of") from error
    if not 1970 <= moment.year <= 9998:
        raise click.BadParameter(f"{text!r} is not between 1970 and 9998.", param_hint="--as-of")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
