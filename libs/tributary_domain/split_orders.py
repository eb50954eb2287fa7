"""Orders that one observer tells as the first cycle of a subscription, and another, who cannot know, without a cycle.

The one rule: they are one order, whoever tells what and when. It is counted with the cycle, and adjusted whichever way
an adjustment names it. Both have the credit of the one that the observer nearest to the buyer told: a browser has the
path, a backend the cycle.

Where several first cycles have its number, each is worth what was told of it: what the order is worth as a whole is the
value of none of them. What is said of the whole changes all (`shared_adjustments`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tributary_domain.event_order import OrderKey


class Told(NamedTuple):
    """A way in which an order was told: a conversion with a good observation, taken back or not."""

    conversion_id: str
    order_key: OrderKey
    """Its place in event order."""
    rank: int
    """The lowest source rank of its observations."""
    is_frozen: bool = False
    """Whether it stands in for a conversion whose person was erased: it has the credit of both already."""
    is_retracted: bool = False
    """Whether it was taken back by its own name: where others are there, it was told by mistake."""
    is_gone: bool = False
    """Of what stands in for somebody: whether it was taken back with its order."""


@dataclass(frozen=True, slots=True)
class SplitOrder:
    """What becomes of an order that was told in both ways, or may be."""

    counted_id: str
    """The conversion that counts in place of the plain one; of several the first that was not taken back."""
    adjusted_ids: tuple[str, ...]
    """Those that adjustments of the plain one change, too, in event order; one whose person was erased is changed no
    more, though a part would be its own. Where it is one, the value of the plain one is its own, too."""
    credited_id: str
    """Whose credit all have; empty: nobody told it plainly, and each has its own."""


def split_order(plain: Told | None, cycles: Iterable[Told]) -> SplitOrder | None:
    """Says what becomes of an order.

    Args:
        plain: As it was told without a cycle; None: nobody did so far.
        cycles: As it was told as a first cycle; several where one order began several subscriptions.

    Returns:
        None while nobody told it as a first cycle.
    """
    ordered = sorted(cycles, key=lambda one: (one.order_key, one.conversion_id))
    if not ordered:
        return None
    living = [one for one in ordered if not one.is_retracted] or ordered[:1]
    credited = ""
    if plain is not None:
        nearest = min(
            [plain, *ordered], key=lambda one: (not one.is_frozen, one.rank, one.order_key, one.conversion_id)
        )
        credited = nearest.conversion_id
    return SplitOrder(
        counted_id=next((one for one in living if not one.is_gone), living[0]).conversion_id,
        adjusted_ids=tuple(one.conversion_id for one in living),
        credited_id=credited,
    )
