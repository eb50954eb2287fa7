"""Subscriptions: whose credit a renewal gets.

The one rule: a renewal is no new decision of the buyer. By default it inherits the credit of the first paid conversion
of its subscription: the same touches by the same weights, its own value. An upgrade or a reactivation is a decision
and goes by its own path.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from tributary_domain.event_order import OrderKey


class RenewalCredit(StrEnum):
    """Whose credit a subscription's renewal gets."""

    FIRST_PAYMENT = "first_payment"
    """Inherits the credit of the first paid conversion."""
    OWN_PATH = "own_path"
    """Is attributed like any conversion."""


class CycleKind(IntEnum):
    """What kind of cycle, numbered as on the wire; one that is not known is a renewal."""

    TRIAL = 1
    FIRST = 2
    RENEWAL = 3
    UPGRADE = 4
    REACTIVATION = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One cycle of a subscription, as a conversion."""

    conversion_id: str
    event_time_micros: int
    event_hash: int
    kind: int
    """A `CycleKind`."""
    amount_micros: int = 0
    """What it is worth before refunds: a first payment that was refunded was paid all the same."""
    is_good: bool = True
    """Neither quarantined nor retracted."""

    @property
    def order_key(self) -> OrderKey:
        """Its place in event order."""
        return self.event_time_micros, self.event_hash


def first_payment(cycles: Iterable[Cycle]) -> Cycle | None:
    """Returns the first paid conversion of a subscription, in event order; None while none is known.

    That is the first cycle marked FIRST, else the first that is neither a trial nor a renewal and was paid.
    """
    good = sorted(
        (cycle for cycle in cycles if cycle.is_good), key=lambda cycle: (cycle.order_key, cycle.conversion_id)
    )
    marked = next((cycle for cycle in good if cycle.kind == CycleKind.FIRST), None)
    bought = (CycleKind.UPGRADE, CycleKind.REACTIVATION)
    return marked or next((cycle for cycle in good if cycle.kind in bought and cycle.amount_micros > 0), None)


def decides(kind: int) -> bool:
    """Tells whether a cycle of this kind is a decision of the buyer that others may inherit from."""
    return kind in (CycleKind.FIRST, CycleKind.UPGRADE, CycleKind.REACTIVATION)


def is_renewal(kind: int) -> bool:
    """Tells whether a cycle of this kind is a later payment; one that is not known is."""
    return kind not in set(CycleKind) - {CycleKind.RENEWAL}


def inherits_from(cycle: Cycle, cycles: Iterable[Cycle], rule: RenewalCredit) -> Cycle | None:
    """Returns the conversion whose credit a cycle inherits; None where it goes by its own path.

    Args:
        cycle: One of them.
        cycles: All of its subscription, in any order.
        rule: Of the settings that were effective at the cycle's time.
    """
    if rule is RenewalCredit.OWN_PATH or not is_renewal(cycle.kind):
        return None
    first = first_payment(cycles)
    return first if first is not None and first.order_key < cycle.order_key else None
