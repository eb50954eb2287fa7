"""What is somebody's by what it looks like though its name does not say so: in properties, campaigns and links.

The hash of an address or a number, an e-mail address in base64, a token of a log-in, a network address, a user agent,
and a phone number as it is dialled from abroad. The one rule: quick where there is nothing, and a name that says of
what thing it is (an order, a version, a code on a product) keeps what might be one: four numbers with dots, alone, are
an app's version where the name ends with one, of a property the number or the price where the nearest name speaks of
these, and an address everywhere else; within a longer text they are one where something beside them says so.
"""

import re
from collections.abc import Iterator
from typing import Final

from tributary_domain.encoded_addresses import (
    holds_encoded_address,
    holds_encoded_part,
    may_hold_encoded_address,
)
from tributary_domain.names_of_things import (
    CODES,
    NAMES_OF_VERSIONS,
    PAGES_OF_CODES,
    PAGES_OF_VERSIONS,
    is_numbered,
    is_of_codes,
    is_of_versions,
)
from tributary_domain.network_addresses import (
    AROUND,
    SHORTEST,
    VERSIONS,
    holds_dotted_within,
    holds_sixth,
    is_address,
)
from tributary_domain.numbering_plans import is_as_written
from tributary_domain.personal_hashes import (
    HASH_CHARACTERS,
    is_hashed_campaign,
    is_hashed_parameter,
    is_hashed_part,
    is_hashed_property,
    may_hold_hash,
)
from tributary_domain.personal_names import plainer

_LISTED: Final = re.compile(r"[,;|]")
"""What parts the addresses of a header."""
_SAID_OF: Final = re.compile(r"[\s\"'({\[]*([A-Za-z_][\w.-]{0,63})[\"']?\s*[=:]\s*", re.ASCII)
"""Before one, of what it is: `for="[2001:db8::7]:4711"`, as proxies write it, or `u:203.0.113.7`."""
_AROUND_LISTED: Final = AROUND + "[]"
"""What may stand around a part of a list that is no JSON: "['10.20.30.40', '10.20.30.41']"."""
_LONGEST: Final = 64
"""An address with its port, or a number with blanks, and what stands around it."""
_BROWSER: Final = r"Mozilla/\d\.\d+ \(|\bDalvik/\d[\d.]* \("
_APP: Final = r"(?<![\w.+-])[A-Za-z][\w.+-]*/\d[\w.+-]* \("
"""Of any name, and its version; each word is begun once."""
_DEVICE: Final = r"[^()]*\b(?:Linux|Android|Windows|Macintosh|iPhone|iPad|iPod|iOS|X11|CrOS|J2ME|compatible)\b"
_AGENT: Final = re.compile(rf"{_BROWSER}|\b(?:okhttp|CFNetwork)/\d|{_APP}(?=[^()]*;){_DEVICE}")
"""A browser's, or that of an app: what it is, its version, and in brackets what it runs on."""
_OF_IOS: Final = r"(?:(?<![^/;])[^/;]+/\d[\w.+-]* )?CFNetwork/\d[\d.]* Darwin/\d"
"""Of an app of any name: it has no brackets."""
_AGENT_IN_PATH: Final = re.compile(
    rf"{_BROWSER}|{_OF_IOS}|{_APP}(?={_DEVICE})[^()]*(?:\b(?:Scale|Build)/\w[^()]*\)|\) [A-Za-z][\w.+-]*/\d)"
)
"""The same where pages have names of their own, of things that have versions and are for devices: one that nothing but
agents begin with, or with something else that has a version, behind the bracket or, as phones write it, within."""
_PATH: Final = re.compile(r"\s*(?:[A-Za-z][\w.+-]*:)?/[^?#]*")
"""With its host, or without."""
_BEGINS_AGENT: Final = re.compile(r"/\d[\w.+-]*?(?:\+|\s|%(?:25)*20)\(")
"""What of one no other path has: a version, a blank, and a bracket."""
_CALLED: Final = re.compile(r"\s*(?:tel|sms|callto|fax|whatsapp):[\s/]*[+(]{0,2}\d[\d ()./-]{5,}", re.IGNORECASE)
"""A link that is called, or written to."""
_MAY_BE_FROM_ABROAD: Final = re.compile(r"(?<![\w.])00[1-9]")
_DIALLED: Final = re.compile(r"00[1-9](?:[ +/()-]*\d){7}")
_FROM_ABROAD: Final = re.compile(r"00[1-9]\d{7,13}")
_SIGN: Final = re.compile(r"%(?!20|[89A-Fa-f])")
"""One that is encoded, and neither a blank nor of a foreign letter."""
_BETWEEN_DIGITS: Final = str.maketrans("", "", " -/()")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+){3}")
_FREE: Final = frozenset({"content", "term"})
"""Parts of a campaign that people fill as they like; the id of one may look like a hash."""


