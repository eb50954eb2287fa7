"""Network addresses in a text, told from the versions, dates and prices that look like one.

The one rule: an address of the sixth version is none of these, wherever it stands, but it has to be one that a device
can have, for campaigns and numbers of orders are chains of words and years ("Search::2025::01", "2025::0001"); four
numbers with dots may be any of them, and what stands around them decides: a moment in seconds, a port, another
address, or a word that says so.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from tributary_domain.personal_names import words_of

SHORTEST: Final = 7
"""1.2.3.4"""
VERSIONS: Final = frozenset(words_of("version ver build rev revision release firmware sdk chapter section"))
"""Words of which four numbers are the version, wherever they stand."""
_ADDRESS: Final = re.compile(r"[\da-fA-F:.]{1,45}")
_NOBODYS: Final = ".0.0.0"
"""What versions of browsers end with, and no address of a device does."""
_PORT: Final = re.compile(r":\d{1,5}\Z")
AROUND: Final = " \t\r\n\"'(){}<>"
"""What may stand around one."""
_AROUND_SIXTH: Final = AROUND + "[]"

_FOUR: Final = re.compile(r"\d\.\d+\.\d+\.\d")
"""Four numbers with dots, wherever: quick where there are none."""
_DOTTED: Final = re.compile(r"(?<![^\W_])(?<!\d\.)([A-Za-z]*)(\d+(?:\.\d+){3,})(?![^\W_])")
"""Numbers with dots, and the letters that they are written to."""
_MOMENT_DIGITS: Final = 9
"""Of seconds since 1970, or of something finer."""
_MOMENT: Final = r"1\d{9}(?:\d{3}){0,3}"
"""The same where no dot joins it: only from 2001 to 2033, for numbers of any length may stand beside a version."""
_MOMENT_BEFORE: Final = re.compile(rf"(?<![^\W_]){_MOMENT}(?:[^\w\x00]|_){{1,3}}\Z")
_MOMENT_BEHIND: Final = re.compile(rf"(?:[^\w\x00]|_){{1,3}}{_MOMENT}(?![^\W_])")
_MOST: Final = 255
_NUMBERS: Final = 4
_WORD_BEFORE: Final = re.compile(r"([A-Za-z]+)(?:[^\w\x00]|_){0,2}\Z")
"""Within the same text, where several are joined by NULs."""
_CHARACTERS_BEFORE: Final = 24
_COLONS: Final = re.compile(r"(?<![^\W_])[23f][\da-f]{3}(?::[\da-f]{0,4}){2,7}(?![^\W_])", re.IGNORECASE)
"""What may be an address of the sixth version that a device has: of the world, of a site, or of a link."""
_GIVEN_OUT: Final = re.compile(r"(?:200[1-3]|2[468ac][\da-f]{2}|f[cd][\da-f]{2}|fe[89ab][\da-f]):", re.IGNORECASE)
"""What those begin with that devices have: of the world, from what the registries have, of a site, or of a link."""
_OF_FOURTH: Final = re.compile(r"(?:::|(?:0{1,4}:){5})ffff:|64:ff9b:|[\da-f:]*:\d+\.", re.IGNORECASE)
"""The same of one of the fourth version that is written as one of the sixth."""
_GROUPS: Final = 3
"""Of the least of one of the world: 2001:db8::7. With two, it is a year or a number, and a word: "2001::ad"."""
_COLONS_OF_WHOLE: Final = 7
"""Of one in which no zeros are left out."""
_SIXTH_BEFORE: Final = ("ffff:", "ff9b::")
"""What an address of the fourth version has before it where it is written as one of the sixth."""
_PORT_BEHIND: Final = re.compile(r":\d{2,5}(?![^\W_])")
_PARTED: Final = re.compile(r"\s+(?:->?\s+)?|->")
"""What parts addresses that are written one after another: of proxies, or from which to which."""
_SAYING: Final = frozenset(
    words_of("ip ipv addr address addresses xff forwarded remote peer visitor user guest session sess uid")
)
"""Words of which an address may be, and seldom a version."""


class Dotted(NamedTuple):
    """Four numbers with dots that may be an address."""

    address: str
    has_moment: bool
    """Whether a moment stands beside them."""
    letters: str
    """That they are written to."""
    before: str
    """A little of the text before."""
    behind: str
    """And behind."""

    @property
    def word_before(self) -> str:
        """The word before them; empty if something else is."""
        found = _WORD_BEFORE.search(self.before)
        return "" if found is None else found[1]

    @property
    def is_sixth(self) -> bool:
        """Whether they are written as the end of an address of the sixth version."""
        return self.before.lower().endswith(_SIXTH_BEFORE)


def dotted_in(text: str) -> Iterator[Dotted]:
    """Yields what may be an address of the fourth version.

    >>> [(one.address, one.has_moment, one.letters) for one in dotted_in("v1.2.3.4, 203.0.113.7.1795000000, 300.1.2.3")]
    [('1.2.3.4', False, 'v'), ('203.0.113.7', True, '')]
    """
    if text.count(".") < _NUMBERS - 1 or _FOUR.search(text) is None:
        return
    for found in _DOTTED.finditer(text):
        numbers = found[2].split(".")
        before = text[max(0, found.start() - _CHARACTERS_BEFORE) : found.start()]
        has_moment = True
        if len(numbers[-1]) >= _MOMENT_DIGITS:
            numbers.pop()
        elif len(numbers[0]) >= _MOMENT_DIGITS:
            numbers.pop(0)
        else:
            is_behind = _MOMENT_BEHIND.match(text, found.end()) is not None
            has_moment = is_behind or _MOMENT_BEFORE.search(before) is not None
        if _may_be_address(numbers):
            behind = text[found.end() : found.end() + _CHARACTERS_BEFORE]
            yield Dotted(".".join(numbers), has_moment, found[1], before, behind)


def holds_sixth(text: str) -> bool:
    """Tells whether a text holds an address of the sixth version, or is one.

    >>> holds_sixth("u:2001:db8::7:1795000000"), holds_sixth("[2001:db8::7]:443"), holds_sixth("00:1a:2b:3c:4d:5e")
    (True, True, False)
    >>> [holds_sixth(text) for text in ("user::2001:db8::7::x", "Search::2025::01", "2025::01", "::ffff:cb00:7107")]
    [True, False, False, True]
    """
    if "::" not in text and text.count(":") < _COLONS_OF_WHOLE:
        return False
    if any(map(_is_of_device, _COLONS.finditer(text))):
        return True
    return any(_is_sixth(one.strip(_AROUND_SIXTH)) for one in text.split("\0"))  # several that are joined


def holds_address_of(text: str, client_ip: str) -> bool:
    """Tells whether a text holds the address that an event says it came from.

    >>> holds_address_of("s-10.1.2.33-x", "10.1.2.33"), holds_address_of("110.1.2.33", "10.1.2.33")
    (True, False)
    """
    if "." in client_ip:
        if text.count(".") < _NUMBERS - 1:
            return False
        own = {one.address for one in dotted_in(client_ip)}
        return any(one.address in own for one in dotted_in(text))
    return text.count(":") > 1 and any(found[0].lower() == client_ip.lower() for found in _COLONS.finditer(text))


def holds_dotted_within(name: str, text: str) -> bool:
    """Tells whether a longer text of any kind holds an address of the fourth version, by what stands around it.

    >>> said = ("s-203.0.113.7-1795000000", "client 203.0.113.7:443 left", "203.0.113.7 10.0.0.1", "ip_203.0.113.7_x")
    >>> [holds_dotted_within("note", text) for text in said]
    [True, True, True, True]
    >>> said = ("Sale 1.2.3.4", "core-10.2.1.4.zip", "Rp 1.200.100.250", "upgrade from 1.2.3.4 to 1.3.0.0")
    >>> [holds_dotted_within("note", text) for text in said]
    [False, False, False, False]

    Args:
        name: Of what the text is a part or a value.
        text: Decoded.
    """
    found = list(dotted_in(text))
    if not found:
        return False
    if any(one.has_moment or one.is_sixth or _PORT_BEHIND.match(one.behind) for one in found):
        return True
    if _says_address(name) or any(_says_address(one.letters or one.word_before) for one in found):
        return True
    parts = [part for part in _PARTED.split(text.strip(AROUND)) if part]
    return len(parts) > 1 and all(map(is_address, parts))


def is_address(text: str) -> bool:
    """Tells whether a text is nothing but an address, with its port or without.

    >>> [is_address(text) for text in ("203.0.113.7:443", "[2001:db8::7]:443", "2001:db8::7", "120.0.0.0", "1.2.3")]
    [True, True, True, False, False]
    """
    if text.startswith("["):
        return _is_address(text[1:].partition("]")[0].strip(AROUND))
    text = text.rstrip("]")
    return _is_address(text) or _is_address(_PORT.sub("", text))


def _is_of_device(found: re.Match[str]) -> bool:
    """Tells an address within a longer text from a chain of words that reads like one ("spring::2026::ad")."""
    address = found[0]
    if _GIVEN_OUT.match(address) is None:
        return False
    if not _reads(address) and not _reads(address.removesuffix(":")):  # two colons behind it
        return False
    groups = len([group for group in address.split(":") if group])
    if groups >= _GROUPS:
        return True
    return groups > 1 and address[0] in "fF" and not found.string.endswith("::", 0, found.start())


def _is_sixth(text: str) -> bool:
    """Tells whether a text is nothing but an address of the sixth version that a device can have."""
    if _ADDRESS.fullmatch(text) is None:
        return False
    return (_GIVEN_OUT.match(text) is not None or _OF_FOURTH.match(text) is not None) and _reads(text)


def _may_be_address(numbers: list[str]) -> bool:
    if len(numbers) != _NUMBERS or numbers[0] == "0" or numbers[1:] == ["0"] * (_NUMBERS - 1):
        return False  # no device has such an address, and browsers have such versions
    if any(len(number) > 1 and number[0] == "0" for number in numbers) or any(len(number) > 3 for number in numbers):
        return False
    return max(map(int, numbers)) <= _MOST


@lru_cache(4_096)
def _says_address(name: str) -> bool:
    words = words_of(name)
    return bool(words) and words[-1] in _SAYING


def _is_address(text: str) -> bool:
    if len(text) < SHORTEST or text.endswith(_NOBODYS):
        return False
    if ":" in text:
        return _is_sixth(text)
    return _ADDRESS.fullmatch(text) is not None and _reads(text)  # what the library raises is slow


def _reads(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
