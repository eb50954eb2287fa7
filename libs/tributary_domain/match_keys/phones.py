"""Phone numbers as destinations hash them: E.164 with its "+" (P+), or without (P0).

The one rule: a number is read by the phone library, never by cutting characters out of it, and only what its country
gives out is a key. A national number needs its country; without one it is no key, for the hash of a stranger's number
is worse than none: an eighth of North America's numbers are, with a "+" before them, somebody's in Norway, Singapore or
Peru. Nor is a local number one, for its first digits would be taken for another town's code: a landline that is no
longer than local numbers must show that it is whole, by the "0" that is dialled before it, or by brackets. A country
code without "+" or "00" is only believed where the number is too long to be a national one: of twelve digits, or of
eleven that begin with 1, which is how North Americans write theirs in full. (So is a Chinese mobile number: who has
those sets `default_region`.)
"""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from tributary_domain.match_keys.keys import EMPTY, Forms, NoKey
from tributary_domain.normalization import is_blocked, normalize_phone

_PLUS: Final = ("+", "\uff0b")
_DIALLED: Final = re.compile(r"[\s(]*00[\s).\-/]*")
"""How "+" is dialled in most of the world."""
_ANOTHER_ENDING: Final = re.compile(r"(?<=[0-9])\s*/\s*[0-9]{1,2}\Z", re.ASCII)
"""As in "+49 30 123456 / 7": whose last digits may also be others. The number itself is what stands before."""
_INTERNATIONAL_DIGITS: Final = 12
"""From so many on a number without "+" has a country code; national ones that long begin with a zero."""
_NORTH_AMERICAN: Final = re.compile(r"\+1[2-9][0-9]{9}", re.ASCII)
_LOCAL_DIGITS: Final = 8
"""Numbers without an area code are no longer, anywhere."""
_BRACKETS: Final = re.compile(r"\s*\([0-9]+\)\s*[0-9]", re.ASCII)
"""As in "(30) 123456": around an area code."""
_NO_NUMBER: Final = NoKey("is no phone number that its country gives out")
_LOCAL: Final = NoKey("may be a local phone number, without its area code")
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


def region_of(value: str, *regions: str) -> str:
    """Returns the country that a number is read by: the first that gives out such numbers, else the first there is.

    Args:
        value: As sent.
        regions: Where it may be from, the likeliest first; "" is skipped.

    >>> region_of("0664 1234567", "AT", "DE"), region_of("0171 2345678", "US", "DE"), region_of("12", "", "DE")
    ('AT', 'DE', 'DE')
    """
    known, text = list(dict.fromkeys(filter(None, regions))), value.strip()
    if len(known) < 2 or text.startswith(_PLUS):  # nothing to choose between, or no matter
        return known[0] if known else ""
    for region in known:
        number = normalize_phone(text, region)
        if number and _is_valid(number):
            return region
    return known[0]


def _read(text: str, region: str) -> str | NoKey:
    if not text:
        return EMPTY
    if is_blocked(text):
        return NoKey("stands for nobody")
    text = _ANOTHER_ENDING.sub("", text)
    if text.startswith(_PLUS):
        number = normalize_phone(text, None)
        return number if number and _is_valid(number) else _NO_NUMBER
    national = normalize_phone(text, region) if region else None
    if national and _is_valid(national):
        return national if _has_area_code(text, national, region) else _LOCAL
    return _international(text) or (_NO_NUMBER if region else _NO_COUNTRY)


def _has_area_code(text: str, e164: str, region: str) -> bool:
    """Tells whether a national number is whole: where towns leave out their codes, it must be plain that it has one.

    What is dialled before it ("0") makes it longer; written without, it may be local where it is no longer than those.
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or not metadata.national_prefix or _BRACKETS.match(text):
        return True
    number = phonenumbers.parse(e164)
    if phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE:
        return True
    significant = len(phonenumbers.national_significant_number(number))
    return significant > _LOCAL_DIGITS or sum(map(str.isdigit, text)) > significant


def _international(text: str) -> str | None:
    """Reads a number that begins with its country code, after the usual two zeros or in such length that it must."""
    dialled = _DIALLED.match(text)
    written = text[dialled.end() :] if dialled else text.lstrip(" (")
    number = normalize_phone(f"+{written}", None) if written[:1].isdigit() and written[0] != "0" else None
    if number is None or not _is_valid(number):
        return None
    is_full = len(number) > _INTERNATIONAL_DIGITS or _NORTH_AMERICAN.fullmatch(number)
    is_whole = sum(map(str.isdigit, written)) >= len(number) - 1  # the library adds digits to numbers of old
    return number if dialled or (is_full and is_whole) else None


def _is_valid(e164: str) -> bool:
    """Tells whether a country gives out such numbers."""
    return phonenumbers.is_valid_number(phonenumbers.parse(e164))
