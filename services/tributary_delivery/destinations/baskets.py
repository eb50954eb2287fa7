"""What was bought, in the words that most destinations share: `contents` of id, quantity and price."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from tributary.event.v1.conversion_pb2 import Item
from tributary_delivery.destinations.json_bytes import units


def number(amount: Decimal) -> Decimal:
    """Returns an amount for a destination that takes numbers."""
    return amount


def text(amount: Decimal) -> str:
    """Returns an amount for a destination that takes decimal texts: exact, as a float never is."""
    return f"{amount:f}"


def quantity_of(items: Iterable[Item]) -> int:
    """Returns how many things were bought; an item without a quantity is one."""
    return sum(item.quantity or 1 for item in items)


def contents_of(
    items: Iterable[Item], names: dict[str, str], amount: Callable[[Decimal], Any] = number
) -> list[dict[str, Any]]:
    """Returns the items as a destination lists them; what is not known of one is left out.

    Args:
        items: Of the conversion.
        names: What the destination calls `id`, `quantity`, `price`, `name`, `category` and `brand`; what it does not
            take is left out.
        amount: How a price is written.
    """
    return [_content(item, names, amount) for item in items]


def _content(item: Item, names: dict[str, str], amount: Callable[[Decimal], Any]) -> dict[str, Any]:
    known: dict[str, Any] = {"id": item.item_id, "quantity": item.quantity or 1}
    if item.HasField("price_micros"):
        known["price"] = amount(units(item.price_micros))
    known |= {"name": item.name, "category": item.category, "brand": item.brand}
    return {names[key]: value for key, value in known.items() if key in names and value != ""}
