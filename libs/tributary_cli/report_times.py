"""The span of time of a report, as people say it: `7d`, `2026-11-01`, `2026-11-01T12:00+01:00`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

_SPAN = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_YEARS = range(1970, 9999)
"""Outside of them there are no events, and moments that no zone can tell."""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span of time."""

    start: datetime
    """The first moment inside."""
    end: datetime
    """The first moment after it."""


def read_zone(name: str | None) -> tzinfo:
    """Returns the zone of this IANA name; UTC if None.

    Raises:
        click.BadParameter: There is no such zone.
    """
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        message = f"{name!r} is no time zone; name one as Europe/Berlin."
        raise click.BadParameter(message, param_hint="--time-zone") from error


def read_span(last: str, since: str | None, until: str | None, now: datetime, zone: tzinfo) -> Span:
    """Returns the span that the options mean.

    Args:
        last: How far back from its end, such as 30d, if `since` is None.
        since: A day or a moment.
        until: A day, which is included, or a moment, which is not; `now` if None.
        now: Aware.
        zone: Where days begin, and what a moment without a zone means.

    Raises:
        click.BadParameter: One is none of that, or the end is not after the start.
    """
    end = now if until is None else read_end(until, zone)
    start = _before(end, last) if since is None else _read_moment(since, zone, "--since", through_the_day=False)
    if start >= end:
        raise click.BadParameter("the end is not after the start.", param_hint="--since / --until")
    return Span(start, end)


def read_end(until: str, zone: tzinfo) -> datetime:
    """Returns the first moment after `until`: a day, which is included, or a moment, which is not.

    Raises:
        click.BadParameter: It is neither.
    """
    return _read_moment(until, zone, "--until", through_the_day=True)


def _before(end: datetime, last: str) -> datetime:
    length = _read_length(last)
    if length > timedelta(days=(end.year - _YEARS.start) * 365):
        raise click.BadParameter(f"{last!r} reaches back before 1970.", param_hint="--last")
    return end - length


def _read_length(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is no span; write 12h, 30d or 4w.", param_hint="--last")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _read_moment(text: str, zone: tzinfo, option: str, *, through_the_day: bool) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no time; write 2026-11-01 or 2026-11-01T12:00:00Z."
        raise click.BadParameter(message, param_hint=option) from error
    if moment.year not in _YEARS:
        raise click.BadParameter(f"{text!r} is not between 1970 and 9998.", param_hint=option)
    if moment.tzinfo is None:
        is_day = len(text) <= len("2026-11-01")
        moment = (moment + timedelta(days=1 if is_day and through_the_day else 0)).replace(tzinfo=zone)
    return moment
