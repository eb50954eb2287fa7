"""The one order of events: by event time, ties by a hash of the event id.

Everything that depends on order (credit, sessions, merged observations, adjustments, people) uses this order and no
other, so that the result depends on the set of events and never on their arrival. The hash is xxHash64 with seed 0:
ClickHouse has the same function, so SQL orders alike and a journey needs no id texts.
"""

from typing import Final

import xxhash

OrderKey = tuple[int, int]
"""(event time in microseconds since 1970 UTC, `event_hash`); tuples compare as events are ordered."""

NEVER: Final = 2**63
"""A moment after every event, in microseconds."""


def event_hash(event_id: str) -> int:
    """Returns the 64-bit number that stands for an event id: `xxHash64(event_id)` in ClickHouse.

    Args:
        event_id: The caller's text as it is; case and leading zeros count.

    Returns:
        An unsigned 64-bit integer.

    >>> event_hash("o-1") == event_hash("O-1")
    False
    >>> event_hash("")
    17241709254077376921
    """
    return xxhash.xxh64_intdigest(event_id.encode())


def order_key(event_time_micros: int, event_id: str) -> OrderKey:
    """Returns what an event is ordered by.

    >>> order_key(1, "b") < order_key(2, "a")
    True
    """
    return event_time_micros, event_hash(event_id)
