"""Birth dates and genders as destinations hash them."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from tributary_domain.match_keys.keys import EMPTY, Forms, NoKey

_DATE: Final = re.compile(r"([0-9]{4})([-/. ]?)([0-9]{2})\2([0-9]{2})", re.ASCII)
_YEAR: Final = re.compile(r"[0-9]{4}", re.ASCII)
_GENDERS: Final = {"f": "f", "female": "f", "m": "m", "male": "m"}
_NEITHER: Final = {"n": "n", "nonbinary": "n", "non-binary": "n"}
_NO_DATE: Final = NoKey("is no date of the form YYYYMMDD")


def birth_date(value: str, _region: str) -> Forms:
    """YYYYMMDD; what begins with the year can be told, other orders are a guess.

    >>> birth_date("1997-02-16", ""), birth_date("16.02.1997", "")
    (('19970216',), NoKey(reason='is no date of the form YYYYMMDD'))
    """
    text = value.strip()
    if not text:
        return EMPTY
    found = _DATE.fullmatch(text)
    if found is None:
        return _NO_DATE
    year, _, month, day = found.groups()
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return _NO_DATE
    return (f"{year}{month}{day}",)


def birth_year(value: str, _region: str) -> Forms:
    """YYYY."""
    text = value.strip()
    if not text:
        return EMPTY
    return (text,) if _YEAR.fullmatch(text) else NoKey("is no year of the form YYYY")


def birth_month(value: str, _region: str) -> Forms:
    """MM."""
    return _two_digits(value, 12, NoKey("is no month of the form MM"))


def birth_day(value: str, _region: str) -> Forms:
    """DD."""
    return _two_digits(value, 31, NoKey("is no day of the form DD"))


def gender(value: str, _region: str) -> Forms:
    """One letter: f or m."""
    return _of(value, _GENDERS, NoKey("is neither f nor m"))


def gender_as_written(value: str, _region: str) -> Forms:
    """In lower case as Meta's own client hashes it, and f or m as its documentation asks.

    >>> gender_as_written("Male", ""), gender_as_written("f", "")
    (('male', 'm'), ('f',))
    """
    forms = gender(value, _region)
    if isinstance(forms, NoKey):
        return forms
    written = value.strip().lower()
    return forms if written == forms[0] else (written, *forms)


def gender_or_neither(value: str, _region: str) -> Forms:
    """One letter: f, m, or n for neither."""
    return _of(value, _GENDERS | _NEITHER, NoKey("is none of f, m and n"))


def _of(value: str, known: dict[str, str], unknown: NoKey) -> Forms:
    text = value.strip().lower()
    if not text:
        return EMPTY
    return (known[text],) if text in known else unknown


def _two_digits(value: str, most: int, unknown: NoKey) -> Forms:
    text = value.strip()
    if not text:
        return EMPTY
    if not (text.isascii() and text.isdigit() and len(text) in {1, 2} and 1 <= int(text) <= most):
        return unknown
    return (text.zfill(2),)
