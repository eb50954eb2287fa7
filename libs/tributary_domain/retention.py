"""How long what tells of people is kept: until when it must have happened to be deleted, and what of it is.

The one rule: by whole months in UTC, as the tables are cut. What happened in a month is kept until every event of it is
older than the workspace says: nothing is deleted early, and nothing stays for a month longer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final, NamedTuple

PERSON_LEVEL_KINDS: Final = ("touchpoint", "identify", "consent_change")
"""Kinds of event that are deleted. Conversions and adjustments are what the ledger says: they stay as long as it."""

SIGHTING: Final = "sighting"
"""Kind of what is left of an event that first showed two identifiers together: which, and when."""

SETTLED_MICROS: Final = 2 * 86_400_000_000
"""What was accepted since is not deleted: longer than the event log may hand it out again."""

TOLD_MICROS: Final = 30 * 86_400_000_000
"""For how long it is told what will be deleted, before it is, where nobody said for how long it is kept."""

SAID_TOLD_MICROS: Final = 3 * 86_400_000_000
"""Likewise where somebody said so: over a weekend, for who said it by mistake."""

_MONTH_DAYS: Final = 30


class Announced(NamedTuple):
    """What is told to be deleted, because it is more than ever before at once."""

    begin_micros: int = 0
    """Since when it is told; 0: nothing is told, what goes is as much as each month."""
    before_micros: int = 0
    """What happened before it will be deleted."""

    def is_over(self, now_micros: int, *, says_months: bool) -> bool:
        """Tells whether it was told for long enough.

        Args:
            now_micros: The moment.
            says_months: Whether somebody said for how long events are kept.
        """
        return now_micros >= self.until_micros(says_months=says_months)

    def until_micros(self, *, says_months: bool) -> int:
        """Returns from when on it is deleted."""
        return self.begin_micros + (SAID_TOLD_MICROS if says_months else TOLD_MICROS) if self.begin_micros else 0


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


def announced(told: Announced, deleted_micros: int, before_micros: int, now_micros: int) -> Announced:
    """Returns what is told to be deleted from now on, of a workspace that has anything older than it is kept.

    From month to month a month more goes, and nothing is told. More at once goes where nothing ever went, where
    somebody shortened what is kept, by mistake perhaps, or where a clock is wrong: that is told, anew when it grows.

    Args:
        told: What was told by now.
        deleted_micros: What happened before it is deleted; 0: nothing is.
        before_micros: What happened before it is older than it is kept.
        now_micros: The moment.

    >>> month = lambda number: month_begin(date(2025, 1, 1), number)
    >>> announced(Announced(), month(3), month(4), 7)
    Announced(begin_micros=0, before_micros=0)
    >>> announced(Announced(), month(3), month(9), 7) == Announced(7, month(9))
    True
    >>> announced(Announced(7, month(9)), month(3), month(11), 8) == Announced(8, month(11))
    True
    """
    if deleted_micros and before_micros <= _a_month_later(deleted_micros):
        return Announced()
    if not told.begin_micros or before_micros > _a_month_later(told.before_micros):
        return Announced(now_micros, before_micros)
    return Announced(told.begin_micros, before_micros)


def _a_month_later(micros: int) -> int:
    day = datetime.fromtimestamp(micros // 1_000_000, UTC)
    return month_begin(date(day.year, day.month, 1), 1)


def months_needed(days: int) -> int:
    """Returns for how many months events must be kept that are looked back on for some days.

    >>> months_needed(59), months_needed(420)
    (2, 14)
    """
    return -(-days // _MONTH_DAYS)
