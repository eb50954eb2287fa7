"""Length-delimited fields of protobuf, written by hand where their bytes are there already.

A serialised message is the concatenation of its fields, so what is known to be right need not be parsed and written
again to become part of another message.
"""


def varint(number: int) -> bytes:
    r"""Returns a number, or a length, as protobuf writes it.

    >>> varint(127), varint(128), varint(300)
    (b'\x7f', b'\x80\x01', b'\xac\x02')
    """
    if number < 0x80:
        return _SHORT[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SHORT = tuple(bytes((number,)) for number in range(0x80))


def length_tag(field_number: int) -> bytes:
    """Returns the first byte of a length-delimited field whose number is 1 to 15."""
    return _SHORT[field_number << 3 | 2]


def write_time(micros: int) -> bytes:
    r"""Returns a moment as a serialised `Timestamp`.

    Args:
        micros: Since 1970; not before.

    >>> write_time(1_000_001).hex()
    '080110e807'
    """
    seconds, rest = divmod(micros, 1_000_000)
    written = b"\x08" + varint(seconds) if seconds else b""
    return written + b"\x10" + varint(rest * 1_000) if rest else written
