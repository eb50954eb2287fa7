"""How long what tells of people is kept: until when it must have happened to be deleted, and what of it is.

The one rule: by whole months in UTC, as the tables are cut. What happened in a month is kept until every event of it is
older than the workspace says: nothing is deleted early, and nothing stays for a month longer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

PERSON_LEVEL_KINDS: Final = ("touchpoint", "identify", "consent_change")
"""Kinds of event that are deleted. Conversions and adjustments are what the ledger says: they stay as long as it."""

SIGHTING: Final = "sighting"
"""Kind of what is left of an event that first showed two identifiers together: which, and when."""

SETTLED_MICROS: Final = 2 * 86_400_000_000
"""What was accepted since is not deleted: longer than the event log may hand it out again."""

TOLD_MICROS: Final = 30 * 86_400_000_000
"""For how long it is told what will be deleted, before it is, where nobody said for how long it is kept."""

_MONTH_DAYS: Final = 30


def retained_since(now_micros: int, months: int) -> int:
    """Returns the first moment of the oldest month that is kept, in microseconds.

    Args:
        now_micros: The moment.
        months: For how many months events are kept.

    >>> august_15 = 1_786_752_000_000_000
    >>> datetime.fromtimestamp(retained_since(august_15, 14) // 1_000_000, UTC).isoformat()
    '2025-06-01T00:00:00+00:00'
    """
    now = datetime.fromtimestamp(now_micros // 1_000_000, UTC)
    return month_begin(date(now.year, now.month, 1), -months)


def month_begin(month: date, months_later: int = 0) -> int:
    """Returns the first moment of a month, or of one so many months later, in microseconds.

    >>> month_begin(date(2025, 12, 1), 1) == month_begin(date(2026, 1, 1))
    True
    """
    number = month.year * 12 + month.month - 1 + months_later
    return round(datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def months_needed(days: int) -> int:
    """Returns for how many months events must be kept that are looked back on for some days.

    >>> months_needed(59), months_needed(420)
    (2, 14)
    """
    return -(-days // _MONTH_DAYS)
