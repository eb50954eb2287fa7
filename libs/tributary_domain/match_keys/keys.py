"""A match key, and why a value gives none.

The one rule: neither shows in a representation what it was made of, for those end up in logs and exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True, repr=False)
class MatchKey:
    """What one value is to one destination."""

    normalized: str
    """As the destination wants it written, before it is hashed; of a value that came hashed, that hash."""
    sha256: str | None = None
    """What is sent of it: the SHA-256 of its UTF-8 bytes in lower-case hexadecimal. None: it is sent as it stands."""
    also: tuple[MatchKey, ...] = ()
    """Further forms that are sent beside it, where the destination's own client and its documentation differ."""

    @property
    def sent(self) -> str:
        """What leaves the house."""
        return self.normalized if self.sha256 is None else self.sha256


@dataclass(frozen=True, slots=True)
class NoKey:
    """A value that a destination cannot recognise anybody by."""

    reason: str
    """Why, after "it": "is empty". Never holds the value."""


Forms = tuple[str, ...] | NoKey
"""How a value is written: what is sent first, then further forms of it; or why it is no key."""

EMPTY = NoKey("is empty")


def digest(text: str) -> str:
    """Returns the SHA-256 of a text, as destinations want it.

    >>> digest("mary")
    '6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec'
    """
    return sha256(text.encode()).hexdigest()
