"""What lists of events are asked for alike: reasons by name, and a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from tributary_cli.report_times import read_span


def reason_codes(names: Sequence[str]) -> list[Any]:
    """Returns reason codes by their names, `BOT` or `REASON_CODE_BOT`.

    Raises:
        BadParameter: One is none.
    """
    from tributary.event.v1.verdict_pb2 import ReasonCode

    known = set(ReasonCode.keys())
    found = []
    for name in names:
        whole = f"REASON_CODE_{name.upper().removeprefix('REASON_CODE_')}"
        if whole not in known:
            raise click.BadParameter(
                f"{name!r} is no reason; without --reason the list shows those there are.", param_hint="--reason"
            )
        found.append(ReasonCode.Value(whole))
    return found


def limit_time(request: Any, since: str | None, until: str | None) -> None:
    """Sets the span of a request that has one; without either end the server chooses."""
    if since is None and until is None:
        return
    span = read_span("31d", since, until, datetime.now(UTC), UTC)  # noqa: TID251 - the user's now
    request.time_range.start_time.FromDatetime(span.start)
    request.time_range.end_time.FromDatetime(span.end)
