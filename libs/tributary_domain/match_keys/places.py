"""Cities, states, postal codes and countries as destinations want them."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from tributary_domain.match_keys.keys import EMPTY, Forms, NoKey
from tributary_domain.match_keys.names import lowered, without_blanks, without_marks


def _words(text: str) -> list[str]:
    return text.split()


_ISO_CODES: Final = frozenset(
    _words("""
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
    CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
    GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
    KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
    MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
    SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
    UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """)
)
_STATES: Final = dict(
    pair.split(":")
    for pair in _words("""
    alabama:al alaska:ak arizona:az arkansas:ar california:ca colorado:co connecticut:ct delaware:de florida:fl
    georgia:ga hawaii:hi idaho:id illinois:il indiana:in iowa:ia kansas:ks kentucky:ky louisiana:la maine:me maryland:md
    massachusetts:ma michigan:mi minnesota:mn mississippi:ms missouri:mo montana:mt nebraska:ne nevada:nv
    newhampshire:nh newjersey:nj newmexico:nm newyork:ny northcarolina:nc northdakota:nd ohio:oh oklahoma:ok oregon:or
    pennsylvania:pa rhodeisland:ri southcarolina:sc southdakota:sd tennessee:tn texas:tx utah:ut vermont:vt virginia:va
    washington:wa westvirginia:wv wisconsin:wi wyoming:wy districtofcolumbia:dc puertorico:pr
    """)
)
"""Of the United States: name without blanks -> code."""
_META_DROPS: Final = re.compile(r"[0-9.\s\-()]")
_PLUS_FOUR: Final = re.compile(r"([0-9]{5})-([0-9]{4})", re.ASCII)
"""A code of the United States with its last four, as it is written."""
_US_POSTAL_CODE: Final = re.compile(r"([0-9]{5})(?:[\s\-]*([0-9]{4}))?", re.ASCII)
"""Likewise, also as people type it; without its last four, too."""
_POSTAL_SEPARATORS: Final = re.compile(r"[\s\-]")
_NO_ASCII: Final = NoKey("has letters that this destination has no form for: it takes a-z and digits only")
_NO_CODE: Final = NoKey("is no ISO 3166-1 alpha-2 country code")


def is_country(code: str) -> bool:
    """Tells whether a text is a country code of ISO 3166-1 alpha-2, in upper case."""
    return code in _ISO_CODES


def as_meta_reads(value: str, _region: str) -> Forms:
    """A city or state without digits, dots, blanks, dashes and brackets, and without all other marks where it has any.

    The destination's own client hashes the one, its documentation asks for the other.

    >>> as_meta_reads("San Francisco (Bay)", ""), as_meta_reads("St. John's", "")
    (('sanfranciscobay',), ("stjohn's", 'stjohns'))
    """
    place = _META_DROPS.sub("", lowered(value))
    stripped = without_marks(place)
    return (place, stripped) if stripped and stripped != place else _some(place)


def bare(value: str, _region: str) -> Forms:
    """A city without blanks and punctuation.

    >>> bare("St. Louis", "")
    ('stlouis',)
    """
    return _some(without_marks(lowered(value)))


def ascii_only(value: str, _region: str) -> Forms:
    """A city or state in the letters a-z and digits; accents are dropped, and what then has other letters is no key.

    >>> ascii_only("St. Louis", ""), ascii_only("München", "")
    (('stlouis',), ('munchen',))
    """
    place = without_marks(unicodedata.normalize("NFKD", value.lower()))
    place = "".join(letter for letter in place if not unicodedata.combining(letter))
    return _some(place) if place.isascii() else _NO_ASCII


def state_and_code(value: str, region: str) -> Forms:
    """A state without blanks and punctuation, and its code where the United States have one of that name.

    >>> state_and_code("New York", ""), state_and_code("Georgia", "GE")
    (('newyork', 'ny'), ('georgia',))
    """
    state = without_marks(lowered(value))
    code = _code_of(state, region)
    return (state, code) if code else _some(state)


def state_code(value: str, region: str) -> Forms:
    """The code of a state of the United States; another state without blanks and punctuation."""
    state = without_marks(lowered(value))
    return _some(_code_of(state, region) or state)


def zip_cut_in_the_us(value: str, region: str) -> Forms:
    """A postal code without blanks; that of the United States without its last four.

    Args:
        value: As sent.
        region: Its country; "" unknown: then five digits, a dash and four are taken for theirs.

    >>> zip_cut_in_the_us("94035-1234", ""), zip_cut_in_the_us("1229-076", "PT"), zip_cut_in_the_us(" M1 1AE", "GB")
    (('94035',), ('1229-076',), ('m11ae',))
    >>> zip_cut_in_the_us("94035 1234", "US")
    ('94035',)
    """
    code = without_blanks(value.lower())
    found = _US_POSTAL_CODE.fullmatch(code) if region == "US" else None if region else _PLUS_FOUR.fullmatch(code)
    return _some(code if found is None else found[1])


def zip_without_blanks(value: str, _region: str) -> Forms:
    """A postal code in lower case, without blanks."""
    return _some(without_blanks(value.lower()))


def zip_digits(value: str, region: str) -> Forms:
    """A postal code's digits, those of the United States also without the last four; one with letters cannot be told.

    >>> zip_digits("94035-1234", "US"), zip_digits("SW1A 1AA", "GB")
    (('940351234', '94035'), NoKey(reason='has other than digits, and this destination takes digits only'))
    """
    code = _POSTAL_SEPARATORS.sub("", value)
    if code and not (code.isascii() and code.isdigit()):
        return NoKey("has other than digits, and this destination takes digits only")
    found = _US_POSTAL_CODE.fullmatch(code) if region == "US" else None
    return (code, found[1]) if found is not None and found[2] else _some(code)


def zip_as_google_reads(value: str, region: str) -> Forms:
    """A postal code as written; that of the United States has five digits, or five and four.

    >>> zip_as_google_reads(" 94035 1234 ", "US"), zip_as_google_reads("1229-076", "PT")
    (('94035-1234',), ('1229-076',))
    """
    code = value.strip()
    if not code or region != "US":
        return _some(code)
    found = _US_POSTAL_CODE.fullmatch(code)
    return (
        NoKey("is no postal code of the United States") if found is None else ("-".join(filter(None, found.groups())),)
    )


def country_lower(value: str, _region: str) -> Forms:
    """A country code of ISO 3166-1 alpha-2 in lower case.

    >>> country_lower("US", ""), country_lower("UK", "")
    (('us',), NoKey(reason='is no ISO 3166-1 alpha-2 country code'))
    """
    code = value.strip()
    if not code:
        return EMPTY
    return (code.lower(),) if is_country(code.upper()) else _NO_CODE


def country_upper(value: str, region: str) -> Forms:
    """A country code of ISO 3166-1 alpha-2 in upper case."""
    forms = country_lower(value, region)
    return forms if isinstance(forms, NoKey) else (forms[0].upper(),)


def _code_of(state: str, region: str) -> str:
    return _STATES.get(state, "") if region in {"", "US"} else ""


def _some(text: str) -> Forms:
    return (text,) if text else EMPTY
