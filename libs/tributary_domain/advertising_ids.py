"""Device ids -> advertising ids, and whose they are: what ad destinations recognise a device by.

The one rule: an id is told as the system of its device writes it, Apple's in upper case and Android's in lower case,
for some destinations hash it just so. A device that limits ad tracking gives zeros, which are nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tributary_domain.normalization import is_blocked

_FORM: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_OF_APPLE: Final = re.compile(r"\b(?:iPhone|iPad|iPod|iOS|CFNetwork|Darwin)\b")


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


def advertising_ids(device_ids: Iterable[str], user_agent: str = "") -> AdvertisingIds:
    """Returns those of device ids that may be advertising ids: ids of other forms are not.

    Args:
        device_ids: As sent.
        user_agent: Of the person's app or browser; "": not known. Where it is of a phone of Apple's, an id is too that
            somebody wrote in lower case.

    >>> found = advertising_ids(["EA7583CD-A667-48BC-B806-42ECB2B48606", "cdda802e-fb9c-47ad-9866-0794d394c912", "d-1"])
    >>> found.apple, found.android
    (('EA7583CD-A667-48BC-B806-42ECB2B48606',), ('cdda802e-fb9c-47ad-9866-0794d394c912',))
    """
    is_apple = _OF_APPLE.search(user_agent) is not None
    apple, android = dict[str, None](), dict[str, None]()
    for device_id in map(str.strip, device_ids):
        if _FORM.fullmatch(device_id) is None or is_blocked(device_id):
            continue
        if is_apple or device_id != device_id.lower():
            apple[device_id.upper()] = None
        else:
            android[device_id] = None
    return AdvertisingIds(tuple(apple), tuple(android))
