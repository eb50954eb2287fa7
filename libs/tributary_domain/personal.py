r"""What looks like an e-mail address in a text that is no place for one, however it is spelt.

An `@` may be percent-encoded (once for every link within a link), written as a character reference, or be the
full-width one; the domain may be an international one, plain, encoded, or in punycode. The one rule: the patterns cost
linear time, whatever the text, and are only asked where a cheap test has found what every address has.
"""

import re
from typing import Final

_TWICE: Final = "%(?:25)*"
"""A percent sign, encoded however often."""

_AT: Final = (
    rf"(?:[@\uFF20\uFE6B]|{_TWICE}(?:u00)?40|{_TWICE}EF{_TWICE}BC{_TWICE}A0|"
    r"&(?:amp;)*(?:#0*64|#x0*40|commat);|\\(?:u00|x)40)"
)
AT_SIGN: Final = re.compile(_AT, re.IGNORECASE)
"""One, however it is spelt."""
_DOT: Final = rf"(?:[.\u3002\uFF0E]|{_TWICE}2E|{_TWICE}E3{_TWICE}80{_TWICE}82)"
_LETTER: Final = rf"(?:[^\W\d_]|{_TWICE}[C-F][0-9A-F])"
"""A letter, or the first byte of one that is encoded."""

_NO_AT: Final = rf"%(?!(?:25)*(?:(?:u00)?40|EF{_TWICE}BC{_TWICE}A0))|&(?!(?:amp;)*(?:#|commat))"
_AT_SIGNS: Final = r"@\uFF20\uFE6B\\"
"""What an `@`, plain or escaped, begins with: a domain ends before the next, or many of them would cost many times."""
_DOMAIN_CHARACTERS: Final = 253

IN_TEXT: Final = re.compile(
    rf"[^\s@/:]{_AT}(?:[^\s/%&{_AT_SIGNS}]|{_NO_AT}){{1,{_DOMAIN_CHARACTERS}}}?{_DOT}"
    rf"{_LETTER}(?:{_TWICE}[89AB][0-9A-F])*{_LETTER}",
    re.IGNORECASE,
)
"""Finds one in a text; "sold @ 5.99" and "https://x.org/@ann" are none."""

WHOLE: Final = re.compile(
    rf"(?<![^\s<>()\[\],;:\"'=/])[^\s<>()\[\],;:\"'=/]+?{_AT}"
    rf"(?:[^\s/%&{_AT_SIGNS}]|{_NO_AT}){{1,{_DOMAIN_CHARACTERS}}}?{_DOT}"
    rf"{_LETTER}(?:{_TWICE}[89AB][0-9A-F])*{_LETTER}[^\s,;<>()\[\]\"'/]*",
    re.IGNORECASE,
)
"""The whole of one, to be cut out of a text."""

IN_URL: Final = re.compile(
    rf"(?<![^/?#&=\s])[^/?#&=\s]+?{_AT}(?:[^/?#&=\s%{_AT_SIGNS}]|{_NO_AT}){{1,{_DOMAIN_CHARACTERS}}}?{_DOT}"
    rf"{_LETTER}(?:{_TWICE}[89AB][0-9A-F])*{_LETTER}[^/?#&=\s]*",
    re.IGNORECASE,
)
"""The whole part of a URL that holds one: of its path, or a value of its query."""


_SEPARATORS: Final = r"[ ()./\u00a0\u2009\u202f\u2010-\u2013-]{0,2}"
"""What people put between the digits of a phone number: blanks and dashes of any width."""
PHONE: Final = re.compile(
    rf"(?:\+(?<![\w+]\+)|\uff0b|(?<!\w){_TWICE}2[bB])[1-9\uff11-\uff19](?:{_SEPARATORS}\d){{7,14}}(?!\d)"
)
"""A phone number with its country code, as people and machines write it; a "+" between words is a blank."""

_ENCODED: Final = re.compile(
    r"%(?:25)*(?:40|2[bB][1-9]|[uU]0040|[eE][fF]|23(?:0*64|[xX]0*40)|"
    r"26(?:#|[cC]ommat|[aA]mp|%(?:25)*23(?:0*64|[xX]0*40)))"
)
"""What every percent-encoded spelling of an `@`, and of a phone number, begins with."""


def may_hold_email(text: str) -> bool:
    """Tells whether a text has what every spelling of an `@` has; false for nearly all texts, and quick."""
    if "@" in text or "\\" in text:
        return True
    if "%" in text and _ENCODED.search(text) is not None:
        return True
    if ";" in text and "&" in text and ("64;" in text or "40;" in text or "commat;" in text):
        return True
    return not text.isascii() and ("\uff20" in text or "\ufe6b" in text)


def holds_email(text: str) -> bool:
    """Tells whether a text holds what looks like an e-mail address.

    >>> holds_email("ann@example.com"), holds_email("sold @ 5.99"), holds_email("https://x.org/@ann")
    (True, False, False)
    >>> holds_email("next=ann%2540example.com"), holds_email("ann&#64;example%2Ecom"), holds_email("ann@почта.рф")
    (True, True, True)
    """
    return may_hold_email(text) and IN_TEXT.search(text) is not None


def may_hold_personal(text: str) -> bool:
    """Tells whether a text may hold an e-mail address, or holds a phone number; false for nearly all, and quick."""
    # What may_hold_email does, not called but repeated: this is asked of every event.
    if "@" in text or "\\" in text or ("+" in text and PHONE.search(text) is not None):
        return True
    if "%" in text and _ENCODED.search(text) is not None:
        return True
    if ";" in text and "&" in text and ("64;" in text or "40;" in text or "commat;" in text):
        return True
    return not text.isascii() and ("\uff20" in text or "\ufe6b" in text or "\uff0b" in text)


def holds_personal(text: str) -> bool:
    """Tells whether a text holds what looks like an e-mail address, or a phone number with its country code.

    >>> [holds_personal(text) for text in ("+49 (171) 2345678", "call +491712345678", "red+12345678", "order 12345678")]
    [True, True, False, False]
    """
    return may_hold_personal(text) and (IN_TEXT.search(text) is not None or PHONE.search(text) is not None)


def without_personal(text: str) -> str:
    """Cuts e-mail addresses and phone numbers out of a text that is for people.

    >>> without_personal("Engraving: for ann@example.com, with love"), without_personal("call +49 171 2345678 now")
    ('Engraving: for -, with love', 'call - now')
    """
    cut = PHONE.sub("-", WHOLE.sub("-", text)) if may_hold_personal(text) else text
    return "-" if holds_email(cut) else cut
