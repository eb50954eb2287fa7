"""All that may be a deal or a conversion which a run speaks of, whenever it was.

The one rule: a deal is one conversion, so that which one depends on what else it may be, and on what that may be
instead. Whatever shares a number or a contact is looked for until nothing new is found, else one run would say this
and the next run that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from typing import Final, Protocol

from tributary_domain.compared_deals import CountedConversion, Deal
from tributary_storage.clickhouse.reconciliation_deals import DealScope

_AT_ONCE: Final = 1_000
_MOST_ROUNDS: Final = 4
"""Each goes on where the one before ended: from deals to conversions with their numbers, to deals with theirs."""


class Stored(Protocol):
    """What is stored of deals and conversions. Every method raises `StorageUnavailableError` if it cannot be read."""

    async def rival_deals(
        self, of: DealScope, orders: Collection[str], leads: Collection[str], contacts: Collection[str]
    ) -> Sequence[Deal]:
        """Returns the deals with one of these numbers or contacts."""
        ...

    async def rival_conversions(
        self, of: DealScope, orders: Collection[str], leads: Collection[str]
    ) -> Sequence[CountedConversion]:
        """Returns the counted conversions with one of these numbers."""
        ...


async def with_rivals(
    stored: Stored, of: DealScope, conversions: Iterable[CountedConversion], deals: Iterable[Deal]
) -> tuple[list[CountedConversion], list[Deal]]:
    """Returns conversions and deals, and all that competes with them.

    Args:
        stored: What there is.
        of: Which deals and conversions the run is about.
        conversions: Which a run asks about, and all with a number or contact of these deals.
        deals: Which a run asks about, and all with a number of the conversions that it asks about.

    Raises:
        StorageUnavailableError: ClickHouse did not answer.
    """
    ours = {one.conversion_id: one for one in conversions}
    theirs = {(deal.system, deal.deal_id): deal for deal in deals}
    asked = _Numbers()
    for _ in range(_MOST_ROUNDS):
        new = asked.new_of(ours.values(), theirs.values())
        if not any(new):
            break
        for orders, leads, contacts in zip_longest(*map(_parts, new), fillvalue=()):
            theirs |= {
                (deal.system, deal.deal_id): deal for deal in await stored.rival_deals(of, orders, leads, contacts)
            }
            if orders or leads:
                found = await stored.rival_conversions(of, orders, leads)
                ours = {one.conversion_id: one for one in found} | ours
    return list(ours.values()), list(theirs.values())


class _Numbers:
    """What was asked for."""

    def __init__(self) -> None:
        self._asked: tuple[set[str], set[str], set[str]] = ({""}, {""}, {""})

    def new_of(self, ours: Collection[CountedConversion], theirs: Collection[Deal]) -> tuple[set[str], ...]:
        """Returns the orders, leads and contacts of deals, and those of conversions with one, that are new."""
        orders, leads = {deal.order_id for deal in theirs}, {deal.lead_id for deal in theirs}
        contacts = {deal.contact_token for deal in theirs}
        linked = [
            one
            for one in ours
            if (one.order_id and one.order_id in orders)
            or (one.lead_id and one.lead_id in leads)
            or not contacts.isdisjoint(one.tokens)
        ]
        orders.update(one.order_id for one in linked)
        leads.update(one.lead_id for one in linked)
        new = tuple(some - asked for some, asked in zip((orders, leads, contacts), self._asked, strict=True))
        for some, asked in zip(new, self._asked, strict=True):
            asked |= some
        return new


def _parts(some: Collection[str]) -> list[list[str]]:
    ordered = sorted(some)
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]
