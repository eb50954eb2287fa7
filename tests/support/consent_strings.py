"""TCF strings of the tests: whom they name."""

from __future__ import annotations

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NOBODY = "CQdZmkAQdZmkAAKACBENCWFgAAAAAAAAAAqIAAAAAAAA.IAAA.YAAAAAAAAAAA"
"""Nothing consented to."""
_PURPOSES, _VENDORS = 152, 213
"""At which bits they begin."""


def encoded(bits: str) -> str:
    """Returns bits as a string's segment."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def naming(*vendors: int) -> str:
    """Returns a string by which a person allows purposes 1, 3, 4 and 7, and these vendors."""
    bits = "".join(f"{ALPHABET.index(one):06b}" for one in NOBODY.partition(".")[0])[:_VENDORS]
    purposes = "".join("1" if purpose in {1, 3, 4, 7} else "0" for purpose in range(1, 25))
    named = "".join("1" if vendor in vendors else "0" for vendor in range(1, max(vendors, default=1) + 1))
    return encoded(bits[:_PURPOSES] + purposes + bits[_PURPOSES + 24 :] + f"{max(vendors, default=1):016b}0" + named)
