"""What tells a person's device in an id: a whole network address, or a user agent, alone or as part of it.

An id is often built of one (`203.0.113.7-1795000000`), so it is looked for within. The one rule: four numbers with dots
are an address where a moment stands beside them; else a version where the word before them says so ("build-10.2.1.4"),
something longer where more numbers or a letter stand next to them ("1.2.3.4.5", "v1.2.3.4"), and an address everywhere
else. The number of an order is known to others by its text, who match by it, and may be a date and a count
("25.11.27.104"): there four numbers are an address only with a moment, or where the event came from it.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from tributary_domain.personal_names import plainer, words_of
from tributary_domain.personal_values import shows_agent

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
_VERSIONS: Final = frozenset(
    words_of("version versions ver build builds rev revision release releases firmware sdk chapter section")
)
_COLONS: Final = re.compile(r"(?<![^\W_])[23f][\da-f]{3}(?::[\da-f]{0,4}){2,7}(?![^\W_])", re.IGNORECASE)
"""What may be an address of the sixth version that a device has: of the world, of a site, or of a link."""
_SIXTH_BEFORE: Final = ("ffff:", "ff9b::")
"""What an address of the fourth version has before it where it is written as one of the sixth."""


def may_hold_device(text: str) -> bool:
    """Tells whether a text has what an address or a user agent has; false for nearly all ids, and quick."""
    return "." in text or ":" in text or "/" in text or "%" in text


def holds_device(text: str) -> bool:
    """Tells whether a text holds a whole network address, or a user agent.

    >>> [holds_device(text) for text in ("203.0.113.7-1", "203.0.113.7.1795000000", "u:2001:db8::7:1795000000")]
    [True, True, True]
    >>> [holds_device(text) for text in ("v1.2.3.4", "build-10.2.1.4", "1.2.3.4.5", "fb.1.1795000000000.11")]
    [False, False, False, False]
    >>> holds_device("u:Mozilla/5.0 (X11; Linux x86_64)"), holds_device("Mozilla%2F5.0%20(X11"), holds_device("a/b")
    (True, True, False)
    """
    return _holds(text, _is_address)


def number_holds_device(text: str, client_ip: str = "") -> bool:
    """Tells whether the number of an order, a lead or a pixel's event holds one: others match by its text.

    Args:
        text: The number.
        client_ip: The address that the event says it came from; empty if it says none.

    >>> [number_holds_device(text) for text in ("25.11.27.104", "SO-10.1.2.33", "10.1.2.33-1795000000")]
    [False, False, True]
    >>> number_holds_device("SO-10.1.2.33", "10.1.2.33"), number_holds_device("2001:db8::7")
    (True, True)
    """

    def is_address(found: re.Match[str]) -> bool:
        address, has_moment = _read(found)
        if not address or has_moment:
            return has_moment
        return address in _dotted(client_ip) or _before(found).lower().endswith(_SIXTH_BEFORE)

    return _holds(text, is_address)


def _holds(text: str, is_address: Callable[[re.Match[str]], bool]) -> bool:
    if not may_hold_device(text):
        return False
    if "%" in text:
        text = plainer(text)[-1]
    if text.count(".") >= _NUMBERS - 1 and any(map(is_address, _DOTTED.finditer(text))):
        return True
    if text.count(":") > 1 and any(_is_sixth(found[0]) for found in _COLONS.finditer(text)):
        return True
    return "/" in text and shows_agent(text.replace("+", " "))


def _is_address(found: re.Match[str]) -> bool:
    address, has_moment = _read(found)
    if not address or has_moment:
        return has_moment
    word = _WORD_BEFORE.search(_before(found))
    return not found[1] and (word is None or word[1].lower() not in _VERSIONS)


def _read(found: re.Match[str]) -> tuple[str, bool]:
    """Returns four numbers that may be an address, empty if these cannot; and whether a moment stands beside them."""
    numbers = found[2].split(".")
    has_moment = True
    if len(numbers[-1]) >= _MOMENT_DIGITS:
        numbers.pop()
    elif len(numbers[0]) >= _MOMENT_DIGITS:
        numbers.pop(0)
    else:
        is_behind = _MOMENT_BEHIND.match(found.string, found.end()) is not None
        has_moment = is_behind or _MOMENT_BEFORE.search(_before(found)) is not None
    if len(numbers) != _NUMBERS or numbers[0] == "0" or numbers[1:] == ["0"] * (_NUMBERS - 1):
        return "", False  # no device has such an address, and browsers have such versions
    if any(len(number) > 1 and number[0] == "0" for number in numbers) or any(len(number) > 3 for number in numbers):
        return "", False
    if max(map(int, numbers)) > _MOST:
        return "", False
    return ".".join(numbers), has_moment


def _before(found: re.Match[str]) -> str:
    return found.string[max(0, found.start() - _CHARACTERS_BEFORE) : found.start()]


def _dotted(client_ip: str) -> list[str]:
    return [found[2] for found in _DOTTED.finditer(client_ip)]


def _is_sixth(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
