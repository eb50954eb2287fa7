"""IAB Europe's Transparency and Consent Framework, version 2: what a person allowed, in a string.

The one rule: a string that has a version and cannot be read is no permission.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tributary_domain.consent_bits import Bits, Ids, UnreadableStringError

_VERSION: Final = 2
_MARK: Final = "C"
"""What every string of version 2 begins with."""
_DECISECOND: Final = 100_000
_DISCLOSED: Final = 1
_VENDORS_AT: Final = 213


@dataclass(frozen=True, slots=True)
class Tcf:
    """What a string says."""

    created_micros: int
    last_updated_micros: int
    cmp_id: int
    cmp_version: int
    consent_screen: int
    consent_language: str
    vendor_list_version: int
    policy_version: int
    is_service_specific: bool
    """Whether it was said to this site. What was said to all at once holds no longer."""
    special_features: frozenset[int]
    purposes: frozenset[int]
    """Purposes that were consented to."""
    purposes_by_interest: frozenset[int]
    """Purposes whose legitimate interest was not objected to."""
    publisher_country: str
    vendors: Ids
    """Vendors that were consented to."""
    disclosed_vendors: Ids | None
    """Vendors that were named to the person; None: nobody says."""


def is_tcf(text: str) -> bool:
    """Tells whether a text means to be such a string: "undefined" does not."""
    return text.startswith(_MARK)


def read_tcf(text: str) -> Tcf:
    """Reads a string.

    Raises:
        UnreadableStringError: It is none, or broken.

    >>> read_tcf("CO27L5XO27L5XDbACBENAtCAAIoAABQAAAIYAOBAhABAB5IAAAAA").purposes == {1, 5, 7}
    True
    """
    core, *segments = text.split(".")
    bits = Bits(core)
    if bits.number(0, 6) != _VERSION:
        raise UnreadableStringError("is of another version")
    vendors, _ = bits.ids(_VENDORS_AT)
    return Tcf(
        created_micros=bits.number(6, 36) * _DECISECOND,
        last_updated_micros=bits.number(42, 36) * _DECISECOND,
        cmp_id=bits.number(78, 12),
        cmp_version=bits.number(90, 12),
        consent_screen=bits.number(102, 6),
        consent_language=bits.letters(108, 2),
        vendor_list_version=bits.number(120, 12),
        policy_version=bits.number(132, 6),
        is_service_specific=bool(bits.number(138, 1)),
        special_features=bits.flags(140, 12),
        purposes=bits.flags(152, 24),
        purposes_by_interest=bits.flags(176, 24),
        publisher_country=bits.letters(201, 2),
        vendors=vendors,
        disclosed_vendors=_disclosed(segments),
    )


def _disclosed(segments: list[str]) -> Ids | None:
    for segment in segments:
        bits = Bits(segment)
        if bits.number(0, 3) == _DISCLOSED:
            return bits.ids(3)[0]
    return None