def is_telling_property(name: str, value: str, versions: frozenset[str] = NAMES_OF_VERSIONS) -> bool:
    """Tells whether a property, of whose name nothing is known, is somebody's by what it holds.

    Args:
        name: Its name.
        value: As sent.
        versions: The words of a name that say that it is a version.

    >>> [is_telling_property("x", text) for text in ("YW5uQGV4YW1wbGUuY29t", "203.0.113.7", "12:30:45")]
    [True, True, False]
    >>> is_telling_property("app_version", "10.2.1.4"), is_telling_property("order_id", "00491712345678")
    (False, False)
    >>> [is_telling_property("order_id", text) for text in ("25.11.27.104", "10.1.2.33-1795000000", "10.1.2.33:443")]
    [False, True, True]
    >>> [is_telling_property("items", text) for text in ("10.20.30.40, 10.20.30.41", "x;203.0.113.7", "u:203.0.113.7")]
    [False, True, True]
    """
    if is_hashed_property(name, value):
        return True
    return len(value) >= SHORTEST and (
        holds_encoded_address(value)
        or holds_encoded_part(value)
        or (_may_be_telling(value) and _is_telling(name, plainer(value)[-1], versions, may_be_numbered=True))
    )


def is_telling_key(name: str, around: str, key: str) -> bool:
    """Tells the same of the key of a member of an object of JSON: whose it is may stand there, too.

    Args:
        name: What the object is called; for its keys it decides as for its values.
        around: The name of the property, and the keys that its objects are under, with dots between.
        key: The member's.

    >>> md5 = "b4c9a289323b21a01c3e940f150eb9b8"
    >>> [is_telling_key("cart", "cart", key) for key in (md5, f"em={md5}", "YW5uQGV4YW1wbGUuY29t", "file_hash", "item")]
    [True, True, True, False, False]
    >>> [is_telling_key(name, name, "10.20.30.40") for name in ("seen", "app", "item_ids")]
    [True, True, False]
    """
    if any(is_hashed_property(one, key) for one in ("", around)):  # no name says of a key of what thing's hash it is
        return True
    return is_telling_property(name, key, VERSIONS)


def is_telling_parameter(name: str, value: str) -> bool:
    """Tells the same of a parameter of a link, as it stands there; whether it is in base64 is asked elsewhere.

    One without a value is judged by what stands in the place of its name.

    >>> is_telling_parameter("from", "2001%3Adb8%3A%3A7"), is_telling_parameter("x", "Mozilla/5.0+(X11)")
    (True, True)
    >>> [is_telling_parameter("x", f"{name}203.0.113.7") for name in ("u:", "q=", "a|", "version:")]
    [True, True, True, False]
    """
    if len(name) + len(value) >= HASH_CHARACTERS - 1 and is_hashed_parameter(name, value):
        return True
    if not value:
        name, value = "", name
    return _may_be_telling(value) and _is_telling(name, _plain(value))


def is_telling_campaign(name: str, value: str) -> bool:
    """Tells whether a part of a campaign (source, content, ...), as it stands in a link or an event, is somebody's.

    >>> md5 = "b4c9a289323b21a01c3e940f150eb9b8"
    >>> is_telling_campaign("content", md5), is_telling_campaign("id", md5), is_telling_campaign("id", md5 * 2)
    (True, False, True)
    >>> is_telling_campaign("term", "203.0.113.7"), is_telling_campaign("content", "YW5uQGV4YW1wbGUuY29t")
    (True, True)
    """
    if len(value) < SHORTEST:
        return False
    if is_hashed_campaign(value) or (name in _FREE and is_hashed_parameter(name, value)):
        return True
    if holds_encoded_address(value) or holds_encoded_part(value):
        return True
    return _may_be_telling(value) and _is_telling(name, _plain(value))


def may_hold_telling_word(text: str) -> bool:
    """Tells whether words for people may hold what is somebody's though it has no sign of an address; quick.

    That is a hash, an e-mail address in base64, a number dialled from abroad, or a parameter; what is of anything else
    `may_name_somebody` tells.

    >>> texts = ("b4c9a289323b21a01c3e940f150eb9b8", "of YW5uQGV4YW1wbGUuY29t", "0033677889910", "red&email=ann")
    >>> [may_hold_telling_word(text) for text in (*texts, "Shoe 1001", "0012 pieces")]
    [True, True, True, True, False, False]
    """
    if "=" in text or ("00" in text and _DIALLED.search(text) is not None):
        return True
    return may_hold_encoded_address(text) or may_hold_hash(text)


def may_hold_telling_part(path: str) -> bool:
    """Tells whether a path may have a part that is somebody's by what it looks like; quick, as for nearly all."""
    if path.count(".") > 2 or ":" in path or ("00" in path and _MAY_BE_FROM_ABROAD.search(path) is not None):
        return True
    if "CFNetwork/" in path or ("(" in path and _BEGINS_AGENT.search(path) is not None):
        return True
    return "%" in path and ("00" in path or _SIGN.search(path) is not None)  # of an agent, an address or a link


