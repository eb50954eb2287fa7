"""By what else the orders of somebody who is erased are named than by their conversions. Pure.

The one rule: what changes an order of their own goes with that order, by whatever it names it: another cycle, or none,
or an event that told it. An order that others told in another way is theirs as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_domain import ids
from tributary_domain.business_keys import plain_id
from tributary_domain.families import first_name
from tributary_storage.codec.event_digests import digest_of_event

Order = tuple[str, str, str]
"""Name of the conversion, store, number."""


def orders_of(told: Iterable[AdmittedEvent]) -> set[Order]:
    """Returns the orders with a number that observations tell, without their cycles."""
    conversions = (one.event.conversion for one in told)
    return {(one.name, one.store, one.order_id) for one in conversions if one.order_id}


def own_names(workspace: str, told: Collection[AdmittedEvent], of_others: Collection[Order]) -> set[str]:
    """Returns `Erasure.own_names`.

    Args:
        workspace: Whose.
        told: What observed the conversions of an erasure, or was told by its person of nobody else's.
        of_others: Orders that others told, too.
    """
    names = {ids.conversion_id(digest_of_event(workspace, one)) for one in told}
    names.update(one.conversion_id for one in told)
    for order in orders_of(told).difference(of_others):
        names.update((plain_id(workspace, *order), ids.family_id(first_name(*order))))
    return names


def order_named_by(change: AdmittedEvent) -> str:
    """Returns the name of the order that an adjustment names by its number, without its cycle; empty: none."""
    adjustment = change.event.adjustment
    if not adjustment.order_id:
        return ""
    return first_name(adjustment.conversion_name, adjustment.store, adjustment.order_id)
