"""Event ids for events that have none: UUIDv7 (RFC 9562, section 5.7), so that ids made later sort later.

The one rule: an id is made once, before the first attempt, and kept over all of them.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable

from tributary.event.v1.event_pb2 import Event

_LAST_COUNT = (1 << 12) - 1


class EventIds:
    """Makes ids that never repeat and never go back, also within a millisecond and when the clock does.

    48 bits of Unix milliseconds, then 12 bits that count within the millisecond (RFC 9562, section 6.2, method 1),
    then 62 random ones. After 4 096 ids in one millisecond, the next one is borrowed.

    Args:
        clock: Returns Unix nanoseconds.
        chance: Returns as many random bytes as it is asked for; of a kind that a fork does not repeat.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns, chance: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._chance = chance
        self.forget()

    def forget(self) -> None:
        """Begins anew in a forked child: the lock may have been held by a thread that is not there."""
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._count = 0

    def new(self) -> str:
        """Returns the next id; from any thread."""
        with self._lock:
            now = self._clock() // 1_000_000
            if now > self._milliseconds:
                # Counting begins below the middle, at random, so that two processes seldom count alike.
                self._milliseconds, self._count = now, int.from_bytes(self._chance(2), "big") >> 5
            elif self._count < _LAST_COUNT:
                self._count += 1
            else:
                self._milliseconds, self._count = self._milliseconds + 1, 0
            milliseconds, count = self._milliseconds, self._count
        random = int.from_bytes(self._chance(8), "big") & (1 << 62) - 1
        return str(uuid.UUID(int=(milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | count << 64 | 0x2 << 62 | random))


_IDS = EventIds()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_IDS.forget)


def new_event_id() -> str:
    """Returns a new id, as the client gives to events that have none."""
    return _IDS.new()


def with_id(event: Event) -> Event:
    """Returns the event itself if it has an id, else a copy with a new one."""
    if event.event_id:
        return event
    identified = Event()
    identified.CopyFrom(event)
    identified.event_id = new_event_id()
    return identified
