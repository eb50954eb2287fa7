"""E-mail and other identifiers -> what is hashed; phone numbers have `phone_numbers`.

The one rule: normalising twice equals once, and two spellings of one identifier give one value. Nothing destination
specific happens here (what Google or Meta hash is theirs): these values only make identity tokens.
"""

import re
from hashlib import sha256
from typing import Final

from tributary_domain.unfilled import LONGEST, decoded, ends_in_place, holds_template, may_be_unfilled

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+")
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

_MARKS: Final = (
    "\0\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""What is not seen and comes along when a text is copied, or stands at the beginning of a file: of writing direction,
of where a line may end, of byte order."""
_AROUND: Final = _MARKS + "".join(character for character in map(chr, range(0x3001)) if character.isspace())

_NOBODY = """
-1|null|(null)|<null>|none|(none)|nil|nan|undefined|unknown|anonymous|anon|guest|user|visitor|customer|distinctid|
distinct_id|id|userid|user_id|not_authenticated|not authenticated|email|true|false|test|n/a|not set|(not set)|
[object object]|{}|[]|default|void
"""
_BLOCKED = frozenset(value.strip() for value in _NOBODY.split("|"))
"""Values that stand for nobody, in lower case: what Segment and PostHog refuse to link by, and their like."""
_LONGEST_NOBODY: Final = max(map(len, _BLOCKED))
_KIND: Final = (
    r"(?:user|usr|uid|customer|cust|client|buyer|visitor|guest|member|subscriber|account|contact|lead|person|profile|"
    r"device|web|app|crm|kunde|käufer|nutzer|besucher|cliente|usuario|id)(?:id)?"
)
_WORD: Final = "(?:null|undefined|none|nan)"
_ONLY_A_KIND: Final = re.compile(
    rf"(?:{_KIND}(?:[^\w@]|_)+)+(?:{'|'.join(map(re.escape, sorted(_BLOCKED, reverse=True)))})[\W_]*|"
    rf"[\W_]*(?:{_KIND}[\W_]+)*(?:{_WORD}[\W_]+)*{_WORD}[\W_]*"
)
"""Such a value behind what only says of what kind it would be, or words for nothing and no other, in lower case."""
_TELLING_STARTS: Final = frozenset("0-fF") | _UNFILLED_STARTS | frozenset(_INVISIBLE)
"""What a longer value that is blocked begins with."""

_BLOCKED_HASHES = frozenset(sha256(value.encode()).digest() for value in (*_BLOCKED, ""))


def is_blocked(value: str, blocked: frozenset[str] = frozenset()) -> bool:
    """Tells whether an identifier stands for nobody, so that linking by it would make strangers one person.

    Args:
        value: As sent. Quotes around it, what cannot be seen and case do not count; zeros and dashes alone are blocked,
            and so is what has a template's place in it that was not filled, or nothing but its kind before such one.
            Behind any other word it may be a name: there are people called Null.
        blocked: The workspace's own, in lower case.

    >>> is_blocked("anonymous"), is_blocked(" '0' "), is_blocked("0000-0000"), is_blocked("10")
    (True, True, True, False)
    >>> is_blocked("{{customer.id}}"), is_blocked("%%CONTACT_ID%%"), is_blocked("{b7f1-22}")
    (True, True, False)
    >>> is_blocked("user-undefined"), is_blocked("WEB-{{customer.id}}"), is_blocked("christopher.null")
    (True, True, False)
    """
    return names_nothing(value, blocked) or (may_be_unfilled(value) and _is_unfilled(value.strip(_INVISIBLE)))


def names_nothing(value: str, blocked: frozenset[str] = frozenset()) -> bool:
    """Tells the same of a value as a whole, of whatever it is: what has such a one as a part may well be a shop's.

    >>> [names_nothing(value) for value in ("id", "0", "{{order.id}}", "web-id", "app_default")]
    [True, True, True, False, False]
    """
    if len(value) > _LONGEST_NOBODY and not blocked and value[0] not in _TELLING_STARTS and value[-1] not in _INVISIBLE:
        return False  # as nearly all are: asked twice of every event
    bare = value.strip(_INVISIBLE).lower()
    if not bare or bare in _BLOCKED or (blocked and bare in blocked):
        return True
    first = bare[0]
    if first in "0-f" and _ONLY_ZEROS_OR_DASHES.fullmatch(bare) is not None:
        return True
    return first in _UNFILLED_STARTS and _UNFILLED.fullmatch(bare) is not None


def _is_unfilled(bare: str) -> bool:
    """Tells whether an identifier has a part that nothing was put into, and nothing else that names somebody."""
    if len(bare) > LONGEST:
        return False
    return holds_template(bare) or ends_in_place(bare) or _ONLY_A_KIND.fullmatch(decoded(bare).lower()) is not None


def is_blocked_hash(digest: bytes) -> bool:
    """Tells whether a SHA-256 is that of nothing, or of a value that stands for nobody."""
    return digest in _BLOCKED_HASHES


def trimmed(value: str) -> str:
    r"""Returns a text without the blanks, and the marks that are not seen, around it.

    >>> trimmed("\u202a+49 30 123456\u202c "), trimmed("\ufeff")
    ('+49 30 123456', '')
    """
    return value.strip(_AROUND)


def normalize_email(value: str) -> str | None:
    """Returns an e-mail address trimmed and in lower case; `None` if it is none.

    Dots and "+tags" stay: whether they matter is the mail provider's secret, and `email_sha256` keeps them too.

    >>> normalize_email("  Ann@Example.COM ")
    'ann@example.com'
    """
    email = trimmed(value).lower()
    return email if _EMAIL.fullmatch(email) else None


def read_sha256(value: str) -> bytes | None:
    """Returns the 32 bytes of a SHA-256 in hexadecimal, of either case; `None` if it is none."""
    return bytes.fromhex(value) if _HEX_SHA256.fullmatch(value) else None
