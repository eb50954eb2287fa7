"""Advertising ids as ad destinations want them: what they recognise a device by.

The one rule: an id is told as what its caller said that it is, and as the system of its device writes it: Apple's in
upper case and Android's in lower case, for some destinations hash it just so. How an id looks says nothing: vendor ids
look the same. A device that limits ad tracking gives zeros, which are nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tributary_domain.normalization import is_blocked

ADVERTISING_ID_FIELDS: Final = ("apple_advertising_ids", "android_advertising_ids")
"""Of an `event.v1.Identifiers`."""
_FORM: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class AdvertisingIds:
    """Of one person's devices, each once."""

    apple: tuple[str, ...]
    """IDFA, in upper case."""
    android: tuple[str, ...]
    """Google's advertising id (GAID, AAID), in lower case."""

    @property
    def all(self) -> tuple[str, ...]:
        """Of both."""
        return (*self.apple, *self.android)


def advertising_ids(apple: Iterable[str], android: Iterable[str]) -> AdvertisingIds:
    """Returns those that are advertising ids by their form.

    Args:
        apple: What was sent as Apple's.
        android: What was sent as Android's.

    >>> apple, android = "ea7583cd-a667-48bc-b806-42ecb2b48606", "CDDA802E-fb9c-47ad-9866-0794d394c912"
    >>> found = advertising_ids([apple, "d-1"], [android])
    >>> found.apple, found.android
    (('EA7583CD-A667-48BC-B806-42ECB2B48606',), ('cdda802e-fb9c-47ad-9866-0794d394c912',))
    """
    return AdvertisingIds(
        tuple(dict.fromkeys(one.upper() for one in _readable(apple))),
        tuple(dict.fromkeys(one.lower() for one in _readable(android))),
    )


def _readable(ids: Iterable[str]) -> list[str]:
    found = map(str.strip, ids)
    return [one for one in found if _FORM.fullmatch(one) is not None and not is_blocked(one)]
