"""What is checked of an exchange rate before conversions are pinned to it.

The one rule: a rate is of one civil day of the books; a later statement corrects it, an earlier one never does.
"""

from collections.abc import Sequence
from typing import Any, Final

from tributary_domain.import_checks import check_currency, check_day, check_name, check_statement_time
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.shares import split_exactly

PICOS: Final = 10**12
_WHOLE_CREDIT: Final = 1_000_000
_MAX_RATE_PICOS: Final = 9 * 10**18
"""9 000 000 units: the most that 64 bits hold of picos, and more than any pair of currencies has."""


def check_rate(rate: Any, now_micros: int) -> list[Reason]:
    """Returns every reason why a rate can never be right.

    Args:
        rate: An `ingestion.v1.ExchangeRate`.
        now_micros: Our clock.
    """
    found: list[Reason] = []
    check_day(rate, "date", found)
    check_currency(rate.base_currency_code, "base_currency_code", found)
    check_currency(rate.quote_currency_code, "quote_currency_code", found)
    if rate.base_currency_code == rate.quote_currency_code:
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "quote_currency_code", "Another currency than the base."))
    if not 0 < rate.rate_picos <= _MAX_RATE_PICOS:
        message = "Units of the quote currency per unit of the base, times 10^12: positive, at most 9 * 10^18."
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "rate_picos", message))
    check_name(rate.source, "source", 64, found, required=True)
    published = rate.publish_time if rate.HasField("publish_time") else None
    check_statement_time(published, "publish_time", now_micros, found)
    return found


def converted(amount_micros: int, rate_picos: int) -> int:
    """Returns an amount in the quote currency, to the nearest micro; halves away from zero, so that a refund mirrors.

    >>> converted(3, 500_000_000_000), converted(-3, 500_000_000_000)
    (2, -2)

    Args:
        amount_micros: In the base currency.
        rate_picos: Units of the quote currency per unit of the base, times 10^12.
    """
    whole = (abs(amount_micros) * rate_picos + PICOS // 2) // PICOS
    return whole if amount_micros >= 0 else -whole


def converted_shares(converted_micros: int, shares_micros: Sequence[int], credits_micros: Sequence[int]) -> list[int]:
    """Splits a converted amount as it was split before, again to the last micro.

    By what tells the model's weights more finely: shares of a small amount are rounded so much that their ratio is
    another, credits are parts of a million.

    >>> converted_shares(10_000_000, [330_000, 330_000, 340_000], [330_000, 330_000, 340_000])
    [3300000, 3300000, 3400000]
    >>> converted_shares(52_000, [1, 1, 0], [333_334, 333_333, 333_333])
    [17334, 17333, 17333]

    Args:
        converted_micros: In the quote currency.
        shares_micros: Of the same in the base currency, all of one sign.
        credits_micros: Beside them, what of the conversion each has earned.

    Returns:
        One per share; their sum is `converted_micros`, unless there is nothing to share.
    """
    shares = [abs(share) for share in shares_micros]
    weights = shares if sum(shares) >= _WHOLE_CREDIT else credits_micros
    return split_exactly(converted_micros, weights) if any(weights) else [0] * len(weights)
