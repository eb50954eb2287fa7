"""What tells a person's device in an id: a whole network address, or a user agent, alone or as part of it.

An id is often built of one (`203.0.113.7-1795000000`), so it is looked for within. The one rule: four numbers with dots
are a version where the word before them says so ("v1.2.3.4", "build-10.2.1.4"), something longer where more numbers or
a letter stand next to them ("1.2.3.4.5", "x1.2.3.4"), and an address everywhere else, but for a moment behind or before
it. An id that is mistaken for one loses nothing: its token tells it apart as well.
"""

import re
from ipaddress import ip_address
from typing import Final

from tributary_domain.personal_names import plainer, words_of
from tributary_domain.personal_values import shows_agent

_DOTTED: Final = re.compile(r"(?<![^\W_])(?<!\d\.)\d+(?:\.\d+){3,}(?![^\W_])")
_MOMENT_DIGITS: Final = 9
"""Of seconds since 1970, or of something finer."""
_MOST: Final = 255
_NUMBERS: Final = 4
_WORD_BEFORE: Final = re.compile(r"([A-Za-z]+)(?:[^\w\x00]|_){0,2}\Z")
"""Within the same text, where several are joined by NULs."""
_WORD_CHARACTERS: Final = 16
_VERSIONS: Final = frozenset(
    words_of("version versions ver v build builds rev revision release releases firmware sdk chapter section")
)
_COLONS: Final = re.compile(r"(?<![^\W_])[23f][\da-f]{3}(?::[\da-f]{0,4}){2,7}(?![^\W_])", re.IGNORECASE)
"""What may be an address of the sixth version that a device has: of the world, of a site, or of a link."""


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
    if not may_hold_device(text):
        return False
    if "%" in text:
        text = plainer(text)[-1]
    if text.count(".") >= _NUMBERS - 1 and any(map(_is_address, _DOTTED.finditer(text))):
        return True
    if text.count(":") > 1 and any(_reads(found[0]) for found in _COLONS.finditer(text)):
        return True
    return "/" in text and shows_agent(text.replace("+", " "))


def _is_address(found: re.Match[str]) -> bool:
    numbers = found[0].split(".")
    if len(numbers[-1]) >= _MOMENT_DIGITS:
        numbers.pop()
    elif len(numbers[0]) >= _MOMENT_DIGITS:
        numbers.pop(0)
    if len(numbers) != _NUMBERS or numbers[0] == "0" or numbers[1:] == ["0"] * (_NUMBERS - 1):
        return False  # no device has such an address, and browsers have such versions
    if any(len(number) > 1 and number[0] == "0" for number in numbers) or any(len(number) > 3 for number in numbers):
        return False
    if max(map(int, numbers)) > _MOST:
        return False
    before = _WORD_BEFORE.search(found.string[max(0, found.start() - _WORD_CHARACTERS) : found.start()])
    return before is None or before[1].lower() not in _VERSIONS


def _reads(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
