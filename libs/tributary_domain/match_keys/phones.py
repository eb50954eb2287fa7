"""Phone numbers as destinations hash them: E.164 with its "+" (P+), or without (P0).

The one rule: what is no identifier at the door is no key here, and the other way round.
"""

from __future__ import annotations

from typing import Final

from tributary_domain.match_keys.keys import Forms, NoKey
from tributary_domain.phone_numbers import NoNumber, read_phone

_NO_KEYS: Final = {why: NoKey(why.value) for why in NoNumber}


def with_plus(value: str, region: str) -> Forms:
    """P+.

    >>> with_plus("(415) 555-2671", "US"), with_plus("+49 (0)30 123456", ""), with_plus("0044 844 412 4653", "")
    (('+14155552671',), ('+4930123456',), ('+448444124653',))
    """
    number = read_phone(value, region)
    return _NO_KEYS[number] if isinstance(number, NoNumber) else (number,)


def digits_only(value: str, region: str) -> Forms:
    """P0.

    >>> digits_only("+44 (0)20 7946 0958", "")
    ('442079460958',)
    """
    number = read_phone(value, region)
    return _NO_KEYS[number] if isinstance(number, NoNumber) else (number[1:],)
