"""Hashes of somebody's e-mail address or phone number, as ad tags put them into links: `?em=b4c9a289323b21a0...`.

They are personal: whoever has a list of addresses can tell whose each is, and that is what destinations match by. The
one rule: the shape decides, that of MD5 and SHA in hexadecimal, for no hash says of what it is; only a name that says
of what thing it is (an order, a click, a file) keeps it, where nothing but it is said.
"""

import re
from functools import lru_cache
from typing import Final

from tributary_domain.personal_names import plainer, words_of

HASH_CHARACTERS: Final = 32
"""Those of MD5, the shortest."""

_RUN: Final = re.compile(r"[0-9a-f]{32}|[0-9A-F]{32}")
_SAMPLED: Final = re.compile(r"[0-9a-fA-F][0-9a-fA-F]{3}")
"""What every eighth character of a text with such a run has; the first of four is apart, to be looked for quickly."""
_SHAPES: Final = "|".join(f"[0-9{letters}]{{{size}}}" for size in (32, 40, 64, 128) for letters in ("a-f", "A-F"))
_ALONE: Final = re.compile(rf"(?<![0-9A-Za-z])(?!\d{{32}})(?:{_SHAPES})(?![0-9A-Za-z])")
"""One that is no part of a longer word; digits alone are a number."""
_IN_LINKS: Final = re.compile(rf"(?<![\w/.-])(?!\d{{32}})(?:{_SHAPES})(?![\w/.-])")
"""The same within links, where parts of paths are files and pages."""
_BASE64: Final = re.compile(r"(?<![\w+/-])[\w+/-]{43}(?![\w+/-])", re.ASCII)
"""SHA-256 in base64, of a URL or not: the shape of many other things, too."""
_PIECE: Final = re.compile(r"[\s/?#&=:;,]")
"""What parts of a path, decoded, and of a link within it end with."""
_LONG: Final = re.compile(r"(?<![0-9A-Fa-f])(?:(?:[0-9a-f]{64}){1,2}|(?:[0-9A-F]{64}){1,2})(?![0-9A-Fa-f])")
"""SHA-256 or SHA-512 in a part of a path or of a campaign, whatever is written around it: `em|...`, `sha256_...`."""
_FILE: Final = re.compile(r"\.[A-Za-z][0-9A-Za-z]{0,5}\Z")
"""What a part of a path ends with that is a file, which may be named by a hash of what is in it."""
_DEVICES: Final = (["mobile"], ["mobiles"])
"""What a part of a path says alone of pages for them, not of whose number comes next."""

_THINGS: Final = frozenset(
    words_of(
        """
        order orderid orderkey cart cartid basket checkout transaction transactionid txn payment invoice
        product productid item itemid sku variant listing offer coupon voucher session sessionid
        click clickid clickref asset file image img video build commit rev revision version ver v etag checksum
        integrity git block contract experiment
        """
    )
)
_PEOPLE: Final = frozenset(
    words_of(
        """
        em hem ph email mail phone mobile user uid customer client member contact subscriber person recipient lead buyer
        """
    )
)
"""A name with one of these may speak of a thing, too, and the hash still be somebody's: `customer_order`."""
_PAGES_OF_PEOPLE: Final = _PEOPLE | {"unsubscribe", "optout"}
"""In a part of a path, of the next one, too."""
_HASHED: Final = frozenset(words_of("em hem ph hash hashed sha md"))
"""In the name of what can be nothing but a hash, in whatever letters."""


@lru_cache(4_096)
def _names_a_thing(name: str) -> bool:
    words = words_of(name)
    return _PEOPLE.isdisjoint(words) and any(word in _THINGS or word.endswith("clid") for word in words)


@lru_cache(4_096)
def _names_a_hash(name: str) -> bool:
    return not _HASHED.isdisjoint(words_of(name))


@lru_cache(4_096)
def _names_somebody(part: str) -> bool:
    words = words_of(part)
    return any(word.removesuffix("s") in _PAGES_OF_PEOPLE for word in words) and (
        words[-1].removesuffix("s") not in _THINGS and words not in _DEVICES
    )


def may_hold_hash(text: str) -> bool:
    """Tells whether a text, encoded or not, may hold a hash in hexadecimal; false for nearly all, and quick."""
    if len(text) < HASH_CHARACTERS or _SAMPLED.search(text[7::8]) is None:
        return False
    return _RUN.search(text) is not None


