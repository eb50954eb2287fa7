"""E-mail, phone and other identifiers -> what is hashed.

The one rule: normalising twice equals once, and two spellings of one identifier give one value. Nothing destination
specific happens here (what Google or Meta hash is theirs): these values only make identity tokens.
"""

import re
from functools import lru_cache
from hashlib import sha256

import phonenumbers

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_HEX_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_ONLY_ZEROS_OR_DASHES = re.compile(r"[0\-]+|[f\-]{8,}")
"""And the id whose every digit is the highest: 0 and -1, as some systems write it."""
_UNFILLED = re.compile(
    r"\{\{.*\}\}|\{%.*%\}|\$\{.*\}|\{[a-z_.]+\}|%%.*%%|%[a-z_]+%|\[\[.*\]\]|\[[a-z_]+\]|<%.*%>|<[a-z_ ]+>|__[a-z_]+__",
    re.DOTALL,
)
"""A place in a template that nothing was put into: all whom it was sent to would be one person."""
_UNFILLED_STARTS = frozenset("{$%[<_")
_INVISIBLE = " \t\r\n\"'\0\u200b\u200c\u200d\u2060\ufeff\u00ad"

_SHORTEST_NUMBER = 7
"""Digits, with the country code: what is shorter is an extension or an emergency call, and nobody's own."""

_NOBODY = """
-1|null|(null)|<null>|none|(none)|nil|nan|undefined|unknown|anonymous|anon|guest|user|visitor|customer|distinctid|
distinct_id|id|userid|user_id|not_authenticated|not authenticated|email|true|false|test|n/a|not set|(not set)|
[object object]|{}|[]|default|void
"""
_BLOCKED = frozenset(value.strip() for value in _NOBODY.split("|"))
"""Values that stand for nobody, in lower case: what Segment and PostHog refuse to link by, and their like."""

_BLOCKED_HASHES = frozenset(sha256(value.encode()).digest() for value in (*_BLOCKED, ""))


def is_blocked(value: str, blocked: frozenset[str] = frozenset()) -> bool:
    """Tells whether an identifier stands for nobody, so that linking by it would make strangers one person.

    Args:
        value: As sent. Quotes around it, what cannot be seen and case do not count; zeros and dashes alone are blocked,
            and so is a template's place that was not filled.
        blocked: The workspace's own, in lower case.

    >>> is_blocked("anonymous"), is_blocked(" '0' "), is_blocked("0000-0000"), is_blocked("10")
    (True, True, True, False)
    >>> is_blocked("{{customer.id}}"), is_blocked("%%CONTACT_ID%%"), is_blocked("{b7f1-22}")
    (True, True, False)
    """
    bare = value.strip(_INVISIBLE).lower()
    if not bare or bare in _BLOCKED or (blocked and bare in blocked):
        return True
    first = bare[0]
    if first in "0-f":
        return _ONLY_ZEROS_OR_DASHES.fullmatch(bare) is not None
    return first in _UNFILLED_STARTS and _UNFILLED.fullmatch(bare) is not None


def is_blocked_hash(digest: bytes) -> bool:
    """Tells whether a SHA-256 is that of nothing, or of a value that stands for nobody."""
    return digest in _BLOCKED_HASHES


def normalize_email(value: str) -> str | None:
    """Returns an e-mail address trimmed and in lower case; `None` if it is none.

    Dots and "+tags" stay: whether they matter is the mail provider's secret, and `email_sha256` keeps them too.

    >>> normalize_email("  Ann@Example.COM ")
    'ann@example.com'
    """
    email = value.strip().lower()
    return email if _EMAIL.fullmatch(email) else None


def normalize_phone(value: str, default_region: str | None) -> str | None:
    """Returns a phone number in E.164, with its "+"; `None` if it cannot be read.

    Args:
        value: With country code, or of the default region.
        default_region: ISO 3166-1 alpha-2 of the workspace, or `None`: then only numbers with a country code are read.

    >>> normalize_phone("0171 2345678", "DE"), normalize_phone("+49 (171) 2345678", None)
    ('+491712345678', '+491712345678')
    """
    if _E164.fullmatch(value) and _is_as_written(value):
        return value
    try:
        number = phonenumbers.parse(value, default_region)
    except phonenumbers.NumberParseException:
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if len(e164) <= _SHORTEST_NUMBER or not phonenumbers.is_possible_number(number):
        return None
    return e164


def _is_as_written(e164: str) -> bool:
    """Tells whether the library would return just this number: nothing to strip, and of a length its country has.

    Most callers send numbers in E.164; the library takes 50 microseconds over one, this one.
    """
    for digits in (1, 2, 3):
        country = _numbers_of(int(e164[1 : 1 + digits]))
        if country is not None:
            prefix, lengths = country
            national = e164[1 + digits :]
            return (
                len(e164) > _SHORTEST_NUMBER
                and len(national) in lengths
                and national[0] != "0"
                and (prefix is None or prefix.match(national) is None)
            )
    return False


@lru_cache(1_000)
def _numbers_of(country_code: int) -> tuple[re.Pattern[str] | None, frozenset[int]] | None:
    """Returns (what a national number is stripped of, the lengths it may have); `None` if it is no country's code."""
    region = phonenumbers.region_code_for_country_code(country_code)
    if country_code not in phonenumbers.COUNTRY_CODE_TO_REGION_CODE or region == "001":  # of the whole world: rare
        return None
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.general_desc is None:
        return None
    prefix = metadata.national_prefix_for_parsing
    return re.compile(prefix) if prefix else None, frozenset(metadata.general_desc.possible_length)


def read_sha256(value: str) -> bytes | None:
    """Returns the 32 bytes of a SHA-256 in hexadecimal, of either case; `None` if it is none."""
    return bytes.fromhex(value) if _HEX_SHA256.fullmatch(value) else None
