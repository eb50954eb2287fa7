"""Money: whole micros of one currency. Two currencies are never added, and no float comes near.

A micro is a millionth of the currency's unit, whatever its smallest coin: 1 JPY is 1 000 000 micros, as is 1 KWD.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

MICROS: Final = 1_000_000
"""In one unit of any currency."""

_BY_EXPONENT: Final = {
    0: "BIF BYR CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
    "CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
    "HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP "
    "MRO MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
    "SDG SEK SGD SHP SLE SLL SOS SRD SSP STD STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
    "VEF VES WST XCD XCG YER ZAR ZMW ZWG ZWL",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

EXPONENTS: Final = MappingProxyType({code: digits for digits, codes in _BY_EXPONENT.items() for code in codes.split()})
"""ISO 4217: currency code -> decimal places of its smallest coin.

With those that expired within the ten years that a backfill may reach back, for old orders; money of before (DEM, LTL)
can be in no event.
"""


WITHDRAWN: Final = MappingProxyType(
    {
        code: datetime.fromisoformat(f"{day}T00:00:00+00:00")
        for code, day in (
            ("ANG", "2025-07-01"),
            ("BGN", "2026-01-01"),
            ("BYR", "2017-01-01"),
            ("CUC", "2021-07-01"),
            ("HRK", "2023-01-01"),
            ("MRO", "2018-01-01"),
            ("SLL", "2024-04-01"),
            ("STD", "2018-01-01"),
            ("VEF", "2018-08-20"),
            ("ZWL", "2024-09-01"),
        )
    }
)
"""Currency that expired within the ten years of a backfill -> its first day as none."""

_GRACE: Final = timedelta(days=400)
"""How long its orders may still be refunded in it."""

LAST_MICROS: Final = MappingProxyType(
    {code: int((day + _GRACE).timestamp()) * MICROS for code, day in WITHDRAWN.items()}
)
"""Currency that expired -> until when an event may name it, in microseconds since 1970 UTC."""


def is_currency(code: str) -> bool:
    """Tells whether a code is a currency of ISO 4217, in capitals."""
    return code in EXPONENTS


def minor_unit_micros(code: str) -> int:
    """Returns how many micros the smallest coin of a currency has.

    Raises:
        ValueError: The code is no currency.

    >>> minor_unit_micros("EUR"), minor_unit_micros("JPY"), minor_unit_micros("KWD")
    (10000, 1000000, 1000)
    """
    if code not in EXPONENTS:
        message = f"{code!r} is not a currency code of ISO 4217."
        raise ValueError(message)
    return int(MICROS // 10 ** EXPONENTS[code])


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount of one currency.

    Raises:
        ValueError: The code is no currency, or two currencies meet.

    >>> Money("EUR", 1_500_000) + Money("EUR", 250_000)
    Money(currency_code='EUR', amount_micros=1750000)
    """

    currency_code: str
    """ISO 4217, in capitals."""
    amount_micros: int
    """Negative for money that went back."""

    def __post_init__(self) -> None:
        """Refuses what is no currency."""
        if self.currency_code not in EXPONENTS:
            message = f"{self.currency_code!r} is not a currency code of ISO 4217."
            raise ValueError(message)

    def __add__(self, other: "Money") -> "Money":
        """Adds an amount of the same currency."""
        return Money(self._shared_currency(other), self.amount_micros + other.amount_micros)

    def __sub__(self, other: "Money") -> "Money":
        """Subtracts an amount of the same currency."""
        return Money(self._shared_currency(other), self.amount_micros - other.amount_micros)

    def __neg__(self) -> "Money":
        """Returns the same amount, going the other way."""
        return Money(self.currency_code, -self.amount_micros)

    def in_minor_units(self) -> tuple[int, int]:
        """Returns (whole coins of the smallest kind, micros left over); both carry the sign of the amount.

        >>> Money("JPY", -12_500_000).in_minor_units()
        (-12, -500000)
        """
        coins, left = divmod(abs(self.amount_micros), minor_unit_micros(self.currency_code))
        return (coins, left) if self.amount_micros >= 0 else (-coins, -left)

    def _shared_currency(self, other: "Money") -> str:
        if self.currency_code != other.currency_code:
            message = f"{self.currency_code} and {other.currency_code} cannot be added: convert one first."
            raise ValueError(message)
        return self.currency_code
