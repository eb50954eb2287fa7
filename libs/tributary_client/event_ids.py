"""Event ids for events that have none: UUIDv7, so that ids made later sort later."""

from __future__ import annotations

import os
import time
import uuid

from tributary.event.v1.event_pb2 import Event


def new_event_id() -> str:
    """Returns a new UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def with_id(event: Event) -> Event:
    """Returns the event itself if it has an id, else a copy with a new one."""
    if event.event_id:
        return event
    identified = Event()
    identified.CopyFrom(event)
    identified.event_id = new_event_id()
    return identified
