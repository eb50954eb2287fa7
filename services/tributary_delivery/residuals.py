"""By how much a destination has more than is true, where it is not told what is: in money, and in conversions.

The one rule: amounts of two currencies are never added. Of a destination that has a value in another currency than is
true, all that it has is too much, in its currency; what it lacks is the value itself, which the ledger has beside it.
"""

from __future__ import annotations

from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREDIT,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    Delivery,
    DeliveryOperation,
)
from tributary_delivery.sent_values import Told, sent_value
from tributary_storage.redis.delivery_job import Residual, Taken

CORRECTIONS: Final = frozenset({DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RETRACT})
"""What tells a destination that what it has is wrong."""
_NONE: Final = Money()


def is_other_currency(value: Money | None, taken: Taken) -> bool:
    """Tells whether a value is in another currency than what a destination has; a value of nothing is in none."""
    return value is not None and bool(taken.currency) and value.currency_code != taken.currency


def residual(
    revised: ConversionRevised, operation: DeliveryOperation.ValueType, taken: Taken | None, told: Told
) -> Residual | None:
    """Returns by how much a destination has more than is true; None: nobody knows.

    Args:
        revised: What is true.
        operation: What it would be told.
        taken: What it has; None: not known.
        told: Which value it is told.
    """
    if taken is None or taken.is_value_unknown:
        return None
    value = sent_value(revised.state, told)
    has = taken.value_micros if taken.counted else 0
    # Taken back, and rightly, or to be: nothing is true of it.
    is_nothing = operation == DELIVERY_OPERATION_RETRACT or (
        operation == DELIVERY_OPERATION_CREDIT and not taken.counted
    )
    conversions = int(taken.counted) - int(not is_nothing)
    if value is None and not is_nothing:
        return None
    true = _NONE if is_nothing or value is None else value
    currency = taken.currency or (value.currency_code if value is not None else "")
    if has and true.amount_micros and is_other_currency(true, taken):
        return Residual(has, currency, conversions)
    if not has:
        return Residual(-true.amount_micros, true.currency_code or currency, conversions)
    return Residual(has - true.amount_micros, currency, conversions)


def put_residual(line: Delivery, left: Residual) -> None:
    """Writes into a ledger's line what a destination has too much."""
    line.residual.SetInParent()
    line.residual.currency_code, line.residual.amount_micros = left.currency, left.micros
    line.residual_conversions = left.conversions


def residual_in(line: Delivery) -> Residual:
    """Returns what a ledger's line says that a destination has too much."""
    return Residual(line.residual.amount_micros, line.residual.currency_code, line.residual_conversions)
