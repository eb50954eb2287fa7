"""How traces lie in their Redis hash: two fields per slot, each a trace, which take turns.

| field                   | value                                                                               |
|-------------------------|-------------------------------------------------------------------------------------|
| slot and `#0` or `#1`   | 8 bytes time, 8 bytes event hash, 8 bytes of what is alike, 1 byte flags, the value |

Numbers are big-endian. Who reads a journey reads its traces in the same step, and finds their fields behind a byte 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final

from tributary_domain.traces import Trace, newest_two

LIFE_SECONDS: Final = 120 * 86_400
"""The longest that a destination may be sent one, and the time that an event may be late; after the last one."""

BESIDE: Final = 1
"""What the fields begin with where they are read with a journey."""

_HEAD: Final = Struct(">QQQB")
_TURN_BYTES: Final = 2

Left = tuple[str, Trace]
"""A slot, and what was left in it."""


_trace: Final[Callable[..., Trace]] = tuple.__new__  # in place of the one that takes arguments: half the time


def pack_traces(left: Iterable[Left]) -> list[bytes]:
    """Returns slots and values by turns: of each slot the newest two, the older first."""
    slots: dict[str, list[Trace]] = {}
    for slot, trace in left:
        own = slots.get(slot)
        if own is None:
            slots[slot] = [trace]
        else:
            own.append(trace)
    packed: list[bytes] = []
    for slot, traces in slots.items():
        name = slot.encode()
        for time, event_hash, alike, flags, value in traces if len(traces) == 1 else newest_two(traces):
            packed += (name, _HEAD.pack(time, event_hash, alike, flags) + value)
    return packed


def time_of(value: bytes) -> int:
    """Returns the time of a packed trace."""
    return int.from_bytes(value[:8])


def add_trace(found: dict[str, list[Trace]], field: bytes, value: bytes) -> None:
    """Adds what a field holds to traces by slot.

    Args:
        found: Takes it.
        field: As a journey has it that was read with its traces.
        value: Of the field.
    """
    time, event_hash, alike, flags = _HEAD.unpack_from(value)
    found[field[1:-_TURN_BYTES].decode()].append(_trace(Trace, (time, event_hash, alike, flags, value[_HEAD.size :])))
