"""Phone numbers as people write them -> E.164, the one form that is a person's: of identity tokens and of match keys.

The one rule: a number is read by the phone library, never by cutting characters out of it, and only what its country
gives out is somebody's. A national number needs its country; without one it is nobody's, for a stranger's number is
worse than none: an eighth of North America's numbers are, with a "+" before them, somebody's in Norway, Singapore or
Peru. Nor is a local number anybody's, for its first digits would be taken for another town's code: a landline that is
no longer than local numbers must show that it is whole, by the "0" that is dialled before it, or by brackets. A country
code without "+" or "00" is only believed where the number is too long to be a national one: of twelve digits, or of
eleven that begin with 1, which is how North Americans write theirs in full. (So is a Chinese mobile number: who has
those sets `default_region`.)
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import phonenumbers

from tributary_domain.normalization import is_blocked, trimmed
from tributary_domain.numbering_plans import gives_out, is_as_written

_PLUS: Final = ("+", "\uff0b")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_DIALLED: Final = re.compile(r"[\s(]*00[\s).\-/]*")
"""How "+" is dialled in most of the world."""
_ANOTHER_ENDING: Final = re.compile(r"(?<=[0-9])\s*/\s*[0-9]{1,2}\Z", re.ASCII)
"""As in "+49 30 123456 / 7": whose last digits may also be others. The number itself is what stands before."""
_SHORTEST_NUMBER: Final = 7
"""Digits, with the country code: what is shorter is an extension or an emergency call, and nobody's own."""
_INTERNATIONAL_DIGITS: Final = 12
"""From so many on a number without "+" has a country code; national ones that long begin with a zero."""
_NORTH_AMERICAN: Final = re.compile(r"\+1[2-9][0-9]{9}", re.ASCII)
_LOCAL_DIGITS: Final = 8
"""Numbers without an area code are no longer, anywhere."""
_BRACKETS: Final = re.compile(r"\s*\([0-9]+\)\s*[0-9]", re.ASCII)
"""As in "(30) 123456": around an area code."""


class NoNumber(Enum):
    """Why a text is nobody's phone number; values go on after "it"."""

    EMPTY = "is empty"
    NOBODY = "stands for nobody"
    NOT_GIVEN_OUT = "is no phone number that its country gives out"
    LOCAL = "may be a local phone number, without its area code"
    NO_COUNTRY = "is no phone number with its country code, and no country is given to read it by"


def read_phone(value: str, region: str | None) -> str | NoNumber:
    """Returns a phone number in E.164, with its "+"; or why it is nobody's.

    Args:
        value: As sent.
        region: The country it is read by where it names none, ISO 3166-1 alpha-2; "" or `None`: nobody knows.

    >>> read_phone("0171 2345678", "DE"), read_phone("+49 (171) 2345678", None)
    ('+491712345678', '+491712345678')
    >>> read_phone("555-2671", "US").name, read_phone("345 6789", "DE").name, read_phone("0171 2345678", "").name
    ('NOT_GIVEN_OUT', 'LOCAL', 'NO_COUNTRY')
    """
    if _E164.fullmatch(value) and len(value) > _SHORTEST_NUMBER and is_as_written(value):
        return value
    text = trimmed(value)
    if not text:
        return NoNumber.EMPTY
    if is_blocked(text):
        return NoNumber.NOBODY
    text = _ANOTHER_ENDING.sub("", text)
    if text.startswith(_PLUS):
        return _given_out(text, None) or NoNumber.NOT_GIVEN_OUT
    if region and (national := _given_out(text, region)):
        return national if _has_area_code(text, national, region) else NoNumber.LOCAL
    return _international(text) or (NoNumber.NOT_GIVEN_OUT if region else NoNumber.NO_COUNTRY)


def region_of(value: str, *regions: str) -> str:
    """Returns the country that a number is read by: the first that gives out such numbers, else the first there is.

    Args:
        value: As sent.
        regions: Where it may be from, the likeliest first; "" is skipped.

    >>> region_of("0664 1234567", "AT", "DE"), region_of("0171 2345678", "US", "DE"), region_of("12", "", "DE")
    ('AT', 'DE', 'DE')
    """
    known, text = list(dict.fromkeys(filter(None, regions))), trimmed(value)
    if len(known) < 2 or text.startswith(_PLUS):  # nothing to choose between, or no matter
        return known[0] if known else ""
    return next((region for region in known if _given_out(text, region)), known[0])


def _given_out(text: str, region: str | None) -> str | None:
    """Returns a number in E.164 if its country gives out such; None else."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if len(e164) <= _SHORTEST_NUMBER or number.country_code is None:
        return None
    national = phonenumbers.national_significant_number(number)
    return e164 if gives_out(number.country_code, national) else None


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
    number = _given_out(f"+{written}", None) if written[:1].isdigit() and written[0] != "0" else None
    if number is None:
        return None
    is_full = len(number) > _INTERNATIONAL_DIGITS or _NORTH_AMERICAN.fullmatch(number)
    is_whole = sum(map(str.isdigit, written)) >= len(number) - 1  # the library adds digits to numbers of old
    return number if dialled or (is_full and is_whole) else None
