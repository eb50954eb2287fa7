"""How a touch names its event where only the hash of its id is kept."""

from __future__ import annotations

import re
from typing import Final

_REFERENCE: Final = re.compile("x1:[0-9a-f]{16}")


def event_reference(event_hash: int) -> str:
    """Returns the name: `x1:` and 16 hexadecimal digits.

    In ClickHouse: `concat('x1:', leftPad(lower(hex(xxHash64(event_id))), 16, '0'))`.

    >>> event_reference(255)
    'x1:00000000000000ff'
    """
    return f"x1:{event_hash:016x}"


def hash_of_reference(reference: str) -> int:
    """Returns the way back; 0 for a text that is no reference.

    >>> hash_of_reference("x1:00000000000000ff")
    255
    >>> hash_of_reference("x1:00000000000000fz")
    0
    """
    return int(reference[3:], 16) if _REFERENCE.fullmatch(reference) else 0


def is_damaged(reference: str) -> bool:
    """Tells whether a text begins as a reference and is none."""
    return reference.startswith("x1:") and not _REFERENCE.fullmatch(reference)
