"""E-mail addresses in base64, as mailers put them into links: `?u=YW5uQGV4YW1wbGUuY29t`; and tokens of a log-in.

Such a token (a JWT) says in base64 who somebody is, and lets whoever has it be them.

The one rule: quick where there is none, because this is asked of most parameters: an `@` between letters, digits and
the like gives few pairs of characters in base64, each with a capital, and what has none of them at its place is let go.
"""

import re
from binascii import Error, a2b_base64
from typing import Final
from urllib.parse import unquote

from tributary_domain.personal import holds_email
from tributary_domain.personal_names import plainer

ENCODED_CHARACTERS: Final = 8
"""The shortest address, a@b.de, takes so many."""

_SIGN: Final = re.compile(r"(?:[\w+/-]{4})*?(?:Q[C-H]|[\w+/-](?:[EUk0][AB]|[\w+/-][BFJNRVZdhlptx159]A))", re.ASCII)
"""The pairs that an `@` gives as the first, second or third of three bytes."""
_MAY_BE_SIGN: Final = re.compile(
    r"[A-H](?<=[QEUk0BFJNRVZdhlptx159].)(?<=Q[C-H]|[EUk0][AB]|[BFJNRVZdhlptx159]A)[\w+/-]{4}", re.ASCII
)
"""The same at whatever place, and the least that a domain takes behind it; capitals within words are rare."""
_PART: Final = re.compile(r"[\s/?#&=:;,.|\"'(){}<>]")
"""What parts of a URL or a token end with; the `/` and `=` of base64 itself are escaped there, or are padding."""
_TOKEN: Final = re.compile(r"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{4,}\.", re.ASCII)
"""A JWT: what is in base64 are two objects of JSON."""
_LETTER: Final = re.compile(r"%(?:25)*(?:65|79|4[aA])")
"""One of its first three, encoded."""
_URL_SAFE: Final = str.maketrans("-_", "+/")
_PADDING: Final = ("", "", "==", "=")
"""By how many characters are over a multiple of four; of one there is no base64."""


def may_hold_encoded_address(text: str) -> bool:
    """Tells whether a text, not percent-encoded, may have such a text in it; false for nearly all words, and quick.

    >>> [may_hold_encoded_address(text) for text in ("for YW5uQGV4YW1wbGUuY29t", "YUBiLmRl", "Running Shoe", "NIVEA")]
    [True, True, False, False]
    """
    return _MAY_BE_SIGN.search(text) is not None


def holds_encoded_address(value: str) -> bool:
    """Tells whether a parameter's value is base64, of a URL or not, of a text that holds an e-mail address.

    >>> [holds_encoded_address(text) for text in ("YW5uQGV4YW1wbGUuY29t", "spring-sale", "eyJlIjoiYUBiLmRlIn0=")]
    [True, False, True]
    """
    if len(value) < ENCODED_CHARACTERS or _SIGN.match(value) is None:
        return False
    value = (unquote(value) if "%" in value else value).rstrip("=")
    over = len(value) % 4
    if len(value) < ENCODED_CHARACTERS or over == 1:
        return False
    try:
        decoded = a2b_base64(value.translate(_URL_SAFE) + _PADDING[over], strict_mode=True)
    except (Error, ValueError):  # a character that is none of base64, or not even of ASCII
        return False
    if b"@" not in decoded:
        return False
    try:
        return holds_email(decoded.decode())
    except UnicodeDecodeError:
        return False


def holds_encoded_part(text: str) -> bool:
    """Tells whether a part of a path, of a fragment or of a link within a link is such a text, or a token.

    However often it is encoded: each time of decoding shows other parts, and may spoil those that were there before.

    >>> [holds_encoded_part(text) for text in ("u/YW5uQGV4YW1wbGUuY29t/off", "p/Spring-Sale/shoes", "p/spring")]
    [True, False, False]
    >>> holds_encoded_part("https%253A%252F%252Fx.example%252Fu%252FYW5uQGV4YW1wbGUuY29t")
    True
    >>> [holds_encoded_part(f"{e}yJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2ln") for e in ("e", "%65")]
    [True, True]
    """
    is_encoded = "%" in text
    if len(text) < ENCODED_CHARACTERS or (not is_encoded and text.islower()):
        return False
    texts = plainer(text) if is_encoded else [text]
    may_hold_token = "eyJ" in text or (is_encoded and _LETTER.search(text) is not None)
    if may_hold_token and any(_TOKEN.search(plain) is not None for plain in texts):  # after "Bearer%20", too
        return True
    return any(holds_encoded_address(part) for plain in texts for part in _PART.split(plain))
