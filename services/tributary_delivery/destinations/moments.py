"""The conversion's time in the form each destination takes it.

Whole numbers throughout; what follows the first message, a correction or the same once more, repeats its time to the
digit.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from tributary_delivery.destinations.adapter import Outgoing

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000
_MILLISECOND: Final = 1_000


def conversion_micros(outgoing: Outgoing) -> int:
    """Returns when the conversion happened: as it was sent first, where that is known."""
    return outgoing.time_micros or outgoing.revised.state.conversion_time.ToMicroseconds()


def seconds(micros: int) -> int:
    """Returns whole seconds.

    >>> seconds(1_762_902_353_999_999)
    1762902353
    """
    return micros // _SECOND


def milliseconds(micros: int) -> int:
    """Returns whole milliseconds."""
    return micros // _MILLISECOND


def rfc3339(micros: int) -> str:
    """Returns a time in RFC 3339, in UTC, without needless digits.

    >>> rfc3339(1_762_902_353_123_400), rfc3339(1_762_902_353_000_000)
    ('2025-11-11T23:05:53.123400Z', '2025-11-11T23:05:53Z')
    """
    return _moment(micros).isoformat().replace("+00:00", "Z")


def civil_day(micros: int, zone: tzinfo) -> str:
    """Returns the day it was somewhere, in ISO 8601.

    >>> from zoneinfo import ZoneInfo
    >>> civil_day(1_793_490_000_000_000, UTC), civil_day(1_793_490_000_000_000, ZoneInfo("Europe/Berlin"))
    ('2026-10-31', '2026-11-01')
    """
    return _moment(micros).astimezone(zone).date().isoformat()


def to_the_second(micros: int, separator: str = "T") -> str:
    """Returns a time to the second with the zone as +00:00.

    >>> to_the_second(1_762_902_353_999_999), to_the_second(1_762_902_353_000_000, " ")
    ('2025-11-11T23:05:53+00:00', '2025-11-11 23:05:53+00:00')
    """
    return _moment(micros - micros % _SECOND).isoformat(separator)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
