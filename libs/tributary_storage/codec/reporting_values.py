"""A conversion's value in the reporting currency: at the rate that it is pinned to, every model split again."""

from __future__ import annotations

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.credit_pb2 import ModelCredit, UnattributedCredit
from tributary.common.v1.money_pb2 import Money
from tributary_domain.exchange_rates import converted, converted_shares


def add_reporting_value(state: ConversionState, currency_code: str) -> None:
    """Adds what value and shares are in another currency.

    Args:
        state: With value, `rate_picos`, and credit.
        currency_code: The reporting currency.
    """
    whole = converted(state.value.amount_micros, state.rate_picos)
    state.reporting_value.CopyFrom(Money(currency_code=currency_code, amount_micros=whole))
    for index, model in enumerate(state.models):
        places: list[ModelCredit | UnattributedCredit] = [touch.credits[index] for touch in state.touches]
        places.append(model.unattributed)
        values, credits = [place.value_micros for place in places], [place.credit_micros for place in places]
        shares = converted_shares(whole, values, credits)
        for place, share in zip(places, shares, strict=True):
            if share:
                place.reporting_value_micros = share
