"""Records of the spool, one per event: length and CRC-32 of the payload, the payload. Pure: bytes in, bytes out.

A damaged record is passed over where a good one follows; else reading stops at it. Half a record at the end is no
damage: who died writing it had told nobody that the event is kept.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_RECORD: Final = struct.Struct("<II")
RECORD_BYTES: Final = _RECORD.size


def packed(payload: bytes) -> bytes:
    """Returns the record of a payload."""
    return _RECORD.pack(len(payload), zlib.crc32(payload)) + payload


def records(content: bytes | memoryview, at: int) -> Iterator[tuple[memoryview | None, int]]:
    """Yields each payload, None for a damaged one that a good one follows, and where it ends."""
    view = memoryview(content)
    while (span := _span(view, at)) is not None:
        payload, end, is_good = span
        if not is_good:
            following = _span(view, end)
            if following is None or not following[2]:
                return  # its length may be what is damaged
        yield payload if is_good else None, end
        at = end


def is_half(content: bytes, at: int) -> bool:
    """Tells whether a record begins here that was not written to its end, and no damaged one that others follow."""
    view = memoryview(content)
    left = len(content) - at
    if left <= 0 or (left >= _RECORD.size and _RECORD.unpack_from(view, at)[0] <= left - _RECORD.size):
        return False
    return not any((span := _span(view, later)) is not None and span[2] for later in range(at + 1, len(content)))


def _span(view: memoryview, at: int) -> tuple[memoryview, int, bool] | None:
    """Returns the payload of the record that begins here, its end, and whether it is undamaged; None for half a one."""
    if at + _RECORD.size > len(view):
        return None
    length, checksum = _RECORD.unpack_from(view, at)
    begin = at + _RECORD.size
    payload = view[begin : begin + length]
    if length < 2 or len(payload) < length:
        return None
    return payload, begin + length, zlib.crc32(payload) == checksum
