"""How a touch names its event where only the hash of its id is kept."""

from __future__ import annotations


def event_reference(event_hash: int) -> str:
    """Returns the name: `x1:` and 16 hexadecimal digits.

    In ClickHouse: `concat('x1:', leftPad(lower(hex(xxHash64(event_id))), 16, '0'))`.

    >>> event_reference(255)
    'x1:00000000000000ff'
    """
    return f"x1:{event_hash:016x}"


def hash_of_reference(reference: str) -> int:
    """Returns the way back; 0 for a text that is no reference."""
    return int(reference[3:], 16) if reference.startswith("x1:") else 0