def is_hashed_parameter(name: str, value: str) -> bool:
    """Tells whether a parameter of a link, of whose name nothing is known, may be the hash of somebody.

    Args:
        name: As it stands.
        value: As it stands: it may be a link of its own.

    >>> md5 = "b4c9a289323b21a01c3e940f150eb9b8"
    >>> [is_hashed_parameter(name, md5) for name in ("em", "u", "user_hash", "order_id", "aff_clickid")]
    [True, True, True, False, False]
    >>> is_hashed_parameter("order_id", f"1,em:{md5}"), is_hashed_parameter("x", md5[1:]), is_hashed_parameter(md5, "")
    (True, False, True)
    """
    said = f"{name}={value}"
    if len(said) < HASH_CHARACTERS:
        return False
    name, _, value = plainer(said)[-1].partition("=")
    if _RUN.search(said) is None or _ALONE.search(f"{name}={value}") is None:
        return _is_in_base64(name, value)
    return not (_names_a_thing(name) and value.replace("-", "").isalnum())


def is_hashed_campaign(value: str) -> bool:
    """Tells whether a part of a campaign, whichever, holds a SHA-256 or a longer hash: ids look like shorter ones.

    >>> md5, sha256 = "b4c9a289323b21a01c3e940f150eb9b8", "b4c9a289323b21a01c3e940f150eb9b8" * 2
    >>> [is_hashed_campaign(value) for value in (sha256, f"em%7C{sha256}", f"sha256_{sha256}", md5, f"{sha256}0")]
    [True, True, True, False, False]
    """
    return may_hold_hash(value) and _LONG.search(plainer(value)[-1]) is not None


def is_hashed_property(name: str, value: str) -> bool:
    """Tells whether a property, of whose name nothing is known, may be the hash of somebody.

    Args:
        name: As sent.
        value: As sent. One that is a link, or has one, is about files and pages, too: these stay.

    >>> md5 = "b4c9a289323b21a01c3e940f150eb9b8"
    >>> [is_hashed_property(name, md5) for name in ("em", "anything", "git_commit", "customer_order")]
    [True, True, False, True]
    >>> is_hashed_property("image", f"https://cdn.example/{md5}.png"), is_hashed_property("x", f"https://a.example?u={md5}")
    (False, True)
    """
    if len(name) + len(value) < HASH_CHARACTERS:
        return False
    if may_hold_hash(name) and _ALONE.search(name) is not None:
        return True
    if len(value) < HASH_CHARACTERS:
        return False
    plain = plainer(value)[-1]
    if _RUN.search(plain) is None or (_IN_LINKS if "/" in plain else _ALONE).search(plain) is None:
        return _is_in_base64(name, plain)
    return not (_names_a_thing(name) and plain.replace("-", "").isalnum())


def _is_in_base64(name: str, value: str) -> bool:
    return _names_a_hash(name) and _BASE64.search(value) is not None


def is_hashed_part(before: str, part: str) -> bool:
    """Tells whether a part of a path is, or holds where it is encoded, the hash of somebody.

    A SHA-256 or a longer one always, but for the name of a file; a shorter one, as pages have them, too, after a part
    that names a person.

    Args:
        before: The part before it.
        part: As it stands.

    >>> md5, sha256 = "b4c9a289323b21a01c3e940f150eb9b8", "b4c9a289323b21a01c3e940f150eb9b8" * 2
    >>> [is_hashed_part(before, md5) for before in ("email", "users", "o", "customer-orders")]
    [True, True, False, False]
    >>> is_hashed_part("r", f"a%2Femail%2F{md5}"), is_hashed_part("o", f"em|{sha256}"), is_hashed_part("o", sha256)
    (True, True, True)
    >>> is_hashed_part("email", f"{md5}.js"), is_hashed_part("o", f"a-{sha256}.js")
    (False, False)
    """
    if not may_hold_hash(part):
        return False
    for piece in _PIECE.split(plainer(part)[-1]):
        if _LONG.search(piece) is not None and _FILE.search(piece) is None:
            return True
        if _ALONE.fullmatch(piece) is not None and _names_somebody(before):
            return True
        before = piece
    return False