def agent_begins(text: str) -> int:
    """Returns where in a path or a fragment, decoded, a user agent begins whose slashes part it; -1: there is none.

    What may be a page about a library, a file, or a thing for a device, is none: all behind it would be lost.

    >>> agent_begins("/a/Mozilla/5.0 (X11; Linux)"), agent_begins("/a/Shop/7 (iPhone; iOS 17.2; Scale/3.00)")
    (3, 3)
    >>> agent_begins("/a/My Shop/3.4 CFNetwork/1490.0.4 Darwin/23.2.0"), agent_begins("/docs/CFNetwork/1490")
    (3, -1)
    >>> agent_begins("/docs/okhttp/4.9.3"), agent_begins("/Tool/2.0 (Linux; amd64).zip"), agent_begins("/Opera/12 (b)")
    (-1, -1, -1)
    """
    found = _AGENT_IN_PATH.search(text) if "(" in text or "CFNetwork/" in text else None
    return -1 if found is None else found.start()


def is_telling_part(before: str, part: str) -> bool:
    """Tells whether a part of a path is somebody's.

    Args:
        before: The part before it, which may say of what it is: "order", "versions".
        part: As it stands.

    >>> is_telling_part("ip", "203.0.113.7"), is_telling_part("u", "00491712345678")
    (True, True)
    >>> is_telling_part("releases", "10.2.1.4"), is_telling_part("orders", "00491712345678")
    (False, False)
    """
    if is_hashed_part(before, part):
        return True
    return _may_be_telling(part) and _is_telling(before, _plain(part), PAGES_OF_VERSIONS, PAGES_OF_CODES)


def _may_be_telling(value: str) -> bool:
    return len(value) >= SHORTEST and ("." in value or ":" in value or "%" in value or "/" in value or "00" in value)


def _plain(value: str) -> str:
    return plainer(value)[-1] if "%" in value else value.replace("+", " ")


def _is_telling(
    name: str,
    value: str,
    versions: frozenset[str] = NAMES_OF_VERSIONS,
    codes: frozenset[str] = CODES,
    *,
    may_be_numbered: bool = False,
) -> bool:
    if "/" in value and shows_agent(value):
        return True
    if ":" in value and _CALLED.match(value) is not None:
        return True
    may_be_dotted = value.count(".") >= 3
    may_be_address = may_be_dotted or value.count(":") >= 2
    may_be_number = "00" in value and _MAY_BE_FROM_ABROAD.search(value) is not None
    if not may_be_address and not may_be_number:
        return False
    if may_be_address and holds_sixth(value):
        return True
    whole, parts = value.strip(AROUND), _LISTED.split(value)
    are_numbers = may_be_numbered and may_be_dotted and _are_numbers(parts)
    for part in parts:
        names = [name]
        for text in _said_in(names, part):
            if (
                may_be_address
                and (text == whole or text.count(":") < 2)  # of the sixth version within is decided
                and is_address(text)
                and not any(is_of_versions(one, versions) for one in names)
                and not (
                    may_be_numbered
                    and ":" not in text
                    and is_numbered(names[-1])
                    and (are_numbers or len(names) > 1)  # the name of the property is that of all its parts
                )
            ):
                return True
            if may_be_number and _is_number(text) and not any(is_of_codes(one, codes) for one in names):
                return True
        if (
            may_be_dotted
            and not any(is_of_versions(one, versions) for one in names)
            and holds_dotted_within(names[-1], part)
        ):
            return True
    return False


def shows_agent(value: str) -> bool:
    """Tells whether a text with a slash, decoded, holds a user agent."""
    path = _PATH.match(value)
    if path is None:
        return _AGENT.search(value) is not None
    return agent_begins(path[0]) >= 0 or _AGENT.search(value, path.end()) is not None


def _said_in(names: list[str], part: str) -> Iterator[str]:
    """Yields a part as it stands, and what is behind each name within it, which is added to `names` before."""
    at = 0
    while True:
        if len(part) - at <= _LONGEST:
            yield part[at:].strip(AROUND)
        said = _SAID_OF.match(part, at)
        if said is None:
            return
        names.append(said[1])
        at = said.end()


def _are_numbers(parts: list[str]) -> bool:
    """Tells whether each part of a value is four numbers with dots, as the ids of a list are."""
    bare = (part.strip(_AROUND_LISTED) for part in parts)
    return all(not part or _NUMBER.fullmatch(part) is not None for part in bare)


def _is_number(text: str) -> bool:
    if not text.startswith("00"):
        return False
    digits = text.translate(_BETWEEN_DIGITS)
    return _FROM_ABROAD.fullmatch(digits) is not None and is_as_written(f"+{digits[2:]}")
