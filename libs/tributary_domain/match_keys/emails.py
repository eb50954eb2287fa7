"""E-mail addresses as destinations hash them.

| form | is                                                                     |
|------|------------------------------------------------------------------------|
| E1   | trimmed, in lower case: what `email_sha256` is the hash of             |
| E2   | E1; of the two domains of Gmail without dots and "+suffix" before the @ |
| E3   | E1 without dots and "+suffix" before the @, whatever the domain         |

The one rule: what is no address as mail servers know it, such as "<ann@example.com>" or "ann@localhost", is no key, and
`tributary match-keys` says so: its hash would match nobody.
"""

from __future__ import annotations

import re
from typing import Final

from tributary_domain.match_keys.keys import EMPTY, Forms, NoKey
from tributary_domain.normalization import normalize_email

_GMAIL: Final = frozenset({"gmail.com", "googlemail.com"})
_ADDRESS: Final = re.compile(
    r"[^\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff@<>()\[\],;:\\\"]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])?"
)
"""A name, without what is not seen, and a host of labels with dots between them; a host may be in any script."""
_NO_ADDRESS: Final = NoKey("is no e-mail address")
_NO_LOCAL_PART: Final = NoKey("is no e-mail address: nothing is left before the @")


def as_written(value: str, _region: str) -> Forms:
    """E1.

    >>> as_written(" John_Smith+shop@Gmail.com ", "")
    ('john_smith+shop@gmail.com',)
    """
    email = _read(value)
    return email if isinstance(email, NoKey) else (email,)


def as_gmail_reads(value: str, _region: str) -> Forms:
    """E2.

    >>> as_gmail_reads("cloudy.sanfrancisco+shopping@gmail.com", ""), as_gmail_reads("user.name+NYC@Example.com", "")
    (('cloudysanfrancisco@gmail.com',), ('user.name+nyc@example.com',))
    """
    email = _read(value)
    if isinstance(email, NoKey):
        return email
    return _bare(email) if email.partition("@")[2] in _GMAIL else (email,)


def bare(value: str, _region: str) -> Forms:
    """E3.

    >>> bare("FIRST.LAST+x.y@Example.com", "")
    ('firstlast@example.com',)
    """
    email = _read(value)
    return email if isinstance(email, NoKey) else _bare(email)


def _read(value: str) -> str | NoKey:
    if not value.strip():
        return EMPTY
    email = normalize_email(value)
    return email if email is not None and _ADDRESS.fullmatch(email) else _NO_ADDRESS


def _bare(email: str) -> Forms:
    local, _, domain = email.partition("@")
    local = local.partition("+")[0].replace(".", "")
    return (f"{local}@{domain}",) if local else _NO_LOCAL_PART
