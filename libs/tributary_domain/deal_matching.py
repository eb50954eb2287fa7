"""A CRM's deals and our conversions, held against each other: "50 conversions, 45 closed deals", and which.

The one rule: a ladder, each step on what the steps before it left over: order id; lead id; the same contact with about
the same amount on about the same day. Each match names its step. Deals that we made ourselves are no evidence, and are
not given to this.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final, NamedTuple

_DAY_MICROS: Final = 86_400_000_000
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


def match_deals(
    conversions: Iterable[CountedConversion], deals: Iterable[Deal], now_micros: int, limits: MatchLimits
) -> list[DealMatch]:
    """Returns what became of every deal and every conversion, each once.

    Args:
        conversions: Some, and all that the deals may be; of names that have deals.
        deals: Some, and all that the conversions may be; lost ones are left out of account.
        now_micros: Decides what is not due yet.
        limits: How far apart they may be.
    """
    left = sorted(conversions, key=lambda one: (one.time_micros, one.conversion_id))
    open_deals = sorted((deal for deal in deals if deal.status != "LOST"), key=lambda deal: deal[:2])
    found: list[DealMatch] = []
    for step, of_conversion, of_deal in _STEPS:
        groups: dict[Hashable, tuple[list[CountedConversion], list[Deal]]] = defaultdict(lambda: ([], []))
        for conversion in left:
            if key := of_conversion(conversion):
                groups[key][0].append(conversion)
        for deal in open_deals:
            if key := of_deal(deal):
                groups[key][1].append(deal)
        for ours, theirs in groups.values():
            if ours and theirs:
                found.append(_linked(step, ours, theirs, limits))
        left, open_deals = _rest(found, left, open_deals)
    for deal in list(open_deals):
        near = next((one for one in left if _is_near(one, deal, limits)), None)
        if near is not None:
            found.append(_linked("contact_amount_date", [near], [deal], limits))
            left, open_deals = _rest(found[-1:], left, open_deals)
    for conversion in left:
        is_young = now_micros - conversion.time_micros < limits.due_days * _DAY_MICROS
        found.append(DealMatch(DealClass.NOT_YET_DUE if is_young else DealClass.MISSING_IN_CRM, "", (conversion,), ()))
    found += [
        DealMatch(DealClass.MISSING_HERE if deal.status == "WON" else DealClass.NOT_YET_DUE, "", (), (deal,))
        for deal in open_deals
    ]
    return found


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


def _linked(step: str, ours: Sequence[CountedConversion], theirs: Sequence[Deal], limits: MatchLimits) -> DealMatch:
    """Says what a link between conversions and deals amounts to."""
    if len(ours) > 1 or len(theirs) > 1:
        return DealMatch(DealClass.SPLIT_OR_MERGED, step, tuple(ours), tuple(theirs))
    [conversion], [deal] = ours, theirs
    if deal.status != "WON":
        outcome = DealClass.NOT_YET_DUE
    elif _is_amount_near(conversion, deal, limits):
        outcome = DealClass.MATCHED
    else:
        outcome = DealClass.AMOUNT_DIFFERS
    return DealMatch(outcome, step, (conversion,), (deal,))


def _is_near(conversion: CountedConversion, deal: Deal, limits: MatchLimits) -> bool:
    """Tells whether contact, amount and day say that they are one."""
    if not deal.contact_token or deal.contact_token not in conversion.tokens or deal.close_day < 0:
        return False
    is_timely = abs(day_of(conversion.time_micros, limits.zone) - deal.close_day) <= limits.days
    return is_timely and deal.amount_micros is not None and _is_amount_near(conversion, deal, limits)


def _is_amount_near(conversion: CountedConversion, deal: Deal, limits: MatchLimits) -> bool:
    """Tells whether the amounts agree; a deal without an amount contradicts nothing."""
    if deal.amount_micros is None:
        return True
    allowed = abs(conversion.value_micros) * limits.tolerance_percent
    return conversion.currency == deal.currency and 100 * abs(conversion.value_micros - deal.amount_micros) <= allowed


def _rest(
    found: Sequence[DealMatch], conversions: Sequence[CountedConversion], deals: Sequence[Deal]
) -> tuple[list[CountedConversion], list[Deal]]:
    """Returns what is in no match yet."""
    ours = {one.conversion_id for match in found for one in match.conversions}
    theirs = {deal[:2] for match in found for deal in match.deals}
    return [one for one in conversions if one.conversion_id not in ours], [
        deal for deal in deals if deal[:2] not in theirs
    ]


_STEPS: Final[tuple[tuple[str, Callable[[CountedConversion], Hashable], Callable[[Deal], Hashable]], ...]] = (
    ("order_id", lambda conversion: conversion.order_id, lambda deal: deal.order_id),
    ("lead_id", lambda conversion: conversion.lead_id, lambda deal: deal.lead_id),
)
