"""What is somebody's by what it looks like though its name does not say so: in properties, and in parameters of links.

The hash of an address or a number, an e-mail address in base64, a network address, a user agent, and a phone number as
it is dialled from abroad. The one rule: quick where there is nothing, and a name that says of what thing it is (an
order, a version, a code on a product) keeps what might be one.
"""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote_plus

from tributary_domain.encoded_addresses import holds_encoded_address, holds_encoded_part
from tributary_domain.numbering_plans import is_as_written
from tributary_domain.personal_hashes import HASH_CHARACTERS, is_hashed_parameter, is_hashed_property
from tributary_domain.personal_names import words_of

_SHORTEST: Final = 7
"""1.2.3.4"""
_ADDRESS: Final = re.compile(r"[\da-fA-F:.]{1,45}")
_AGENT: Final = re.compile(r"Mozilla/\d\.\d+ \(")
_FROM_ABROAD: Final = re.compile(r"00[1-9]\d{7,13}")
_BETWEEN_DIGITS: Final = str.maketrans("", "", " -/()")

_VERSIONS: Final = frozenset(words_of("version ver v build rev revision release firmware os sdk app section chapter"))
_CODES: Final = frozenset(
    words_of("id ref reference code sku ean gtin upc isbn barcode order invoice transaction item product batch serial")
)
_FREE: Final = frozenset({"content", "term"})
"""Parts of a campaign that people fill as they like; the id of one may look like a hash."""


def is_telling_property(name: str, value: str) -> bool:
    """Tells whether a property, of whose name nothing is known, is somebody's by what it holds.

    >>> [is_telling_property("x", text) for text in ("YW5uQGV4YW1wbGUuY29t", "203.0.113.7", "12:30:45")]
    [True, True, False]
    >>> is_telling_property("app_version", "10.2.1.4"), is_telling_property("order_id", "00491712345678")
    (False, False)
    """
    if is_hashed_property(name, value):
        return True
    return len(value) >= _SHORTEST and (
        holds_encoded_address(value) or holds_encoded_part(value) or _is_telling(name, value)
    )


def is_telling_parameter(name: str, value: str) -> bool:
    """Tells the same of a parameter of a link, as it stands there; whether it is in base64 is asked elsewhere.

    >>> is_telling_parameter("from", "2001%3Adb8%3A%3A7"), is_telling_parameter("x", "Mozilla/5.0+(X11)")
    (True, True)
    """
    if len(name) + len(value) >= HASH_CHARACTERS - 1 and is_hashed_parameter(name, value):
        return True
    if len(value) < _SHORTEST or not ("." in value or ":" in value or "%" in value or value.startswith("00")):
        return False
    return _is_telling(name, unquote_plus(value) if "%" in value or "+" in value else value)


def is_telling_campaign(name: str, value: str) -> bool:
    """Tells whether a part of a campaign (source, content, ...) is the hash of somebody.

    >>> md5 = "b4c9a289323b21a01c3e940f150eb9b8"
    >>> is_telling_campaign("content", md5), is_telling_campaign("id", md5), is_telling_campaign("term", "red shoes")
    (True, False, False)
    """
    return name in _FREE and is_hashed_parameter(name, value)


def _is_telling(name: str, value: str) -> bool:
    if "." in value or ":" in value:
        if "Mozilla/" in value:
            return _AGENT.search(value) is not None
        is_shaped = value.count(".") >= 3 or value.count(":") >= 2
        return is_shaped and any(map(_is_network_address, value.split(","))) and not _is_named(name, _VERSIONS)
    if not value.startswith("00"):
        return False
    digits = value.translate(_BETWEEN_DIGITS)
    return (
        _FROM_ABROAD.fullmatch(digits) is not None and is_as_written(f"+{digits[2:]}") and not _is_named(name, _CODES)
    )


def _is_network_address(text: str) -> bool:
    text = text.strip(" []")
    if len(text) < _SHORTEST or _ADDRESS.fullmatch(text) is None:  # what the library raises is slow
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache(4_096)
def _is_named(name: str, of: frozenset[str]) -> bool:
    words = words_of(name)
    return any(word in of or (of is _CODES and word.endswith("id")) for word in words)
