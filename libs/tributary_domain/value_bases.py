"""Which part of an order's value is credited: as sent, without tax, without tax and shipping, or the margin.

The one rule: whole micros, and no guess. Where a part that the basis takes off was not sent (which is not 0), the value
is credited as sent and the missing part is named.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ValueBasis(StrEnum):
    """Which part of an order's amounts is credited; all parts are stored."""

    AS_SENT = "as_sent"
    NET_OF_TAX = "net_of_tax"
    NET_OF_TAX_AND_SHIPPING = "net_of_tax_and_shipping"
    MARGIN = "margin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueParts:
    """The parts of a value in micros of its currency, none negative. None: not sent."""

    goods_micros: int | None = None
    """At list price."""
    discount_micros: int | None = None
    """Taken off already: the value is without it."""
    tax_micros: int | None = None
    """In the value, as are the next two."""
    shipping_micros: int | None = None
    fees_micros: int | None = None
    """Revenue, so no basis takes it off."""
    gift_card_micros: int | None = None
    """How it was paid, so no basis takes it off."""
    cost_of_goods_micros: int | None = None
    """What the goods cost the seller."""


NO_PARTS: Final = ValueParts()
"""Nothing was said of them."""

_TAKEN_OFF: Final[dict[ValueBasis, tuple[str, ...]]] = {
    ValueBasis.AS_SENT: (),
    ValueBasis.NET_OF_TAX: ("tax_micros",),
    ValueBasis.NET_OF_TAX_AND_SHIPPING: ("tax_micros", "shipping_micros"),
    ValueBasis.MARGIN: ("tax_micros", "shipping_micros", "cost_of_goods_micros"),
}


@dataclass(frozen=True, slots=True)
class CreditedValue:
    """What of a value is credited."""

    amount_micros: int | None
    """None: no value was stated. Negative only by `margin`: it was sold below its cost."""
    missing: tuple[str, ...] = ()
    """Parts that the basis needs and that were not sent: the value is credited as sent."""
    is_contradictory: bool = False
    """Whether its tax and shipping are more than the value itself, which is then credited as 0, or as it is below 0."""


def credited_value(stated_micros: int | None, parts: ValueParts, basis: ValueBasis) -> CreditedValue:
    """Returns what of a stated value is credited.

    >>> parts = ValueParts(tax_micros=19_000_000, shipping_micros=5_000_000)
    >>> credited_value(119_000_000, parts, ValueBasis.NET_OF_TAX).amount_micros
    100000000
    >>> credited_value(119_000_000, parts, ValueBasis.MARGIN)
    CreditedValue(amount_micros=119000000, missing=('cost_of_goods_micros',), is_contradictory=False)

    Args:
        stated_micros: The value as sent; of a refund, what is taken off.
        parts: Its parts.
        basis: Of the conversion name.
    """
    if stated_micros is None:
        return CreditedValue(None)
    names = _TAKEN_OFF[basis]
    missing = tuple(name for name in names if getattr(parts, name) is None)
    if missing:
        return CreditedValue(stated_micros, missing)
    net = stated_micros - sum(getattr(parts, name) for name in names if name != "cost_of_goods_micros")
    least = min(stated_micros, 0)
    is_contradictory = net < least
    net = max(net, least)
    cost = (parts.cost_of_goods_micros or 0) if "cost_of_goods_micros" in names else 0
    return CreditedValue(net - cost, (), is_contradictory)


def refunded_so_far(refunded_micros: int, stated_micros: int, credited_micros: int) -> int:
    """Returns how much of a credited value refunds without parts take off, together.

    In proportion, of the sum of all refunds so far and not of each: so that partial refunds that give back the whole
    value take off the whole credited value, to the micro.

    >>> [refunded_so_far(refunded, 3, 2) for refunded in (1, 2, 3)]
    [0, 1, 2]

    Args:
        refunded_micros: Sum of the refunds, in terms of the value as sent; negative where more was given back.
        stated_micros: The value as sent.
        credited_micros: What of it is credited.
    """
    if stated_micros <= 0:
        return refunded_micros
    whole = abs(credited_micros) * abs(refunded_micros) // stated_micros
    return whole if (credited_micros >= 0) is (refunded_micros >= 0) else -whole


class AdjustedValue:
    """A value that is stated, taken from and given back to, in event order: as sent, and what of it is credited.

    A refund whose parts the basis needs takes off what they say; one without takes off its proportion. Where nothing is
    left of the value as sent, nothing is credited; where all of it is, so is all that was. A value that is credited as
    sent, because parts are missing, is refunded as sent.
    """

    __slots__ = ("_basis", "_by_parts", "_credited_by_parts", "_proportional", "stated", "stated_micros")

    def __init__(self, basis: ValueBasis, stated_micros: int | None, parts: ValueParts) -> None:
        """Begins with what was stated first."""
        self.state(stated_micros, parts, basis)

    def state(self, stated_micros: int | None, parts: ValueParts, basis: ValueBasis) -> None:
        """States it anew: whatever was taken off before is absorbed."""
        self._basis = basis
        self.stated_micros = stated_micros
        """As sent."""
        self.stated = credited_value(stated_micros, parts, self._basis)
        """What of that is credited."""
        self.restore()

    def restore(self) -> None:
        """Gives back all that was taken off."""
        self._proportional = self._by_parts = self._credited_by_parts = 0

    def take(self, amount_micros: int | None, parts: ValueParts) -> None:
        """Takes an amount off, in terms of the value as sent; None: all that is left."""
        if amount_micros is None:
            self._proportional += max(0, self.left_micros or 0)
            return
        basis = ValueBasis.AS_SENT if self.stated.missing else self._basis
        credited = credited_value(amount_micros, parts, basis)
        if credited.amount_micros is None or credited.missing:
            self._proportional += amount_micros
        else:
            self._by_parts += amount_micros
            self._credited_by_parts += credited.amount_micros

    def give_back(self, amount_micros: int | None, parts: ValueParts) -> None:
        """Gives an amount back; None: all that was taken off."""
        if amount_micros is None:
            self.restore()
            return
        proportional, by_parts, credited = self._proportional, self._by_parts, self._credited_by_parts
        self.restore()
        self.take(amount_micros, parts)
        self._proportional = proportional - self._proportional
        self._by_parts = by_parts - self._by_parts
        self._credited_by_parts = credited - self._credited_by_parts

    @property
    def left_micros(self) -> int | None:
        """As sent, what is left; negative where more was taken off than there was. None: no value was stated."""
        return None if self.stated_micros is None else self.stated_micros - self._proportional - self._by_parts

    @property
    def credited_micros(self) -> int:
        """What is credited now; 0 where no value was stated. Negative by `margin` only."""
        stated, credited, left = self.stated_micros, self.stated.amount_micros, self.left_micros
        if stated is None or credited is None or left is None or left < 0 or left == 0 < stated:
            return 0
        if left != stated:
            credited -= refunded_so_far(self._proportional, stated, credited) + self._credited_by_parts
        return credited if self._basis is ValueBasis.MARGIN else max(0, credited)
