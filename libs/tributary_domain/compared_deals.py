"""What is compared of a CRM's deals and our conversions, how far apart they may be, and what can become of them.

The one rule: a deal is what the CRM says of it newest, and its days are those of the zone of the books.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final, NamedTuple

DAY_MICROS: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DealClass(StrEnum):
    """What became of a deal or a conversion."""

    MATCHED = "MATCHED"
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    MISSING_IN_CRM = "MISSING_IN_CRM"
    MISSING_HERE = "MISSING_HERE"
    NOT_YET_DUE = "NOT_YET_DUE"
    """The deal is still open, or the conversion is so young that its deal need not be there yet."""
    SPLIT_OR_MERGED = "SPLIT_OR_MERGED"
    """One deal is several conversions, or the other way round."""


class CountedConversion(NamedTuple):
    """A conversion that counts."""

    conversion_id: str
    name: str
    order_id: str
    lead_id: str
    currency: str
    value_micros: int
    time_micros: int
    tokens: Sequence[str] = ()
    """Identity tokens."""
    store: str = ""
    is_expected: bool = True
    """Whether a CRM should know it; else it is there for the deals that name its number only."""


class Deal(NamedTuple):
    """What a CRM says of a deal, newest."""

    system: str
    deal_id: str
    status: str
    """OPEN, WON, LOST."""
    currency: str
    amount_micros: int | None
    order_id: str
    lead_id: str
    contact_token: str
    """Identity token of the contact's e-mail address."""
    conversion_name: str
    close_day: int
    """Days since 1970; -1: not said."""
    modify_micros: int = 0
    """When the CRM changed it last."""
    store: str = ""
    """Whose order ids these are; empty: not said."""

    @property
    def name(self) -> str:
        """Returns what tells it from all others, for people."""
        return f"{self.system}/{self.deal_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchLimits:
    """How far apart a deal and its conversion may be."""

    tolerance_percent: int = 1
    """Of the amount."""
    days: int = 3
    """Between their days, where only contact and amount link them."""
    due_days: int = 30
    """How long a deal may take to appear."""
    zone: tzinfo = UTC
    """In which days are cut."""


class DealMatch(NamedTuple):
    """What became of a deal, a conversion, or both."""

    outcome: DealClass
    step: str
    """"order_id", "lead_id", "contact_amount_date"; empty: nothing links it."""
    conversions: tuple[CountedConversion, ...]
    deals: tuple[Deal, ...]
    rival: str = ""
    """Where one is missing: what has its place, the deal that is the conversion which this one names, or the other way
    round. Empty: nothing does."""


def day_of(time_micros: int, zone: tzinfo) -> int:
    """Returns the civil day of a moment, in days since 1970."""
    return ((_EPOCH + timedelta(microseconds=time_micros)).astimezone(zone).date() - _EPOCH.date()).days


def begin_of_day(day: int, zone: tzinfo) -> int:
    """Returns the first moment of a civil day, given in days since 1970, in microseconds since 1970.

    >>> from zoneinfo import ZoneInfo
    >>> begin_of_day(20_000, ZoneInfo("Europe/Berlin")) // 3_600_000_000 - 20_000 * 24
    -2
    """
    midnight = (_EPOCH + timedelta(days=day)).replace(tzinfo=zone)
    return (midnight - _EPOCH) // timedelta(microseconds=1)
