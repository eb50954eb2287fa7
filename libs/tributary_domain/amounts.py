"""What is checked of money, amounts and the items of an order.

The one rule: zero or more everywhere; money that goes back is an adjustment, and says so by its reason. A new total
alone may lie below zero, where more went back than was paid: it is credited as zero.
"""

from operator import attrgetter, gt
from typing import Any, Final

from tributary_domain.event_shape import EventLike
from tributary_domain.event_times import read_micros
from tributary_domain.money import LAST_MICROS, MICROS, is_currency
from tributary_domain.reasons import Reason, ReasonCode

MAX_ITEMS: Final = 200
MAX_AMOUNT_MICROS: Final = 10**12 * MICROS
"""No order is worth that in any currency; it leaves room for sums."""
MAX_QUANTITY: Final = 10**9

ITEM_TEXTS: Final = (("item_id", 128), ("name", 256), ("category", 256), ("brand", 128))
"""Text of an item -> its most characters."""

_ITEM_LIMITS: Final = tuple(limit for _, limit in ITEM_TEXTS)
_read_item = attrgetter(*(name for name, _ in ITEM_TEXTS), "quantity", "price_micros")

_AMOUNTS: Final = ("goods", "discount", "tax", "shipping", "fees", "gift_card", "cost_of_goods")


def check_money(
    event: EventLike, money: Any, field: str, found: list[Reason], *, may_be_negative: bool = False
) -> None:
    """Adds what is wrong with an amount and its currency."""
    code = money.currency_code
    if not is_currency(code):
        message = "Use a currency code of ISO 4217 in capitals: EUR."
        found.append(Reason(ReasonCode.CURRENCY_UNKNOWN, f"{field}.currency_code", message))
    elif code in LAST_MICROS:
        micros = read_micros(event.event_time)
        if micros is not None and micros >= LAST_MICROS[code]:
            message = "This currency was withdrawn long before the event."
            found.append(Reason(ReasonCode.CURRENCY_UNKNOWN, f"{field}.currency_code", message))
    amount = money.amount_micros
    _amount(abs(amount) if may_be_negative else amount, f"{field}.amount_micros", found)


def check_amounts(amounts: Any, field: str, found: list[Reason]) -> None:
    """Adds what is wrong with the parts of a value."""
    for name in _AMOUNTS:
        _amount(getattr(amounts, f"{name}_micros"), f"{field}.{name}_micros", found)


def check_items(items: Any, field: str, found: list[Reason]) -> None:
    """Adds what is wrong with the lines of an order."""
    if len(items) > MAX_ITEMS:
        found.append(Reason(ReasonCode.FIELD_TOO_LONG, field, f"More than {MAX_ITEMS}."))
    for position, item in enumerate(items[:MAX_ITEMS]):
        *said, quantity, price = _read_item(item)
        if (
            said[0]
            and not any(map(gt, map(len, said), _ITEM_LIMITS))
            and 0 <= quantity <= MAX_QUANTITY
            and 0 <= price <= MAX_AMOUNT_MICROS
        ):
            continue
        path = f"{field}[{position}]"
        if not item.item_id:
            found.append(Reason(ReasonCode.FIELD_MISSING, f"{path}.item_id", "Name the product."))
        for name, limit in ITEM_TEXTS:
            if len(getattr(item, name)) > limit:
                message = f"Longer than {limit} characters."
                found.append(Reason(ReasonCode.FIELD_TOO_LONG, f"{path}.{name}", message))
        if not 0 <= item.quantity <= MAX_QUANTITY:
            if item.quantity < 0:
                message = "A quantity is not negative."
                found.append(Reason(ReasonCode.FIELD_MALFORMED, f"{path}.quantity", message))
            else:
                message = f"A quantity is at most {MAX_QUANTITY}."
                found.append(Reason(ReasonCode.AMOUNT_TOO_LARGE, f"{path}.quantity", message))
        _amount(item.price_micros, f"{path}.price_micros", found)


def _amount(micros: int, field: str, found: list[Reason]) -> None:
    if 0 <= micros <= MAX_AMOUNT_MICROS:
        return
    if micros < 0:
        message = "An amount is zero or more; money that goes back is an adjustment."
        found.append(Reason(ReasonCode.AMOUNT_NEGATIVE, field, message))
    else:
        message = "An amount is at most 10^12 units of its currency, in millionths of a unit."
        found.append(Reason(ReasonCode.AMOUNT_TOO_LARGE, field, message))
