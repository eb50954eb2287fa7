"""What makes two events one order or one refund, whatever their event ids: the business key.

The one rule: an order is (workspace, conversion name, store, order id, cycle). A cycle of a subscription and a stage of
a lead have a key too where no order id is sent, because the business counts them once as well. An id that names nothing
("undefined") is none: the door has taken it out before it asks for a key.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tributary_domain.event_shape import EventLike
from tributary_domain.ids import adjustment_digest, conversion_id, event_digest, order_digest, value_digest
from tributary_domain.placeholders import named, named_cycle
from tributary_domain.renewals import CycleKind

STAGE: Final = "stage:"
"""Begins the cycle of a lead's stage; a caller's cycle of the same text would be of a subscription, not of a lead."""


class BusinessKey(NamedTuple):
    """What is claimed beside the event id."""

    order_digest: bytes
    """16 bytes: of the order, or of the adjustment; empty without a business key."""
    conversion_id: str
    """The conversion this event is of, or changes."""
    value_digest: bytes
    """3 bytes that equally ranked observers must agree on; empty where nothing was stated."""


NO_KEY: Final = BusinessKey(b"", "", b"")


def has_business_key(event: EventLike, kind: str | None) -> bool:
    """Tells whether an event, as it was sent, is protected by more than its event id, so that it may be older."""
    if kind == "conversion":
        return order_of(event.conversion, named, named_cycle) is not None
    return kind == "adjustment" and bool(event.adjustment.adjustment_id)


def business_key(workspace: str, event: EventLike, kind: str | None, own_digest: bytes) -> BusinessKey:
    """Returns the business key of a conversion or adjustment; `NO_KEY` for any other kind.

    Args:
        workspace: The credential's.
        event: The event, known to be valid.
        kind: `event.WhichOneof("kind")`.
        own_digest: Its event digest.
    """
    if kind == "conversion":
        return _of_conversion(workspace, event.conversion, own_digest)
    if kind == "adjustment":
        return _of_adjustment(workspace, event.adjustment)
    return NO_KEY


def _of_conversion(workspace: str, conversion: Any, own_digest: bytes) -> BusinessKey:
    order = order_of(conversion)
    if order is None:
        return BusinessKey(b"", conversion_id(own_digest), b"")
    digest = order_digest(workspace, conversion.name, conversion.store, *order)
    return BusinessKey(digest, conversion_id(digest), _value(conversion, "value"))


def _of_adjustment(workspace: str, adjustment: Any) -> BusinessKey:
    target = adjustment.WhichOneof("target")
    if target == "order_id":
        digest = order_digest(
            workspace, adjustment.conversion_name, adjustment.store, adjustment.order_id, adjustment.cycle
        )
        conversion = conversion_id(digest)
    elif target == "event_id":
        conversion = conversion_id(event_digest(workspace, adjustment.event_id))
    else:
        conversion = adjustment.conversion_id
    if not adjustment.adjustment_id:
        return BusinessKey(b"", conversion, b"")
    own = adjustment_digest(workspace, conversion, adjustment.reason, adjustment.adjustment_id)
    return BusinessKey(own, conversion, _value(adjustment, "amount"))


def order_of(
    conversion: Any, id_of: Callable[[str], str] = str, cycle_of: Callable[[str], str] = str
) -> tuple[str, str] | None:
    """Returns what stands for the order id and the cycle of a conversion, or `None` if only its event id names it.

    Args:
        conversion: As it is stored, or sent.
        id_of: What an id that was sent is worth.
        cycle_of: The same of a cycle.
    """
    order_id = id_of(conversion.order_id)
    if conversion.HasField("recurrence"):
        recurrence = conversion.recurrence
        cycle = cycle_of(recurrence.cycle)
        if not order_id and cycle:  # a subscription id alone is not one order
            order_id = id_of(recurrence.subscription_id)
        return (order_id, cycle) if order_id else None
    if order_id:
        return order_id, ""
    if conversion.HasField("lead"):
        lead = conversion.lead
        lead_id = id_of(lead.lead_id) or id_of(lead.root_order_id)
        return (lead_id, f"{STAGE}{lead.stage}") if lead_id else None
    return None


def plain_order(workspace: str, conversion: Any) -> tuple[str, str] | None:
    """Returns what the order of a first cycle is without the cycle: its number, and the conversion that it would be.

    A number that is the subscription's id tells of no order: callers send it where they have none.

    Args:
        workspace: The credential's.
        conversion: As it is stored.

    Returns:
        None: it is no first cycle with an order number.
    """
    recurrence, order_id = conversion.recurrence, conversion.order_id
    if recurrence.kind != CycleKind.FIRST or not recurrence.cycle or order_id in ("", recurrence.subscription_id):
        return None
    return order_id, plain_id(workspace, conversion.name, conversion.store, order_id)


def plain_id(workspace: str, name: str, store: str, order_id: str) -> str:
    """Returns the conversion that an order is which is told without a cycle."""
    return conversion_id(order_digest(workspace, name, store, order_id))


def _value(message: Any, field: str) -> bytes:
    if not message.HasField(field):
        return b""
    money = getattr(message, field)
    return value_digest(money.currency_code, money.amount_micros)
