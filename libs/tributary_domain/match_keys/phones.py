"""Phone numbers as destinations hash them: E.164 with its "+" (P+), or without (P0).

The one rule: a number is read by the phone library, never by cutting characters out of it. A national number needs its
country; without one it is no key, for the hash of a stranger's number is worse than none.
"""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from tributary_domain.match_keys.keys import EMPTY, Forms, NoKey
from tributary_domain.normalization import is_blocked, normalize_phone

_NO_DIGIT: Final = re.compile(r"\D")
_NO_NUMBER: Final = NoKey("is no phone number")
_NO_COUNTRY: Final = NoKey("is no phone number with its country code, and no country is given to read it by")


def with_plus(value: str, region: str) -> Forms:
    """P+.

    >>> with_plus("(415) 555-2671", "US"), with_plus("+49 (0)30 123456", ""), with_plus("0044 844 412 4653", "")
    (('+14155552671',), ('+4930123456',), ('+448444124653',))
    """
    number = _read(value.strip(), region)
    return number if isinstance(number, NoKey) else (number,)


def digits_only(value: str, region: str) -> Forms:
    """P0.

    >>> digits_only("+44 (0)20 7946 0958", "")
    ('442079460958',)
    """
    number = _read(value.strip(), region)
    return number if isinstance(number, NoKey) else (number[1:],)


def _read(text: str, region: str) -> str | NoKey:
    if not text:
        return EMPTY
    if is_blocked(text):
        return NoKey("stands for nobody")
    if text[0] in "+\uff0b":
        return normalize_phone(text, None) or _NO_NUMBER
    national = normalize_phone(text, region) if region else None
    if national and _is_valid(national):
        return national
    return _international(text) or national or (_NO_NUMBER if region else _NO_COUNTRY)


def _international(text: str) -> str | None:
    """Reads a number that begins with its country code without a "+", or after the usual two zeros."""
    digits = _NO_DIGIT.sub("", text)
    digits = digits[2:] if digits.startswith("00") else digits
    number = None if not digits or digits[0] == "0" else normalize_phone(f"+{digits}", None)
    return number if number and _is_valid(number) else None


def _is_valid(e164: str) -> bool:
    """Tells whether a country gives out such numbers; only asked where the country code is a guess."""
    return phonenumbers.is_valid_number(phonenumbers.parse(e164))
