"""Amounts of money as applications have them -> micros. The one rule: exactly, or not at all."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

from tributary.common.v1.money_pb2 import Money
from tributary_client.fields import Amount

_MICROS: Final = Decimal(1_000_000)
_MOST: Final = 2**63 - 1
_EXACTLY: Final = Context(prec=60, traps=[InvalidOperation, Inexact])
"""Of our own: an application's own may round."""


def to_money(amount: Amount, currency: str | None) -> Money:
    """Returns an amount as the contract has it.

    Args:
        amount: A `Money`, or a number of whole units of the currency.
        currency: ISO 4217; not with a `Money`.

    Raises:
        TypeError: A float, or nothing that is an amount.
        ValueError: No currency or two, an amount finer than a millionth, or too large a one.

    >>> to_money("49.90", "EUR").amount_micros
    49900000
    """
    if isinstance(amount, Money):
        if currency is not None and currency != amount.currency_code:
            raise ValueError("A Money has its own currency; leave `currency` out.")
        return amount
    if currency is None:
        raise ValueError("An amount needs its `currency`, for example currency='EUR'.")
    if isinstance(amount, bool) or not isinstance(amount, (Decimal, int, str)):
        kind = type(amount).__name__
        raise TypeError(f"An amount is a Decimal, int, str or Money, not a {kind}: 0.1 is not a tenth as a float.")
    try:
        micros = _EXACTLY.multiply(Decimal(amount), _MICROS)
    except Inexact:
        micros = Decimal("nan")
    except InvalidOperation:
        raise ValueError("This is no amount.") from None
    if not micros.is_finite() or micros != micros.to_integral_value() or micros.copy_abs() > _MOST:
        raise ValueError("An amount is at most 9 223 372 036 854 units, and no finer than a millionth.")
    return Money(currency_code=currency, amount_micros=int(micros))
